//! A closer: one thread per query that watches event time, asks the workers for what closes, merges it, runs CLOSE and
//! hands rows on. It is the only one that decides when a window closes, and the only one that emits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use datafusion::error::DataFusionError;
use millstream_core::{Clock, Duration, EventTime, Offset, ShardId, Watermarks, Window, WindowSpec};
use millstream_sql::Leaf;

use crate::close::{ClosePlan, leaf_rows};
use crate::message::{Progress, ProgressKind, QueryId, ToCloser, ToWorker, Unsettled};
use crate::output::{Output, OutputError};
use crate::pane::{Delta, PaneLayout};
use crate::stats::{QueryStats, ShardStats};
use crate::updating::{UpdatingTable, missing_keys};

/// Deltas of a window beyond this many are merged into one when the window is looked at.
const MAX_DELTAS: usize = 8;
/// How often silence is looked at: for idle shards and time-to-live.
const IDLE_CHECK: Duration = Duration(200);
/// A look at open windows may take at most this part of the time: the next comes after so many times its cost.
const LOOK_SHARE: i64 = 4;

/// What runs between panes and output.
pub(crate) enum Operator {
    Rows,
    Windowed { spec: WindowSpec, leaves: Vec<(Leaf, PaneLayout)>, close: ClosePlan },
    Updating { table: Box<UpdatingTable>, close: ClosePlan, key: Vec<usize> },
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its input ended, and everything was handed on.
    Finished,
    /// It was told to stop.
    Stopped,
    /// Whoever took its rows is gone.
    Abandoned,
    Failed(String),
}

/// Where time comes from.
#[derive(Clone)]
pub(crate) enum Time {
    /// The service's clock.
    Clock(Arc<dyn Clock>),
    /// The newest arrival: a replay's clock.
    Arrivals,
}

/// Everything a closer is made of.
pub(crate) struct Closer {
    pub(crate) query: QueryId,
    pub(crate) inbox: Receiver<ToCloser>,
    pub(crate) workers: Vec<Sender<ToWorker>>,
    pub(crate) operator: Operator,
    pub(crate) output: Output,
    pub(crate) stats: Arc<QueryStats>,
    pub(crate) time: Time,
    /// How often open windows are shown; `None`: never.
    pub(crate) refresh: Option<Duration>,
    /// The sources it reads, by name.
    pub(crate) inputs: HashMap<Arc<str>, Input>,
    pub(crate) state: State,
}

/// One source, seen from a query.
pub(crate) struct Input {
    watermarks: Watermarks,
    /// Workers that have seen the end of it.
    ended: usize,
    offsets: HashMap<ShardId, (Option<Offset>, u64)>,
}

/// What changes as the query runs.
pub(crate) struct State {
    now: EventTime,
    watermark: EventTime,
    /// Windows that end by this have closed.
    closed: EventTime,
    windows: BTreeMap<Window, Vec<Vec<Delta>>>,
    /// Windows with rows that have not been shown.
    unseen: BTreeSet<Window>,
    /// Rows came since the last look.
    dirty: bool,
    next_look: EventTime,
    snap: Option<Snap>,
    settling: Vec<Unsettled>,
    /// Whether event time waits for the end of a round: its source settled before its first record. `None`: not known yet.
    in_rounds: Option<bool>,
}

/// A question to all workers that is not answered by all yet.
struct Snap {
    waiting: usize,
    close: EventTime,
    look: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: EventTime::MIN,
            watermark: EventTime::MIN,
            closed: EventTime::MIN,
            windows: BTreeMap::new(),
            unseen: BTreeSet::new(),
            dirty: false,
            next_look: EventTime::MIN,
            snap: None,
            settling: Vec::new(),
            in_rounds: None,
        }
    }
}

impl From<DataFusionError> for Ending {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error.strip_backtrace())
    }
}

impl From<OutputError> for Ending {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Gone => Self::Abandoned,
            OutputError::Broken(reason) => Self::Failed(reason),
        }
    }
}

impl Closer {
    /// Works until the input ends, the query is stopped, or it fails.
    pub(crate) fn run(mut self) -> Ending {
        loop {
            let message = match self.inbox.recv_timeout(self.patience().to_std()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ending::Stopped,
            };
            if let Err(ending) = self.step(message) {
                return ending;
            }
        }
    }

    /// How long to wait for a message before looking at the clock.
    fn patience(&self) -> Duration {
        match (&self.time, self.refresh) {
            (Time::Clock(clock), Some(_)) if self.state.dirty => {
                let until = self.state.next_look - clock.now();
                Duration(until.0.clamp(1, IDLE_CHECK.0))
            }
            _ => IDLE_CHECK,
        }
    }

    fn step(&mut self, message: Option<ToCloser>) -> Result<(), Ending> {
        let mut next = message;
        // Everything that is there already is taken before looking at time: fewer, larger looks under load.
        while let Some(message) = next {
            self.take(message)?;
            next = self.inbox.try_recv().ok();
        }
        if let Time::Clock(clock) = &self.time {
            self.state.now = clock.now();
        }
        self.advance()
    }

