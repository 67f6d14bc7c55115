//! `SplitShard` and `MergeShards`. The stream stays ACTIVE: both are done when they answer.

use serde::Deserialize;

use super::Nothing;
use super::arguments::{required, shard_id, stream_name};
use super::error::ApiError;
use crate::Store;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SplitShard {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MergeShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
}

pub(super) async fn split(store: &Store, request: SplitShard) -> Result<Nothing, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let shard = shard_id(&required(request.shard_to_split, "shardToSplit")?)?;
    let key = required(request.new_starting_hash_key, "newStartingHashKey")?;
    let rule = "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})";
    let key = key.parse().map_err(|_| ApiError::constraint(&key, "newStartingHashKey", rule))?;
    store.split_shard(&stream, shard, key).await?;
    Ok(Nothing {})
}

pub(super) async fn merge(store: &Store, request: MergeShards) -> Result<Nothing, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let one = shard_id(&required(request.shard_to_merge, "shardToMerge")?)?;
    let other = shard_id(&required(request.adjacent_shard_to_merge, "adjacentShardToMerge")?)?;
    store.merge_shards(&stream, one, other).await?;
    Ok(Nothing {})
}
