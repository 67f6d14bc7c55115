//! `GetRecords`.

use serde::{Deserialize, Serialize};

use super::arguments::{required, within};
use super::encode;
use super::error::ApiError;
use super::get_shard_iterator::ShardIterator;
use super::shapes::{Base64, HashKeyRange, Timestamp};
use crate::limits::{GET_BYTES_MAX, GET_RECORDS_MAX};
use crate::{Record, SequenceNumber, ShardId, ShardInfo, Store};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRecords {
    shard_iterator: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Got<'a> {
    records: Vec<RecordShape<'a>>,
    /// Null at the end of a closed shard.
    next_shard_iterator: Option<String>,
    millis_behind_latest: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShard>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordShape<'a> {
    sequence_number: SequenceNumber,
    approximate_arrival_timestamp: Timestamp,
    data: Base64<'a>,
    partition_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShard {
    shard_id: ShardId,
    parent_shards: Vec<ShardId>,
    hash_key_range: HashKeyRange,
}

/// The reply, written: it may be large, and reading it may wait for the disk, so that it has a thread of its own.
pub(super) async fn get(store: Store, request: GetRecords) -> Result<Vec<u8>, ApiError> {
    let read = tokio::task::spawn_blocking(move || read(&store, &request));
    read.await.map_err(|error| ApiError::internal(format!("reading was broken off: {error}")))?
}

fn read(store: &Store, request: &GetRecords) -> Result<Vec<u8>, ApiError> {
    let limit = within(request.limit, "limit", 1..=GET_RECORDS_MAX, GET_RECORDS_MAX)?;
    let now_ms = store.now_ms();
    let text = required(request.shard_iterator.as_deref(), "shardIterator")?;
    let mut iterator = ShardIterator::open(text, now_ms)?;
    store
        .describe(&iterator.stream)
        .filter(|info| info.id == iterator.id)
        .ok_or_else(|| ApiError::no_stream(&iterator.stream))?;
    let page = store.read(&iterator.stream, iterator.shard, iterator.position, limit, GET_BYTES_MAX)?;
    (iterator.position, iterator.issued_ms) = (page.next, now_ms);
    encode(&Got {
        records: page.records().map(RecordShape::from).collect(),
        next_shard_iterator: (!page.end_of_shard).then(|| iterator.seal()),
        millis_behind_latest: page.millis_behind_latest,
        child_shards: page.children.iter().map(ChildShard::from).collect(),
    })
}

impl<'a> From<Record<'a>> for RecordShape<'a> {
    fn from(record: Record<'a>) -> Self {
        Self {
            sequence_number: record.sequence_number,
            approximate_arrival_timestamp: Timestamp(record.arrival_ms),
            data: Base64(record.data),
            partition_key: record.partition_key,
        }
    }
}

impl From<&ShardInfo> for ChildShard {
    fn from(shard: &ShardInfo) -> Self {
        Self { shard_id: shard.id, parent_shards: shard.parents.clone(), hash_key_range: shard.range.into() }
    }
}