    fn take(&mut self, message: ToCloser) -> Result<(), Ending> {
        match message {
            ToCloser::Progress(progress) => self.progress(progress),
            ToCloser::Rows(rows) => {
                self.stats.rows_out.add(rows.num_rows() as u64);
                self.output.append(rows, self.state.now)?;
            }
            ToCloser::Delta { leaf, window: Some(window), delta } => {
                let Operator::Windowed { leaves, .. } = &self.operator else { return Ok(()) };
                let of_window = self.state.windows.entry(window).or_insert_with(|| vec![Vec::new(); leaves.len()]);
                of_window[leaf].push(delta);
                self.state.unseen.insert(window);
            }
            ToCloser::Delta { window: None, delta, .. } => {
                if let Operator::Updating { table, .. } = &mut self.operator {
                    table.merge(&delta, self.state.now)?;
                }
            }
            ToCloser::Snapped => self.snapped()?,
            ToCloser::Settle(token) => {
                self.state.in_rounds.get_or_insert(true);
                // Whoever settled before may have been stopped meanwhile.
                self.state.settling.retain(|earlier| !earlier.is_closed());
                self.state.settling.push(token);
            }
            ToCloser::Ended { source } => {
                if let Some(input) = self.inputs.get_mut(&source) {
                    input.ended += 1;
                    if input.ended == self.workers.len() {
                        input.watermarks.end();
                    }
                }
            }
            ToCloser::Failed(reason) => return Err(Ending::Failed(reason)),
            ToCloser::Stop => return Err(Ending::Stopped),
        }
        Ok(())
    }

    fn progress(&mut self, Progress { source, shard, kind }: Progress) {
        let Some(input) = self.inputs.get_mut(&source) else { return };
        let mut now = self.state.now;
        if let (Time::Arrivals, ProgressKind::Moved { arrival: at, .. } | ProgressKind::Tip { as_of: at }) =
            (&self.time, &kind)
        {
            // A shard moved when its record arrived, however far others are.
            now = *at;
            self.state.now = self.state.now.max(now);
        }
        if let Time::Clock(clock) = &self.time {
            self.state.now = clock.now();
            now = self.state.now;
        }
        let seen = input.offsets.entry(shard.clone()).or_default();
        match kind {
            ProgressKind::Opened { parents } => input.watermarks.open(&shard, &parents, now),
            ProgressKind::Moved { watermark, offset, rows, .. } => {
                self.state.in_rounds.get_or_insert(false);
                seen.0 = Some(offset);
                input.watermarks.observe(&shard, watermark, now);
                self.state.dirty |= rows > 0;
            }
            ProgressKind::Tip { as_of } => {
                seen.1 = 0;
                input.watermarks.at_tip(&shard, as_of);
            }
            ProgressKind::Told { watermark } => input.watermarks.observe(&shard, watermark, now),
            ProgressKind::Behind { lag_ms } => seen.1 = lag_ms,
            ProgressKind::Closed => input.watermarks.close(&shard),
        }
    }

    /// Looks at time, and does what is due.
    fn advance(&mut self) -> Result<(), Ending> {
        // A client may leave while no rows come.
        if self.output.is_abandoned() {
            return Err(Ending::Abandoned);
        }
        if self.is_within_round() {
            return Ok(());
        }
        let now = self.state.now;
        let least = self.inputs.values_mut().map(|input| input.watermarks.advance(now)).min();
        if let Some(watermark) = least.filter(|watermark| *watermark > self.state.watermark) {
            self.state.watermark = watermark;
            self.output.watermark(watermark)?;
        }
        self.publish();
        match &self.operator {
            Operator::Rows => {}
            Operator::Windowed { spec, .. } => {
                let spec = *spec;
                self.advance_windows(spec);
            }
            Operator::Updating { .. } => self.show_updates()?,
        }
        if self.state.snap.is_none() {
            if self.ended() {
                self.show_updates()?;
                return Err(Ending::Finished);
            }
            self.state.settling.clear();
        }
        Ok(())
    }

    /// Until each worker has said that a round is complete, some of it may still be on its way.
    fn is_within_round(&self) -> bool {
        let is_complete = self.state.settling.len() >= self.workers.len();
        self.state.in_rounds == Some(true) && !is_complete && !self.inputs_ended()
    }

    fn inputs_ended(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.values().all(|input| input.ended == self.workers.len())
    }

    fn ended(&self) -> bool {
        self.inputs_ended()
            && (matches!(self.operator, Operator::Rows | Operator::Updating { .. })
                || self.state.closed == EventTime::MAX)
    }

    fn advance_windows(&mut self, spec: WindowSpec) {
        if self.state.snap.is_some() {
            return;
        }
        let close = last_closed(spec, self.state.watermark);
        let look = self.refresh.is_some() && self.state.dirty && self.state.now >= self.state.next_look;
        if close <= self.state.closed && !look {
            return;
        }
        self.state.dirty &= !look;
        let close = close.max(self.state.closed);
        self.state.snap = Some(Snap { waiting: self.workers.len(), close, look });
        for worker in &self.workers {
            // Workers outlive closers, except when the whole engine stops.
            let _ = worker.send(ToWorker::Snap { query: self.query, close, all: look });
        }
    }

