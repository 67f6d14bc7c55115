//! One shard's loop: iterator, records, iterator, … to the shard's end.

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::ChildShard;
use millstream_core::{Duration, EventTime, ShardId, SourceError, SourceEvent, SourceOutput};

use super::client::{IteratorStart, Page, StreamClient};
use super::{Ended, Settings};
use crate::aws::faults::Call;
use crate::sources::chunks::ChunkBuilder;
use crate::sources::lineage::{Ready, Start};
use crate::sources::position::InitPosition;

/// A page may hold 10 MB: it is handed on in parts of about this size.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a caught-up shard is asked: four of the five calls a second it takes.
const IDLE_INTERVAL: Duration = Duration(250);
/// How often a shard at its tip says so while nothing arrives.
const TIP_EVERY: Duration = Duration(1000);

/// A shard being read.
pub(super) struct ShardReader<'a> {
    client: &'a StreamClient,
    read_interval: Duration,
    shard: ShardId,
    start: IteratorStart,
    chunk: ChunkBuilder,
    said_tip: Option<EventTime>,
    started: EventTime,
}

/// A shard that has been read to its end.
pub(super) struct Drained {
    pub(super) shard: ShardId,
    /// With their parents; empty where the server did not tell.
    pub(super) children: Vec<(ShardId, Vec<ShardId>)>,
}

impl<'a> ShardReader<'a> {
    /// A reader of a shard. `started` is when the source was: where LATEST goes on if an iterator is lost before the
    /// first record.
    pub(super) fn new(client: &'a StreamClient, settings: &Settings, ready: Ready, started: EventTime) -> Self {
        let from = match &ready.start {
            Start::After(offset) => Some(offset.clone()),
            Start::Beginning | Start::Configured => None,
        };
        let start = match (ready.start, settings.position) {
            (Start::After(offset), _) => IteratorStart::After(offset.sequence().to_owned()),
            (Start::Beginning, _) | (Start::Configured, InitPosition::TrimHorizon) => IteratorStart::Beginning,
            (Start::Configured, InitPosition::AtTimestamp(at)) => IteratorStart::At(at),
            (Start::Configured, InitPosition::Latest) => IteratorStart::Latest,
        };
        let chunk = ChunkBuilder::new(ready.shard.clone(), from);
        Self {
            client,
            read_interval: settings.read_interval,
            shard: ready.shard,
            start,
            chunk,
            said_tip: None,
            started,
        }
    }

    /// Reads to the end of the shard.
    pub(super) async fn read(mut self, output: &dyn SourceOutput) -> Result<Drained, Ended> {
        let mut call = Call::default();
        let Some(mut iterator) = self.client.iterator(&self.shard, &self.start).await? else {
            return Ok(self.drained(Vec::new()));
        };
        // An iterator that is lost before the first record must not begin at a later «latest».
        if self.start == IteratorStart::Latest {
            self.start = IteratorStart::At(self.started);
        }
        loop {
            // Before the read: what arrived until now is in it.
            let as_of = self.client.clock().now();
            let page = match self.client.records(&iterator, &mut call).await? {
                Page::Records(page) => page,
                Page::Missing if self.client.is_gone(&self.shard).await? => return Ok(self.drained(Vec::new())),
                Page::Expired | Page::Missing => match self.client.iterator(&self.shard, &self.start).await? {
                    Some(again) => {
                        iterator = again;
                        continue;
                    }
                    None => return Ok(self.drained(Vec::new())),
                },
            };
            self.send_records(&page, as_of, output).await?;
            let Some(next) = page.next_shard_iterator else {
                return Ok(self.drained(page.child_shards.unwrap_or_default()));
            };
            iterator = next;
            let behind = page.millis_behind_latest.unwrap_or(0);
            if behind > 0 {
                let lag_ms = u64::try_from(behind).unwrap_or(0);
                output.send(SourceEvent::Behind { shard: self.shard.clone(), lag_ms }).await?;
                self.client.pace(as_of, self.read_interval).await;
            } else {
                self.say_tip(as_of, !page.records.is_empty(), output).await?;
                self.client.pace(as_of, self.read_interval.max(IDLE_INTERVAL)).await;
            }
        }
    }

    async fn send_records(
        &mut self,
        page: &GetRecordsOutput,
        now: EventTime,
        output: &dyn SourceOutput,
    ) -> Result<(), Ended> {
        for record in &page.records {
            let arrival =
                record.approximate_arrival_timestamp.and_then(|at| at.to_millis().ok()).map_or(now, EventTime);
            let (key, sequence) = (record.partition_key.as_deref(), record.sequence_number.as_str());
            self.chunk.push_stored(record.data.as_ref(), arrival, key, sequence);
            if self.chunk.bytes() >= CHUNK_BYTES {
                self.send_chunk(output).await?;
            }
        }
        self.send_chunk(output).await?;
        if let Some(last) = page.records.last() {
            self.start = IteratorStart::After(last.sequence_number.clone());
        }
        Ok(())
    }

    async fn send_chunk(&mut self, output: &dyn SourceOutput) -> Result<(), Ended> {
        let chunk = self.chunk.take().map_err(|error| SourceError::Failed {
            what: format!("shard {}", self.shard),
            reason: error.to_string(),
        })?;
        if let Some(chunk) = chunk {
            output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
        }
        Ok(())
    }

    async fn say_tip(&mut self, as_of: EventTime, read: bool, output: &dyn SourceOutput) -> Result<(), Ended> {
        if read || self.said_tip.is_none_or(|said| as_of - said >= TIP_EVERY) {
            self.said_tip = Some(as_of);
            output.send(SourceEvent::Tip { shard: self.shard.clone(), as_of }).await?;
        }
        Ok(())
    }

    fn drained(self, children: Vec<ChildShard>) -> Drained {
        let child = |child: ChildShard| {
            let parents = child.parent_shards.into_iter().map(ShardId::from).collect();
            (ShardId::from(child.shard_id), parents)
        };
        Drained { shard: self.shard, children: children.into_iter().map(child).collect() }
    }
}
