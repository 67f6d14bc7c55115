//! How a query comes to its state: from its newest checkpoint, from a savepoint, or without any; and how it is claimed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::DATAFUSION_VERSION;
use millstream_core::{CheckpointStore, Duration, EventTime, Offsets, ShardId, SinkState, Start};
use millstream_sql::{ContinuousQuery, Signature, SqlError, StartFrom, Target, signature};

use crate::checkpoint::{
    Found, Manifest, Restored, SourcePosition, Writer, copy, find, find_in, find_savepoint, query_folder,
};
use crate::compile::Prepared;
use crate::engine::Inner;

/// Opens another place where checkpoints are kept, such as that of another service.
pub type OpenStore = dyn Fn(&str) -> Result<Arc<dyn CheckpointStore>, String> + Send + Sync;

/// Where checkpoints are kept, and how often they are taken.
#[derive(Clone)]
pub struct CheckpointSettings {
    pub store: Arc<dyn CheckpointStore>,
    /// Where those of shared queries are, which all processes that share them use.
    pub shared: Option<Arc<dyn CheckpointStore>>,
    pub open: Arc<OpenStore>,
    pub interval: Duration,
    /// How many checkpoints of a query are kept.
    pub retained: usize,
    /// Tells this process from every other.
    pub writer: String,
}

/// Where a query's readers begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResumePoint {
    pub(crate) start: Option<Start>,
    /// When it first began to read, if it has been interrupted.
    pub(crate) since: Option<EventTime>,
    /// How far each source was read, and how far event time had come there.
    pub(crate) sources: HashMap<String, SourcePoint>,
    /// Only this shard is read.
    pub(crate) only: Option<ShardId>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SourcePoint {
    pub(crate) offsets: Offsets,
    pub(crate) watermarks: HashMap<ShardId, EventTime>,
}

/// What a query goes on from. Nothing has been written yet.
pub(crate) struct Origin {
    pub(crate) folder: String,
    /// The manifest it is claimed with.
    pub(crate) base: Manifest,
    kept: Vec<(u64, BTreeSet<String>)>,
    pub(crate) garbage: Vec<String>,
    skipped: Vec<String>,
    /// A savepoint whose files are copied first.
    copied_from: Option<Arc<dyn CheckpointStore>>,
    pub(crate) resume: ResumePoint,
    pub(crate) sink: Option<SinkState>,
    pub(crate) is_restored: bool,
}

impl Origin {
    pub(crate) fn is_finished(&self) -> bool {
        self.base.is_finished
    }

    /// Whether no checkpoint says where the sink was.
    pub(crate) fn is_first_of_sink(&self) -> bool {
        self.base.sink.as_ref().is_none_or(|sink| sink.note.is_empty())
    }

    pub(crate) fn since(&self) -> EventTime {
        EventTime(self.base.since)
    }

    pub(crate) fn next_chunk(&self) -> u64 {
        self.base.next_chunk
    }

    pub(crate) fn watermark(&self) -> EventTime {
        EventTime(self.base.watermark)
    }

    pub(crate) fn emitted_until(&self) -> EventTime {
        EventTime(self.base.emitted_until)
    }

    pub(crate) fn position(&self, source: &str) -> Option<&SourcePosition> {
        self.base.sources.iter().find(|position| position.source == source)
    }
}

/// What is done about state that there is.
enum Plan {
    GoOn(Box<Found>),
    Anew(Option<Start>),
    FromSavepoint(Box<Restored>, Arc<dyn CheckpointStore>),
}

impl Inner {
    /// Where the checkpoints of a query are kept.
    pub(crate) fn checkpoints_of(&self, plan: &ContinuousQuery) -> Option<CheckpointSettings> {
        let settings = self.settings.checkpoints.clone()?;
        match &settings.shared {
            Some(shared) if plan.pipeline.sharded.is_some() => {
                let store = Arc::clone(shared);
                Some(CheckpointSettings { store, ..settings })
            }
            _ => Some(settings),
        }
    }

