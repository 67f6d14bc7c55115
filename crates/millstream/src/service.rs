//! A running service: the engine, the streams and what was defined, as the HTTP API and the commands use them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use millstream_connectors::{AwsSettings, Context, Registry, checkpoint_store, shared_checkpoint_store};
use millstream_core::{Clock, EventTime};
use millstream_engine::{CheckpointSettings, Engine, MemorySettings, Outcome, Script, ScriptError, Settings};
use millstream_local_kinesis::Store;
use millstream_sql::Relation;
use tokio::sync::watch;

use crate::config::CheckpointConfig;
use crate::data_folder::DataFolder;
use crate::http::{Auth, EncodedChanges, HttpMetrics};
use crate::rates::{Rates, SAMPLE_EVERY};
use crate::tasks;

/// Bytes of records that may be between readers and workers.
pub(crate) const QUEUE_BYTES: usize = 16 << 20;

/// What a service is made of.
pub(crate) struct ServiceSettings {
    pub(crate) data: PathBuf,
    pub(crate) workers: usize,
    pub(crate) memory_limit: u64,
    pub(crate) aws: AwsSettings,
    pub(crate) checkpoints: CheckpointConfig,
    pub(crate) auth: Auth,
    /// Whether the Kinesis API has AWS's rates.
    pub(crate) enforce_limits: bool,
}

/// Everything a request may need.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    connectors: Arc<Registry>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) auth: Auth,
    pub(crate) enforce_limits: bool,
    /// Whether `kinesis` means AWS, or an emulator, where a table does not say.
    pub(crate) has_aws: bool,
    pub(crate) rates: Rates,
    pub(crate) metrics: HttpMetrics,
    pub(crate) changes: EncodedChanges,
    pub(crate) started: EventTime,
    folder: DataFolder,
    stopping: watch::Sender<bool>,
}

impl Service {
    /// Takes the data folder, opens the streams and starts the engine; nothing is read yet.
    pub(crate) fn open(settings: ServiceSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<Self>> {
        let folder = DataFolder::open(&settings.data)?;
        let store_clock = Arc::clone(&clock);
        let now = Arc::new(move || store_clock.now().0);
        let store = Store::open(&folder.streams(), &millstream_local_kinesis::Settings::default(), now)?;
        let started = clock.now();
        let mut context = Context::new(Arc::clone(&clock));
        context.store = Some(store.clone());
        context.seed = started.0.unsigned_abs();
        let checkpoints = checkpoints(&settings, &folder, context.seed)?;
        let has_aws = settings.aws.is_configured();
        context.aws = settings.aws;
        let engine_settings = Settings {
            workers: settings.workers,
            queue_bytes: QUEUE_BYTES,
            replay_time: false,
            checkpoints: Some(checkpoints),
            memory: MemorySettings { limit: settings.memory_limit, spill: Some(folder.spill()) },
        };
        let runtime = tokio::runtime::Handle::current();
        let connectors = Arc::new(Registry::new(context));
        let engine = Engine::start(connectors.clone(), Arc::clone(&clock), engine_settings, None, runtime)
            .context("the engine cannot start")?;
        let (rates, metrics, changes) = <(Rates, HttpMetrics, EncodedChanges)>::default();
        let stopping = watch::Sender::new(false);
        let (auth, enforce_limits) = (settings.auth, settings.enforce_limits);
        let service = Arc::new(Self {
            engine,
            connectors,
            store,
            clock,
            auth,
            enforce_limits,
            has_aws,
            rates,
            metrics,
            changes,
            started,
            folder,
            stopping,
        });
        sample_rates(&service);
        Ok(service)
    }

    /// What users had defined when the last process stopped, and where that is kept.
    pub(crate) fn kept_definitions(&self) -> anyhow::Result<(String, String)> {
        Ok((self.folder.definitions_path().display().to_string(), self.folder.definitions()?))
    }

    /// Takes a user's script into effect and keeps what it defines. Waits: not for tasks.
    pub(crate) fn execute(&self, sql: String) -> Result<Vec<Outcome>, ExecuteError> {
        let outcomes = self.engine.execute(&[Script { text: sql, durable: true }])?;
        let changes = |outcome: &Outcome| {
            matches!(outcome, Outcome::Created { .. } | Outcome::Dropped { .. } | Outcome::Altered { .. })
        };
        if outcomes.iter().any(changes) {
            self.keep_definitions()?;
        }
        self.make_streams(&outcomes)?;
        Ok(outcomes)
    }

    /// Writes down what is to be there again after a restart.
    pub(crate) fn keep_definitions(&self) -> Result<(), ExecuteError> {
        Ok(self.folder.keep_definitions(|| self.engine.definitions())?)
    }

    /// Makes the embedded streams that tables name: who declared one may send records to it at once.
    pub(crate) fn make_streams(&self, outcomes: &[Outcome]) -> Result<(), ExecuteError> {
        let runtime = tokio::runtime::Handle::current();
        let catalog = self.engine.catalog();
        for outcome in outcomes {
            if let Outcome::Created { kind: "table", name, .. } = outcome
                && let Some(Relation::Table(table)) = catalog.get(name)
            {
                runtime.block_on(self.connectors.ensure_stream(&table.decl))?;
            }
        }
        Ok(())
    }

    /// Resolves when the service is to stop; long answers end then.
    pub(crate) async fn stopped(&self) {
        // The sender is this service's own: it cannot go away before.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends long answers, so that connections drain.
    pub(crate) fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// Where the state of queries is kept.
fn checkpoints(settings: &ServiceSettings, folder: &DataFolder, seed: u64) -> anyhow::Result<CheckpointSettings> {
    let CheckpointConfig { dir, shared_dir, interval, retained } = settings.checkpoints.clone();
    let dir = dir.unwrap_or_else(|| folder.checkpoints().display().to_string());
    let aws = settings.aws.clone();
    let store = checkpoint_store(&dir, &aws).with_context(|| format!("checkpoints cannot be kept in {dir}"))?;
    let writer = format!("{seed:x}-{}", std::process::id());
    let shared = shared_dir.map(|dir| {
        let store = shared_checkpoint_store(&dir, &writer, &aws);
        store.with_context(|| format!("checkpoints of shared queries cannot be kept in {dir}"))
    });
    let shared = shared.transpose()?;
    let open = move |place: &str| checkpoint_store(place, &aws).map_err(|error| error.to_string());
    Ok(CheckpointSettings { store, shared, open: Arc::new(open), interval, retained, writer })
}

/// A script that did not take effect, or that did and could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    #[error("{}", .0.error)]
    Refused(Box<ScriptError>),
    #[error("the statements took effect, but will be gone after a restart: the definitions cannot be written: {0}")]
    NotKept(#[from] std::io::Error),
    #[error("the statements took effect, but {0}")]
    NoStream(#[from] millstream_core::OptionError),
}

impl From<ScriptError> for ExecuteError {
    fn from(error: ScriptError) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Reads the counters until the service is gone.
fn sample_rates(service: &Arc<Service>) {
    let (clock, service) = (Arc::clone(&service.clock), Arc::downgrade(service));
    tasks::start(async move {
        loop {
            clock.sleep(SAMPLE_EVERY).await;
            let Some(service) = service.upgrade() else { return };
            let queries = service.engine.queries().into_iter();
            service.rates.sample(clock.now(), queries.map(|query| (query.name, query.stats.rows_in.get())));
        }
    });
}
