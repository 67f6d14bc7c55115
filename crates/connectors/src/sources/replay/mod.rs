//! Replays: a file of records with their arrival times, standing in for every stream source of a script.
//!
//! Records are sent in file order, in rounds; after each round the source waits until the engine has computed it. With
//! [`ReplayClock`] as the engine's clock a run is deterministic: time is the arrival of what has been sent.

mod clock;
mod file;

use std::sync::Arc;

use millstream_core::{
    BoxFuture, EventTime, Offset, Offsets, ShardId, Source, SourceError, SourceEvent, SourceOutput, Stopped,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub use clock::ReplayClock;
pub use file::{Replay, ReplayError};

use super::chunks::ChunkBuilder;
use file::Stream;

/// How a replay is cut. Results must not depend on it; tests vary it to show that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPlan {
    /// A round ends after so many bytes of payload…
    pub round_bytes: usize,
    /// …or so many records.
    pub round_records: usize,
    /// With a seed, rounds and chunks end earlier, at random places.
    pub cut_seed: Option<u64>,
    /// How many shards the keys of records without a `shard` are spread over.
    pub shards: u32,
}

impl Default for ReplayPlan {
    fn default() -> Self {
        Self { round_bytes: 1 << 20, round_records: 8192, cut_seed: None, shards: 1 }
    }
}

/// Reads one stream of a replay.
pub(crate) struct ReplaySource {
    stream: Arc<Stream>,
    plan: ReplayPlan,
    clock: Arc<ReplayClock>,
}

impl Replay {
    /// A reader of one stream; of a stream without records it ends at once.
    pub(crate) fn source(&self, stream: &str) -> ReplaySource {
        ReplaySource { stream: self.stream(stream), plan: self.plan, clock: self.clock() }
    }
}

impl Source for ReplaySource {
    fn run(self: Box<Self>, resume: Offsets, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            match self.send_all(&resume, output).await {
                Ok(()) | Err(Stopped) => Ok(()),
            }
        })
    }
}

impl ReplaySource {
    async fn send_all(&self, resume: &Offsets, output: &dyn SourceOutput) -> Result<(), Stopped> {
        let shards = &self.stream.shards;
        for shard in shards {
            output.send(SourceEvent::ShardOpened { shard: shard.clone(), parents: Vec::new() }).await?;
        }
        let builder = |shard: &ShardId| ChunkBuilder::new(shard.clone(), resume.get(shard).cloned());
        let mut builders: Vec<_> = shards.iter().map(builder).collect();
        let mut cuts = self.plan.cut_seed.map(SmallRng::seed_from_u64);
        let (mut bytes, mut records, mut now) = (0, 0, EventTime::MIN);
        for (index, record) in self.stream.records.iter().enumerate() {
            let Some(builder) = builders.get_mut(record.shard) else { continue };
            if resume.get(builder.shard()).is_some_and(|read| Offset::from(record.line) <= *read) {
                continue;
            }
            builder.push(&record.data, record.arrival, record.key.as_deref(), &record.line.to_string());
            (bytes, records, now) = (bytes + record.data.len(), records + 1, now.max(record.arrival));
            let mut cut = |one_in: u32| cuts.as_mut().is_some_and(|cuts| cuts.random_ratio(1, one_in));
            let last = index + 1 == self.stream.records.len();
            if last || bytes >= self.plan.round_bytes || records >= self.plan.round_records || cut(50) {
                self.end_round(&mut builders, now, output).await?;
                (bytes, records) = (0, 0);
            } else if cut(20)
                && let Ok(Some(chunk)) = builder.take()
            {
                self.clock.advance(now);
                output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
            }
        }
        // What was skipped on resuming may have left the last round open.
        self.end_round(&mut builders, now, output).await
    }

    /// Sends what was gathered, and that every shard has been read up to `now`.
    async fn end_round(
        &self,
        builders: &mut [ChunkBuilder],
        now: EventTime,
        output: &dyn SourceOutput,
    ) -> Result<(), Stopped> {
        if now == EventTime::MIN {
            return Ok(());
        }
        self.clock.advance(now);
        for builder in builders.iter_mut() {
            // A line's number is always an offset.
            if let Ok(Some(chunk)) = builder.take() {
                output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
            }
        }
        for builder in builders.iter() {
            output.send(SourceEvent::Tip { shard: builder.shard().clone(), as_of: now }).await?;
        }
        output.settle().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{collect, payloads};
    use millstream_core::{Clock, SourceEvent};

    fn content(records: usize) -> bytes::Bytes {
        let line = |n: usize| {
            let (key, millis) = (n % 7, 1_767_225_600_000 + n * 10);
            format!("{{\"stream\":\"s\",\"arrival\":{millis},\"key\":\"u{key}\",\"data\":{{\"n\":{n}}}}}\n")
        };
        (0..records).map(line).collect::<String>().into()
    }

    async fn replay(plan: ReplayPlan, resume: Offsets) -> Vec<SourceEvent> {
        let replay = Replay::parse(&content(200), plan).unwrap();
        let events = collect(Box::new(replay.source("s")), resume).await.unwrap();
        assert_eq!(replay.clock().now(), EventTime(1_767_225_600_000 + 1990));
        events
    }

    #[tokio::test]
    async fn cuts_change_chunks_and_nothing_else() {
        let plain = ReplayPlan { shards: 3, ..ReplayPlan::default() };
        let expected = payloads(&replay(plain, Offsets::default()).await);
        assert_eq!((expected.len(), expected.values().map(Vec::len).sum::<usize>()), (3, 200));
        for seed in 0..20 {
            let cut = ReplayPlan { cut_seed: Some(seed), round_records: 64, ..plain };
            let events = replay(cut, Offsets::default()).await;
            assert_eq!(payloads(&events), expected, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn a_replay_resumes_after_its_offsets() {
        let plan = ReplayPlan { shards: 3, round_records: 16, ..ReplayPlan::default() };
        let whole = replay(plan, Offsets::default()).await;
        let expected = payloads(&whole);
        for cut in 1..whole.len() {
            let (mut offsets, mut before) = (Offsets::default(), payloads(&whole[..cut]));
            for event in &whole[..cut] {
                if let SourceEvent::Chunk(chunk) = event {
                    offsets.advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).unwrap();
                }
            }
            for (shard, rest) in payloads(&replay_from(plan, offsets).await) {
                before.entry(shard).or_default().extend(rest);
            }
            assert_eq!(before, expected, "cut {cut}");
        }
    }

    async fn replay_from(plan: ReplayPlan, resume: Offsets) -> Vec<SourceEvent> {
        let replay = Replay::parse(&content(200), plan).unwrap();
        collect(Box::new(replay.source("s")), resume).await.unwrap()
    }

    #[tokio::test]
    async fn a_stream_without_records_ends_at_once() {
        let replay = Replay::parse(&content(1), ReplayPlan::default()).unwrap();
        let events = collect(Box::new(replay.source("other")), Offsets::default()).await.unwrap();
        assert_eq!(payloads(&events), BTreeMap::new());
        assert!(events.is_empty());
    }
}
