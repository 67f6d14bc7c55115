//! Records that are made by their number: at a rate, in shards, from any number on. What the sources `generator` and
//! `nexmark` have in common.
//!
//! Record `n` is in shard `n % shards`, at the offset `n + 1`. A record arrives when it is made, or when its maker says,
//! so that the beginning, the latest record and every time are the same place to start: the first record.

use std::sync::Arc;

use millstream_core::{
    Boundedness, Clock, Duration, EventTime, Offset, Offsets, OptionError, OptionReader, Resume, ShardId, SourceError,
    SourceEvent, SourceOutput, Stopped,
};

use super::chunks::ChunkBuilder;
use super::lineage::ANEW;

/// Records made between two looks at the clock: at full speed the size of a round of chunks.
const ROUND_RECORDS_MAX: u64 = 4096;
/// How long a live source sleeps at least between two rounds: records come in small groups rather than one by one.
const PAUSE_MIN: Duration = Duration(20);
/// How long it sleeps at most, however slow it is: records must not be late by more.
const PAUSE_MAX: Duration = Duration(1000);
/// Shards of one source.
const SHARDS_MAX: u64 = 10_000;

/// Makes records.
pub(super) trait Maker: Send {
    /// Appends the text of record `number`, made `now`, and says when it arrives. Numbers go up.
    fn make(&mut self, number: u64, now: EventTime, out: &mut Vec<u8>) -> EventTime;
}

/// So many records in so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) records: u64,
    pub(super) millis: u64,
}

/// How records are given out.
pub(super) struct Paced {
    /// As fast as they are taken without one.
    pub(super) rate: Option<Rate>,
    /// How many there are; without end where not given.
    pub(super) records: Option<u64>,
    pub(super) shards: u64,
    pub(super) clock: Arc<dyn Clock>,
    /// What makes the records, for errors: `generator`.
    pub(super) name: &'static str,
}

/// Reads the option `shards`.
pub(super) fn shards(options: &OptionReader<'_>) -> Result<u64, OptionError> {
    let shards = options.parse::<u64>("shards", "a whole number that is not negative")?.unwrap_or(1);
    if !(1..=SHARDS_MAX).contains(&shards) {
        return Err(OptionError::new("shards", format!("`{shards}` given, expected 1 to {SHARDS_MAX}")));
    }
    Ok(shards)
}

/// A shard being made.
struct Shard {
    chunk: ChunkBuilder,
    /// The first record not made yet.
    next: u64,
}

impl Rate {
    /// How many records there are so long after the first.
    fn made(self, since: Duration) -> u64 {
        let millis = u128::try_from(since.0).unwrap_or(0);
        let made = 1 + millis * u128::from(self.records) / u128::from(self.millis.max(1));
        u64::try_from(made).unwrap_or(u64::MAX)
    }

    /// About until the next record is due.
    fn pause(self) -> Duration {
        let between = self.millis / self.records.max(1);
        Duration(i64::try_from(between).unwrap_or(i64::MAX)).clamp(PAUSE_MIN, PAUSE_MAX)
    }
}

impl Paced {
    pub(super) fn boundedness(&self) -> Boundedness {
        if self.records.is_some() { Boundedness::Bounded } else { Boundedness::Unbounded }
    }

    /// Gives records out until there are no more or nobody listens.
    pub(super) async fn run(
        &self,
        maker: &mut dyn Maker,
        resume: &Resume,
        output: &dyn SourceOutput,
    ) -> Result<(), SourceError> {
        resume.refuse_only(&format!("the {}", self.name))?;
        let shards = self.open(&resume.offsets)?;
        match self.send_all(maker, shards, output).await {
            Ok(()) | Err(Stopped) => Ok(()),
        }
    }

    /// All shards, each with the first record that it has not given out.
    fn open(&self, resume: &Offsets) -> Result<Vec<Shard>, SourceError> {
        let position = |id: &ShardId, offset: &Offset, reason: String| SourceError::Position {
            shard: id.clone(),
            offset: offset.clone(),
            reason,
        };
        let ids: Vec<_> = (0..self.shards).map(|index| ShardId::from(format!("shardId-{index:012}"))).collect();
        if let Some((id, offset)) = resume.iter().find(|(id, _)| !ids.contains(id)) {
            let reason = format!("the {} has {} shards now; {ANEW}", self.name, self.shards);
            return Err(position(id, offset, reason));
        }
        let shard = |id: ShardId| {
            let from = resume.get(&id).cloned();
            let next = match &from {
                None => 0,
                Some(offset) => offset
                    .sequence()
                    .parse()
                    .map_err(|_| position(&id, offset, "it is no number of a row".to_owned()))?,
            };
            Ok(Shard { chunk: ChunkBuilder::new(id, from), next })
        };
        ids.into_iter().map(shard).collect()
    }

    async fn send_all(
        &self,
        maker: &mut dyn Maker,
        mut shards: Vec<Shard>,
        output: &dyn SourceOutput,
    ) -> Result<(), Stopped> {
        for shard in &shards {
            let shard = shard.chunk.shard().clone();
            output.send(SourceEvent::ShardOpened { shard, parents: Vec::new() }).await?;
        }
        let first = shards.iter().map(|shard| shard.next).min().unwrap_or(0);
        let (start, mut next, mut said) = (self.clock.now(), first, None);
        loop {
            let now = self.clock.now();
            let due = self.due(first, now - start).min(next + ROUND_RECORDS_MAX);
            self.send_records(maker, &mut shards, next..due, now, output).await?;
            next = next.max(due);
            if self.records.is_some_and(|records| next >= records) {
                return Ok(());
            }
            let Some(rate) = self.rate else { continue };
            if next >= self.due(first, now - start) {
                // Once a second is enough to say that everything there is has been sent.
                if said.is_none_or(|said| now - said >= Duration(1000)) {
                    said = Some(now);
                    for shard in &shards {
                        output.send(SourceEvent::Tip { shard: shard.chunk.shard().clone(), as_of: now }).await?;
                    }
                }
                self.clock.sleep(rate.pause()).await;
            }
        }
    }

    /// The record that must not be made yet, so long after the start.
    fn due(&self, first: u64, since: Duration) -> u64 {
        let all = self.records.unwrap_or(u64::MAX);
        self.rate.map_or(all, |rate| first.saturating_add(rate.made(since)).min(all))
    }

    async fn send_records(
        &self,
        maker: &mut dyn Maker,
        shards: &mut [Shard],
        numbers: std::ops::Range<u64>,
        now: EventTime,
        output: &dyn SourceOutput,
    ) -> Result<(), Stopped> {
        let mut text = Vec::new();
        for number in numbers {
            let index = usize::try_from(number % self.shards).unwrap_or(0);
            let Some(shard) = shards.get_mut(index).filter(|shard| number >= shard.next) else { continue };
            text.clear();
            let arrival = maker.make(number, now, &mut text);
            shard.chunk.push(&text, arrival, None, &(number + 1).to_string());
            shard.next = number + 1;
        }
        for shard in shards {
            // A record's number is always an offset.
            if let Ok(Some(chunk)) = shard.chunk.take() {
                output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
            }
        }
        Ok(())
    }
}
