//! JSON values in the columns of a Kinesis Data Analytics application: the service's coercions, as its developer guide
//! has them ("Mapping JSON Data Types to SQL Data Types").
//!
//! A number that a column cannot hold exactly is an error, while a text that is too long is cut without a word. Texts
//! become numbers where they spell one. Numbers never become times. An array or object is its own text, and nothing else.

use std::num::NonZeroUsize;

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, TimeUnit, TimestampMillisecondType,
};
use arrow::error::ArrowError;

use super::column::{BooleanColumn, BytesColumn, BytesKind, Column, Fault, PrimitiveColumn, Reader};
use super::cursor::{Cursor, Scalar};
use super::plain::{self, End};
use crate::formats::kda::KdaType;
use crate::formats::{number, time};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// A column that reads values of `kind` into those of its field, which can hold them.
pub(super) fn column_for(kind: KdaType, field: &FieldRef) -> Box<dyn Column> {
    let data_type = field.data_type();
    match kind {
        KdaType::TinyInt => integers::<Int8Type>(kind, data_type),
        KdaType::SmallInt => integers::<Int16Type>(kind, data_type),
        KdaType::Integer => integers::<Int32Type>(kind, data_type),
        KdaType::BigInt => integers::<Int64Type>(kind, data_type),
        #[expect(clippy::cast_possible_truncation, reason = "a REAL column holds the nearest 32-bit number")]
        KdaType::Real => numbers::<Float32Type>(kind, data_type, |text| {
            number::float(text).map(|value| value as f32).filter(|value| value.is_finite())
        }),
        KdaType::Double => numbers::<Float64Type>(kind, data_type, number::float),
        KdaType::Decimal { precision, scale } => {
            numbers::<Decimal128Type>(kind, data_type, move |text| number::exact_decimal(text, precision, scale))
        }
        KdaType::Boolean => Box::new(BooleanColumn::new(boolean)),
        KdaType::Character { length, is_padded } => {
            let kind = if *data_type == DataType::Utf8View { BytesKind::TextView } else { BytesKind::Text };
            let texts = BytesColumn::new(kind);
            Box::new(CharacterColumn { texts, fit: Fit { length, is_padded }, scratch: String::new() })
        }
        KdaType::Binary { length, is_padded } => {
            let bytes = BytesColumn::new(BytesKind::Binary);
            Box::new(BinaryColumn { bytes, fit: Fit { length, is_padded }, kind, scratch: String::new() })
        }
        KdaType::Date => times::<Date32Type>(kind, data_type, date),
        KdaType::Time => times::<Time32MillisecondType>(kind, data_type, time_of_day),
        KdaType::Timestamp => {
            let minute = time::Minute::new(TimeUnit::Millisecond);
            let reader = Timestamps { minute, scratch: String::new() };
            Box::new(PrimitiveColumn::<TimestampMillisecondType, _>::new(data_type, reader))
        }
    }
}

/// Takes a value that is not an array or object: these have no place but in texts.
fn scalar<'s, 'a: 's>(cursor: &mut Cursor<'a>, scratch: &'s mut String, kind: KdaType) -> Result<Scalar<'s>, String> {
    if matches!(cursor.next_token(), Some(b'{' | b'[')) {
        let text = cursor.skip(scratch)?;
        return Err(refused(text, kind));
    }
    cursor.scalar(scratch)
}

#[cold]
fn refused(value: &str, kind: KdaType) -> String {
    let hint = match kind {
        KdaType::Timestamp => ": it takes texts such as '2026-01-31 12:30:00.123'",
        KdaType::Date => ": it takes texts such as '2026-01-31'",
        KdaType::Time => ": it takes texts such as '12:30:00'",
        KdaType::Binary { .. } => ": it takes texts such as `X'3F67'` that are no longer, true and false",
        KdaType::TinyInt | KdaType::SmallInt | KdaType::Integer | KdaType::BigInt => {
            ": it takes whole numbers in range"
        }
        KdaType::Decimal { .. } => ": it takes numbers of no more digits",
        KdaType::Real | KdaType::Double | KdaType::Boolean | KdaType::Character { .. } => "",
    };
    format!("`{value}` cannot become {kind}{hint}")
}

