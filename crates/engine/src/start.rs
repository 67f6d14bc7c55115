//! Starting queries and readers, and hearing of their ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use millstream_core::{Boundedness, Duration, IdlePolicy, Offsets, Source, Watermarks};
use millstream_sql::{Pipeline, SqlError, Table, Target};
use tokio::sync::{mpsc, watch};

use crate::attached::{Attachment, Part};
use crate::closer::{Closer, Ending, Input, State, Time};
use crate::compile::Prepared;
use crate::engine::{CLOSER_QUEUE, ClientRows, Inner, Lane, Outcome, Query, QueryState, Running};
use crate::lane::{LaneOutput, read};
use crate::merge::Merge;
use crate::message::{LaneId, QueryId, ToCloser, ToWorker};
use crate::output::{Output, SINK_QUEUE, drive_sink};
use crate::source::{SourceDecoder, SourceSpec};
use crate::threads;

impl Inner {
    /// Starts the closer of a query and the task of its sink; readers come after.
    pub(crate) fn start_query(
        self: &Arc<Self>,
        state: &mut Running,
        prepared: Prepared,
        started: &mut Vec<String>,
    ) -> Result<Outcome, SqlError> {
        let Prepared { mut plan, parts, stages, sources, takes_all, table, sink } = prepared;
        let id = QueryId(self.next_id());
        if plan.name.is_empty() {
            plan.name = format!("select_{}", id.0);
        }
        let name = plan.name.clone();
        let statement = plan.sql.clone();
        let (closer_sender, inbox) = crossbeam_channel::bounded(CLOSER_QUEUE);
        let (state_sender, _) = watch::channel(QueryState::Running);
        let (output, outcome) = match (&plan.target, &table, sink) {
            (Target::Sink(_), _, Some(sink)) => {
                let (queue, emissions) = mpsc::channel(SINK_QUEUE);
                let (clock, failing, query) = (Arc::clone(&self.clock), state_sender.clone(), name.clone());
                self.open_sinks.send_modify(|open| *open += 1);
                let done = self.open_sinks.clone();
                threads::task(&self.runtime, async move {
                    if let Err(error) = drive_sink(sink, emissions, clock).await {
                        tracing::error!(%query, %error, "a sink gave up; its query stops");
                        failing.send_replace(QueryState::Failed(error.to_string()));
                    } else if matches!(*failing.borrow(), QueryState::Running) {
                        failing.send_replace(QueryState::Finished);
                    }
                    done.send_modify(|open| *open -= 1);
                });
                (Output::Sink(queue), Outcome::Created { statement, kind: "query", name: name.clone() })
            }
            (Target::Client { limit }, _, _) => {
                let (queue, emissions) = mpsc::channel(SINK_QUEUE);
                let rows = ClientRows { schema: Arc::clone(&plan.pipeline.schema), limit: *limit, emissions };
                (Output::Client(queue), Outcome::Stream { statement, rows })
            }
            (_, Some(table), _) => (
                Output::LiveTable(Arc::clone(table), self.capture.clone()),
                Outcome::Created { statement, kind: "query", name: name.clone() },
            ),
            _ => return Err(SqlError::new(format!("the query `{name}` has no output"))),
        };
        let stats = Arc::default();
        let refresh = match &plan.target {
            Target::LiveTable { settings, .. } if output.shows_open_windows() => settings.refresh,
            _ => None,
        };
        let inputs = parts
            .iter()
            .map(|(source, part)| (Arc::from(source.as_str()), Input::new(watermarks(part, &plan.pipeline))));
        let closer = Closer {
            query: id,
            inbox,
            workers: self.workers.clone(),
            name: name.as_str().into(),
            stages,
            is_updating: plan.pipeline.is_updating(),
            takes_all,
            output,
            stats: Arc::clone(&stats),
            faults: self.faults.clone(),
            time: if self.settings.replay_time { Time::Arrivals } else { Time::Clock(Arc::clone(&self.clock)) },
            refresh,
            inputs: inputs.collect(),
            sources,
            state: State::default(),
        };
        let (engine, ended_name) = (Arc::downgrade(self), name.clone());
        let has_sink = matches!(plan.target, Target::Sink(_));
        threads::start(&format!("close-{name}"), move || {
            let ending = threads::guarded(|| closer.run()).unwrap_or_else(Ending::Failed);
            if let Some(engine) = engine.upgrade() {
                engine.ended(&ended_name, id, &ending, has_sink);
            }
        })
        .map_err(|error| SqlError::new(format!("a thread for `{name}` could not be started: {error}")))?;
        let query = Query {
            id,
            parts,
            closer: closer_sender,
            stats,
            state: state_sender,
            table,
            started: self.clock.now(),
            paused_at: HashMap::new(),
            is_pausing: false,
            plan,
        };
        state.queries.insert(name.clone(), query);
        started.push(name);
        Ok(outcome)
    }

