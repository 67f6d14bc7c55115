//! The two ways to write requests and replies: JSON 1.1, and CBOR as AWS's SDKs for Java speak it.
//!
//! Both are serde's: what differs between them (blobs, times) asks the format whether people are to read it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";

/// How a request came, and how its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Blobs in base64, times in seconds with a fraction.
    Json,
    /// Blobs as they are, times in milliseconds under tag 1.
    Cbor,
}

impl Format {
    /// The one that a content type names; parameters of it do not matter.
    pub(super) fn of_content_type(content_type: &str) -> Result<Self, ApiError> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            JSON | "application/json" => Ok(Self::Json),
            CBOR => Ok(Self::Cbor),
            other => Err(ApiError::media_type(format!("the content type is `{other}`: send {JSON} or {CBOR}"))),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Cbor => CBOR,
        }
    }

    /// A request's members; nothing is a request without any.
    pub(super) fn parse<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, ApiError> {
        let read = match self {
            Self::Json => serde_json::from_slice(or(body, b"{}")).map_err(|error| error.to_string()),
            Self::Cbor => ciborium::from_reader(or(body, EMPTY_CBOR_MAP)).map_err(|error| error.to_string()),
        };
        read.map_err(|error| ApiError::serialization(format!("the request cannot be read: {error}")))
    }

    pub(super) fn write(self, reply: &impl Serialize) -> Result<Vec<u8>, ApiError> {
        let written = match self {
            Self::Json => serde_json::to_vec(reply).map_err(|error| error.to_string()),
            Self::Cbor => {
                let mut bytes = Vec::new();
                ciborium::into_writer(reply, &mut bytes).map(|()| bytes).map_err(|error| error.to_string())
            }
        };
        written.map_err(|error| ApiError::internal(format!("the reply could not be written: {error}")))
    }
}

const EMPTY_CBOR_MAP: &[u8] = &[0xa0];

fn or<'a>(body: &'a [u8], if_empty: &'a [u8]) -> &'a [u8] {
    if body.is_empty() { if_empty } else { body }
}
