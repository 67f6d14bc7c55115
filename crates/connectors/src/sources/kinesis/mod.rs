//! The connector `kinesis`: Amazon Kinesis Data Streams, or a server that speaks its API, read by polling.
//!
//! Without any AWS settings (no region, endpoint or ARN in the table, none in the context) and with an embedded stream
//! at hand, `kinesis` means the embedded stream: the same script runs on a laptop and on AWS.
//!
//! A table is read shard by shard, parents before children; see `shard` for one shard's loop and `aws::faults` for what is
//! tried again.

mod client;
mod listing;
mod shard;

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millstream_core::{
    Boundedness, BoxFuture, Clock, Duration, Offsets, OptionError, Resume, Roles, ShardId, Sink, Source, SourceError,
    SourceEvent, SourceOutput, Stopped,
};

use super::lineage::{ANEW, Lineage, Listed, Ready, Start, check_resumed};
use super::position::InitPosition;
use super::stream::{self, EmbeddedStream};
use crate::aws::AwsAccess;
use crate::leases::{KinesisLeases, LeaseOptions};
use crate::registry::{Connector, Request, no_reference, no_sink};
use crate::{formats, sinks};
use client::StreamClient;
pub(crate) use listing::Shards;
use shard::{Drained, ShardReader};

pub(crate) const CONNECTOR: Connector =
    Connector { name: "kinesis", format: formats::of_table, check, source, sink, reference: no_reference };

/// `GetRecords` takes five calls a second of all readers of a shard together.
const READ_INTERVAL_MIN: Duration = Duration(200);

/// What the options say of a stream on AWS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(super) name: String,
    pub(super) arn: Option<String>,
    pub(crate) access: AwsAccess,
    pub(crate) position: InitPosition,
    /// At least so long lies between two reads of a shard.
    pub(super) read_interval: Duration,
    /// How processes share it.
    pub(super) leases: Option<LeaseOptions>,
}

/// Where a table's records are.
enum Place {
    Aws(Box<Settings>),
    Embedded(EmbeddedStream),
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    match read(request)? {
        Place::Embedded(_) => stream::check_embedded(request),
        Place::Aws(_) => {
            let format = formats::of_table(request.options)?;
            (format.decoder)(request.table, request.options)?;
            Ok(Roles { source: Some(Boundedness::Unbounded), sink: false, lookup: false })
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
        Place::Aws(_) => no_sink(request, query),
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
    if options.one_of("source.reader.type", &["POLLING", "EFO"])? == Some("EFO") {
        let message = "'EFO' (enhanced fan-out) is not available yet; use 'POLLING'";
        return Err(OptionError::new("source.reader.type", message));
    }
    let leases = LeaseOptions::read(options)?;
    let read_interval = options.duration("scan.shard.getrecords.interval")?.unwrap_or(READ_INTERVAL_MIN);
    let access = AwsAccess::read(options, &context.aws, arn_region)?;
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
        read_interval: read_interval.max(READ_INTERVAL_MIN),
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

/// A stream that no table names.
pub(crate) fn settings_of(stream: &str, access: AwsAccess) -> Settings {
    Settings {
        name: stream.to_owned(),
        arn: None,
        access,
        position: InitPosition::TrimHorizon,
        read_interval: READ_INTERVAL_MIN,
        leases: None,
    }
}

/// Region and name of `arn:aws:kinesis:eu-west-1:123456789012:stream/name`.
fn parse_arn(arn: &str) -> Result<(&str, &str), OptionError> {
    let mut parts = arn.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (head, _partition, service, region, _account, resource) = (part(), part(), part(), part(), part(), part());
    match resource.strip_prefix("stream/") {
        Some(name) if head == "arn" && service == "kinesis" && !region.is_empty() && !name.is_empty() => {
            Ok((region, name))
        }
        _ => {
            let message =
                format!("`{arn}` is no ARN of a stream; expected arn:aws:kinesis:<region>:<account>:stream/<name>");
            Err(OptionError::new("stream.arn", message))
        }
    }
}

/// Why reading ended.
pub(super) enum Ended {
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

/// Reads all shards of one stream.
struct KinesisSource {
    settings: Settings,
    clock: Arc<dyn Clock>,
    seed: u64,
}

impl Source for KinesisSource {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let position = self.settings.position.of(&resume);
            let source = Self { settings: Settings { position, ..self.settings }, ..*self };
            let read = match &resume.only {
                None => source.read_all(&resume.offsets, output).await,
                Some(shard) => source.read_one(shard, &resume.offsets, output).await,
            };
            match read {
                Ok(()) | Err(Ended::Stopped) => Ok(()),
                Err(Ended::Failed(error)) => Err(error),
            }
        })
    }
}

impl KinesisSource {
    async fn read_all(&self, resume: &Offsets, output: &dyn SourceOutput) -> Result<(), Ended> {
        // Before the listing: what arrives meanwhile is not to be missed.
        let started = self.clock.now();
        let client = StreamClient::connect(&self.settings, Arc::clone(&self.clock), self.seed).await;
        let shards = client.list_shards().await?;
        check_starts(&shards, resume)?;
        let listed = self.listed(shards);
        check_resumed(&listed, resume)?;
        let mut lineage = Lineage::new(&listed, resume);
        let mut readers = FuturesUnordered::new();
        loop {
            for ready in lineage.take_ready() {
                let (shard, parents) = (ready.shard.clone(), ready.parents.clone());
                output.send(SourceEvent::ShardOpened { shard, parents }).await?;
                readers.push(ShardReader::new(&client, &self.settings, ready, started).read(output));
            }
            for shard in lineage.take_closed() {
                output.send(SourceEvent::ShardClosed { shard }).await?;
            }
            let Some(drained) = readers.next().await else { return Ok(()) };
            let Drained { shard, children } = drained?;
            // Servers that do not tell the children with the last records list them.
            let children = if children.is_empty() { client.children(&shard).await? } else { children };
            for (child, parents) in children {
                lineage.add_child(child, parents);
            }
            lineage.drained(&shard);
        }
    }

