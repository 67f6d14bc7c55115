//! Members that several replies have in common.

use serde::Serialize;

use super::scalars::{BlobOf, Timestamp};
use crate::{HashRange, Record, SequenceNumber, ShardId, ShardInfo, StreamInfo, StreamMode};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl From<HashRange> for HashKeyRange {
    fn from(range: HashRange) -> Self {
        Self { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: SequenceNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<SequenceNumber>,
}

/// A shard in a listing.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shard {
    shard_id: ShardId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<ShardId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<ShardId>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

impl From<&ShardInfo> for Shard {
    fn from(shard: &ShardInfo) -> Self {
        Self {
            shard_id: shard.id,
            parent_shard_id: shard.parents.first().copied(),
            adjacent_parent_shard_id: shard.parents.get(1).copied(),
            hash_key_range: shard.range.into(),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: shard.starting,
                ending_sequence_number: shard.ending,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamModeDetails {
    stream_mode: StreamMode,
}

impl From<&StreamInfo> for StreamModeDetails {
    fn from(info: &StreamInfo) -> Self {
        Self { stream_mode: info.mode }
    }
}

/// Whether records are said to be encrypted.
#[derive(Clone, Copy, Serialize)]
pub(super) enum EncryptionType {
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "KMS")]
    Kms,
}

impl From<&StreamInfo> for EncryptionType {
    fn from(info: &StreamInfo) -> Self {
        if info.settings.encryption_key.is_some() { Self::Kms } else { Self::None }
    }
}

/// Write throughput that is to be ready, MiB a second.
#[derive(Serialize)]
pub(super) struct WarmThroughput {
    #[serde(rename = "TargetMiBps")]
    target: u32,
    #[serde(rename = "CurrentMiBps")]
    current: u32,
}

impl WarmThroughput {
    pub(super) fn reached(mib: u32) -> Self {
        Self { target: mib, current: mib }
    }

    pub(super) fn changing(current: u32, target: u32) -> Self {
        Self { target, current }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

impl From<(String, String)> for Tag {
    fn from((key, value): (String, String)) -> Self {
        Self { key, value }
    }
}

/// A record as it is read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecordShape<'a> {
    sequence_number: SequenceNumber,
    approximate_arrival_timestamp: Timestamp,
    data: BlobOf<'a>,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<EncryptionType>,
}

impl<'a> RecordShape<'a> {
    /// AWS names the encryption of records that are encrypted.
    pub(super) fn new(record: Record<'a>, encryption_type: EncryptionType) -> Self {
        Self {
            sequence_number: record.sequence_number,
            approximate_arrival_timestamp: Timestamp(record.arrival_ms),
            data: BlobOf(record.data),
            partition_key: record.partition_key,
            encryption_type: Some(encryption_type).filter(|kind| matches!(kind, EncryptionType::Kms)),
        }
    }
}

/// A shard to read after its parents.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChildShard {
    shard_id: ShardId,
    parent_shards: Vec<ShardId>,
    hash_key_range: HashKeyRange,
}

impl From<&ShardInfo> for ChildShard {
    fn from(shard: &ShardInfo) -> Self {
        Self { shard_id: shard.id, parent_shards: shard.parents.clone(), hash_key_range: shard.range.into() }
    }
}
