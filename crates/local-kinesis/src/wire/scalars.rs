//! The two kinds of values that JSON and CBOR write differently: blobs and points in time.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ciborium::tag::{Captured, Required};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// CBOR's tag of a time since 1970.
const EPOCH_TAG: u64 = 1;

/// Bytes of a request.
pub(super) struct Blob(pub(super) Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(BlobVisitor)
        } else {
            deserializer.deserialize_byte_buf(BlobVisitor)
        }
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes (in base64, if this is JSON)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        STANDARD.decode(text).map(|bytes| Blob(bytes.into())).map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }
}

/// Bytes of a reply.
pub(super) struct BlobOf<'a>(pub(super) &'a [u8]);

impl Serialize for BlobOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

/// A point in time, ms since 1970. In JSON: seconds, with the milliseconds behind the point.
#[derive(Clone, Copy)]
pub(super) struct Timestamp(pub(super) i64);

impl Serialize for Timestamp {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 need 41 of 53 bits")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        } else {
            Required::<_, EPOCH_TAG>(self.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            f64::deserialize(deserializer).map(|seconds| Self(rounded(seconds * 1000.0)))
        } else {
            // The tag may be missing: the member is a time all the same.
            Captured::<Number>::deserialize(deserializer).map(|Captured(_, Number(ms))| Self(ms))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and so far from now either end will do")]
fn rounded(number: f64) -> i64 {
    number.round() as i64
}

/// A whole number, however it was written.
struct Number(i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("milliseconds since 1970")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(rounded(number)))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}
