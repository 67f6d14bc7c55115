//! Functions whose frame begins with the partition: one value runs along, and no row need be kept.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::filter;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::sync::Arc;

use super::super::saved_keys::{column, damaged};
use super::super::updating::state_of;
use crate::hot::passing;

/// A function that is computed by going along.
pub(super) enum RunningFunction {
    RowNumber,
    Rank,
    DenseRank,
    /// An aggregate over its arguments, of rows that pass the filter.
    Aggregate {
        function: Arc<AggregateFunctionExpr>,
        filter: Option<Arc<dyn PhysicalExpr>>,
    },
    /// The value in this place from the beginning, counted from 1.
    Nth {
        value: Arc<dyn PhysicalExpr>,
        place: u64,
        ignore_nulls: bool,
    },
    Last {
        value: Arc<dyn PhysicalExpr>,
        ignore_nulls: bool,
    },
}

/// The running value of one partition.
pub(super) enum Running {
    Count { rows: u64, rank: u64, dense: u64 },
    Aggregate(Box<dyn Accumulator>),
    Value { seen: u64, value: ScalarValue },
}

/// The rows of one partition at hand.
pub(super) struct Along<'a> {
    pub(super) rows: &'a RecordBatch,
    /// The first row whose value is asked for, and the one after the last.
    pub(super) from: usize,
    pub(super) to: usize,
    /// How many rows the running value has taken in; counts on.
    pub(super) consumed: &'a mut usize,
    /// For each row the end of its frame.
    pub(super) ends: &'a [usize],
    /// For each row where its peers end.
    pub(super) peers: &'a [usize],
}

impl RunningFunction {
    pub(super) fn start(&self, value_type: &DataType) -> Result<Running> {
        Ok(match self {
            Self::RowNumber | Self::Rank | Self::DenseRank => Running::Count { rows: 0, rank: 0, dense: 0 },
            Self::Aggregate { function, .. } => Running::Aggregate(function.create_accumulator()?),
            Self::Nth { .. } | Self::Last { .. } => {
                Running::Value { seen: 0, value: ScalarValue::try_from(value_type)? }
            }
        })
    }

    /// The types of what is kept of a running value.
    fn kept_types(&self, value_type: &DataType) -> Result<Vec<DataType>> {
        Ok(match self {
            Self::RowNumber | Self::Rank | Self::DenseRank => vec![DataType::UInt64; 3],
            Self::Aggregate { function, .. } => {
                function.state_fields()?.iter().map(|field| field.data_type().clone()).collect()
            }
            Self::Nth { .. } | Self::Last { .. } => vec![DataType::UInt64, value_type.clone()],
        })
    }