    /// Works out what a query goes on from, and loads it. `is_new`: what there is of its name is of a query that this
    /// script drops. `now` is the same for all that start together: they share their readers by it.
    pub(crate) fn origin(
        &self,
        prepared: &mut Prepared,
        is_new: bool,
        now: EventTime,
    ) -> Result<Option<Origin>, SqlError> {
        let plan = &prepared.plan;
        let Some(settings) = &self.checkpoints_of(plan) else {
            return match &plan.start {
                Some(StartFrom::Checkpoint | StartFrom::Savepoint(_)) => {
                    Err(SqlError::new("no checkpoints are taken here: there is nothing to start from"))
                }
                _ => Ok(None),
            };
        };
        if matches!(plan.target, Target::Client { .. }) {
            return Ok(None);
        }
        let own = signature(&plan.pipeline)?;
        let fresh = |number: u64| Manifest {
            query: plan.name.clone(),
            number,
            writer: settings.writer.clone(),
            taken_at: now.0,
            datafusion: DATAFUSION_VERSION.to_owned(),
            millstream: env!("CARGO_PKG_VERSION").to_owned(),
            definition: plan.definition.clone(),
            signature: serde_json::to_value(&own).unwrap_or_default(),
            start: plan.start.as_ref().map(|start| format!("{start:?}")),
            since: now.0,
            is_finished: false,
            watermark: EventTime::MIN.0,
            emitted_until: EventTime::MIN.0,
            sources: Vec::new(),
            values: BTreeMap::default(),
            entries: Vec::new(),
            sink: None,
            chunks: BTreeMap::default(),
            next_chunk: 1,
        };
        let new_folder = format!("{}/{:013}-{}", query_folder(&plan.name), now.0, settings.writer);
        let chosen = self.runtime.block_on(choose(settings, plan, &own, is_new)).map_err(|error| error.at(None))?;
        let origin = match chosen {
            Plan::Anew(start) => {
                let garbage = self.runtime.block_on(settings.store.list(&query_folder(&plan.name)));
                Origin {
                    folder: new_folder,
                    base: fresh(1),
                    kept: Vec::new(),
                    // Where another life of the query goes on until this one has caught up, it goes later.
                    garbage: if plan.replaces { Vec::new() } else { garbage.map_err(unusable)? },
                    skipped: Vec::new(),
                    copied_from: None,
                    resume: ResumePoint { start, ..ResumePoint::default() },
                    sink: None,
                    is_restored: false,
                }
            }
            Plan::GoOn(found) => {
                let Found { restored, folder, newest, kept, garbage, skipped } = *found;
                for skipped in &skipped {
                    tracing::warn!(query = %plan.name, %skipped, "a checkpoint cannot be used; an older one is");
                }
                let head = fresh(newest + 1);
                let base = renewed(head, restored.manifest);
                let origin = Origin {
                    folder,
                    resume: resume_point(&base, plan.start.as_ref())?,
                    base,
                    kept,
                    garbage,
                    skipped,
                    copied_from: None,
                    sink: restored.sink,
                    is_restored: true,
                };
                load(prepared, restored.saved).map_err(|error| unusable_state(&origin, &error))?;
                origin
            }
            Plan::FromSavepoint(restored, store) => {
                let base = renewed(fresh(1), restored.manifest);
                let mut origin = Origin {
                    folder: new_folder,
                    resume: resume_point(&base, plan.start.as_ref())?,
                    base,
                    kept: Vec::new(),
                    garbage: Vec::new(),
                    skipped: Vec::new(),
                    copied_from: Some(store),
                    // What had been prepared is of the other service; what was pending is written here.
                    sink: restored.sink.map(|sink| SinkState { note: String::new(), ..sink }),
                    is_restored: true,
                };
                load(prepared, restored.saved).map_err(|error| unusable_state(&origin, &error))?;
                if let Some(sink) = &mut origin.base.sink {
                    sink.note.clear();
                }
                origin
            }
        };
        Ok(Some(origin))
    }

