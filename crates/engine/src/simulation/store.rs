//! A store of checkpoints whose calls take effect at a later poll, or fail before or after they did.

use millstream_core::{BoxFuture, CheckpointStore, StoreError};

use super::world::{Shared, World};
use crate::checkpoint::Manifest;

pub(super) struct Store {
    pub(super) world: Shared,
    /// Whose calls these are.
    pub(super) process: String,
}

/// An upload on its way. A process that dies leaves it to chance whether it arrives.
struct Upload<'a> {
    world: &'a Shared,
    object: Option<(String, Vec<u8>)>,
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            let mut world = self.world.lock();
            if world.random.chance(600) {
                world.log.push(format!("  the upload of {} is on its way without its process", object.0));
                world.strays.push(object);
            } else {
                world.log.push(format!("  the upload of {} is torn and lost", object.0));
            }
        }
    }
}

impl Store {
    fn failed(&self, path: &str) -> StoreError {
        self.world.log(format!("  {}: the store fails on {path}", self.process));
        StoreError::Failed { path: path.to_owned(), reason: "simulated: the store is away".to_owned() }
    }

    /// Waits, and answers whether the call fails.
    async fn call(&self) -> bool {
        let polls = self.world.lock().faults.store_polls;
        self.world.dawdle(polls).await;
        let mut world = self.world.lock();
        let rate = world.faults.store;
        world.random.chance(rate)
    }
}

impl CheckpointStore for Store {
    fn create<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut upload = Upload { world: &self.world, object: Some((path.to_owned(), bytes)) };
            let fails = self.call().await;
            let (path, bytes) = upload.object.take().unwrap();
            if fails && self.world.lock().random.chance(500) {
                return Err(self.failed(&path));
            }
            let done = self.world.lock().create(&path, bytes);
            self.world.log(format!(
                "  {}: stores {path}: {}",
                self.process,
                if done.is_ok() { "ok" } else { "exists" }
            ));
            // The answer is lost.
            if fails { Err(self.failed(&path)) } else { done }
        })
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move {
            if self.call().await {
                return Err(self.failed(path));
            }
            let found = self.world.lock().objects.get(path).cloned();
            found.ok_or_else(|| StoreError::NotFound(path.to_owned()))
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            if self.call().await {
                return Err(self.failed(folder));
            }
            let below = format!("{folder}/");
            Ok(self.world.lock().objects.keys().filter(|path| path.starts_with(&below)).cloned().collect())
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if self.call().await {
                return Err(self.failed(path));
            }
            self.world.lock().objects.remove(path);
            Ok(())
        })
    }

    fn location(&self) -> String {
        "a simulated store".to_owned()
    }
}

/// The folder and the number of a manifest.
pub(super) fn manifest_of(path: &str) -> Option<(&str, u64)> {
    let (folder, name) = path.rsplit_once('/')?;
    Some((folder, name.strip_prefix("manifest-")?.strip_suffix(".json")?.parse().ok()?))
}

impl World {
    /// An object arrives; of a manifest it is checked that it may.
    pub(super) fn create(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.objects.contains_key(path) {
            return Err(StoreError::Exists(path.to_owned()));
        }
        if let (Some((folder, number)), Ok(manifest)) = (manifest_of(path), Manifest::decode(&bytes)) {
            self.check_manifest(folder, number, &manifest);
        }
        self.objects.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// The manifests of a folder by number.
    pub(super) fn manifests(&self, folder: &str) -> Vec<(u64, String)> {
        let of_folder = |path: &String| manifest_of(path).filter(|(of, _)| *of == folder).map(|(_, number)| number);
        self.objects.keys().filter_map(|path| Some((of_folder(path)?, path.clone()))).collect()
    }

    fn check_manifest(&mut self, folder: &str, number: u64, manifest: &Manifest) {
        for place in manifest.chunks.values() {
            if !self.objects.contains_key(&place.file) {
                self.wrong.push(format!("manifest {number} in {folder} names {}, which is not stored", place.file));
            }
        }
        let before = self.manifests(folder);
        if before.last().is_some_and(|(newest, _)| *newest > number) {
            self.log.push(format!("  manifest {number} comes after newer ones"));
            return;
        }
        if let Some(sink) = &manifest.sink {
            self.durable_notes.insert(sink.note.clone());
        }
        let Some(Ok(last)) = before.last().map(|(_, path)| Manifest::decode(&self.objects[path])) else { return };
        if last.writer != manifest.writer {
            return;
        }
        let mut back = Vec::new();
        if manifest.watermark < last.watermark || manifest.emitted_until < last.emitted_until {
            back.push("event time".to_owned());
        }
        for source in &last.sources {
            let Some(now) = manifest.sources.iter().find(|now| now.source == source.source) else {
                back.push(source.source.clone());
                continue;
            };
            for shard in &source.shards {
                let at = now.shards.iter().find(|at| at.shard == shard.shard);
                if at.is_none_or(|at| at.offset().unwrap() < shard.offset().unwrap() || at.watermark < shard.watermark)
                {
                    back.push(format!("{} of {}", shard.shard, source.source));
                }
            }
        }
        if !back.is_empty() {
            self.wrong.push(format!("manifest {number} in {folder} goes back: {}", back.join(", ")));
        }
    }
}