    /// One new reader for each source that the queries just started read.
    pub(crate) fn start_readers(self: &Arc<Self>, state: &mut Running, started: &[String]) -> Result<(), SqlError> {
        let mut lanes: BTreeMap<String, LaneId> = BTreeMap::new();
        for name in started {
            let Some(query) = state.queries.get(name) else { continue };
            for (source, _) in &query.parts {
                lanes.entry(source.clone()).or_insert_with(|| LaneId(self.next_id()));
            }
        }
        let tables: HashMap<String, Arc<Table>> =
            state.catalog.tables().map(|table| (table.decl.name.clone(), Arc::clone(table))).collect();
        for (source, lane) in &lanes {
            let table = tables.get(source).ok_or_else(|| SqlError::new(format!("`{source}` was dropped meanwhile")))?;
            let resume = resume_point(state, source, started);
            self.open_lane(state, *lane, table, started, resume)?;
        }
        for name in started {
            let Some(query) = state.queries.get(name) else { continue };
            let mut read: Vec<LaneId> =
                query.parts.iter().filter_map(|(source, _)| lanes.get(source).copied()).collect();
            read.dedup();
            let attachment = Attachment {
                query: query.id,
                name: name.as_str().into(),
                lanes: read,
                parts: query.parts.iter().map(|(_, part)| Arc::clone(part)).collect(),
                closer: query.closer.clone(),
                stats: Arc::clone(&query.stats),
            };
            self.tell_workers(|| ToWorker::Attach(Box::new(attachment.clone())));
        }
        // All are made before the first one runs: readers of one replay go through it together.
        let sources = lanes.into_iter().map(|(name, lane)| {
            let source =
                self.connectors.source(&tables[&name].decl).map_err(|error| SqlError::new(error.to_string()))?;
            Ok((name, lane, source))
        });
        for (name, lane, source) in sources.collect::<Result<Vec<_>, SqlError>>()? {
            let resume = resume_point(state, &name, started);
            self.start_reader(state, lane, &name, source, resume);
        }
        Ok(())
    }

    fn open_lane(
        &self,
        state: &mut Running,
        lane: LaneId,
        table: &Arc<Table>,
        started: &[String],
        resume: Offsets,
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
        let main = state.lanes.iter().find(|(_, open)| open.source == *name && open.merge.is_none() && is_stream);
        let merge =
            main.map(|(main, open)| Arc::new(Merge::new(lane, *main, Arc::clone(&open.opened), self.merged.clone())));
        let opened = Arc::<AtomicUsize>::default();
        for worker in &self.workers {
            let decoder = self.connectors.decoder(&table.decl).map_err(|error| SqlError::new(error.to_string()))?;
            let decoder = Box::new(SourceDecoder::new(Arc::clone(&source.spec), decoder));
            let message = ToWorker::OpenLane {
                lane,
                decoder,
                stats: Arc::clone(&source.stats),
                resume: resume.clone(),
                merge: merge.clone(),
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
        state.lanes.insert(lane, Lane { source: name.clone(), opened, merge, stop, readers });
        Ok(())
    }

    fn start_reader(
        self: &Arc<Self>,
        state: &Running,
        lane: LaneId,
        name: &str,
        source: Box<dyn Source>,
        resume: Offsets,
    ) {
        let (Some(open), Some(shared)) = (state.lanes.get(&lane), state.sources.get(name)) else { return };
        let output = LaneOutput {
            lane,
            workers: self.workers.clone(),
            budget: Arc::clone(&self.budget),
            budget_bytes: self.settings.queue_bytes,
            pinning: Arc::clone(&shared.pinning),
            opened: Arc::clone(&open.opened),
            merge: open.merge.clone(),
            stopped: open.stop.subscribe(),
        };
        let (engine, name) = (Arc::downgrade(self), name.to_owned());
        threads::task(&self.runtime, async move {
            if let Err(error) = read(source, resume.into(), output).await
                && let Some(engine) = engine.upgrade()
            {
                engine.source_failed(lane, &name, &error.to_string());
            }
        });
    }

    pub(crate) fn ended(self: &Arc<Self>, name: &str, id: QueryId, ending: &Ending, has_sink: bool) {
        let mut state = self.lock();
        let Some(query) = state.queries.get(name).filter(|query| query.id == id) else { return };
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
            state.queries.remove(name);
        }
    }

    fn source_failed(&self, lane: LaneId, source: &str, reason: &str) {
        tracing::error!(source, %reason, "a source broke; the queries that read it stop");
        let state = self.lock();
        let Some(lane) = state.lanes.get(&lane) else { return };
        for query in state.queries.values().filter(|query| lane.readers.contains(&query.id)) {
            // A query that is behind has a full inbox; it is told when there is room.
            if let Err(crossbeam_channel::TrySendError::Full(message)) =
                query.closer.try_send(ToCloser::Failed(reason.to_owned()))
            {
                let closer = query.closer.clone();
                let told = threads::start("source-failed", move || {
                    // A closer that is gone has ended by itself.
                    let _ = closer.send(message);
                });
                if let Err(error) = told {
                    tracing::error!(%error, "a query could not be told that its source broke");
                }
            }
        }
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

/// Where the readers of queries that were paused go on.
fn resume_point(state: &Running, source: &str, started: &[String]) -> Offsets {
    started.iter().find_map(|name| state.queries.get(name)?.paused_at.get(source).cloned()).unwrap_or_default()
}
