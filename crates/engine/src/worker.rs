//! A worker: one thread that decodes the chunks of its shards and feeds the panes of every query that reads them.
//!
//! It owns its panes and shares them with nobody: it hands deltas over when a closer asks. It never waits for a timer; it
//! takes what is in its inbox, does it, and takes the next.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use crossbeam_channel::{Receiver, Sender};
use datafusion::common::Result;
use millstream_core::{Chunk, Duration, EventTime, FormatError, Offsets, ShardId, SourceEvent, Window, WindowSpec};

use crate::errors::Fault;
use crate::faults::FaultLog;
use crate::hot::{CompiledHot, CompiledLeaf, HotRows, isolate};
use crate::merge::{Merge, cut_after};
use crate::message::{LaneId, Progress, ProgressKind, QueryId, ToCloser, ToWorker};
use crate::pane::{Arguments, PaneLayout, PaneTable, take_rows};
use crate::source::{SourceDecoder, SourceRows};
use crate::stats::{QueryStats, SourceStats};
use crate::threads;

/// A query as a worker needs it.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) query: QueryId,
    pub(crate) name: Arc<str>,
    /// The lanes it reads, and what it does with the rows of their sources.
    pub(crate) lanes: Vec<LaneId>,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) closer: Sender<ToCloser>,
    pub(crate) stats: Arc<QueryStats>,
}

/// What a query does with the rows of one source.
pub(crate) struct Part {
    pub(crate) source: String,
    pub(crate) work: Work,
}

/// HOT, and where its rows go.
pub(crate) enum Work {
    /// To the closer, as they are.
    Rows { hot: CompiledHot, schema: arrow::datatypes::SchemaRef },
    /// Into panes, or without a window into one table that is handed over after every batch.
    Aggregate { leaf: usize, compiled: CompiledLeaf, layout: PaneLayout, window: Option<WindowSpec> },
}

struct Lane {
    source: Arc<str>,
    decoder: SourceDecoder,
    stats: Arc<SourceStats>,
    offsets: Offsets,
    watermarks: HashMap<ShardId, EventTime>,
    /// Queries that read all of it.
    queries: Vec<QueryId>,
    /// Queries of lanes that have caught up in a shard, and read it here from then on.
    joined: HashMap<ShardId, Vec<QueryId>>,
    opened: Arc<AtomicUsize>,
    merge: Option<Arc<Merge>>,
    /// Shards that were handed to the lane it merges into.
    handed_over: HashSet<ShardId>,
    failed: bool,
}

struct Query {
    attachment: Attachment,
    /// Panes by window and leaf; updating queries have one without a window.
    panes: BTreeMap<(Option<Window>, usize), PaneTable>,
    /// Windows that end by this have closed.
    closed: EventTime,
}

/// The thread's state.
pub(crate) struct Worker {
    inbox: Receiver<ToWorker>,
    faults: FaultLog,
    lanes: HashMap<LaneId, Lane>,
    queries: HashMap<QueryId, Query>,
}

impl Worker {
    pub(crate) fn new(inbox: Receiver<ToWorker>, faults: FaultLog) -> Self {
        Self { inbox, faults, lanes: HashMap::new(), queries: HashMap::new() }
    }

