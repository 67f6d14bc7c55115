//! Writes the checkpoints of one query, one after another.
//!
//! The order is the point of it. Data first, then what the sink prepared, then the manifest, which makes all of it count;
//! only then does the sink show its rows, and only then do files go that no manifest names any more. What fails is tried
//! again until it works: the query goes on meanwhile, and the next checkpoint waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_core::{CheckpointStore, Clock, Duration, EventTime, Prepared, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::SourcePosition;
use super::chunk::{ChunkPlace, encode};
use super::manifest::{Manifest, PendingPlace, SinkPosition};
use super::restore::{manifest_number, manifest_path, savepoint_folder};
use super::saver::Saver;
use crate::output::ToSink;
use crate::sabotage::{Order, is_broken};
use crate::stats::CheckpointStats;

/// The first pause before a store is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration(200);
/// Chunks of rows that a sink holds are numbered from here on: a closer numbers those of its next cut while this one is
/// written, and the two must not meet.
const SINK_CHUNKS: u64 = 1 << 63;
/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Who waits for a checkpoint: its number, or why there is none.
pub(crate) type Done = oneshot::Sender<Result<u64, String>>;

/// A query's state at one point of its input.
pub(crate) struct Cut {
    pub(crate) saver: Saver,
    pub(crate) taken_at: EventTime,
    pub(crate) watermark: EventTime,
    pub(crate) emitted_until: EventTime,
    pub(crate) sources: Vec<SourcePosition>,
    pub(crate) is_finished: bool,
    /// What the sink says when it comes to this point.
    pub(crate) sink: Option<oneshot::Receiver<Prepared>>,
    /// Kept under this name, whatever becomes of the query.
    pub(crate) savepoint: Option<String>,
    pub(crate) done: Vec<Done>,
}

/// How a closer hands cuts on. One is written at a time.
pub(crate) struct CheckpointLink {
    cuts: mpsc::UnboundedSender<Cut>,
    busy: Arc<AtomicBool>,
    owes: Arc<AtomicBool>,
}

impl CheckpointLink {
    /// Whether the sink holds rows that only a later checkpoint lets it show.
    pub(crate) fn owes(&self) -> bool {
        self.owes.load(Ordering::Acquire)
    }

    /// Whether the last cut is still being written.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    pub(crate) fn send(&self, cut: Cut) {
        self.busy.store(true, Ordering::Release);
        // A writer that is gone has said why, and the query is ending.
        let _ = self.cuts.send(cut);
    }
}

/// Writes the checkpoints of one query.
pub(crate) struct Writer {
    store: Arc<dyn CheckpointStore>,
    clock: Arc<dyn Clock>,
    folder: String,
    /// The newest manifest; the next is made from it.
    newest: Manifest,
    /// The chunks of rows that the sink holds, by their numbers there.
    pending: HashMap<u64, u64>,
    /// The number of the next chunk of such rows.
    next_pending: u64,
    /// Manifests that are kept, oldest first, with the files they need.
    kept: VecDeque<(u64, BTreeSet<String>)>,
    retained: usize,
    stats: Arc<CheckpointStats>,
}

/// Why no more checkpoints are written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Another process goes on with the query.
    Fenced(String),
    /// The sink has ended, and said why elsewhere.
    SinkGone,
    /// The state cannot be put into bytes.
    Unwritable(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fenced(reason) => write!(f, "{reason}"),
            Self::SinkGone => write!(f, "its sink has ended"),
            Self::Unwritable(reason) => write!(f, "a checkpoint cannot be written: {reason}"),
        }
    }
}

