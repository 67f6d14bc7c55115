//! `DeleteStream`. It is gone at once, with its records.

use serde::Deserialize;

use super::arguments::StreamArguments;
use super::error::ApiError;
use super::{Api, Nothing};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteStream {
    #[serde(flatten)]
    stream: StreamArguments,
    enforce_consumer_deletion: Option<bool>,
}

pub(super) async fn delete(api: &Api, request: DeleteStream) -> Result<Nothing, ApiError> {
    let info = request.stream.find(api)?;
    if !info.consumers.is_empty() && request.enforce_consumer_deletion != Some(true) {
        let count = info.consumers.len();
        let what = format!("Stream {} has {count} registered consumers", info.name);
        return Err(ApiError::in_use(format!("{what}: deregister them, or set EnforceConsumerDeletion")));
    }
    api.store.delete_stream(&info.name).await?;
    Ok(Nothing {})
}
