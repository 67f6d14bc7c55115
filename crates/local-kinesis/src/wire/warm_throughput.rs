//! `UpdateStreamWarmThroughput`. Kept and told: a disk is as warm as it is.

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, required, within_u32};
use super::error::ApiError;
use super::shapes::WarmThroughput;
use super::{Api, arn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateWarmThroughput {
    #[serde(flatten)]
    stream: StreamArguments,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mib: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Updated {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_name: String,
    warm_throughput: WarmThroughput,
}

pub(super) async fn update(api: &Api, request: UpdateWarmThroughput) -> Result<Updated, ApiError> {
    let wanted = required(within_u32(request.warm_throughput_mib, "warmThroughputMiBps")?, "warmThroughputMiBps")?;
    let stream = request.stream.name_to_change(api)?;
    let before = api.store.set_warm_throughput(&stream, wanted).await?;
    api.changed(&stream);
    let warm_throughput = WarmThroughput::changing(before.unwrap_or(0), wanted);
    Ok(Updated { stream_arn: arn::of_stream(&stream), stream_name: stream, warm_throughput })
}
