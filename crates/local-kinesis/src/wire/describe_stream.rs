//! `DescribeStream` and `DescribeStreamSummary`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, shard_id, within};
use super::error::ApiError;
use super::quotas::Status;
use super::scalars::Timestamp;
use super::shapes::{EncryptionType, Shard, StreamModeDetails, WarmThroughput};
use super::{Api, arn};
use crate::{Distribution, ShardMetric, StreamInfo};

/// Shards of one reply, unless told: the AWS default.
const SHARDS_DEFAULT: usize = 100;
const SHARDS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStream {
    #[serde(flatten)]
    stream: StreamArguments,
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
    stream_status: Status,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMonitoring; 1],
    encryption_type: EncryptionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnhancedMonitoring {
    shard_level_metrics: BTreeSet<ShardMetric>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
    record_distribution_strategy: Distribution,
    channel_count: u32,
    queue_count: u32,
}

pub(super) fn describe(api: &Api, request: DescribeStream) -> Result<Described, ApiError> {
    let limit = within(request.limit, "limit", 1..=SHARDS_MAX, SHARDS_DEFAULT)?;
    let after = request.exclusive_start_shard_id.as_deref().map(shard_id).transpose()?;
    let info = request.stream.find(api)?;
    // AWS lists no shards before they are there.
    let shards = if api.status(&info) == Status::Creating { &[] } else { &info.shards[..] };
    let mut left = shards.iter().filter(|shard| after.is_none_or(|after| shard.id > after));
    let shards = left.by_ref().take(limit).map(Shard::from).collect();
    let has_more_shards = left.next().is_some();
    Ok(Described { stream_description: Description { common: common(api, &info), shards, has_more_shards } })
}

pub(super) fn summarize(api: &Api, request: DescribeStream) -> Result<Summarized, ApiError> {
    let info = request.stream.find(api)?;
    Ok(Summarized {
        stream_description_summary: Summary {
            common: common(api, &info),
            open_shard_count: info.open_shards().count(),
            consumer_count: info.consumers.len(),
            record_kib_max: info.record_bytes_max / 1024,
            warm_throughput: info.settings.warm_throughput_mib.map(WarmThroughput::reached),
            record_distribution_strategy: info.settings.distribution,
            channel_count: 0,
            queue_count: 0,
        },
    })
}

fn common(api: &Api, info: &StreamInfo) -> Common {
    Common {
        stream_name: info.name.clone(),
        stream_arn: arn::of_stream(&info.name),
        stream_status: api.status(info),
        stream_mode_details: info.into(),
        retention_period_hours: info.retention_hours,
        stream_creation_timestamp: Timestamp(info.created_ms),
        enhanced_monitoring: [EnhancedMonitoring { shard_level_metrics: info.settings.shard_metrics.clone() }],
        encryption_type: info.into(),
        key_id: info.settings.encryption_key.clone(),
    }
}
