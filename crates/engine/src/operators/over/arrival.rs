//! Functions over the rows before a row in the order of arrival, and the row itself. DataFusion's frames have the peers
//! of a row, those of its time, that came after it; here they end with the row.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::filter;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Accumulator, Expr, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use millstream_core::EventTime;

use super::frame::{Reach, integer, start_of};
use crate::hot::passing;
use crate::physical::physical_expr;

/// A function over frames that begin so far before the row and end with it.
pub(super) struct ArrivalFunction {
    before: Reach,
    kind: Kind,
}

enum Kind {
    Aggregate {
        function: Arc<AggregateFunctionExpr>,
        filter: Option<Arc<dyn PhysicalExpr>>,
    },
    /// The value in this place of the frame, from 1; of negative places from its end, from -1.
    Nth {
        value: Arc<dyn PhysicalExpr>,
        place: i64,
        ignore_nulls: bool,
    },
    /// The value so many rows before the row; the default where that is not in the frame.
    Lag {
        value: Arc<dyn PhysicalExpr>,
        distance: usize,
        default: ScalarValue,
        ignore_nulls: bool,
    },
}

impl ArrivalFunction {
    /// `None`: DataFusion's frame is the same, or there are no rows to keep.
    pub(super) fn compile(function: &WindowFunction, schema: &DFSchema) -> Result<Option<Self>> {
        let params = &function.params;
        let name = function.fun.name();
        let frame = &params.window_frame;
        let Some(before) = start_of(frame)? else { return Ok(None) };
        let ends_with_row = matches!(frame.end_bound, WindowFrameBound::CurrentRow);
        if name != "lag" && !(ends_with_row && frame.units == WindowFrameUnits::Range) {
            return Ok(None);
        }
        let value = || match params.args.first() {
            Some(value) => physical_expr(value, schema),
            None => Err(DataFusionError::Plan(format!("{name} needs an argument"))),
        };
        let number = |argument: Option<&Expr>, without: i64| match argument {
            None => Ok(without),
            Some(Expr::Literal(value, _)) => integer(value),
            Some(other) => Err(DataFusionError::Plan(format!("{name} needs a number of rows, found {other}"))),
        };
        let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
        let nth = |place: i64| Ok::<_, DataFusionError>(Kind::Nth { value: value()?, place, ignore_nulls });
        let kind = match (name, &function.fun) {
            ("first_value", _) => nth(1)?,
            ("last_value", _) => nth(-1)?,
            ("nth_value", _) => nth(number(params.args.get(1), 1)?)?,
            ("lag", _) => {
                let distance = number(params.args.get(1), 1)?;
                let value = value()?;
                let default = match params.args.get(2) {
                    None => ScalarValue::Null,
                    Some(Expr::Literal(default, _)) => default.clone(),
                    Some(other) => {
                        return Err(DataFusionError::Plan(format!("the default of lag is a literal, found {other}")));
                    }
                };
                let default = default.cast_to(&value.data_type(schema.as_arrow())?)?;
                let Ok(distance) = usize::try_from(distance) else { return Ok(None) };
                Kind::Lag { value, distance, default, ignore_nulls }
            }
            (_, WindowFunctionDefinition::AggregateUDF(aggregate)) => {
                let arguments = params.args.iter().map(|argument| physical_expr(argument, schema));
                let function = AggregateExprBuilder::new(Arc::clone(aggregate), arguments.collect::<Result<_>>()?)
                    .schema(Arc::new(schema.as_arrow().clone()))
                    .alias(name)
                    .with_ignore_nulls(ignore_nulls)
                    .build()?;
                // An error says that the aggregate cannot forget rows that leave the frame.
                function.create_sliding_accumulator()?;
                let filter = params.filter.as_ref().map(|filter| physical_expr(filter, schema)).transpose()?;
                Kind::Aggregate { function: Arc::new(function), filter }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { before, kind }))
    }

