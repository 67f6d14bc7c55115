//! Scripts into effect: plan all, compile all, then start.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arrow::datatypes::FieldRef;
use millstream_core::{Boundedness, Duration, Offsets, Watermarks};
use millstream_sql::{
    Catalog, ContinuousQuery, Effect, GroupKey, Leaf, Lookup, Pipeline, QueryAction, SqlError, Stage, Statement, Table,
    Target, apply, explain, parse,
};
use tokio::sync::{mpsc, watch};

use crate::close::ClosePlan;
use crate::closer::{Closer, Ending, Input, Operator, State, Time};
use crate::engine::{
    CLOSER_QUEUE, CheckReport, Checked, ClientRows, Inner, Lane, MAX_QUERIES, Outcome, Query, QueryState, Running,
    Script, ScriptError, Source,
};
use crate::hot::{CompiledHot, CompiledLeaf};
use crate::lane::{LaneOutput, read};
use crate::live_table::{Holds, LiveTable};
use crate::lookup::{Contents, look_up, scanned};
use crate::merge::Merge;
use crate::message::{LaneId, QueryId, ToWorker};
use crate::output::{Output, SINK_QUEUE, drive_sink};
use crate::pane::PaneLayout;
use crate::source::{SourceDecoder, SourceSpec};
use crate::threads;
use crate::updating::UpdatingTable;
use crate::worker::{Attachment, Part, Work};

/// A statement's effect, compiled as far as it can be without starting anything.
enum Step {
    Done(Outcome),
    Start(Box<Prepared>),
    LookUp { statement: String, lookup: Lookup },
    Drop { statement: String, kind: &'static str, name: String },
    Alter { statement: String, name: String, action: QueryAction },
}

/// A query that is compiled and not yet started.
struct Prepared {
    plan: ContinuousQuery,
    parts: Vec<(String, Arc<Part>)>,
    operator: Operator,
    table: Option<Arc<LiveTable>>,
    sink: Option<Box<dyn millstream_core::Sink>>,
}

impl Inner {
    pub(crate) fn execute(self: &Arc<Self>, scripts: &[Script]) -> Result<Vec<Outcome>, ScriptError> {
        let mut state = self.lock();
        let mut catalog = state.catalog.clone();
        let mut steps = Vec::new();
        let mut definitions = Vec::new();
        for (index, script) in scripts.iter().enumerate() {
            let failed = |error| ScriptError { script: index, error };
            for statement in parse(&script.text).map_err(failed)? {
                let effect =
                    apply(&self.session, self.connectors.as_ref(), &mut catalog, &statement).map_err(failed)?;
                if script.durable
                    && let Some(name) = defines(&effect)
                {
                    definitions.push((name, statement.text.clone()));
                }
                let step = self.prepare(&state, &catalog, &statement, effect);
                steps.push((index, step.map_err(|error| failed(error.at(statement.at)))?));
            }
        }
        let starting = steps.iter().filter(|(_, step)| matches!(step, Step::Start(_))).count();
        if state.queries.len() + starting > MAX_QUERIES {
            let error = SqlError::new(format!("there would be more than {MAX_QUERIES} queries"));
            return Err(ScriptError { script: 0, error: error.hint("drop some first") });
        }
        if state.stopping {
            return Err(ScriptError { script: 0, error: SqlError::new("the service is stopping") });
        }
        // From here on everything takes effect; lookups run last and outside the lock.
        state.catalog = catalog;
        state.definitions.extend(definitions);
        let mut outcomes = Vec::new();
        let mut started = Vec::new();
        for (index, step) in steps {
            outcomes.push((
                index,
                match step {
                    Step::Done(outcome) => Ok(outcome),
                    Step::Start(prepared) => self.start_query(&mut state, *prepared, &mut started),
                    Step::Drop { statement, kind, name } => {
                        self.drop_query(&mut state, &name);
                        state.definitions.retain(|(defined, _)| *defined != name);
                        Ok(Outcome::Dropped { statement, kind, name })
                    }
                    Step::Alter { statement, name, action } => {
                        self.alter(&mut state, &name, action).map(|()| Outcome::Altered { statement, name })
                    }
                    Step::LookUp { statement, lookup } => {
                        let contents = self.contents(&state, &lookup);
                        drop(state);
                        let found =
                            contents.and_then(|contents| look_up(&self.session, &self.runtime, lookup.plan, contents));
                        state = self.lock();
                        found.map(|(schema, rows)| Outcome::Rows { statement, schema, rows })
                    }
                },
            ));
        }
        self.start_readers(&mut state, &started).map_err(|error| ScriptError { script: 0, error })?;
        outcomes.into_iter().map(|(script, outcome)| outcome.map_err(|error| ScriptError { script, error })).collect()
    }

