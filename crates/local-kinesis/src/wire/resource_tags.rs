//! `TagResource`, `UntagResource` and `ListTagsForResource`, of streams and consumers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{ResourceArguments, find_stream, required};
use super::error::ApiError;
use super::shapes::Tag;
use super::{Api, Nothing, consumers};
use crate::Resource;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResource {
    #[serde(flatten)]
    resource: ResourceArguments,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResource {
    #[serde(flatten)]
    resource: ResourceArguments,
    tag_keys: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    tags: Vec<Tag>,
}

pub(super) async fn tag(api: &Api, request: TagResource) -> Result<Nothing, ApiError> {
    api.store.add_tags(request.resource.read()?, required(request.tags, "tags")?).await?;
    Ok(Nothing {})
}

pub(super) async fn untag(api: &Api, request: UntagResource) -> Result<Nothing, ApiError> {
    api.store.remove_tags(request.resource.read()?, required(request.tag_keys, "tagKeys")?).await?;
    Ok(Nothing {})
}

pub(super) fn list(api: &Api, request: ResourceArguments) -> Result<Listed, ApiError> {
    let tags = match request.read()? {
        Resource::Stream(stream) => find_stream(api, &stream)?.tags.clone(),
        Resource::Consumer(consumer) => consumers::find(api, &consumer)?.tags,
    };
    Ok(Listed { tags: tags.into_iter().map(Tag::from).collect() })
}
