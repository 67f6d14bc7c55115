//! Functions of time that make tumbling windows when a stream is grouped by them: `date_trunc`, `date_bin`, and
//! `FLOOR(ts TO unit)`, which becomes `date_trunc` when it is parsed.

use arrow::datatypes::{DataType, TimeUnit};
use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Cast, Expr};
use millstream_core::{Duration, Grid, Step, WindowSpec};

use crate::SqlError;
use crate::window::{interval_ms, interval_step};

const DAY_MS: i64 = 86_400_000;
/// Weeks start on Monday, and 1970-01-01 was a Thursday.
const WEEK_OFFSET_MS: i64 = 4 * DAY_MS;

/// A function of time as a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeFunction {
    pub(crate) spec: WindowSpec,
}

/// If `expr` is a window-making function, its window and the time expression it is of. An error: it is one, but not of
/// a fixed length.
pub(crate) fn time_function(expr: &Expr) -> Option<Result<(TimeFunction, &Expr), SqlError>> {
    let function = match expr {
        Expr::Alias(alias) => return time_function(&alias.expr),
        Expr::ScalarFunction(function) => function,
        _ => return None,
    };
    let spec = match (function.name(), function.args.as_slice()) {
        ("date_trunc", [unit, _]) => truncation(unit),
        ("date_bin", [stride, _]) => binning(stride, None),
        ("date_bin", [stride, _, origin]) => binning(stride, Some(origin)),
        _ => return None,
    };
    let time = without_unit_cast(function.args.get(1)?);
    Some(spec.map(|spec| (TimeFunction { spec }, time)))
}

/// Planning may widen a timestamp's unit for a function; the instant stays the same. A change of zone is no such cast.
pub(crate) fn without_unit_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(Cast { expr: inner, field }) if matches!(field.data_type(), DataType::Timestamp(unit, None) if *unit != TimeUnit::Second) => {
            without_unit_cast(inner)
        }
        Expr::Alias(alias) => without_unit_cast(&alias.expr),
        other => other,
    }
}

fn truncation(unit: &Expr) -> Result<WindowSpec, SqlError> {
    let text = match without_unit_cast(unit) {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => text.to_lowercase(),
        other => return Err(SqlError::new(format!("the unit of date_trunc must be a literal, found {other}"))),
    };
    let months =
        |count| Ok(WindowSpec::Tumble(Grid { step: Step::Months { count, zone: Tz::UTC }, offset: Duration(0) }));
    let (size, offset) = match text.as_str() {
        "month" => return months(1),
        "quarter" => return months(3),
        "year" => return months(12),
        "millisecond" => (1, 0),
        "second" => (1000, 0),
        "minute" => (60_000, 0),
        "hour" => (3_600_000, 0),
        "day" => (DAY_MS, 0),
        "week" => (7 * DAY_MS, WEEK_OFFSET_MS),
        other => {
            return Err(SqlError::new(format!("`{other}` is not a unit of date_trunc"))
                .hint("units are millisecond, second, minute, hour, day, week, month, quarter and year"));
        }
    };
    Ok(tumble(size, offset))
}

fn tumble(size: i64, offset: i64) -> WindowSpec {
    WindowSpec::Tumble(Grid { step: Step::Fixed(Duration(size)), offset: Duration(offset) })
}

fn binning(stride: &Expr, origin: Option<&Expr>) -> Result<WindowSpec, SqlError> {
    if let (Some(step @ Step::Months { .. }), None) = (interval_step(stride, None), origin) {
        return Ok(WindowSpec::Tumble(Grid { step, offset: Duration(0) }));
    }
    let size = interval_ms(stride).filter(|size| size.0 > 0).ok_or_else(|| {
        SqlError::new(format!("date_bin needs a positive interval of fixed length, found {stride}"))
            .hint("write for example date_bin(INTERVAL '5 minutes', event_time)")
    })?;
    let origin = match origin.map(|origin| (origin, timestamp_ms(origin))) {
        None => 0,
        Some((_, Some(origin))) => origin,
        Some((origin, None)) => {
            return Err(SqlError::new(format!("the origin of date_bin must be a timestamp literal, found {origin}")));
        }
    };
    Ok(tumble(size.0, origin.rem_euclid(size.0)))
}

fn timestamp_ms(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampSecond(Some(value), _), _) => value.checked_mul(1000),
        Expr::Literal(ScalarValue::TimestampMillisecond(Some(value), _), _) => Some(*value),
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(value), _), _) => Some(value.div_euclid(1000)),
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(value), _), _) => Some(value.div_euclid(1_000_000)),
        Expr::Cast(Cast { expr, field }) => {
            let Expr::Literal(literal, _) = expr.as_ref() else { return None };
            timestamp_ms(&Expr::Literal(literal.cast_to(field.data_type()).ok()?, None))
        }
        Expr::Alias(alias) => timestamp_ms(&alias.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::EventTime;

    #[test]
    fn weeks_start_on_monday() {
        let week = truncation(&datafusion::prelude::lit("week")).unwrap();
        // 2026-01-01 is a Thursday; its week starts on Monday, 2025-12-29.
        let start = week.slice_of(EventTime(1_767_225_600_000)).unwrap().start;
        assert_eq!(start.to_string(), "2025-12-29T00:00:00.000");
    }

    #[test]
    fn unknown_units_are_refused() {
        assert!(truncation(&datafusion::prelude::lit("fortnight")).is_err());
    }
}
