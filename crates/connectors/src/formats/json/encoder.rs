//! Rows to JSON: the values as every interface of the product prints them.
//!
//! Numbers as numbers (decimals in plain notation, 64-bit integers in full), timestamps ISO 8601 with milliseconds and
//! `Z` when zoned, BYTES in base64, NULL as null with its key kept, what is not a finite number as null.
//!
//! Tables of a Kinesis Data Analytics application (`kda.types`) print `2026-01-01 00:00:00.000`, as that service did, and
//! binaries in hexadecimal, as its SQL does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow_json::WriterBuilder;
use arrow_json::writer::{Encoder as ValueEncoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_core::{Encoder, FormatError};

use crate::formats::time;

/// Appends one JSON object a row to `out`, each on a line of its own.
///
/// ```
/// # use arrow::array::{Int64Array, RecordBatch};
/// # use std::sync::Arc;
/// let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![Some(1), None])) as _)]).unwrap();
/// let mut out = Vec::new();
/// millstream_connectors::json_rows(&rows, &mut out).unwrap();
/// assert_eq!(out, b"{\"n\":1}\n{\"n\":null}\n");
/// ```
pub fn json_rows(rows: &RecordBatch, out: &mut Vec<u8>) -> Result<(), FormatError> {
    rows_in(Style::Own, rows, out)
}

/// How values are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Own,
    Kda,
}

fn rows_in(style: Style, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<(), FormatError> {
    if rows.num_columns() == 0 {
        (0..rows.num_rows()).for_each(|_| out.extend_from_slice(b"{}\n"));
        return Ok(());
    }
    let factory = Arc::new(Values(style));
    let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(factory);
    let mut writer = builder.build::<_, LineDelimited>(out);
    writer.write(rows)?;
    Ok(())
}

/// Encodes one object a record.
pub(super) struct JsonEncoder {
    pub(super) style: Style,
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Bytes>, FormatError> {
        let mut lines = Vec::new();
        rows_in(self.style, rows, &mut lines)?;
        let lines = Bytes::from(lines);
        let mut payloads = Vec::with_capacity(rows.num_rows());
        let mut start = 0;
        // A line break within a text is escaped: every raw one ends a row.
        for end in memchr::memchr_iter(b'\n', &lines) {
            payloads.push(lines.slice(start..end));
            start = end + 1;
        }
        Ok(payloads)
    }
}

/// The values Arrow prints otherwise than we do.
#[derive(Debug)]
struct Values(Style);

impl EncoderFactory for Values {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn ValueEncoder> = match array.data_type() {
            DataType::Timestamp(_, zone) => {
                let millis = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
                let millis = cast(array, &millis)?.as_primitive::<TimestampMillisecondType>().clone();
                let (separator, ending) = match (self.0, zone) {
                    (Style::Kda, _) => (b' ', ""),
                    (Style::Own, None) => (b'T', ""),
                    (Style::Own, Some(_)) => (b'T', "Z"),
                };
                Box::new(Timestamps { millis, separator, ending })
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                let bytes = cast(array, &DataType::LargeBinary)?;
                match self.0 {
                    Style::Own => Box::new(Base64(bytes)),
                    Style::Kda => Box::new(Hexadecimal(bytes)),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Timestamps {
    millis: TimestampMillisecondArray,
    separator: u8,
    ending: &'static str,
}

impl ValueEncoder for Timestamps {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        time::write_timestamp(self.millis.value(row), self.separator, out);
        out.extend_from_slice(self.ending.as_bytes());
        out.push(b'"');
    }
}

struct Base64(ArrayRef);

impl ValueEncoder for Base64 {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let text = STANDARD.encode(self.0.as_binary::<i64>().value(row));
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

struct Hexadecimal(ArrayRef);

impl ValueEncoder for Hexadecimal {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.push(b'"');
        for byte in self.0.as_binary::<i64>().value(row) {
            out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        out.push(b'"');
    }
}