    /// Works until told to stop.
    pub(crate) fn run(mut self) {
        while let Ok(message) = self.inbox.recv() {
            match message {
                ToWorker::OpenLane { lane, decoder, stats, resume, opened, merge } => {
                    let fresh = Lane {
                        source: decoder.spec().table.decl.name.as_str().into(),
                        decoder: *decoder,
                        stats,
                        offsets: resume,
                        watermarks: HashMap::new(),
                        queries: Vec::new(),
                        joined: HashMap::new(),
                        opened,
                        merge,
                        handed_over: HashSet::new(),
                        failed: false,
                    };
                    self.lanes.insert(lane, fresh);
                }
                ToWorker::Event { lane, event, permit } => {
                    self.take(lane, event);
                    drop(permit);
                }
                ToWorker::Attach(attachment) => self.attach(*attachment),
                ToWorker::Detach { query, keep_state, offsets } => {
                    let read = self.detach(query, keep_state);
                    if let Some(offsets) = offsets {
                        // Whoever asked may be gone; then nobody needs to know.
                        let _ = offsets.send(read);
                    }
                }
                ToWorker::Snap { query, close, all } => self.snap(query, close, all),
                ToWorker::Settle { lane, token } => {
                    self.tell_readers(lane, None, || ToCloser::Settle(token.clone()));
                }
                ToWorker::Ended { lane } => {
                    let source = self.source_of(lane);
                    self.tell_readers(lane, None, || ToCloser::Ended { source: Arc::clone(&source) });
                }
                ToWorker::Promote { lane, into } => self.promote(lane, into),
                ToWorker::CloseLane { lane } => {
                    self.lanes.remove(&lane);
                }
                ToWorker::Stop => return,
            }
        }
    }

    fn attach(&mut self, attachment: Attachment) {
        let id = attachment.query;
        for lane in &attachment.lanes {
            if let Some(lane) = self.lanes.get_mut(lane)
                && !lane.queries.contains(&id)
            {
                lane.queries.push(id);
            }
        }
        match self.queries.get_mut(&id) {
            // It was paused: its panes are as they were.
            Some(query) => query.attachment = attachment,
            None => {
                self.queries.insert(id, Query { attachment, panes: BTreeMap::new(), closed: EventTime::MIN });
            }
        }
    }

    fn detach(&mut self, query: QueryId, keep_state: bool) -> Vec<(String, Offsets)> {
        let mut read = Vec::new();
        for lane in self.lanes.values_mut() {
            let offsets = lane.offsets.iter().filter(|(shard, _)| lane.readers(shard).any(|reader| reader == query));
            let offsets: Offsets = offsets.map(|(shard, offset)| (shard.clone(), offset.clone())).collect();
            read.push((lane.source.to_string(), offsets));
            lane.queries.retain(|reader| *reader != query);
            lane.joined.values_mut().for_each(|joined| joined.retain(|reader| *reader != query));
        }
        if !keep_state {
            self.queries.remove(&query);
        }
        read
    }

    /// Tells the queries that read a lane, or only those that read one shard of it.
    fn tell_readers(&self, lane: LaneId, shard: Option<&ShardId>, message: impl Fn() -> ToCloser) {
        let Some(lane) = self.lanes.get(&lane) else { return };
        let readers: Vec<QueryId> = match shard {
            Some(shard) => lane.readers(shard).collect(),
            None => lane.queries.clone(),
        };
        for query in readers.iter().filter_map(|query| self.queries.get(query)) {
            query.tell(message());
        }
    }

    fn promote(&mut self, lane: LaneId, into: LaneId) {
        let Some(merged) = self.lanes.remove(&lane) else { return };
        let Some(main) = self.lanes.get_mut(&into) else { return };
        for query in merged.queries {
            main.joined.values_mut().for_each(|joined| joined.retain(|reader| *reader != query));
            if !main.queries.contains(&query) {
                main.queries.push(query);
            }
        }
    }

    /// Hands a shard of a catching-up lane to the main one, if both have read up to the same record of it.
    fn try_hand_over(&mut self, lane: LaneId, shard: &ShardId) {
        for (from, into) in self.merging_pairs(lane) {
            let (Some(behind), Some(main)) = (self.lanes.get(&from), self.lanes.get(&into)) else { continue };
            if behind.handed_over.contains(shard) || behind.offsets.get(shard) != main.offsets.get(shard) {
                continue;
            }
            let queries = behind.queries.clone();
            if let Some(main) = self.lanes.get_mut(&into) {
                main.joined.entry(shard.clone()).or_default().extend(queries);
            }
            if let Some(behind) = self.lanes.get_mut(&from) {
                behind.handed_over.insert(shard.clone());
                behind.merge.iter().for_each(|merge| merge.shard_done());
            }
        }
    }

