//! Members that several replies have in common.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::{HashRange, SequenceNumber, ShardId, ShardInfo, StreamInfo, StreamMode};

/// The account that everything here belongs to.
pub(super) const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

pub(super) fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

/// A point in time as the protocol has it: seconds since 1970, milliseconds behind the point.
#[derive(Clone, Copy)]
pub(super) struct Timestamp(pub(super) i64);

impl Serialize for Timestamp {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 need 41 of 53 bits")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

/// Bytes, in base64.
pub(super) struct Base64<'a>(pub(super) &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

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
