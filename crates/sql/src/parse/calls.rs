//! Calls in Flink's spelling, rewritten into what the planner knows: `IF` into CASE, units of time into texts, patterns
//! such as `yyyy-MM-dd` into `%Y-%m-%d`, `UNIX_TIMESTAMP` into `to_unixtime`, `MOD` into `%`, members after brackets into
//! texts.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Spanned, Value, ValueWithSpan,
    VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{fold, pattern};
use crate::{Position, SqlError};

/// The units that `TIMESTAMPDIFF` and `TIMESTAMPADD` take.
const UNITS: [&str; 9] = ["MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"];

/// Rewrites every such call of a query or an expression.
pub(super) fn rewrite(part: &mut impl VisitMut) -> Result<(), SqlError> {
    match part.visit(&mut Calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Calls;

impl VisitorMut for Calls {
    type Break = Box<SqlError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            access_chain.iter_mut().for_each(member_as_text);
        }
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        match rewrite_call(function) {
            Ok(None) => {}
            Ok(Some(rewritten)) => *expr = rewritten,
            Err(error) => return ControlFlow::Break(Box::new(error.at(Position::of(function.name.span())))),
        }
        ControlFlow::Continue(())
    }
}

/// The call in other words, if it needs any.
fn rewrite_call(function: &mut Function) -> Result<Option<Expr>, SqlError> {
    let name = function.name.to_string().to_lowercase();
    let at = function.name.span();
    let FunctionArguments::List(list) = &mut function.args else { return Ok(None) };
    match name.as_str() {
        "if" => return conditional(list).map(Some),
        "mod" => return remainder(list).map(Some),
        "timestampdiff" | "timestampadd" => unit_as_text(&name, list)?,
        "date_format" | "to_char" | "to_timestamp" | "to_date" => patterns(list)?,
        "unix_timestamp" => {
            patterns(list)?;
            if list.args.is_empty() {
                list.args.push(argument(call("now", at, Vec::new())));
            }
            rename(&mut function.name, "to_unixtime", at);
        }
        "json_value" => return Ok(returning(function)),
        name if is_of_group_window(name) => {
            let message = format!("{} is of windows in GROUP BY, which are not available", name.to_uppercase());
            let error = SqlError::new(message);
            return Err(error.hint(
                "write FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size)), or HOP or SESSION, and GROUP BY window_start, window_end",
            ));
        }
        _ => {}
    }
    Ok(None)
}

/// `SESSION_START(ts, gap)` and the like, of Flink's windows before there were table functions.
fn is_of_group_window(name: &str) -> bool {
    let parts = name.rsplit_once('_');
    parts.is_some_and(|(window, part)| {
        ["tumble", "hop", "session"].contains(&window) && ["start", "end", "rowtime", "proctime"].contains(&part)
    })
}

/// `IF(condition, then, otherwise)`; only the branch that is taken is computed.
fn conditional(list: &FunctionArgumentList) -> Result<Expr, SqlError> {
    let [condition, result, otherwise] = list.args.as_slice() else {
        return Err(SqlError::new(format!("IF takes a condition and two values, found {} arguments", list.args.len())));
    };
    let (Some(condition), Some(result), Some(otherwise)) = (plain(condition), plain(result), plain(otherwise)) else {
        return Err(SqlError::new("IF takes a condition and two values"));
    };
    Ok(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: condition.clone(), result: result.clone() }],
        else_result: Some(Box::new(otherwise.clone())),
    })
}

/// `MOD(a, b)` is `a % b`.
fn remainder(list: &FunctionArgumentList) -> Result<Expr, SqlError> {
    let numbers: Vec<_> = list.args.iter().map(plain).collect();
    let [Some(left), Some(right)] = numbers.as_slice() else {
        return Err(SqlError::new(format!("MOD takes two numbers, found {} arguments", list.args.len())));
    };
    let within = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
    let remainder = Expr::BinaryOp { left: within(left), op: BinaryOperator::Modulo, right: within(right) };
    Ok(Expr::Nested(Box::new(remainder)))
}

/// `points[1].x`: DataFusion knows members after brackets as texts only.
fn member_as_text(access: &mut AccessExpr) {
    if let AccessExpr::Dot(member) = access
        && let Expr::Identifier(ident) = member
    {
        *member = text(fold(ident));
    }
}

/// `TIMESTAMPDIFF(MINUTE, a, b)`: the unit looks like a column.
fn unit_as_text(name: &str, list: &mut FunctionArgumentList) -> Result<(), SqlError> {
    let unit = list.args.first().and_then(plain);
    let given = match unit {
        Some(Expr::Identifier(ident)) => ident.value.to_uppercase(),
        Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. })) => text.to_uppercase(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let singular = given.strip_prefix("SQL_TSI_").unwrap_or(&given);
    if !UNITS.contains(&singular) {
        return Err(SqlError::new(format!("{} needs a unit of time, found `{given}`", name.to_uppercase()))
            .at(unit.and_then(|unit| Position::of(unit.span())))
            .hint(format!("units are {}", UNITS.join(", "))));
    }
    list.args[0] = argument(text(singular.to_lowercase()));
    Ok(())
}

/// Turns the formats of a call, its second argument and those after it, into those of DataFusion.
fn patterns(list: &mut FunctionArgumentList) -> Result<(), SqlError> {
    for format in list.args.iter_mut().skip(1) {
        if let Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(given), span })) = plain(format) {
            let translated = pattern::translate(given).map_err(|error| error.at(Position::of(*span)))?;
            *format = argument(text(translated));
        }
    }
    Ok(())
}

/// `JSON_VALUE(document, path RETURNING type)`: what does not fit the type is NULL.
fn returning(function: &mut Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &mut function.args else { return None };
    let is_type = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::JsonReturningClause(_));
    let position = list.clauses.iter().position(is_type)?;
    let FunctionArgumentClause::JsonReturningClause(returning) = list.clauses.remove(position) else { return None };
    Some(Expr::Cast {
        kind: CastKind::TryCast,
        expr: Box::new(Expr::Function(function.clone())),
        data_type: returning.data_type,
        array: false,
        format: None,
    })
}

fn plain(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn argument(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn text(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).into())
}

fn rename(name: &mut ObjectName, to: &str, at: Span) {
    *name = ObjectName::from(vec![Ident::with_span(at, to)]);
}

fn call(name: &str, at: Span, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_span(at, name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
