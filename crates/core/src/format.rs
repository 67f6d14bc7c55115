//! How payloads become rows and rows become payloads.

use arrow::array::RecordBatch;
use bytes::Bytes;

use crate::Chunk;

/// Turns the payloads of a chunk into rows of the declared columns. One decoder serves one worker.
pub trait Decoder: Send {
    /// Decodes a chunk. A record that cannot be decoded becomes a [`Rejected`] and never an error: an error
    /// means that the decoder itself is broken.
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError>;

    /// Says which of the physical columns are read from now on; at first all are. The others may hold anything that fits
    /// their type, so that nobody builds what nobody reads. Which records are rejected does not depend on it.
    fn want(&mut self, columns: &[bool]) {
        let _ = columns;
    }
}

/// What came out of a chunk.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The rows, in record order; its columns are the table's physical columns, in their order.
    pub rows: RecordBatch,
    /// For each row the index of its record in the chunk, never decreasing: a record may become several rows. `None`: row
    /// `i` is record `i` and none was rejected.
    pub records: Option<Vec<u32>>,
    /// What could not be decoded, in record order: records, or parts of them that would have been rows.
    pub rejected: Vec<Rejected>,
}

/// A record that could not become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The index of the record in its chunk.
    pub record: u32,
    /// Why, for a person: names the column and what was found.
    pub reason: String,
}

/// Turns rows into payloads, one a row.
pub trait Encoder: Send {
    /// Encodes every row; the answer has one payload for each, in order.
    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Bytes>, FormatError>;
}

/// A format that cannot do its work: not the fault of a record.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A column type the format has no form for.
    #[error("column `{column}` has the type {data_type}, which format '{format}' cannot hold; cast it to another type")]
    UnsupportedType { format: &'static str, column: String, data_type: String },
    /// An Arrow kernel failed.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}
