//! HOT: projections inlined, conditions collected, window columns recognised, down to the scan or to an earlier stage.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan};
use millstream_core::WindowSpec;

use super::{Cutter, Origin, Shape, no_form, shape_of};
use crate::SqlError;
use crate::catalog::qualified;
use crate::in_order::InOrder;
use crate::pipeline::{Hot, Input, RowTime, WindowBound};
use crate::plan::over::TopRows;
use crate::session::table_of;
use crate::window::{WINDOW_COLUMNS, WindowAssign, bound_of};

/// The relation of columns that stand for the bounds of a row's window until they are resolved.
const WINDOW_RELATION: &str = "__window";

/// Row-by-row steps, inlined down to their input.
#[derive(Clone)]
pub(super) struct Flat {
    pub(super) hot: Hot,
    /// The window a window function assigned.
    pub(super) assigned: Option<WindowSpec>,
    /// Rows were left out after sessions were made of them.
    pub(super) is_filtered_session: bool,
    /// The session keys it was given.
    pub(super) session_keys: Vec<Expr>,
    /// An expression for each column of the flattened part.
    pub(super) outputs: Vec<Expr>,
    /// The columns of the input that hold a bound of the row's window.
    carried: Vec<(usize, WindowBound)>,
    /// The columns of the input that are event time.
    times: Vec<usize>,
    /// The windows whose results the input's rows are.
    of_windows: Option<WindowSpec>,
}

impl Cutter {
    pub(super) fn flatten(&self, plan: &LogicalPlan) -> Result<Vec<Flat>, SqlError> {
        let has_state = match plan {
            LogicalPlan::Window(_) | LogicalPlan::Join(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
                true
            }
            LogicalPlan::Filter(filter) => TopRows::of(filter).is_some(),
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<InOrder>() => true,
            _ => matches!(shape_of(plan)?.shape, Shape::Windowed(_)),
        };
        if has_state {
            return Ok(vec![self.over_stage(plan)?]);
        }
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = table_of(scan.source.as_ref())?;
                let schema = Arc::new(qualified(&scan.table_name.to_string(), &table.schema)?);
                let column = |index: usize| {
                    let (qualifier, field) = schema.qualified_field(index);
                    Expr::Column(Column::from((qualifier, field)))
                };
                let outputs = match &scan.projection {
                    Some(columns) => columns.iter().map(|index| column(*index)).collect(),
                    None => (0..table.schema.fields().len()).map(column).collect(),
                };
                let times = table.time.iter().map(|time| time.column).collect();
                let hot = Hot {
                    input: Input::Table(table),
                    schema: Arc::clone(&schema),
                    time: RowTime::None,
                    filters: scan.filters.clone(),
                };
                Ok(vec![Flat {
                    hot,
                    assigned: None,
                    is_filtered_session: false,
                    session_keys: Vec::new(),
                    outputs,
                    carried: Vec::new(),
                    times,
                    of_windows: None,
                }])
            }
            LogicalPlan::Projection(projection) => self.each(&projection.input, |flat| {
                let exprs = projection.expr.iter();
                flat.outputs = exprs
                    .map(|expr| substitute(expr.clone(), &projection.input, &flat.outputs))
                    .collect::<Result<_, _>>()?;
                Ok(())
            }),
            LogicalPlan::Filter(filter) => self.each(&filter.input, |flat| {
                let predicate = substitute(filter.predicate.clone(), &filter.input, &flat.outputs)?;
                flat.hot.filters.push(predicate);
                flat.is_filtered_session |= matches!(flat.assigned, Some(WindowSpec::Session { .. }));
                Ok(())
            }),
            LogicalPlan::SubqueryAlias(alias) => self.flatten(&alias.input),
            LogicalPlan::Union(union) => {
                let flats = union.inputs.iter().map(|input| self.flatten(input)).collect::<Result<Vec<_>, _>>()?;
                Ok(flats.into_iter().flatten().collect())
            }
            LogicalPlan::Extension(extension) => {
                let Some(assign) = extension.node.as_any().downcast_ref::<WindowAssign>() else {
                    return Err(no_form(plan));
                };
                self.each(&assign.input, |flat| {
                    flat.set_time(&assign.time, &assign.input)?;
                    let keys = assign.partition_by.iter();
                    flat.session_keys = keys
                        .map(|key| substitute(key.clone(), &assign.input, &flat.outputs))
                        .collect::<Result<_, _>>()?;
                    let window = TableReference::bare(WINDOW_RELATION);
                    flat.assigned = Some(assign.spec);
                    flat.outputs
                        .extend(WINDOW_COLUMNS.map(|name| Expr::Column(Column::new(Some(window.clone()), name))));
                    Ok(())
                })
            }
            _ => Err(no_form(plan)),
        }
    }

    fn each(
        &self,
        input: &LogicalPlan,
        mut step: impl FnMut(&mut Flat) -> Result<(), SqlError>,
    ) -> Result<Vec<Flat>, SqlError> {
        let mut flats = self.flatten(input)?;
        flats.iter_mut().try_for_each(&mut step)?;
        Ok(flats)
    }

    /// The rows of an earlier stage, as they are.
    pub(super) fn over_stage(&self, plan: &LogicalPlan) -> Result<Flat, SqlError> {
        let checked = shape_of(plan)?;
        let of_windows = match checked.shape {
            Shape::Windowed(spec) => Some(spec),
            _ => None,
        };
        let times = if of_windows.is_some() {
            let is_time = |origin: &Origin| *origin == Origin::Window(WindowBound::Time);
            checked.origins.iter().position(is_time).into_iter().collect()
        } else {
            (0..checked.origins.len()).filter(|index| checked.origins[*index] == Origin::Time).collect()
        };
        let stage = self.stage(plan)?;
        let schema = Arc::clone(plan.schema());
        let outputs = schema.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field)))).collect();
        let hot = Hot { input: Input::Stage(stage), schema, time: RowTime::None, filters: Vec::new() };
        let mut flat = Flat {
            hot,
            assigned: None,
            is_filtered_session: false,
            session_keys: Vec::new(),
            outputs,
            carried: Vec::new(),
            times,
            of_windows,
        };
        if let Shape::Stream { assigned: Some(WindowSpec::Tumble(_)), .. } = checked.shape {
            flat.carry_windows(&checked.origins);
        }
        Ok(flat)
    }
}

