//! The cut: an optimized plan becomes HOT, PANE and CLOSE.
//!
//! Below the first aggregate everything is row by row: projections are inlined, conditions collected, window columns
//! recognised. The aggregate itself becomes a leaf, and what is above it is CLOSE, an ordinary plan over that leaf.
//! The logical plan is cut and not the physical one, because a physical plan may rely on an order that panes do not
//! keep.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef, ScalarValue, TableReference};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNodeCore, cast, lit,
};
use millstream_core::{Duration, WindowSpec};

use super::check::Shape;
use super::tumble::time_function;
use crate::SqlError;
use crate::catalog::qualified;
use crate::pipeline::{GroupKey, Hot, Leaf, Rows, Stage, WindowBound};
use crate::session::{Session, table_of};
use crate::window::{WINDOW_COLUMNS, WindowAssign};

/// The relation of columns that stand for the bounds of a row's window until they are resolved.
const WINDOW_RELATION: &str = "__window";

/// The place of an aggregate in CLOSE: its rows come from panes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeafNode {
    /// Index into the stage's leaves.
    pub leaf: usize,
    schema: DFSchemaRef,
}

impl PartialOrd for LeafNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.leaf.partial_cmp(&other.leaf)
    }
}

impl UserDefinedLogicalNodeCore for LeafNode {
    fn name(&self) -> &'static str {
        "PaneLeaf"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaneLeaf {}", self.leaf)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> datafusion::error::Result<Self> {
        Ok(self.clone())
    }
}

/// Cuts a plan of the given shape.
pub(crate) fn cut(
    session: &Session,
    plan: LogicalPlan,
    shape: &Shape,
    ttl: Option<Duration>,
) -> Result<Stage, SqlError> {
    let cutter = Cutter { session };
    match shape {
        Shape::Stream { .. } => {
            let flats = cutter.flatten(&plan)?;
            let fields = plan.schema().fields();
            let rows = flats.into_iter().map(|flat| {
                let outputs = flat.outputs.iter().zip(fields).map(|(expr, field)| {
                    let expr = cutter.resolve_window(expr.clone(), &flat)?;
                    let expr = if expr.get_type(&flat.hot.schema)? == *field.data_type() {
                        expr
                    } else {
                        cast(expr, field.data_type().clone())
                    };
                    Ok(expr.alias(field.name()))
                });
                let projection = outputs.collect::<Result<Vec<_>, SqlError>>()?;
                Ok(Rows { projection, hot: cutter.hot(flat)? })
            });
            Ok(Stage::Rows(rows.collect::<Result<Vec<_>, SqlError>>()?))
        }
        Shape::Windowed(window) => {
            let mut leaves = Vec::new();
            let close = cutter.cut_leaves(plan, Some(*window), &mut leaves)?;
            Ok(Stage::Windowed { leaves, window: *window, close })
        }
        Shape::Updating => {
            let mut leaves = Vec::new();
            let close = cutter.cut_leaves(plan, None, &mut leaves)?;
            match (leaves.pop(), leaves.is_empty()) {
                (Some(leaf), true) => Ok(Stage::Updating { leaf, close, ttl }),
                _ => Err(SqlError::new("an updating query has exactly one aggregate")),
            }
        }
        Shape::Bounded => Err(SqlError::new("the query reads no stream")
            .hint("run it with SELECT; continuous queries need a stream in FROM")),
    }
}

/// Row-by-row steps, inlined down to the scan.
struct Flat {
    hot: Hot,
    /// The window a window function assigned.
    assigned: Option<WindowSpec>,
    /// An expression for each column of the flattened part.
    outputs: Vec<Expr>,
}

struct Cutter<'a> {
    session: &'a Session,
}

