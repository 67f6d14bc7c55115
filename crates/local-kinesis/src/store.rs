//! The handle of an open store: what callers hold. It looks things up and passes changes on to the one writer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::committer::{self, Command};
use crate::error::StorageError;
use crate::limits::QUEUE_BYTES_MAX;
use crate::stream::{Catalog, Stream};
use crate::writer::Writer;
use crate::{AccountSettings, ControlError, OpenError, StreamInfo, recover};

/// The current time, ms since 1970; may go back, which no shard's arrivals do.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What an owner of a store may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Memory for blocks of one stream that are on disk only in the journal yet.
    pub stream_buffer_bytes: u64,
    /// How often expired records are looked for.
    pub trim_every_ms: u64,
    /// Records are refused while the disk has less room than this. The storage engine takes no more writes once one has
    /// failed, so that none is begun that may fail: the rest is for its journal, its flushes and merges.
    pub free_bytes_min: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { cache_bytes: 16 * MIB, stream_buffer_bytes: 8 * MIB, trim_every_ms: 10_000, free_bytes_min: 128 * MIB }
    }
}

/// All streams of one folder. Cheap to clone; the folder is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    now: Now,
    catalog: watch::Receiver<Arc<Catalog>>,
    account: watch::Receiver<AccountSettings>,
    /// Counts records that go to shards in turn.
    turns: AtomicU64,
    /// Bytes that may still be queued.
    room: Arc<Semaphore>,
    /// `None` once closing.
    queue: Option<mpsc::Sender<Command>>,
    committer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens a folder, making it if it does not exist, and starts the thread that writes.
    pub fn open(folder: &Path, settings: &Settings, now: Now) -> Result<Self, OpenError> {
        let writer = recover::open(folder, settings, Arc::clone(&now))?;
        let (catalog, account) = (writer.catalog.subscribe(), writer.account.subscribe());
        let (queue, commands) = mpsc::channel();
        let committer = committer::start(writer, commands, settings.trim_every_ms).map_err(OpenError::Thread)?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        let turns = AtomicU64::new(0);
        let inner = Inner { now, catalog, account, turns, room, queue: Some(queue), committer: Some(committer) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The names of all streams, in order.
    pub fn list(&self) -> Vec<String> {
        self.inner.catalog.borrow().keys().cloned().collect()
    }

    /// One stream; `None` if there is none of that name.
    pub fn describe(&self, stream: &str) -> Option<Arc<StreamInfo>> {
        self.stream(stream).map(|stream| Arc::clone(&stream.info))
    }

    /// All streams, in order of their names.
    pub fn describe_all(&self) -> Vec<Arc<StreamInfo>> {
        self.inner.catalog.borrow().values().map(|stream| Arc::clone(&stream.info)).collect()
    }

    /// The time as this store sees it.
    pub fn now_ms(&self) -> i64 {
        (self.inner.now)()
    }

    /// Whether records can be written now: there is room on the disk, and no write has failed.
    pub async fn check(&self) -> Result<(), ControlError> {
        self.on_writer(|writer| Ok(writer.check()?)).await
    }

    /// Waits until every put that was called before has been committed or refused, also those whose caller has left.
    pub async fn settle(&self) -> Result<(), ControlError> {
        self.on_writer(|_| Ok(())).await
    }

    pub(crate) fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.inner.catalog.borrow().get(name).cloned()
    }

    pub(crate) fn room(&self) -> &Arc<Semaphore> {
        &self.inner.room
    }

    pub(crate) fn account_settings(&self) -> &watch::Receiver<AccountSettings> {
        &self.inner.account
    }

    /// A number that nobody else gets.
    pub(crate) fn take_turn(&self) -> u64 {
        self.inner.turns.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn send(&self, command: Command) -> Result<(), StorageError> {
        let queue = self.inner.queue.as_ref().ok_or(StorageError::Stopped)?;
        queue.send(command).map_err(|_| StorageError::Stopped)
    }

    /// Has the writer do something between two commits, and waits for what came of it.
    pub(crate) async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let (reply, replied) = oneshot::channel();
        // A caller that no longer waits is no reason to stop.
        self.send(Command::Change(Box::new(move |writer| drop(reply.send(work(writer))))))?;
        replied.await.map_err(|_| StorageError::Stopped)?
    }
}

impl Store {
    /// Changes a stream's description, if the change is fine with it: on disk and published once this returns.
    pub(crate) async fn change_stream<T: Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&mut StreamInfo) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let name = name.to_owned();
        self.on_writer(move |writer| {
            let stream = writer.stream(&name)?;
            let mut info = StreamInfo::clone(&stream.info);
            let outcome = change(&mut info)?;
            if info != *stream.info {
                writer.replace(&stream, info)?;
            }
            Ok(outcome)
        })
        .await
    }
}

impl Drop for Inner {
    /// Waits for the committer, so that the folder can be opened again at once.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the committer thread had panicked");
        }
    }
}