    /// The merges a lane is part of, as (lane that catches up, main lane).
    fn merging_pairs(&self, lane: LaneId) -> Vec<(LaneId, LaneId)> {
        let pair = |(id, open): (&LaneId, &Lane)| open.merge.as_ref().map(|merge| (*id, merge.into));
        self.lanes.iter().filter_map(pair).filter(|(from, into)| *from == lane || *into == lane).collect()
    }

    /// Takes a chunk, cut where another lane of the source stands, so that they can meet there.
    fn take_chunk(&mut self, lane_id: LaneId, chunk: Chunk) {
        for (from, into) in self.merging_pairs(lane_id) {
            let other = if from == lane_id { into } else { from };
            let Some(other) = self.lanes.get(&other).filter(|other| !other.handed_over.contains(&chunk.shard)) else {
                continue;
            };
            if let Some((head, tail)) = other.offsets.get(&chunk.shard).and_then(|at| cut_after(&chunk, at)) {
                self.take_chunk(lane_id, head);
                return self.take_chunk(lane_id, tail);
            }
        }
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        if lane.failed || lane.handed_over.contains(&chunk.shard) {
            return;
        }
        match lane.decode(&chunk) {
            Ok(rows) => self.process(lane_id, &chunk, rows),
            Err(reason) => {
                // A gap, an overlap or a broken decoder: no row after this could be trusted.
                lane.failed = true;
                self.tell_readers(lane_id, Some(&chunk.shard), || ToCloser::Failed(reason.clone()));
            }
        }
        self.try_hand_over(lane_id, &chunk.shard);
    }

    fn open_shard(&mut self, lane_id: LaneId, shard: &ShardId) {
        if let Some(lane) = self.lanes.get(&lane_id) {
            lane.opened.fetch_add(1, Ordering::Release);
        }
        // Queries whose own lane has done its work see new shards of the main one from their start.
        let joining: Vec<QueryId> = (self.merging_pairs(lane_id).into_iter())
            .filter(|(_, into)| *into == lane_id)
            .filter_map(|(from, _)| self.lanes.get(&from))
            .filter(|behind| behind.merge.as_ref().is_some_and(|merge| merge.is_complete()))
            .flat_map(|behind| behind.queries.clone())
            .collect();
        if let Some(lane) = self.lanes.get_mut(&lane_id)
            && !joining.is_empty()
        {
            lane.joined.entry(shard.clone()).or_default().extend(joining);
        }
    }

    fn close_shard(&mut self, lane_id: LaneId, shard: &ShardId) {
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        if let Some(merge) = &lane.merge
            && lane.handed_over.insert(shard.clone())
        {
            merge.shard_done();
        }
    }

    fn source_of(&self, lane: LaneId) -> Arc<str> {
        self.lanes.get(&lane).map_or_else(|| "".into(), |lane| Arc::clone(&lane.source))
    }

    fn take(&mut self, lane_id: LaneId, event: SourceEvent) {
        let source = self.source_of(lane_id);
        let tell = |worker: &Self, shard: &ShardId, kind: ProgressKind| {
            let progress = Progress { source: Arc::clone(&source), shard: shard.clone(), kind };
            worker.tell_readers(lane_id, Some(shard), || ToCloser::Progress(progress.clone()));
        };
        match event {
            SourceEvent::Chunk(chunk) => self.take_chunk(lane_id, *chunk),
            SourceEvent::ShardOpened { shard, parents } => {
                self.open_shard(lane_id, &shard);
                tell(self, &shard, ProgressKind::Opened { parents });
            }
            SourceEvent::Tip { shard, as_of } => {
                // A shard without records can be handed over when both lanes know that.
                self.try_hand_over(lane_id, &shard);
                tell(self, &shard, ProgressKind::Tip { as_of });
            }
            SourceEvent::Behind { shard, lag_ms } => tell(self, &shard, ProgressKind::Behind { lag_ms }),
            SourceEvent::ShardClosed { shard } => {
                tell(self, &shard, ProgressKind::Closed);
                self.close_shard(lane_id, &shard);
            }
        }
    }

