//! Chunks of JSON records to rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use millstream_core::{Chunk, Decoded, Decoder, FormatError};

use super::column::Fault;
use super::cursor::Cursor;
use super::object::Object;
use crate::formats::tally::Tally;

/// A reason longer than this is cut: records are data, and so are the values in reasons.
const REASON_BYTES_MAX: usize = 500;
pub(super) const NOT_UTF8: &str = "the record is not valid UTF-8";

/// Decodes objects whose members are the columns: one a record, or as many as there are.
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    root: Object,
    has_many: bool,
    scratch: String,
}

impl JsonDecoder {
    pub(super) fn new(schema: &SchemaRef, root: Object, has_many: bool) -> Self {
        Self { schema: Arc::clone(schema), root, has_many, scratch: String::new() }
    }

    /// Reads the record at a place of a chunk's text. A record that is not well-formed may go on into the next one:
    /// whatever is odd is read again by itself.
    #[inline]
    fn within(&mut self, text: &str, record: Range<usize>, row: usize) -> bool {
        let mut cursor = Cursor::starting_at(text, record.start);
        self.root.read(&mut cursor, row).is_ok() && cursor.ends_at(record.end)
    }

    /// Reads a record by itself.
    fn record(&mut self, text: &str, record: usize, tally: &mut Tally) {
        let mut cursor = Cursor::new(text);
        for number in 1.. {
            let start = cursor.position();
            let read = self.root.read(&mut cursor, tally.rows());
            let read = if self.has_many { read } else { read.and_then(|()| Ok(cursor.end()?)) };
            match read {
                Ok(()) => tally.row(record),
                Err(fault) => {
                    self.root.truncate(tally.rows());
                    tally.reject(record, in_document(number, reason(&fault)));
                    cursor.go_to(start);
                    // What follows a text that is no JSON is not looked for.
                    if !self.has_many || cursor.skip(&mut self.scratch).is_err() {
                        return;
                    }
                }
            }
            if !self.has_many || cursor.next_token().is_none() {
                return;
            }
        }
    }
}

impl Decoder for JsonDecoder {
    fn want(&mut self, columns: &[bool]) {
        self.root.want(columns);
    }

    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        // Checked at once where all is well, else record by record.
        let whole = simdutf8::basic::from_utf8(payload(chunk)).ok();
        let ends = chunk.data.value_offsets();
        let mut tally = Tally::default();
        for index in 0..chunk.len() {
            if let Some(whole) = whole
                && self.within(whole, at(ends, index)..at(ends, index + 1), tally.rows())
            {
                tally.row(index);
                continue;
            }
            self.root.truncate(tally.rows());
            match std::str::from_utf8(chunk.data.value(index)) {
                Ok(record) => self.record(record, index, &mut tally),
                Err(_) => tally.reject(index, NOT_UTF8.to_owned()),
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(tally.rows()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), self.root.finish()?, &options)?;
        Ok(tally.finish(chunk.len(), rows))
    }
}

/// The bytes of all records of a chunk, which lie side by side.
fn payload(chunk: &Chunk) -> &[u8] {
    let (ends, bytes) = (chunk.data.value_offsets(), chunk.data.value_data());
    let first = ends.first().map_or(0, |first| usize::try_from(*first).unwrap_or(0));
    bytes.get(first..first + at(ends, chunk.len())).unwrap_or_default()
}

/// Where a record begins among those bytes.
fn at(ends: &[i32], index: usize) -> usize {
    usize::try_from(ends[index] - ends[0]).unwrap_or(0)
}

/// A reason that says which of a record's documents it is about.
pub(super) fn in_document(number: usize, reason: String) -> String {
    if number == 1 { reason } else { format!("document {number}: {reason}") }
}

/// A fault as `error_stream` shows it.
pub(in crate::formats) fn reason(fault: &Fault) -> String {
    let mut reason = match fault.path.as_str() {
        "" => fault.message.clone(),
        path => format!("column `{path}`: {}", fault.message),
    };
    if reason.len() > REASON_BYTES_MAX {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        reason.truncate(end);
        reason.push('…');
    }
    reason
}