    /// The values of the rows from `from` to `to`, of a partition's rows at hand.
    pub(super) fn values(&self, rows: &RecordBatch, times: &[EventTime], from: usize, to: usize) -> Result<ArrayRef> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows)?.into_array(rows.num_rows());
        let frames = (from..to).map(|row| self.start(times, row)..row + 1);
        match &self.kind {
            Kind::Aggregate { function, filter } => {
                let columns = function.expressions().iter().map(evaluate).collect::<Result<Vec<_>>>()?;
                let mask = filter.as_ref().map(evaluate).transpose()?;
                let mut frame =
                    Frame { columns, mask, rows: 0..0, accumulator: function.create_sliding_accumulator()? };
                ScalarValue::iter_to_array(frames.map(|rows| frame.slide(rows)).collect::<Result<Vec<_>>>()?)
            }
            Kind::Nth { value, place, ignore_nulls } => {
                let column = evaluate(value)?;
                let none = ScalarValue::try_from(column.data_type())?;
                let counts = |row: &usize| !*ignore_nulls || column.is_valid(*row);
                let at = |nth: u64| usize::try_from(nth.saturating_sub(1)).unwrap_or(usize::MAX);
                let found = |rows: Range<usize>| match *place {
                    0 => None,
                    1.. => rows.filter(counts).nth(at(place.unsigned_abs())),
                    _ => rows.rev().filter(counts).nth(at(place.unsigned_abs())),
                };
                let value = |row: Option<usize>| match row {
                    Some(row) => ScalarValue::try_from_array(&column, row),
                    None => Ok(none.clone()),
                };
                ScalarValue::iter_to_array(frames.map(|rows| value(found(rows))).collect::<Result<Vec<_>>>()?)
            }
            Kind::Lag { value, distance, default, ignore_nulls } => {
                let column = evaluate(value)?;
                let counts = |row: &usize| !*ignore_nulls || column.is_valid(*row);
                let value = |frame: Range<usize>| {
                    let row = frame.end - 1;
                    let found = match distance {
                        0 => Some(row),
                        distance => (frame.start..row).rev().filter(counts).nth(distance - 1),
                    };
                    found.map_or_else(|| Ok(default.clone()), |row| ScalarValue::try_from_array(&column, row))
                };
                ScalarValue::iter_to_array(frames.map(value).collect::<Result<Vec<_>>>()?)
            }
        }
    }

    /// The first row of a row's frame.
    fn start(&self, times: &[EventTime], row: usize) -> usize {
        match self.before {
            Reach::Rows(before) => row.saturating_sub(before),
            Reach::Time(before) => {
                let begins = times[row] - before;
                times.partition_point(|time| *time < begins)
            }
        }
    }
}

/// The frame of an aggregate as it slides along.
struct Frame {
    columns: Vec<ArrayRef>,
    mask: Option<ArrayRef>,
    rows: Range<usize>,
    accumulator: Box<dyn Accumulator>,
}

impl Frame {
    /// Goes on to these rows, which begin and end no earlier; answers the value of them.
    fn slide(&mut self, rows: Range<usize>) -> Result<ScalarValue> {
        let comes = self.of(self.rows.end.max(rows.start)..rows.end)?;
        let leaves = self.of(self.rows.start..rows.start.min(self.rows.end))?;
        self.accumulator.update_batch(&comes)?;
        if leaves.first().is_some_and(|column| !column.is_empty()) {
            self.accumulator.retract_batch(&leaves)?;
        }
        self.rows = rows;
        self.accumulator.evaluate()
    }

    fn of(&self, rows: Range<usize>) -> Result<Vec<ArrayRef>> {
        let sliced = self.columns.iter().map(|column| column.slice(rows.start, rows.len()));
        let Some(mask) = &self.mask else { return Ok(sliced.collect()) };
        let mask = mask.slice(rows.start, rows.len());
        let mask = passing(mask.as_boolean());
        sliced.map(|column| Ok(filter(&column, &mask)?)).collect()
    }
}
