//! `PutResourcePolicy`, `GetResourcePolicy` and `DeleteResourcePolicy`, of streams and consumers. A policy is kept as it
//! was written; it allows and denies nothing here.

use serde::{Deserialize, Serialize};

use super::arguments::{ResourceArguments, find_stream, required};
use super::error::ApiError;
use super::{Api, Nothing, consumers};
use crate::Resource;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    #[serde(flatten)]
    resource: ResourceArguments,
    policy: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Got {
    policy: String,
}

pub(super) async fn put(api: &Api, request: Put) -> Result<Nothing, ApiError> {
    let policy = required(request.policy, "policy")?;
    // A policy is an object; what is in it is AWS's.
    if let Err(error) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&policy) {
        return Err(ApiError::argument(format!("the Policy is no JSON object: {error}")));
    }
    api.store.set_policy(request.resource.read()?, Some(policy)).await?;
    Ok(Nothing {})
}

pub(super) fn get(api: &Api, request: ResourceArguments) -> Result<Got, ApiError> {
    Ok(Got { policy: find(api, &request.read()?)?.unwrap_or_default() })
}

pub(super) async fn delete(api: &Api, request: ResourceArguments) -> Result<Nothing, ApiError> {
    let resource = request.read()?;
    if find(api, &resource)?.is_none() {
        return Err(ApiError::not_found("the resource has no policy"));
    }
    api.store.set_policy(resource, None).await?;
    Ok(Nothing {})
}

fn find(api: &Api, resource: &Resource) -> Result<Option<String>, ApiError> {
    Ok(match resource {
        Resource::Stream(stream) => find_stream(api, stream)?.settings.policy.clone(),
        Resource::Consumer(consumer) => consumers::find(api, consumer)?.policy,
    })
}
