//! Literals, patterns and clocks.

use datafusion::sql::sqlparser::ast::{Expr, TypedString, Value as Literal};

use super::columns::{Class, Mono, Value, text};
use super::expr::unnested;
use super::types::KdaType;
use crate::SqlError;

pub(super) fn literal(literal: &Literal) -> Result<Value, SqlError> {
    let value = match literal {
        Literal::Number(digits, _) => {
            let class = if digits.contains(['e', 'E']) {
                Class::Float
            } else if digits.contains('.') {
                Class::Decimal
            } else {
                Class::Integer
            };
            Value::new(digits.clone(), class)
        }
        Literal::SingleQuotedString(value) | Literal::UnicodeStringLiteral(value) => {
            Value::new(text(value), Class::Text)
        }
        Literal::HexStringLiteral(digits) => Value::new(format!("X'{digits}'"), Class::Unknown),
        Literal::Boolean(value) => Value::new(if *value { "TRUE" } else { "FALSE" }, Class::Boolean),
        Literal::Null => Value::new("NULL", Class::Unknown),
        other => return Err(SqlError::new(format!("{other} is no literal of Kinesis Data Analytics"))),
    };
    Ok(value.with_mono(Some(Mono::Constant)))
}

pub(super) fn typed_literal(typed: &TypedString) -> Result<Value, SqlError> {
    let to = KdaType::parse(&typed.data_type.to_string())?;
    let value = typed.value.value.clone().into_string().unwrap_or_default();
    let sql = match to {
        KdaType::Date => format!("CAST({} AS DATE)", text(&value)),
        KdaType::Time => format!("kda_cast({}, 'TIME')", text(&value)),
        KdaType::Timestamp => format!("CAST({} AS TIMESTAMP(3))", text(&value)),
        _ => return Err(SqlError::new(format!("{typed} is no literal of Kinesis Data Analytics"))),
    };
    Ok(Value { sql, class: Class::Time, declared: Some(to), mono: Some(Mono::Constant) })
}

/// A whole number.
pub(super) fn number(expr: &Expr) -> Option<i64> {
    match unnested(expr) {
        Expr::Value(value) => match &value.value {
            Literal::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// A pattern of LIKE whose escape is a backslash.
pub(super) fn escaped(pattern: &Expr, escape: &Literal) -> Result<String, SqlError> {
    let literal = match pattern {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    let (Some(pattern), Some(escape)) = (literal, escape.clone().into_string()) else {
        let error = SqlError::new("LIKE … ESCAPE takes a pattern that stands in the query");
        return Err(error.hint("write the pattern in quotes, or leave ESCAPE out"));
    };
    let mut letters = pattern.chars();
    let mut native = String::new();
    while let Some(letter) = letters.next() {
        let is_escape = escape.starts_with(letter);
        if is_escape || letter == '\\' {
            native.push('\\');
        }
        native.extend(if is_escape { letters.next() } else { Some(letter) });
    }
    Ok(text(&native))
}

/// The current time, by the name that asks for it.
pub(super) fn clock(native: &str, name: &str) -> Value {
    let sql = match name {
        "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIME" => format!("{native}()"),
        _ => "CAST(now() AS TIMESTAMP(3))".to_owned(),
    };
    Value::new(sql, Class::Time).with_mono(Some(Mono::Ascending))
}
