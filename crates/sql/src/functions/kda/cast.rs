//! `kda_cast(value, 'TYPE')`, the explicit CAST, and `kda_assign(value, 'TYPE')`, the cast of an INSERT, which refuses
//! conversions that KDA wants written out. A value that does not fit its type is an error of its row. With them
//! `kda_not_null(value, 'COLUMN')`, for columns that are NOT NULL.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanArray, Decimal128Array, Float32Array, Float64Array, PrimitiveArray,
    StringBuilder,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, cast};

use super::calendar::{MS_PER_DAY, parse_date, parse_time, parse_timestamp};
use super::definition::{Definition, Given, TIMESTAMP, as_it_is};
use super::exact::{Exact, power};
use super::value::{Value, Values};
use crate::kda::types::KdaType;
use crate::{SqlError, type_name};

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_cast",
        alias: None,
        usage: "CAST(value AS type)",
        takes,
        gives: |given| target(given, castable),
        compute: |arguments| convert(&arguments.column(0)?, KdaType::parse(arguments.word(1)?)?, Excess::Fails),
        simplify,
    },
    Definition {
        name: "kda_assign",
        alias: None,
        usage: "kda_assign(value, 'type')",
        takes,
        gives: |given| target(given, assignable),
        compute: |arguments| convert(&arguments.column(0)?, KdaType::parse(arguments.word(1)?)?, Excess::Fails),
        simplify,
    },
    Definition {
        name: "kda_not_null",
        alias: None,
        usage: "kda_not_null(value, 'column')",
        takes,
        gives: |given| Ok(given.types[0].clone()),
        compute: |arguments| {
            let column = arguments.column(0)?;
            match column.logical_null_count() {
                0 => Ok(column),
                _ => exec_err!("column {} is NOT NULL, and the value is NULL", arguments.word(1)?),
            }
        },
        simplify: as_it_is,
    },
];

fn takes(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [value, DataType::Utf8] => Some(vec![value.clone(), DataType::Utf8]),
        _ => None,
    }
}

/// What a conversion is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Truth,
    Bytes,
    Date,
    Time,
    Timestamp,
    Interval,
    Null,
    Other,
}

impl Family {
    fn of(kind: &DataType) -> Self {
        match kind {
            kind if kind.is_numeric() => Self::Number,
            DataType::Utf8 => Self::Text,
            DataType::Boolean => Self::Truth,
            DataType::Binary => Self::Bytes,
            DataType::Date32 => Self::Date,
            DataType::Time32(_) => Self::Time,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Interval(_) => Self::Interval,
            DataType::Null => Self::Null,
            _ => Self::Other,
        }
    }
}

fn target(given: &Given<'_>, check: fn(&DataType, KdaType) -> Result<()>) -> Result<DataType> {
    let Some(name) = given.text(1) else { return plan_err!("the type of a cast must be written out in quotes") };
    let kind = KdaType::parse(name)?;
    match given.types.first() {
        Some(from) => check(from, kind)?,
        None => return plan_err!("a cast needs a value"),
    }
    Ok(kind.arrow())
}

fn castable(from: &DataType, to: KdaType) -> Result<()> {
    use Family::{Bytes, Date, Interval, Null, Number, Other, Text, Time, Timestamp, Truth};
    let is_possible = match (Family::of(from), Family::of(&to.arrow())) {
        (Other | Interval, _) | (Bytes, Text) => false,
        (Null, _)
        | (_, Text)
        | (Text, Number | Truth | Date | Time | Timestamp)
        | (Date | Time, Timestamp)
        | (Timestamp, Date | Time) => true,
        (one, other) => one == other,
    };
    if is_possible {
        return Ok(());
    }
    let hint = match (Family::of(from), Family::of(&to.arrow())) {
        (Timestamp, Number) => "UNIX_TIMESTAMP(value) gives milliseconds since 1970",
        (Number, Timestamp) => "TO_TIMESTAMP(milliseconds) gives a TIMESTAMP",
        (Interval, _) => "write CAST((a - b) SECOND AS INTEGER) for a number of seconds",
        (Number, Truth) | (Truth, Number) => "write CASE WHEN … THEN … END, or a comparison",
        _ => "there is no such conversion",
    };
    Err(SqlError::new(format!("cannot cast {} to {to}", type_name(from))).hint(hint).into())
}

