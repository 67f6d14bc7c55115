//! Starting queries and readers, and hearing of their ends.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures::future::{Aborted, abortable};
use millstream_core::{
    Boundedness, Clock, Delivery, Duration, EventTime, IdlePolicy, Offset, Resume, ShardId, Source, Start, Watermarks,
};
use millstream_sql::{Pipeline, SqlError, Table, Target};
use tokio::sync::{mpsc, watch};

use crate::attached::{Attachment, Part};
use crate::budget::Budget;
use crate::checkpoint::{Broken, Writer};
use crate::closer::{Checkpoints, Closer, Ending, Input, State, Time};
use crate::compile::Prepared;
use crate::drift::Drift;
use crate::durable::{Origin, ResumePoint, SourcePoint};
use crate::engine::{CLOSER_QUEUE, ClientRows, Inner, Lane, Outcome, Query, QueryState, Running};
use crate::errors::ERROR_STREAM;
use crate::faults::FaultLog;
use crate::lane::{LaneOutput, read};
use crate::merge::Merge;
use crate::message::{CloserLink, LaneId, QueryId, Said, ToCloser, ToWorker};
use crate::output::{Output, Recover, SINK_QUEUE, drive_sink};
use crate::source::{SourceDecoder, SourceSpec};

/// How long to wait for room in a closer's inbox.
pub(crate) const FULL_INBOX: Duration = Duration(50);

