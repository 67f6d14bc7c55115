//! CSV as Kinesis Data Analytics reads it: rows and fields that end with any texts, many rows a record, values coerced as
//! texts of JSON are (`json::kda`).
//!
//! Fields go by place. A row with more fields than columns is taken without the rest, as documented; in one with fewer
//! the rest is null, which is documented nowhere. Empty rows are left out.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use millstream_core::{Chunk, Decoded, Decoder, FormatError, OptionError, OptionReader, TableDecl};

use super::csv;
use super::json::{self, Column, Cursor, Settings, reason};
use super::kda::KdaType;
use super::tally::Tally;

const FIELD_DELIMITER: &str = "csv.field-delimiter";
const ROW_DELIMITER: &str = "csv.row-delimiter";

/// Where fields and rows end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delimiters {
    pub(super) field: String,
    pub(super) row: String,
    pub(super) quote: u8,
    pub(super) null_literal: Option<String>,
}

impl Delimiters {
    /// Reads the options.
    pub(super) fn read(options: &OptionReader<'_>) -> Result<Self, OptionError> {
        let read = |key: &str, default: &str| {
            unescaped(options.get(key).unwrap_or(default)).map_err(|reason| OptionError::new(key, reason))
        };
        let (field, row) = (read(FIELD_DELIMITER, ",")?, read(ROW_DELIMITER, "\n")?);
        let quote = csv::quote_character(options)?;
        for (key, delimiter) in [(FIELD_DELIMITER, &field), (ROW_DELIMITER, &row)] {
            if delimiter.as_bytes().contains(&quote) {
                let message = format!("holds the quote `{}`; give another 'csv.quote-character'", char::from(quote));
                return Err(OptionError::new(key, message));
            }
        }
        if field == row {
            return Err(OptionError::new(ROW_DELIMITER, format!("is the same as '{FIELD_DELIMITER}'; give another")));
        }
        Ok(Self { field, row, quote, null_literal: options.get("csv.null-literal").map(ToOwned::to_owned) })
    }

    /// Takes the field that comes first and appends it to `out`; answers the rest, which is empty or begins with a
    /// delimiter.
    fn field<'a>(&self, text: &'a str, out: &mut String) -> &'a str {
        let (quote, mut rest) = (char::from(self.quote), text);
        if let Some(mut quoted) = text.strip_prefix(quote) {
            loop {
                // Without an end it is all that is left.
                let Some((part, after)) = quoted.split_once(quote) else {
                    out.push_str(quoted);
                    return "";
                };
                out.push_str(part);
                match after.strip_prefix(quote) {
                    Some(after) => {
                        out.push(quote);
                        quoted = after;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        }
        let row_end = rest.find(&self.row).unwrap_or(rest.len());
        match rest[..row_end].find(&self.field) {
            Some(end) => {
                out.push_str(&rest[..end]);
                &rest[end..]
            }
            None => {
                // Lines of some systems end with two characters, whatever the configuration says.
                let last = &rest[..row_end];
                out.push_str(if self.row == "\n" { last.strip_suffix('\r').unwrap_or(last) } else { last });
                &rest[row_end..]
            }
        }
    }
}

/// A delimiter as configurations write it: as it is, or with escapes.
fn unescaped(text: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        out.push(match rest.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('\\') | None => '\\',
            Some(other) => return Err(format!("`\\{other}` is no escape; there are \\n, \\r, \\t and \\\\")),
        });
    }
    if out.is_empty() { Err("is empty; give the text that ends it".to_owned()) } else { Ok(out) }
}

/// Makes a decoder of columns with these types.
pub(super) fn decoder(
    table: &TableDecl,
    types: &[KdaType],
    options: &OptionReader<'_>,
) -> Result<Box<dyn Decoder>, OptionError> {
    let settings = Settings { epoch: TimeUnit::Millisecond, fail_on_missing_field: false };
    let columns = json::columns(table, Some(types), settings)?;
    let delimiters = Delimiters::read(options)?;
    let row = Row { fields: String::new(), ends: Vec::new(), quoted: String::new() };
    Ok(Box::new(DelimitedDecoder { schema: Arc::clone(&table.schema), delimiters, columns, row }))
}

