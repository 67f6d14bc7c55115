//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`.

use serde::Deserialize;

use super::arguments::{StreamArguments, required};
use super::error::ApiError;
use super::{Api, Nothing};

/// Of one stream: the AWS quota.
const CHANGES_PER_SECOND: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Retention {
    #[serde(flatten)]
    stream: StreamArguments,
    retention_period_hours: Option<i64>,
}

pub(super) async fn increase(api: &Api, request: Retention) -> Result<Nothing, ApiError> {
    let (stream, hours) = request.read(api, "IncreaseStreamRetentionPeriod")?;
    api.store.increase_retention(&stream, hours).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

pub(super) async fn decrease(api: &Api, request: Retention) -> Result<Nothing, ApiError> {
    let (stream, hours) = request.read(api, "DecreaseStreamRetentionPeriod")?;
    api.store.decrease_retention(&stream, hours).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

impl Retention {
    fn read(self, api: &Api, operation: &'static str) -> Result<(String, u32), ApiError> {
        let stream = self.stream.name_to_change(api)?;
        api.take_per_second(operation, &stream, CHANGES_PER_SECOND)?;
        let hours = required(self.retention_period_hours, "retentionPeriodHours")?;
        // What does not fit is out of range either way.
        Ok((stream, u32::try_from(hours.max(0)).unwrap_or(u32::MAX)))
    }
}
