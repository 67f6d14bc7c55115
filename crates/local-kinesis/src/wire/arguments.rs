//! Reading requests: which stream is meant, and the constraints that many operations share.

use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Deserialize;

use super::error::ApiError;
use super::quotas::Status;
use super::scalars::Timestamp;
use super::{Api, arn};
use crate::{Resource, SequenceNumber, ShardId, StreamInfo, is_stream_name};

/// A member that must be there.
pub(super) fn required<T>(value: Option<T>, member: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::missing(member))
}

/// A number within bounds, or what it is when it is not given.
pub(super) fn within(
    value: Option<i64>,
    member: &str,
    bounds: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, ApiError> {
    let Some(value) = value else { return Ok(default) };
    let found = usize::try_from(value).ok().filter(|value| bounds.contains(value));
    let rule = || match usize::try_from(value) {
        Ok(value) if value > *bounds.end() => format!("Member must have value less than or equal to {}", bounds.end()),
        _ => format!("Member must have value greater than or equal to {}", bounds.start()),
    };
    found.ok_or_else(|| ApiError::constraint(&value.to_string(), member, &rule()))
}

/// Which stream is meant: by its name, its ARN, or both where they agree.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamArguments {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    /// AWS has reserved it for times to come.
    stream_id: Option<String>,
}

impl StreamArguments {
    /// Whether neither name nor ARN is given.
    pub(super) fn is_empty(&self) -> bool {
        self.stream_name.is_none() && self.stream_arn.is_none()
    }

    pub(super) fn name(&self) -> Result<String, ApiError> {
        if let Some(id) = &self.stream_id {
            check_stream_id(id)?;
        }
        let by_arn = self.stream_arn.as_deref().map(arn::stream_in).transpose()?;
        let name = match (self.stream_name.as_deref(), by_arn) {
            (Some(name), Some(by_arn)) if name != by_arn => {
                return Err(ApiError::argument(format!("StreamName is {name}, but StreamARN is that of {by_arn}")));
            }
            (Some(name), _) => name,
            (None, Some(by_arn)) => by_arn,
            (None, None) => return Err(ApiError::missing("streamName")),
        };
        check_name(name, "streamName")?;
        Ok(name.to_owned())
    }

    /// As `name`, where AWS takes an ARN alone.
    pub(super) fn name_by_arn(&self) -> Result<String, ApiError> {
        if self.stream_arn.is_none() {
            return Err(ApiError::missing("streamARN"));
        }
        self.name()
    }

    /// As `name`; fails while an earlier change is under way.
    pub(super) fn name_to_change(&self, api: &Api) -> Result<String, ApiError> {
        let name = self.name()?;
        match api.store.describe(&name).map(|info| api.status(&info)) {
            None | Some(Status::Active) => Ok(name),
            Some(status) => Err(ApiError::not_active(&name, status)),
        }
    }

    /// The stream, if there is one.
    pub(super) fn find(&self, api: &Api) -> Result<Arc<StreamInfo>, ApiError> {
        find_stream(api, &self.name()?)
    }

    /// The stream, if there is one that takes and gives records.
    pub(super) fn find_ready(&self, api: &Api) -> Result<Arc<StreamInfo>, ApiError> {
        let info = self.find(api)?;
        // AWS knows nothing of a stream's records before it is there.
        if api.status(&info) == Status::Creating { Err(ApiError::no_stream(&info.name)) } else { Ok(info) }
    }
}

/// Which stream or consumer is meant.
#[derive(Deserialize)]
pub(super) struct ResourceArguments {
    #[serde(rename = "ResourceARN")]
    arn: Option<String>,
    #[serde(rename = "StreamId")]
    stream_id: Option<String>,
}

impl ResourceArguments {
    pub(super) fn read(&self) -> Result<Resource, ApiError> {
        if let Some(id) = &self.stream_id {
            check_stream_id(id)?;
        }
        arn::resource_in(required(self.arn.as_deref(), "resourceARN")?)
    }
}

/// The stream of a name, if there is one.
pub(super) fn find_stream(api: &Api, name: &str) -> Result<Arc<StreamInfo>, ApiError> {
    api.store.describe(name).ok_or_else(|| ApiError::no_stream(name))
}

/// A natural number, if it is given.
pub(super) fn within_u32(value: Option<i64>, member: &str) -> Result<Option<u32>, ApiError> {
    let read = |value: i64| {
        let rule = || ApiError::constraint(&value.to_string(), member, "Member must be a natural number of 32 bits");
        u32::try_from(value).map_err(|_| rule())
    };
    value.map(read).transpose()
}

/// The name of a stream or consumer.
pub(super) fn check_name(name: &str, member: &str) -> Result<(), ApiError> {
    if is_stream_name(name) {
        return Ok(());
    }
    let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have 1 to 128 characters";
    Err(ApiError::constraint(name, member, rule))
}

/// Whether a stream is the one that was created then, to the second: there may have been others of its name.
pub(super) fn check_created(info: &StreamInfo, created: Option<Timestamp>) -> Result<(), ApiError> {
    let seconds = |ms: i64| ms.div_euclid(1000);
    match created {
        Some(Timestamp(ms)) if seconds(ms) != seconds(info.created_ms) => Err(ApiError::no_stream(&info.name)),
        _ => Ok(()),
    }
}

/// Reserved, and so of no effect; but what cannot be one is a mistake.
pub(super) fn check_stream_id(id: &str) -> Result<(), ApiError> {
    let is_part = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match id.split_once('-') {
        Some((first, second)) if is_part(first, 20) && is_part(second, 3) => Ok(()),
        _ => {
            let rule = "Member must satisfy regular expression pattern: [a-z0-9]{20}-[a-z0-9]{3}";
            Err(ApiError::constraint(id, "streamId", rule))
        }
    }
}

/// Ends a request that was only to be checked.
pub(super) fn check_dry_run(dry_run: Option<bool>) -> Result<(), ApiError> {
    if dry_run == Some(true) { Err(ApiError::dry_run()) } else { Ok(()) }
}

/// A shard's name. Text that names none names a shard that does not exist.
pub(super) fn shard_id(text: &str) -> Result<ShardId, ApiError> {
    text.parse().map_err(|error| ApiError::not_found(format!("Could not find shard {text}: {error}")))
}

/// A sequence number that this store may have given out.
pub(super) fn sequence_number(text: &str, member: &str) -> Result<SequenceNumber, ApiError> {
    text.parse().map_err(|error| ApiError::argument(format!("{member} {text} is invalid: {error}")))
}
