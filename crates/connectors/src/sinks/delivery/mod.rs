//! Delivery to services that take records in batches and answer for each: at least once, in order for each key.
//!
//! ```text
//! rows ─► records ─► outbox: queues by key ─► batches ─► Service ─► what failed goes back to the front of its queue
//! ```
//!
//! One loop ([`Outbox`]) and one sink ([`BatchSink`]) serve all such services; a [`Service`] knows one API.

mod options;
mod outbox;
mod sink;

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::BoxFuture;

use crate::aws::faults::Fault;

pub(crate) use options::{Defaults, Limits};
pub(crate) use outbox::Outbox;
pub(crate) use sink::{BatchSink, Keys};

/// A row on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Records of one key are stored in order.
    pub(crate) key: Arc<str>,
    pub(crate) data: Bytes,
}

/// Records of one key, in order, that are stored together or not at all; where the service has no such thing, one.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) key: Arc<str>,
    pub(crate) records: Vec<Record>,
    /// How often they have failed.
    pub(crate) tries: u32,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    /// It is to be sent again, for this reason.
    Failed(String),
}

/// A service that takes records in batches.
pub(crate) trait Service: Send + Sync {
    /// For messages: ``Kinesis stream `s` ``.
    fn what(&self) -> &str;

    /// What a record counts of a batch's bytes.
    fn bytes(&self, record: &Record) -> usize;

    /// Sends a batch; no two of its runs have the same key. The outcomes are those of the runs, in their order. After
    /// an error, whether any was stored is not known.
    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>>;
}

#[cfg(test)]
mod tests;
