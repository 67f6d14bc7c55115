//! One stream: what is stored of it in the catalog, and the handles its readers and its writer share.

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::Keyspace;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::limits::RECORD_BYTES_DEFAULT;
use crate::{ConsumerInfo, HashKey, SequenceNumber, ShardId, ShardInfo, StreamSettings};

/// Who decides how many shards there are. Nothing here reshards by itself: the mode is only kept and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamMode {
    /// The owner does.
    #[serde(rename = "PROVISIONED")]
    Provisioned,
    /// On AWS, the service does.
    #[serde(rename = "ON_DEMAND")]
    OnDemand,
}

/// What to create.
#[derive(Clone, Debug)]
pub struct NewStream {
    /// Letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// How many open shards it starts with.
    pub shards: u32,
    /// Kept and told.
    pub mode: StreamMode,
    /// The largest record it takes, partition key included.
    pub record_bytes_max: usize,
    /// Labels for people.
    pub tags: BTreeMap<String, String>,
    /// What else is set from the start.
    pub settings: StreamSettings,
}

impl NewStream {
    /// A provisioned stream with AWS's defaults.
    pub fn new(name: impl Into<String>, shards: u32) -> Self {
        Self {
            name: name.into(),
            shards,
            mode: StreamMode::Provisioned,
            record_bytes_max: RECORD_BYTES_DEFAULT,
            tags: BTreeMap::new(),
            settings: StreamSettings::default(),
        }
    }
}

/// A stream as of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// Tells a stream from an earlier one of the same name.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// When it was created, ms since 1970.
    pub created_ms: i64,
    /// How long records are kept.
    pub retention_hours: u32,
    /// The largest record it takes, partition key included.
    pub record_bytes_max: usize,
    /// Who decides how many shards there are.
    pub mode: StreamMode,
    /// Labels for people.
    pub tags: BTreeMap<String, String>,
    /// All shards that can still be read, in order of their ids.
    pub shards: Vec<ShardInfo>,
    /// The number of the next shard.
    pub next_shard: u32,
    /// Registered consumers, by name. Earlier releases had none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumers: BTreeMap<String, ConsumerInfo>,
    /// What else is set.
    #[serde(default)]
    pub settings: StreamSettings,
}

impl StreamInfo {
    /// One shard, unless there is none of that name or it has expired.
    pub fn shard(&self, id: ShardId) -> Option<&ShardInfo> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    /// Those that take records.
    pub fn open_shards(&self) -> impl Iterator<Item = &ShardInfo> {
        self.shards.iter().filter(|shard| shard.is_open())
    }

    /// The shards that a closed one was split or merged into.
    pub fn children(&self, parent: ShardId) -> impl Iterator<Item = &ShardInfo> {
        self.shards.iter().filter(move |shard| shard.parents.contains(&parent))
    }

    /// The open shard that a hash key belongs to.
    pub fn shard_of(&self, key: HashKey) -> Option<&ShardInfo> {
        self.open_shards().find(|shard| shard.range.start <= key && key <= shard.range.end)
    }

    /// Records that arrived before this are expired.
    pub(crate) fn horizon_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.retention_hours) * 3_600_000)
    }

    /// Takes the number of a new shard.
    pub(crate) fn take_shard_number(&mut self) -> u32 {
        let number = self.next_shard;
        self.next_shard += 1;
        number
    }
}

/// How far a shard has been committed: what its readers may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The last committed record's number, or one below the first.
    pub(crate) last: SequenceNumber,
    /// No record follows `last`.
    pub(crate) is_closed: bool,
}

/// A stream with its storage; replaced whole whenever `info` changes.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) info: Arc<StreamInfo>,
    /// The records, in blocks (`layout::block_key`).
    pub(crate) blocks: Keyspace,
    /// One for each shard of `info`.
    pub(crate) tips: BTreeMap<ShardId, watch::Sender<Tip>>,
}

impl Stream {
    /// The same stream after a change to its description: new shards get a tip, expired ones lose theirs.
    pub(crate) fn with_info(&self, info: StreamInfo) -> Self {
        let tip_of = |shard: &ShardInfo| {
            let new = || watch::Sender::new(Tip { last: shard.starting, is_closed: !shard.is_open() });
            (shard.id, self.tips.get(&shard.id).cloned().unwrap_or_else(new))
        };
        let tips = info.shards.iter().map(tip_of).collect();
        Self { info: Arc::new(info), blocks: self.blocks.clone(), tips }
    }
}

/// All streams as of one moment, by name.
pub(crate) type Catalog = BTreeMap<String, Arc<Stream>>;
