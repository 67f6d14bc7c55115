//! The contract of everything results can be written to.

use arrow::array::RecordBatch;

use crate::{BoxFuture, EventTime, Window};

/// Result rows that leave a query together. Append-only sinks get final rows only.
#[derive(Clone, Debug)]
pub struct Emission {
    /// The rows; their schema is the sink table's.
    pub rows: RecordBatch,
    /// The window they are the result of; `None` for queries without one.
    pub window: Option<Window>,
}

/// A place for final rows. One task owns it and calls it in emission order.
pub trait Sink: Send {
    /// Takes the rows. When this answers `Ok` they are accepted, though perhaps still buffered.
    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Called about once a second and after each lull: rolls files by age, sends lingering batches.
    fn tick(&mut self, now: EventTime) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Makes everything written so far visible to readers: completes files, sends what is buffered. The last call.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// Rows that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// May work when tried again with the same emission: the sink has kept nothing of it.
    #[error("writing to {sink} failed and will be tried again: {reason}")]
    Retry { sink: String, reason: String },
    /// Will not work until a person acts.
    #[error("writing to {sink} failed: {reason}")]
    Fatal { sink: String, reason: String },
}
