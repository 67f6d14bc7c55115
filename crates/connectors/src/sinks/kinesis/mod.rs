//! Writing to a stream on AWS, or on a server that speaks its API: `PutRecords`, of which only what failed is sent
//! again.
//!
//! A call has one record of a partition key, because a stream keeps no order within a call of which a part fails. With
//! `sink.aggregation` it has one aggregate with all records of a key that wait (`aggregated`).

mod aggregated;
mod client;
mod shards;

use std::sync::Arc;

use millstream_core::{Clock, Duration, OptionError, Options, Sink};

use super::delivery::{BatchSink, Defaults, Keys, Limits, Outbox, Service};
use super::partition_key::PartitionKeys;
use super::payloads::Payloads;
use crate::aws::AwsAccess;
use crate::registry::Request;
use aggregated::Aggregated;
use client::{Plain, PutClient};

/// What a batch may be; 5 MiB is what servers take that do not know of AWS's newer 10 MiB.
const DEFAULTS: Defaults = Defaults {
    batch_records_max: 500,
    batch_bytes_max: 5 << 20,
    // The most a stream can be set to; where it is set to less, the stream says so.
    record_bytes_max: 10 << 20,
    in_flight: 16,
    linger: Duration(20),
};
/// Keys of one batch of aggregates: they are packed together.
const AGGREGATED_KEYS_MAX: usize = 10_000;
/// Bytes of one batch of aggregates, which their own form makes somewhat larger.
const AGGREGATED_BYTES_MAX: usize = 4 << 20;

/// The stream that is written.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) arn: Option<String>,
    pub(crate) access: AwsAccess,
}

/// What the options say of writing.
struct Settings {
    limits: Limits,
    aggregates: bool,
}

/// Reads every option of writing. Where `kinesis` means the embedded stream, they are known, too.
pub(crate) fn check(request: &Request<'_>) -> Result<(), OptionError> {
    settings(request)?;
    PartitionKeys::read(request)?;
    Payloads::read(request, "")?;
    Ok(())
}

/// A writer of the rows of a query.
pub(crate) fn sink(request: &Request<'_>, target: Target, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    let Settings { limits, aggregates } = settings(request)?;
    let client = PutClient::new(target);
    let what = client.what().to_owned();
    let service: Arc<dyn Service> =
        if aggregates { Arc::new(Aggregated::new(client)) } else { Arc::new(Plain { client }) };
    let context = request.context;
    Ok(Box::new(BatchSink {
        what,
        payloads: Payloads::read(request, query)?,
        keys: Keys::Partition(PartitionKeys::read(request)?),
        ending: b"",
        outbox: Outbox::new(service, limits, Arc::clone(&context.clock), context.seed),
    }))
}

/// A way to put records that are no rows.
pub(crate) fn outbox(target: Target, clock: Arc<dyn Clock>, seed: u64) -> Result<Outbox, OptionError> {
    let limits = Limits::read(&Options::default().reader(), &DEFAULTS)?;
    Ok(Outbox::new(Arc::new(Plain { client: PutClient::new(target) }), limits, clock, seed))
}

fn settings(request: &Request<'_>) -> Result<Settings, OptionError> {
    let limits = Limits::read(request.options, &DEFAULTS)?;
    let aggregates = request.options.flag("sink.aggregation", false)?;
    if !aggregates {
        return Ok(Settings { limits, aggregates });
    }
    let limits = Limits {
        batch_runs_max: AGGREGATED_KEYS_MAX,
        batch_bytes_max: AGGREGATED_BYTES_MAX,
        run_bytes_max: aggregated::RUN_BYTES_MAX,
        ..limits
    };
    Ok(Settings { limits, aggregates })
}

#[cfg(test)]
mod tests;