impl Writer {
    /// Takes the query over: writes a manifest of its own, the same as `base` but for its writer. From then on no other
    /// process can write a checkpoint of it.
    pub(crate) async fn claim(
        store: Arc<dyn CheckpointStore>,
        clock: Arc<dyn Clock>,
        folder: String,
        base: Manifest,
        kept: Vec<(u64, BTreeSet<String>)>,
        retained: usize,
        stats: Arc<CheckpointStats>,
    ) -> Result<Self, String> {
        let pending: HashMap<u64, u64> =
            base.sink.iter().flat_map(|sink| &sink.pending).map(|place| (place.id, place.chunk)).collect();
        let next_pending = pending.values().map(|chunk| chunk + 1).max().unwrap_or(0).max(SINK_CHUNKS);
        let mut writer = Self {
            store,
            clock,
            folder,
            newest: base,
            pending,
            next_pending,
            kept: kept.into(),
            retained: retained.max(1),
            stats,
        };
        let manifest = writer.newest.clone();
        let path = manifest_path(&writer.folder, manifest.number);
        let bytes = manifest.encode().map_err(|error| error.to_string())?;
        match writer.store.create(&path, bytes).await {
            Ok(()) => {}
            Err(StoreError::Exists(_)) => return Err(writer.fenced(&path)),
            Err(error) => {
                return Err(format!("the first checkpoint of `{}` cannot be written: {error}", manifest.query));
            }
        }
        writer.keep(&manifest);
        writer.stats.set(&manifest, 0, Duration(0));
        Ok(writer)
    }

    fn fenced(&self, path: &str) -> String {
        format!(
            "another process has taken over the query `{}`: `{path}` in {} exists and is not of this process; one service at a time may use a checkpoint folder",
            self.newest.query,
            self.store.location()
        )
    }

    /// Removes what no manifest that is kept needs: manifests first, so that none names a file that is gone.
    pub(crate) async fn sweep(&self, garbage: &[String]) {
        let (manifests, data): (Vec<&String>, Vec<&String>) =
            garbage.iter().partition(|path| manifest_number(path).is_some());
        for path in manifests.into_iter().chain(data) {
            if let Err(error) = self.store.delete(path).await {
                tracing::warn!(%path, %error, "a file of an old checkpoint was not removed; the next start tries again");
                return;
            }
        }
    }

