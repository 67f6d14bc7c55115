//! The contract of everything that can be read, bounded or not.

use std::future::Future;
use std::pin::Pin;

use crate::{Chunk, EventTime, Offset, Offsets, OptionError, ShardId};

/// A boxed future, so that the traits at the edges can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One reading of a stream: lists its shards, reads them in order and reports what it sees.
///
/// A source opens a shard with [`SourceEvent::ShardOpened`] before its first chunk, sends parents to their end before
/// it opens their children, and retries what can be retried by itself. Making one does no I/O.
pub trait Source: Send {
    /// Reads until the input ends, the engine stops listening ([`Stopped`] is not an error: return `Ok`) or something
    /// breaks for good.
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>>;
}

/// Where a reading begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// These shards go on AFTER the position given here.
    pub offsets: Offsets,
    /// Where the others start, whatever the table's options say.
    pub start: Option<Start>,
    /// When this reading first began, if it has been interrupted since: what would start at the latest record starts at
    /// the first that arrived from then on, so that nothing that came meanwhile is missed.
    pub since: Option<EventTime>,
    /// Only this shard is read, to its end; then the reading ends. Its children are left to others.
    pub only: Option<ShardId>,
}

impl Resume {
    /// For sources that always read all their shards: refuses a reading of one.
    pub fn refuse_only(&self, what: &str) -> Result<(), SourceError> {
        match &self.only {
            None => Ok(()),
            Some(shard) => {
                let reason = format!("its shards are read together: {shard} cannot be read by itself");
                Err(SourceError::Failed { what: what.to_owned(), reason })
            }
        }
    }
}

/// Where shards start that have not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// At the oldest record there is.
    Beginning,
    /// At the first record that arrives from now on.
    Latest,
    /// At the first record that arrived at this time or later.
    At(EventTime),
}

impl From<Offsets> for Resume {
    fn from(offsets: Offsets) -> Self {
        Self { offsets, ..Self::default() }
    }
}

/// What a source reports, per shard in stream order.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// A shard is going to be read. Until its first chunk it holds the watermark at its parents' final one.
    ShardOpened { shard: ShardId, parents: Vec<ShardId> },
    /// Records.
    Chunk(Box<Chunk>),
    /// Everything that arrived before `as_of` has been sent: the shard is at its tip. Sent again from time to time
    /// (about once a second) while nothing arrives.
    Tip { shard: ShardId, as_of: EventTime },
    /// The source itself says how far event time of the shard has come, whatever its records show.
    Watermark { shard: ShardId, time: EventTime },
    /// How far behind the tip a shard's reader is, in milliseconds.
    Behind { shard: ShardId, lag_ms: u64 },
    /// The shard was closed by a split or a merge and has been read to its end.
    ShardClosed { shard: ShardId },
}

/// Where a source sends its events. Shared by the readers of one source.
pub trait SourceOutput: Send + Sync {
    /// Hands an event on. Waits while the engine is behind: the queue is bounded by bytes.
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>>;

    /// Waits until all that was sent has been computed and whatever it closed has been handed to the sinks.
    /// Replays call it between rounds, so that runs are deterministic; live sources never need it. Where it is called
    /// before the first record, event time advances at these calls only: what is late does not depend on how threads
    /// happen to run. Then no two readers of what one query reads may call it at the same time.
    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>>;
}

/// The engine no longer listens: the query was dropped or the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader was stopped")]
pub struct Stopped;

/// A source that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The table's options do not fit what was found.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// What is to be read is not there.
    #[error("{what} does not exist: {remedy}")]
    NotFound { what: String, remedy: String },
    /// A position that cannot be resumed from.
    #[error("shard {shard} cannot be read after {offset}: {reason}")]
    Position { shard: ShardId, offset: Offset, reason: String },
    /// The remote side refused, for a reason that trying again does not mend.
    #[error("reading {what} failed: {reason}")]
    Failed { what: String, reason: String },
    /// A file or disk error.
    #[error("reading {what} failed: {error}")]
    Io { what: String, error: std::io::Error },
}
