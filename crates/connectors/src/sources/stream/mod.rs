//! The connector `stream`: the embedded stream, read in the process. No HTTP, no polling, no copy but into the chunk.
//!
//! A stream that does not exist is created on first use, with `shards` shards, so that `CREATE TABLE` and a POST of
//! records are all it takes. Nothing is waited for while a shard is behind; at its tip its reader sleeps until records
//! are committed, and says about once a second that it is still at the tip.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use millstream_core::{
    Boundedness, BoxFuture, Clock, Duration, EventTime, Offset, OptionError, OptionReader, Resume, Roles, ShardId,
    Sink, Source, SourceError, SourceEvent, SourceOutput, Stopped,
};
use millstream_local_kinesis::limits::OPEN_SHARDS_MAX;
use millstream_local_kinesis::{
    ControlError, NewStream, NotASequenceNumber, Page, Position, ReadError, ShardInfo, Store, StreamInfo,
};

use crate::formats;
use crate::registry::{Connector, Request, no_reference};
use crate::sinks;
use crate::sources::chunks::ChunkBuilder;
use crate::sources::lineage::{ANEW, Lineage, Listed, Ready, Start, check_resumed};
use crate::sources::position::InitPosition;
use crate::sources::replay::ReplaySource;

pub(crate) const CONNECTOR: Connector =
    Connector { name: "stream", format: formats::of_table, check, source, sink, reference: no_reference };

/// Records of one read: enough to amortise a chunk.
const READ_RECORDS_MAX: usize = 8192;
/// Bytes of one read.
const READ_BYTES_MAX: usize = 1 << 20;
/// How often a shard at its tip says so while nothing arrives.
const TIP_EVERY: Duration = Duration(1000);

/// What the options say of an embedded stream.
#[derive(Clone)]
pub(crate) struct EmbeddedStream {
    pub(crate) name: String,
    pub(crate) position: InitPosition,
    pub(crate) shards: u32,
}

impl EmbeddedStream {
    /// Reads the options; `default` is where reading starts.
    pub(crate) fn read(name: &str, options: &OptionReader<'_>, default: InitPosition) -> Result<Self, OptionError> {
        if !millstream_local_kinesis::is_stream_name(name) {
            let message = format!("`{name}` is no stream name; use up to 128 letters, digits, `_`, `.` and `-`");
            return Err(OptionError::new("stream", message));
        }
        let shards = options.parse("shards", "a number of shards")?.unwrap_or(1);
        if shards == 0 || shards as usize > OPEN_SHARDS_MAX {
            return Err(OptionError::new("shards", format!("`{shards}` given, expected 1 to {OPEN_SHARDS_MAX}")));
        }
        Ok(Self { name: name.to_owned(), position: InitPosition::read(options, default)?, shards })
    }

    /// Makes the stream if there is none.
    pub(crate) async fn ensure(&self, store: &Store) -> Result<Arc<StreamInfo>, ControlError> {
        if let Some(info) = store.describe(&self.name) {
            return Ok(info);
        }
        match (store.create_stream(NewStream::new(self.name.as_str(), self.shards)).await, store.describe(&self.name)) {
            (Ok(info), _) | (Err(_), Some(info)) => Ok(info),
            (Err(error), None) => Err(error),
        }
    }
}

/// The stream of a `stream` table.
pub(crate) fn read(request: &Request<'_>) -> Result<EmbeddedStream, OptionError> {
    let name = request.options.get("stream").unwrap_or(&request.table.name);
    EmbeddedStream::read(name, request.options, InitPosition::TrimHorizon)
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    read(request)?;
    check_embedded(request)
}

/// What an embedded stream, or the replay that stands in for it, can do.
pub(crate) fn check_embedded(request: &Request<'_>) -> Result<Roles, OptionError> {
    let format = formats::of_table(request.options)?;
    (format.decoder)(request.table, request.options)?;
    (format.encoder)(request.table, request.options)?;
    sinks::stream::check(request)?;
    if request.context.replay.is_some() {
        return Ok(Roles { source: Some(Boundedness::Bounded), sink: request.context.store.is_some(), lookup: false });
    }
    store_of(request)?;
    Ok(Roles { source: Some(Boundedness::Unbounded), sink: true, lookup: false })
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    source_of(request, read(request)?)
}

fn sink(request: &Request<'_>, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    sinks::stream::sink(request, read(request)?, query)
}