/// The implicit casts that KDA makes: within a family, and from and to texts.
fn assignable(from: &DataType, to: KdaType) -> Result<()> {
    let (one, other) = (Family::of(from), Family::of(&to.arrow()));
    let is_implicit = one == other
        || matches!((one, other), (Family::Null, _) | (Family::Date, Family::Timestamp))
        || one == Family::Text
        || other == Family::Text;
    if is_implicit {
        return castable(from, to);
    }
    let message = format!("implicit cast of {} to {to}", implicit_name(from));
    let hint = match (one, other) {
        (Family::Timestamp, Family::Number) => "write UNIX_TIMESTAMP(value), which is milliseconds since 1970",
        (Family::Number, Family::Timestamp) => "write TO_TIMESTAMP(milliseconds)",
        (Family::Interval, _) => "write CAST((a - b) SECOND AS INTEGER) for a number of seconds",
        _ => "write CAST(value AS type), or declare the column with the type of the value",
    };
    Err(SqlError::new(message).hint(hint).into())
}

/// KDA's TIMESTAMP has no precision to name.
fn implicit_name(kind: &DataType) -> String {
    if *kind == TIMESTAMP { "TIMESTAMP".to_owned() } else { type_name(kind) }
}

/// Casts that DataFusion's does alike, or that are none.
fn simplify(args: &[Expr], context: &SimplifyContext) -> Result<Option<Expr>> {
    let [value, Expr::Literal(name, _)] = args else { return Ok(None) };
    let Some(Ok(kind)) = name.try_as_str().flatten().map(KdaType::parse) else { return Ok(None) };
    let (from, to) = (context.get_data_type(value)?, kind.arrow());
    let holds_all = !matches!(kind, KdaType::Char(_) | KdaType::VarChar(Some(_)) | KdaType::Binary(_))
        && !matches!(kind, KdaType::VarBinary(Some(_)));
    if from == to && holds_all {
        return Ok(Some(value.clone()));
    }
    let width = |kind: &DataType| kind.primitive_width().unwrap_or_default();
    let is_wider = match (&from, &to) {
        (DataType::Null, _) => true,
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => width(from) < width(to),
        (from, DataType::Float64) => from.is_signed_integer() || *from == DataType::Float32,
        (from, DataType::Float32) => from.is_signed_integer(),
        (DataType::Date32, DataType::Timestamp(..)) => true,
        _ => false,
    };
    Ok(is_wider.then(|| cast(value.clone(), to)))
}

/// What becomes of a text that is longer than its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Fails,
    /// As in the columns of log lines.
    IsCut,
}

/// A column in another type.
pub(super) fn convert(column: &ArrayRef, kind: KdaType, excess: Excess) -> Result<ArrayRef> {
    let values = Values::of(column)?;
    if let (Values::Text(texts), KdaType::VarChar(limit)) = (&values, kind)
        && texts.iter().flatten().all(|text| limit.is_none_or(|limit| text.len() <= limit))
    {
        return Ok(Arc::clone(column));
    }
    let rows = column.len();
    Ok(match kind {
        KdaType::TinyInt => whole::<Int8Type>(&values, rows, kind)?,
        KdaType::SmallInt => whole::<Int16Type>(&values, rows, kind)?,
        KdaType::Integer => whole::<Int32Type>(&values, rows, kind)?,
        KdaType::BigInt => whole::<Int64Type>(&values, rows, kind)?,
        KdaType::Decimal { precision, scale } => {
            let digits = each(&values, rows, |value| decimal(value, kind, precision, scale))?;
            Arc::new(Decimal128Array::from(digits).with_precision_and_scale(precision, scale)?)
        }
        KdaType::Real => Arc::new(Float32Array::from(each(&values, rows, |value| real(value, kind))?)),
        KdaType::Double => Arc::new(Float64Array::from(each(&values, rows, |value| double(value, kind))?)),
        KdaType::Boolean => Arc::new(BooleanArray::from(each(&values, rows, |value| truth(value, kind))?)),
        KdaType::Char(_) | KdaType::VarChar(_) => {
            let mut texts = StringBuilder::with_capacity(rows, rows * 8);
            for row in 0..rows {
                texts.append_option(values.get(row).map(|value| text(value, kind, excess)).transpose()?);
            }
            Arc::new(texts.finish())
        }
        KdaType::Binary(_) | KdaType::VarBinary(_) => {
            let mut all = BinaryBuilder::new();
            for row in 0..rows {
                all.append_option(values.get(row).map(|value| bytes(value, kind)).transpose()?);
            }
            Arc::new(all.finish())
        }
        KdaType::Date => {
            let day = |value: Value<'_>| i32::try_from(date(value)?).map_err(|_| out_of_range(value, kind));
            Arc::new(PrimitiveArray::<Date32Type>::from(each(&values, rows, day)?))
        }
        KdaType::Time => {
            let ms = |value: Value<'_>| i32::try_from(time(value)?).map_err(|_| out_of_range(value, kind));
            Arc::new(PrimitiveArray::<Time32MillisecondType>::from(each(&values, rows, ms)?))
        }
        KdaType::Timestamp => {
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::from(each(&values, rows, timestamp)?))
        }
    })
}

