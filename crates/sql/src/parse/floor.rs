//! `FLOOR(ts TO MINUTE)` is `date_trunc('minute', ts)`: one function of time for the planner to know.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// Rewrites every such call of a query or an expression.
pub(super) fn rewrite(part: &mut impl VisitMut) -> Result<(), ParserError> {
    match part.visit(&mut Floors) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Floors;

impl VisitorMut for Floors {
    type Break = ParserError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<ParserError> {
        if let Expr::Floor { expr: time, field: CeilFloorKind::DateTimeField(unit) } = expr
            && *unit != DateTimeField::NoDateTime
        {
            match date_trunc(unit, time) {
                Ok(rewritten) => *expr = rewritten,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

fn date_trunc(unit: &DateTimeField, time: &Expr) -> Result<Expr, ParserError> {
    let call = format!("date_trunc('{}', __time)", unit.to_string().to_lowercase());
    let mut call = Parser::new(&GenericDialect {}).try_with_sql(&call)?.parse_expr()?;
    if let Expr::Function(function) = &mut call
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(argument) = list.args.last_mut()
    {
        *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(time.clone()));
    }
    Ok(call)
}
