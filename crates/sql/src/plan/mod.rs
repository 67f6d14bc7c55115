//! A query's text tree to the pipeline that runs it: bind names, check what a stream can do, optimize, cut.

mod bounds;
mod check;
mod cut;
mod locate;
mod node;
pub(crate) mod over;
mod reference;
mod sets;
mod shards;
mod tumble;

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;
use millstream_core::{Duration, WindowSpec};

use crate::catalog::Catalog;
use crate::pipeline::{Operator, Pipeline, Stage, Warning};
use crate::session::{Reading, Session};
use crate::{Code, SqlError};
use check::Allowed;
use locate::Clauses;
use over::TopRows;

pub(crate) use locate::unknown_relation;
pub use node::LeafNode;
pub use over::{in_arrival_order, window_function};
pub use reference::is_reference_scan;
pub use shards::Sharded;

/// What a query is planned for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A live table; keys may be bounded by a time-to-live.
    LiveTable { ttl: Option<Duration> },
    /// A table that takes final rows only. The casts bring the query's columns to the table's.
    Sink { name: String, columns: Vec<SinkColumn> },
    /// A client that reads rows as they come.
    Client,
    /// EXPLAIN: whatever any of them takes.
    Explained,
}

/// A column of a sink and the query column that fills it; `None`: NULL.
#[derive(Clone, Debug)]
pub(crate) struct SinkColumn {
    pub(crate) field: arrow::datatypes::FieldRef,
    pub(crate) from: Option<usize>,
}

/// Plans a continuous query; answers what it reads too.
pub(crate) fn plan_query(
    session: &Session,
    catalog: &Catalog,
    query: &ast::Query,
    purpose: &Purpose,
) -> Result<(Pipeline, Vec<String>), SqlError> {
    let clauses = Clauses::of(query);
    let (plan, reads) = session.bind(catalog, Reading::Continuous, query.clone())?;
    let plan = match purpose {
        Purpose::Sink { columns, .. } => assign_columns(plan, columns)?,
        Purpose::LiveTable { .. } | Purpose::Client | Purpose::Explained => plan,
    };
    let analyzed = session.analyze(plan)?;
    let (updates, ttl) = match purpose {
        Purpose::LiveTable { ttl } => (true, *ttl),
        Purpose::Explained => (true, None),
        Purpose::Sink { .. } | Purpose::Client => (false, None),
    };
    let allowed = Allowed { updates, ttl: ttl.is_some() || matches!(purpose, Purpose::Explained) };
    let prepared = session.prepare(analyzed.clone())?;
    let checked = match check::check(&prepared, &clauses, allowed) {
        Err(SqlError { code: Some(Code::E01), at, .. })
            if !updates && check::check(&prepared, &clauses, Allowed { updates: true, ttl: true }).is_ok() =>
        {
            return Err(refuse_updates(purpose).at(at));
        }
        checked => checked?,
    };
    let optimized = session.optimize(analyzed.clone())?;
    let stages = cut::cut(&optimized, &checked.shape, ttl)?;
    let schema = Arc::new(analyzed.schema().as_arrow().clone());
    let sharded = shards::shards(&stages, purpose)?;
    let mut pipeline = Pipeline { stages, schema, key: Vec::new(), batch: analyzed, warnings: Vec::new(), sharded };
    pipeline.key = key_columns(&optimized, pipeline.last())?;
    pipeline.warnings = warnings(&pipeline.stages, &clauses);
    Ok((pipeline, reads))
}

/// The query would be right, but its target cannot take changed rows.
fn refuse_updates(purpose: &Purpose) -> SqlError {
    match purpose {
        Purpose::Sink { name, .. } => SqlError::coded(
            Code::E09,
            format!("GROUP BY without a window updates its rows, and `{name}` takes final rows only"),
            "group by a window: TABLE(TUMBLE(…)) or date_bin(…); or keep the result in a CREATE MATERIALIZED VIEW",
        ),
        _ => SqlError::coded(
            Code::E01,
            "GROUP BY without a window never has a final row",
            "group by a window: TABLE(TUMBLE(…)) or date_bin(…); or keep the result in a CREATE MATERIALIZED VIEW",
        ),
    }
}

