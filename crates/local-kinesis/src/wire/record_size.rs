//! `UpdateMaxRecordSize`.

use serde::Deserialize;

use super::arguments::{StreamArguments, required, within};
use super::error::ApiError;
use super::{Api, Nothing};
use crate::limits::{RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateMaxRecordSize {
    #[serde(flatten)]
    stream: StreamArguments,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib_max: Option<i64>,
}

pub(super) async fn update(api: &Api, request: UpdateMaxRecordSize) -> Result<Nothing, ApiError> {
    let kib = required(request.record_kib_max, "maxRecordSizeInKiB")?;
    let bytes = record_bytes_max(Some(kib))?;
    let stream = request.stream.name_to_change(api)?;
    api.store.set_record_bytes_max(&stream, bytes).await?;
    api.changed(&stream);
    Ok(Nothing {})
}

/// Bytes of a record, as requests give them.
pub(super) fn record_bytes_max(kib: Option<i64>) -> Result<usize, ApiError> {
    let (default, max) = (RECORD_BYTES_DEFAULT / 1024, RECORD_BYTES_MAX / 1024);
    Ok(within(kib, "maxRecordSizeInKiB", default..=max, default)? * 1024)
}
