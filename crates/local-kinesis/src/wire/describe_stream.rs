//! `DescribeStream` and `DescribeStreamSummary`.

use serde::{Deserialize, Serialize};

use super::arguments::{shard_id, stream, within};
use super::error::ApiError;
use super::shapes::{Shard, StreamModeDetails, Timestamp, arn};
use crate::{Store, StreamInfo};

/// Shards of one reply, unless told: the AWS default.
const SHARDS_DEFAULT: usize = 100;
const SHARDS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    stream_description: Description,
}

/// What both replies tell.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Common {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMonitoring; 1],
    encryption_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnhancedMonitoring {
    shard_level_metrics: [String; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(flatten)]
    common: Common,
    shards: Vec<Shard>,
    has_more_shards: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summarized {
    stream_description_summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(flatten)]
    common: Common,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib_max: usize,
}

pub(super) fn describe(store: &Store, request: &DescribeStream) -> Result<Described, ApiError> {
    let limit = within(request.limit, "limit", 1..=SHARDS_MAX, SHARDS_DEFAULT)?;
    let after = request.exclusive_start_shard_id.as_deref().map(shard_id).transpose()?;
    let info = stream(store, request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let mut left = info.shards.iter().filter(|shard| after.is_none_or(|after| shard.id > after));
    let shards = left.by_ref().take(limit).map(Shard::from).collect();
    let has_more_shards = left.next().is_some();
    Ok(Described { stream_description: Description { common: common(&info), shards, has_more_shards } })
}

pub(super) fn summarize(store: &Store, request: &DescribeStream) -> Result<Summarized, ApiError> {
    let info = stream(store, request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    Ok(Summarized {
        stream_description_summary: Summary {
            common: common(&info),
            open_shard_count: info.open_shards().count(),
            consumer_count: 0,
            record_kib_max: info.record_bytes_max / 1024,
        },
    })
}

fn common(info: &StreamInfo) -> Common {
    Common {
        stream_name: info.name.clone(),
        stream_arn: arn(&info.name),
        stream_status: "ACTIVE",
        stream_mode_details: info.into(),
        retention_period_hours: info.retention_hours,
        stream_creation_timestamp: Timestamp(info.created_ms),
        enhanced_monitoring: [EnhancedMonitoring { shard_level_metrics: [] }],
        encryption_type: "NONE",
    }
}
