//! The connector `firehose`: `PutRecordBatch` to a Firehose stream, of which only what failed is sent again. Firehose keeps
//! no order, and neither does this.

mod client;

use std::sync::Arc;

use millstream_core::{Duration, OptionError, Roles, Sink};

use super::delivery::{BatchSink, Defaults, Keys, Limits, Outbox};
use super::payloads::Payloads;
use crate::aws::AwsAccess;
use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_source};
use client::Firehose;

pub(crate) const CONNECTOR: Connector =
    Connector { name: "firehose", format: formats::of_table, check, source: no_source, sink, reference: no_reference };

/// What `PutRecordBatch` takes.
const DEFAULTS: Defaults = Defaults {
    batch_records_max: 500,
    batch_bytes_max: 4 << 20,
    record_bytes_max: 1_000 << 10,
    in_flight: 4,
    linger: Duration(1000),
};

/// What the options say.
struct Settings {
    delivery_stream: String,
    access: AwsAccess,
    limits: Limits,
    ending: &'static [u8],
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    read(request)?;
    Payloads::read(request, "")?;
    Ok(Roles { source: None, sink: true, lookup: false })
}

fn sink(request: &Request<'_>, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    let Settings { delivery_stream, access, limits, ending } = read(request)?;
    let context = request.context;
    let firehose = Arc::new(Firehose::new(delivery_stream, access));
    Ok(Box::new(BatchSink {
        what: firehose.what.clone(),
        payloads: Payloads::read(request, query)?,
        keys: Keys::None { next: 0 },
        ending,
        outbox: Outbox::new(firehose, limits, Arc::clone(&context.clock), context.seed),
    }))
}

fn read(request: &Request<'_>) -> Result<Settings, OptionError> {
    let options = request.options;
    let limits = Limits::read(options, &DEFAULTS)?;
    let ending: &[u8] = if options.flag("sink.newline", true)? { b"\n" } else { b"" };
    // Room for the line's end.
    let limits = Limits { record_bytes_max: limits.record_bytes_max - ending.len(), ..limits };
    Ok(Settings {
        delivery_stream: options.get("delivery-stream").unwrap_or(&request.table.name).to_owned(),
        access: AwsAccess::read(options, &request.context.aws, None)?,
        limits,
        ending,
    })
}

#[cfg(test)]
mod tests;
