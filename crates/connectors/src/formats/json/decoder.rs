//! Chunks of JSON records to rows.

use std::ops::Range;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use millstream_core::{Chunk, Decoded, Decoder, FormatError, Rejected};

use super::column::Fault;
use super::cursor::Cursor;
use super::object::Object;
use super::types::Settings;

/// A reason longer than this is cut: records are data, and so are the values in reasons.
const REASON_BYTES_MAX: usize = 500;

/// Decodes one object a record.
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    root: Object,
}

impl JsonDecoder {
    pub(super) fn new(schema: &SchemaRef, settings: Settings) -> Result<Self, FormatError> {
        Ok(Self { schema: schema.clone(), root: Object::new(schema.fields(), settings)? })
    }

    /// Reads the record at a place of a chunk's text. A record that is not well-formed may go on into the next one:
    /// whatever is odd is read again by itself.
    #[inline]
    fn within(&mut self, text: &str, record: Range<usize>, row: usize) -> bool {
        let mut cursor = Cursor::starting_at(text, record.start);
        self.root.read(&mut cursor, row).is_ok() && cursor.ends_at(record.end)
    }

    fn record(&mut self, record: &str, row: usize) -> Result<(), Fault> {
        let mut cursor = Cursor::new(record);
        self.root.read(&mut cursor, row)?;
        Ok(cursor.end()?)
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
        let (mut rows, mut rejected, mut records) = (0, Vec::new(), None::<Vec<u32>>);
        for index in 0..chunk.len() {
            if let Some(whole) = whole
                && self.within(whole, at(ends, index)..at(ends, index + 1), rows)
            {
                rows += 1;
                if let Some(records) = &mut records {
                    records.push(u32::try_from(index).unwrap_or(u32::MAX));
                }
                continue;
            }
            self.root.truncate(rows);
            let result = match std::str::from_utf8(chunk.data.value(index)) {
                Ok(record) => self.record(record, rows),
                Err(_) => Err(Fault::from("the record is not valid UTF-8".to_owned())),
            };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match result {
                Ok(()) => {
                    rows += 1;
                    if let Some(records) = &mut records {
                        records.push(index);
                    }
                }
                Err(fault) => {
                    self.root.truncate(rows);
                    rejected.push(Rejected { record: index, reason: reason(&fault) });
                    records.get_or_insert_with(|| (0..index).collect());
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), self.root.finish()?, &options)?;
        Ok(Decoded { rows, records, rejected })
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
