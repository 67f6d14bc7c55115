//! `UpdateStreamMode`. The mode is kept and told; nothing reshards by itself.

use serde::Deserialize;

use super::arguments::{StreamArguments, required, within_u32};
use super::error::ApiError;
use super::{Api, Nothing};
use crate::StreamMode;

/// Of one stream: the AWS quota.
const CHANGES_PER_DAY: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateStreamMode {
    #[serde(flatten)]
    stream: StreamArguments,
    stream_mode_details: Option<ModeDetails>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mib: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeDetails {
    stream_mode: Option<String>,
}

pub(super) async fn update(api: &Api, request: UpdateStreamMode) -> Result<Nothing, ApiError> {
    request.stream.name_by_arn()?;
    let mode = required(request.stream_mode_details, "streamModeDetails")?.read()?;
    let warm = within_u32(request.warm_throughput_mib, "warmThroughputMiBps")?;
    let stream = request.stream.name_to_change(api)?;
    api.take_per_day("UpdateStreamMode", &stream, CHANGES_PER_DAY)?;
    api.store.set_mode(&stream, mode, warm).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

impl ModeDetails {
    pub(super) fn read(self) -> Result<StreamMode, ApiError> {
        match required(self.stream_mode.as_deref(), "streamModeDetails.streamMode")? {
            "PROVISIONED" => Ok(StreamMode::Provisioned),
            "ON_DEMAND" => Ok(StreamMode::OnDemand),
            other => Err(ApiError::not_one_of(other, "streamModeDetails.streamMode", "PROVISIONED, ON_DEMAND")),
        }
    }
}
