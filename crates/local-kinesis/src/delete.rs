//! Deleting a stream with its records.

use crate::error::StorageError;
use crate::layout::stream_key;
use crate::writer::Writer;
use crate::{ControlError, Store};

impl Store {
    /// Deletes a stream. Whoever waits for its records is told that it does not exist.
    pub async fn delete_stream(&self, name: &str) -> Result<(), ControlError> {
        let name = name.to_owned();
        self.on_writer(move |writer| writer.delete(&name)).await
    }
}

impl Writer {
    fn delete(&mut self, name: &str) -> Result<(), ControlError> {
        let stream = self.stream(name)?;
        let mut batch = self.durable_batch();
        batch.remove(&self.descriptions, stream_key::encode(name));
        batch.commit().map_err(StorageError::from)?;
        self.withdraw(name);
        // Should the process die before this, the next start does it.
        self.database.delete_keyspace(stream.blocks.clone()).map_err(StorageError::from)?;
        Ok(())
    }
}