    /// Makes the query this process's own: no other can write a checkpoint of it from now on.
    pub(crate) fn claim(&self, origin: &mut Origin, prepared: &Prepared) -> Result<Option<Writer>, SqlError> {
        let Some(settings) = &self.checkpoints_of(&prepared.plan) else { return Ok(None) };
        let store = Arc::clone(&settings.store);
        let checkpoints = Arc::clone(&prepared.stats.checkpoints);
        let claimed = self.runtime.block_on(async {
            if let Some(from) = &origin.copied_from {
                copy(from.as_ref(), &mut origin.base, store.as_ref(), &origin.folder).await?;
            }
            let writer = Writer::claim(
                Arc::clone(&store),
                Arc::clone(&self.clock),
                origin.folder.clone(),
                origin.base.clone(),
                std::mem::take(&mut origin.kept),
                settings.retained,
                checkpoints,
            );
            let writer = writer.await?;
            writer.sweep(&origin.garbage).await;
            Ok::<_, String>(writer)
        });
        prepared.stats.checkpoints.set_skipped(std::mem::take(&mut origin.skipped));
        claimed.map(Some).map_err(SqlError::new)
    }

    /// Removes what is kept of a query that is gone.
    pub(crate) fn forget_state(&self, query: &str, keep: Option<&str>) {
        let Some(settings) = &self.settings.checkpoints else { return };
        let removed = self.runtime.block_on(async {
            for path in settings.store.list(&query_folder(query)).await? {
                if keep.is_none_or(|folder| !path.starts_with(folder)) {
                    settings.store.delete(&path).await?;
                }
            }
            Ok::<_, millstream_core::StoreError>(())
        });
        if let Err(error) = removed {
            tracing::warn!(query, %error, "the state of a dropped query was not removed");
        }
    }
}

/// The state of an earlier process under the head of this one.
fn renewed(head: Manifest, state: Manifest) -> Manifest {
    Manifest {
        query: head.query,
        number: head.number,
        writer: head.writer,
        taken_at: head.taken_at,
        datafusion: head.datafusion,
        millstream: head.millstream,
        definition: head.definition,
        signature: head.signature,
        start: head.start,
        ..state
    }
}

async fn choose(
    settings: &CheckpointSettings,
    plan: &ContinuousQuery,
    own: &Signature,
    is_new: bool,
) -> Result<Plan, SqlError> {
    let anew = |start| if is_new { Some(Plan::Anew(start)) } else { None };
    let start = match &plan.start {
        None | Some(StartFrom::Checkpoint) => None,
        Some(StartFrom::Beginning) => Some(Start::Beginning),
        Some(StartFrom::Latest) => Some(Start::Latest),
        Some(StartFrom::At(time)) => Some(Start::At(*time)),
        Some(StartFrom::Savepoint(savepoint)) => {
            let said = plan.start.as_ref().map(|start| format!("{start:?}"));
            if !is_new
                && let Some(found) =
                    find(settings.store.as_ref(), &plan.name, settings.retained).await.map_err(broken)?
                && found.restored.manifest.start == said
                && difference(&found.restored.manifest, own).is_none()
            {
                return Ok(Plan::GoOn(Box::new(found)));
            }
            let (store, folder) = find_savepoint(settings, savepoint).map_err(SqlError::new)?;
            let paths = store.list(&folder).await.map_err(unusable)?;
            if paths.is_empty() {
                return Err(SqlError::new(format!("there is no savepoint '{savepoint}' in {}", store.location()))
                    .hint("ALTER QUERY … SAVEPOINT makes one; of another service give the folder it is in"));
            }
            let found = find_in(store.as_ref(), &plan.name, &folder, &paths, 1).await.map_err(SqlError::new)?;
            if let Some(difference) = difference(&found.restored.manifest, own) {
                return Err(SqlError::new(format!(
                    "the savepoint '{savepoint}' does not fit `{}`: {difference}",
                    plan.name
                )));
            }
            return Ok(Plan::FromSavepoint(Box::new(found.restored), store));
        }
    };
    if let Some(anew) = anew(start) {
        return Ok(anew);
    }
    let wants_fresh = start.is_some();
    let found = match find(settings.store.as_ref(), &plan.name, settings.retained).await {
        Ok(found) => found,
        // Told to begin anew, nothing that is damaged matters.
        Err(_) if wants_fresh => None,
        Err(reason) => return Err(broken(reason)),
    };
    match found {
        None if plan.start == Some(StartFrom::Checkpoint) => {
            Err(SqlError::new(format!("there is no checkpoint of `{}` to start from", plan.name)))
        }
        None => Ok(Plan::Anew(start)),
        Some(found) => {
            let is_same = found.restored.manifest.start == plan.start.as_ref().map(|start| format!("{start:?}"));
            match difference(&found.restored.manifest, own) {
                // Said once, START FROM is not done again at every restart.
                None if !wants_fresh || is_same => Ok(Plan::GoOn(Box::new(found))),
                _ if wants_fresh => Ok(Plan::Anew(start)),
                None => Ok(Plan::GoOn(Box::new(found))),
                Some(difference) => Err(SqlError::new(format!(
                    "`{}` has state of another query: {difference}",
                    plan.name
                ))
                .hint("say where it is to start without that state: START FROM BEGINNING, LATEST or TIMESTAMP '…', before its SELECT")),
            }
        }
    }
}

