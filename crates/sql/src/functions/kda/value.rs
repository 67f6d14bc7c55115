//! One value of a column of any type, and how KDA prints it.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int64Array, IntervalMonthDayNanoArray, StringArray, Time32MillisecondArray, TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, Time32MillisecondType, TimestampMillisecondType,
};
use datafusion::common::{Result, exec_err};

use super::calendar::{print_date, print_time, print_timestamp};
use super::definition::{INTERVAL, TIME, TIMESTAMP};
use super::exact::Exact;
use crate::type_name;

#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Whole(i64),
    Exact(Exact),
    Single(f32),
    Double(f64),
    Truth(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Days since 1970.
    Day(i64),
    /// Milliseconds since midnight.
    Time(i64),
    /// Milliseconds since 1970.
    Instant(i64),
    Interval(IntervalMonthDayNano),
}

/// A column, read value by value.
pub(super) enum Values {
    Whole(Int64Array),
    Exact(Decimal128Array),
    Single(Float32Array),
    Double(Float64Array),
    Truth(BooleanArray),
    Text(StringArray),
    Bytes(BinaryArray),
    Day(Date32Array),
    Time(Time32MillisecondArray),
    Instant(TimestampMillisecondArray),
    Interval(IntervalMonthDayNanoArray),
    Null,
}

impl Values {
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        let converted = |to: &DataType| cast(column, to);
        Ok(match column.data_type() {
            kind if kind.is_integer() => Self::Whole(converted(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            DataType::Decimal128(..) => Self::Exact(column.as_primitive::<Decimal128Type>().clone()),
            DataType::Float32 => Self::Single(column.as_primitive::<Float32Type>().clone()),
            DataType::Float64 => Self::Double(column.as_primitive::<Float64Type>().clone()),
            DataType::Boolean => Self::Truth(column.as_boolean().clone()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(converted(&DataType::Utf8)?.as_string::<i32>().clone())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                Self::Bytes(converted(&DataType::Binary)?.as_binary::<i32>().clone())
            }
            DataType::Date32 => Self::Day(column.as_primitive::<Date32Type>().clone()),
            DataType::Time32(_) | DataType::Time64(_) => {
                Self::Time(converted(&TIME)?.as_primitive::<Time32MillisecondType>().clone())
            }
            DataType::Timestamp(..) => {
                Self::Instant(converted(&TIMESTAMP)?.as_primitive::<TimestampMillisecondType>().clone())
            }
            DataType::Interval(_) | DataType::Duration(_) => {
                Self::Interval(converted(&INTERVAL)?.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            DataType::Null => Self::Null,
            other => return exec_err!("a value of type {} is not converted", type_name(other)),
        })
    }

    /// `None` is NULL.
    pub(super) fn get(&self, row: usize) -> Option<Value<'_>> {
        Some(match self {
            Self::Whole(values) => Value::Whole(values.is_valid(row).then(|| values.value(row))?),
            Self::Exact(values) => Value::Exact(Exact {
                digits: values.is_valid(row).then(|| values.value(row))?,
                scale: u32::from(values.scale().unsigned_abs()),
            }),
            Self::Single(values) => Value::Single(values.is_valid(row).then(|| values.value(row))?),
            Self::Double(values) => Value::Double(values.is_valid(row).then(|| values.value(row))?),
            Self::Truth(values) => Value::Truth(values.is_valid(row).then(|| values.value(row))?),
            Self::Text(values) => Value::Text(values.is_valid(row).then(|| values.value(row))?),
            Self::Bytes(values) => Value::Bytes(values.is_valid(row).then(|| values.value(row))?),
            Self::Day(values) => Value::Day(i64::from(values.is_valid(row).then(|| values.value(row))?)),
            Self::Time(values) => Value::Time(i64::from(values.is_valid(row).then(|| values.value(row))?)),
            Self::Instant(values) => Value::Instant(values.is_valid(row).then(|| values.value(row))?),
            Self::Interval(values) => Value::Interval(values.is_valid(row).then(|| values.value(row))?),
            Self::Null => return None,
        })
    }
}

impl Value<'_> {
    /// As CAST to VARCHAR prints it.
    pub(super) fn print(self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Exact(value) => value.print(),
            Self::Single(value) => print_float(f64::from(value), &format!("{value:e}")),
            Self::Double(value) => print_float(value, &format!("{value:e}")),
            Self::Truth(value) => (if value { "TRUE" } else { "FALSE" }).to_owned(),
            Self::Text(value) => value.to_owned(),
            Self::Bytes(value) => value.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hexadecimal).collect(),
            Self::Day(value) => print_date(value),
            Self::Time(value) => print_time(value),
            Self::Instant(value) => print_timestamp(value),
            Self::Interval(value) => format!("{value:?}"),
        }
    }
}

fn hexadecimal(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

/// A float as Java prints it: `72.0`, and `1.0E10` when it is below a thousandth or from ten millions. `shortest` has the
/// fewest digits that read as this float, in the form `1.5e1`.
fn print_float(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned();
    }
    let is_plain = value == 0.0 || (1e-3..1e7).contains(&value.abs());
    let with_point = |text: &str| if text.contains('.') { text.to_owned() } else { format!("{text}.0") };
    match shortest.split_once('e') {
        Some((mantissa, exponent)) if !is_plain => format!("{}E{exponent}", with_point(mantissa)),
        _ => match Exact::parse(shortest) {
            Some(exact) if value != 0.0 => with_point(&exact.print()),
            _ => (if value.is_sign_negative() { "-0.0" } else { "0.0" }).to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_printed_as_java_prints_them() {
        for (value, printed) in [
            (72.0, "72.0"),
            (0.0, "0.0"),
            (-0.5, "-0.5"),
            (0.001, "0.001"),
            (0.00012, "1.2E-4"),
            (1_234_567.25, "1234567.25"),
            (1e7, "1.0E7"),
            (-1.5e300, "-1.5E300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Value::Double(value).print(), printed);
        }
        assert_eq!(Value::Single(0.1).print(), "0.1");
    }
}
