//! `AddTagsToStream`, `RemoveTagsFromStream` and `ListTagsForStream`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nothing;
use super::arguments::{required, stream, stream_name, within};
use super::error::ApiError;
use crate::Store;
use crate::limits::TAGS_MAX;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddTags {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemoveTags {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTags {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

pub(super) async fn add(store: &Store, request: AddTags) -> Result<Nothing, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    store.add_tags(&stream, required(request.tags, "tags")?).await?;
    Ok(Nothing {})
}

pub(super) async fn remove(store: &Store, request: RemoveTags) -> Result<Nothing, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    store.remove_tags(&stream, required(request.tag_keys, "tagKeys")?).await?;
    Ok(Nothing {})
}

pub(super) fn list(store: &Store, request: ListTags) -> Result<Listed, ApiError> {
    let limit = within(request.limit, "limit", 1..=TAGS_MAX, TAGS_MAX)?;
    let info = stream(store, request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let after = request.exclusive_start_tag_key;
    let mut left = info.tags.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let tags = left.by_ref().take(limit).map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
    let has_more_tags = left.next().is_some();
    Ok(Listed { tags, has_more_tags })
}