/// INSERT maps by position and casts to the sink's types.
fn assign_columns(plan: LogicalPlan, columns: &[SinkColumn]) -> Result<LogicalPlan, SqlError> {
    use datafusion::common::{Column, ScalarValue};
    let schema = Arc::clone(plan.schema());
    let exprs = columns.iter().map(|column| {
        let target = column.field.data_type();
        let value = match column.from {
            Some(index) => {
                let (qualifier, field) = schema.qualified_field(index);
                let value = Expr::Column(Column::from((qualifier, field)));
                if field.data_type() == target { value } else { datafusion::logical_expr::cast(value, target.clone()) }
            }
            None => Expr::Literal(ScalarValue::try_from(target)?, None),
        };
        Ok(value.alias(column.field.name()))
    });
    let exprs = exprs.collect::<Result<Vec<_>, SqlError>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// Which output columns identify a row.
fn key_columns(plan: &LogicalPlan, last: &Stage) -> Result<Vec<usize>, SqlError> {
    // Open sessions of a key are shown together: only their bounds tell them apart.
    let is_session = matches!(last.operator, Operator::Windows(WindowSpec::Session { .. }));
    let found = match &last.operator {
        Operator::Rows | Operator::Over(_) | Operator::IntervalJoin(_) | Operator::InOrder(_) => {
            return Ok(Vec::new());
        }
        Operator::Windows(_) | Operator::Updating { .. } | Operator::Top(_) => trace_key(plan, !is_session),
    };
    match (found, &last.operator) {
        (Some(key), _) => Ok(key),
        (None, Operator::Updating { .. }) => Err(SqlError::coded(
            Code::E13,
            "the rows of an updating table are found by their GROUP BY columns, and one is not selected",
            "add every GROUP BY column to the SELECT list",
        )),
        (None, Operator::Top(_)) => Err(SqlError::coded(
            Code::E13,
            "the first rows of a stream are found by their PARTITION BY columns and row number, and one is not selected",
            "add the PARTITION BY columns and the ROW_NUMBER to the SELECT list",
        )),
        (None, _) => Ok(Vec::new()),
    }
}

/// The output columns that are the keys of the topmost aggregate; `None` when one of them is not passed on.
fn trace_key(plan: &LogicalPlan, without_windows: bool) -> Option<Vec<usize>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            // A key that is NULL because its set has it not looks like one that is NULL.
            [Expr::GroupingSet(_)] => None,
            keys => Some((0..keys.len()).collect()),
        },
        LogicalPlan::Projection(projection) => {
            let inner = trace_key(&projection.input, without_windows)?;
            let schema = projection.input.schema();
            let position = |key: usize| {
                projection.expr.iter().position(|expr| match expr.clone().unalias() {
                    Expr::Column(column) => schema.maybe_index_of_column(&column) == Some(key),
                    _ => false,
                })
            };
            let is_window = |key: &usize| {
                let name = schema.field(*key).name();
                crate::window::WINDOW_COLUMNS.contains(&name.as_str())
            };
            // Within its window a row needs no window column to be found.
            let mut columns = Vec::new();
            for key in inner {
                match position(key) {
                    Some(column) => columns.push(column),
                    None if without_windows && is_window(&key) => {}
                    None => return None,
                }
            }
            Some(columns)
        }
        LogicalPlan::Filter(filter) => match TopRows::of(filter) {
            Some(top) => top_key(&top, &filter.input).or_else(|| trace_key(&filter.input, without_windows)),
            None => trace_key(&filter.input, without_windows),
        },
        LogicalPlan::Sort(sort) => trace_key(&sort.input, without_windows),
        LogicalPlan::Limit(limit) => trace_key(&limit.input, without_windows),
        LogicalPlan::SubqueryAlias(alias) => trace_key(&alias.input, without_windows),
        LogicalPlan::Window(window) => trace_key(&window.input, without_windows),
        _ => None,
    }
}

/// A row of a top-N is the one with its number in its partition; the first alone needs no number.
fn top_key(top: &TopRows<'_>, input: &LogicalPlan) -> Option<Vec<usize>> {
    let function = top.function()?;
    let schema = input.schema();
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let mut key = function.params.partition_by.iter().map(column).collect::<Option<Vec<_>>>()?;
    if top.limit > 1 {
        let number = top.window.schema.fields().len() - 1;
        let (qualifier, field) = top.window.schema.qualified_field(number);
        key.push(schema.maybe_index_of_column(&datafusion::common::Column::from((qualifier, field)))?);
    }
    Some(key)
}

/// Aggregates that keep every value of a window.
const KEEP_ALL_VALUES: [&str; 6] =
    ["median", "array_agg", "string_agg", "percentile_cont", "approx_percentile_cont_with_weight", "nth_value"];

fn warnings(stages: &[Stage], clauses: &Clauses) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for stage in stages {
        let feeds = || stage.leaves.iter().flat_map(|leaf| &leaf.feeds);
        if let Operator::Windows(window) = stage.operator {
            let size = window.approximate_size();
            for time in feeds().filter_map(|feed| feed.hot.input.table()?.time) {
                if time.delay > size {
                    let message = format!(
                        "the window of {} ms is smaller than the watermark's delay of {} ms: results come {} windows late",
                        size.0,
                        time.delay.0,
                        time.delay.0 / size.0
                    );
                    warnings.push(Warning { code: "W1", message, at: clauses.window() });
                }
            }
        }
        for expr in feeds().flat_map(|feed| &feed.aggregates) {
            let keeps = expr.exists(|part| {
                Ok(matches!(part, Expr::AggregateFunction(function)
                    if function.params.distinct || KEEP_ALL_VALUES.contains(&function.func.name())))
            });
            if keeps.unwrap_or(false) {
                let message = format!("{} keeps every value of its group in memory", expr.schema_name());
                let warning = Warning { code: "W2", message, at: None };
                // Every grouping set has the same aggregates.
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
    }
    warnings
}

/// The functions that answer the current time.
pub(crate) fn is_clock_function(name: &str) -> bool {
    matches!(
        name,
        "now"
            | "current_timestamp"
            | "current_date"
            | "current_time"
            | "localtimestamp"
            | "localtime"
            | "today"
            | "proctime"
    )
}

/// Whether a query reads a stream at all, and so is continuous.
pub(crate) fn reads_stream(plan: &LogicalPlan) -> Result<bool, SqlError> {
    Ok(plan.exists(|node| {
        Ok(matches!(node, LogicalPlan::TableScan(scan) if matches!(
            crate::session::relation_of(scan.source.as_ref()),
            Some(crate::catalog::Relation::Table(_))
        )))
    })?)
}
