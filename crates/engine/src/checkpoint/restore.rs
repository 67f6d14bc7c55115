//! How a query goes on: the newest checkpoint that is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt as _;
use millstream_core::{CheckpointStore, Emission, EventTime, SinkState, StoreError, Window};

use super::chunk::{ChunkPlace, decode};
use super::manifest::Manifest;
use super::saver::Saved;
use crate::durable::CheckpointSettings;

/// Files that are read at the same time.
const PARALLEL_READS: usize = 8;

/// A query's state, read.
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    pub(crate) saved: Saved,
    pub(crate) sink: Option<SinkState>,
}

/// What there is of a query.
pub(crate) struct Found {
    pub(crate) restored: Restored,
    pub(crate) folder: String,
    /// The number of the newest manifest, which may be a damaged one.
    pub(crate) newest: u64,
    /// Manifests that stay, oldest first, and the files they need.
    pub(crate) kept: Vec<(u64, BTreeSet<String>)>,
    /// Files that nothing needs, to be removed once the query is this process's.
    pub(crate) garbage: Vec<String>,
    /// Newer checkpoints that could not be used, and why.
    pub(crate) skipped: Vec<String>,
}

/// The folder of a query; names of queries may hold anything.
pub(crate) fn query_folder(query: &str) -> String {
    let escaped = query.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        other => format!("={other:02X}"),
    });
    format!("queries/{}", escaped.collect::<String>())
}

/// The folder of a savepoint.
pub(crate) fn savepoint_folder(name: &str) -> String {
    format!("savepoints/{name}")
}

/// Where a savepoint is: one of this service by its name, or any by the folder it is in.
pub(crate) fn find_savepoint(
    settings: &CheckpointSettings,
    savepoint: &str,
) -> Result<(Arc<dyn CheckpointStore>, String), String> {
    if !savepoint.contains('/') {
        return Ok((Arc::clone(&settings.store), savepoint_folder(savepoint)));
    }
    // `…/savepoints/<name>`: what is above is where that service keeps its checkpoints.
    let savepoint = savepoint.trim_end_matches('/');
    let above = savepoint.rsplit_once('/').and_then(|(above, name)| Some((above.strip_suffix("/savepoints")?, name)));
    let (above, name) = above
        .ok_or_else(|| format!("'{savepoint}' is not the folder of a savepoint: that ends with /savepoints/<name>"))?;
    Ok(((settings.open)(above)?, savepoint_folder(name)))
}

pub(crate) fn manifest_path(folder: &str, number: u64) -> String {
    format!("{folder}/manifest-{number:012}.json")
}

pub(crate) fn manifest_number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_prefix("manifest-")?.strip_suffix(".json")?.parse().ok()
}