    pub(crate) fn check(&self, script: &str) -> CheckReport {
        let mut report = CheckReport::default();
        let mut catalog = self.lock().catalog.clone();
        let statements = match parse(script) {
            Ok(statements) => statements,
            Err(error) => {
                report.errors.push(error);
                return report;
            }
        };
        for statement in statements {
            match apply(&self.session, self.connectors.as_ref(), &mut catalog, &statement) {
                Ok(effect) => {
                    let (kind, name, text) = describe(&effect);
                    if let Effect::Query(query) = &effect {
                        report.warnings.extend(query.pipeline.warnings.iter().cloned());
                    }
                    report.statements.push(Checked { statement: statement.text, kind, name, explain: text });
                }
                Err(error) => report.errors.push(error),
            }
        }
        report
    }

    fn prepare(
        &self,
        state: &Running,
        catalog: &Catalog,
        statement: &Statement,
        effect: Effect,
    ) -> Result<Step, SqlError> {
        let text = statement.text.clone();
        Ok(match effect {
            Effect::Created { kind, name } | Effect::Existed { kind, name } => {
                Step::Done(Outcome::Created { statement: text, kind, name })
            }
            Effect::Query(query) => Step::Start(Box::new(self.compile(query)?)),
            Effect::Dropped { kind, name } => {
                if kind == "query" && !state.queries.contains_key(&name) {
                    return Err(no_query(state, &name));
                }
                Step::Drop { statement: text, kind, name }
            }
            Effect::Rows(lookup) => Step::LookUp { statement: text, lookup },
            Effect::Explained(explained) => Step::Done(Outcome::Explained { statement: text, text: explained }),
            Effect::Described { name, columns } => Step::Done(Outcome::Described { statement: text, name, columns }),
            Effect::Show(what) => Step::Done(crate::system::show(text, what, state, catalog)?),
            Effect::Set { key, value } => {
                return Err(SqlError::new(format!("the setting `{key}` is unknown (value `{value}`)"))
                    .hint("options of tables and materialized views are given in their WITH (…)"));
            }
            Effect::Alter { query, action } => {
                if !state.queries.contains_key(&query) {
                    return Err(no_query(state, &query));
                }
                Step::Alter { statement: text, name: query, action }
            }
        })
    }

