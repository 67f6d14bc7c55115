//! `error_stream` as a source: one shard, whose records are what is told from the start of the reading on. Nothing is kept
//! of what was told before, in this process or another.

use std::sync::Arc;

use arrow::array::{BinaryBuilder, StringArray, TimestampMillisecondArray};
use millstream_core::{
    BoxFuture, Chunk, Clock, Connectors, Decoder, Duration, Leases, Offset, OptionError, Reference, Resume, Roles,
    ShardId, Sink, Source, SourceError, SourceEvent, SourceOutput, Stopped, TableDecl,
};

use crate::errors::ERROR_STREAM;
use crate::fault_payload::{self, FaultDecoder};
use crate::faults::{FaultLog, Follower, Told};

/// The one shard.
const SHARD: &str = "errors";
/// How often the time is told while there are no errors, so that their windows close.
const TICK: Duration = Duration(1000);
/// So many bytes of payload end a chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// The connectors of the host, with `error_stream` among what they read.
pub(crate) struct WithErrors {
    pub(crate) host: Arc<dyn Connectors>,
    pub(crate) faults: FaultLog,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Connectors for WithErrors {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        self.host.check(table)
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        if table.name != ERROR_STREAM {
            return self.host.source(table);
        }
        Ok(Box::new(ErrorSource { follower: self.faults.follow(), clock: Arc::clone(&self.clock) }))
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        if table.name != ERROR_STREAM {
            return self.host.decoder(table);
        }
        Ok(Box::new(FaultDecoder::new(Arc::clone(&table.schema))))
    }

    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        self.host.sink(table, query)
    }

    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        self.host.reference(table)
    }

    fn leases(&self, table: &TableDecl) -> Result<Option<Box<dyn Leases>>, OptionError> {
        self.host.leases(table)
    }
}

/// One reading. It gets what is told from when it was made on, not only from when it runs.
struct ErrorSource {
    follower: Follower,
    clock: Arc<dyn Clock>,
}

impl Source for ErrorSource {
    fn run(mut self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            resume.refuse_only(ERROR_STREAM)?;
            let shard = ShardId::from(SHARD);
            let read = resume.offsets.get(&shard).cloned();
            if let Some(position) = read.as_ref().and_then(|read| read.sequence().parse().ok()) {
                self.follower.go_on_after(position);
            }
            // Where the engine stops listening the reading ends, as it does with the last error.
            let (Ok(()) | Err(Stopped)) = self.read(&shard, read, output).await;
            Ok(())
        })
    }
}

impl ErrorSource {
    async fn read(
        &mut self,
        shard: &ShardId,
        mut read: Option<Offset>,
        output: &dyn SourceOutput,
    ) -> Result<(), Stopped> {
        output.send(SourceEvent::ShardOpened { shard: shard.clone(), parents: Vec::new() }).await?;
        let mut tick = self.clock.sleep(TICK);
        loop {
            let taken = self.follower.take();
            let mut left = taken.told.as_slice();
            while !left.is_empty() {
                let (chunk, rest) = chunk(shard, read.clone(), left);
                read = Some(chunk.to.clone());
                left = rest;
                output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
            }
            // A slow sink holds up this reader and no worker: there is never more on its way than was taken at once.
            if !taken.told.is_empty() && !self.follower.is_whole() {
                output.settle().await?;
            }
            if taken.has_ended {
                return Ok(());
            }
            tokio::select! {
                () = self.follower.news() => {}
                () = &mut tick => {
                    output.send(SourceEvent::Watermark { shard: shard.clone(), time: taken.now }).await?;
                    tick = self.clock.sleep(TICK);
                }
            }
        }
    }
}

/// The first of these as a chunk, and the others.
fn chunk<'a>(shard: &ShardId, from: Option<Offset>, told: &'a [Told]) -> (Chunk, &'a [Told]) {
    let (mut data, mut payload) = (BinaryBuilder::new(), Vec::new());
    let (mut bytes, mut records) = (0, 0);
    for told in told {
        payload.clear();
        fault_payload::write(&told.fault, &mut payload);
        data.append_value(&payload);
        bytes += payload.len();
        records += 1;
        if bytes >= CHUNK_BYTES {
            break;
        }
    }
    let (these, rest) = told.split_at(records);
    let last = these.last().map_or(0, |told| told.number);
    let chunk = Chunk {
        shard: shard.clone(),
        from,
        to: Offset::from(last),
        data: data.finish(),
        arrivals: TimestampMillisecondArray::from_iter_values(these.iter().map(|told| told.at.0)),
        keys: None,
        sequence_numbers: Some(StringArray::from_iter_values(these.iter().map(|told| told.number.to_string()))),
        sub_sequence_numbers: None,
        verdicts: None,
    };
    (chunk, rest)
}