fn each<T>(values: &Values, rows: usize, convert: impl Fn(Value<'_>) -> Result<T>) -> Result<Vec<Option<T>>> {
    (0..rows).map(|row| values.get(row).map(&convert).transpose()).collect()
}

fn whole<T: ArrowPrimitiveType>(values: &Values, rows: usize, kind: KdaType) -> Result<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    let convert =
        |value: Value<'_>| T::Native::try_from(digits(value, 0, kind)?).map_err(|_| out_of_range(value, kind));
    let converted = each(values, rows, convert)?;
    Ok(Arc::new(converted.into_iter().collect::<PrimitiveArray<T>>()))
}

/// A number's digits with so many decimals, rounded half away from zero.
fn digits(value: Value<'_>, scale: u32, kind: KdaType) -> Result<i128> {
    let exact = match value {
        Value::Whole(value) => Some(Exact { digits: value.into(), scale: 0 }),
        Value::Exact(exact) => Some(exact),
        Value::Single(value) if scale == 0 => of_rounded(f64::from(value).round()),
        Value::Double(value) if scale == 0 => of_rounded(value.round()),
        Value::Single(value) => Exact::parse(&format!("{value:e}")),
        Value::Double(value) => Exact::of_float(value),
        Value::Text(text) => Some(Exact::parse(text.trim()).ok_or_else(|| no_such(text, kind))?),
        _ => None,
    };
    exact.and_then(|exact| exact.rounded(scale)).ok_or_else(|| out_of_range(value, kind))
}

#[expect(clippy::cast_possible_truncation, reason = "an i128 takes the nearest it has, which fits into no type")]
fn of_rounded(value: f64) -> Option<Exact> {
    value.is_finite().then_some(Exact { digits: value as i128, scale: 0 })
}

fn decimal(value: Value<'_>, kind: KdaType, precision: u8, scale: i8) -> Result<i128> {
    let digits = digits(value, u32::from(scale.unsigned_abs()), kind)?;
    let fits = power(precision.into()).is_some_and(|limit| digits.abs() < limit);
    if fits { Ok(digits) } else { Err(out_of_range(value, kind)) }
}