impl Inner {
    /// Starts the closer of a query and the task of its sink; readers come after.
    pub(crate) fn start_query(
        self: &Arc<Self>,
        state: &mut Running,
        prepared: Prepared,
        durable: Option<(Origin, Writer)>,
        key: String,
        started: &mut Vec<String>,
    ) -> Result<Outcome, SqlError> {
        let Prepared { mut plan, parts, mut stages, sources, takes_all, table, sink, stats, memory } = prepared;
        let id = QueryId(self.next_id());
        if plan.name.is_empty() {
            plan.name = format!("select_{}", id.0);
        }
        let name = if key.is_empty() { plan.name.clone() } else { key };
        let statement = plan.sql.clone();
        let (closer_sender, inbox) = crossbeam_channel::bounded(CLOSER_QUEUE);
        let (state_sender, _) = watch::channel(QueryState::Running);
        let reads_errors = parts.iter().any(|(source, _)| source == ERROR_STREAM);
        // What else it reads may still give errors for it.
        let held = (reads_errors && parts.iter().any(|(source, _)| source != ERROR_STREAM)).then(|| self.faults.hold());
        let delivery = match (&durable, &sink) {
            // Errors are not kept: those that were told since its last checkpoint may be missing.
            _ if reads_errors => Delivery::Nothing,
            (Some(_), Some(sink)) => sink.delivery(),
            (Some(_), None) => Delivery::ExactlyOnce,
            (None, _) => Delivery::Nothing,
        };
        let (origin, writer) = durable.unzip();
        let is_finished = origin.as_ref().is_some_and(Origin::is_finished);
        let mut sink_queue = None;
        let (output, outcome) = match (&plan.target, &table, sink) {
            (Target::Sink(_), _, Some(mut sink)) => {
                if let Some(origin) = origin.as_ref().filter(|origin| origin.resume.only.is_some()) {
                    sink.claimed(origin.base.number);
                }
                let (queue, emissions) = mpsc::channel(SINK_QUEUE);
                let (clock, failing, query) = (Arc::clone(&self.clock), state_sender.clone(), name.clone());
                self.open_sinks.send_modify(|open| *open += 1);
                let done = self.open_sinks.clone();
                let recover = origin.as_ref().map_or(Recover::Nothing, |origin| Recover::From(origin.sink.clone()));
                self.runner.task(Box::pin(async move {
                    match drive_sink(sink, emissions, clock, recover).await {
                        Err(error) => {
                            tracing::error!(%query, %error, "a sink gave up; its query stops");
                            failing.send_replace(QueryState::Failed(error.to_string()));
                        }
                        Ok(true) if matches!(*failing.borrow(), QueryState::Running) => {
                            failing.send_replace(QueryState::Finished);
                        }
                        Ok(_) => {}
                    }
                    done.send_modify(|open| *open -= 1);
                }));
                sink_queue = Some(queue.clone());
                (Output::Sink(queue), Outcome::Created { statement, kind: "query", name: plan.name.clone() })
            }
            (Target::Client { limit }, _, _) => {
                let (queue, emissions) = mpsc::channel(SINK_QUEUE);
                let rows = ClientRows { schema: Arc::clone(&plan.pipeline.schema), limit: *limit, emissions };
                (Output::Client(queue), Outcome::Stream { statement, rows })
            }
            (_, Some(table), _) => (
                Output::LiveTable(Arc::clone(table), self.capture.clone()),
                Outcome::Created { statement, kind: "query", name: plan.name.clone() },
            ),
            _ => return Err(SqlError::new(format!("the query `{name}` has no output"))),
        };
        let refresh = match &plan.target {
            Target::LiveTable { settings, .. } if output.shows_open_windows() => settings.refresh,
            _ => None,
        };
        let now = self.clock.now();
        let mut inputs: HashMap<Arc<str>, Input> = HashMap::new();
        for (source, part) in &parts {
            let mut input = Input::new(watermarks(part, &plan.pipeline));
            if let Some(position) = origin.as_ref().and_then(|origin| origin.position(source)) {
                input.restore(position, now).map_err(SqlError::new)?;
            }
            inputs.insert(Arc::from(source.as_str()), input);
        }
        let closer_state = match &origin {
            Some(origin) if origin.is_restored => {
                if let Some(table) = &table {
                    table.advance(origin.watermark())?;
                }
                State::restored(origin.watermark(), origin.emitted_until())
            }
            _ => State::default(),
        };
        let mut checkpoints = None;
        let mut writing = None;
        if let (Some(origin), Some(writer)) = (&origin, writer) {
            stages.remember();
            let is_first = sink_queue.is_some() && origin.is_first_of_sink();
            let (link, work) = writer.start(sink_queue);
            let interval = plan.settings.checkpoint_interval.or(self.checkpoint_interval()).unwrap_or(Duration(0));
            checkpoints = Some(Checkpoints::new(link, interval, now + interval, origin.next_chunk(), is_first));
            let (failing, finished, query) = (closer_sender.clone(), state_sender.clone(), name.clone());
            let clock = Arc::clone(&self.clock);
            let (work, stop) = abortable(work);
            writing = Some(stop);
            self.runner.task(Box::pin(async move {
                match work.await {
                    Ok(Ok(true)) => {
                        finished.send_if_modified(|state| {
                            let is_running = matches!(state, QueryState::Running);
                            if is_running {
                                *state = QueryState::Finished;
                            }
                            is_running
                        });
                    }
                    // It was told to stop, or the sink has said why.
                    Err(Aborted) | Ok(Ok(false) | Err(Broken::SinkGone)) => {}
                    Ok(Err(broken)) => {
                        tracing::error!(%query, %broken, "checkpoints end; the query stops");
                        fail_closer(&failing, &broken.to_string(), &clock).await;
                        // A closer that has handed on all it had does not hear it.
                        finished.send_if_modified(|state| {
                            let is_running = matches!(state, QueryState::Running | QueryState::Paused);
                            if is_running {
                                *state = QueryState::Failed(broken.to_string());
                            }
                            is_running
                        });
                    }
                }
            }));
        }
        let mut closer = Closer {
            query: id,
            inbox,
            answer: CloserLink { worker: None, inbox: closer_sender.clone() },
            workers: self.workers.clone(),
            name: name.as_str().into(),
            stages,
            is_updating: plan.pipeline.is_updating(),
            takes_all,
            output,
            stats: Arc::clone(&stats),
            budget: Budget::new(Arc::clone(&memory), plan.settings.max_groups),
            faults: self.faults_of(reads_errors),
            held,
            time: if self.settings.replay_time { Time::Arrivals } else { Time::Clock(Arc::clone(&self.clock)) },
            refresh,
            inputs,
            sources,
            checkpoints,
            state: closer_state,
        };
        let (engine, ended_name) = (Arc::downgrade(self), name.clone());
        // Who writes the last checkpoint, or the sink's own task, says that the query has finished.
        let has_sink = matches!(plan.target, Target::Sink(_)) || writing.is_some();
        let query = Query {
            id,
            parts,
            closer: closer_sender,
            stats,
            memory: Arc::downgrade(&memory),
            state: state_sender,
            table,
            started: now,
            since: origin.as_ref().map_or(now, Origin::since),
            resume: origin.as_ref().map(|origin| origin.resume.clone()).unwrap_or_default(),
            writer: writing,
            delivery,
            folder: origin.as_ref().map(|origin| origin.folder.clone()),
            is_pausing: false,
            is_drained: false,
            plan,
        };
        if is_finished {
            closer.show().map_err(SqlError::new)?;
            query.state.send_replace(QueryState::Finished);
            state.queries.insert(name, query);
            return Ok(outcome);
        }
        let ended = move |ending: &Ending| {
            if let Some(engine) = engine.upgrade() {
                engine.ended(&ended_name, id, ending, has_sink);
            }
        };
        let is_started = self.runner.closer(&name, closer, Box::new(ended));
        is_started.map_err(|error| SqlError::new(format!("a thread for `{name}` could not be started: {error}")))?;
        state.queries.insert(name.clone(), query);
        started.push(name);
        Ok(outcome)
    }

