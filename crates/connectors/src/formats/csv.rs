//! The format `csv`: one line a record, fields in the order of the columns (RFC 4180).
//!
//! A field is read as the JSON text of the same characters would be: the same numbers, timestamps and reasons. A field
//! that equals `csv.null-literal` is null; without that option an empty field is null in every column but STRING.
//!
//! Tables of a Kinesis Data Analytics application (`kda.types`) read CSV as that service did: see `delimited`.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use millstream_core::{
    Chunk, Decoded, Decoder, Encoder, FormatError, OptionError, OptionReader, Rejected, TableDecl, type_name,
};

use super::delimited::{self, Delimiters};
use super::json::{self, Column, Cursor, Settings, reason};
use super::kda;

/// Largest part of a field that csv-core is given room for at first; it grows.
const FIELD_BYTES: usize = 256;

/// How lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dialect {
    delimiter: u8,
    quote: u8,
    null_literal: Option<String>,
}

/// Checks the options and makes a decoder.
pub(super) fn decoder(table: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Decoder>, OptionError> {
    if let Some(types) = kda::types(table, options)? {
        return delimited::decoder(table, &types, options);
    }
    let dialect = read(table, options)?;
    let settings = Settings { epoch: TimeUnit::Millisecond, fail_on_missing_field: false };
    let columns = json::columns(table, None, settings)?;
    let reader = FieldReader::of(&dialect);
    Ok(Box::new(CsvDecoder { schema: table.schema.clone(), dialect, columns, reader }))
}

/// Checks the options and makes an encoder.
pub(super) fn encoder(table: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Encoder>, OptionError> {
    let encoder = match kda::types(table, options)? {
        Some(_) => CsvEncoder::like_kda(Delimiters::read(options)?),
        None => CsvEncoder::new(read(table, options)?),
    };
    Ok(Box::new(encoder))
}

/// The quote of a table's lines; for those who look for their ends.
pub(crate) fn quote_and_delimiter(table: &TableDecl, options: &OptionReader<'_>) -> Result<(u8, u8), OptionError> {
    read(table, options).map(|dialect| (dialect.quote, dialect.delimiter))
}

fn read(table: &TableDecl, options: &OptionReader<'_>) -> Result<Dialect, OptionError> {
    if let Some(field) = table.schema.fields().iter().find(|field| field.data_type().is_nested()) {
        let (name, kind) = (field.name(), field.data_type());
        let message = format!(
            "'csv' cannot hold column `{name}` of type {}; use 'json', or leave the column out",
            type_name(kind)
        );
        return Err(OptionError::new("format", message));
    }
    let delimiter = one_byte(options, "csv.field-delimiter", b',')?;
    let quote = quote_character(options)?;
    Ok(Dialect { delimiter, quote, null_literal: options.get("csv.null-literal").map(ToOwned::to_owned) })
}

pub(super) fn quote_character(options: &OptionReader<'_>) -> Result<u8, OptionError> {
    one_byte(options, "csv.quote-character", b'"')
}

fn one_byte(options: &OptionReader<'_>, key: &str, default: u8) -> Result<u8, OptionError> {
    match options.get(key).map(str::as_bytes) {
        None => Ok(default),
        Some(b"\\t") => Ok(b'\t'),
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        Some(other) => {
            let found = String::from_utf8_lossy(other).into_owned();
            Err(OptionError::new(key, format!("`{found}` given, expected one ASCII character or \\t")))
        }
    }
}

struct CsvDecoder {
    schema: SchemaRef,
    dialect: Dialect,
    columns: Vec<Box<dyn Column>>,
    reader: FieldReader,
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let (mut rows, mut kept, mut rejected) = (0, Vec::with_capacity(chunk.len()), Vec::new());
        for index in 0..chunk.len() {
            let record = u32::try_from(index).unwrap_or(u32::MAX);
            match self.record(chunk.data.value(index)) {
                Ok(()) => {
                    rows += 1;
                    kept.push(record);
                }
                Err(reason) => {
                    self.columns.iter_mut().for_each(|column| column.truncate(rows));
                    rejected.push(Rejected { record, reason });
                }
            }
        }
        let columns = self.columns.iter_mut().map(|column| column.finish()).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        Ok(Decoded { rows, records: (!rejected.is_empty()).then_some(kept), rejected })
    }
}

impl CsvDecoder {
    fn record(&mut self, record: &[u8]) -> Result<(), String> {
        let fields = self.reader.split(record)?;
        if fields != self.columns.len() {
            return Err(format!("expected {} fields, found {fields}", self.columns.len()));
        }
        let (mut start, mut quoted) = (0, String::new());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let end = self.reader.ends[index];
            let field = self.schema.field(index);
            let text = std::str::from_utf8(&self.reader.output[start..end])
                .map_err(|_| format!("column `{}`: not valid UTF-8", field.name()))?;
            start = end;
            let null = match &self.dialect.null_literal {
                Some(literal) => text == literal,
                None => text.is_empty() && !matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View),
            };
            if null && field.is_nullable() {
                column.append_null();
                continue;
            }
            if null {
                return Err(format!("column `{}`: is null, but the column is NOT NULL", field.name()));
            }
            quoted.clear();
            quote(text, &mut quoted);
            column.read(&mut Cursor::new(&quoted)).map_err(|fault| reason(&fault.within(field.name())))?;
        }
        Ok(())
    }
}