/// A value as it stands, and the number that it spells or stands for; `None`: it is null.
fn digits(value: Scalar<'_>) -> Option<(&str, &str)> {
    match value {
        Scalar::Null => None,
        Scalar::Bool(true) => Some(("true", "1")),
        Scalar::Bool(false) => Some(("false", "0")),
        Scalar::Number(text) => Some((text, text)),
        Scalar::Text(text) => {
            let digits = text.trim();
            let unsigned = digits.strip_prefix('+').filter(|rest| !rest.starts_with('-'));
            Some((text, unsigned.unwrap_or(digits)))
        }
    }
}

fn integers<T: ArrowPrimitiveType>(kind: KdaType, data_type: &DataType) -> Box<dyn Column>
where
    T::Native: TryFrom<i64> + TryFrom<i128>,
{
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Integers { kind, scratch: String::new() }))
}

struct Integers {
    kind: KdaType,
    scratch: String,
}

impl<N: TryFrom<i64> + TryFrom<i128>> Reader<N> for Integers {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let (value, end) = plain::integer(text.as_bytes(), at)?;
        Some((N::try_from(value).ok()?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        let value = scalar(cursor, &mut self.scratch, self.kind)?;
        let Some((text, digits)) = digits(value) else { return Ok(None) };
        let value = number::integer(digits).and_then(|value| N::try_from(value).ok());
        value.map(Some).ok_or_else(|| refused(text, self.kind))
    }
}

fn numbers<T: ArrowPrimitiveType>(
    kind: KdaType,
    data_type: &DataType,
    parse: impl Fn(&str) -> Option<T::Native> + Send + 'static,
) -> Box<dyn Column> {
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Numbers { kind, parse, scratch: String::new() }))
}

/// Numbers that are not whole.
struct Numbers<P> {
    kind: KdaType,
    parse: P,
    scratch: String,
}

