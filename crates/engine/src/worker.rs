//! A worker: one thread that decodes the chunks of its shards and feeds the panes of every query that reads them.
//!
//! It owns its panes and shares them with nobody: it hands deltas over when a closer asks. It never waits for a timer; it
//! takes what is in its inbox, does it, and takes the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use crossbeam_channel::{Receiver, Sender};
use datafusion::common::Result;
use millstream_core::{Chunk, Duration, EventTime, FormatError, Offsets, ShardId, SourceEvent, Window, WindowSpec};

use crate::errors::Fault;
use crate::faults::FaultLog;
use crate::hot::{CompiledHot, CompiledLeaf, HotRows, isolate};
use crate::message::{LaneId, Progress, ProgressKind, QueryId, ToCloser, ToWorker};
use crate::pane::{Arguments, PaneLayout, PaneTable, take_rows};
use crate::source::{SourceDecoder, SourceRows};
use crate::stats::{QueryStats, SourceStats};

/// A query as a worker needs it.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) query: QueryId,
    pub(crate) name: Arc<str>,
    /// The lanes it reads and what it does with their rows.
    pub(crate) parts: Vec<(LaneId, Arc<Part>)>,
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
    queries: Vec<QueryId>,
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
                ToWorker::OpenLane { lane, decoder, stats } => {
                    let fresh = Lane {
                        source: decoder.spec().table.decl.name.as_str().into(),
                        decoder: *decoder,
                        stats,
                        offsets: Offsets::default(),
                        watermarks: HashMap::new(),
                        queries: Vec::new(),
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
                    self.tell_readers(lane, |_| ToCloser::Settle(token.clone()));
                }
                ToWorker::Ended { lane } => {
                    let source = self.source_of(lane);
                    self.tell_readers(lane, |_| ToCloser::Ended { source: Arc::clone(&source) });
                }
                ToWorker::CloseLane { lane } => {
                    self.lanes.remove(&lane);
                }
                ToWorker::Stop => return,
            }
        }
    }

    fn attach(&mut self, attachment: Attachment) {
        let id = attachment.query;
        for (lane, _) in &attachment.parts {
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
        for lane in self.lanes.values_mut().filter(|lane| lane.queries.contains(&query)) {
            lane.queries.retain(|reader| *reader != query);
            read.push((lane.decoder.spec().table.decl.name.clone(), lane.offsets.clone()));
        }
        if !keep_state {
            self.queries.remove(&query);
        }
        read
    }

    fn tell_readers(&self, lane: LaneId, message: impl Fn(QueryId) -> ToCloser) {
        let Some(lane) = self.lanes.get(&lane) else { return };
        for query in lane.queries.iter().filter_map(|query| self.queries.get(query).map(|state| (query, state))) {
            query.1.tell(message(*query.0));
        }
    }

    fn source_of(&self, lane: LaneId) -> Arc<str> {
        self.lanes.get(&lane).map_or_else(|| "".into(), |lane| Arc::clone(&lane.source))
    }

    fn take(&mut self, lane_id: LaneId, event: SourceEvent) {
        let source = self.source_of(lane_id);
        let progress = |shard: &ShardId, kind: ProgressKind| {
            let progress = Progress { source: Arc::clone(&source), shard: shard.clone(), kind };
            move |_| ToCloser::Progress(progress.clone())
        };
        match event {
            SourceEvent::ShardOpened { shard, parents } => {
                self.tell_readers(lane_id, progress(&shard, ProgressKind::Opened { parents }));
            }
            SourceEvent::Tip { shard, as_of } => {
                self.tell_readers(lane_id, progress(&shard, ProgressKind::Tip { as_of }));
            }
            SourceEvent::Behind { shard, lag_ms } => {
                self.tell_readers(lane_id, progress(&shard, ProgressKind::Behind { lag_ms }));
            }
            SourceEvent::ShardClosed { shard } => self.tell_readers(lane_id, progress(&shard, ProgressKind::Closed)),
            SourceEvent::Chunk(chunk) => {
                let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
                if lane.failed {
                    return;
                }
                match lane.decode(&chunk) {
                    Ok(rows) => self.process(lane_id, &chunk, rows),
                    Err(reason) => {
                        // A gap, an overlap or a broken decoder: no row after this could be trusted.
                        lane.failed = true;
                        self.tell_readers(lane_id, |_| ToCloser::Failed(reason.clone()));
                    }
                }
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
        for id in lane.queries.clone() {
            let Some(query) = self.queries.get_mut(&id) else { continue };
            // Each aggregate of a query counts its own rows, so that they add up.
            let parts = query.attachment.parts.iter().filter(|(reads, _)| *reads == lane_id).count() as u64;
            query.attachment.stats.rows_in.add(chunk.len() as u64 * parts);
            query.attachment.stats.rejected.add(rejected * parts);
            query.feed(lane_id, chunk.shard.as_str(), &source.rows, source.times.as_ref(), &self.faults);
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

    fn feed(&mut self, lane: LaneId, shard: &str, rows: &RecordBatch, times: Option<&Int64Array>, faults: &FaultLog) {
        let Self { attachment, panes, closed } = self;
        let mut bad_rows = Vec::new();
        for (_, part) in attachment.parts.iter().filter(|(reads, _)| *reads == lane) {
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
