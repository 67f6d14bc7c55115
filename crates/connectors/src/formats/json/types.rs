//! Which column reads which type, and how numbers and times stand in JSON.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use millstream_core::{FormatError, type_name};

use super::column::{self, BooleanColumn, BytesColumn, BytesKind, Column, PrimitiveColumn, Reader};
use super::cursor::{Cursor, Scalar};
use super::nested::{ListColumn, MapColumn, StructColumn};
use super::plain;
use crate::formats::{number, time};

/// What the `json.*` options say about reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) struct Settings {
    /// The unit of timestamps that are numbers.
    pub(in crate::formats) epoch: TimeUnit,
    /// Whether a column that a record does not mention makes the record bad.
    pub(in crate::formats) fail_on_missing_field: bool,
}

/// A column that reads values of `data_type`.
pub(in crate::formats) fn column_for(data_type: &DataType, settings: Settings) -> Result<Box<dyn Column>, FormatError> {
    Ok(match data_type {
        DataType::Boolean => Box::new(BooleanColumn::new(column::boolean)),
        DataType::Int8 => integers::<Int8Type>(data_type),
        DataType::Int16 => integers::<Int16Type>(data_type),
        DataType::Int32 => integers::<Int32Type>(data_type),
        DataType::Int64 => integers::<Int64Type>(data_type),
        DataType::UInt8 => integers::<UInt8Type>(data_type),
        DataType::UInt16 => integers::<UInt16Type>(data_type),
        DataType::UInt32 => integers::<UInt32Type>(data_type),
        DataType::UInt64 => integers::<UInt64Type>(data_type),
        #[expect(clippy::cast_possible_truncation, reason = "a FLOAT column holds the nearest 32-bit number")]
        DataType::Float32 => scalars::<Float32Type>(data_type, |text| {
            number::float(text).map(|value| value as f32).filter(|v| v.is_finite())
        }),
        DataType::Float64 => scalars::<Float64Type>(data_type, number::float),
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            scalars::<Decimal128Type>(data_type, move |text| number::decimal(text, precision, scale))
        }
        DataType::Utf8 => Box::new(BytesColumn::new(BytesKind::Text)),
        DataType::Utf8View => Box::new(BytesColumn::new(BytesKind::TextView)),
        DataType::Binary => Box::new(BytesColumn::new(BytesKind::Binary)),
        DataType::Date32 => texts::<Date32Type>(data_type, time::date),
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(data_type, 1_000_000_000),
        DataType::Time32(_) => times::<Time32MillisecondType>(data_type, 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => times::<Time64MicrosecondType>(data_type, 1000),
        DataType::Time64(_) => times::<Time64NanosecondType>(data_type, 1),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => timestamps::<TimestampSecondType>(data_type, *unit, settings.epoch),
            TimeUnit::Millisecond => timestamps::<TimestampMillisecondType>(data_type, *unit, settings.epoch),
            TimeUnit::Microsecond => timestamps::<TimestampMicrosecondType>(data_type, *unit, settings.epoch),
            TimeUnit::Nanosecond => timestamps::<TimestampNanosecondType>(data_type, *unit, settings.epoch),
        },
        DataType::Struct(fields) => Box::new(StructColumn::new(fields, settings)?),
        DataType::List(item) => Box::new(ListColumn::new(item, settings)?),
        DataType::Map(entries, false) => map(entries, settings)?,
        other => return Err(no_column(other)),
    })
}

fn no_column(data_type: &DataType) -> FormatError {
    FormatError::UnsupportedType { format: "json", column: String::new(), data_type: type_name(data_type) }
}

fn map(entries: &arrow::datatypes::FieldRef, settings: Settings) -> Result<Box<dyn Column>, FormatError> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(no_column(entries.data_type())) };
    let kind = match fields[0].data_type() {
        DataType::Utf8 => BytesKind::Text,
        DataType::Utf8View => BytesKind::TextView,
        other => return Err(no_column(other)),
    };
    Ok(Box::new(MapColumn::new(entries, fields, kind, settings)?))
}

/// Whole numbers, also in quotes.
fn integers<T: ArrowPrimitiveType>(data_type: &DataType) -> Box<dyn Column>
where
    T::Native: TryFrom<i64> + TryFrom<i128>,
{
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Integers { kind: type_name(data_type), scratch: String::new() }))
}

struct Integers {
    kind: String,
    scratch: String,
}