/// Takes records apart.
pub(crate) struct FieldReader {
    reader: Reader,
    /// The fields of a record, side by side.
    output: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl FieldReader {
    /// Reads the options.
    pub(crate) fn new(table: &TableDecl, options: &OptionReader<'_>) -> Result<Self, OptionError> {
        read(table, options).map(|dialect| Self::of(&dialect))
    }

    fn of(dialect: &Dialect) -> Self {
        let reader = ReaderBuilder::new().delimiter(dialect.delimiter).quote(dialect.quote).build();
        Self { reader, output: vec![0; FIELD_BYTES], ends: vec![0; 16] }
    }

    /// The fields of one record as texts, such as those of a header.
    pub(crate) fn fields(&mut self, record: &[u8]) -> Result<Vec<String>, String> {
        let count = self.split(record)?;
        let mut start = 0;
        let field = |end: &usize| {
            let bytes = &self.output[std::mem::replace(&mut start, *end)..*end];
            String::from_utf8_lossy(bytes).into_owned()
        };
        Ok(self.ends[..count].iter().map(field).collect())
    }

    /// Splits one record into `output` and `ends`; answers how many fields there are.
    fn split(&mut self, record: &[u8]) -> Result<usize, String> {
        self.reader.reset();
        let (mut input, mut written, mut fields) = (record.trim_ascii_end_of_line(), 0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.reader.read_record(input, &mut self.output[written..], &mut self.ends[fields..]);
            input = &input[read..];
            written += wrote;
            fields += ended;
            match result {
                // Nothing is left: one more call, with no input, ends the record.
                ReadRecordResult::InputEmpty => input = &[],
                ReadRecordResult::OutputFull => self.output.resize(self.output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if input.is_empty() => return Ok(fields),
                ReadRecordResult::Record => return Err("more than one line in a record".to_owned()),
                ReadRecordResult::End => return Err("an empty record".to_owned()),
            }
        }
    }
}

/// Writes a field as a JSON text.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\x1f' => {
                let code = u32::from(character);
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.extend([digit(code / 16), digit(code % 16)]);
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// A record without the line end that its file left on it.
trait LineEnd {
    fn trim_ascii_end_of_line(&self) -> &[u8];
}

impl LineEnd for [u8] {
    fn trim_ascii_end_of_line(&self) -> &[u8] {
        let line = self.strip_suffix(b"\n").unwrap_or(self);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

struct CsvEncoder {
    delimiters: Delimiters,
    timestamp: &'static str,
    zoned_timestamp: &'static str,
}

impl CsvEncoder {
    fn new(dialect: Dialect) -> Self {
        let Dialect { delimiter, quote, null_literal } = dialect;
        let delimiters = Delimiters { field: char::from(delimiter).into(), row: "\n".to_owned(), quote, null_literal };
        Self { delimiters, timestamp: "%Y-%m-%dT%H:%M:%S%.3f", zoned_timestamp: "%Y-%m-%dT%H:%M:%S%.3fZ" }
    }

    /// Binaries are in hexadecimal either way.
    fn like_kda(delimiters: Delimiters) -> Self {
        const FORM: &str = "%Y-%m-%d %H:%M:%S%.3f";
        Self { delimiters, timestamp: FORM, zoned_timestamp: FORM }
    }

    fn write_field(&self, text: &str, line: &mut Vec<u8>) {
        let Delimiters { field, row, quote, .. } = &self.delimiters;
        let is_special = |byte: u8| byte == *quote || matches!(byte, b'\r' | b'\n');
        if !text.bytes().any(is_special) && !text.contains(field) && !text.contains(row) {
            line.extend_from_slice(text.as_bytes());
            return;
        }
        line.push(*quote);
        for byte in text.bytes() {
            if byte == *quote {
                line.push(*quote);
            }
            line.push(byte);
        }
        line.push(*quote);
    }
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Bytes>, FormatError> {
        let null = self.delimiters.null_literal.as_deref().unwrap_or_default();
        let format = FormatOptions::new()
            .with_null(null)
            .with_timestamp_format(Some(self.timestamp))
            .with_timestamp_tz_format(Some(self.zoned_timestamp));
        let columns = rows.columns().iter().map(in_utc).collect::<Result<Vec<_>, _>>()?;
        let columns = columns.iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &format));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut payloads = Vec::with_capacity(rows.num_rows());
        let mut text = String::new();
        for row in 0..rows.num_rows() {
            let mut line = Vec::new();
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    line.extend_from_slice(self.delimiters.field.as_bytes());
                }
                text.clear();
                column.value(row).write(&mut text)?;
                self.write_field(&text, &mut line);
            }
            payloads.push(Bytes::from(line));
        }
        Ok(payloads)
    }
}