/// A reader of an embedded stream, or of the replay that stands in for it.
pub(crate) fn source_of(request: &Request<'_>, stream: EmbeddedStream) -> Result<Box<dyn Source>, OptionError> {
    if let Some(replay) = &request.context.replay {
        return Ok(Box::new(ReplaySource::new(replay, &stream.name)));
    }
    Ok(Box::new(StreamSource { store: store_of(request)?, stream, clock: Arc::clone(&request.context.clock) }))
}

pub(crate) fn store_of(request: &Request<'_>) -> Result<Store, OptionError> {
    let message = "there is no embedded stream here; run `millstream serve`, or give a replay file";
    request.context.store.clone().ok_or_else(|| OptionError::new("connector", message))
}

/// Reads all shards of one stream.
struct StreamSource {
    store: Store,
    stream: EmbeddedStream,
    clock: Arc<dyn Clock>,
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

impl Source for StreamSource {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            resume.refuse_only(&format!("stream `{}`", self.stream.name))?;
            let position = self.stream.position.of(&resume);
            let source = Self { stream: EmbeddedStream { position, ..self.stream }, ..*self };
            match source.read_all(&resume, output).await {
                Ok(()) | Err(Ended::Stopped) => Ok(()),
                Err(Ended::Failed(error)) => Err(error),
            }
        })
    }
}

impl StreamSource {
    async fn read_all(&self, resume: &Resume, output: &dyn SourceOutput) -> Result<(), Ended> {
        let info = self.stream.ensure(&self.store).await.map_err(|error| self.failed(&error))?;
        let listed = self.listed(&info);
        check_resumed(&listed, &resume.offsets).map_err(Ended::Failed)?;
        let mut lineage = Lineage::new(&listed, &resume.offsets);
        self.tell_lost(&info, resume);
        let is_resumed = resume.offsets.iter().next().is_some();
        let mut readers = FuturesUnordered::new();
        loop {
            for ready in lineage.take_ready() {
                let Ready { shard, parents, .. } = ready.clone();
                output.send(SourceEvent::ShardOpened { shard, parents }).await?;
                readers.push(self.read_shard(self.start(&ready, is_resumed)?, ready, output));
            }
            for shard in lineage.take_closed() {
                output.send(SourceEvent::ShardClosed { shard }).await?;
            }
            let Some(drained) = readers.next().await else { return Ok(()) };
            let (shard, children) = drained?;
            for child in children {
                lineage.add_child(shard_id(&child), parents_of(&child));
            }
            lineage.drained(&shard);
        }
    }

    /// Says that a reading from LATEST was interrupted for longer than records are kept.
    fn tell_lost(&self, info: &StreamInfo, resume: &Resume) {
        let InitPosition::AtTimestamp(start) = self.stream.position else { return };
        let kept_hours = i64::from(info.retention_hours);
        if resume.since == Some(start) && start.0 < self.clock.now().0 - kept_hours * 3_600_000 {
            let stream = &info.name;
            tracing::warn!(%stream, kept_hours, "shards without a position start at the oldest record: older ones expired");
        }
    }

    fn listed(&self, info: &StreamInfo) -> Vec<Listed> {
        let is_start = |shard: &ShardInfo| match self.stream.position {
            InitPosition::TrimHorizon => true,
            InitPosition::Latest => shard.is_open(),
            InitPosition::AtTimestamp(at) => {
                let has_parents = shard.parents.iter().any(|parent| info.shard(*parent).is_some());
                let is_first = shard.created_ms > at.0 && !has_parents;
                shard.was_open_at(at.0) || is_first || (shard.is_open() && at > self.clock.now())
            }
        };
        let list = |shard: &ShardInfo| Listed {
            shard: shard_id(shard),
            parents: parents_of(shard),
            is_start: is_start(shard),
        };
        info.shards.iter().map(list).collect()
    }