impl Flat {
    /// Rows that carry their window with them, in columns: any bound tells the slice.
    fn carry_windows(&mut self, origins: &[Origin]) {
        let bound = |(index, origin): (usize, &Origin)| match origin {
            Origin::Window(bound) => Some((index, *bound)),
            _ => None,
        };
        self.carried = origins.iter().enumerate().filter_map(bound).collect();
        self.hot.time = match self.carried.first() {
            Some((index, WindowBound::End)) => RowTime::End(*index),
            Some((index, WindowBound::Start | WindowBound::Time)) => RowTime::Column(*index),
            None => RowTime::None,
        };
    }

    /// The bound of its window that a column of the input carries.
    pub(super) fn carried_bound(&self, column: &Column) -> Option<WindowBound> {
        let index = self.hot.schema.maybe_index_of_column(column)?;
        self.carried.iter().find(|(carried, _)| *carried == index).map(|(_, bound)| *bound)
    }

    /// Sets the event time by an expression over the flattened part: a bare column, as was checked.
    pub(super) fn set_time(&mut self, time: &Expr, part: &LogicalPlan) -> Result<(), SqlError> {
        // Sessions that close together have times of their own.
        if !matches!(self.of_windows, None | Some(WindowSpec::Session { .. })) {
            self.hot.time = RowTime::Window;
            return Ok(());
        }
        let resolved = substitute(time.clone(), part, &self.outputs)?;
        self.hot.time = match &resolved {
            Expr::Column(column) => match self.hot.schema.maybe_index_of_column(column) {
                Some(index) => RowTime::Column(index),
                None => RowTime::None,
            },
            _ => RowTime::None,
        };
        if self.hot.time == RowTime::None {
            return Err(SqlError::new(format!("{time} is not a time column of its input")));
        }
        Ok(())
    }

    /// Whether a column of the input is event time.
    pub(super) fn is_time(&self, column: &Column) -> bool {
        self.hot.schema.maybe_index_of_column(column).is_some_and(|index| self.times.contains(&index))
    }

    /// Replaces window columns by what they are for a row, as a function of its time; of the windows that it is in, the
    /// one with this number.
    pub(super) fn resolve_window(&self, expr: Expr, number: usize) -> Result<Expr, SqlError> {
        let resolved = expr.transform(|part| match &part {
            Expr::Column(column) => match window_bound(column) {
                Some(bound) => Ok(Transformed::yes(self.bound_of_row(bound, number)?)),
                None => Ok(Transformed::no(part)),
            },
            _ => Ok(Transformed::no(part)),
        })?;
        Ok(resolved.data)
    }

    /// A bound of the row's window as an expression over the input.
    pub(super) fn bound_of_row(&self, bound: WindowBound, number: usize) -> Result<Expr, SqlError> {
        let (Some(spec), Some(time)) = (self.assigned, self.time()) else {
            return Err(SqlError::new("a window column is used where the rows have no window"));
        };
        Ok(bound_of(spec, number, bound).call(vec![time]))
    }

    /// The event time as a column of the input.
    pub(super) fn time(&self) -> Option<Expr> {
        let column = match self.hot.time {
            RowTime::Column(index) => index,
            RowTime::Window => *self.times.first()?,
            RowTime::None | RowTime::End(_) => return None,
        };
        let (qualifier, field) = self.hot.schema.qualified_field(column);
        Some(Expr::Column(Column::from((qualifier, field))))
    }
}

/// The bound that a column stands for, if it does.
pub(super) fn window_bound(column: &Column) -> Option<WindowBound> {
    if column.relation.as_ref().is_none_or(|relation| relation.table() != WINDOW_RELATION) {
        return None;
    }
    [WindowBound::Start, WindowBound::End, WindowBound::Time]
        .into_iter()
        .zip(WINDOW_COLUMNS)
        .find_map(|(bound, name)| (column.name == name).then_some(bound))
}

/// Whether an expression asks for a bound of its row's window.
pub(super) fn asks_for_window(expr: &Expr) -> bool {
    expr.column_refs().into_iter().any(|column| window_bound(column).is_some())
}

/// Writes `expr` over `input` in terms of what `input`'s columns are computed from.
pub(super) fn substitute(expr: Expr, input: &LogicalPlan, outputs: &[Expr]) -> Result<Expr, SqlError> {
    let schema = input.schema();
    let substituted = expr.transform(|part| match &part {
        Expr::Column(column) => {
            let index = schema.index_of_column(column)?;
            Ok(Transformed::yes(outputs[index].clone().unalias()))
        }
        _ => Ok(Transformed::no(part)),
    })?;
    Ok(substituted.data)
}