impl Cutter<'_> {
    fn flatten(&self, plan: &LogicalPlan) -> Result<Vec<Flat>, SqlError> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = table_of(scan.source.as_ref())?;
                let name = scan.table_name.to_string();
                let schema = Arc::new(qualified(&name, &table.schema)?);
                let column = |index: usize| {
                    let (qualifier, field) = schema.qualified_field(index);
                    Expr::Column(Column::from((qualifier, field)))
                };
                let outputs = match &scan.projection {
                    Some(columns) => columns.iter().map(|index| column(*index)).collect(),
                    None => (0..table.schema.fields().len()).map(column).collect(),
                };
                let hot = Hot { table, schema: Arc::clone(&schema), filters: scan.filters.clone() };
                Ok(vec![Flat { hot, assigned: None, outputs }])
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
                Ok(())
            }),
            LogicalPlan::SubqueryAlias(alias) => self.flatten(&alias.input),
            LogicalPlan::Union(union) => {
                let flats = union.inputs.iter().map(|input| self.flatten(input)).collect::<Result<Vec<_>, _>>()?;
                Ok(flats.into_iter().flatten().collect())
            }
            LogicalPlan::Extension(extension) => {
                let Some(assign) = extension.node.as_any().downcast_ref::<WindowAssign>() else {
                    return Err(below_an_aggregate(plan));
                };
                self.each(&assign.input, |flat| {
                    let window = TableReference::bare(WINDOW_RELATION);
                    flat.assigned = Some(assign.spec);
                    flat.outputs
                        .extend(WINDOW_COLUMNS.map(|name| Expr::Column(Column::new(Some(window.clone()), name))));
                    Ok(())
                })
            }
            _ => Err(below_an_aggregate(plan)),
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

    fn hot(&self, flat: Flat) -> Result<Hot, SqlError> {
        let filters = (flat.hot.filters.iter())
            .map(|filter| self.resolve_window(filter.clone(), &flat))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Hot { filters, ..flat.hot })
    }

    /// Replaces window columns by what they are for a row: tumbling windows are a function of its time.
    fn resolve_window(&self, expr: Expr, flat: &Flat) -> Result<Expr, SqlError> {
        let resolved = expr.transform(|part| match &part {
            Expr::Column(column) => match window_bound(column) {
                Some(bound) => Ok(Transformed::yes(self.bound_of_row(bound, flat)?)),
                None => Ok(Transformed::no(part)),
            },
            _ => Ok(Transformed::no(part)),
        })?;
        Ok(resolved.data)
    }

    fn bound_of_row(&self, bound: WindowBound, flat: &Flat) -> Result<Expr, SqlError> {
        let (Some(WindowSpec::Tumble { size, offset }), Some(time)) = (flat.assigned, flat.hot.table.time) else {
            return Err(SqlError::new("a window column is used where the rows have no window"));
        };
        let (qualifier, field) = flat.hot.schema.qualified_field(time.column);
        let zone = match field.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            other => return Err(SqlError::new(format!("the time attribute has the type {other}"))),
        };
        let millis = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.clone());
        let column = Expr::Column(Column::from((qualifier, field)));
        let time = if *field.data_type() == millis { column } else { cast(column, millis.clone()) };
        let interval = |length: Duration| lit(ScalarValue::new_interval_mdn(0, 0, length.0 * 1_000_000));
        // date_bin takes its origin in nanoseconds, whatever the unit of the time.
        let origin = lit(ScalarValue::TimestampNanosecond(Some(offset.0 * 1_000_000), zone));
        let date_bin = self
            .session
            .state()
            .scalar_functions()
            .get("date_bin")
            .ok_or_else(|| SqlError::new("the function date_bin is missing"))?;
        let start = cast(date_bin.call(vec![interval(size), time, origin]), millis.clone());
        let bounded = match bound {
            WindowBound::Start => start,
            WindowBound::End => start + interval(size),
            WindowBound::Time => start + interval(Duration(size.0 - 1)),
        };
        Ok(cast(bounded, millis))
    }

    /// Replaces every aggregate that is fed by rows with a leaf; what remains is CLOSE.
    fn cut_leaves(
        &self,
        plan: LogicalPlan,
        window: Option<WindowSpec>,
        leaves: &mut Vec<Leaf>,
    ) -> Result<LogicalPlan, SqlError> {
        if let LogicalPlan::Aggregate(aggregate) = &plan
            && !contains_aggregate(&aggregate.input)
        {
            let node = LeafNode { leaf: leaves.len(), schema: Arc::clone(&aggregate.schema) };
            leaves.push(self.leaf(aggregate, window)?);
            return Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
        }
        let inputs = plan.inputs().into_iter().cloned().collect::<Vec<_>>();
        let inputs =
            (inputs.into_iter()).map(|input| self.cut_leaves(input, window, leaves)).collect::<Result<Vec<_>, _>>()?;
        Ok(plan.with_new_exprs(plan.expressions(), inputs)?)
    }

    fn leaf(&self, aggregate: &Aggregate, window: Option<WindowSpec>) -> Result<Leaf, SqlError> {
        let mut flats = self.flatten(&aggregate.input)?;
        let (Some(flat), true) = (flats.pop(), flats.is_empty()) else {
            return Err(SqlError::new("an aggregate over UNION ALL is not available on streams yet")
                .hint("aggregate each stream, then combine the results"));
        };
        let keys = (aggregate.group_expr.iter())
            .map(|key| self.group_key(substitute(key.clone(), &aggregate.input, &flat.outputs)?, window, &flat))
            .collect::<Result<Vec<_>, _>>()?;
        let aggregates = (aggregate.aggr_expr.iter())
            .map(|expr| self.resolve_window(substitute(expr.clone(), &aggregate.input, &flat.outputs)?, &flat))
            .collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::clone(&aggregate.schema);
        let hot = self.hot(flat)?;
        if window.is_some() {
            refuse_volatile(hot.filters.iter().chain(&aggregates))?;
        }
        let batch = LogicalPlan::Aggregate(aggregate.clone());
        Ok(Leaf { hot, keys, aggregates, schema, batch })
    }

    fn group_key(&self, key: Expr, window: Option<WindowSpec>, flat: &Flat) -> Result<GroupKey, SqlError> {
        let key = key.unalias_nested().data;
        if let Expr::Column(column) = &key
            && let Some(bound) = window_bound(column)
        {
            return Ok(GroupKey::Window(bound));
        }
        if let Some(Ok((function, Expr::Column(column)))) = time_function(&key)
            && Some(function.spec) == window
            && is_time(column, flat)
        {
            return Ok(GroupKey::Window(WindowBound::Start));
        }
        Ok(GroupKey::Row(self.resolve_window(key, flat)?))
    }
}