    fn process(&mut self, lane_id: LaneId, chunk: &Chunk, source: SourceRows) {
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        lane.stats.records.add(chunk.len() as u64);
        lane.stats.bytes.add(chunk.payload_bytes() as u64);
        lane.stats.rejected.add(source.faults.len() as u64);
        let rejected = source.faults.len() as u64;
        self.faults.report(source.faults);
        let table = &lane.decoder.spec().table;
        let delay = table.time.map_or(Duration(0), |time| time.delay);
        let watermark = lane.watermarks.entry(chunk.shard.clone()).or_insert(EventTime::MIN);
        *watermark = source.latest.map_or(*watermark, |latest| (*watermark).max(latest - delay));
        let moved = ProgressKind::Moved {
            watermark: *watermark,
            offset: chunk.to.clone(),
            arrival: chunk.last_arrival().unwrap_or(EventTime::MIN),
            rows: source.rows.num_rows(),
        };
        for id in lane.readers(&chunk.shard).collect::<Vec<_>>() {
            let Some(query) = self.queries.get_mut(&id) else { continue };
            // Each aggregate of a query counts its own rows, so that they add up.
            let parts = query.attachment.parts.iter().filter(|part| *part.source == *lane.source).count() as u64;
            query.attachment.stats.rows_in.add(chunk.len() as u64 * parts);
            query.attachment.stats.rejected.add(rejected * parts);
            let fed = threads::guarded(|| {
                query.feed(&lane.source, chunk.shard.as_str(), &source.rows, source.times.as_ref(), &self.faults);
            });
            if let Err(reason) = fed {
                query.tell(ToCloser::Failed(reason));
                self.queries.remove(&id);
                continue;
            }
            let progress =
                Progress { source: Arc::clone(&lane.source), shard: chunk.shard.clone(), kind: moved.clone() };
            // First the time, then what happened then: a time-to-live counts from it.
            query.tell(ToCloser::Progress(progress));
            query.hand_over_updates();
        }
    }

    fn snap(&mut self, query: QueryId, close: EventTime, all: bool) {
        let Some(query) = self.queries.get_mut(&query) else { return };
        query.closed = query.closed.max(close);
        let wanted: Vec<(Option<Window>, usize)> = (query.panes.keys())
            .filter(|(window, _)| all || window.is_some_and(|window| window.end <= close))
            .copied()
            .collect();
        for key in wanted {
            query.hand_over(key);
        }
        query.tell(ToCloser::Snapped);
    }
}

impl Lane {
    /// The queries that read a shard here.
    fn readers(&self, shard: &ShardId) -> impl Iterator<Item = QueryId> {
        let own = if self.handed_over.contains(shard) { &[] } else { self.queries.as_slice() };
        own.iter().chain(self.joined.get(shard).into_iter().flatten()).copied()
    }

    fn decode(&mut self, chunk: &Chunk) -> std::result::Result<SourceRows, String> {
        self.offsets.advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).map_err(|error| error.to_string())?;
        let watermark = self.watermarks.get(&chunk.shard).copied().unwrap_or(EventTime::MIN);
        self.decoder.decode(chunk, watermark).map_err(|error: FormatError| error.to_string())
    }
}

impl Query {
    /// The closer ends before its query only when the whole query is being dropped.
    fn tell(&self, message: ToCloser) {
        let _ = self.attachment.closer.send(message);
    }