    /// Running values as columns, for a checkpoint; NULL where there is none.
    pub(super) fn save(&self, running: Vec<Option<&mut Running>>, value_type: &DataType) -> Result<Vec<ArrayRef>> {
        let types = self.kept_types(value_type)?;
        let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(running.len()); types.len()];
        for running in running {
            let kept = match (running, self) {
                (None, _) => types.iter().map(ScalarValue::try_from).collect::<Result<Vec<_>>>()?,
                (Some(Running::Count { rows, rank, dense }), _) => {
                    vec![(*rows).into(), (*rank).into(), (*dense).into()]
                }
                (Some(Running::Aggregate(accumulator)), Self::Aggregate { function, .. }) => {
                    state_of(accumulator, function)?
                }
                (Some(Running::Value { seen, value }), _) => vec![(*seen).into(), value.clone()],
                (Some(Running::Aggregate(_)), _) => return Err(of_another()),
            };
            columns.iter_mut().zip(kept).for_each(|(column, value)| column.push(value));
        }
        columns.into_iter().zip(&types).map(|(values, of)| column(values, of)).collect()
    }

    /// A running value from what was kept of it: takes as many columns as it made.
    pub(super) fn load(
        &self,
        columns: &mut dyn Iterator<Item = &ArrayRef>,
        row: usize,
        value_type: &DataType,
    ) -> Result<Running> {
        let count = self.kept_types(value_type)?.len();
        let kept: Vec<ArrayRef> = columns.take(count).map(|column| column.slice(row, 1)).collect();
        let value = |index: usize| {
            let column = kept.get(index).ok_or_else(|| damaged("a running value is missing"))?;
            ScalarValue::try_from_array(column, 0)
        };
        let number = |index: usize| match value(index)? {
            ScalarValue::UInt64(Some(number)) => Ok(number),
            _ => Err(damaged("a running count is missing")),
        };
        Ok(match self {
            Self::RowNumber | Self::Rank | Self::DenseRank => {
                Running::Count { rows: number(0)?, rank: number(1)?, dense: number(2)? }
            }
            Self::Aggregate { function, .. } => {
                let mut accumulator = function.create_accumulator()?;
                accumulator.merge_batch(&kept)?;
                Running::Aggregate(accumulator)
            }
            Self::Nth { .. } | Self::Last { .. } => Running::Value { seen: number(0)?, value: value(1)? },
        })
    }

    /// The values of the rows that are asked for.
    pub(super) fn values(&self, running: &mut Running, along: Along<'_>) -> Result<ArrayRef> {
        match (self, running) {
            (Self::RowNumber | Self::Rank | Self::DenseRank, Running::Count { rows, rank, dense }) => {
                let numbers = (along.from..along.to).map(|row| {
                    let is_peer = row > 0 && *rows > 0 && along.peers[row] == along.peers[row - 1];
                    *rows += 1;
                    if !is_peer {
                        (*rank, *dense) = (*rows, *dense + 1);
                    }
                    match self {
                        Self::Rank => *rank,
                        Self::DenseRank => *dense,
                        _ => *rows,
                    }
                });
                Ok(Arc::new(numbers.collect::<UInt64Array>()))
            }
            (Self::Aggregate { function, filter }, Running::Aggregate(accumulator)) => {
                let arguments = function.expressions();
                let evaluate =
                    |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(along.rows)?.into_array(along.rows.num_rows());
                let columns = arguments.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
                let mask = filter.as_ref().map(evaluate).transpose()?;
                let mut values = Vec::with_capacity(along.to - along.from);
                for row in along.from..along.to {
                    let end = along.ends[row];
                    if end > *along.consumed {
                        take_in(accumulator.as_mut(), &columns, mask.as_ref(), *along.consumed, end)?;
                        *along.consumed = end;
                    }
                    values.push(accumulator.evaluate()?);
                }
                ScalarValue::iter_to_array(values)
            }
            (
                Self::Nth { value, ignore_nulls, .. } | Self::Last { value, ignore_nulls },
                Running::Value { seen, value: kept },
            ) => {
                let place = match self {
                    Self::Nth { place, .. } => Some(*place),
                    _ => None,
                };
                let column = value.evaluate(along.rows)?.into_array(along.rows.num_rows())?;
                let mut values = Vec::with_capacity(along.to - along.from);
                for row in along.from..along.to {
                    while *along.consumed < along.ends[row] {
                        let at = *along.consumed;
                        *along.consumed += 1;
                        if *ignore_nulls && column.is_null(at) {
                            continue;
                        }
                        *seen += 1;
                        if place.is_none_or(|place| place == *seen) {
                            *kept = ScalarValue::try_from_array(&column, at)?;
                        }
                    }
                    values.push(kept.clone());
                }
                ScalarValue::iter_to_array(values)
            }
            _ => Err(of_another()),
        }
    }
}

fn of_another() -> DataFusionError {
    DataFusionError::Internal("a running value of another function".to_owned())
}

fn take_in(
    accumulator: &mut dyn Accumulator,
    columns: &[ArrayRef],
    mask: Option<&ArrayRef>,
    from: usize,
    to: usize,
) -> Result<()> {
    let sliced = columns.iter().map(|column| column.slice(from, to - from));
    let sliced = match mask {
        None => sliced.collect(),
        Some(mask) => {
            let mask = mask.slice(from, to - from);
            let mask = passing(mask.as_boolean());
            sliced.map(|column| Ok(filter(&column, &mask)?)).collect::<Result<Vec<_>>>()?
        }
    };
    accumulator.update_batch(&sliced)
}
