//! One shard's reading: what polling and enhanced fan-out have in common.
//!
//! Both fetch records and hand them to [`ShardReader::take`], which sends them on, keeps the place to go on at, and says
//! how far behind the tip the shard is.

use aws_sdk_kinesis::types::Record;
use millstream_core::{Duration, EventTime, ShardId, SourceError, SourceEvent};
use millstream_local_kinesis::HashRange;

use super::Ended;
use super::reading::Reading;
use super::shards::Child;
use super::starting::Opening;
use crate::aws::faults::{Call, Fault};
use crate::sources::chunks::ChunkBuilder;
use crate::sources::lineage::{Ready, Start};

/// A page may hold 10 MB: it is handed on in parts of about this size.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a shard at its tip says so while nothing arrives.
const TIP_EVERY: Duration = Duration(1000);
/// How often records of aggregates that belong in another shard are told.
const OUTSIDE_EVERY: Duration = Duration(60_000);

/// A shard being read.
pub(super) struct ShardReader<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) shard: ShardId,
    /// Where the shard is opened when it is opened next.
    opening: Opening,
    /// Opened already, so that its beginning is certain.
    pub(super) pinned: Option<String>,
    chunk: ChunkBuilder,
    told_tip: Option<EventTime>,
    outside: u64,
    told_outside: Option<EventTime>,
}

/// A shard that has been read to its end.
pub(super) struct Drained {
    pub(super) shard: ShardId,
    /// Empty where the server did not tell.
    pub(super) children: Vec<Child>,
}

/// How far a shard's reader is.
pub(super) enum Distance {
    Behind {
        lag_ms: i64,
    },
    /// All that arrived before this has been taken; not known where records may be on their way.
    AtTip {
        as_of: Option<EventTime>,
    },
}

impl<'a> ShardReader<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, ready: &Ready, range: Option<HashRange>) -> Self {
        let from = match &ready.start {
            Start::After(offset) => Some(offset.clone()),
            Start::Beginning | Start::Configured => None,
        };
        let mut chunk = ChunkBuilder::new(ready.shard.clone(), from);
        if let Some(range) = range {
            chunk.set_range(range);
        }
        Self {
            reading,
            shard: ready.shard.clone(),
            opening: Opening::of(&ready.start, reading.settings.position),
            pinned: None,
            chunk,
            told_tip: None,
            outside: 0,
            told_outside: None,
        }
    }

    /// Opens a shard that is to be read from now on, so that it does not matter when it is read.
    pub(super) async fn pin(mut self) -> Result<Self, SourceError> {
        if self.opening == Opening::Latest && self.reading.consumer.is_none() {
            self.pinned = self.open().await?;
        }
        Ok(self)
    }

    /// Reads to the end of the shard.
    pub(super) async fn read(mut self) -> Result<Drained, Ended> {
        let pushed = match &self.reading.consumer {
            Some(consumer) => self.subscribe(consumer).await?,
            None => None,
        };
        let children = match pushed {
            Some(children) => children,
            None => self.poll().await?,
        };
        Ok(Drained { shard: self.shard, children })
    }

    /// An iterator at the place to go on at; nothing where the shard is gone.
    pub(super) async fn open(&mut self) -> Result<Option<String>, SourceError> {
        let (client, mut call) = (&self.reading.client, Call::default());
        loop {
            let opening = self.opening();
            match client.iterator(&self.shard, &opening).await {
                Ok(iterator) => return Ok(iterator),
                Err(Fault::Missing(_)) if client.is_gone(&self.shard).await? => return Ok(None),
                Err(fault) => client.wait_or_fail(&mut call, fault).await?,
            }
        }
    }

    /// The place to go on at. The latest record is what it is now only once: whatever happens before the first record
    /// has come, the next time is at the records that arrived since the reading began.
    pub(super) fn opening(&mut self) -> Opening {
        let opening = self.opening.clone();
        if opening == Opening::Latest {
            self.opening = Opening::AtTime(self.reading.started);
        }
        opening
    }

    /// The server knows a place to go on at that may be past the last record.
    pub(super) fn go_on_after(&mut self, sequence: &str) {
        self.opening = Opening::After(sequence.to_owned());
    }

    /// Hands records on, and says how far behind the tip they were.
    pub(super) async fn take(&mut self, records: &[Record], distance: Distance) -> Result<(), Ended> {
        let now = self.reading.client.clock().now();
        for record in records {
            let arrival =
                record.approximate_arrival_timestamp.and_then(|at| at.to_millis().ok()).map_or(now, EventTime);
            let (key, sequence) = (record.partition_key.as_deref(), record.sequence_number.as_str());
            self.chunk.push_stored(record.data.as_ref(), arrival, key, sequence);
            if self.chunk.bytes() >= CHUNK_BYTES {
                self.send_chunk().await?;
            }
        }
        self.send_chunk().await?;
        if let Some(last) = records.last() {
            self.go_on_after(&last.sequence_number);
        }
        self.tell_outside(now);
        let (shard, output) = (self.shard.clone(), self.reading.output);
        match distance {
            Distance::Behind { lag_ms } => {
                let lag_ms = u64::try_from(lag_ms).unwrap_or(0);
                output.send(SourceEvent::Behind { shard, lag_ms }).await?;
            }
            Distance::AtTip { as_of: Some(as_of) }
                if !records.is_empty() || self.told_tip.is_none_or(|told| as_of - told >= TIP_EVERY) =>
            {
                self.told_tip = Some(as_of);
                output.send(SourceEvent::Tip { shard, as_of }).await?;
            }
            Distance::AtTip { .. } => {}
        }
        Ok(())
    }

    async fn send_chunk(&mut self) -> Result<(), Ended> {
        let chunk = self.chunk.take().map_err(|error| SourceError::Failed {
            what: format!("shard {}", self.shard),
            reason: error.to_string(),
        })?;
        if let Some(chunk) = chunk {
            self.reading.output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
        }
        Ok(())
    }

    fn tell_outside(&mut self, now: EventTime) {
        self.outside += self.chunk.take_outside();
        if self.outside > 0 && self.told_outside.is_none_or(|told| now - told >= OUTSIDE_EVERY) {
            let (shard, records) = (&self.shard, std::mem::take(&mut self.outside));
            self.told_outside = Some(now);
            tracing::warn!(
                stream = self.reading.client.what(),
                %shard,
                records,
                "aggregated records belong in another shard and were kept: keys may be out of order since a reshard"
            );
        }
    }
}
