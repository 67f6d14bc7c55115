//! Times: STEP, FLOOR and CEIL to a unit, EXTRACT, TSDIFF, and milliseconds since 1970.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, Time32MillisecondArray, TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, IntervalMonthDayNanoType, Time32MillisecondType, TimestampMillisecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, cast as cast_expr};

use super::calendar::{Date, MS_PER_DAY, day_of_year, weekday};
use super::cast::{Excess, convert};
use super::definition::{Arguments, Definition, Given, INTERVAL, TIMESTAMP, as_it_is};
use super::number::{ceil_number, floor_number, step_number};
use super::unit::Unit;
use crate::kda::types::KdaType;

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_step",
        alias: Some("step"),
        usage: "STEP(time BY INTERVAL '10' SECOND) or STEP(number BY step)",
        takes: |given| match given {
            [time @ (DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_)), DataType::Interval(_)] => {
                Some(vec![time.clone(), INTERVAL])
            }
            [DataType::Null, DataType::Interval(_)] => Some(vec![TIMESTAMP, INTERVAL]),
            [number, size] if number.is_numeric() && size.is_numeric() => {
                let as_number = super::definition::wider(number, size);
                Some(vec![as_number.clone(), as_number])
            }
            _ => None,
        },
        gives: first_type,
        compute: step,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_floor",
        alias: None,
        usage: "FLOOR(time TO unit), with SECOND, MINUTE, HOUR, DAY, MONTH or YEAR, or FLOOR(number)",
        takes: takes_time_or_number,
        gives: first_type,
        compute: |arguments| match arguments.len() {
            1 => Ok(floor_number(&arguments.column(0)?)),
            _ => rounded(arguments, Unit::floor),
        },
        simplify: whole_numbers_stay,
    },
    Definition {
        name: "kda_ceil",
        alias: None,
        usage: "CEIL(time TO unit), with SECOND, MINUTE, HOUR, DAY, MONTH or YEAR, or CEIL(number)",
        takes: takes_time_or_number,
        gives: first_type,
        compute: |arguments| match arguments.len() {
            1 => Ok(ceil_number(&arguments.column(0)?)),
            _ => rounded(arguments, Unit::ceil),
        },
        simplify: whole_numbers_stay,
    },
    Definition {
        name: "kda_extract",
        alias: None,
        usage: "EXTRACT(unit FROM time), with YEAR, QUARTER, MONTH, WEEK, DAY, DOW, DOY, HOUR, MINUTE, SECOND, MILLISECOND or EPOCH",
        takes: |given| match given {
            [DataType::Utf8, DataType::Null | DataType::Date32] => Some(vec![DataType::Utf8, TIMESTAMP]),
            [DataType::Utf8, time @ (DataType::Timestamp(..) | DataType::Time32(_) | DataType::Interval(_))] => {
                Some(vec![DataType::Utf8, time.clone()])
            }
            _ => None,
        },
        gives: |_| Ok(DataType::Int64),
        compute: extract,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_tsdiff",
        alias: Some("tsdiff"),
        usage: "TSDIFF(start, end), of two TIMESTAMPs",
        takes: |given| match given {
            [one, other] if is_instant(one) && is_instant(other) => Some(vec![TIMESTAMP, TIMESTAMP]),
            _ => None,
        },
        gives: |_| Ok(DataType::Int64),
        compute: |arguments| {
            let (starts, ends) = (ms_column(arguments, 0)?, ms_column(arguments, 1)?);
            Ok(arrow::compute::kernels::numeric::sub(&ends, &starts)?)
        },
        simplify: as_it_is,
    },
    Definition {
        name: "kda_unix_timestamp",
        alias: None,
        usage: "UNIX_TIMESTAMP(timestamp), which is milliseconds since 1970",
        takes: |given| match given {
            [time] if is_instant(time) => Some(vec![TIMESTAMP]),
            _ => None,
        },
        gives: |_| Ok(DataType::Int64),
        compute: |arguments| Ok(Arc::new(ms_column(arguments, 0)?)),
        simplify: |args, _| Ok(args.first().map(|time| cast_expr(time.clone(), DataType::Int64))),
    },
    Definition {
        name: "kda_to_timestamp",
        alias: None,
        usage: "TO_TIMESTAMP(milliseconds), a BIGINT since 1970",
        takes: |given| match given {
            [number] if number.is_integer() || number.is_null() => Some(vec![DataType::Int64]),
            [number] if number.is_numeric() => Some(vec![number.clone()]),
            _ => None,
        },
        gives: |_| Ok(TIMESTAMP),
        compute: |arguments| {
            let whole = convert(&arguments.column(0)?, KdaType::BigInt, Excess::Fails)?;
            Ok(cast(&whole, &TIMESTAMP)?)
        },
        simplify: |args, context| match args {
            [number] if context.get_data_type(number)? == DataType::Int64 => {
                Ok(Some(cast_expr(number.clone(), TIMESTAMP)))
            }
            _ => Ok(None),
        },
    },
];

fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Null)
}

fn takes_time_or_number(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [number] if number.is_numeric() => Some(given.to_vec()),
        [DataType::Null] => Some(vec![DataType::Float64]),
        [
            time @ (DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Interval(_)),
            DataType::Utf8,
        ] => Some(vec![time.clone(), DataType::Utf8]),
        [DataType::Null, DataType::Utf8] => Some(vec![TIMESTAMP, DataType::Utf8]),
        _ => None,
    }
}

fn first_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.first() {
        Some(kind) => Ok((*kind).clone()),
        None => plan_err!("a value is missing"),
    }
}

fn whole_numbers_stay(args: &[Expr], context: &SimplifyContext) -> Result<Option<Expr>> {
    match args {
        [number] if context.get_data_type(number)?.is_integer() => Ok(Some(number.clone())),
        _ => Ok(None),
    }
}

fn ms_column(arguments: &Arguments<'_>, index: usize) -> Result<Int64Array> {
    Ok(cast(&arguments.column(index)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Every time by a function of its milliseconds, in its own type.
fn map_times(times: &ArrayRef, mut apply: impl FnMut(usize, i64) -> Result<Option<i64>>) -> Result<ArrayRef> {
    let mut each = |row: usize, ms: Option<i64>| match ms {
        None => Ok(None),
        Some(ms) => apply(row, ms),
    };
    let within = |ms: i64| i32::try_from(ms).map_err(|_| exec_datafusion_err!("a time is out of range"));
    Ok(match times.data_type() {
        DataType::Date32 => {
            let days = times.as_primitive::<Date32Type>().iter().enumerate();
            let days = days.map(|(row, day)| {
                let ms = each(row, day.map(|day| i64::from(day) * MS_PER_DAY))?;
                ms.map(|ms| within(ms.div_euclid(MS_PER_DAY))).transpose()
            });
            Arc::new(days.collect::<Result<Date32Array>>()?)
        }
        DataType::Time32(_) => {
            let all = times.as_primitive::<Time32MillisecondType>().iter().enumerate();
            // The end of the day is the start of the next.
            let all = all
                .map(|(row, ms)| each(row, ms.map(i64::from))?.map(|ms| within(ms.rem_euclid(MS_PER_DAY))).transpose());
            Arc::new(all.collect::<Result<Time32MillisecondArray>>()?)
        }
        _ => {
            let all = times.as_primitive::<TimestampMillisecondType>().iter().enumerate();
            Arc::new(all.map(|(row, ms)| each(row, ms)).collect::<Result<TimestampMillisecondArray>>()?)
        }
    })
}

/// Down to a multiple of an interval, counted from 1970; one of months, from January 1970.
fn step(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (values, sizes) = (arguments.column(0)?, arguments.column(1)?);
    if values.data_type().is_numeric() {
        return step_number(&values, &sizes);
    }
    let sizes = sizes.as_primitive::<IntervalMonthDayNanoType>();
    map_times(&values, |row, ms| {
        if sizes.is_null(row) {
            return Ok(None);
        }
        let size = sizes.value(row);
        let length = i64::from(size.days) * MS_PER_DAY + size.nanoseconds / 1_000_000;
        let months = i64::from(size.months);
        match (months, length) {
            (0, 1..) => Ok(Some(ms - ms.rem_euclid(length))),
            (1.., 0) => {
                let Date { year, month, .. } = Date::of_day(ms.div_euclid(MS_PER_DAY));
                let since_1970 = ((year - 1970) * 12 + month - 1).div_euclid(months) * months;
                Ok(Some(Date { year: 1970, month: since_1970 + 1, day: 1 }.day_number() * MS_PER_DAY))
            }
            _ => exec_err!("STEP goes by an INTERVAL longer than nothing, such as INTERVAL '10' SECOND"),
        }
    })
}

fn rounded(arguments: &Arguments<'_>, round: fn(Unit, i64) -> i64) -> Result<ArrayRef> {
    let unit = Unit::parse(arguments.word(1)?)?;
    let values = arguments.column(0)?;
    if let DataType::Interval(_) = values.data_type() {
        return super::interval::rounded(&values, unit, round);
    }
    map_times(&values, |_, ms| Ok(Some(round(unit, ms))))
}

fn extract(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (word, times) = (arguments.word(0)?.to_ascii_uppercase(), arguments.column(1)?);
    if let DataType::Interval(_) = times.data_type() {
        return super::interval::part(&times, &word);
    }
    let part = part(&word)?;
    Ok(Arc::new(match times.data_type() {
        DataType::Time32(_) => {
            let ms = times.as_primitive::<Time32MillisecondType>();
            ms.iter().map(|ms| Some(part(i64::from(ms?)))).collect::<Int64Array>()
        }
        _ => times.as_primitive::<TimestampMillisecondType>().unary::<_, Int64Type>(part),
    }))
}

/// Days of the week count from 1, Sunday; weeks are those of ISO 8601.
fn part(word: &str) -> Result<fn(i64) -> i64> {
    fn date(ms: i64) -> Date {
        Date::of_day(ms.div_euclid(MS_PER_DAY))
    }
    fn within(ms: i64, length: i64, count: i64) -> i64 {
        ms.div_euclid(length).rem_euclid(count)
    }
    Ok(match word {
        "YEAR" => |ms| date(ms).year,
        "QUARTER" => |ms| (date(ms).month - 1) / 3 + 1,
        "MONTH" => |ms| date(ms).month,
        "WEEK" => |ms| iso_week(ms.div_euclid(MS_PER_DAY)),
        "DAY" => |ms| date(ms).day,
        "DOW" | "DAYOFWEEK" => |ms| weekday(ms.div_euclid(MS_PER_DAY)) + 1,
        "DOY" | "DAYOFYEAR" => |ms| day_of_year(ms.div_euclid(MS_PER_DAY)),
        "HOUR" => |ms| within(ms, 3_600_000, 24),
        "MINUTE" => |ms| within(ms, 60_000, 60),
        "SECOND" => |ms| within(ms, 1000, 60),
        "MILLISECOND" => |ms| within(ms, 1, 1000),
        "EPOCH" => |ms| ms.div_euclid(1000),
        _ => {
            return exec_err!(
                "{word} is no part of a time: there are YEAR, QUARTER, MONTH, WEEK, DAY, DOW, DOY, HOUR, MINUTE, SECOND, MILLISECOND and EPOCH"
            );
        }
    })
}

/// The week of the year's Thursday that is in the same week.
fn iso_week(day: i64) -> i64 {
    let thursday = day - (weekday(day) + 6) % 7 + 3;
    (day_of_year(thursday) - 1) / 7 + 1
}
