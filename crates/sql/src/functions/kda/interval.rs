//! Intervals. KDA's day-time intervals are kept in nanoseconds alone, year-month ones in months alone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::calendar::{Date, MS_PER_DAY};
use super::definition::{Arguments, Definition, INTERVAL, TIME, TIMESTAMP, as_it_is};
use super::unit::Unit;

const NANOS_PER_MS: i64 = 1_000_000;

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_difference",
        alias: None,
        usage: "(a - b) unit, of two times, with a unit such as SECOND or DAY TO SECOND",
        takes: |given| match given {
            [DataType::Time32(_), DataType::Time32(_), DataType::Utf8] => Some(vec![TIME, TIME, DataType::Utf8]),
            [one, other, DataType::Utf8] if is_day(one) && is_day(other) => {
                Some(vec![TIMESTAMP, TIMESTAMP, DataType::Utf8])
            }
            _ => None,
        },
        gives: |_| Ok(INTERVAL),
        compute: difference,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_interval_count",
        alias: None,
        usage: "CAST(interval AS INTEGER), of an interval of one unit",
        takes: of_interval,
        gives: |_| Ok(DataType::Int64),
        compute: count,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_floor_interval",
        alias: None,
        usage: "FLOOR(interval TO unit)",
        takes: of_interval,
        gives: |_| Ok(INTERVAL),
        compute: |arguments| rounded(&arguments.column(0)?, Unit::parse(arguments.word(1)?)?, Unit::floor),
        simplify: as_it_is,
    },
];

fn is_day(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Null)
}

fn of_interval(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [DataType::Interval(_) | DataType::Null, DataType::Utf8] => Some(vec![INTERVAL, DataType::Utf8]),
        _ => None,
    }
}

pub(super) fn total_nanos(interval: IntervalMonthDayNano) -> i128 {
    i128::from(interval.nanoseconds) + i128::from(interval.days) * i128::from(MS_PER_DAY) * i128::from(NANOS_PER_MS)
}

/// The last unit of `DAY TO SECOND(3)`: what an interval is cut off to.
fn last_unit(qualifier: &str) -> Result<Unit> {
    let upper = qualifier.to_ascii_uppercase();
    let last = upper.rsplit(" TO ").next().unwrap_or_default();
    Unit::parse(last.split('(').next().unwrap_or_default())
}