/// Zoned timestamps print in UTC.
fn in_utc(column: &Arc<dyn Array>) -> Result<Arc<dyn Array>, FormatError> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => Ok(cast(column, &DataType::Timestamp(*unit, Some("+00:00".into())))?),
        _ => Ok(Arc::clone(column)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::chunks::ChunkBuilder;
    use arrow::datatypes::{Field, Schema};
    use millstream_core::{EventTime, ShardId};

    fn table(options: &[(&str, &str)]) -> TableDecl {
        let columns = [
            ("s", DataType::Utf8),
            ("n", DataType::Int64),
            ("t", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ];
        let fields: Vec<_> = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
        let options = options.iter().copied().collect();
        TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options }
    }

    fn decode(options: &[(&str, &str)], records: &[&str]) -> Decoded {
        let mut chunk = ChunkBuilder::new(ShardId::from("s"), None);
        for (index, record) in records.iter().enumerate() {
            chunk.push(record.as_bytes(), EventTime(0), None, &index.to_string());
        }
        let table = table(options);
        let mut decoder = decoder(&table, &table.options.reader()).unwrap();
        decoder.decode(&chunk.take().unwrap().unwrap()).unwrap()
    }

    fn encode(options: &[(&str, &str)], rows: &RecordBatch) -> Vec<String> {
        let table = table(options);
        let payloads = encoder(&table, &table.options.reader()).unwrap().encode(rows).unwrap();
        payloads.iter().map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
    }

    type Options = &'static [(&'static str, &'static str)];

    #[test]
    fn lines_decode_and_encode_to_themselves() {
        let at = "2026-01-01T00:00:00.123Z";
        let cases: [(Options, &str, &str); 8] = [
            (&[], "a,1,2026-01-01T00:00:00.123Z", "a,1,2026-01-01T00:00:00.123Z"),
            (&[], "\"a,\"\"b\"\"\nc\",,\r\n", "\"a,\"\"b\"\"\nc\",,"),
            (&[], "é,-5,1767225600123\n", &format!("é,-5,{at}")),
            (&[], "5\" disk,0,", "\"5\"\" disk\",0,"),
            (&[("csv.null-literal", "NULL")], "NULL,NULL,NULL", "NULL,NULL,NULL"),
            (&[("csv.field-delimiter", "\\t")], "a,b\t2\t", "a,b\t2\t"),
            (&[("csv.field-delimiter", ";")], "a\\\x01\x1f;\"2\";", "a\\\x01\x1f;2;"),
            (&[("csv.quote-character", "'")], "'a''b,',1,", "'a''b,',1,"),
        ];
        for (options, line, expected) in cases {
            let decoded = decode(options, &[line]);
            assert_eq!(decoded.rejected, [], "{line}");
            assert_eq!(encode(options, &decoded.rows), [expected], "{line}");
        }
    }

    #[test]
    fn bad_lines_are_rejected_among_good_ones() {
        let decoded = decode(&[], &["a,1,", "b,x,", "c", "d,1,2,3", "", "e,1,\nf,2,", "g,2,noon", "h,3,"]);
        assert_eq!(decoded.records, Some(vec![0, 7]));
        let reasons: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "column `n`: expected a whole number, found `x`",
                "expected 3 fields, found 1",
                "expected 3 fields, found 4",
                "an empty record",
                "more than one line in a record",
                "column `t`: expected a timestamp such as 2026-01-31T12:30:00.123Z, found `noon`",
            ]
        );
    }
}
