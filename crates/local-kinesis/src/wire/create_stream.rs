//! `CreateStream`. The stream is ACTIVE at once.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::arguments::{check_name, required, within, within_u32};
use super::error::ApiError;
use super::record_size::record_bytes_max;
use super::stream_mode::ModeDetails;
use super::{Api, Nothing, record_distribution};
use crate::limits::{ON_DEMAND_SHARDS, OPEN_SHARDS_MAX};
use crate::{NewStream, StreamMode, StreamSettings};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateStream {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib_max: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mib: Option<i64>,
    record_distribution_strategy: Option<String>,
}

pub(super) async fn create(api: &Api, request: CreateStream) -> Result<Nothing, ApiError> {
    let name = required(request.stream_name, "streamName")?;
    check_name(&name, "streamName")?;
    let mode = request.stream_mode_details.map_or(Ok(StreamMode::Provisioned), ModeDetails::read)?;
    // Above the limit is a matter of quota, not of form.
    let count = within(request.shard_count, "shardCount", 1..=usize::MAX, 0)?;
    let shards = match (mode, count) {
        (StreamMode::OnDemand, 0) => ON_DEMAND_SHARDS,
        (StreamMode::OnDemand, _) => {
            return Err(ApiError::argument("ShardCount is not for streams in ON_DEMAND mode: leave it out"));
        }
        (StreamMode::Provisioned, 0) => required(None, "shardCount")?,
        (StreamMode::Provisioned, count) => u32::try_from(count.min(OPEN_SHARDS_MAX + 1)).unwrap_or(u32::MAX),
    };
    let settings = StreamSettings {
        warm_throughput_mib: within_u32(request.warm_throughput_mib, "warmThroughputMiBps")?,
        distribution: {
            let given = request.record_distribution_strategy.as_deref();
            given.map(record_distribution::read).transpose()?.unwrap_or_default()
        },
        ..StreamSettings::default()
    };
    let record_bytes_max = record_bytes_max(request.record_kib_max)?;
    let tags = request.tags.unwrap_or_default();
    api.store.create_stream(NewStream { name, shards, mode, record_bytes_max, tags, settings }).await?;
    Ok(Nothing {})
}