    fn snapped(&mut self) -> Result<(), Ending> {
        let Some(snap) = &mut self.state.snap else { return Ok(()) };
        snap.waiting -= 1;
        if snap.waiting > 0 {
            return Ok(());
        }
        let (close, look) = (snap.close, snap.look);
        self.state.snap = None;
        self.state.closed = close;
        while let Some(window) = self.state.windows.first_key_value().map(|(window, _)| *window) {
            if window.end > close {
                break;
            }
            let deltas = self.state.windows.remove(&window).unwrap_or_default();
            self.state.unseen.remove(&window);
            let rows = self.result(window, &deltas)?;
            self.stats.rows_out.add(rows.num_rows() as u64);
            self.output.window(window, rows, true)?;
        }
        if look {
            let started = self.state.now;
            for window in std::mem::take(&mut self.state.unseen) {
                self.compact(window)?;
                let Some(deltas) = self.state.windows.get(&window) else { continue };
                let rows = self.result(window, deltas)?;
                self.output.window(window, rows, false)?;
            }
            if let (Time::Clock(clock), Some(refresh)) = (&self.time, self.refresh) {
                let ended = clock.now();
                self.state.next_look = ended + Duration(refresh.0.max((ended - started).0 * LOOK_SHARE));
            }
        }
        Ok(())
    }

    /// Merges what the workers had of a window and runs CLOSE over it.
    fn result(&self, window: Window, deltas: &[Vec<Delta>]) -> Result<RecordBatch, DataFusionError> {
        let Operator::Windowed { leaves, close, .. } = &self.operator else {
            return Err(DataFusionError::Internal("only windowed queries have windows".to_owned()));
        };
        let rows = leaves
            .iter()
            .zip(deltas)
            .map(|((leaf, layout), deltas)| leaf_rows(leaf, layout.merged(deltas)?, Some(window)));
        close.run(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the number of deltas of an open window small.
    fn compact(&mut self, window: Window) -> Result<(), DataFusionError> {
        let Operator::Windowed { leaves, .. } = &self.operator else { return Ok(()) };
        let Some(of_window) = self.state.windows.get_mut(&window) else { return Ok(()) };
        for ((_, layout), deltas) in leaves.iter().zip(of_window) {
            if deltas.len() > MAX_DELTAS {
                *deltas = vec![layout.merged(deltas)?.freeze()?];
            }
        }
        Ok(())
    }

    /// Hands on what changed in an updating table.
    fn show_updates(&mut self) -> Result<(), Ending> {
        let Operator::Updating { table, close, key } = &mut self.operator else { return Ok(()) };
        let now = self.state.now;
        let settling = !self.state.settling.is_empty();
        if table.has_changes() && (settling || now >= self.state.next_look || !matches!(self.time, Time::Clock(_))) {
            let changed = table.take_changed()?;
            let rows = close.run(vec![changed.rows])?;
            let kept: Vec<ArrayRef> = key.iter().map(|column| Arc::clone(rows.column(*column))).collect();
            let gone = missing_keys(&changed.keys, &kept)?;
            self.stats.rows_out.add(rows.num_rows() as u64);
            self.output.update(&rows, gone.as_deref())?;
            self.state.dirty = false;
            if let (Time::Clock(clock), Some(refresh)) = (&self.time, self.refresh) {
                let ended = clock.now();
                self.state.next_look = ended + Duration(refresh.0.max((ended - now).0 * LOOK_SHARE));
            }
        }
        if let Some(gone) = table.expire(now)? {
            let none = RecordBatch::new_empty(close.schema());
            self.output.update(&none, Some(&gone))?;
        }
        Ok(())
    }

    fn publish(&self) {
        self.stats.set_watermark(self.state.watermark);
        let (windows, groups) = match &self.operator {
            Operator::Rows => (0, 0),
            Operator::Updating { table, .. } => (0, table.len()),
            Operator::Windowed { .. } => {
                let groups = |deltas: &Vec<Vec<Delta>>| deltas.iter().flatten().map(Delta::groups).max().unwrap_or(0);
                (self.state.windows.len(), self.state.windows.values().map(groups).sum())
            }
        };
        self.stats.set_state_size(windows, groups);
        for (source, input) in &self.inputs {
            for (shard, progress) in input.watermarks.shards() {
                let (offset, lag_ms) = input.offsets.get(shard).cloned().unwrap_or_default();
                let stats = ShardStats { state: progress.state, watermark: progress.watermark, offset, lag_ms };
                self.stats.set_shard(source, shard, stats);
            }
        }
    }
}

impl Input {
    pub(crate) fn new(watermarks: Watermarks) -> Self {
        Self { watermarks, ended: 0, offsets: HashMap::new() }
    }
}

/// The end of the last window that ends by `watermark`.
fn last_closed(spec: WindowSpec, watermark: EventTime) -> EventTime {
    match (spec, watermark) {
        (_, EventTime::MIN | EventTime::MAX) => watermark,
        (WindowSpec::Tumble { size, offset }, at) => WindowSpec::tumble_start(size, offset, at),
    }
}