struct DelimitedDecoder {
    schema: SchemaRef,
    delimiters: Delimiters,
    columns: Vec<Box<dyn Column>>,
    row: Row,
}

/// The row that is being read.
struct Row {
    /// Its fields, side by side.
    fields: String,
    /// Where each ends.
    ends: Vec<usize>,
    /// One of them as a JSON text.
    quoted: String,
}

impl Decoder for DelimitedDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let mut tally = Tally::default();
        for (index, record) in chunk.data.iter().flatten().enumerate() {
            match std::str::from_utf8(record) {
                Ok(text) => self.record(text, index, &mut tally),
                Err(_) => tally.reject(index, "the record is not valid UTF-8".to_owned()),
            }
        }
        let columns = self.columns.iter_mut().map(|column| column.finish()).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(tally.rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(tally.finish(chunk.len(), rows))
    }
}

impl DelimitedDecoder {
    /// Reads the rows of a record.
    fn record(&mut self, text: &str, record: usize, tally: &mut Tally) {
        let (mut rest, mut number) = (text, 0_usize);
        while !rest.is_empty() {
            rest = self.split(rest);
            if self.row.fields.is_empty() && self.row.ends.len() == 1 {
                continue;
            }
            number += 1;
            match self.values() {
                Ok(()) => tally.row(record),
                Err(reason) => {
                    self.columns.iter_mut().for_each(|column| column.truncate(tally.rows()));
                    let reason = if number == 1 { reason } else { format!("row {number}: {reason}") };
                    tally.reject(record, reason);
                }
            }
        }
        if number == 0 {
            tally.reject(record, "an empty record".to_owned());
        }
    }

