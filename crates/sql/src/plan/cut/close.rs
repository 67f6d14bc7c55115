//! CLOSE of windows: everything above the leaves, as long as it stays within one window.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use millstream_core::WindowSpec;

use super::order::in_order_of;
use super::{Cutter, Origin, Shape, origin, replace, shape_of};
use crate::SqlError;
use crate::pipeline::{Leaf, WindowBound};
use crate::plan::node::LeafNode;
use crate::plan::reference::is_reference;
use crate::plan::sets::sets_of;
use crate::plan::tumble::time_function;
use crate::window::WindowAssign;

impl Cutter {
    /// Puts leaves into a part of the plan whose rows all belong to windows of `spec`.
    pub(super) fn close_windows(
        &self,
        plan: &LogicalPlan,
        spec: WindowSpec,
        leaves: &mut Vec<Leaf>,
    ) -> Result<LogicalPlan, SqlError> {
        replace(plan, &mut |node| match node {
            // A table that is there whole stays as it is.
            node if is_reference(node) => Ok(Some(node.clone())),
            LogicalPlan::Aggregate(aggregate) => self.aggregate_leaf(aggregate, spec, leaves),
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<WindowAssign>() {
                Some(assign) if assign.spec == spec => {
                    leaves.push(self.window_rows_leaf(assign, node)?);
                    Ok(Some(LeafNode::plan(leaves.len() - 1, Arc::clone(node.schema()))))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        })
    }

    /// An aggregate over rows becomes a leaf; one over the results of the same windows is part of CLOSE.
    fn aggregate_leaf(
        &self,
        aggregate: &Aggregate,
        spec: WindowSpec,
        leaves: &mut Vec<Leaf>,
    ) -> Result<Option<LogicalPlan>, SqlError> {
        let within = match shape_of(&aggregate.input)?.shape {
            // By windows of window_time the results of windows are grouped again.
            Shape::Windowed(inner) => inner == spec && !has_windows_again(aggregate, spec)?,
            Shape::Bounded => true,
            _ => false,
        };
        if within {
            return Ok(None);
        }
        let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
        let Some(sets) = sets_of(aggregate, &keys) else {
            let Some(leaf) = self.groups_leaf(aggregate, Some(spec))? else { return Ok(None) };
            let schema = Arc::clone(&leaf.schema);
            leaves.push(leaf);
            let rows = LeafNode::plan(leaves.len() - 1, schema);
            return Ok(Some(in_order_of(&aggregate.schema, rows)?));
        };
        // Every set is an aggregate of its own, and together they are what the one with all sets gives.
        let mut parts = Vec::new();
        let first_leaf = leaves.len();
        for set in sets {
            let present = keys.iter().zip(&set.is_in).filter(|(_, present)| **present).map(|(key, _)| (*key).clone());
            let plain =
                Aggregate::try_new(Arc::clone(&aggregate.input), present.collect(), aggregate.aggr_expr.clone())?;
            let Some(leaf) = self.groups_leaf(&plain, Some(spec))? else {
                leaves.truncate(first_leaf);
                return Ok(None);
            };
            let schema = Arc::clone(&leaf.schema);
            leaves.push(leaf);
            let part = in_order_of(&plain.schema, LeafNode::plan(leaves.len() - 1, schema))?;
            parts.push(as_set(part, &plain, aggregate, &set.is_in, set.id)?);
        }
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(None) };
        let mut all = LogicalPlanBuilder::from(first);
        for part in parts {
            all = all.union(part)?;
        }
        // UNION forgets qualifiers; what is above the aggregate goes by them.
        let all = all.build()?;
        let exprs = all.schema().iter().zip(aggregate.schema.iter()).map(|((from, field), (to, wanted))| {
            let column = Expr::Column(Column::from((from, field)));
            column.alias_qualified(to.cloned(), wanted.name())
        });
        let exprs = exprs.collect::<Vec<_>>();
        Ok(Some(LogicalPlanBuilder::from(all).project(exprs)?.build()?))
    }
}

/// One set's rows with the columns of all sets: NULL for the keys it has not.
fn as_set(
    rows: LogicalPlan,
    plain: &Aggregate,
    whole: &Aggregate,
    is_in: &[bool],
    id: u64,
) -> Result<LogicalPlan, SqlError> {
    let mut given = plain.schema.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))));
    let mut exprs = Vec::new();
    for (index, (_, field)) in whole.schema.iter().enumerate() {
        let expr = match is_in.get(index) {
            Some(false) => Some(lit(ScalarValue::try_from(field.data_type())?)),
            None if index == is_in.len() => Some(cast(lit(id), field.data_type().clone())),
            Some(true) | None => given.next(),
        };
        let expr = expr.ok_or_else(|| SqlError::new("a grouping set has too few columns"))?;
        exprs.push(expr.alias(field.name()));
    }
    Ok(LogicalPlanBuilder::from(rows).project(exprs)?.build()?)
}

/// Whether an aggregate over results of windows makes windows of their time.
fn has_windows_again(aggregate: &Aggregate, spec: WindowSpec) -> Result<bool, SqlError> {
    let input = shape_of(&aggregate.input)?;
    let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
    Ok(keys.into_iter().filter_map(time_function).any(|function| {
        function.is_ok_and(|(function, time)| {
            let is_time = origin(time, aggregate.input.schema(), &input) == Origin::Window(WindowBound::Time);
            is_time && function.spec == spec
        })
    }))
}
