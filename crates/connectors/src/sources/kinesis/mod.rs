//! The connector `kinesis`: Amazon Kinesis Data Streams, or a server that speaks its API.
//!
//! Without any AWS settings (no region, endpoint or ARN in the table, none in the context) and with an embedded stream
//! at hand, `kinesis` means the embedded stream: the same script runs on a laptop and on AWS.
//!
//! `reading` opens shards, parents before children; `shard` is one shard's reading, which fetches by `polling` or by
//! `fan_out`; `fault` says what is tried again.

mod client;
mod consumer;
mod fan_out;
mod fault;
mod listing;
mod pace;
mod polling;
mod reading;
mod settings;
mod shard;
mod shards;
mod starting;

use std::sync::Arc;

use millstream_core::{Boundedness, OptionError, Roles, Sink, Source, SourceError, Stopped};

use super::position::InitPosition;
use super::stream::{self, EmbeddedStream};
use crate::aws::AwsAccess;
use crate::leases::{KinesisLeases, LeaseOptions};
use crate::registry::{Connector, Request, no_reference};
use crate::{formats, sinks};
pub(crate) use listing::Shards;
use reading::KinesisSource;
pub(crate) use settings::Settings;
use settings::{Consumer, Polling, parse_arn};

pub(crate) const CONNECTOR: Connector =
    Connector { name: "kinesis", format: formats::of_table, check, source, sink, reference: no_reference };

/// Where a table's records are.
enum Place {
    Aws(Box<Settings>),
    Embedded(EmbeddedStream),
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    match read(request)? {
        Place::Embedded(_) => {
            sinks::kinesis::check(request)?;
            stream::check_embedded(request)
        }
        Place::Aws(_) => {
            let format = formats::of_table(request.options)?;
            (format.decoder)(request.table, request.options)?;
            sinks::kinesis::check(request)?;
            Ok(Roles { source: Some(Boundedness::Unbounded), sink: true, lookup: false })
        }
    }
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    match read(request)? {
        Place::Embedded(embedded) => stream::source_of(request, embedded),
        Place::Aws(settings) => Ok(Box::new(KinesisSource {
            settings: *settings,
            clock: Arc::clone(&request.context.clock),
            seed: request.context.seed,
        })),
    }
}

fn sink(request: &Request<'_>, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    match read(request)? {
        Place::Embedded(embedded) => sinks::stream::sink(request, embedded, query),
        Place::Aws(settings) => {
            let Settings { name, arn, access, .. } = *settings;
            sinks::kinesis::sink(request, sinks::kinesis::Target { name, arn, access }, query)
        }
    }
}

fn read(request: &Request<'_>) -> Result<Place, OptionError> {
    let (options, context) = (request.options, request.context);
    let arn = options.get("stream.arn");
    let (arn_region, arn_name) = match arn {
        Some(arn) => parse_arn(arn).map(|(region, name)| (Some(region), Some(name)))?,
        None => (None, None),
    };
    let name = options.get("stream").or(arn_name).unwrap_or(&request.table.name);
    let (region, endpoint) = (options.get("aws.region"), options.get("aws.endpoint"));
    let access = AwsAccess::read(options, &context.aws, arn_region)?;
    let (polling, consumer) = (Polling::read(options)?, Consumer::read(options)?);
    let leases = LeaseOptions::read(options)?;
    let embedded = EmbeddedStream::read(name, options, InitPosition::Latest)?;
    let is_configured = arn.or(region).or(endpoint).is_some() || context.aws.is_configured();
    if context.replay.is_some() || (!is_configured && context.store.is_some()) {
        if leases.is_some() && context.replay.is_none() {
            let message = "needs a stream of AWS, or an 'aws.endpoint': the embedded stream is this process's own";
            return Err(OptionError::new("source.lease.table", message));
        }
        return Ok(Place::Embedded(embedded));
    }
    if !is_configured {
        let message = "is required: neither a region nor an endpoint is configured, and there is no embedded stream";
        return Err(OptionError::new("aws.region", message));
    }
    Ok(Place::Aws(Box::new(Settings {
        name: embedded.name,
        arn: arn.map(ToOwned::to_owned),
        access,
        position: embedded.position,
        polling,
        consumer,
        leases,
    })))
}

/// The embedded stream that a table means, if it means one.
pub(crate) fn embedded(request: &Request<'_>) -> Result<Option<EmbeddedStream>, OptionError> {
    match read(request)? {
        Place::Embedded(stream) => Ok(Some(stream)),
        Place::Aws(_) => Ok(None),
    }
}

/// The leases by which processes share a table's stream, if they do.
pub(crate) fn leases(request: &Request<'_>) -> Result<Option<KinesisLeases>, OptionError> {
    let Place::Aws(settings) = read(request)? else { return Ok(None) };
    let leases = settings.leases.clone().map(|options| KinesisLeases {
        endpoint: options.endpoint.clone().or_else(|| request.context.aws.endpoint_url.clone()),
        options,
        settings: *settings,
        clock: Arc::clone(&request.context.clock),
        seed: request.context.seed,
    });
    Ok(leases)
}

/// Why reading ended.
enum Ended {
    Stopped,
    Failed(SourceError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<SourceError> for Ended {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests;
