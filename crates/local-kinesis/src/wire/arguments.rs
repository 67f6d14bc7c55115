//! Reading requests: JSON, blobs, times, and the constraints that many operations share.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use crate::{SequenceNumber, ShardId, Store, StreamInfo, is_stream_name};

/// A request's members.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| ApiError::serialization(format!("the request cannot be read: {error}")))
}

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

/// The name of the stream that is meant: `StreamName`, or the end of `StreamARN`.
pub(super) fn stream_name(name: Option<&str>, arn: Option<&str>) -> Result<String, ApiError> {
    let by_arn = arn.map(name_in_arn).transpose()?;
    let name = match (name, by_arn) {
        (Some(name), Some(by_arn)) if name != by_arn => {
            return Err(ApiError::argument(format!("StreamName is {name}, but StreamARN is that of {by_arn}")));
        }
        (Some(name), _) => name,
        (None, Some(by_arn)) => by_arn,
        (None, None) => return Err(ApiError::missing("streamName")),
    };
    if !is_stream_name(name) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have 1 to 128 characters";
        return Err(ApiError::constraint(name, "streamName", rule));
    }
    Ok(name.to_owned())
}

/// Region and account may be any: there is one of each here.
fn name_in_arn(arn: &str) -> Result<&str, ApiError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "kinesis", _, _, resource] => resource.strip_prefix("stream/"),
        _ => None,
    }
    .ok_or_else(|| {
        let rule = "Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+";
        ApiError::constraint(arn, "streamARN", rule)
    })
}

/// The stream that is meant, if there is one.
pub(super) fn stream(store: &Store, name: Option<&str>, arn: Option<&str>) -> Result<Arc<StreamInfo>, ApiError> {
    let name = stream_name(name, arn)?;
    store.describe(&name).ok_or_else(|| ApiError::no_stream(&name))
}

/// A shard's name. Text that names none names a shard that does not exist.
pub(super) fn shard_id(text: &str) -> Result<ShardId, ApiError> {
    text.parse().map_err(|error| ApiError::not_found(format!("Could not find shard {text}: {error}")))
}

/// A sequence number that this store may have given out.
pub(super) fn sequence_number(text: &str, member: &str) -> Result<SequenceNumber, ApiError> {
    text.parse().map_err(|error| ApiError::argument(format!("{member} {text} is invalid: {error}")))
}

/// Seconds since 1970, with a fraction.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct EpochSeconds(f64);

impl EpochSeconds {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and so far from now either end will do")]
    pub(super) fn to_ms(self) -> i64 {
        (self.0 * 1000.0).round() as i64
    }
}

/// Bytes in base64.
pub(super) struct Blob(pub(super) Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes in base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
                STANDARD.decode(text).map(|bytes| Blob(bytes.into())).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64)
    }
}
