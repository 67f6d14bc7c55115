//! Readers that run ahead wait: a shard whose event time is further ahead of the slowest than allowed is not read on until
//! the others have caught up. What they would bring could close nothing yet, and would be kept meanwhile.
//!
//! The slowest shard never waits. Shards at their tip are not waited for: there is nothing of them to be read. And a wait
//! ends when nothing of the others comes for a while, because they may have the same reader, as files have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::{Clock, Duration, EventTime, ShardId};

use crate::memory::{MemoryPool, Pressure};

/// How far ahead a shard may be when memory is short, if the table says nothing.
const SHORT_OF_MEMORY: Duration = Duration::from_secs(10);
/// How often a shard that waits is looked at.
const LOOK: Duration = Duration(10);
/// A shard waits for others so long after they last moved.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far the shards of one lane have come. Its reader waits by it, and workers move it.
pub(crate) struct Drift {
    /// `scan.watermark.alignment.max-drift`.
    max: Option<Duration>,
    memory: Arc<MemoryPool>,
    shards: Mutex<HashMap<ShardId, Reached>>,
}

#[derive(Default)]
struct Reached {
    /// `None`: nothing of it has been seen.
    watermark: Option<EventTime>,
    is_at_tip: bool,
    /// Counts whatever it does.
    moves: u64,
}

impl Drift {
    pub(crate) fn new(max: Option<Duration>, memory: Arc<MemoryPool>) -> Arc<Self> {
        Arc::new(Self { max, memory, shards: Mutex::default() })
    }

    /// A worker has seen event time of a shard come this far.
    pub(crate) fn moved(&self, shard: &ShardId, watermark: EventTime) {
        let mut shards = self.lock();
        let reached = shards.entry(shard.clone()).or_default();
        reached.watermark = reached.watermark.max(Some(watermark));
        reached.moves += 1;
    }

    pub(crate) fn at_tip(&self, shard: &ShardId) {
        let mut shards = self.lock();
        let reached = shards.entry(shard.clone()).or_default();
        reached.is_at_tip = true;
        reached.moves += 1;
    }

    pub(crate) fn closed(&self, shard: &ShardId) {
        self.lock().remove(shard);
    }

    /// Waits until a shard may be read on.
    pub(crate) async fn wait(&self, shard: &ShardId, clock: &dyn Clock) {
        if let Some(reached) = self.lock().get_mut(shard) {
            reached.is_at_tip = false;
        }
        let (mut since, mut moves) = (clock.now(), self.moves_of_others(shard));
        while self.is_ahead(shard) || self.memory.pressure() == Pressure::Full {
            clock.sleep(LOOK).await;
            let now = self.moves_of_others(shard);
            if now != moves {
                (since, moves) = (clock.now(), now);
            } else if clock.now() - since >= PATIENCE {
                return;
            }
        }
    }

    fn is_ahead(&self, shard: &ShardId) -> bool {
        let max = match (self.max, self.memory.pressure()) {
            (Some(max), _) => max,
            (None, Pressure::None) => return false,
            (None, _) => SHORT_OF_MEMORY,
        };
        let shards = self.lock();
        let Some(own) = shards.get(shard).and_then(|reached| reached.watermark) else { return false };
        let others = shards.iter().filter(|(other, reached)| *other != shard && !reached.is_at_tip);
        let slowest = others.filter_map(|(_, reached)| reached.watermark).min();
        slowest.is_some_and(|slowest| own > slowest + max)
    }

    /// Changes whenever another shard does anything.
    fn moves_of_others(&self, shard: &ShardId) -> u64 {
        self.lock().iter().filter(|(other, _)| *other != shard).map(|(_, reached)| reached.moves).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardId, Reached>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemorySettings;

    fn drift(max: Option<Duration>) -> (Arc<Drift>, Arc<MemoryPool>) {
        let pool = MemoryPool::open(&MemorySettings { limit: 1000, spill: None }).unwrap();
        (Drift::new(max, Arc::clone(&pool)), pool)
    }

    #[test]
    fn only_what_is_ahead_waits_and_never_for_a_shard_at_its_tip() {
        let (drift, _) = drift(Some(Duration(100)));
        let (a, b) = (ShardId::from("a"), ShardId::from("b"));
        drift.moved(&a, EventTime(500));
        assert!(!drift.is_ahead(&a), "it is alone");
        drift.moved(&b, EventTime(399));
        assert!(drift.is_ahead(&a) && !drift.is_ahead(&b));
        drift.moved(&b, EventTime(400));
        assert!(!drift.is_ahead(&a), "as far as is allowed");
        drift.moved(&a, EventTime(900));
        assert!(drift.is_ahead(&a));
        drift.at_tip(&b);
        assert!(!drift.is_ahead(&a));
        drift.moved(&b, EventTime(401));
        drift.closed(&b);
        assert!(!drift.is_ahead(&a));
    }

    #[test]
    fn without_the_option_it_is_for_when_memory_is_short() {
        let (drift, pool) = drift(None);
        let (a, b) = (ShardId::from("a"), ShardId::from("b"));
        drift.moved(&a, EventTime(60_000));
        drift.moved(&b, EventTime(0));
        assert!(!drift.is_ahead(&a));
        let mut account = pool.share(&Arc::default()).account();
        account.set(850);
        assert!(drift.is_ahead(&a) && !drift.is_ahead(&b));
    }
}
