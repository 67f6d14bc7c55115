//! `DeleteStream`. It is gone at once, with its records.

use serde::Deserialize;

use super::Nothing;
use super::arguments::stream_name;
use super::error::ApiError;
use crate::Store;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteStream {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

pub(super) async fn delete(store: &Store, request: DeleteStream) -> Result<Nothing, ApiError> {
    store.delete_stream(&stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?).await?;
    Ok(Nothing {})
}
