//! Runs that are broken off and go on from their newest checkpoint, in this process: what they come to is what they
//! would have come to. The store of checkpoints stops answering after some writes; then the engine is thrown away.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::{Arc, Mutex};

use millstream_connectors::ReplayPlan;
use millstream_core::{BoxFuture, CheckpointStore, Duration, StoreError};
use millstream_engine::{CheckpointSettings, Engine, MemorySettings, Script, Settings};
use tokio::sync::Notify;

use crate::harness::{Cut, Printed, RUNTIME, Results, lines, registry, rows};

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

    /// Every file below a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let (mut objects, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    objects.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        Self(Mutex::new(objects))
    }

    /// As files below a folder.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in self.0.lock().unwrap().iter() {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
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

    /// Nothing is answered any more.
    pub(crate) fn die(&self) {
        *self.left.lock().unwrap() = Some(0);
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
        shared: None,
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
    /// What `print` tables have printed in all lives: what came behind a checkpoint is there again.
    pub(crate) printed: Results,
    /// How many lives ended before the end.
    pub(crate) deaths: usize,
}

/// Runs a script over a replay; `deaths` says after how many objects the store dies in each life but the last.
pub(crate) fn resumed(script: &str, replay: &str, cut: Cut, deaths: &[usize]) -> Result<Resumed, String> {
    let (objects, printed) = (Arc::<Objects>::default(), Printed::default());
    for (life, death) in deaths.iter().enumerate() {
        // Where the records are cut must not matter: each life cuts them elsewhere.
        let cut = Cut { seed: cut.seed.map(|seed| seed + life as u64), ..cut };
        if let Some(resumed) = live(&objects, &printed, script, replay, cut, &format!("life{life}"), Some(*death))? {
            return Ok(Resumed { deaths: life, ..resumed });
        }
    }
    let resumed = last(&objects, &printed, script, replay, cut)?;
    Ok(Resumed { deaths: deaths.len(), ..resumed })
}

/// Runs a script to its end from the checkpoints that there are.
pub(crate) fn resumed_from(objects: &Arc<Objects>, script: &str, replay: &str, cut: Cut) -> Result<Resumed, String> {
    last(objects, &Printed::default(), script, replay, cut)
}

fn last(objects: &Arc<Objects>, printed: &Printed, script: &str, replay: &str, cut: Cut) -> Result<Resumed, String> {
    let resumed = live(objects, printed, script, replay, cut, "last", None)?;
    Ok(resumed.expect("a life without death comes to its end"))
}

/// One life; `None` if it died.
fn live(
    objects: &Arc<Objects>,
    printed: &Printed,
    script: &str,
    replay: &str,
    cut: Cut,
    writer: &str,
    death: Option<usize>,
) -> Result<Option<Resumed>, String> {
    // The claims of the queries are not what is broken off here.
    // Pumps of KDA are queries where they fill an output; those that are not make the count too high, which is no harm.
    let (queries, text) = (["CREATE MATERIALIZED VIEW", "INSERT", "'PRINT'"], script.to_uppercase());
    let claims: usize = queries.iter().map(|word| text.matches(word).count()).sum();
    let store = MemoryStore::new(objects, death.map(|objects| objects + claims.max(1)));
    let plan = ReplayPlan { cut_seed: cut.seed, shards: cut.shards, ..ReplayPlan::default() };
    let (registry, clock) = registry(replay, plan, printed);
    let settings = Settings {
        workers: cut.workers,
        queue_bytes: 1 << 24,
        replay_time: true,
        checkpoints: Some(checkpoints(&store, writer)),
        memory: MemorySettings::unlimited(),
    };
    let runtime = &*RUNTIME;
    let engine =
        Engine::start(registry, clock, settings, None, runtime.handle().clone()).map_err(|error| error.to_string())?;
    let scripts = [Script { text: script.to_owned(), durable: false }];
    engine.execute(&scripts).map_err(|failed| failed.error.to_string())?;
    let ended = runtime.block_on(async {
        tokio::select! {
            failures = engine.finished() => Some(failures),
            () = store.died.notified() => None,
        }
    });
    let Some(failures) = ended else { return Ok(None) };
    if let Some((query, reason)) = failures.first() {
        return Err(format!("{query}: {reason}"));
    }
    let queries = engine.queries();
    let table = |name: &str| Some(rows(&engine.table(name)?.snapshot().unwrap().rows));
    // A query into a sink has no table.
    let tables = queries.iter().filter_map(|query| Some((query.name.clone(), table(&query.name)?))).collect();
    Ok(Some(Resumed { tables, printed: lines(printed), deaths: 0 }))
}
