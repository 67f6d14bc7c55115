//! Tags: labels of a stream, for people and their tools.

use std::collections::BTreeMap;

use crate::limits::{TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_MAX};
use crate::{ControlError, Store, StreamInfo};

impl Store {
    /// Adds tags, and replaces those of the same key.
    pub async fn add_tags(&self, stream: &str, tags: BTreeMap<String, String>) -> Result<(), ControlError> {
        let name = stream.to_owned();
        self.on_writer(move |writer| {
            let stream = writer.stream(&name)?;
            let mut info = StreamInfo::clone(&stream.info);
            info.tags.extend(tags);
            check(&name, &info.tags)?;
            Ok(writer.replace(&stream, info)?)
        })
        .await
    }

    /// Removes tags; those that are not there are not missed.
    pub async fn remove_tags(&self, stream: &str, keys: Vec<String>) -> Result<(), ControlError> {
        let name = stream.to_owned();
        self.on_writer(move |writer| {
            let stream = writer.stream(&name)?;
            let mut info = StreamInfo::clone(&stream.info);
            info.tags.retain(|key, _| !keys.contains(key));
            Ok(writer.replace(&stream, info)?)
        })
        .await
    }
}

/// Whether a stream may have all these tags.
pub(crate) fn check(stream: &str, tags: &BTreeMap<String, String>) -> Result<(), ControlError> {
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
