//! `error_stream`: every record and row that could not be used, with its reason.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use millstream_core::{Chunk, EventTime};

/// More of a record than this is not kept: KDA's width of `data_row`.
const MAX_RAW_BYTES: usize = 49_152;
/// The name of the table.
pub const ERROR_STREAM: &str = "error_stream";

/// A record or row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    name: &'static str,
    level: &'static str,
    message: String,
    row_time: Option<EventTime>,
    row: Option<String>,
    query: Option<String>,
    source: String,
    shard: String,
    sequence_number: Option<String>,
    raw: Option<Vec<u8>>,
}

impl Fault {
    /// A record of a chunk.
    pub(crate) fn of_record(source: &str, chunk: &Chunk, record: u32, reason: &str) -> Self {
        let index = record as usize;
        let raw = chunk.data.value(index);
        Self {
            name: "",
            level: "ERROR",
            message: reason.to_owned(),
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
            name: "",
            level: "ERROR",
            message: reason,
            row_time: time,
            row: Some(row),
            query: Some(query.to_owned()),
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
        Self { query: None, level: "WARNING", ..fault }
    }

    /// With the kind of fault, as `error_name` shows it.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
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

/// Faults as rows of `error_stream`.
pub(crate) fn rows(faults: &[Fault], now: EventTime) -> Result<RecordBatch, ArrowError> {
    let text =
        |of: &dyn Fn(&Fault) -> Option<&str>| -> ArrayRef { Arc::new(faults.iter().map(of).collect::<StringArray>()) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from(vec![now.0; faults.len()])),
        text(&|fault| Some(fault.level)),
        text(&|fault| Some(fault.name)),
        text(&|fault| Some(&fault.message)),
        Arc::new(faults.iter().map(|fault| fault.row_time.map(|time| time.0)).collect::<TimestampMillisecondArray>()),
        text(&|fault| fault.row.as_deref()),
        text(&|fault| fault.query.as_deref()),
        text(&|fault| Some(&fault.source)),
        text(&|fault| Some(&fault.shard)),
        text(&|fault| fault.sequence_number.as_deref()),
        Arc::new(faults.iter().map(|fault| fault.raw.as_deref()).collect::<BinaryArray>()),
    ];
    RecordBatch::try_new(error_stream_schema(), columns)
}
