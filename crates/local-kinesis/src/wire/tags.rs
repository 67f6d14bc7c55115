//! `AddTagsToStream`, `RemoveTagsFromStream` and `ListTagsForStream`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, required, within};
use super::error::ApiError;
use super::shapes::Tag;
use super::{Api, Nothing};
use crate::Resource;
use crate::limits::TAGS_MAX;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddTags {
    #[serde(flatten)]
    stream: StreamArguments,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemoveTags {
    #[serde(flatten)]
    stream: StreamArguments,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTags {
    #[serde(flatten)]
    stream: StreamArguments,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

pub(super) async fn add(api: &Api, request: AddTags) -> Result<Nothing, ApiError> {
    let stream = request.stream.name()?;
    api.store.add_tags(Resource::Stream(stream), required(request.tags, "tags")?).await?;
    Ok(Nothing {})
}

pub(super) async fn remove(api: &Api, request: RemoveTags) -> Result<Nothing, ApiError> {
    let stream = request.stream.name()?;
    api.store.remove_tags(Resource::Stream(stream), required(request.tag_keys, "tagKeys")?).await?;
    Ok(Nothing {})
}

pub(super) fn list(api: &Api, request: ListTags) -> Result<Listed, ApiError> {
    let limit = within(request.limit, "limit", 1..=TAGS_MAX, TAGS_MAX)?;
    let info = request.stream.find(api)?;
    let after = request.exclusive_start_tag_key;
    let mut left = info.tags.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let tags = left.by_ref().take(limit).map(|(key, value)| Tag::from((key.clone(), value.clone()))).collect();
    let has_more_tags = left.next().is_some();
    Ok(Listed { tags, has_more_tags })
}
