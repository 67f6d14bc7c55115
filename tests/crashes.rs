//! Runs that are broken off and go on from their newest checkpoint, in this process: what they come to is what they
//! would have come to. The store of checkpoints stops answering after some writes; then the engine is thrown away.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use millstream_connectors::ReplayPlan;
use millstream_core::{BoxFuture, CheckpointStore, Duration, StoreError};
use millstream_engine::{CheckpointSettings, Engine, QueryStats, Script, Settings};
use tokio::sync::Notify;

use crate::harness::{Cut, Printed, RUNTIME, Results, registry, rows};

/// Objects in memory, which outlive every engine.
#[derive(Default)]
pub(crate) struct Objects(Mutex<BTreeMap<String, Vec<u8>>>);

impl Objects {
    /// Changes an object; it goes if `change` answers false.
    pub(crate) fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>) -> bool) {
        let mut objects = self.0.lock().unwrap();
        let bytes = objects.get_mut(path).expect("there is such an object");
        if !change(bytes) {
            objects.remove(path);
        }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

/// The store as one process has it. When it has taken as many objects as it may, nothing is answered any more and
/// nothing changes, as if the process had died.
pub(crate) struct MemoryStore {
    objects: Arc<Objects>,
    left: Mutex<Option<usize>>,
    died: Notify,
}

impl MemoryStore {
    /// Takes so many objects; `None`: any number.
    pub(crate) fn new(objects: &Arc<Objects>, left: Option<usize>) -> Arc<Self> {
        Arc::new(Self { objects: Arc::clone(objects), left: Mutex::new(left), died: Notify::new() })
    }

    fn take(&self) -> bool {
        match &mut *self.left.lock().unwrap() {
            None => true,
            Some(0) => {
                self.died.notify_one();
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn is_dead(&self) -> bool {
        *self.left.lock().unwrap() == Some(0)
    }
}

impl CheckpointStore for MemoryStore {
    fn create<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if !self.take() {
                return std::future::pending().await;
            }
            match self.objects.0.lock().unwrap().entry(path.to_owned()) {
                Entry::Occupied(_) => Err(StoreError::Exists(path.to_owned())),
                Entry::Vacant(place) => {
                    place.insert(bytes);
                    Ok(())
                }
            }
        })
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        let found = self.objects.0.lock().unwrap().get(path).cloned();
        Box::pin(std::future::ready(found.ok_or_else(|| StoreError::NotFound(path.to_owned()))))
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let below = format!("{folder}/");
        let paths = self.objects.paths().into_iter().filter(|path| path.starts_with(&below)).collect();
        Box::pin(std::future::ready(Ok(paths)))
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        if !self.is_dead() {
            self.objects.0.lock().unwrap().remove(path);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// Checkpoints in a store, taken as often as it can be.
pub(crate) fn checkpoints(store: &Arc<MemoryStore>, writer: &str) -> CheckpointSettings {
    CheckpointSettings {
        store: Arc::clone(store) as _,
        open: Arc::new(|place| Err(format!("`{place}` is not there"))),
        interval: Duration(0),
        retained: 2,
        writer: writer.to_owned(),
    }
}

/// What became of a run that went on as often as it was broken off.
pub(crate) struct Resumed {
    pub(crate) tables: Results,
    pub(crate) stats: BTreeMap<String, Arc<QueryStats>>,
}

/// Runs a script over a replay; `deaths` says after how many objects the store dies in each life but the last.
pub(crate) fn resumed(script: &str, replay: &str, cut: Cut, deaths: &[usize]) -> Result<Resumed, String> {
    let objects = Arc::<Objects>::default();
    // The claims of the queries are not what is broken off here.
    let claims = script.matches("CREATE MATERIALIZED VIEW").count();
    let lives = deaths.iter().copied().map(Some).chain([None]);
    for (life, death) in lives.enumerate() {
        let store = MemoryStore::new(&objects, death.map(|objects| objects + claims));
        // Where the records are cut must not matter: each life cuts them elsewhere.
        let seed = cut.seed.map(|seed| seed + life as u64);
        let plan = ReplayPlan { cut_seed: seed, shards: cut.shards, ..ReplayPlan::default() };
        let (registry, clock) = registry(replay, plan, &Printed::default());
        let settings = Settings {
            workers: cut.workers,
            queue_bytes: 1 << 24,
            replay_time: true,
            checkpoints: Some(checkpoints(&store, &format!("life{life}"))),
        };
        let runtime = &*RUNTIME;
        let engine = Engine::start(registry, clock, settings, None, runtime.handle().clone())
            .map_err(|error| error.to_string())?;
        let scripts = [Script { text: script.to_owned(), durable: false }];
        engine.execute(&scripts).map_err(|failed| failed.error.to_string())?;
        let ended = runtime.block_on(async {
            tokio::select! {
                failures = engine.finished() => Some(failures),
                () = store.died.notified() => None,
            }
        });
        let Some(failures) = ended else {
            continue;
        };
        if let Some((query, reason)) = failures.first() {
            return Err(format!("{query}: {reason}"));
        }
        let queries = engine.queries();
        let table = |name: &str| rows(&engine.table(name).expect("it has a table").snapshot().unwrap().rows);
        let tables = queries.iter().map(|query| (query.name.clone(), table(&query.name))).collect();
        let stats = queries.iter().map(|query| (query.name.clone(), Arc::clone(&query.stats))).collect();
        return Ok(Resumed { tables, stats });
    }
    unreachable!("the last life does not die")
}
