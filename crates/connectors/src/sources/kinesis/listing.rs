//! The shards of a stream, for those who do not read them.

use std::sync::Arc;

use millstream_core::{Clock, SourceError};

use super::Settings;
use super::client::StreamClient;
use super::shards::ListedShard;
use crate::leases::StreamShard;

/// Lists the shards of one stream.
pub(crate) struct Shards(StreamClient);

impl Shards {
    pub(crate) async fn connect(settings: &Settings, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self(StreamClient::connect(settings, clock, seed).await)
    }

    /// All of them, closed ones included. What passes is tried again.
    pub(crate) async fn listed(&self) -> Result<Vec<StreamShard>, SourceError> {
        let shards = self.0.list_shards().await?.into_iter();
        let shard = |shard: ListedShard| StreamShard {
            shard: shard.id,
            parents: shard.parents,
            is_open: shard.is_open,
            hashes: shard.range.map(|range| (range.start.0, range.end.0)),
        };
        Ok(shards.map(shard).collect())
    }
}