    /// Takes the row that comes first; answers what is behind it.
    fn split<'a>(&mut self, text: &'a str) -> &'a str {
        self.row.fields.clear();
        self.row.ends.clear();
        let mut rest = text;
        loop {
            rest = self.delimiters.field(rest, &mut self.row.fields);
            self.row.ends.push(self.row.fields.len());
            match rest.strip_prefix(self.delimiters.field.as_str()) {
                Some(after) => rest = after,
                None => return rest.strip_prefix(self.delimiters.row.as_str()).unwrap_or(rest),
            }
        }
    }

    /// Reads the fields of the row.
    fn values(&mut self) -> Result<(), String> {
        let Self { schema, delimiters, columns, row } = self;
        let mut start = 0;
        for (index, (column, field)) in columns.iter_mut().zip(schema.fields()).enumerate() {
            let text = row.ends.get(index).map(|end| &row.fields[std::mem::replace(&mut start, *end)..*end]);
            let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View);
            let text = text.filter(|text| match &delimiters.null_literal {
                Some(literal) => text != literal,
                None => is_text || !text.trim().is_empty(),
            });
            match text {
                Some(text) => {
                    row.quoted.clear();
                    csv::quote(text, &mut row.quoted);
                    if column.take(&row.quoted, 0, true).is_none() {
                        let read = column.read(&mut Cursor::new(&row.quoted));
                        read.map_err(|fault| reason(&fault.within(field.name())))?;
                    }
                }
                None if field.is_nullable() => column.append_null(),
                None => return Err(format!("column `{}`: is null, but the column is NOT NULL", field.name())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::json::{chunk_of, table_of};

    fn decode(options: &[(&str, &str)], records: &[&str]) -> Decoded {
        let columns = [("S", "VARCHAR(3)"), ("N", "INTEGER"), ("T", "TIMESTAMP")];
        let table = table_of(&columns, options);
        let mut decoder = csv::decoder(&table, &table.options.reader()).unwrap();
        decoder.decode(&chunk_of(records)).unwrap()
    }

    /// Rows as CSV of the service, with bars between them.
    fn shown(decoded: &Decoded) -> String {
        let table =
            table_of(&[("S", "VARCHAR(3)"), ("N", "INTEGER"), ("T", "TIMESTAMP")], &[("csv.null-literal", "-")]);
        let mut encoder = csv::encoder(&table, &table.options.reader()).unwrap();
        let rows = encoder.encode(&decoded.rows).unwrap();
        rows.iter().map(|row| String::from_utf8(row.to_vec()).unwrap()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn rows_and_fields_end_where_the_options_say() {
        type Options = &'static [(&'static str, &'static str)];
        let cases: &[(Options, &str, &str)] = &[
            (&[], "a,1,1992-02-14", "a,1,1992-02-14 00:00:00.000"),
            (&[], "a,1,1992-02-14 18:35:44.5\nb,2,\n", "a,1,1992-02-14 18:35:44.500|b,2,-"),
            (&[], "a,1,\r\n\r\nb,2,\r\n", "a,1,-|b,2,-"),
            (&[], "abcdef, 5 ,", "abc,5,-"),
            (&[], "a\nb,2\nc,3,,more,fields", "a,-,-|b,2,-|c,3,-"),
            (&[], ",,", ",-,-"),
            (&[], "\"a,\"\"\",1,\"\"\n\"x\ny\",2,", "\"a,\"\"\",1,-|\"x\ny\",2,-"),
            (&[], "a\"b,1,", "\"a\"\"b\",1,-"),
            (&[], "\"a", "a,-,-"),
            (&[("csv.field-delimiter", "|")], "a|1|\nb|2|", "a,1,-|b,2,-"),
            (&[("csv.field-delimiter", "\\t")], "a\t1\t", "a,1,-"),
            (&[("csv.field-delimiter", "\t")], "a\t1\t", "a,1,-"),
            (&[("csv.field-delimiter", "::"), ("csv.row-delimiter", ";;")], "a::1::;;b:::: ;;", "a,1,-|b,-,-"),
            (&[("csv.row-delimiter", "\\r\\n")], "a,1,\r\nb,2,\r\n", "a,1,-|b,2,-"),
            (&[("csv.row-delimiter", "|")], "a\n,1,|b,2,", "\"a\n\",1,-|b,2,-"),
            (&[("csv.quote-character", "'")], "'a,',1,", "\"a,\",1,-"),
        ];
        for (options, record, expected) in cases {
            let decoded = decode(options, &[record]);
            assert_eq!(decoded.rejected, [], "{record}");
            assert_eq!(shown(&decoded), *expected, "{record}");
        }
    }

    #[test]
    fn bad_rows_are_rejected_among_good_ones() {
        let decoded = decode(&[], &["a,1,\nb,x,\nc,3,", "", "d,1.5,", "e,5,1767225600000", "f,6,"]);
        assert_eq!(shown(&decoded), "a,1,-|c,3,-|f,6,-");
        assert_eq!(decoded.records, Some(vec![0, 0, 4]));
        let reasons: Vec<_> = decoded.rejected.iter().map(|it| (it.record, it.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (0, "row 2: column `N`: `x` cannot become INTEGER: it takes whole numbers in range"),
                (1, "an empty record"),
                (2, "column `N`: `1.5` cannot become INTEGER: it takes whole numbers in range"),
                (
                    3,
                    "column `T`: `1767225600000` cannot become TIMESTAMP: it takes texts such as '2026-01-31 12:30:00.123'"
                ),
            ]
        );
    }

    #[test]
    fn delimiters_are_checked() {
        for (key, value, error) in [
            (FIELD_DELIMITER, "", "is empty"),
            (FIELD_DELIMITER, "\\x", "`\\x` is no escape"),
            (FIELD_DELIMITER, "\"", "holds the quote"),
            (FIELD_DELIMITER, "\n", "is the same as"),
        ] {
            let table = table_of(&[("S", "VARCHAR(3)")], &[(key, value)]);
            let found = csv::decoder(&table, &table.options.reader()).err().unwrap().to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
