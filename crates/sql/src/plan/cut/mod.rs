//! The cut: an optimized plan becomes stages, each HOT, state and CLOSE.
//!
//! Below a stateful node everything is row by row and becomes HOT (`flat`); the node picks the operator; what is above
//! it, up to the next stateful node, becomes CLOSE (`close`), an ordinary plan over the operator's rows. The logical
//! plan is cut and not the physical one, because a physical plan may rely on an order that state does not keep.

mod close;
mod flat;
mod leaf;
mod order;

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Distinct, Join, LogicalPlan, UserDefinedLogicalNodeCore, Window};
use millstream_core::{Duration, WindowSpec};

use self::order::{in_order_of, ordered_window};
use super::bounds::time_bounds;
use super::check::{Allowed, Checked, Origin, Shape, check, origin};
use super::locate::Clauses;
use super::node::LeafNode;
use super::over::{TopRows, first_order, is_running, window_function};
use super::reference::is_reference;
use crate::catalog::Relation;
use crate::in_order::InOrder;
use crate::pipeline::{InOrderStage, IntervalJoin, Leaf, Operator, Over, Stage, Top};
use crate::session::relation_of;
use crate::{Code, SqlError};

/// Cuts a plan; the last stage gives its rows.
pub(crate) fn cut(plan: &LogicalPlan, checked: &Shape, ttl: Option<Duration>) -> Result<Vec<Stage>, SqlError> {
    let cutter = Cutter { stages: RefCell::default(), ttl };
    if shape_of(plan)?.shape == Shape::Bounded || is_reference(plan) && !reads_table(plan) {
        return Err(SqlError::new("the query reads no stream")
            .hint("run it with SELECT; continuous queries need a stream in FROM"));
    }
    if std::mem::discriminant(&shape_of(plan)?.shape) != std::mem::discriminant(checked) {
        return Err(no_form(plan));
    }
    cutter.stage(plan)?;
    Ok(cutter.stages.into_inner())
}

/// What a part of a checked plan yields.
fn shape_of(plan: &LogicalPlan) -> Result<Checked, SqlError> {
    check(plan, &Clauses::default(), Allowed { updates: true, ttl: true })
}

fn reads_table(plan: &LogicalPlan) -> bool {
    let found = plan.exists(|node| {
        Ok(matches!(node, LogicalPlan::TableScan(scan) if matches!(
            relation_of(scan.source.as_ref()),
            Some(Relation::Table(_) | Relation::System(_))
        )))
    });
    found.unwrap_or(true)
}

struct Cutter {
    stages: RefCell<Vec<Stage>>,
    ttl: Option<Duration>,
}

impl Cutter {
    /// Makes the stages of a part of the plan; answers the index of the one that gives its rows.
    fn stage(&self, plan: &LogicalPlan) -> Result<usize, SqlError> {
        let stage = match shape_of(plan)?.shape {
            Shape::Windowed(spec) | Shape::Stream { assigned: Some(spec @ WindowSpec::Session { .. }), .. } => {
                self.windows(plan, spec)?
            }
            Shape::Updating => self.updating(plan)?,
            Shape::Stream { .. } | Shape::Bounded | Shape::Sets { .. } => self.stream(plan)?,
        };
        let mut stages = self.stages.borrow_mut();
        stages.push(stage);
        Ok(stages.len() - 1)
    }

    fn windows(&self, plan: &LogicalPlan, spec: WindowSpec) -> Result<Stage, SqlError> {
        let mut leaves = Vec::new();
        let close = self.close_windows(plan, spec, &mut leaves)?;
        Ok(Stage { operator: Operator::Windows(spec), leaves, close: unless_leaf(close) })
    }

