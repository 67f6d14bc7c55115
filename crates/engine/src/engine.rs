//! The engine: a catalog, the queries that run, and the readers that feed them.
//!
//! Scripts take effect whole or not at all: they are planned against a copy of the catalog, their queries are compiled,
//! and only then is anything started. Queries that are defined together share one reader per source.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use crossbeam_channel::Sender;
use millstream_core::{Clock, Connectors, Delivery, Emission, EventTime, ShardId};
use millstream_sql::{
    Catalog, ContinuousQuery, LiveTableSettings, Pipeline, Position, Session, ShowKind, SqlError, Target, Warning,
};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::ahead::AheadQueue;
use crate::attached::Part;
use crate::drift::Drift;
use crate::durable::{CheckpointSettings, ResumePoint};
use crate::error_source::WithErrors;
use crate::errors::{ERROR_STREAM, error_stream_schema};
use crate::faults::FaultLog;
use crate::lane::Pinning;
use crate::live_table::{Holds, LiveTable};
use crate::memory::{MemoryInfo, MemoryPool, MemorySettings, Share};
use crate::merge::Merge;
use crate::message::{LaneId, QueryId, Said, ToCloser, ToWorker};
use crate::output::Captured;
use crate::reference::References;
use crate::shared::Shared;
use crate::source::SourceSpec;
use crate::stats::{QueryStats, SourceStats};
use crate::threads::{OnThreads, Runner};
use crate::worker::Worker;

/// Messages that may wait for a closer before workers wait.
pub(crate) const CLOSER_QUEUE: usize = 1024;
/// `error_stream` keeps the newest of these.
const ERROR_STREAM_ROWS: usize = 10_000;
/// …and of these those that take no more than this together: a row may have megabytes.
const ERROR_STREAM_BYTES: usize = 64 << 20;
/// More continuous queries than this are refused: each has a thread.
pub(crate) const MAX_QUERIES: usize = 1000;

/// How the engine runs.
#[derive(Clone)]
pub struct Settings {
    /// Worker threads.
    pub workers: usize,
    /// Bytes of records that may be between readers and workers.
    pub queue_bytes: usize,
    /// Time is the newest arrival instead of the clock: for replays.
    pub replay_time: bool,
    /// Where state is kept; `None`: it ends with the process.
    pub checkpoints: Option<CheckpointSettings>,
    /// How much memory state may take.
    pub memory: MemorySettings,
}

/// What a statement did.
#[derive(Debug)]
pub enum Outcome {
    Created {
        statement: String,
        kind: &'static str,
        name: String,
    },
    Dropped {
        statement: String,
        kind: &'static str,
        name: String,
    },
    Rows {
        statement: String,
        schema: SchemaRef,
        rows: Vec<RecordBatch>,
    },
    /// Rows of a SELECT over a stream, as they come, until dropped.
    Stream {
        statement: String,
        rows: ClientRows,
    },
    Explained {
        statement: String,
        text: String,
    },
    Described {
        statement: String,
        name: String,
        columns: Vec<[String; 3]>,
    },
    Listed {
        statement: String,
        what: ShowKind,
    },
    Set {
        statement: String,
        key: String,
        value: String,
    },
    Altered {
        statement: String,
        name: String,
    },
}

/// The rows of a SELECT over a stream. Dropping it ends the query.
#[derive(Debug)]
pub struct ClientRows {
    pub schema: SchemaRef,
    /// How many rows at most, from LIMIT.
    pub limit: Option<u64>,
    pub(crate) emissions: mpsc::Receiver<Emission>,
}

impl ClientRows {
    /// The next rows; `None` when the input has ended or the query failed.
    pub async fn next(&mut self) -> Option<RecordBatch> {
        self.emissions.recv().await.map(|emission| emission.rows)
    }
}

/// A script and where it came from.
#[derive(Clone, Debug)]
pub struct Script {
    pub text: String,
    /// Whether what it defines is to be there again after a restart; see [`Engine::definitions`].
    pub durable: bool,
}

/// What is wrong with which script.
#[derive(Debug)]
pub struct ScriptError {
    /// Index into the scripts given.
    pub script: usize,
    pub error: SqlError,
}

