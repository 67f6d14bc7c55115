//! The owner of all that changes: the database, the catalog and the shards' tips. Lives on the committer thread.
//!
//! What it does is in the files named after it: `append`, `create`, `delete`, `split`, `merge`, `scale`, `retention`,
//! `tags`, `consumers`, `configure`, `account`, `trim`. Each writes to disk first and publishes afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::sync::watch;

use crate::error::StorageError;
use crate::layout::stream_key;
use crate::store::{Now, Settings};
use crate::stream::{Catalog, Stream};
use crate::{AccountSettings, ControlError, StreamInfo};

pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) database: Database,
    /// Descriptions of streams (`layout::CATALOG`).
    pub(crate) descriptions: Keyspace,
    /// What everybody else sees.
    pub(crate) catalog: watch::Sender<Arc<Catalog>>,
    pub(crate) account: watch::Sender<AccountSettings>,
    pub(crate) next_stream_id: u64,
    pub(crate) settings: Settings,
    pub(crate) now: Now,
}

impl Writer {
    pub(crate) fn now_ms(&self) -> i64 {
        (self.now)().max(0)
    }

    pub(crate) fn stream(&self, name: &str) -> Result<Arc<Stream>, ControlError> {
        self.catalog.borrow().get(name).cloned().ok_or_else(|| ControlError::NoStream(name.to_owned()))
    }

    /// Whether there is room to write records.
    pub(crate) fn check_space(&self) -> Result<(), StorageError> {
        let disk = rustix::fs::statvfs(&self.folder)
            .map_err(|error| StorageError::Disk { folder: self.folder.clone(), error: Arc::new(error.into()) })?;
        let (free_bytes, kept_bytes) = (disk.f_bavail.saturating_mul(disk.f_frsize), self.settings.free_bytes_min);
        if free_bytes < kept_bytes {
            return Err(StorageError::Full { folder: self.folder.clone(), free_bytes, kept_bytes });
        }
        Ok(())
    }

    /// Whether records can be written.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        self.check_space()?;
        // Fails once a write has failed; the journal's buffer is empty, so that it costs nothing.
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    /// A batch that is on disk once its commit returns.
    pub(crate) fn durable_batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::SyncAll))
    }

    /// Stores a changed description, then publishes it.
    pub(crate) fn replace(&mut self, stream: &Stream, info: StreamInfo) -> Result<(), StorageError> {
        self.replace_with(self.durable_batch(), stream, info)
    }

    /// As `replace`, in one step with what is in the batch already.
    pub(crate) fn replace_with(
        &mut self,
        mut batch: OwnedWriteBatch,
        stream: &Stream,
        info: StreamInfo,
    ) -> Result<(), StorageError> {
        batch.insert(&self.descriptions, stream_key::encode(&info.name), stream_key::encode_value(&info));
        batch.commit()?;
        self.publish(stream.with_info(info));
        Ok(())
    }

    pub(crate) fn publish(&mut self, stream: Stream) {
        let mut catalog = Catalog::clone(&self.catalog.borrow());
        catalog.insert(stream.info.name.clone(), Arc::new(stream));
        self.catalog.send_replace(Arc::new(catalog));
    }

    pub(crate) fn withdraw(&mut self, name: &str) {
        let mut catalog = Catalog::clone(&self.catalog.borrow());
        catalog.remove(name);
        self.catalog.send_replace(Arc::new(catalog));
    }
}