    /// One updating aggregate, or a top-N.
    fn updating(&self, plan: &LogicalPlan) -> Result<Stage, SqlError> {
        let mut found = None;
        let close = replace(plan, &mut |node| {
            let stage = match node {
                LogicalPlan::Aggregate(aggregate) => {
                    let leaf = self.groups_leaf(aggregate, None)?.ok_or_else(|| no_form(node))?;
                    let schema = Arc::clone(&leaf.schema);
                    let operator = Operator::Updating { ttl: self.ttl };
                    let rows = in_order_of(&aggregate.schema, LeafNode::plan(0, schema))?;
                    (Stage { operator, leaves: vec![leaf], close: None }, rows)
                }
                LogicalPlan::Filter(filter) => match TopRows::of(filter) {
                    Some(top) => {
                        let (stage, close) = self.top(&top, node)?;
                        (stage, close)
                    }
                    None => return Ok(None),
                },
                _ => return Ok(None),
            };
            found = Some(stage.0);
            Ok(Some(stage.1))
        })?;
        let stage = found.ok_or_else(|| no_form(plan))?;
        Ok(Stage { close: unless_leaf(close), ..stage })
    }

    /// The filter stays, so that a condition on more than the row number holds too.
    fn top(&self, top: &TopRows<'_>, filter: &LogicalPlan) -> Result<(Stage, LogicalPlan), SqlError> {
        let function = top.function().ok_or_else(|| no_form(filter))?;
        let leaf = self.rows_leaf(&top.window.input, None)?;
        let input = shape_of(&top.window.input)?;
        let later_first = function
            .params
            .order_by
            .first()
            .is_some_and(|sort| !sort.asc && origin(&sort.expr, top.window.input.schema(), &input) == Origin::Time);
        let operator = Operator::Top(Top {
            later_first,
            partition_by: function.params.partition_by.clone(),
            order_by: function.params.order_by.clone(),
            limit: top.limit,
            schema: Arc::clone(&top.window.schema),
            ttl: self.ttl,
        });
        let close = replace(filter, &mut |node| {
            let is_window = matches!(node, LogicalPlan::Window(window) if window == top.window);
            Ok(is_window.then(|| LeafNode::plan(0, Arc::clone(&top.window.schema))))
        })?;
        Ok((Stage { operator, leaves: vec![leaf], close: None }, close))
    }

    /// Rows in, rows out: OVER, joins, functions over rows in order, or nothing that has state.
    fn stream(&self, plan: &LogicalPlan) -> Result<Stage, SqlError> {
        let Some(node) = stateful(plan) else {
            let leaf = self.rows_leaf(plan, None)?;
            return Ok(Stage { operator: Operator::Rows, leaves: vec![leaf], close: None });
        };
        let (operator, leaves, rows) = match node {
            LogicalPlan::Window(window) => self.over(window)?,
            LogicalPlan::Join(join) if !is_lookup(join) => self.interval_join(join)?,
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<InOrder>() {
                Some(in_order) => self.in_order(in_order)?,
                None => return Err(no_form(node)),
            },
            _ => return self.lookups(plan),
        };
        let close = replace(plan, &mut |part| Ok(std::ptr::eq(part, node).then(|| rows.clone())))?;
        Ok(Stage { operator, leaves, close: unless_leaf(close) })
    }

    /// The operator, what feeds it, and what stands for its rows in CLOSE.
    fn over(&self, window: &Window) -> Result<(Operator, Vec<Leaf>, LogicalPlan), SqlError> {
        let Some(function) = window.window_expr.iter().find_map(window_function) else {
            return Err(SqlError::new("an OVER without functions"));
        };
        let time = first_order(function).map(|(expr, _)| expr);
        let leaf = self.rows_leaf(&window.input, time)?;
        let ordered = ordered_window(window)?;
        let has_running = window.window_expr.iter().filter_map(window_function).any(is_running);
        let rows = in_order_of(&window.schema, LeafNode::plan(0, Arc::clone(&ordered.schema)))?;
        let over = Over {
            functions: ordered.window_expr,
            partition_by: function.params.partition_by.clone(),
            schema: ordered.schema,
            ttl: self.ttl.filter(|_| has_running),
        };
        Ok((Operator::Over(over), vec![leaf], rows))
    }

    fn in_order(&self, node: &InOrder) -> Result<(Operator, Vec<Leaf>, LogicalPlan), SqlError> {
        let input = shape_of(&node.input)?;
        let is_time = origin(node.time(), node.input.schema(), &input) == Origin::Time;
        let trusts = !is_time || matches!(input.shape, Shape::Windowed(_));
        let columns = node.places()?;
        let leaf = if trusts {
            self.stage_leaf(&node.input, columns[0])?
        } else {
            self.rows_leaf(&node.input, Some(node.time()))?
        };
        let (function, schema) = (node.function.clone(), Arc::clone(node.schema()));
        let rows = LeafNode::plan(0, Arc::clone(&schema));
        Ok((Operator::InOrder(InOrderStage { function, columns, trusts, schema }), vec![leaf], rows))
    }

