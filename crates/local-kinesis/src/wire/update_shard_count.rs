//! `UpdateShardCount`. It is done when it answers.

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, required, within};
use super::error::ApiError;
use super::{Api, arn};
use crate::limits::OPEN_SHARDS_MAX;

/// Of one stream: the AWS quota.
const CHANGES_PER_DAY: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateShardCount {
    #[serde(flatten)]
    stream: StreamArguments,
    target_shard_count: Option<i64>,
    scaling_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Updated {
    stream_name: String,
    current_shard_count: usize,
    target_shard_count: u32,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

pub(super) async fn update(api: &Api, request: UpdateShardCount) -> Result<Updated, ApiError> {
    let target = required(request.target_shard_count, "targetShardCount")?;
    // Above the limit is a matter of quota, not of form.
    let target = within(Some(target), "targetShardCount", 1..=usize::MAX, 0)?;
    let target = u32::try_from(target.min(OPEN_SHARDS_MAX + 1)).unwrap_or(u32::MAX);
    match required(request.scaling_type.as_deref(), "scalingType")? {
        "UNIFORM_SCALING" => {}
        other => return Err(ApiError::not_one_of(other, "scalingType", "UNIFORM_SCALING")),
    }
    let stream = request.stream.name_to_change(api)?;
    api.take_per_day("UpdateShardCount", &stream, CHANGES_PER_DAY)?;
    let current = api.store.scale_shards(&stream, target).await?;
    api.changed(&stream);
    Ok(Updated {
        stream_arn: arn::of_stream(&stream),
        stream_name: stream,
        current_shard_count: current,
        target_shard_count: target,
    })
}
