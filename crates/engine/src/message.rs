//! What readers, workers and closers say to each other. There is no other way between them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use crossbeam_channel::Sender;
use millstream_core::{EventTime, Offset, Offsets, ShardId, SourceEvent, Window};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::ahead::Ahead;
use crate::attached::Attachment;
use crate::checkpoint::Done;
use crate::drift::Drift;
use crate::live_table::LiveTable;
use crate::merge::Merge;
use crate::pane::Delta;
use crate::source::SourceDecoder;
use crate::stats::SourceStats;

/// One reading of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId(pub(crate) u64);

/// One continuous query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueryId(pub(crate) u64);

/// One leaf of one stage of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeafId {
    pub(crate) stage: usize,
    pub(crate) leaf: usize,
}

/// Held while something is not settled; whoever waits is told when the last one is dropped.
pub(crate) type Unsettled = mpsc::Sender<()>;

/// To a worker, in order.
pub(crate) enum ToWorker {
    /// A source is going to be read, from `resume` on where that has a shard. With `merge` it catches up with another.
    OpenLane {
        lane: LaneId,
        decoder: Box<SourceDecoder>,
        stats: Arc<SourceStats>,
        resume: Offsets,
        /// How far event time of those shards had come there.
        watermarks: HashMap<ShardId, EventTime>,
        merge: Option<Arc<Merge>>,
        drift: Arc<Drift>,
    },
    /// Records a reader got. The permit is the place they take in the queue.
    Chunk { lane: LaneId, chunk: Arc<Ahead>, permit: OwnedSemaphorePermit },
    /// Something else a reader saw. The permit is the place it takes in the queue.
    Event { lane: LaneId, event: SourceEvent, permit: Option<OwnedSemaphorePermit> },
    /// A query reads lanes that are open.
    Attach(Box<Attachment>),
    /// A query reads no more; `offsets` learns how far it had read on this worker.
    Detach { query: QueryId, keep_state: bool, offsets: Option<oneshot::Sender<Vec<(String, Offsets)>>> },
    /// Event time has come to `close`. Hand over the query's state of slices that end by then, and of all if `all`.
    Snap { query: QueryId, close: EventTime, all: bool, answer: CloserLink },
    /// Pass the token on once everything before it is done.
    Settle { lane: LaneId, token: Unsettled },
    /// The lane's input has ended.
    Ended { lane: LaneId },
    /// The queries of a lane that has caught up now read the other one.
    Promote { lane: LaneId, into: LaneId },
    /// Nobody reads the lane any more.
    CloseLane { lane: LaneId },
    /// The service stops.
    Stop,
}

/// The way to the closer of a query, from a worker by its number or from elsewhere.
#[derive(Clone)]
pub(crate) struct CloserLink {
    pub(crate) worker: Option<usize>,
    pub(crate) inbox: Sender<Said>,
}

/// A message to a closer, and the worker that sent it.
pub(crate) struct Said {
    pub(crate) by: Option<usize>,
    pub(crate) what: ToCloser,
}

impl CloserLink {
    /// The closer ends before its query only when the whole query is being dropped.
    pub(crate) fn tell(&self, what: ToCloser) {
        let _ = self.inbox.send(Said { by: self.worker, what });
    }
}

/// To the closer of a query, in order from each worker.
pub(crate) enum ToCloser {
    /// A shard has moved.
    Progress(Progress),
    /// Rows that passed HOT, with their event times where the operator goes by time.
    /// `arrival` is that of the newest record behind them.
    Rows { leaf: LeafId, shard: ShardId, arrival: EventTime, rows: RecordBatch, times: Option<Int64Array> },
    /// Groups of a slice of time; of no slice for updating queries.
    Groups { leaf: LeafId, slice: Option<Window>, groups: Delta },
    /// The worker has handed over what `Snap` asked for.
    Snapped,
    /// Everything before this is done on one worker.
    Settle(Unsettled),
    /// The same of errors, which are not read in rounds: it only says how far the sink is.
    HandOn(Unsettled),
    /// One worker has seen the end of a source.
    Ended { source: Arc<str> },
    /// A worker cannot go on with this query.
    Failed(String),
    /// Take a checkpoint now; `last`: nothing is to come behind it.
    Checkpoint { last: bool, savepoint: Option<String>, done: Done },
    /// Stop. What is open stays as the newest checkpoint has it.
    Stop,
    /// The query takes the place of the one that writes this table.
    TakeOver(Arc<LiveTable>),
    /// The query is dropped: its sink shows what it has.
    Drop,
}

/// What a shard's movement means for event time.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) source: Arc<str>,
    pub(crate) shard: ShardId,
    pub(crate) kind: ProgressKind,
}

#[derive(Clone, Debug)]
pub(crate) enum ProgressKind {
    Opened {
        parents: Vec<ShardId>,
    },
    /// Rows were processed. `arrival` is that of the newest.
    Moved {
        watermark: EventTime,
        offset: Offset,
        arrival: EventTime,
        rows: usize,
    },
    Tip {
        as_of: EventTime,
    },
    /// The source said so itself.
    Told {
        watermark: EventTime,
    },
    Behind {
        lag_ms: u64,
    },
    Closed,
}