    /// Reads one shard to its end. One that has expired has ended.
    async fn read_one(&self, only: &ShardId, resume: &Offsets, output: &dyn SourceOutput) -> Result<(), Ended> {
        let started = self.clock.now();
        let client = StreamClient::connect(&self.settings, Arc::clone(&self.clock), self.seed).await;
        let shards = client.list_shards().await?;
        check_starts(&shards, resume)?;
        let start = resume.get(only).map_or(Start::Configured, |offset| Start::After(offset.clone()));
        let listed = shards.into_iter().find(|listed| listed.id == *only);
        let ready =
            Ready { shard: only.clone(), parents: listed.map_or_else(Vec::new, |listed| listed.parents), start };
        let (shard, parents) = (only.clone(), ready.parents.clone());
        output.send(SourceEvent::ShardOpened { shard, parents }).await?;
        ShardReader::new(&client, &self.settings, ready, started).read(output).await?;
        Ok(output.send(SourceEvent::ShardClosed { shard: only.clone() }).await?)
    }

    fn listed(&self, shards: Vec<client::ListedShard>) -> Vec<Listed> {
        // AT_TIMESTAMP starts in all shards: those that end before it have nothing to read.
        let is_start = |is_open: bool| is_open || self.settings.position != InitPosition::Latest;
        shards
            .into_iter()
            .map(|shard| Listed { is_start: is_start(shard.is_open), shard: shard.id, parents: shard.parents })
            .collect()
    }
}

/// Fails where a shard begins above the offset it is to be resumed from: then it is one of another stream that has the
/// name of the former.
fn check_starts(shards: &[client::ListedShard], resume: &Offsets) -> Result<(), SourceError> {
    for shard in shards {
        if let (Some(offset), Some(starting)) = (resume.get(&shard.id), &shard.starting)
            && offset < starting
        {
            let reason = format!("the shard begins at {starting}: the stream was made anew; {ANEW}");
            return Err(SourceError::Position { shard: shard.id.clone(), offset: offset.clone(), reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