    /// Everything that can fail about a query, before anything of it runs.
    fn compile(&self, plan: ContinuousQuery) -> Result<Prepared, SqlError> {
        let pipeline = &plan.pipeline;
        let source = |table: &Table| table.decl.name.clone();
        let (parts, operator) = match &pipeline.stage {
            Stage::Rows(branches) => {
                let mut parts = Vec::new();
                for rows in branches {
                    let work = Work::Rows { hot: CompiledHot::of_rows(rows)?, schema: Arc::clone(&pipeline.schema) };
                    let name = source(&rows.hot.table);
                    parts.push((name.clone(), Arc::new(Part { source: name, work })));
                }
                (parts, Operator::Rows)
            }
            Stage::Windowed { leaves, window, close } => {
                let mut parts = Vec::new();
                let mut layouts = Vec::new();
                for (index, leaf) in leaves.iter().enumerate() {
                    let (part, layout) = compile_leaf(index, leaf, Some(*window))?;
                    parts.push((source(&leaf.hot.table), Arc::new(part)));
                    layouts.push((leaf.clone(), layout));
                }
                let close = ClosePlan::compile(&self.session, self.runtime.clone(), close, leaves.len())?;
                (parts, Operator::Windowed { spec: *window, leaves: layouts, close })
            }
            Stage::Updating { leaf, close, ttl } => {
                let (part, layout) = compile_leaf(0, leaf, None)?;
                let table = UpdatingTable::new(leaf.clone(), layout, *ttl)?;
                let close = ClosePlan::compile(&self.session, self.runtime.clone(), close, 1)?;
                let operator = Operator::Updating { table: Box::new(table), close, key: pipeline.key.clone() };
                (vec![(source(&leaf.hot.table), Arc::new(part))], operator)
            }
        };
        let (table, sink) = match &plan.target {
            Target::LiveTable { schema, settings } => {
                let holds = match &pipeline.stage {
                    Stage::Rows(_) => Holds::Appended,
                    Stage::Windowed { .. } => Holds::Windows,
                    Stage::Updating { .. } => Holds::Keys,
                };
                let table = LiveTable::new(&plan.name, Arc::clone(schema), pipeline.key.clone(), holds, *settings)?;
                (Some(Arc::new(table)), None)
            }
            Target::Sink(table) => {
                let sink = self.connectors.sink(&table.decl, &plan.name);
                (None, Some(sink.map_err(|error| SqlError::new(error.to_string()))?))
            }
            Target::Client { .. } => (None, None),
        };
        Ok(Prepared { plan, parts, operator, table, sink })
    }

