//! Interval literals, and the steps of time that tumbling windows have.

use datafusion::sql::sqlparser::ast::{DateTimeField, Expr, Interval, UnaryOperator, Value};

use crate::SqlError;

/// A length of time: milliseconds, or months of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Millis(i64),
    Months(i64),
}

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Length {
    /// One of a unit such as `MINUTE`.
    pub(super) fn of_unit(unit: &str) -> Option<Self> {
        Some(match unit {
            "SECOND" => Self::Millis(SECOND),
            "MINUTE" => Self::Millis(MINUTE),
            "HOUR" => Self::Millis(HOUR),
            "DAY" => Self::Millis(DAY),
            "MONTH" => Self::Months(1),
            "YEAR" => Self::Months(12),
            _ => return None,
        })
    }

    /// So many times this length.
    pub(super) fn times(self, count: i64) -> Option<Self> {
        Some(match self {
            Self::Millis(millis) => Self::Millis(millis.checked_mul(count)?),
            Self::Months(months) => Self::Months(months.checked_mul(count)?),
        })
    }

    pub(super) fn is_positive(self) -> bool {
        matches!(self, Self::Millis(1..) | Self::Months(1..))
    }

    /// As a native literal. Days are hours: they have one length.
    pub(super) fn sql(self) -> String {
        match self {
            Self::Months(months) => format!("INTERVAL '{months}' MONTH"),
            Self::Millis(millis) if millis != 0 && millis % HOUR == 0 => format!("INTERVAL '{}' HOUR", millis / HOUR),
            Self::Millis(millis) if millis != 0 && millis % MINUTE == 0 => {
                format!("INTERVAL '{}' MINUTE", millis / MINUTE)
            }
            Self::Millis(millis) if millis % SECOND == 0 => format!("INTERVAL '{}' SECOND", millis / SECOND),
            Self::Millis(millis) => format!("INTERVAL '{millis} milliseconds'"),
        }
    }
}

/// What `INTERVAL '…' UNIT [TO UNIT]` says.
pub(super) fn read(interval: &Interval) -> Result<Length, SqlError> {
    let (text, negated) = match interval.value.as_ref() {
        Expr::Value(value) => (literal(&value.value), false),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => (literal(&value.value), true),
            _ => (None, false),
        },
        _ => (None, false),
    };
    let wrong = || {
        SqlError::new(format!("{interval} is not an interval"))
            .hint("write for example INTERVAL '1' MINUTE, INTERVAL '01:30' HOUR TO MINUTE or INTERVAL '59:59.999' MINUTE TO SECOND")
    };
    let text = text.ok_or_else(wrong)?;
    let unit = |field: &Option<DateTimeField>| field.as_ref().map(|field| field.to_string().to_uppercase());
    let first = unit(&interval.leading_field).ok_or_else(wrong)?;
    let last = unit(&interval.last_field);
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, text.trim().trim_start_matches('+').to_owned()),
    };
    let sign = if negated { -sign } else { sign };
    let length = match last.as_deref() {
        None => single(&digits, &first),
        Some(last) => compound(&digits, &first, last),
    };
    length.and_then(|length| length.times(sign)).ok_or_else(wrong)
}

fn literal(value: &Value) -> Option<String> {
    match value {
        Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
        _ => None,
    }
}

fn single(digits: &str, unit: &str) -> Option<Length> {
    let unit_length = Length::of_unit(unit)?;
    match (unit, digits.split_once('.')) {
        ("SECOND", Some((whole, fraction))) => {
            let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
            Some(Length::Millis(whole * SECOND + millis_of(fraction)?))
        }
        _ => unit_length.times(digits.parse().ok()?),
    }
}

/// `123` of `1.123`, as milliseconds; further digits are cut.
fn millis_of(fraction: &str) -> Option<i64> {
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    padded.parse().ok()
}

fn compound(digits: &str, first: &str, last: &str) -> Option<Length> {
    const ORDER: [&str; 4] = ["DAY", "HOUR", "MINUTE", "SECOND"];
    if (first, last) == ("YEAR", "MONTH") {
        let (years, months) = digits.split_once('-')?;
        return Some(Length::Months(years.parse::<i64>().ok()? * 12 + months.parse::<i64>().ok()?));
    }
    let from = ORDER.iter().position(|unit| *unit == first)?;
    let to = ORDER.iter().position(|unit| *unit == last)?;
    let parts: Vec<&str> = digits.split([' ', ':']).filter(|part| !part.is_empty()).collect();
    if from > to || parts.len() != to - from + 1 {
        return None;
    }
    let mut total = 0_i64;
    for (unit, part) in ORDER[from..=to].iter().zip(parts) {
        let Length::Millis(millis) = single(part, unit)? else { return None };
        total = total.checked_add(millis)?;
    }
    Some(Length::Millis(total))
}
