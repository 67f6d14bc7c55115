//! `DescribeLimits`, `DescribeAccountSettings` and `UpdateAccountSettings`.

use serde::{Deserialize, Serialize};

use super::Api;
use super::arguments::required;
use super::error::ApiError;
use super::scalars::Timestamp;
use crate::limits::{ON_DEMAND_STREAMS_MAX, OPEN_SHARDS_MAX};
use crate::{AccountSettings, StreamMode};

#[derive(Deserialize)]
pub(super) struct Describe {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Limits {
    /// For each stream: there is none for all of them together.
    shard_limit: usize,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: usize,
    channel_count: u32,
    channel_count_limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update {
    minimum_throughput_billing_commitment: Option<CommitmentInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommitmentInput {
    status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    minimum_throughput_billing_commitment: Commitment,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Commitment {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_allowed_end_at: Option<Timestamp>,
}

#[expect(clippy::unnecessary_wraps, reason = "the table's form")]
pub(super) fn limits(api: &Api, _: Describe) -> Result<Limits, ApiError> {
    let streams = api.store.describe_all();
    let is_provisioned = |mode| mode == StreamMode::Provisioned;
    let provisioned = streams.iter().filter(|info| is_provisioned(info.mode));
    Ok(Limits {
        shard_limit: OPEN_SHARDS_MAX,
        open_shard_count: provisioned.map(|info| info.open_shards().count()).sum(),
        on_demand_stream_count: streams.iter().filter(|info| !is_provisioned(info.mode)).count(),
        on_demand_stream_count_limit: ON_DEMAND_STREAMS_MAX,
        channel_count: 0,
        channel_count_limit: 0,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the table's form")]
pub(super) fn describe(api: &Api, _: Describe) -> Result<Settings, ApiError> {
    Ok(Settings::new(api.store.account(), api.store.now_ms()))
}

pub(super) async fn update(api: &Api, request: Update) -> Result<Settings, ApiError> {
    let commitment = required(request.minimum_throughput_billing_commitment, "minimumThroughputBillingCommitment")?;
    let member = "minimumThroughputBillingCommitment.status";
    let is_wanted = match required(commitment.status.as_deref(), member)? {
        "ENABLED" => true,
        "DISABLED" => false,
        other => return Err(ApiError::not_one_of(other, member, "ENABLED, DISABLED")),
    };
    Ok(Settings::new(api.store.set_commitment(is_wanted).await?, api.store.now_ms()))
}

impl Settings {
    fn new(settings: AccountSettings, now_ms: i64) -> Self {
        let status = match (settings.has_commitment(now_ms), settings.commitment_ends_ms) {
            (false, _) => "DISABLED",
            (true, None) => "ENABLED",
            (true, Some(_)) => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        };
        let commitment = Commitment {
            status,
            started_at: settings.commitment_started_ms.map(Timestamp),
            ended_at: settings.commitment_ends_ms.filter(|ends_ms| *ends_ms <= now_ms).map(Timestamp),
            earliest_allowed_end_at: settings.commitment_may_end_ms().map(Timestamp),
        };
        Self { minimum_throughput_billing_commitment: commitment }
    }
}