impl<N: TryFrom<i64> + TryFrom<i128>> Reader<N> for Integers {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let (value, end) = plain::integer(text.as_bytes(), at)?;
        Some((N::try_from(value).ok()?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        let out_of_range = |text: &str| format!("`{text}` is out of range for {}", self.kind);
        if let Some(short) = cursor.short_integer() {
            return N::try_from(short).map(Some).map_err(|_| out_of_range(&short.to_string()));
        }
        let text = match cursor.scalar(&mut self.scratch)? {
            Scalar::Null => return Ok(None),
            Scalar::Bool(value) => return Err(format!("expected a whole number, found `{value}`")),
            Scalar::Number(text) | Scalar::Text(text) => text,
        };
        let value = number::integer(text).ok_or_else(|| format!("expected a whole number, found `{text}`"))?;
        N::try_from(value).map(Some).map_err(|_| out_of_range(text))
    }
}

/// Values that stand as numbers or in quotes.
fn scalars<T: ArrowPrimitiveType>(
    data_type: &DataType,
    parse: impl Fn(&str) -> Option<T::Native> + Send + 'static,
) -> Box<dyn Column> {
    let kind = type_name(data_type);
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Scalars { kind, parse, scratch: String::new() }))
}

struct Scalars<P> {
    kind: String,
    parse: P,
    scratch: String,
}

impl<N, P: Fn(&str) -> Option<N> + Send> Reader<N> for Scalars<P> {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let end = plain::number_end(text.as_bytes(), at)?;
        Some(((self.parse)(text.get(at..end)?)?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        let kind = &self.kind;
        match cursor.scalar(&mut self.scratch)? {
            Scalar::Null => Ok(None),
            Scalar::Number(text) | Scalar::Text(text) => {
                (self.parse)(text).map(Some).ok_or_else(|| format!("expected {kind}, found `{text}`"))
            }
            Scalar::Bool(value) => Err(format!("expected {kind}, found `{value}`")),
        }
    }
}

/// Values that stand in quotes.
fn texts<T: ArrowPrimitiveType>(
    data_type: &DataType,
    parse: impl Fn(&str) -> Result<T::Native, String> + Send + 'static,
) -> Box<dyn Column> {
    let kind = type_name(data_type);
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Texts { kind, parse, scratch: String::new() }))
}

struct Texts<P> {
    kind: String,
    parse: P,
    scratch: String,
}

impl<N, P: Fn(&str) -> Result<N, String> + Send> Reader<N> for Texts<P> {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let (text, end) = plain::text(text, at)?;
        Some(((self.parse)(text).ok()?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        let kind = &self.kind;
        match cursor.scalar(&mut self.scratch)? {
            Scalar::Null => Ok(None),
            Scalar::Text(text) => (self.parse)(text).map(Some),
            Scalar::Number(found) => Err(format!("expected {kind} as text, found `{found}`")),
            Scalar::Bool(found) => Err(format!("expected {kind} as text, found `{found}`")),
        }
    }
}

/// Times of day; `unit_ns` is the column's unit.
fn times<T: ArrowPrimitiveType>(data_type: &DataType, unit_ns: i64) -> Box<dyn Column>
where
    T::Native: TryFrom<i64>,
{
    texts::<T>(data_type, move |text| {
        let of_day = time::time_of_day(text)? / unit_ns;
        T::Native::try_from(of_day).map_err(|_| format!("`{text}` is out of range"))
    })
}

/// Points in time: text, or numbers in the unit `epoch`.
fn timestamps<T: ArrowPrimitiveType<Native = i64>>(
    data_type: &DataType,
    unit: TimeUnit,
    epoch: TimeUnit,
) -> Box<dyn Column> {
    let reader = Timestamps { unit, epoch, minute: time::Minute::new(unit), scratch: String::new() };
    Box::new(PrimitiveColumn::<T, _>::new(data_type, reader))
}

struct Timestamps {
    unit: TimeUnit,
    epoch: TimeUnit,
    minute: time::Minute,
    scratch: String,
}

impl Reader<i64> for Timestamps {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(i64, usize)> {
        if let Some((text, end)) = plain::text(text, at) {
            return Some((self.minute.read(text)?, end));
        }
        let (count, end) = plain::integer(text.as_bytes(), at)?;
        (self.unit == self.epoch).then_some((count, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<i64>, String> {
        let Self { unit, epoch, scratch, .. } = self;
        match cursor.scalar(scratch)? {
            Scalar::Null => Ok(None),
            // A number in quotes is long enough not to be a date.
            Scalar::Text(text) if text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                time::epoch(text, *epoch, *unit).map(Some)
            }
            Scalar::Text(text) => time::timestamp(text, *unit).map(Some),
            Scalar::Number(text) => time::epoch(text, *epoch, *unit).map(Some),
            Scalar::Bool(found) => Err(format!("expected a timestamp, found `{found}`")),
        }
    }
}
