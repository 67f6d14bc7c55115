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

/// A place for final rows. One task owns it and calls it in emission order. What is not overridden here is right for a
/// sink that keeps nothing to itself.
///
/// Without checkpoints (`millstream run`) rows are made visible as the sink's options say, and by `finish`. With
/// checkpoints `recover` is called first of all, and then, for each checkpoint, `prepare`, and `commit` once it is
/// durable. A process that dies between two checkpoints goes on from the older one: what was written after it is
/// written again, and it is the sink's part to see that readers do not get it twice.
pub trait Sink: Send {
    /// What readers are promised when a query is restarted from its checkpoint.
    fn delivery(&self) -> Delivery;

    /// Comes before [`Self::recover`] where several processes may write for a query, of which one has been told to stop and
    /// may not know: claims are numbered in their order. What processes with later claims have written is not to be touched.
    fn claimed(&mut self, _number: u64) {}

    /// Checkpoints are taken from now on. `state` is that of the newest one, or `None` when the query starts anew.
    /// Completes what was prepared, removes what is not part of it. May be tried again after [`SinkError::Retry`].
    fn recover<'a>(&'a mut self, _state: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Takes the rows. When this answers `Ok` they are accepted, though perhaps still buffered.
    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Goes on with what is under way between the other calls, such as batches that linger or await their answers; ends
    /// when something came of it, which may be never. It is dropped where another call is due: nothing is lost by that.
    fn work(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::pending())
    }

    /// Called about once a second: rolls files by age.
    fn tick(&mut self, _now: EventTime) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Says what a later process needs to go on from here, and makes what it relies on durable. `last`: nothing more
    /// will be written, so that all there is becomes visible with `commit`. Readers see nothing of it yet.
    fn prepare(&mut self, _last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        Box::pin(std::future::ready(Ok(Prepared::default())))
    }

    /// The checkpoint with what `prepare` last answered is durable: readers may see it.
    fn commit(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Without checkpoints: makes everything written so far visible to readers. The last call.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What readers of a sink are promised over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Every row is there once.
    ExactlyOnce,
    /// Rows since the last checkpoint may be there again.
    AtLeastOnce,
    /// Nothing is kept: there is nothing to repeat.
    Nothing,
}

impl Delivery {
    /// The word of SHOW and of the API; Flink's for its `sink.delivery-guarantee`.
    pub fn word(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
            Self::Nothing => "none",
        }
    }
}

/// What [`Sink::prepare`] answers.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The sink's own words, such as the names of files to be made visible.
    pub note: String,
    /// Every run of rows that is accepted and not part of `note` yet, oldest first.
    pub pending: Vec<Pending>,
}

/// A run of rows that a sink holds, such as those of a file that is not complete.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Counts up over the life of the query; never used again for other rows.
    pub id: u64,
    /// `None`: an earlier checkpoint that was committed has the rows of this number.
    pub rows: Option<Emission>,
}

/// What [`Sink::recover`] goes on from: the note, and all rows that were pending. An empty note is that of a savepoint,
/// whose sink was another one: only the rows count.
#[derive(Clone, Debug, Default)]
pub struct SinkState {
    pub note: String,
    pub pending: Vec<(u64, Emission)>,
}

/// Rows that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// May work when tried again with the same emission, before any other: the sink has kept nothing of it, or knows
    /// what it has kept.
    #[error("writing to {sink} failed and will be tried again: {reason}")]
    Retry { sink: String, reason: String },
    /// Will not work until a person acts.
    #[error("writing to {sink} failed: {reason}")]
    Fatal { sink: String, reason: String },
}