    /// The place of a start, pinned before anything is waited for. A reading that goes on must find all that came since:
    /// a shard at its offset, and one that began meanwhile at its beginning.
    fn start(&self, ready: &Ready, is_resumed: bool) -> Result<(millstream_local_kinesis::ShardId, Position), Ended> {
        let shard = ready.shard.as_str().parse().map_err(|error| self.failed(&error))?;
        let position = match (&ready.start, self.stream.position) {
            (Start::After(offset), _) => self.follows(ready, shard, offset)?,
            (Start::Beginning, _) if is_resumed => {
                let info = self.store.describe(&self.stream.name);
                match info.as_ref().and_then(|info| info.shard(shard)) {
                    Some(info) => {
                        let start =
                            Offset::parse(&info.starting.to_string(), 0).map_err(|error| self.failed(&error))?;
                        self.follows(ready, shard, &start)?
                    }
                    None => Position::TrimHorizon,
                }
            }
            (Start::Beginning, _) | (Start::Configured, InitPosition::TrimHorizon) => Position::TrimHorizon,
            (Start::Configured, InitPosition::Latest) => Position::Latest,
            (Start::Configured, InitPosition::AtTimestamp(at)) => Position::AtTimestamp(at.0),
        };
        let position = self.store.pin(&self.stream.name, shard, position).map_err(|error| self.failed(&error))?;
        Ok((shard, position))
    }

    /// The position after an offset, from where nothing is missing.
    fn follows(
        &self,
        ready: &Ready,
        shard: millstream_local_kinesis::ShardId,
        offset: &Offset,
    ) -> Result<Position, Ended> {
        let wrong = |error: &dyn std::fmt::Display| {
            let (shard, reason) = (ready.shard.clone(), format!("{error}; {ANEW}"));
            Ended::Failed(SourceError::Position { shard, offset: offset.clone(), reason })
        };
        let after = offset.sequence().parse().map_err(|error: NotASequenceNumber| wrong(&error))?;
        match self.store.check_resume(&self.stream.name, shard, after) {
            Ok(()) => Ok(Position::After(after)),
            Err(error @ (ReadError::NoStream(_) | ReadError::Storage(_))) => Err(self.failed(&error)),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Reads a shard to its end; answers its children.
    async fn read_shard(
        &self,
        (id, mut position): (millstream_local_kinesis::ShardId, Position),
        ready: Ready,
        output: &dyn SourceOutput,
    ) -> Result<(ShardId, Vec<ShardInfo>), Ended> {
        let from = match ready.start {
            Start::After(offset) => Some(offset),
            Start::Beginning | Start::Configured => None,
        };
        let shard = ready.shard;
        let mut chunk = ChunkBuilder::new(shard.clone(), from);
        loop {
            // Before the read: what arrived until now is in it.
            let as_of = self.clock.now();
            let page = self.store.read(&self.stream.name, id, position, READ_RECORDS_MAX, READ_BYTES_MAX);
            let page = page.map_err(|error| self.failed(&error))?;
            position = page.next;
            self.send_records(&page, &mut chunk, output).await?;
            if page.end_of_shard {
                return Ok((shard, page.children));
            }
            if page.millis_behind_latest > 0 {
                let lag_ms = u64::try_from(page.millis_behind_latest).unwrap_or(0);
                output.send(SourceEvent::Behind { shard: shard.clone(), lag_ms }).await?;
                continue;
            }
            output.send(SourceEvent::Tip { shard: shard.clone(), as_of }).await?;
            self.wait(id, position).await?;
        }
    }

    async fn send_records(
        &self,
        page: &Page,
        chunk: &mut ChunkBuilder,
        output: &dyn SourceOutput,
    ) -> Result<(), Ended> {
        for record in page.records() {
            let arrival = EventTime(record.arrival_ms);
            chunk.push_stored(record.data, arrival, Some(record.partition_key), &record.sequence_number.to_string());
        }
        if let Some(chunk) = chunk.take().map_err(|error| self.failed(&error))? {
            output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
        }
        Ok(())
    }

    /// Waits for records, or until it is time to say that there are none.
    async fn wait(&self, shard: millstream_local_kinesis::ShardId, position: Position) -> Result<(), Ended> {
        let records = pin!(self.store.wait_for_records(&self.stream.name, shard, position));
        match select(records, self.clock.sleep(TIP_EVERY)).await {
            Either::Left((found, _)) => found.map_err(|error| self.failed(&error)),
            Either::Right(_) => Ok(()),
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Ended {
        let what = format!("stream `{}`", self.stream.name);
        Ended::Failed(SourceError::Failed { what, reason: error.to_string() })
    }
}

fn shard_id(shard: &ShardInfo) -> ShardId {
    ShardId::from(shard.id.to_string())
}

fn parents_of(shard: &ShardInfo) -> Vec<ShardId> {
    shard.parents.iter().map(|parent| ShardId::from(parent.to_string())).collect()
}

#[cfg(test)]
mod tests;
