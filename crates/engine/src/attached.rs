//! A query as a worker has it: its panes on this worker, and the way to its closer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use millstream_core::{Duration, EventTime, Offsets, ShardId, Window, WindowSpec};

use crate::errors::Fault;
use crate::faults::FaultLog;
use crate::feed::{Feed, Late};
use crate::hot::{CompiledFeed, isolate};
use crate::memory::{Account, Share};
use crate::message::{CloserLink, LaneId, LeafId, QueryId, ToCloser};
use crate::pane::{PaneLayout, PaneTable};
use crate::source::SourceRows;
use crate::stats::QueryStats;

/// A query as a worker needs it.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) query: QueryId,
    pub(crate) name: Arc<str>,
    /// The lanes it reads, and what it does with the rows of their sources.
    pub(crate) lanes: Vec<LaneId>,
    pub(crate) parts: Vec<Arc<Part>>,
    /// Where each source's shards begin for it, if its readers begin earlier.
    pub(crate) after: Arc<HashMap<String, Offsets>>,
    pub(crate) closer: CloserLink,
    pub(crate) stats: Arc<QueryStats>,
    pub(crate) memory: Arc<Share>,
    /// Where its bad rows go.
    pub(crate) faults: FaultLog,
}

/// What a query does with the rows of one source: HOT, and where its rows go.
pub(crate) struct Part {
    pub(crate) source: String,
    pub(crate) leaf: LeafId,
    pub(crate) feed: CompiledFeed,
    pub(crate) into: Into,
}

/// Where rows go after HOT.
pub(crate) enum Into {
    /// To the closer; with their times if `timed`.
    Closer { timed: bool },
    /// Into panes, one for each slice of time. Sessions have no slices that rows can be too late for.
    Panes { layout: PaneLayout, spec: WindowSpec, lateness: Duration },
    /// Into one table that is handed over after every batch.
    Table(PaneLayout),
}

/// Panes by slice and leaf; updating queries have one without a slice.
pub(crate) type Panes = BTreeMap<(Option<Window>, LeafId), PaneTable>;

/// An attachment and its state on one worker.
pub(crate) struct Attached {
    pub(crate) attachment: Attachment,
    panes: Panes,
    account: Account,
    /// Groups in the panes, as they were last counted.
    groups: u64,
    /// Event time has come to here, as the closer said.
    closed: EventTime,
}

impl Attached {
    pub(crate) fn new(attachment: Attachment) -> Self {
        let account = attachment.memory.account();
        Self { attachment, panes: Panes::new(), account, groups: 0, closed: EventTime::MIN }
    }

    /// Hands over the panes of slices that end by `close`, or all panes.
    pub(crate) fn snap(&mut self, close: EventTime, all: bool) {
        self.closed = self.closed.max(close);
        let wanted: Vec<(Option<Window>, LeafId)> = (self.panes.keys())
            .filter(|(slice, _)| all || slice.is_some_and(|slice| slice.end <= close))
            .copied()
            .collect();
        for key in wanted {
            self.hand_over(key);
        }
        self.measure();
    }

    /// Says how much it keeps.
    fn measure(&mut self) {
        self.account.set(self.panes.values_mut().map(PaneTable::bytes).sum());
        let groups = self.panes.values().map(PaneTable::groups).sum::<usize>() as u64;
        let before = std::mem::replace(&mut self.groups, groups);
        if groups >= before {
            self.attachment.stats.pane_groups.add(groups - before);
        } else {
            self.attachment.stats.pane_groups.sub(before - groups);
        }
    }

    pub(crate) fn tell(&self, message: ToCloser) {
        self.attachment.closer.tell(message);
    }

    /// Takes a batch of one of its sources.
    pub(crate) fn feed(&mut self, source: &str, shard: &ShardId, arrival: EventTime, given: &SourceRows) {
        let (rows, times) = (&given.rows, given.times.as_ref());
        let Self { attachment, panes, closed, .. } = self;
        let mut bad_rows = Vec::new();
        for part in attachment.parts.iter().filter(|part| part.source == source) {
            let mut feed =
                Feed { attachment, panes, closed: *closed, part, shard, arrival, late: Vec::new(), broken: None };
            isolate(
                rows,
                0,
                &mut |batch, first| {
                    let passed = part.feed.hot().run(batch)?;
                    let times = times.map(|times| times.slice(first, batch.num_rows()));
                    feed.take(passed, first, batch.num_rows(), times.as_ref());
                    Ok(())
                },
                &mut |row, reason| bad_rows.push((part.source.clone(), row, reason)),
            );
            let late = std::mem::take(&mut feed.late).into_iter();
            let fault = |(row, late): (usize, Late)| {
                late.fault(&attachment.name, &part.source, shard.as_str(), given.text(row))
            };
            attachment.faults.report(late.map(fault));
            if let Some(reason) = feed.broken {
                attachment.closer.tell(ToCloser::Failed(reason));
            }
        }
        attachment.stats.rejected.add(bad_rows.len() as u64);
        attachment.faults.report(bad_rows.into_iter().map(|(source, row, reason)| {
            let time = times.map(|times| EventTime(times.value(row)));
            let text = given.text(row);
            Fault::of_row(&attachment.name, &source, shard.as_str(), time, text, reason).named("evaluation")
        }));
        self.measure();
    }

    /// Hands over what an updating query gathered of a batch.
    pub(crate) fn hand_over_updates(&mut self) {
        let updates: Vec<(Option<Window>, LeafId)> =
            self.panes.keys().filter(|(slice, _)| slice.is_none()).copied().collect();
        if updates.is_empty() {
            return;
        }
        for key in updates {
            self.hand_over(key);
        }
        self.measure();
    }

    fn hand_over(&mut self, key: (Option<Window>, LeafId)) {
        let Some(pane) = self.panes.remove(&key) else { return };
        if pane.is_empty() {
            return;
        }
        let (slice, leaf) = key;
        match pane.freeze() {
            Ok(groups) => self.tell(ToCloser::Groups { leaf, slice, groups }),
            Err(error) => self.tell(ToCloser::Failed(error.strip_backtrace())),
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.attachment.stats.pane_groups.sub(self.groups);
    }
}
