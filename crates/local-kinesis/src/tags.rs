//! Tags: labels of streams and consumers, for people and their tools.

use std::collections::BTreeMap;

use crate::limits::{TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_MAX};
use crate::{ControlError, Resource, Store, StreamInfo};

type Tags = BTreeMap<String, String>;

impl Store {
    /// Adds tags, and replaces those of the same key.
    pub async fn add_tags(&self, resource: Resource, tags: Tags) -> Result<(), ControlError> {
        let stream = resource.stream().to_owned();
        self.change_stream(&stream, move |info| {
            let name = info.name.clone();
            let kept = tags_of(info, &resource)?;
            kept.extend(tags);
            check(&name, kept)
        })
        .await
    }

    /// Removes tags; those that are not there are not missed.
    pub async fn remove_tags(&self, resource: Resource, keys: Vec<String>) -> Result<(), ControlError> {
        let stream = resource.stream().to_owned();
        self.change_stream(&stream, move |info| {
            tags_of(info, &resource)?.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }
}

fn tags_of<'a>(info: &'a mut StreamInfo, resource: &Resource) -> Result<&'a mut Tags, ControlError> {
    match resource {
        Resource::Stream(_) => Ok(&mut info.tags),
        Resource::Consumer(consumer) => Ok(&mut info.consumer_mut(consumer)?.tags),
    }
}

/// Whether a stream, or a consumer of it, may have all these tags.
pub(crate) fn check(stream: &str, tags: &Tags) -> Result<(), ControlError> {
    if tags.len() > TAGS_MAX {
        let (stream, wanted) = (stream.to_owned(), tags.len());
        return Err(ControlError::Limit { stream, what: "tags", wanted, limit: TAGS_MAX });
    }
    for (key, value) in tags {
        if !(1..=TAG_KEY_CHARACTERS_MAX).contains(&key.chars().count()) {
            let rule = format!("1 to {TAG_KEY_CHARACTERS_MAX} characters");
            return Err(ControlError::Invalid(format!("the tag key `{key}` must have {rule}")));
        }
        if value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            let rule = format!("at most {TAG_VALUE_CHARACTERS_MAX} characters");
            return Err(ControlError::Invalid(format!("the value of tag `{key}` must have {rule}")));
        }
    }
    Ok(())
}