/// What planning a script would do.
#[derive(Clone, Debug)]
pub struct Checked {
    pub statement: String,
    pub kind: &'static str,
    pub name: String,
    /// Where it starts in its script.
    pub at: Option<Position>,
    /// EXPLAIN of a continuous query; empty for other statements.
    pub explain: String,
    /// The continuous query, if it is one.
    pub query: Option<Box<ContinuousQuery>>,
}

/// What `check` found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    pub statements: Vec<Checked>,
    pub warnings: Vec<Warning>,
    pub errors: Vec<SqlError>,
}

/// How a query is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryState {
    Running,
    Paused,
    Finished,
    Failed(String),
}

/// A running or ended query.
#[derive(Clone)]
pub struct QueryInfo {
    pub name: String,
    pub sql: String,
    pub state: QueryState,
    pub sources: Vec<String>,
    /// The sink table, or the live table with the query's name.
    pub sink: Option<String>,
    pub pipeline: Arc<Pipeline>,
    pub stats: Arc<QueryStats>,
    pub started: EventTime,
    /// What readers of its sink are promised over restarts; of a live table that it is there again as it was.
    pub delivery: Delivery,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) connectors: Arc<dyn Connectors>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) capture: Option<mpsc::Sender<Captured>>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) session: Session,
    pub(crate) workers: Vec<Sender<ToWorker>>,
    pub(crate) ahead: AheadQueue,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) memory: Arc<MemoryPool>,
    pub(crate) errors: Arc<LiveTable>,
    pub(crate) faults: FaultLog,
    pub(crate) references: References,
    pub(crate) next_id: AtomicU64,
    /// Lanes that have caught up with their main one.
    pub(crate) merged: mpsc::UnboundedSender<LaneId>,
    /// How many tasks of sinks have not completed their work.
    pub(crate) open_sinks: watch::Sender<usize>,
    state: Mutex<Running>,
}

#[derive(Default)]
pub(crate) struct Running {
    pub(crate) catalog: Catalog,
    pub(crate) queries: BTreeMap<String, Query>,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    pub(crate) sources: BTreeMap<String, Arc<Source>>,
    /// Queries whose shards processes share; those that are read here are among `queries`.
    pub(crate) shared: BTreeMap<String, Shared>,
    /// Statements that are to be there again after a restart, by what they define.
    pub(crate) definitions: Vec<(String, String)>,
    pub(crate) stopping: bool,
}

/// What all readers of a source table share.
pub(crate) struct Source {
    pub(crate) spec: Arc<SourceSpec>,
    pub(crate) stats: Arc<SourceStats>,
    pub(crate) pinning: Arc<Pinning>,
}

/// One reader, and the queries it feeds.
pub(crate) struct Lane {
    pub(crate) source: String,
    /// It reads one shard.
    pub(crate) only: Option<ShardId>,
    /// How many shards it has opened.
    pub(crate) opened: Arc<AtomicUsize>,
    /// The lane it catches up with.
    pub(crate) merge: Option<Arc<Merge>>,
    /// Makes shards wait that run ahead; not of files, which are read in turn.
    pub(crate) drift: Option<Arc<Drift>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) readers: HashSet<QueryId>,
}

/// A query that runs, or did.
pub(crate) struct Query {
    pub(crate) id: QueryId,
    pub(crate) plan: ContinuousQuery,
    /// Its work on each source, by the source's name.
    pub(crate) parts: Vec<(String, Arc<Part>)>,
    pub(crate) closer: Sender<Said>,
    pub(crate) stats: Arc<QueryStats>,
    /// Its closer's.
    pub(crate) memory: Weak<Share>,
    pub(crate) state: watch::Sender<QueryState>,
    pub(crate) table: Option<Arc<LiveTable>>,
    pub(crate) started: EventTime,
    /// When it first began to read, in whatever process.
    pub(crate) since: EventTime,
    /// Where its readers begin, or went on the last time.
    pub(crate) resume: ResumePoint,
    /// Writes its checkpoints.
    pub(crate) writer: Option<futures::future::AbortHandle>,
    pub(crate) delivery: Delivery,
    /// Where its checkpoints are.
    pub(crate) folder: Option<String>,
    /// It was asked to pause, and not all workers have answered.
    pub(crate) is_pausing: bool,
    /// Its one shard was read to its end, and a durable checkpoint has all of it.
    pub(crate) is_drained: bool,
}