    fn feed(&mut self, source: &str, shard: &str, rows: &RecordBatch, times: Option<&Int64Array>, faults: &FaultLog) {
        let Self { attachment, panes, closed } = self;
        let mut bad_rows = Vec::new();
        for part in attachment.parts.iter().filter(|part| part.source == source) {
            let mut feed = Feed { attachment, panes, closed: *closed, part, shard, late: Vec::new(), broken: None };
            isolate(
                rows,
                0,
                &mut |batch, first| {
                    let passed = part.hot().run(batch)?;
                    let times = times.map(|times| times.slice(first, batch.num_rows()));
                    feed.take(batch.num_rows(), passed, times.as_ref());
                    Ok(())
                },
                &mut |row, reason| bad_rows.push((part.source.clone(), row, reason)),
            );
            faults.report(std::mem::take(&mut feed.late));
            if let Some(reason) = feed.broken {
                let _ = attachment.closer.send(ToCloser::Failed(reason));
            }
        }
        attachment.stats.rejected.add(bad_rows.len() as u64);
        faults.report(bad_rows.into_iter().map(|(source, row, reason)| {
            let time = times.map(|times| EventTime(times.value(row)));
            let text = row_text(rows, row);
            Fault::of_row(&attachment.name, &source, shard, time, text, reason).named("evaluation")
        }));
    }

    fn hand_over_updates(&mut self) {
        let updates: Vec<(Option<Window>, usize)> =
            self.panes.keys().filter(|(window, _)| window.is_none()).copied().collect();
        for key in updates {
            self.hand_over(key);
        }
    }

    fn hand_over(&mut self, key: (Option<Window>, usize)) {
        let Some(pane) = self.panes.remove(&key) else { return };
        if pane.is_empty() {
            return;
        }
        let (window, leaf) = key;
        match pane.freeze() {
            Ok(delta) => self.tell(ToCloser::Delta { leaf, window, delta }),
            Err(error) => self.tell(ToCloser::Failed(error.strip_backtrace())),
        }
    }
}

/// One batch on its way into one query.
struct Feed<'a> {
    attachment: &'a Attachment,
    panes: &'a mut BTreeMap<(Option<Window>, usize), PaneTable>,
    closed: EventTime,
    part: &'a Part,
    shard: &'a str,
    late: Vec<Fault>,
    /// Why the query cannot go on, if it cannot.
    broken: Option<String>,
}

impl Part {
    fn hot(&self) -> &CompiledHot {
        match &self.work {
            Work::Rows { hot, .. } => hot,
            Work::Aggregate { compiled, .. } => &compiled.hot,
        }
    }
}