fn is_time(column: &Column, flat: &Flat) -> bool {
    flat.hot.table.time.is_some_and(|time| flat.hot.schema.maybe_index_of_column(column) == Some(time.column))
}

fn window_bound(column: &Column) -> Option<WindowBound> {
    if column.relation.as_ref().is_none_or(|relation| relation.table() != WINDOW_RELATION) {
        return None;
    }
    [WindowBound::Start, WindowBound::End, WindowBound::Time]
        .into_iter()
        .zip(WINDOW_COLUMNS)
        .find_map(|(bound, name)| (column.name == name).then_some(bound))
}

/// Writes `expr` over `input` in terms of what `input`'s columns are computed from.
fn substitute(expr: Expr, input: &LogicalPlan, outputs: &[Expr]) -> Result<Expr, SqlError> {
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

fn contains_aggregate(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_)))).unwrap_or(true)
}

fn refuse_volatile<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Result<(), SqlError> {
    for expr in exprs {
        if expr.is_volatile() {
            return Err(SqlError::new(format!(
                "{expr} is different at every call, so a window of it has no one answer"
            ))
            .hint("leave it out of windowed queries"));
        }
    }
    Ok(())
}

fn below_an_aggregate(plan: &LogicalPlan) -> SqlError {
    SqlError::new(format!("this is not available on a stream before a window has closed: {}", plan.display()))
}