impl<N, P: Fn(&str) -> Option<N> + Send> Reader<N> for Numbers<P> {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let end = plain::number_end(text.as_bytes(), at)?;
        Some(((self.parse)(text.get(at..end)?)?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        let value = scalar(cursor, &mut self.scratch, self.kind)?;
        let Some((text, digits)) = digits(value) else { return Ok(None) };
        (self.parse)(digits).map(Some).ok_or_else(|| refused(text, self.kind))
    }
}

/// Of texts, all but `true` are false; of numbers, all but 0 are true.
fn boolean(cursor: &mut Cursor<'_>, scratch: &mut String) -> Result<Option<bool>, String> {
    Ok(match scalar(cursor, scratch, KdaType::Boolean)? {
        Scalar::Null => None,
        Scalar::Bool(value) => Some(value),
        Scalar::Text(text) => Some(text.eq_ignore_ascii_case("true")),
        // One that is too large for a float is not 0, either.
        Scalar::Number(text) => Some(number::float(text) != Some(0.0)),
    })
}

fn times<T: ArrowPrimitiveType>(
    kind: KdaType,
    data_type: &DataType,
    parse: fn(&str) -> Option<T::Native>,
) -> Box<dyn Column> {
    Box::new(PrimitiveColumn::<T, _>::new(data_type, Times { kind, parse, scratch: String::new() }))
}

/// Dates and times of day.
struct Times<N> {
    kind: KdaType,
    parse: fn(&str) -> Option<N>,
    scratch: String,
}

impl<N> Reader<N> for Times<N> {
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)> {
        let (text, end) = plain::text(text, at)?;
        Some(((self.parse)(text)?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String> {
        in_time(cursor, &mut self.scratch, self.kind, self.parse)
    }
}

struct Timestamps {
    minute: time::Minute,
    scratch: String,
}

impl Reader<i64> for Timestamps {
    #[inline]
    fn common(&mut self, text: &str, at: usize) -> Option<(i64, usize)> {
        let (text, end) = plain::text(text, at)?;
        Some((self.minute.read(text)?, end))
    }

    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<i64>, String> {
        in_time(cursor, &mut self.scratch, KdaType::Timestamp, timestamp)
    }
}

/// Takes a text as a time of some kind.
fn in_time<N>(
    cursor: &mut Cursor<'_>,
    scratch: &mut String,
    kind: KdaType,
    parse: fn(&str) -> Option<N>,
) -> Result<Option<N>, String> {
    match scalar(cursor, scratch, kind)? {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => parse(text.trim()).map(Some).ok_or_else(|| refused(text, kind)),
        Scalar::Number(text) => Err(refused(text, kind)),
        Scalar::Bool(value) => Err(refused(if value { "true" } else { "false" }, kind)),
    }
}

/// Besides the form in the guide, those of ISO 8601: the guide's own producers send them.
fn timestamp(text: &str) -> Option<i64> {
    time::timestamp(text, TimeUnit::Millisecond).ok()
}

fn date(text: &str) -> Option<i32> {
    time::date(text).ok().or_else(|| i32::try_from(timestamp(text)?.div_euclid(MILLIS_PER_DAY)).ok())
}

fn time_of_day(text: &str) -> Option<i32> {
    let of_day = match time::time_of_day(text) {
        Ok(nanos) => nanos / 1_000_000,
        // A date alone has no time of day.
        Err(_) => timestamp(text).filter(|_| text.contains(':'))?.rem_euclid(MILLIS_PER_DAY),
    };
    i32::try_from(of_day).ok()
}

/// How long values are.
#[derive(Clone, Copy)]
struct Fit {
    /// In characters or bytes.
    length: usize,
    is_padded: bool,
}

impl Fit {
    /// Appends a text, cut to the length, and filled up to it where that is asked for.
    #[inline]
    fn push(self, texts: &mut BytesColumn, text: &str) -> Result<(), String> {
        if self.is_padded {
            return texts.push(format!("{text:<length$.length$}", length = self.length).as_bytes());
        }
        if text.len() <= self.length {
            return texts.push(text.as_bytes());
        }
        let end = text.char_indices().nth(self.length).map_or(text.len(), |(at, _)| at);
        texts.push(&text.as_bytes()[..end])
    }
}

/// A CHAR or VARCHAR column: takes every value.
struct CharacterColumn {
    texts: BytesColumn,
    fit: Fit,
    scratch: String,
}

impl Column for CharacterColumn {
    fn len(&self) -> usize {
        self.texts.len()
    }

    #[inline]
    fn take(&mut self, text: &str, at: usize, keep: bool) -> End {
        let (plain, end) = plain::text(text, at)?;
        if keep {
            self.fit.push(&mut self.texts, plain).ok()?;
        }
        NonZeroUsize::new(end)
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let text = match cursor.next_token() {
            Some(b'"') => cursor.text(&mut self.scratch)?,
            _ if cursor.null() => {
                self.append_null();
                return Ok(false);
            }
            _ => cursor.skip(&mut self.scratch)?,
        };
        self.fit.push(&mut self.texts, text)?;
        Ok(true)
    }

    fn append_null(&mut self) {
        self.texts.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.texts.truncate(len);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.texts.finish()
    }
}

/// A BINARY or VARBINARY column: takes texts that are binary literals, and booleans as their lowest bit.
struct BinaryColumn {
    bytes: BytesColumn,
    fit: Fit,
    kind: KdaType,
    scratch: String,
}

impl Column for BinaryColumn {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let Fit { length, is_padded } = self.fit;
        let mut value = match scalar(cursor, &mut self.scratch, self.kind)? {
            Scalar::Null => {
                self.append_null();
                return Ok(false);
            }
            Scalar::Bool(value) => {
                let mut bytes = vec![0; if is_padded { length } else { 1 }];
                if let Some(lowest) = bytes.last_mut() {
                    *lowest = u8::from(value);
                }
                bytes
            }
            Scalar::Text(text) => match literal(text).filter(|bytes| bytes.len() <= length) {
                Some(bytes) => bytes,
                None => return Err(refused(text, self.kind).into()),
            },
            Scalar::Number(text) => return Err(refused(text, self.kind).into()),
        };
        if is_padded {
            value.resize(length, 0);
        }
        self.bytes.push(&value)?;
        Ok(true)
    }

    fn append_null(&mut self) {
        self.bytes.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.bytes.finish()
    }
}

/// The bytes of `X'3F67'`.
fn literal(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().strip_prefix(['x', 'X'])?.strip_prefix('\'')?.strip_suffix('\'')?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
pub(super) mod tests;