#[expect(clippy::cast_precision_loss, reason = "a DOUBLE holds 15 digits of a BIGINT, as in KDA")]
fn double(value: Value<'_>, kind: KdaType) -> Result<f64> {
    match value {
        Value::Whole(value) => Ok(value as f64),
        Value::Single(value) => Ok(value.into()),
        Value::Double(value) => Ok(value),
        Value::Exact(exact) => exact.to_float().ok_or_else(|| out_of_range(value, kind)),
        Value::Text(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(no_such(text, kind)),
        },
        _ => Err(out_of_range(value, kind)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a REAL keeps what it can of a DOUBLE, and too large is checked")]
fn real(value: Value<'_>, kind: KdaType) -> Result<f32> {
    let double = double(value, kind)?;
    let real = double as f32;
    if real.is_infinite() && double.is_finite() { Err(out_of_range(value, kind)) } else { Ok(real) }
}

fn truth(value: Value<'_>, kind: KdaType) -> Result<bool> {
    match value {
        Value::Truth(truth) => Ok(truth),
        Value::Text(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Value::Text(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        Value::Text(text) => Err(no_such(text, kind)),
        _ => Err(out_of_range(value, kind)),
    }
}

/// Blanks at the end are always cut off where they are too many.
fn text(value: Value<'_>, kind: KdaType, excess: Excess) -> Result<String> {
    let mut text = value.print();
    let (KdaType::Char(limit) | KdaType::VarChar(Some(limit))) = kind else { return Ok(text) };
    // Bytes are at least as many as letters, and cheaper to count.
    let length = if text.len() <= limit && text.is_ascii() { text.len() } else { text.chars().count() };
    if length > limit {
        let end = text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end);
        if excess == Excess::Fails && !text[end..].chars().all(|letter| letter == ' ') {
            return exec_err!(
                "'{}' has {length} letters, {kind} holds {limit}; write SUBSTRING(value FROM 1 FOR {limit}), or make the type longer",
                shortened(&text)
            );
        }
        text.truncate(end);
    } else if let KdaType::Char(_) = kind {
        text.extend(std::iter::repeat_n(' ', limit - length));
    }
    Ok(text)
}

fn bytes(value: Value<'_>, kind: KdaType) -> Result<Vec<u8>> {
    let Value::Bytes(bytes) = value else { return Err(out_of_range(value, kind)) };
    let mut bytes = bytes.to_vec();
    match kind {
        KdaType::Binary(limit) | KdaType::VarBinary(Some(limit)) if bytes.len() > limit => {
            return exec_err!("a value has {} bytes, {kind} holds {limit}; make the type longer", bytes.len());
        }
        KdaType::Binary(limit) => bytes.resize(limit, 0),
        _ => {}
    }
    Ok(bytes)
}

fn date(value: Value<'_>) -> Result<i64> {
    match value {
        Value::Day(day) => Ok(day),
        Value::Instant(ms) => Ok(ms.div_euclid(MS_PER_DAY)),
        Value::Text(text) => {
            parse_date(text.trim()).ok_or_else(|| wrong_form(text, KdaType::Date, "yyyy-MM-dd", "CHAR_TO_DATE"))
        }
        _ => Err(out_of_range(value, KdaType::Date)),
    }
}

fn time(value: Value<'_>) -> Result<i64> {
    match value {
        Value::Time(ms) => Ok(ms),
        Value::Instant(ms) => Ok(ms.rem_euclid(MS_PER_DAY)),
        Value::Text(text) => {
            parse_time(text.trim()).ok_or_else(|| wrong_form(text, KdaType::Time, "HH:mm:ss", "CHAR_TO_TIME"))
        }
        _ => Err(out_of_range(value, KdaType::Time)),
    }
}

/// A time alone is one of 1970-01-01.
fn timestamp(value: Value<'_>) -> Result<i64> {
    match value {
        Value::Instant(ms) | Value::Time(ms) => Ok(ms),
        Value::Day(day) => Ok(day * MS_PER_DAY),
        Value::Text(text) => parse_timestamp(text.trim())
            .ok_or_else(|| wrong_form(text, KdaType::Timestamp, "yyyy-MM-dd HH:mm:ss", "CHAR_TO_TIMESTAMP")),
        _ => Err(out_of_range(value, KdaType::Timestamp)),
    }
}

fn out_of_range(value: Value<'_>, kind: KdaType) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("{} does not fit into {kind}; take a wider type", value.print())
}

fn no_such(text: &str, kind: KdaType) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("'{}' is no {kind}", shortened(text))
}

fn wrong_form(text: &str, kind: KdaType, form: &str, function: &str) -> datafusion::error::DataFusionError {
    exec_datafusion_err!(
        "'{}' is no {kind} of the form {form}; write {function}(format, value) for other forms",
        shortened(text)
    )
}

/// As much of a text as a message should hold.
pub(super) fn shortened(text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
