//! One shard of a stream: its name, and what is known of it besides its records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{HashRange, SequenceNumber};

/// A shard's number within its stream; prints as Kinesis spells it, `shardId-000000000007`. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ShardId(pub u32);

/// Text that names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a shard id: expected `shardId-` and 12 digits")]
pub struct NotAShardId(pub String);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl FromStr for ShardId {
    type Err = NotAShardId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("shardId-").unwrap_or_default();
        match digits.parse() {
            Ok(number) if digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self(number)),
            _ => Err(NotAShardId(text.to_owned())),
        }
    }
}

impl From<ShardId> for String {
    fn from(shard: ShardId) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for ShardId {
    type Error = NotAShardId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What a stream's catalog entry says of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Its name.
    pub id: ShardId,
    /// The shards it was split or merged from; they may have expired since.
    pub parents: Vec<ShardId>,
    /// Which records belong to it while it is open.
    pub range: HashRange,
    /// Below the sequence number of each of its records.
    pub starting: SequenceNumber,
    /// Above the sequence number of each of its records; given when it was closed.
    pub ending: Option<SequenceNumber>,
    /// When it was created, ms since 1970.
    pub created_ms: i64,
    /// When a split or merge closed it, ms since 1970.
    pub closed_ms: Option<i64>,
    /// Retention has deleted its records up to and including this one.
    pub trimmed_to: Option<SequenceNumber>,
}

impl ShardInfo {
    /// A shard that begins at `starting` and takes records at once.
    pub(crate) fn new(parents: Vec<ShardId>, range: HashRange, starting: SequenceNumber) -> Self {
        let (id, created_ms) = (ShardId(starting.shard()), starting.arrival_ms());
        Self { id, parents, range, starting, ending: None, created_ms, closed_ms: None, trimmed_to: None }
    }

    /// Whether it takes records.
    pub fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether it took records at that moment.
    pub fn was_open_at(&self, ms: i64) -> bool {
        self.created_ms <= ms && self.closed_ms.is_none_or(|closed| closed > ms)
    }

    /// Below all records it may still hold: where its reading starts.
    pub(crate) fn floor(&self) -> SequenceNumber {
        self.trimmed_to.unwrap_or(self.starting)
    }

    /// No more records from now on.
    pub(crate) fn close(&mut self, ending: SequenceNumber) {
        (self.ending, self.closed_ms) = (Some(ending), Some(ending.arrival_ms()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_id_prints_and_reads_as_kinesis_spells_it() {
        assert_eq!(ShardId(7).to_string(), "shardId-000000000007");
        assert_eq!("shardId-000000000007".parse(), Ok(ShardId(7)));
        for bad in ["", "7", "shardId-7", "shardId-00000000000x", "shardId-+00000000007", "shardId-999999999999"] {
            assert!(bad.parse::<ShardId>().is_err(), "{bad}");
        }
    }
}
