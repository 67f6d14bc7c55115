//! The source `generator`: made-up records, for demos, tests and measurements. Its options are those of Flink's datagen.
//!
//! The records are JSON texts of the declared columns, so that they take the way of every other record. Row `n` is a
//! function of the seed, `n` and the time: a reading that resumes makes the rows it would have made. A record arrives
//! when it is made, so that the beginning, the latest record and every time are the same place to start: the first row.

mod options;
mod value;

use std::sync::Arc;

use millstream_core::{
    Boundedness, BoxFuture, Clock, Duration, EventTime, Offset, Offsets, OptionError, Resume, Roles, ShardId, Source,
    SourceError, SourceEvent, SourceOutput, Stopped,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::chunks::ChunkBuilder;
use super::lineage::ANEW;
use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_sink};
use value::Object;

pub(crate) const CONNECTOR: Connector =
    Connector { name: "generator", check, source, sink: no_sink, reference: no_reference };

/// Rows made between two looks at the clock: at full speed the size of a round of chunks.
const ROUND_ROWS_MAX: u64 = 4096;
/// How long a live generator sleeps at least between two rounds: rows come in small groups rather than one by one.
const PAUSE_MIN: Duration = Duration(20);
/// How long it sleeps at most, however slow it is: rows must not be late by more.
const PAUSE_MAX: Duration = Duration(1000);

/// Makes rows.
struct Generator {
    row: Object,
    /// 0: as fast as they are taken.
    rows_per_second: u64,
    rows: Option<u64>,
    shards: u64,
    seed: u64,
    clock: Arc<dyn Clock>,
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    let generator = read(request)?;
    let bounded = if generator.rows.is_some() { Boundedness::Bounded } else { Boundedness::Unbounded };
    let format = formats::of_table(request.options)?;
    if format.name != "json" {
        let message = format!("`{}` given, but the generator makes JSON: write 'json'", format.name);
        return Err(OptionError::new("format", message));
    }
    (format.decoder)(request.table, request.options)?;
    Ok(Roles { source: Some(bounded), sink: false, lookup: false })
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    Ok(Box::new(read(request)?))
}

fn read(request: &Request<'_>) -> Result<Generator, OptionError> {
    let options = request.options;
    let number = |key| options.parse::<u64>(key, "a whole number that is not negative");
    let row = options::read(&request.table.schema, &options.with_prefix("fields."))?;
    let rows = [number("number-of-rows")?, row.rows()].into_iter().flatten().min();
    let shards = number("shards")?.unwrap_or(1);
    if !(1..=10_000).contains(&shards) {
        return Err(OptionError::new("shards", format!("`{shards}` given, expected 1 to 10000")));
    }
    Ok(Generator {
        row,
        rows_per_second: number("rows-per-second")?.unwrap_or(10_000),
        rows,
        shards,
        seed: number("seed")?.unwrap_or(0),
        clock: Arc::clone(&request.context.clock),
    })
}

impl Source for Generator {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let shards = self.shards(&resume.offsets)?;
            match self.send_all(shards, output).await {
                Ok(()) | Err(Stopped) => Ok(()),
            }
        })
    }
}

/// A shard being made.
struct Shard {
    chunk: ChunkBuilder,
    /// The first row not made yet; row `n` is in shard `n % shards`, at the offset `n + 1`.
    next: u64,
}

impl Generator {
    /// All shards, each with the first row that it has not given out.
    fn shards(&self, resume: &Offsets) -> Result<Vec<Shard>, SourceError> {
        let position = |id: &ShardId, offset: &Offset, reason: String| SourceError::Position {
            shard: id.clone(),
            offset: offset.clone(),
            reason,
        };
        let ids: Vec<_> = (0..self.shards).map(|index| ShardId::from(format!("shardId-{index:012}"))).collect();
        if let Some((id, offset)) = resume.iter().find(|(id, _)| !ids.contains(id)) {
            let reason = format!("the generator has {} shards now; {ANEW}", self.shards);
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

    async fn send_all(&self, mut shards: Vec<Shard>, output: &dyn SourceOutput) -> Result<(), Stopped> {
        for shard in &shards {
            let shard = shard.chunk.shard().clone();
            output.send(SourceEvent::ShardOpened { shard, parents: Vec::new() }).await?;
        }
        let first = shards.iter().map(|shard| shard.next).min().unwrap_or(0);
        let (start, mut next, mut said) = (self.clock.now(), first, None);
        loop {
            let now = self.clock.now();
            let due = self.due(first, now - start).min(next + ROUND_ROWS_MAX);
            self.send_rows(&mut shards, next..due, now, output).await?;
            next = next.max(due);
            if self.rows.is_some_and(|rows| next >= rows) {
                return Ok(());
            }
            if self.rows_per_second > 0 && next >= self.due(first, now - start) {
                // Once a second is enough to say that everything there is has been sent.
                if said.is_none_or(|said| now - said >= Duration(1000)) {
                    said = Some(now);
                    for shard in &shards {
                        output.send(SourceEvent::Tip { shard: shard.chunk.shard().clone(), as_of: now }).await?;
                    }
                }
                self.clock.sleep(self.pause()).await;
            }
        }
    }

    /// The row that must not be made yet, so long after the start.
    fn due(&self, first: u64, since: Duration) -> u64 {
        let all = self.rows.unwrap_or(u64::MAX);
        if self.rows_per_second == 0 {
            return all;
        }
        let millis = u128::try_from(since.0).unwrap_or(0);
        let made = 1 + millis * u128::from(self.rows_per_second) / 1000;
        first.saturating_add(u64::try_from(made).unwrap_or(u64::MAX)).min(all)
    }

    /// About until the next row is due.
    fn pause(&self) -> Duration {
        let between = 1000 / self.rows_per_second.max(1);
        Duration(i64::try_from(between).unwrap_or(i64::MAX)).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    async fn send_rows(
        &self,
        shards: &mut [Shard],
        rows: std::ops::Range<u64>,
        now: EventTime,
        output: &dyn SourceOutput,
    ) -> Result<(), Stopped> {
        let mut text = Vec::new();
        for row in rows {
            let index = usize::try_from(row % self.shards).unwrap_or(0);
            let Some(shard) = shards.get_mut(index).filter(|shard| row >= shard.next) else { continue };
            // Each row has its own generator: the odd constant (2^64 / golden ratio) spreads neighbours apart.
            let mut random = SmallRng::seed_from_u64(self.seed ^ row.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            text.clear();
            self.row.write(row, now, &mut random, &mut text);
            shard.chunk.push(&text, now, None, &(row + 1).to_string());
            shard.next = row + 1;
        }
        for shard in shards {
            // A row's number is always an offset.
            if let Ok(Some(chunk)) = shard.chunk.take() {
                output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
