//! `SplitShard` and `MergeShards`. The stream stays ACTIVE: both are done when they answer.

use serde::Deserialize;

use super::arguments::{StreamArguments, required, shard_id};
use super::error::ApiError;
use super::{Api, Nothing};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SplitShard {
    #[serde(flatten)]
    stream: StreamArguments,
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MergeShards {
    #[serde(flatten)]
    stream: StreamArguments,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
}

pub(super) async fn split(api: &Api, request: SplitShard) -> Result<Nothing, ApiError> {
    let stream = request.stream.name_to_change(api)?;
    let shard = shard_id(&required(request.shard_to_split, "shardToSplit")?)?;
    let key = required(request.new_starting_hash_key, "newStartingHashKey")?;
    let rule = "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})";
    let key = key.parse().map_err(|_| ApiError::constraint(&key, "newStartingHashKey", rule))?;
    api.store.split_shard(&stream, shard, key).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

pub(super) async fn merge(api: &Api, request: MergeShards) -> Result<Nothing, ApiError> {
    let stream = request.stream.name_to_change(api)?;
    let one = shard_id(&required(request.shard_to_merge, "shardToMerge")?)?;
    let other = shard_id(&required(request.adjacent_shard_to_merge, "adjacentShardToMerge")?)?;
    api.store.merge_shards(&stream, one, other).await?;
    api.changed(&stream);
    Ok(Nothing {})
}
