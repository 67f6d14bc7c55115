//! Aggregates and functions of OVER in an order of their own: what is kept is the same, whatever the order of the SELECT
//! list. CLOSE brings them back into the plan's order.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Window};

use super::flat::{Flat, substitute};
use crate::SqlError;
use crate::signature::text::{Named, positions};

/// The aggregate with its aggregates in order, by what they are of the input.
pub(super) fn ordered_aggregate(aggregate: &Aggregate, flat: &Flat) -> Result<Aggregate, SqlError> {
    let names = positions(&flat.hot.schema);
    let named = Named { schema: &flat.hot.schema, names: &names };
    let text = |expr: &Expr| named.text(&substitute(expr.clone(), &aggregate.input, &flat.outputs)?);
    if let [Expr::GroupingSet(_)] = aggregate.group_expr.as_slice() {
        return Ok(aggregate.clone());
    }
    let sorted = sorted(&aggregate.aggr_expr, text)?;
    Ok(Aggregate::try_new(aggregate.input.clone(), aggregate.group_expr.clone(), sorted)?)
}

/// The window with its functions in order.
pub(super) fn ordered_window(window: &Window) -> Result<Window, SqlError> {
    let schema = window.input.schema();
    let names = positions(schema);
    let named = Named { schema, names: &names };
    let sorted = sorted(&window.window_expr, |expr| named.text(expr))?;
    Ok(Window::try_new(sorted, window.input.clone())?)
}

fn sorted(exprs: &[Expr], text: impl Fn(&Expr) -> Result<String, SqlError>) -> Result<Vec<Expr>, SqlError> {
    let mut keyed = exprs.iter().map(|expr| Ok((text(expr)?, expr.clone()))).collect::<Result<Vec<_>, SqlError>>()?;
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(keyed.into_iter().map(|(_, expr)| expr).collect())
}

/// The columns of a plan in the order of a schema that has the same ones.
pub(super) fn in_order_of(schema: &DFSchema, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    if plan.schema().fields() == schema.fields() {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))));
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}
