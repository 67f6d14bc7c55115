//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`.

use serde::Deserialize;

use super::Nothing;
use super::arguments::{required, stream_name};
use super::error::ApiError;
use crate::Store;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Retention {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    retention_period_hours: Option<i64>,
}

pub(super) async fn increase(store: &Store, request: Retention) -> Result<Nothing, ApiError> {
    let (stream, hours) = request.read()?;
    store.increase_retention(&stream, hours).await?;
    Ok(Nothing {})
}

pub(super) async fn decrease(store: &Store, request: Retention) -> Result<Nothing, ApiError> {
    let (stream, hours) = request.read()?;
    store.decrease_retention(&stream, hours).await?;
    Ok(Nothing {})
}

impl Retention {
    fn read(self) -> Result<(String, u32), ApiError> {
        let stream = stream_name(self.stream_name.as_deref(), self.stream_arn.as_deref())?;
        let hours = required(self.retention_period_hours, "retentionPeriodHours")?;
        // What does not fit is out of range either way.
        Ok((stream, u32::try_from(hours.max(0)).unwrap_or(u32::MAX)))
    }
}
