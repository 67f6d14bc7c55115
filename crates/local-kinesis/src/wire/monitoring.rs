//! `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`. What is switched on is kept and told; the numbers
//! themselves are where all of the service's are (docs/operations.md).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, required};
use super::error::ApiError;
use super::{Api, arn};
use crate::ShardMetric;

/// Entries of a list: the API's model.
const METRICS_MAX: usize = 7;

/// Of one stream: the AWS quota.
const CHANGES_PER_SECOND: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Monitoring {
    #[serde(flatten)]
    stream: StreamArguments,
    shard_level_metrics: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Changed {
    stream_name: String,
    current_shard_level_metrics: BTreeSet<ShardMetric>,
    desired_shard_level_metrics: BTreeSet<ShardMetric>,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

pub(super) async fn enable(api: &Api, request: Monitoring) -> Result<Changed, ApiError> {
    request.change(api, "EnableEnhancedMonitoring", |kept, named| kept.extend(named)).await
}

pub(super) async fn disable(api: &Api, request: Monitoring) -> Result<Changed, ApiError> {
    request.change(api, "DisableEnhancedMonitoring", |kept, named| kept.retain(|metric| !named.contains(metric))).await
}

impl Monitoring {
    async fn change(
        self,
        api: &Api,
        operation: &'static str,
        change: fn(&mut BTreeSet<ShardMetric>, &BTreeSet<ShardMetric>),
    ) -> Result<Changed, ApiError> {
        let named = read(required(self.shard_level_metrics, "shardLevelMetrics")?)?;
        let stream = self.stream.name_to_change(api)?;
        api.take_per_second(operation, &stream, CHANGES_PER_SECOND)?;
        let [before, after] = api.store.set_shard_metrics(&stream, move |kept| change(kept, &named)).await?;
        api.changed(&stream);
        Ok(Changed {
            stream_arn: arn::of_stream(&stream),
            stream_name: stream,
            current_shard_level_metrics: before,
            desired_shard_level_metrics: after,
        })
    }
}

fn read(names: Vec<String>) -> Result<BTreeSet<ShardMetric>, ApiError> {
    if !(1..=METRICS_MAX).contains(&names.len()) {
        let rule = format!("Member must have length between 1 and {METRICS_MAX}");
        return Err(ApiError::constraint(&format!("{} metrics", names.len()), "shardLevelMetrics", &rule));
    }
    if names.iter().any(|name| name == "ALL") {
        return Ok(ShardMetric::ALL.into());
    }
    let metric = |name: String| {
        let known = ShardMetric::ALL.into_iter().find(|metric| format!("{metric:?}") == name);
        known.ok_or_else(|| {
            let set = ShardMetric::ALL.map(|metric| format!("{metric:?}")).join(", ");
            ApiError::not_one_of(&name, "shardLevelMetrics", &format!("{set}, ALL"))
        })
    };
    names.into_iter().map(metric).collect()
}