/// Why a checkpoint cannot be used by this query.
fn difference(manifest: &Manifest, own: &Signature) -> Option<String> {
    if manifest.datafusion != DATAFUSION_VERSION {
        return Some(format!(
            "it was written with DataFusion {}, this is {DATAFUSION_VERSION}, and the states of aggregates may differ",
            manifest.datafusion
        ));
    }
    match serde_json::from_value::<Signature>(manifest.signature.clone()) {
        Ok(before) => before.difference(own),
        Err(error) => Some(format!("its signature cannot be read: {error}")),
    }
}

fn broken(reason: String) -> SqlError {
    SqlError::new(reason).hint(
        "put the missing files back, or say START FROM BEGINNING, LATEST or TIMESTAMP '…' in the query to go on without them",
    )
}

fn unusable(error: millstream_core::StoreError) -> SqlError {
    SqlError::new(format!("the checkpoints cannot be read: {error}"))
}

fn unusable_state(origin: &Origin, error: &datafusion::error::DataFusionError) -> SqlError {
    SqlError::new(format!("checkpoint {} of `{}`: {}", origin.base.number, origin.base.query, error.strip_backtrace()))
}

pub(crate) fn load(prepared: &mut Prepared, mut saved: crate::checkpoint::Saved) -> datafusion::common::Result<()> {
    // The claim of a query that has read nothing yet.
    if saved.is_empty() {
        return Ok(());
    }
    prepared.stages.load(&mut saved)?;
    if let Some(table) = &prepared.table {
        table.load(&mut saved)?;
    }
    Ok(())
}

fn resume_point(manifest: &Manifest, start: Option<&StartFrom>) -> Result<ResumePoint, SqlError> {
    let mut sources = HashMap::new();
    for position in &manifest.sources {
        let mut point = SourcePoint::default();
        let mut offsets = Vec::new();
        for at in &position.shards {
            let shard = ShardId::from(at.shard.as_str());
            if let Some(offset) = at.offset().map_err(SqlError::new)? {
                offsets.push((shard.clone(), offset));
            }
            point.watermarks.insert(shard, EventTime(at.watermark));
        }
        point.offsets = offsets.into_iter().collect();
        sources.insert(position.source.clone(), point);
    }
    let start = match start {
        Some(StartFrom::Beginning) => Some(Start::Beginning),
        Some(StartFrom::Latest) => Some(Start::Latest),
        Some(StartFrom::At(time)) => Some(Start::At(*time)),
        None | Some(StartFrom::Checkpoint | StartFrom::Savepoint(_)) => None,
    };
    Ok(ResumePoint { start, since: Some(EventTime(manifest.since)), sources, only: None })
}