/// Why a checkpoint is not used.
enum Unusable {
    /// It is not what was written: an older one is used.
    Damaged(String),
    /// The store did not answer. An older one must not be used: sinks have shown what the newest has.
    Away(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

/// The newest usable checkpoint of a query, `None` if it never had one.
pub(crate) async fn find(store: &dyn CheckpointStore, query: &str, retained: usize) -> Result<Option<Found>, String> {
    let of_query = query_folder(query);
    let paths = list(store, &of_query).await?;
    // A query that was defined anew has a folder of its own; the last one counts.
    let folders: BTreeSet<&str> = paths
        .iter()
        .filter(|path| manifest_number(path).is_some())
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    let Some(folder) = folders.last().map(|folder| (*folder).to_owned()) else { return Ok(None) };
    find_in(store, query, &folder, &paths, retained).await.map(Some)
}

/// The same in one folder: that of a savepoint, or of one life of a query.
pub(crate) async fn find_in(
    store: &dyn CheckpointStore,
    query: &str,
    folder: &str,
    paths: &[String],
    retained: usize,
) -> Result<Found, String> {
    let mut numbers: Vec<u64> =
        paths.iter().filter(|path| path.starts_with(folder)).filter_map(|path| manifest_number(path)).collect();
    numbers.sort_unstable();
    let newest = numbers.last().copied().unwrap_or(0);
    let mut skipped = Vec::new();
    let mut used: Option<Restored> = None;
    let mut kept = Vec::new();
    for number in numbers.iter().rev() {
        let path = manifest_path(folder, *number);
        let manifest = match read(store, &path).await.and_then(|bytes| Ok(Manifest::decode(&bytes)?)) {
            Ok(manifest) => manifest,
            Err(Unusable::Away(reason)) => return Err(reason),
            Err(Unusable::Damaged(reason)) if used.is_none() => {
                skipped.push(format!("`{path}`: {reason}"));
                continue;
            }
            Err(Unusable::Damaged(_)) => continue,
        };
        let files: BTreeSet<String> = manifest.chunks.values().map(|place| place.file.clone()).collect();
        if used.is_none() {
            match load(store, manifest).await {
                Ok(restored) => used = Some(restored),
                Err(Unusable::Away(reason)) => return Err(reason),
                Err(Unusable::Damaged(reason)) => {
                    skipped.push(format!("`{path}`: {reason}"));
                    continue;
                }
            }
        }
        kept.push((*number, files));
        if kept.len() >= retained {
            break;
        }
    }
    kept.reverse();
    let Some(restored) = used else {
        return Err(format!("no checkpoint of `{query}` in {} can be used: {}", store.location(), skipped.join("; ")));
    };
    let needed = |path: &String| {
        kept.iter().any(|(number, files)| manifest_path(folder, *number) == *path || files.contains(path))
    };
    let garbage = paths.iter().filter(|path| !needed(path)).cloned().collect();
    Ok(Found { restored, folder: folder.to_owned(), newest, kept, garbage, skipped })
}

async fn list(store: &dyn CheckpointStore, folder: &str) -> Result<Vec<String>, String> {
    store.list(folder).await.map_err(|error| format!("{}: {error}", store.location()))
}

async fn read(store: &dyn CheckpointStore, path: &str) -> Result<Vec<u8>, Unusable> {
    store.read(path).await.map_err(|error| match error {
        StoreError::NotFound(path) => Unusable::Damaged(format!("`{path}` is missing")),
        error => Unusable::Away(format!("{} cannot be read now, try again: {error}", store.location())),
    })
}

/// Reads every chunk of a checkpoint, file by file.
async fn load(store: &dyn CheckpointStore, manifest: Manifest) -> Result<Restored, Unusable> {
    let mut files: BTreeMap<&str, Vec<(u64, &ChunkPlace)>> = BTreeMap::new();
    for (chunk, place) in &manifest.chunks {
        files.entry(&place.file).or_default().push((*chunk, place));
    }
    let reads = futures::stream::iter(files).map(|(file, places)| async move {
        let bytes = read(store, file).await?;
        places
            .into_iter()
            .map(|(chunk, place)| Ok((chunk, decode(&bytes, place)?)))
            .collect::<Result<Vec<_>, Unusable>>()
    });
    let loaded: Vec<Result<Vec<(u64, RecordBatch)>, Unusable>> = reads.buffer_unordered(PARALLEL_READS).collect().await;
    let mut chunks: BTreeMap<u64, RecordBatch> = BTreeMap::new();
    for of_file in loaded {
        chunks.extend(of_file?);
    }
    let sink = match &manifest.sink {
        None => None,
        Some(position) => {
            let pending = position.pending.iter().map(|place| {
                let rows = chunks.get(&place.chunk).cloned();
                let rows = rows.ok_or_else(|| format!("chunk {} of the sink is missing", place.chunk))?;
                let window = place.window.map(|(start, end)| Window { start: EventTime(start), end: EventTime(end) });
                Ok((place.id, Emission { rows, window }))
            });
            Some(SinkState { note: position.note.clone(), pending: pending.collect::<Result<_, String>>()? })
        }
    };
    let saved = Saved::new(manifest.values.clone(), &manifest.entries, |chunk| chunks.get(&chunk).cloned())?;
    Ok(Restored { manifest, saved, sink })
}
