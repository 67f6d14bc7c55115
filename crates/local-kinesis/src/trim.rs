//! Retention at work: deletes blocks that have expired, and shards that were closed before all that is kept.
//!
//! A block goes when its last record has expired; until then reading hides the expired ones.

use std::sync::Arc;

use crate::error::StorageError;
use crate::layout::block_key;
use crate::limits::TRIM_BLOCKS_MAX;
use crate::stream::Stream;
use crate::writer::Writer;
use crate::{ControlError, SequenceNumber, Store, StreamInfo};

/// What one round of retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Blocks of records deleted.
    pub blocks: usize,
    /// Closed shards that are no longer listed.
    pub shards: usize,
    /// There was more to delete than one round may.
    pub is_partial: bool,
}

impl Store {
    /// Deletes what has expired. The committer does so by itself now and then ([`crate::Settings::trim_every_ms`]).
    pub async fn trim(&self) -> Result<Trimmed, ControlError> {
        let mut all = Trimmed::default();
        loop {
            let round = self.on_writer(|writer| Ok(writer.trim_some()?)).await?;
            all.blocks += round.blocks;
            all.shards += round.shards;
            if !round.is_partial {
                return Ok(all);
            }
        }
    }
}

impl Writer {
    /// One round, bounded so that producers do not wait for long.
    pub(crate) fn trim_some(&mut self) -> Result<Trimmed, StorageError> {
        let mut trimmed = Trimmed::default();
        let streams: Vec<Arc<Stream>> = self.catalog.borrow().values().cloned().collect();
        for stream in streams {
            self.trim_stream(&stream, &mut trimmed)?;
            if trimmed.is_partial {
                break;
            }
        }
        Ok(trimmed)
    }

    fn trim_stream(&mut self, stream: &Stream, trimmed: &mut Trimmed) -> Result<(), StorageError> {
        let horizon_ms = stream.info.horizon_ms(self.now_ms());
        let horizon = SequenceNumber::just_before_ms(horizon_ms);
        let mut info = StreamInfo::clone(&stream.info);
        // Not synced: what a crash brings back is hidden by its age and deleted again.
        let mut batch = self.database.batch();
        for shard in &mut info.shards {
            let keys = block_key::encode(shard.id, shard.floor())..=block_key::encode(shard.id, horizon);
            if shard.floor() >= horizon {
                continue;
            }
            for entry in stream.blocks.range(keys) {
                if trimmed.blocks == TRIM_BLOCKS_MAX {
                    trimmed.is_partial = true;
                    break;
                }
                let key = entry.key()?;
                shard.trimmed_to = block_key::decode(&key).map(|(_, last)| last).or(shard.trimmed_to);
                batch.remove(&stream.blocks, key);
                trimmed.blocks += 1;
            }
        }
        if !trimmed.is_partial {
            let before = info.shards.len();
            info.shards.retain(|shard| shard.closed_ms.is_none_or(|closed_ms| closed_ms >= horizon_ms));
            trimmed.shards += before - info.shards.len();
        }
        if info != *stream.info {
            self.replace_with(batch, stream, info)?;
        }
        Ok(())
    }
}