    /// One new reader for each source that the queries just started read; those that begin in other places have one of
    /// their own each.
    pub(crate) fn start_readers(self: &Arc<Self>, state: &mut Running, started: &[String]) -> Result<(), SqlError> {
        let mut tables: HashMap<String, Arc<Table>> = HashMap::new();
        let mut readings: BTreeMap<Reading, (LaneId, Vec<String>)> = BTreeMap::new();
        for name in started {
            let Some(query) = state.queries.get(name) else { continue };
            let sources: BTreeSet<&String> = query.parts.iter().map(|(source, _)| source).collect();
            for source in sources {
                let table = state.catalog.source(source);
                let table = table.ok_or_else(|| SqlError::new(format!("`{source}` was dropped meanwhile")))?;
                let reading = Reading::of(source, &query.resume, table.roles.source);
                tables.insert(source.clone(), Arc::clone(table));
                let (_, readers) = readings.entry(reading).or_insert_with(|| (LaneId(self.next_id()), Vec::new()));
                readers.push(name.clone());
            }
        }
        for (Reading { source, only, .. }, (lane, readers)) in &readings {
            let resume = resume_point(state, source, readers);
            self.open_lane(state, *lane, &tables[source], only.as_ref(), readers, resume)?;
        }
        for name in started {
            let Some(query) = state.queries.get(name) else { continue };
            // A closer that has ended reads nothing more.
            let Some(memory) = query.memory.upgrade() else { continue };
            let read = readings.values().filter(|(_, readers)| readers.contains(name)).map(|(lane, _)| *lane);
            let after = query.resume.sources.iter().map(|(source, point)| (source.clone(), point.offsets.clone()));
            let (after, read) = (Arc::new(after.collect()), read.collect::<Vec<_>>());
            for (number, worker) in self.workers.iter().enumerate() {
                let attachment = Attachment {
                    query: query.id,
                    name: name.as_str().into(),
                    lanes: read.clone(),
                    parts: query.parts.iter().map(|(_, part)| Arc::clone(part)).collect(),
                    after: Arc::clone(&after),
                    closer: CloserLink { worker: Some(number), inbox: query.closer.clone() },
                    stats: Arc::clone(&query.stats),
                    memory: Arc::clone(&memory),
                    faults: self.faults_of(query.reads(ERROR_STREAM)),
                };
                // A worker that is gone means that the engine is stopping.
                let _ = worker.send(ToWorker::Attach(Box::new(attachment)));
            }
        }
        // All are made before the first one runs: readers of one replay go through it together.
        let sources = readings.into_iter().map(|(reading, (lane, readers))| {
            let source = self.connectors.source(&tables[&reading.source].decl);
            Ok((reading, lane, readers, source.map_err(|error| SqlError::new(error.to_string()))?))
        });
        for (reading, lane, readers, source) in sources.collect::<Result<Vec<_>, SqlError>>()? {
            let SourcePoint { offsets, .. } = resume_point(state, &reading.source, &readers);
            let resume = Resume { offsets, start: reading.start, since: reading.since, only: reading.only };
            self.start_reader(state, lane, &reading.source, source, resume);
        }
        Ok(())
    }