    /// The way for a closer, and the work to be run as a task: it ends when the closer has, or with the reason why it
    /// cannot go on. Answers whether the query has come to its end.
    pub(crate) fn start(
        mut self,
        sink: Option<mpsc::Sender<ToSink>>,
    ) -> (CheckpointLink, impl Future<Output = Result<bool, Broken>> + Send + 'static) {
        let (sender, mut cuts) = mpsc::unbounded_channel::<Cut>();
        let busy = Arc::new(AtomicBool::new(false));
        let owes = Arc::new(AtomicBool::new(self.holds_rows()));
        let link = CheckpointLink { cuts: sender, busy: Arc::clone(&busy), owes: Arc::clone(&owes) };
        let work = async move {
            while let Some(mut cut) = cuts.recv().await {
                let (done, savepoint) = (std::mem::take(&mut cut.done), cut.savepoint.take());
                let written = self.write(cut, sink.as_ref()).await;
                let mut answer = written.as_ref().map(|()| self.newest.number).map_err(ToString::to_string);
                if let (Ok(()), Some(name)) = (&written, savepoint) {
                    answer = self.savepoint(&name).await.map(|()| self.newest.number);
                }
                owes.store(self.holds_rows(), Ordering::Release);
                busy.store(false, Ordering::Release);
                for waiting in done {
                    // Who asked may have left.
                    let _ = waiting.send(answer.clone());
                }
                written?;
                if self.newest.is_finished {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        (link, work)
    }

    fn holds_rows(&self) -> bool {
        self.newest.sink.as_ref().is_some_and(|sink| !sink.pending.is_empty())
    }

    async fn write(&mut self, mut cut: Cut, sink: Option<&mpsc::Sender<ToSink>>) -> Result<(), Broken> {
        let started = self.clock.now();
        let number = self.newest.number + 1;
        let sink_position = match cut.sink.take() {
            None => self.newest.sink.clone().filter(|_| sink.is_some()),
            Some(prepared) => {
                let prepared = prepared.await.map_err(|_| Broken::SinkGone)?;
                Some(self.place_pending(prepared, &mut cut.saver)?)
            }
        };
        let Saver { values, entries, new, .. } = &cut.saver;
        let mut places: BTreeMap<u64, ChunkPlace> = BTreeMap::new();
        let (mut bytes_written, mut late_data) = (0, None);
        if !new.is_empty() {
            let path = format!("{}/data-{number:012}-{}.arrow", self.folder, self.newest.writer);
            let (bytes, new_places) = encode(&path, new).map_err(|error| Broken::Unwritable(error.to_string()))?;
            bytes_written = bytes.len() as u64;
            if is_broken(Order::DataFirst) {
                late_data = Some((path, bytes));
            } else {
                self.create(&path, &bytes).await;
            }
            places.extend(new_places);
        }
        let pending_chunks = sink_position.iter().flat_map(|sink| &sink.pending).map(|place| place.chunk);
        for chunk in entries.iter().map(|entry| entry.chunk).chain(pending_chunks) {
            if let Some(place) = self.newest.chunks.get(&chunk) {
                places.entry(chunk).or_insert_with(|| place.clone());
            } else if !places.contains_key(&chunk) {
                return Err(Broken::Unwritable(format!("chunk {chunk} has no place")));
            }
        }
        let manifest = Manifest {
            number,
            taken_at: cut.taken_at.0,
            watermark: cut.watermark.0,
            emitted_until: cut.emitted_until.0,
            sources: cut.sources,
            is_finished: cut.is_finished,
            values: values.clone(),
            entries: entries.clone(),
            sink: sink_position,
            chunks: places,
            next_chunk: cut.saver.next_chunk(),
            ..self.newest.clone()
        };
        if !is_broken(Order::ManifestFirst) {
            self.create_manifest(&manifest_path(&self.folder, number), &manifest).await?;
        }
        if let Some((path, bytes)) = late_data {
            self.create(&path, &bytes).await;
        }
        if let Some(sink) = sink {
            let (reply, committed) = oneshot::channel();
            sink.send(ToSink::Commit(reply)).await.map_err(|_| Broken::SinkGone)?;
            committed.await.map_err(|_| Broken::SinkGone)?;
        }
        if is_broken(Order::ManifestFirst) {
            self.create_manifest(&manifest_path(&self.folder, number), &manifest).await?;
        }
        self.keep(&manifest);
        self.newest = manifest;
        self.stats.set(&self.newest, bytes_written, self.clock.now() - started);
        self.forget().await;
        Ok(())
    }

    /// The sink's rows become chunks, those that are new.
    fn place_pending(&mut self, prepared: Prepared, saver: &mut Saver) -> Result<SinkPosition, Broken> {
        let mut pending = Vec::with_capacity(prepared.pending.len());
        let mut chunks = HashMap::new();
        for run in prepared.pending {
            let chunk = match (self.pending.get(&run.id), run.rows.as_ref()) {
                (Some(chunk), _) => *chunk,
                (None, Some(emission)) => {
                    let chunk = self.next_pending;
                    self.next_pending += 1;
                    saver.add(chunk, emission.rows.clone());
                    chunk
                }
                (None, None) => {
                    return Err(Broken::Unwritable(format!("the sink's rows {} were never handed over", run.id)));
                }
            };
            let window = match run.rows {
                Some(emission) => emission.window.map(|window| (window.start.0, window.end.0)),
                None => {
                    let before = self.newest.sink.iter().flat_map(|sink| &sink.pending);
                    before.clone().find(|place| place.id == run.id).and_then(|place| place.window)
                }
            };
            chunks.insert(run.id, chunk);
            pending.push(PendingPlace { id: run.id, window, chunk });
        }
        self.pending = chunks;
        Ok(SinkPosition { note: prepared.note, pending })
    }

    /// Until it works. The name holds this writer's token: if it exists, an earlier try has worked after all.
    async fn create(&self, path: &str, bytes: &[u8]) {
        let mut pause = FIRST_RETRY;
        loop {
            match self.store.create(path, bytes.to_vec()).await {
                Ok(()) | Err(StoreError::Exists(_)) => return self.stats.recovered(),
                Err(error) => self.wait(&mut pause, &error).await,
            }
        }
    }

    async fn create_manifest(&self, path: &str, manifest: &Manifest) -> Result<(), Broken> {
        let bytes = manifest.encode().map_err(|error| Broken::Unwritable(error.to_string()))?;
        let mut pause = FIRST_RETRY;
        loop {
            match self.store.create(path, bytes.clone()).await {
                Ok(()) => break,
                // An earlier try whose answer was lost, or another process.
                Err(StoreError::Exists(_)) => match self.store.read(path).await {
                    Ok(found) if found == bytes => break,
                    Ok(_) => return Err(Broken::Fenced(self.fenced(path))),
                    Err(error) => self.wait(&mut pause, &error).await,
                },
                Err(error) => self.wait(&mut pause, &error).await,
            }
        }
        // A process that stood still may find the place free because who has taken over no longer keeps what was there.
        loop {
            match self.store.list(&self.folder).await {
                Ok(paths) if paths.iter().any(|other| manifest_number(other) > Some(manifest.number)) => {
                    self.sweep(&[path.to_owned()]).await;
                    return Err(Broken::Fenced(self.fenced(path)));
                }
                Ok(_) => break,
                Err(error) => self.wait(&mut pause, &error).await,
            }
        }
        self.stats.recovered();
        Ok(())
    }

    async fn wait(&self, pause: &mut Duration, error: &StoreError) {
        tracing::warn!(query = %self.newest.query, %error, pause_ms = pause.0, "a checkpoint is not written yet; trying again");
        self.stats.failing(&error.to_string());
        self.clock.sleep(*pause).await;
        *pause = Duration((pause.0 * 2).min(LONGEST_RETRY.0));
    }

    fn keep(&mut self, manifest: &Manifest) {
        let files = manifest.chunks.values().map(|place| place.file.clone()).collect();
        self.kept.push_back((manifest.number, files));
    }

    /// Removes manifests beyond those that are kept, and files that none of the others names. A manifest that cannot be
    /// removed now keeps its files, and is tried again with the next checkpoint.
    async fn forget(&mut self) {
        while self.kept.len() > self.retained {
            let Some((number, files)) = self.kept.pop_front() else { return };
            let path = manifest_path(&self.folder, number);
            if let Err(error) = self.store.delete(&path).await {
                tracing::warn!(%path, %error, "an old checkpoint was not removed; the next one tries again");
                self.kept.push_front((number, files));
                return;
            }
            let unnamed = files.into_iter().filter(|file| !self.kept.iter().any(|(_, kept)| kept.contains(file)));
            self.sweep(&unnamed.collect::<Vec<_>>()).await;
        }
    }

    /// A copy of the newest checkpoint that needs no file of any other.
    async fn savepoint(&self, name: &str) -> Result<(), String> {
        let folder = savepoint_folder(name);
        let mut manifest = self.newest.clone();
        copy(self.store.as_ref(), &mut manifest, self.store.as_ref(), &folder).await?;
        let bytes = manifest.encode().map_err(|error| error.to_string())?;
        self.store.create(&manifest_path(&folder, 1), bytes).await.map_err(|error| error.to_string())
    }
}

/// Copies the files that a checkpoint needs into another folder, and names them there.
pub(crate) async fn copy(
    from: &dyn CheckpointStore,
    manifest: &mut Manifest,
    to: &dyn CheckpointStore,
    folder: &str,
) -> Result<(), String> {
    let mut copied: BTreeMap<String, String> = BTreeMap::new();
    // No other copy has these names, not even one to this folder that broke off.
    let name = format!("{folder}/copied-{:012}-{}", manifest.number, manifest.writer);
    for place in manifest.chunks.values_mut() {
        if !copied.contains_key(&place.file) {
            let path = format!("{name}-{}.arrow", copied.len());
            let bytes = from.read(&place.file).await.map_err(|error| error.to_string())?;
            to.create(&path, bytes).await.map_err(|error| error.to_string())?;
            copied.insert(place.file.clone(), path);
        }
        place.file.clone_from(&copied[&place.file]);
    }
    Ok(())
}