impl Feed<'_> {
    /// Takes what HOT let pass. Nothing here is the fault of a row: an error breaks the query.
    fn take(&mut self, given: usize, passed: HotRows, times: Option<&Int64Array>) {
        let stats = Arc::clone(&self.attachment.stats);
        stats.filtered.add((given - passed.rows) as u64);
        match self.absorb(passed, times) {
            Ok(used) => stats.used.add(used as u64),
            Err(error) => self.broken = Some(error.strip_backtrace()),
        }
    }

    /// Answers how many rows were used.
    fn absorb(&mut self, passed: HotRows, times: Option<&Int64Array>) -> Result<usize> {
        let part = self.part;
        match &part.work {
            Work::Rows { schema, .. } => {
                if passed.rows > 0 {
                    let options = RecordBatchOptions::new().with_row_count(Some(passed.rows));
                    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), passed.columns, &options)?;
                    let _ = self.attachment.closer.send(ToCloser::Rows(rows));
                }
                Ok(passed.rows)
            }
            Work::Aggregate { leaf, compiled, layout, window } => match (window, times) {
                (Some(window), Some(times)) => {
                    let times = match &passed.selected {
                        Some(mask) => arrow::compute::filter(times, mask)?.as_primitive().clone(),
                        None => times.clone(),
                    };
                    self.into_windows(*leaf, compiled, layout, *window, &passed, &times)
                }
                _ => {
                    let pane = pane(self.panes, layout, (None, *leaf))?;
                    update(pane, compiled, passed.rows, &passed.columns)?;
                    Ok(passed.rows)
                }
            },
        }
    }

    /// Splits rows by window; answers how many were in time.
    fn into_windows(
        &mut self,
        leaf: usize,
        compiled: &CompiledLeaf,
        layout: &PaneLayout,
        spec: WindowSpec,
        passed: &HotRows,
        times: &Int64Array,
    ) -> Result<usize> {
        let WindowSpec::Tumble { size, offset } = spec;
        let start = |time: i64| WindowSpec::tumble_start(size, offset, EventTime(time));
        let (Some(least), Some(most)) = (arrow::compute::min(times), arrow::compute::max(times)) else { return Ok(0) };
        let times = times.values();
        if start(least) == start(most) {
            let window = spec.window_at(start(least));
            if window.end <= self.closed {
                self.note_late(window, times.iter().copied());
                return Ok(0);
            }
            update(pane(self.panes, layout, (Some(window), leaf))?, compiled, passed.rows, &passed.columns)?;
            return Ok(passed.rows);
        }
        let mut by_window: BTreeMap<EventTime, Vec<u32>> = BTreeMap::new();
        let (mut run, mut run_start) = (Vec::new(), start(times[0]));
        for (row, time) in (0_u32..).zip(times) {
            // Neighbours are mostly of one window: look it up once a run.
            if *time < run_start.0 || *time >= run_start.0 + size.0 {
                by_window.entry(run_start).or_default().append(&mut run);
                run_start = start(*time);
            }
            run.push(row);
        }
        by_window.entry(run_start).or_default().append(&mut run);
        let mut used = 0;
        for (window_start, rows) in by_window {
            let window = spec.window_at(window_start);
            if window.end <= self.closed {
                self.note_late(window, rows.iter().map(|row| times[*row as usize]));
                continue;
            }
            let rows = UInt32Array::from(rows);
            let columns = take_rows(&passed.columns, &rows)?;
            update(pane(self.panes, layout, (Some(window), leaf))?, compiled, rows.len(), &columns)?;
            used += rows.len();
        }
        Ok(used)
    }

    fn note_late(&mut self, window: Window, times: impl Iterator<Item = i64>) {
        for time in times {
            self.attachment.stats.late.add(1);
            let by = self.closed - EventTime(time);
            let reason = format!(
                "late for `{}`: its window [{}, {}) has closed; it came {} ms after the watermark",
                self.attachment.name, window.start, window.end, by.0
            );
            let fault = Fault::of_row(
                &self.attachment.name,
                &self.part.source,
                self.shard,
                Some(EventTime(time)),
                String::new(),
                reason,
            );
            self.late.push(fault.named("late row"));
        }
    }
}

fn pane<'p>(
    panes: &'p mut BTreeMap<(Option<Window>, usize), PaneTable>,
    layout: &PaneLayout,
    key: (Option<Window>, usize),
) -> Result<&'p mut PaneTable> {
    use std::collections::btree_map::Entry;
    Ok(match panes.entry(key) {
        Entry::Occupied(pane) => pane.into_mut(),
        Entry::Vacant(place) => place.insert(layout.table()?),
    })
}

fn update(pane: &mut PaneTable, compiled: &CompiledLeaf, rows: usize, columns: &[ArrayRef]) -> Result<()> {
    let keys: Vec<ArrayRef> = compiled.keys.iter().map(|key| Arc::clone(&columns[*key])).collect();
    let arguments: Vec<Arguments> = (compiled.aggregates.iter())
        .map(|aggregate| Arguments {
            values: aggregate.arguments.iter().map(|argument| Arc::clone(&columns[*argument])).collect(),
            filter: aggregate.filter.map(|filter| columns[filter].as_boolean().clone()),
        })
        .collect();
    pane.update(rows, &keys, &arguments)
}

/// A row as text, for `error_stream`.
fn row_text(rows: &RecordBatch, row: usize) -> String {
    let one = rows.slice(row, 1);
    let cells = one
        .schema()
        .fields()
        .iter()
        .zip(one.columns())
        .map(|(field, column)| {
            let value =
                arrow::util::display::array_value_to_string(column, 0).unwrap_or_else(|error| error.to_string());
            format!("{}={value}", field.name())
        })
        .collect::<Vec<_>>();
    cells.join(", ")
}
