//! The owner of all that changes: the database, the catalog and the shards' tips. Lives on the committer thread.
//!
//! What it does is in the files named after it: `append`, `create`, `delete`, `split`, `merge`, `retention`, `tags`,
//! `trim`. Each writes to disk first and publishes afterwards.

use std::sync::Arc;

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::sync::watch;

use crate::error::StorageError;
use crate::layout::stream_key;
use crate::store::{Now, Settings};
use crate::stream::{Catalog, Stream};
use crate::{ControlError, StreamInfo};

pub(crate) struct Writer {
    pub(crate) database: Database,
    /// Descriptions of streams (`layout::CATALOG`).
    pub(crate) descriptions: Keyspace,
    /// What everybody else sees.
    pub(crate) catalog: watch::Sender<Arc<Catalog>>,
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
