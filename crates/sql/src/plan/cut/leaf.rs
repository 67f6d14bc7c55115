//! Leaves: the groups of an aggregate, or plain rows, from everything that is flattened below them.

use std::sync::Arc;

use datafusion::common::Column as Name;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, cast, lit};
use millstream_core::WindowSpec;

use super::flat::{Flat, asks_for_window, substitute, window_bound};
use super::order::ordered_aggregate;
use super::{Cutter, no_form};
use crate::pipeline::{Column, Feed, Gives, Hot, Leaf, RowTime, WindowBound};
use crate::plan::tumble::time_function;
use crate::window::WindowAssign;
use crate::{Code, SqlError};

/// A row may be copied into this many windows, where it is not aggregated.
const MAX_COPIES: usize = 1000;

impl Cutter {
    /// The groups of an aggregate, state shared by all windows of a slice. `None` when an expression of it depends on
    /// the window and windows overlap: then rows are kept and grouped when their window closes.
    pub(super) fn groups_leaf(
        &self,
        aggregate: &Aggregate,
        window: Option<WindowSpec>,
    ) -> Result<Option<Leaf>, SqlError> {
        let input = aggregate.input.as_ref();
        let keys: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
        let stages = self.stages.borrow().len();
        let mut feeds = Vec::new();
        let mut session_keys = Vec::new();
        let flats = self.flatten(input)?;
        let aggregate = match flats.first() {
            Some(flat) => &ordered_aggregate(aggregate, flat)?,
            None => return Err(no_form(input)),
        };
        for mut flat in flats {
            let mut columns = Vec::new();
            for key in &keys {
                columns.push(group_key(substitute(key.clone(), input, &flat.outputs)?, window, &mut flat)?);
            }
            let mut aggregates = (aggregate.aggr_expr.iter())
                .map(|expr| substitute(expr.clone(), input, &flat.outputs))
                .collect::<Result<Vec<_>, _>>()?;
            let overlap = !matches!(flat.assigned, None | Some(WindowSpec::Tumble(_)));
            let of_rows = columns.iter().filter_map(|column| match column {
                Column::Row(expr) => Some(expr),
                Column::Window(_) => None,
            });
            if flat.is_filtered_session
                || overlap && of_rows.chain(&aggregates).chain(&flat.hot.filters).any(asks_for_window)
            {
                self.stages.borrow_mut().truncate(stages);
                return Ok(None);
            }
            for column in &mut columns {
                if let Column::Row(expr) = column {
                    *expr = flat.resolve_window(expr.clone(), 0)?;
                }
            }
            for expr in &mut aggregates {
                *expr = flat.resolve_window(expr.clone(), 0)?;
            }
            let is_session = matches!(flat.assigned, Some(WindowSpec::Session { .. }));
            if is_session {
                let found = |key: &Expr| columns.iter().position(|column| *column == Column::Row(key.clone()));
                session_keys =
                    flat.session_keys.iter().map(found).collect::<Option<_>>().ok_or_else(|| {
                        SqlError::new("a PARTITION BY column of the SESSION is missing from GROUP BY")
                    })?;
                aggregates.extend(session_aggregates(&flat)?);
            }
            let hot = resolved(flat, 0)?;
            if window.is_some() && hot.time == RowTime::None {
                let hint = "join inside the window function: TABLE(HOP((SELECT … FROM stream JOIN table …), DESCRIPTOR(ts), …))";
                return Err(SqlError::coded(Code::E13, "the rows have lost the windows they were given", hint));
            }
            if window.is_some() {
                refuse_volatile(hot.filters.iter().chain(&aggregates))?;
            }
            feeds.push(Feed { hot, columns, aggregates });
        }
        let batch = LogicalPlan::Aggregate(aggregate.clone());
        Ok(Some(Leaf { feeds, gives: Gives::Groups, session_keys, schema: Arc::clone(&aggregate.schema), batch }))
    }

    /// The rows of a part of the plan, row by row. With `time` the operator goes by that column.
    pub(super) fn rows_leaf(&self, plan: &LogicalPlan, time: Option<&Expr>) -> Result<Leaf, SqlError> {
        let schema = Arc::clone(plan.schema());
        let mut feeds = Vec::new();
        for mut flat in self.flatten(plan)? {
            if let Some(time) = time {
                flat.set_time(time, plan)?;
            }
            if matches!(flat.assigned, Some(WindowSpec::Session { .. })) {
                return Err(no_form(plan));
            }
            let copies = flat.assigned.map_or(1, WindowSpec::windows_per_row_max);
            if copies > MAX_COPIES {
                let message = format!("every row would be copied into {copies} windows");
                return Err(SqlError::coded(Code::E13, message, "aggregate the rows, or let windows overlap less"));
            }
            // Windows that overlap, or that leave gaps: a row's copy is for the window with its number, if there is one.
            let may_be_missing = matches!(flat.assigned, Some(WindowSpec::Hop { .. } | WindowSpec::Cumulate { .. }));
            for number in 0..copies {
                let mut columns = Vec::new();
                for (expr, field) in flat.outputs.iter().zip(schema.fields()) {
                    let expr = flat.resolve_window(expr.clone(), number)?;
                    let fits = expr.get_type(&flat.hot.schema)? == *field.data_type();
                    columns.push(Column::Row(if fits { expr } else { cast(expr, field.data_type().clone()) }));
                }
                let mut hot = resolved(flat.clone(), number)?;
                if may_be_missing {
                    hot.filters.push(flat.bound_of_row(WindowBound::End, number)?.is_not_null());
                }
                feeds.push(Feed { hot, columns, aggregates: Vec::new() });
            }
        }
        if feeds.is_empty() {
            return Err(no_form(plan));
        }
        Ok(Leaf { feeds, gives: Gives::Rows, session_keys: Vec::new(), schema, batch: plan.clone() })
    }