impl Query {
    pub(crate) fn reads(&self, source: &str) -> bool {
        self.parts.iter().any(|(read, _)| read == source)
    }

    /// `name`: the one it has among the queries.
    pub(crate) fn info(&self, name: &str) -> QueryInfo {
        let mut sources: Vec<String> = self.parts.iter().map(|(source, _)| source.clone()).collect();
        sources.dedup();
        QueryInfo {
            name: name.to_owned(),
            sql: self.plan.sql.clone(),
            state: self.state.borrow().clone(),
            sources,
            sink: match &self.plan.target {
                Target::Sink(table) => Some(table.decl.name.clone()),
                Target::LiveTable { .. } | Target::Client { .. } => None,
            },
            pipeline: Arc::clone(&self.plan.pipeline),
            stats: Arc::clone(&self.stats),
            started: self.started,
            delivery: self.delivery,
        }
    }
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// Threads end with the engine, however it goes.
    fn drop(&mut self) {
        for query in self.lock().queries.values() {
            let _ = query.closer.try_send(Said { by: None, what: ToCloser::Stop });
        }
        self.tell_workers(|| ToWorker::Stop);
    }
}

impl Engine {
    /// Starts the workers. Nothing is read before there is a query. `capture` gets the final rows of windowed and
    /// stateless live tables as they come; open windows are then not shown, and updating tables are read at the end.
    pub fn start(
        connectors: Arc<dyn Connectors>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        capture: Option<mpsc::Sender<Captured>>,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, SqlError> {
        let runner = Arc::new(OnThreads(runtime.clone()));
        Self::start_on(runner, connectors, clock, settings, capture, runtime)
    }

    /// The same with its parts run by `runner`.
    pub(crate) fn start_on(
        runner: Arc<dyn Runner>,
        connectors: Arc<dyn Connectors>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        capture: Option<mpsc::Sender<Captured>>,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, SqlError> {
        let session = Session::new(Arc::clone(&clock))?;
        let memory = MemoryPool::open(&settings.memory).map_err(|error| {
            let folder = settings.memory.spill.as_deref().unwrap_or(std::path::Path::new("")).display();
            SqlError::new(format!("the folder {folder} for state on disk cannot be emptied: {error}"))
        })?;
        let kept = LiveTableSettings {
            retention: None,
            max_rows: ERROR_STREAM_ROWS,
            refresh: None,
            ttl: None,
            lateness: millstream_core::Duration(0),
        };
        let errors = LiveTable::new(ERROR_STREAM, error_stream_schema(), Vec::new(), Holds::Appended, kept)?;
        let errors = Arc::new(errors.with_max_bytes(ERROR_STREAM_BYTES));
        // A run with an end gives everything, however long that takes.
        let faults = FaultLog::new(Arc::clone(&errors), Arc::clone(&clock), capture.is_some());
        let connectors = WithErrors { host: connectors, faults: faults.clone(), clock: Arc::clone(&clock) };
        let (merged_sender, mut merged) = mpsc::unbounded_channel();
        let mut workers = Vec::new();
        let ahead = AheadQueue::new();
        for number in 0..settings.workers.max(1) {
            let (sender, inbox) = crossbeam_channel::unbounded();
            let worker = Worker::new(inbox, ahead.clone(), faults.clone());
            runner
                .worker(number, worker)
                .map_err(|error| SqlError::new(format!("a worker thread could not be started: {error}")))?;
            workers.push(sender);
        }
        let state = Running { catalog: Catalog::new(crate::system::tables()), ..Running::default() };
        let inner = Inner {
            connectors: Arc::new(connectors),
            clock,
            memory,
            budget: Arc::new(Semaphore::new(settings.queue_bytes.min(Semaphore::MAX_PERMITS))),
            settings,
            capture,
            runtime,
            runner,
            session,
            workers,
            ahead,
            errors,
            faults,
            references: References::default(),
            next_id: AtomicU64::new(1),
            merged: merged_sender,
            open_sinks: watch::Sender::new(0),
            state: Mutex::new(state),
        };
        let inner = Arc::new(inner);
        let engine = Arc::downgrade(&inner);
        inner.runner.task(Box::pin(async move {
            while let Some(lane) = merged.recv().await {
                let Some(engine) = engine.upgrade() else { return };
                engine.promote(lane);
            }
        }));
        Ok(Self { inner })
    }

    /// Takes scripts into effect, all or none. Waits for lookups: call it where waiting is allowed, not in a task.
    pub fn execute(&self, scripts: &[Script]) -> Result<Vec<Outcome>, ScriptError> {
        self.inner.execute(scripts)
    }

    /// Plans a script against the catalog as it is, and changes nothing.
    pub fn check(&self, script: &str) -> CheckReport {
        self.inner.check(script)
    }

    /// The statements that define what is durable, in an order in which they can be executed again.
    pub fn definitions(&self) -> Vec<String> {
        self.inner.lock().definitions.iter().map(|(_, statement)| statement.clone()).collect()
    }

    /// Every continuous query.
    pub fn queries(&self) -> Vec<QueryInfo> {
        self.inner.lock().infos()
    }

    /// One continuous query.
    pub fn query(&self, name: &str) -> Option<QueryInfo> {
        self.inner.lock().infos().into_iter().find(|query| query.name == name)
    }

    /// Every live table, `error_stream` not among them.
    pub fn tables(&self) -> Vec<Arc<LiveTable>> {
        self.inner.lock().queries.values().filter_map(|query| query.table.clone()).collect()
    }

    /// A live table, or `error_stream`.
    pub fn table(&self, name: &str) -> Option<Arc<LiveTable>> {
        if name == ERROR_STREAM {
            return Some(Arc::clone(&self.inner.errors));
        }
        self.inner.lock().queries.get(name).and_then(|query| query.table.clone())
    }

    /// How much memory the state of all queries takes, and may take.
    pub fn memory(&self) -> MemoryInfo {
        self.inner.memory.info()
    }

    /// The counters of every source table that is read.
    pub fn sources(&self) -> Vec<(String, Arc<SourceStats>)> {
        let state = self.inner.lock();
        state.sources.iter().map(|(name, source)| (name.clone(), Arc::clone(&source.stats))).collect()
    }

    /// The declared tables, views included, as the catalog has them.
    pub fn catalog(&self) -> Catalog {
        self.inner.lock().catalog.clone()
    }

    /// Stops reading for a query; its state and its table stay.
    pub async fn pause(&self, name: &str) -> Result<(), SqlError> {
        self.inner.pause(name).await
    }

    /// Goes on where a paused query stopped.
    pub fn resume(&self, name: &str) -> Result<(), SqlError> {
        self.inner.resume(name)
    }

    /// Rows of `error_stream` that queries over it did not get, because they were too slow.
    pub fn errors_lost(&self) -> u64 {
        self.inner.faults.lost()
    }

    /// Waits until every query has ended; answers the failures. Those over `error_stream` end when the others have.
    pub async fn finished(&self) -> Vec<(String, String)> {
        let (of_errors, others): (Vec<_>, Vec<_>) = {
            let state = self.inner.lock();
            let watched =
                |(name, query): (&String, &Query)| (query.reads(ERROR_STREAM), (name.clone(), query.state.subscribe()));
            state.queries.iter().map(watched).partition(|(reads_errors, _)| *reads_errors)
        };
        let mut failures = Self::ended(others).await;
        self.inner.faults.end().await;
        failures.extend(Self::ended(of_errors).await);
        failures
    }

    async fn ended(watched: Vec<(bool, (String, watch::Receiver<QueryState>))>) -> Vec<(String, String)> {
        let mut failures = Vec::new();
        for (_, (name, mut state)) in watched {
            let ended = state.wait_for(|state| matches!(state, QueryState::Finished | QueryState::Failed(_))).await;
            if let Ok(ended) = ended
                && let QueryState::Failed(reason) = &*ended
            {
                failures.push((name, reason.clone()));
            }
        }
        failures
    }

    /// Takes a checkpoint of a query now; answers its number when it is durable.
    pub async fn checkpoint(&self, name: &str) -> Result<u64, SqlError> {
        self.inner.checkpoint(name, None).await
    }

    /// Stops all readers, lets the sinks complete what they have, and ends.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
