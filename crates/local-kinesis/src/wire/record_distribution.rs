//! `UpdateStreamRecordDistributionStrategy`: whether keys or the stream choose the shards of records.

use serde::Deserialize;

use super::arguments::{StreamArguments, required};
use super::error::ApiError;
use super::{Api, Nothing};
use crate::Distribution;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateDistribution {
    #[serde(flatten)]
    stream: StreamArguments,
    record_distribution_strategy: Option<String>,
}

/// In effect at once, so that the stream stays ACTIVE.
pub(super) async fn update(api: &Api, request: UpdateDistribution) -> Result<Nothing, ApiError> {
    request.stream.name_by_arn()?;
    let strategy = required(request.record_distribution_strategy, "recordDistributionStrategy")?;
    let distribution = read(&strategy)?;
    api.store.set_distribution(&request.stream.name_to_change(api)?, distribution).await?;
    Ok(Nothing {})
}

pub(super) fn read(strategy: &str) -> Result<Distribution, ApiError> {
    match strategy {
        "AUTO" => Ok(Distribution::Even),
        "USER_PARTITION_KEY" => Ok(Distribution::PartitionKey),
        other => Err(ApiError::not_one_of(other, "recordDistributionStrategy", "AUTO, USER_PARTITION_KEY")),
    }
}
