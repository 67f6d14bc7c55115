//! `error_stream`: every record and row that could not be used, with its reason. Its first seven columns are those that
//! Kinesis Data Analytics gives its error stream, with their widths.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use millstream_core::{Boundedness, Chunk, Duration, EventTime, IdlePolicy, Metadata, Options, Roles, TableDecl};
use millstream_sql::{Column, ColumnKind, Progress, Table, TimeAttribute};

/// More of a record than this is not kept.
const MAX_RAW_BYTES: usize = 49_152;
/// Characters of `message`.
const MAX_MESSAGE: usize = 4096;
/// Characters of `data_row`: two for each byte.
const MAX_DATA_ROW: usize = 49_152;
/// Characters of `pump_name`.
const MAX_PUMP_NAME: usize = 128;
/// The place of `data_row` among the columns behind `error_time`.
pub(crate) const DATA_ROW: usize = 4;
/// The name of the table.
pub const ERROR_STREAM: &str = "error_stream";

/// A record or row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) name: Cow<'static, str>,
    pub(crate) level: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) row_time: Option<EventTime>,
    /// The row as text.
    pub(crate) row: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) source: String,
    pub(crate) shard: String,
    pub(crate) sequence_number: Option<String>,
    pub(crate) raw: Option<Vec<u8>>,
}

impl Fault {
    /// A record of a chunk.
    pub(crate) fn of_record(source: &str, chunk: &Chunk, record: u32, reason: &str) -> Self {
        let index = record as usize;
        let raw = chunk.data.value(index);
        Self {
            name: Cow::Borrowed(""),
            level: Cow::Borrowed("ERROR"),
            message: cut(reason, MAX_MESSAGE).to_owned(),
            row_time: Some(EventTime(chunk.arrivals.value(index))),
            row: None,
            query: None,
            source: source.to_owned(),
            shard: chunk.shard.to_string(),
            sequence_number: chunk.sequence_numbers.as_ref().map(|numbers| numbers.value(index).to_owned()),
            raw: Some(raw[..raw.len().min(MAX_RAW_BYTES)].to_vec()),
        }
    }

    /// A row of a query.
    pub(crate) fn of_row(
        query: &str,
        source: &str,
        shard: &str,
        time: Option<EventTime>,
        row: String,
        reason: String,
    ) -> Self {
        Self {
            name: Cow::Borrowed(""),
            level: Cow::Borrowed("ERROR"),
            message: cut(&reason, MAX_MESSAGE).to_owned(),
            row_time: time,
            row: Some(row).filter(|row| !row.is_empty()).map(|row| cut(&row, MAX_DATA_ROW / 2).to_owned()),
            query: Some(cut(query, MAX_PUMP_NAME).to_owned()).filter(|query| !query.is_empty()),
            source: source.to_owned(),
            shard: shard.to_owned(),
            sequence_number: None,
            raw: None,
        }
    }

    /// A row that is used, and yet is not as it should be.
    pub(crate) fn of_source_row(
        source: &str,
        shard: &str,
        time: Option<EventTime>,
        row: String,
        reason: String,
    ) -> Self {
        let fault = Self::of_row("", source, shard, time, row, reason).named("future timestamp");
        Self { level: Cow::Borrowed("WARNING"), ..fault }
    }

    /// Rows that a query over `error_stream` did not read in time.
    pub(crate) fn of_lost_rows(rows: u64) -> Self {
        let reason = format!("{rows} rows of error_stream came faster than they were read, and were left out here");
        Self::of_row("", ERROR_STREAM, "", None, String::new(), reason).named("errors lost")
    }

    /// With the kind of fault, as `error_name` shows it: at most 32 characters.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = Cow::Borrowed(name);
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Roughly the memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.message, &self.source, &self.shard].map(String::len).iter().sum::<usize>();
        let row = self.row.as_ref().map_or(0, String::len);
        size_of::<Self>() + texts + row + self.raw.as_ref().map_or(0, Vec::len)
    }

    /// The record, or the row as text, in hexadecimal digits.
    fn data_row(&self) -> Option<String> {
        let data = self.raw.as_deref().or(self.row.as_deref().map(str::as_bytes))?;
        let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
        let data = &data[..data.len().min(MAX_DATA_ROW / 2)];
        let mut digits = String::with_capacity(2 * data.len());
        for byte in data {
            digits.push(digit(byte >> 4));
            digits.push(digit(byte & 15));
        }
        Some(digits)
    }
}

fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}

/// The columns of `error_stream`.
#[must_use]
pub fn error_stream_schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, None);
    Arc::new(Schema::new(vec![
        Field::new("error_time", time(), false),
        Field::new("error_level", DataType::Utf8, false),
        Field::new("error_name", DataType::Utf8, false),
        Field::new("message", DataType::Utf8, false),
        Field::new("data_rowtime", time(), true),
        Field::new("data_row", DataType::Utf8, true),
        Field::new("pump_name", DataType::Utf8, true),
        Field::new("source", DataType::Utf8, false),
        Field::new("shard_id", DataType::Utf8, false),
        Field::new("sequence_number", DataType::Utf8, true),
        Field::new("raw", DataType::Binary, true),
    ]))
}

/// `error_stream` as continuous queries read it. When an error is told is its arrival, and its event time.
pub(crate) fn error_stream_table() -> Table {
    let schema = error_stream_schema();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let kind = match index.checked_sub(1) {
            None => ColumnKind::Metadata(Metadata::ArrivalTimestamp),
            Some(physical) => ColumnKind::Physical(physical),
        };
        Column { field: Arc::clone(field), kind }
    });
    Table {
        decl: TableDecl {
            name: ERROR_STREAM.to_owned(),
            schema: Arc::new(Schema::new(schema.fields()[1..].to_vec())),
            primary_key: Vec::new(),
            options: Options::default(),
        },
        columns: columns.collect(),
        time: Some(TimeAttribute { column: 0, delay: Duration(0) }),
        // Its reader tells the time while nothing comes; a time is never ahead of its arrival.
        progress: Progress {
            idle_timeout: None,
            idle_policy: IdlePolicy::Close,
            max_future_skew: Duration(i64::MAX),
            max_drift: None,
        },
        roles: Roles { source: Some(Boundedness::Unbounded), sink: false, lookup: false },
        shared: None,
        schema,
    }
}

/// Faults as rows of `error_stream`.
pub(crate) fn rows(faults: &[Fault], now: EventTime) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampMillisecondArray::from(vec![now.0; faults.len()]))];
    columns.extend(columns_after_time(faults, true));
    RecordBatch::try_new(error_stream_schema(), columns)
}

/// The columns of faults but the first, `error_time`; without what takes long, `data_row`, where nobody reads it.
pub(crate) fn columns_after_time(faults: &[Fault], with_data_row: bool) -> Vec<ArrayRef> {
    let data_row = |fault: &Fault| if with_data_row { fault.data_row() } else { None };
    let text =
        |of: &dyn Fn(&Fault) -> Option<&str>| -> ArrayRef { Arc::new(faults.iter().map(of).collect::<StringArray>()) };
    vec![
        text(&|fault| Some(&fault.level)),
        text(&|fault| Some(&fault.name)),
        text(&|fault| Some(&fault.message)),
        Arc::new(faults.iter().map(|fault| fault.row_time.map(|time| time.0)).collect::<TimestampMillisecondArray>()),
        Arc::new(faults.iter().map(data_row).collect::<StringArray>()),
        text(&|fault| fault.query.as_deref()),
        text(&|fault| Some(&fault.source)),
        text(&|fault| Some(&fault.shard)),
        text(&|fault| fault.sequence_number.as_deref()),
        Arc::new(faults.iter().map(|fault| fault.raw.as_deref()).collect::<BinaryArray>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_those_of_kinesis_data_analytics() {
        let long = |text: &str| text.repeat(60_000);
        let fault = Fault::of_row(&long("q"), "s", "", None, long("é"), long("ü")).named("late row");
        let widths = [&fault.message, fault.query.as_ref().unwrap()].map(|text| text.chars().count());
        assert_eq!(widths, [4096, 128]);
        assert_eq!(fault.data_row().unwrap().len(), 49_152);
    }

    #[test]
    fn a_row_is_shown_in_hexadecimal_digits() {
        let of = |row: &str| Fault::of_row("q", "s", "", None, row.to_owned(), String::new()).data_row();
        assert_eq!(of("n=0\u{ff}").as_deref(), Some("6e3d30c3bf"));
        assert_eq!(of(""), None);
    }
}
