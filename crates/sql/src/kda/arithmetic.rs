//! `+ - * /`: which of them the native operators do, and what becomes of a value that rises with time.

use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::columns::{Class, Mono, Value};
use crate::SqlError;

pub(super) fn reversed(mono: Mono) -> Mono {
    match mono {
        Mono::Constant => Mono::Constant,
        Mono::Descending => Mono::Ascending,
        Mono::RowTime | Mono::Step { .. } | Mono::Ascending => Mono::Descending,
    }
}

/// The value of an operation.
pub(super) fn arithmetic(left: &Value, op: &BinaryOperator, right: &Value) -> Result<Value, SqlError> {
    use Class::{Decimal, Float, Integer, Interval, Time, Unknown};
    let classes = (left.class, right.class);
    if classes == (Time, Time) && *op == BinaryOperator::Minus {
        let message = format!("{} - {} needs a unit", left.sql, right.sql);
        return Err(SqlError::new(message).hint("write (a - b) SECOND, or TSDIFF(b, a) for milliseconds"));
    }
    let mono = combined(left, op, right);
    let class = match classes {
        (Time, _) | (_, Time) => Time,
        (Interval, _) | (_, Interval) => Interval,
        (Float, _) | (_, Float) => Float,
        (Unknown, _) | (_, Unknown) => Unknown,
        (Decimal, _) | (_, Decimal) => Decimal,
        _ => Integer,
    };
    // Floats and times are computed alike by both; the others may not fit, and a division by zero is an error.
    let is_plain = |value: &Value| matches!(value.class, Integer | Float);
    let is_literal = |value: &Value| value.class == Decimal && digits_of(&value.sql).is_some();
    let float_with = |a: &Value, b: &Value| a.class == Float && (is_plain(b) || is_literal(b));
    let is_divisor = |value: &Value| value.sql.parse().is_ok_and(|number: f64| number != 0.0);
    let native = match op {
        BinaryOperator::Divide => float_with(left, right) && is_divisor(right),
        _ => float_with(left, right) || float_with(right, left),
    } || matches!((classes, op), ((Time, Interval), BinaryOperator::Plus | BinaryOperator::Minus))
        || matches!((classes, op), ((Interval, Time), BinaryOperator::Plus));
    let sql = if native {
        format!("{} {op} {}", left.sql, right.sql)
    } else {
        let name = match op {
            BinaryOperator::Plus => "kda_add",
            BinaryOperator::Minus => "kda_subtract",
            BinaryOperator::Multiply => "kda_multiply",
            _ => "kda_divide",
        };
        let exact = |value: &Value| match digits_of(&value.sql) {
            Some((precision, scale)) => format!("CAST({} AS DECIMAL({precision}, {scale}))", value.sql),
            None => value.sql.clone(),
        };
        format!("{name}({}, {})", exact(left), exact(right))
    };
    Ok(Value::new(sql, class).with_mono(mono))
}

/// The digits of a literal such as `1.25`, and how many are behind the point.
fn digits_of(sql: &str) -> Option<(usize, usize)> {
    let (whole, fraction) = sql.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some(((whole.len() + fraction.len()).max(1), fraction.len()))
}

/// Whether it never falls, and may rise.
pub(super) fn rises(mono: Mono) -> bool {
    matches!(mono, Mono::RowTime | Mono::Step { .. } | Mono::Ascending)
}

/// How the result goes with time, where both sides do.
fn combined(left: &Value, op: &BinaryOperator, right: &Value) -> Option<Mono> {
    let right_mono = match op {
        BinaryOperator::Minus => right.mono.map(reversed),
        _ => right.mono,
    };
    match (op, left.mono?, right_mono?) {
        (_, Mono::Constant, Mono::Constant) => Some(Mono::Constant),
        (BinaryOperator::Plus | BinaryOperator::Minus, mono, Mono::Constant)
        | (BinaryOperator::Plus | BinaryOperator::Minus, Mono::Constant, mono) => {
            Some(if rises(mono) { Mono::Ascending } else { Mono::Descending })
        }
        (BinaryOperator::Plus | BinaryOperator::Minus, a, b) if rises(a) == rises(b) => {
            Some(if rises(a) { Mono::Ascending } else { Mono::Descending })
        }
        (BinaryOperator::Multiply | BinaryOperator::Divide, mono, Mono::Constant)
        | (BinaryOperator::Multiply, Mono::Constant, mono) => {
            let constant = if left.mono == Some(Mono::Constant) { left } else { right };
            let falls = constant.sql.starts_with('-');
            Some(if rises(mono) == falls { Mono::Descending } else { Mono::Ascending })
        }
        _ => None,
    }
}