    fn interval_join(&self, join: &Join) -> Result<(Operator, Vec<Leaf>, LogicalPlan), SqlError> {
        let (left, right) = (shape_of(&join.left)?, shape_of(&join.right)?);
        let Some(bounds) = time_bounds(join, &left, &right) else {
            return Err(SqlError::coded(Code::E05, "the join has no bounds of time", "bound the times with BETWEEN"));
        };
        let operator = Operator::IntervalJoin(IntervalJoin {
            join_type: join.join_type,
            on: join.on.clone(),
            filter: join.filter.clone(),
            lower: bounds.lower,
            upper: bounds.upper,
            schema: Arc::clone(&join.schema),
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
        });
        let left = self.rows_leaf(&join.left, Some(&bounds.left))?;
        let right = self.rows_leaf(&join.right, Some(&bounds.right))?;
        Ok((operator, vec![left, right], LeafNode::plan(0, Arc::clone(&join.schema))))
    }

    /// Tables that are there whole stay in CLOSE; the stream's rows come in where they begin.
    fn lookups(&self, plan: &LogicalPlan) -> Result<Stage, SqlError> {
        let mut leaves: Vec<Leaf> = Vec::new();
        let close = replace(plan, &mut |part| {
            let is_step = matches!(part, LogicalPlan::Join(join) if is_lookup(join)) || holds_lookup(part);
            if is_step || is_reference(part) {
                return Ok(None);
            }
            let leaf = self.rows_leaf(part, None)?;
            leaves.push(leaf);
            Ok(Some(LeafNode::plan(leaves.len() - 1, Arc::clone(part.schema()))))
        })?;
        Ok(Stage { operator: Operator::Rows, leaves, close: unless_leaf(close) })
    }
}

/// Copies a plan with the topmost nodes for which `with` has something put in their places.
fn replace(
    plan: &LogicalPlan,
    with: &mut dyn FnMut(&LogicalPlan) -> Result<Option<LogicalPlan>, SqlError>,
) -> Result<LogicalPlan, SqlError> {
    if let Some(replaced) = with(plan)? {
        return Ok(replaced);
    }
    let inputs = plan.inputs().into_iter().map(|input| replace(input, with));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    if inputs.is_empty() {
        return Ok(plan.clone());
    }
    Ok(plan.with_new_exprs(plan.expressions(), inputs)?)
}

/// The topmost node with state, seen through what is done row by row. Of UNION ALL each part is looked at by itself.
fn stateful(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => stateful(&projection.input),
        LogicalPlan::Filter(filter) => stateful(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => stateful(&alias.input),
        // On a stream these are of sets, which are below them.
        LogicalPlan::Aggregate(aggregate) => stateful(&aggregate.input),
        LogicalPlan::Distinct(Distinct::All(input)) => stateful(input),
        LogicalPlan::Window(_) | LogicalPlan::Join(_) => Some(plan),
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<InOrder>() => Some(plan),
        _ => None,
    }
}

/// Whether one side of a join is there whole.
fn is_lookup(join: &Join) -> bool {
    is_reference(&join.left) != is_reference(&join.right)
}

/// Whether a row-by-row step has a lookup below it, with nothing else between.
fn holds_lookup(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Join(_)) && matches!(stateful(plan), Some(LogicalPlan::Join(join)) if is_lookup(join))
}

/// CLOSE that does nothing is none.
fn unless_leaf(close: LogicalPlan) -> Option<LogicalPlan> {
    let is_leaf = matches!(&close, LogicalPlan::Extension(node) if node.node.as_any().is::<LeafNode>());
    (!is_leaf).then_some(close)
}

fn no_form(plan: &LogicalPlan) -> SqlError {
    let message = format!("this is not available on a stream before a window has closed: {}", plan.display());
    SqlError::coded(Code::E13, message, "aggregate in windows first, and do it over their results")
}