/// Cut off towards zero; seconds keep their milliseconds.
fn difference(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let unit = last_unit(arguments.word(2)?)?;
    let ms = |index: usize| -> Result<Int64Array> {
        let column = arguments.column(index)?;
        // A time of day has 32 bits; there is no way from it to 64 but this.
        let column = match column.data_type() {
            DataType::Time32(_) => cast(&column, &DataType::Int32)?,
            _ => column,
        };
        Ok(cast(&column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    };
    let (ends, starts) = (ms(0)?, ms(1)?);
    let one = |(end, start): (Option<i64>, Option<i64>)| {
        let (Some(end), Some(start)) = (end, start) else { return Ok(None) };
        let length = match unit.ms() {
            None => {
                let months = months_between(start, end);
                let whole = if unit == Unit::Year { months / 12 * 12 } else { months };
                i32::try_from(whole).ok().map(|months| IntervalMonthDayNano::new(months, 0, 0))
            }
            Some(size) => {
                let kept = if unit == Unit::Second { 1 } else { size };
                let cut = end.checked_sub(start).map(|ms| ms / kept * kept);
                cut.and_then(|ms| ms.checked_mul(NANOS_PER_MS)).map(|nanos| IntervalMonthDayNano::new(0, 0, nanos))
            }
        };
        match length {
            Some(length) => Ok(Some(length)),
            None => exec_err!("two times are further apart than 292 years, the longest INTERVAL"),
        }
    };
    Ok(Arc::new(ends.iter().zip(&starts).map(one).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Full months from one time to another.
fn months_between(start: i64, end: i64) -> i64 {
    if end < start {
        return -months_between(end, start);
    }
    let parts = |ms: i64| {
        let Date { year, month, day } = Date::of_day(ms.div_euclid(MS_PER_DAY));
        (year * 12 + month, day * MS_PER_DAY + ms.rem_euclid(MS_PER_DAY))
    };
    let ((start_month, start_rest), (end_month, end_rest)) = (parts(start), parts(end));
    end_month - start_month - i64::from(end_rest < start_rest)
}

/// How many whole units an interval has.
fn count(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let unit = last_unit(arguments.word(1)?)?;
    let intervals = arguments.column(0)?;
    let one = |interval: Option<IntervalMonthDayNano>| {
        let Some(interval) = interval else { return Ok(None) };
        let count = match unit.ms() {
            Some(ms) => i64::try_from(total_nanos(interval) / (i128::from(ms) * i128::from(NANOS_PER_MS))).ok(),
            None if unit == Unit::Year => Some(i64::from(interval.months / 12)),
            None => Some(i64::from(interval.months)),
        };
        count.map(Some).ok_or_else(|| exec_datafusion_err!("an INTERVAL has more {unit:?}s than a BIGINT holds"))
    };
    let counts = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(one);
    Ok(Arc::new(counts.collect::<Result<Int64Array>>()?))
}

/// FLOOR and CEIL of an interval: down and up to a whole unit.
pub(super) fn rounded(intervals: &ArrayRef, unit: Unit, round: fn(Unit, i64) -> i64) -> Result<ArrayRef> {
    let one = |interval: IntervalMonthDayNano| match unit.ms() {
        // Months are counted from 1970, which begins a year.
        None => {
            let day = Date { year: 1970, month: 1 + i64::from(interval.months), day: 1 }.day_number();
            let Date { year, month, .. } = Date::of_day(round(unit, day * MS_PER_DAY).div_euclid(MS_PER_DAY));
            i32::try_from((year - 1970) * 12 + month - 1).ok().map(|months| IntervalMonthDayNano::new(months, 0, 0))
        }
        Some(size) => {
            let size = i128::from(size) * i128::from(NANOS_PER_MS);
            let nanos = total_nanos(interval);
            let floor = nanos - nanos.rem_euclid(size);
            // What the unit does to one millisecond tells which way it rounds.
            let is_up = round(Unit::Second, 1) > 0;
            let rounded = if is_up && floor != nanos { floor + size } else { floor };
            i64::try_from(rounded).ok().map(|nanos| IntervalMonthDayNano::new(0, 0, nanos))
        }
    };
    let all = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| match interval.map(one) {
        None => Ok(None),
        Some(Some(rounded)) => Ok(Some(rounded)),
        Some(None) => exec_err!("an INTERVAL is out of range"),
    });
    Ok(Arc::new(all.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// EXTRACT from an interval: the field of that name.
pub(super) fn part(intervals: &ArrayRef, word: &str) -> Result<ArrayRef> {
    let field = |length: i64, count: i64| {
        move |interval: IntervalMonthDayNano| {
            let units = total_nanos(interval) / (i128::from(length) * i128::from(NANOS_PER_MS));
            i64::try_from(units % i128::from(count)).unwrap_or_default()
        }
    };
    let part: Box<dyn Fn(IntervalMonthDayNano) -> i64> = match word {
        "YEAR" => Box::new(|interval| i64::from(interval.months / 12)),
        "MONTH" => Box::new(|interval| i64::from(interval.months % 12)),
        "DAY" => Box::new(field(MS_PER_DAY, i64::MAX)),
        "HOUR" => Box::new(field(3_600_000, 24)),
        "MINUTE" => Box::new(field(60_000, 60)),
        "SECOND" => Box::new(field(1000, 60)),
        "MILLISECOND" => Box::new(field(1, 1000)),
        _ => return exec_err!("{word} is no part of an INTERVAL: there are YEAR, MONTH, DAY, HOUR, MINUTE and SECOND"),
    };
    Ok(Arc::new(intervals.as_primitive::<IntervalMonthDayNanoType>().unary::<_, Int64Type>(part)))
}