    fn open_lane(
        &self,
        state: &mut Running,
        lane: LaneId,
        table: &Arc<Table>,
        only: Option<&ShardId>,
        started: &[String],
        resume: SourcePoint,
    ) -> Result<(), SqlError> {
        let name = &table.decl.name;
        if !state.sources.contains_key(name) {
            let spec = Arc::new(SourceSpec::compile(Arc::clone(table))?);
            let source = crate::engine::Source { spec, stats: Arc::default(), pinning: Arc::default() };
            state.sources.insert(name.clone(), Arc::new(source));
        }
        let source = &state.sources[name];
        // A bounded input is read anew for each; a stream's later readers join the first.
        let is_stream = table.roles.source == Some(Boundedness::Unbounded);
        // A reader of one shard is by itself.
        let is_main = |open: &Lane| open.source == *name && open.merge.is_none() && is_stream && open.only.is_none();
        let main = state.lanes.iter().find(|(_, open)| only.is_none() && is_main(open));
        let merge =
            main.map(|(main, open)| Arc::new(Merge::new(lane, *main, Arc::clone(&open.opened), self.merged.clone())));
        let opened = Arc::<AtomicUsize>::default();
        let drift = Drift::new(table.progress.max_drift, Arc::clone(&self.memory));
        for worker in &self.workers {
            let decoder = self.connectors.decoder(&table.decl).map_err(|error| SqlError::new(error.to_string()))?;
            let decoder = Box::new(SourceDecoder::new(Arc::clone(&source.spec), decoder));
            let message = ToWorker::OpenLane {
                lane,
                decoder,
                stats: Arc::clone(&source.stats),
                resume: resume.offsets.clone(),
                watermarks: resume.watermarks.clone(),
                merge: merge.clone(),
                drift: Arc::clone(&drift),
            };
            // A worker that is gone means that the engine is stopping.
            let _ = worker.send(message);
        }
        let readers: HashSet<QueryId> = (state.queries.iter())
            .filter(|(query, state)| started.contains(query) && state.parts.iter().any(|(source, _)| source == name))
            .map(|(_, state)| state.id)
            .collect();
        let (stop, _) = watch::channel(false);
        if let Some(main) = merge.as_ref().and_then(|merge| state.lanes.get_mut(&merge.into)) {
            // The main lane must go on while they catch up with it.
            main.readers.extend(&readers);
        }
        state.lanes.insert(
            lane,
            Lane {
                source: name.clone(),
                only: only.cloned(),
                opened,
                merge,
                drift: is_stream.then_some(drift),
                stop,
                readers,
            },
        );
        Ok(())
    }

    fn start_reader(
        self: &Arc<Self>,
        state: &Running,
        lane: LaneId,
        name: &str,
        source: Box<dyn Source>,
        resume: Resume,
    ) {
        let (Some(open), Some(shared)) = (state.lanes.get(&lane), state.sources.get(name)) else { return };
        let output = LaneOutput {
            lane,
            workers: self.workers.clone(),
            ahead: self.ahead.clone(),
            budget: Arc::clone(&self.budget),
            budget_bytes: self.settings.queue_bytes,
            pinning: Arc::clone(&shared.pinning),
            opened: Arc::clone(&open.opened),
            merge: open.merge.clone(),
            // The clock of a replay goes by its records: nobody can wait by it.
            drift: open.drift.clone().filter(|_| !self.settings.replay_time),
            faults: (name != ERROR_STREAM).then(|| self.faults.clone()),
            clock: Arc::clone(&self.clock),
            stopped: open.stop.subscribe(),
        };
        let (engine, name) = (Arc::downgrade(self), name.to_owned());
        self.runner.task(Box::pin(async move {
            let read = read(source, resume, output).await;
            let Some(engine) = engine.upgrade() else { return };
            match read {
                Ok(false) => {}
                Ok(true) => engine.shard_ended(lane).await,
                Err(error) => engine.source_failed(lane, &name, &error.to_string()),
            }
        }));
    }

    pub(crate) fn ended(self: &Arc<Self>, name: &str, id: QueryId, ending: &Ending, has_sink: bool) {
        let mut state = self.lock();
        // Its name may be another by now: it has taken the place of one that it replaces.
        let Some((key, query)) = state.queries.iter().find(|(_, query)| query.id == id) else { return };
        let key = key.clone();
        match ending {
            // A sink's own task says when its files are complete.
            Ending::Finished if has_sink => {}
            Ending::Finished => {
                query.state.send_replace(QueryState::Finished);
            }
            Ending::Failed(reason) => {
                tracing::error!(query = name, %reason, "a query stopped");
                query.state.send_replace(QueryState::Failed(reason.clone()));
            }
            Ending::Stopped | Ending::Abandoned => {}
        }
        let is_client = matches!(query.plan.target, Target::Client { .. });
        self.leave_lanes(&mut state, id, false);
        if is_client {
            state.queries.remove(&key);
        }
    }

