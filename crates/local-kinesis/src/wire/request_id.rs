//! Ids of requests, for `x-amzn-RequestId`: unique within a process and unlikely to meet those of another.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderValue;
use md5::{Digest, Md5};

pub(super) struct RequestIds {
    started_ms: i64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(started_ms: i64) -> Self {
        Self { started_ms, next: AtomicU64::new(0) }
    }

    /// In the form of a UUID.
    pub(super) fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let digest: [u8; 16] = Md5::digest(format!("{}/{number}", self.started_ms).as_bytes()).into();
        let hex = format!("{:032x}", u128::from_be_bytes(digest));
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        HeaderValue::from_str(&parts.join("-")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