    fn start_query(
        self: &Arc<Self>,
        state: &mut Running,
        prepared: Prepared,
        started: &mut Vec<String>,
    ) -> Result<Outcome, SqlError> {
        let Prepared { mut plan, parts, operator, table, sink } = prepared;
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
                let done = self.sinks.clone();
                threads::task(&self.runtime, async move {
                    if let Err(error) = drive_sink(sink, emissions, clock).await {
                        tracing::error!(%query, %error, "a sink gave up; its query stops");
                        failing.send_replace(QueryState::Failed(error.to_string()));
                    } else if matches!(*failing.borrow(), QueryState::Running) {
                        failing.send_replace(QueryState::Finished);
                    }
                    drop(done);
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
            operator,
            output,
            stats: Arc::clone(&stats),
            time: if self.settings.replay_time { Time::Arrivals } else { Time::Clock(Arc::clone(&self.clock)) },
            refresh,
            inputs: inputs.collect(),
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
        for (source, lane) in lanes {
            let resume = resume_point(state, &source, started);
            self.start_reader(state, lane, &source, &tables[&source], resume)?;
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
            let source = Source { spec, stats: Arc::default(), pinning: Arc::default() };
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
                opened: Arc::clone(&opened),
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
        table: &Table,
        resume: Offsets,
    ) -> Result<(), SqlError> {
        let (Some(open), Some(shared)) = (state.lanes.get(&lane), state.sources.get(name)) else { return Ok(()) };
        let output = LaneOutput {
            lane,
            workers: self.workers.clone(),
            budget: Arc::clone(&self.budget),
            budget_bytes: self.settings.queue_bytes,
            pinning: Arc::clone(&shared.pinning),
            merge: open.merge.clone(),
            stopped: open.stop.subscribe(),
        };
        let source = self.connectors.source(&table.decl).map_err(|error| SqlError::new(error.to_string()))?;
        let (engine, name) = (Arc::downgrade(self), name.to_owned());
        threads::task(&self.runtime, async move {
            if let Err(error) = read(source, resume, output).await
                && let Some(engine) = engine.upgrade()
            {
                engine.source_failed(lane, &name, &error.to_string());
            }
        });
        Ok(())
    }

    fn contents(&self, state: &Running, lookup: &Lookup) -> Result<Contents, SqlError> {
        let mut contents = Contents::new();
        for name in scanned(&lookup.plan)? {
            let table = match state.queries.get(&name).and_then(|query| query.table.as_ref()) {
                Some(table) => Some(table),
                None if name == self.errors.name() => Some(&self.errors),
                None => None,
            };
            let rows = match table {
                Some(table) => (Arc::clone(table.schema()), table.snapshot()?.rows),
                None => crate::system::rows(&name, state)?,
            };
            contents.insert(name, rows);
        }
        Ok(contents)
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
            let _ = query.closer.try_send(crate::message::ToCloser::Failed(reason.to_owned()));
        }
    }
}

fn compile_leaf(
    index: usize,
    leaf: &Leaf,
    window: Option<millstream_core::WindowSpec>,
) -> Result<(Part, PaneLayout), SqlError> {
    let compiled = CompiledLeaf::compile(leaf)?;
    let keys = leaf.keys.iter().zip(leaf.schema.fields().iter()).filter_map(|(key, field): (_, &FieldRef)| match key {
        GroupKey::Row(_) => Some(Arc::clone(field)),
        GroupKey::Window(_) => None,
    });
    let functions = compiled.aggregates.iter().map(|aggregate| Arc::clone(&aggregate.function)).collect();
    let layout = PaneLayout::new(keys, functions, window.is_none());
    let source = leaf.hot.table.decl.name.clone();
    let work = Work::Aggregate { leaf: index, compiled, layout: layout.clone(), window };
    Ok((Part { source, work }, layout))
}

/// How the event time of a part's source advances.
fn watermarks(part: &Part, pipeline: &Pipeline) -> Watermarks {
    let table = pipeline.hots().into_iter().map(|hot| &hot.table).find(|table| table.decl.name == part.source);
    match table {
        Some(table) => {
            let delay = table.time.map_or(Duration(0), |time| time.delay);
            Watermarks::new(table.progress.idle_timeout, table.progress.idle_policy, delay)
        }
        None => Watermarks::new(None, millstream_core::IdlePolicy::Close, Duration(0)),
    }
}

/// Where the readers of queries that were paused go on.
fn resume_point(state: &Running, source: &str, started: &[String]) -> Offsets {
    started.iter().find_map(|name| state.queries.get(name)?.paused_at.get(source).cloned()).unwrap_or_default()
}

fn no_query(state: &Running, name: &str) -> SqlError {
    let names: Vec<&str> = state.queries.keys().map(String::as_str).collect();
    SqlError::new(format!("there is no query `{name}`")).hint(format!("there are: {}", names.join(", ")))
}

/// What a durable statement is remembered under.
fn defines(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Created { name, .. } => Some(name.clone()),
        Effect::Query(query) if !query.name.is_empty() => Some(query.name.clone()),
        _ => None,
    }
}

fn describe(effect: &Effect) -> (&'static str, String, String) {
    match effect {
        Effect::Created { kind, name } | Effect::Existed { kind, name } => (kind, name.clone(), String::new()),
        Effect::Query(query) => ("query", query.name.clone(), explain(&query.pipeline)),
        Effect::Dropped { name, .. } => ("dropped", name.clone(), String::new()),
        Effect::Rows(_) | Effect::Show(_) => ("rows", String::new(), String::new()),
        Effect::Explained(text) => ("explain", String::new(), text.clone()),
        Effect::Described { name, .. } => ("rows", name.clone(), String::new()),
        Effect::Set { key, .. } => ("set", key.clone(), String::new()),
        Effect::Alter { query, .. } => ("query", query.clone(), String::new()),
    }
}

impl Inner {
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