    /// Where a query reports its errors. Of those that read errors nobody else gets them: they could not end.
    fn faults_of(&self, reads_errors: bool) -> FaultLog {
        if reads_errors { self.faults.apart() } else { self.faults.clone() }
    }

    fn source_failed(&self, lane: LaneId, source: &str, reason: &str) {
        tracing::error!(source, %reason, "a source broke; the queries that read it stop");
        let state = self.lock();
        let Some(lane) = state.lanes.get(&lane) else { return };
        for query in state.queries.values().filter(|query| lane.readers.contains(&query.id)) {
            let (closer, reason, clock) = (query.closer.clone(), reason.to_owned(), Arc::clone(&self.clock));
            self.runner.task(Box::pin(async move { fail_closer(&closer, &reason, &clock).await }));
        }
    }

    /// How often checkpoints are taken where a query says nothing else.
    fn checkpoint_interval(&self) -> Option<Duration> {
        self.settings.checkpoints.as_ref().map(|checkpoints| checkpoints.interval)
    }

    /// A number nothing else has.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn tell_workers(&self, message: impl Fn() -> ToWorker) {
        for worker in &self.workers {
            // A worker that is gone means that the engine is stopping.
            let _ = worker.send(message());
        }
    }
}

/// How the event time of a part's source advances.
fn watermarks(part: &Part, pipeline: &Pipeline) -> Watermarks {
    let table = pipeline.tables().find(|table| table.decl.name == part.source);
    match table {
        Some(table) => {
            let delay = table.time.map_or(Duration(0), |time| time.delay);
            Watermarks::new(table.progress.idle_timeout, table.progress.idle_policy, delay)
        }
        None => Watermarks::new(None, IdlePolicy::Close, Duration(0)),
    }
}

/// A reading of a source that queries can share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reading {
    source: String,
    start: Option<Start>,
    since: Option<EventTime>,
    /// Chunks of a bounded input cannot be cut where another query begins: there all begin in the same place.
    at: Option<String>,
    /// Only this shard.
    only: Option<ShardId>,
}

impl Reading {
    fn of(source: &str, resume: &ResumePoint, kind: Option<Boundedness>) -> Self {
        let at = resume.sources.get(source).filter(|_| kind == Some(Boundedness::Bounded));
        Self {
            source: source.to_owned(),
            start: resume.start,
            since: resume.since,
            at: at.map(|point| format!("{:?}", point.offsets)),
            only: resume.only.clone(),
        }
    }
}

/// Where a reader begins so that none of these queries misses anything: in each shard where the first of them does.
fn resume_point(state: &Running, source: &str, readers: &[String]) -> SourcePoint {
    let points = readers.iter().map(|name| state.queries.get(name).and_then(|query| query.resume.sources.get(source)));
    let Some(points) = points.collect::<Option<Vec<_>>>() else { return SourcePoint::default() };
    let mut least = points.first().copied().cloned().unwrap_or_default();
    for point in points.iter().skip(1) {
        let both = least.offsets.iter().filter_map(|(shard, offset)| {
            let other = point.offsets.get(shard)?;
            if other < offset {
                let watermark = point.watermarks.get(shard).copied().unwrap_or(EventTime::MIN);
                Some((shard.clone(), other.clone(), watermark))
            } else {
                let watermark = least.watermarks.get(shard).copied().unwrap_or(EventTime::MIN);
                Some((shard.clone(), offset.clone(), watermark))
            }
        });
        let both: Vec<(ShardId, Offset, EventTime)> = both.collect();
        least = SourcePoint {
            offsets: both.iter().map(|(shard, offset, _)| (shard.clone(), offset.clone())).collect(),
            watermarks: both.into_iter().map(|(shard, _, watermark)| (shard, watermark)).collect(),
        };
    }
    // Of a shard without a position nothing has been read, and nothing is known.
    least.watermarks.retain(|shard, _| least.offsets.get(shard).is_some());
    least
}

/// Tells a closer that its query cannot go on; waits while its inbox is full.
async fn fail_closer(closer: &crossbeam_channel::Sender<Said>, reason: &str, clock: &Arc<dyn Clock>) {
    let mut message = Said { by: None, what: ToCloser::Failed(reason.to_owned()) };
    while let Err(crossbeam_channel::TrySendError::Full(back)) = closer.try_send(message) {
        message = back;
        clock.sleep(FULL_INBOX).await;
    }
}