    /// The rows of a part of the plan that becomes a stage of its own, in the time that is in this column of it.
    pub(super) fn stage_leaf(&self, plan: &LogicalPlan, time: usize) -> Result<Leaf, SqlError> {
        let Flat { mut hot, outputs, .. } = self.over_stage(plan)?;
        hot.time = RowTime::Column(time);
        let feed = Feed { hot, columns: outputs.into_iter().map(Column::Row).collect(), aggregates: Vec::new() };
        let schema = Arc::clone(plan.schema());
        Ok(Leaf { feeds: vec![feed], gives: Gives::Rows, session_keys: Vec::new(), schema, batch: plan.clone() })
    }

    /// The rows that a window function gets, kept until their window closes.
    pub(super) fn window_rows_leaf(&self, assign: &WindowAssign, plan: &LogicalPlan) -> Result<Leaf, SqlError> {
        let schema = Arc::clone(plan.schema());
        let mut feeds = Vec::new();
        let mut session_keys = Vec::new();
        for mut flat in self.flatten(&assign.input)? {
            flat.set_time(&assign.time, &assign.input)?;
            let mut columns = Vec::new();
            for (expr, field) in flat.outputs.iter().zip(schema.fields()) {
                let fits = expr.get_type(&flat.hot.schema)? == *field.data_type();
                let expr = if fits { expr.clone() } else { cast(expr.clone(), field.data_type().clone()) };
                columns.push(Column::Row(expr));
            }
            columns.extend([WindowBound::Start, WindowBound::End, WindowBound::Time].map(Column::Window));
            session_keys.clear();
            for key in &assign.partition_by {
                session_keys.push(columns.len());
                columns.push(Column::Row(substitute(key.clone(), &assign.input, &flat.outputs)?));
            }
            feeds.push(Feed { hot: flat.hot, columns, aggregates: Vec::new() });
        }
        Ok(Leaf { feeds, gives: Gives::Rows, session_keys, schema, batch: plan.clone() })
    }
}

/// HOT with its conditions on windows resolved.
fn resolved(flat: Flat, number: usize) -> Result<Hot, SqlError> {
    let filters = flat.hot.filters.iter().map(|filter| flat.resolve_window(filter.clone(), number));
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    Ok(Hot { filters, ..flat.hot })
}

fn group_key(key: Expr, window: Option<WindowSpec>, flat: &mut Flat) -> Result<Column, SqlError> {
    let key = key.unalias_nested().data;
    if let Expr::Column(column) = &key
        && let Some(bound) = window_bound(column)
    {
        return Ok(Column::Window(bound));
    }
    if let Expr::Column(column) = &key
        && window.is_some()
        && let Some(bound) = flat.carried_bound(column)
    {
        return Ok(Column::Window(bound));
    }
    if flat.assigned.is_none()
        && let Some(Ok((function, time @ Expr::Column(column)))) = time_function(&key)
        && Some(function.spec) == window
        && flat.is_time(column)
    {
        flat.set_input_time(time)?;
        return Ok(Column::Window(WindowBound::Start));
    }
    Ok(Column::Row(key))
}

impl Flat {
    /// Sets the event time by a column of the input.
    fn set_input_time(&mut self, time: &Expr) -> Result<(), SqlError> {
        let outputs = std::mem::take(&mut self.outputs);
        let schema = Arc::clone(&self.hot.schema);
        self.outputs = schema.iter().map(|(qualifier, field)| Expr::Column(Name::from((qualifier, field)))).collect();
        let empty = datafusion::logical_expr::EmptyRelation { produce_one_row: false, schema };
        let set = self.set_time(time, &LogicalPlan::EmptyRelation(empty));
        self.outputs = outputs;
        set
    }
}

/// What a session needs to know of the rows of a slice: the first time, the last, and how many there are.
fn session_aggregates(flat: &Flat) -> Result<[Expr; 3], SqlError> {
    use datafusion::functions_aggregate::expr_fn::{count, max, min};
    let time = flat.time().ok_or_else(|| SqlError::new("a session needs the time of its rows"))?;
    Ok([min(time.clone()), max(time), count(lit(1_i64))])
}

fn refuse_volatile<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Result<(), SqlError> {
    for expr in exprs {
        if expr.is_volatile() {
            let message = format!("{expr} is different at every call, so a window of it has no one answer");
            return Err(SqlError::coded(Code::E13, message, "leave it out of windowed queries"));
        }
    }
    Ok(())
}
