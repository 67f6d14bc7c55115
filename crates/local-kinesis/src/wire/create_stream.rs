//! `CreateStream`. The stream is ACTIVE at once.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::arguments::{required, stream_name, within};
use super::error::ApiError;
use super::{Nothing, arguments};
use crate::limits::{ON_DEMAND_SHARDS, OPEN_SHARDS_MAX, RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX};
use crate::{NewStream, Store, StreamMode};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateStream {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib_max: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: String,
}

pub(super) async fn create(store: &Store, request: CreateStream) -> Result<Nothing, ApiError> {
    let name = stream_name(request.stream_name.as_deref(), None)?;
    let mode = match request.stream_mode_details.as_ref().map(|details| details.stream_mode.as_str()) {
        None | Some("PROVISIONED") => StreamMode::Provisioned,
        Some("ON_DEMAND") => StreamMode::OnDemand,
        Some(other) => {
            let rule = "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
            return Err(ApiError::constraint(other, "streamModeDetails.streamMode", rule));
        }
    };
    // Above the limit is a matter of quota, not of form.
    let count = arguments::within(request.shard_count, "shardCount", 1..=usize::MAX, 0)?;
    let shards = match (mode, count) {
        (StreamMode::OnDemand, 0) => ON_DEMAND_SHARDS,
        (StreamMode::OnDemand, _) => {
            return Err(ApiError::argument("ShardCount is not for streams in ON_DEMAND mode: leave it out"));
        }
        (StreamMode::Provisioned, 0) => required(None, "shardCount")?,
        (StreamMode::Provisioned, count) => u32::try_from(count.min(OPEN_SHARDS_MAX + 1)).unwrap_or(u32::MAX),
    };
    let kib = |bytes: usize| bytes / 1024;
    let bounds = kib(RECORD_BYTES_DEFAULT)..=kib(RECORD_BYTES_MAX);
    let record_kib = within(request.record_kib_max, "maxRecordSizeInKiB", bounds, kib(RECORD_BYTES_DEFAULT))?;
    let tags = request.tags.unwrap_or_default();
    store.create_stream(NewStream { name, shards, mode, record_bytes_max: record_kib * 1024, tags }).await?;
    Ok(Nothing {})
}
