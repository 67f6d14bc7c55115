//! How far event time has come: per shard, and over all shards of an input.
//!
//! A shard's watermark says «no row before this will come from here, or it counts as disordered beyond the declared
//! delay». The input's watermark is the least of those of its active shards, and it never goes back. Pure state: events
//! and the current time come in, the watermark comes out.

use std::collections::BTreeMap;

use crate::{Duration, EventTime, ShardId};

/// What a shard is doing, seen from the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// Opened, nothing read yet: holds the watermark at its parents' final one.
    Pending,
    /// Being read.
    Active,
    /// At its tip, and nothing came for the idle timeout: out of the minimum.
    Idle,
    /// Read to its end after a split or merge: out of the minimum for good.
    Closed,
}

impl ShardState {
    /// Whether event time waits for the shard.
    pub fn counts(self) -> bool {
        matches!(self, Self::Active | Self::Pending)
    }

    /// The state of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Idle, Self::Closed].into_iter().find(|state| state.word() == word)
    }

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Closed => "closed",
        }
    }
}

/// What to do when no shard is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Close what the data of the furthest shard justifies.
    Close,
    /// Wait for data.
    Hold,
    /// Let the wall clock, less the delay, close windows without new data.
    WallClock,
}

/// One shard's part in the watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardProgress {
    pub state: ShardState,
    /// Never goes back.
    pub watermark: EventTime,
    /// When the shard was last seen to move, on the clock's axis.
    moved_at: EventTime,
    /// Everything that arrived before this has been read; `None` while records are known to be waiting.
    tip: Option<EventTime>,
}

/// The watermark of an input.
///
/// ```
/// use millstream_core::{Duration, EventTime, IdlePolicy, ShardId, Watermarks};
/// let mut watermarks = Watermarks::new(Some(Duration::from_secs(5)), IdlePolicy::Close, Duration(0));
/// let (a, b) = (ShardId::from("a"), ShardId::from("b"));
/// watermarks.open(&a, &[], EventTime(0));
/// watermarks.open(&b, &[], EventTime(0));
/// watermarks.observe(&a, EventTime(9_000), EventTime(1));
/// watermarks.observe(&b, EventTime(7_000), EventTime(1));
/// assert_eq!(watermarks.advance(EventTime(1)), EventTime(7_000));
/// ```
#[derive(Clone, Debug)]
pub struct Watermarks {
    shards: BTreeMap<ShardId, ShardProgress>,
    global: EventTime,
    idle_timeout: Option<Duration>,
    idle_policy: IdlePolicy,
    delay: Duration,
}

impl Watermarks {
    /// No shards yet. Without an idle timeout shards never become idle. `delay` is the declared disorder.
    pub fn new(idle_timeout: Option<Duration>, idle_policy: IdlePolicy, delay: Duration) -> Self {
        Self { shards: BTreeMap::new(), global: EventTime::MIN, idle_timeout, idle_policy, delay }
    }

    /// Goes on where an earlier process was. Silence counts from `now`.
    pub fn restore(
        &mut self,
        global: EventTime,
        shards: impl IntoIterator<Item = (ShardId, ShardState, EventTime)>,
        now: EventTime,
    ) {
        self.global = global;
        let progress =
            |(shard, state, watermark)| (shard, ShardProgress { state, watermark, moved_at: now, tip: None });
        self.shards.extend(shards.into_iter().map(progress));
    }

    /// A shard is going to be read. A child starts where its parents ended; a new shard without known parents does
    /// not pull the watermark back, because the watermark never goes back.
    pub fn open(&mut self, shard: &ShardId, parents: &[ShardId], now: EventTime) {
        let inherited =
            parents.iter().filter_map(|parent| self.shards.get(parent)).map(|parent| parent.watermark).min();
        self.shards.entry(shard.clone()).or_insert(ShardProgress {
            state: ShardState::Pending,
            watermark: inherited.unwrap_or(EventTime::MIN),
            moved_at: now,
            tip: None,
        });
    }

    /// A shard's rows justify `watermark`.
    pub fn observe(&mut self, shard: &ShardId, watermark: EventTime, now: EventTime) {
        let global = self.global;
        let Some(progress) = self.shards.get_mut(shard) else { return };
        progress.watermark = progress.watermark.max(watermark);
        progress.moved_at = now;
        progress.tip = None;
        match progress.state {
            // A shard that returns counts again once it has caught up; until then its rows are taken if their windows
            // are still open.
            ShardState::Idle if progress.watermark < global => {}
            ShardState::Idle | ShardState::Pending => progress.state = ShardState::Active,
            ShardState::Active | ShardState::Closed => {}
        }
    }

    /// A shard's reader has seen everything that arrived before `as_of`. Silence counts up to there and no further: what
    /// came since may be on its way. Of a shard that was opened before the clock of a replay began, it counts from here.
    pub fn at_tip(&mut self, shard: &ShardId, as_of: EventTime) {
        if let Some(progress) = self.shards.get_mut(shard) {
            progress.tip = Some(as_of);
            if progress.moved_at == EventTime::MIN {
                progress.moved_at = as_of;
            }
        }
    }

    /// A shard has been read to its end.
    pub fn close(&mut self, shard: &ShardId) {
        if let Some(progress) = self.shards.get_mut(shard) {
            progress.state = ShardState::Closed;
        }
    }

    /// The whole input has ended: nothing will come any more.
    pub fn end(&mut self) {
        self.global = EventTime::MAX;
    }

    /// Recomputes and answers the input's watermark. Call it after observations and on a timer.
    pub fn advance(&mut self, now: EventTime) -> EventTime {
        if let Some(timeout) = self.idle_timeout {
            for progress in self.shards.values_mut() {
                if progress.state.counts() && progress.tip.is_some_and(|tip| tip - progress.moved_at >= timeout) {
                    progress.state = ShardState::Idle;
                }
            }
        }
        let holding = |progress: &&ShardProgress| progress.state.counts();
        let least = self.shards.values().filter(holding).map(|progress| progress.watermark).min();
        let justified = match (least, self.idle_policy) {
            (Some(least), _) => least,
            (None, IdlePolicy::Hold) => self.global,
            (None, IdlePolicy::Close) => self.furthest(),
            (None, IdlePolicy::WallClock) if self.shards.is_empty() => self.global,
            (None, IdlePolicy::WallClock) => self.furthest().max(now - self.delay),
        };
        self.global = self.global.max(justified);
        self.global
    }

    /// The input's watermark as last computed.
    pub fn global(&self) -> EventTime {
        self.global
    }

    /// Every shard with its part, for those who ask which one holds the watermark back.
    pub fn shards(&self) -> impl Iterator<Item = (&ShardId, &ShardProgress)> {
        self.shards.iter()
    }

    fn furthest(&self) -> EventTime {
        self.shards.values().map(|progress| progress.watermark).max().unwrap_or(EventTime::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration(1000);

    fn two_shards(policy: IdlePolicy) -> (Watermarks, ShardId, ShardId) {
        let mut watermarks = Watermarks::new(Some(TIMEOUT), policy, Duration(100));
        let (a, b) = (ShardId::from("a"), ShardId::from("b"));
        watermarks.open(&a, &[], EventTime(0));
        watermarks.open(&b, &[], EventTime(0));
        (watermarks, a, b)
    }

    #[test]
    fn the_slowest_shard_decides_and_nothing_goes_back() {
        let (mut watermarks, a, b) = two_shards(IdlePolicy::Close);
        watermarks.observe(&a, EventTime(50), EventTime(0));
        assert_eq!(watermarks.advance(EventTime(0)), EventTime::MIN, "b has shown nothing yet");
        watermarks.observe(&b, EventTime(30), EventTime(0));
        assert_eq!(watermarks.advance(EventTime(0)), EventTime(30));
        watermarks.observe(&b, EventTime(10), EventTime(0));
        assert_eq!(watermarks.advance(EventTime(0)), EventTime(30));
    }

    #[test]
    fn a_shard_is_idle_only_at_its_tip_and_after_the_timeout() {
        let (mut watermarks, a, b) = two_shards(IdlePolicy::Close);
        watermarks.observe(&a, EventTime(50), EventTime(999));
        watermarks.observe(&b, EventTime(10), EventTime(0));
        assert_eq!(watermarks.advance(EventTime(1500)), EventTime(10), "b may be behind");
        watermarks.at_tip(&b, EventTime(999));
        assert_eq!(watermarks.advance(EventTime(5000)), EventTime(10), "what came since may be on its way");
        watermarks.at_tip(&b, EventTime(1000));
        assert_eq!(watermarks.advance(EventTime(5000)), EventTime(50));
    }

    #[test]
    fn a_shard_opened_before_time_began_is_not_idle_at_once() {
        let (mut watermarks, a, b) = two_shards(IdlePolicy::Close);
        let c = ShardId::from("c");
        watermarks.open(&c, &[], EventTime::MIN);
        watermarks.observe(&a, EventTime(50), EventTime(5000));
        watermarks.observe(&b, EventTime(60), EventTime(5000));
        watermarks.at_tip(&c, EventTime(5000));
        assert_eq!(watermarks.advance(EventTime(5000)), EventTime::MIN);
        watermarks.at_tip(&c, EventTime(6000));
        assert_eq!(watermarks.advance(EventTime(6000)), EventTime(50));
    }

    #[test]
    fn a_returning_shard_counts_once_it_has_caught_up() {
        let (mut watermarks, a, b) = two_shards(IdlePolicy::Close);
        watermarks.observe(&a, EventTime(50), EventTime(900));
        watermarks.observe(&b, EventTime(10), EventTime(0));
        watermarks.at_tip(&b, EventTime(1000));
        assert_eq!(watermarks.advance(EventTime(1000)), EventTime(50));
        watermarks.observe(&b, EventTime(20), EventTime(1001));
        watermarks.observe(&a, EventTime(60), EventTime(1001));
        assert_eq!(watermarks.advance(EventTime(1001)), EventTime(60), "b is still behind and does not hold");
        watermarks.observe(&b, EventTime(65), EventTime(1002));
        watermarks.observe(&a, EventTime(90), EventTime(1002));
        assert_eq!(watermarks.advance(EventTime(1002)), EventTime(65), "b holds again");
    }

    #[test]
    fn when_all_are_idle_the_policy_decides() {
        for (policy, expected) in [(IdlePolicy::Close, 50), (IdlePolicy::Hold, 10), (IdlePolicy::WallClock, 5000 - 100)]
        {
            let (mut watermarks, a, b) = two_shards(policy);
            watermarks.observe(&a, EventTime(50), EventTime(0));
            watermarks.observe(&b, EventTime(10), EventTime(0));
            assert_eq!(watermarks.advance(EventTime(0)), EventTime(10));
            watermarks.at_tip(&a, EventTime(5000));
            watermarks.at_tip(&b, EventTime(5000));
            assert_eq!(watermarks.advance(EventTime(5000)), EventTime(expected), "{policy:?}");
        }
    }

    #[test]
    fn a_child_holds_at_its_parents_end_until_it_is_read() {
        let (mut watermarks, a, b) = two_shards(IdlePolicy::Close);
        watermarks.observe(&a, EventTime(50), EventTime(0));
        watermarks.observe(&b, EventTime(90), EventTime(0));
        let child = ShardId::from("c");
        watermarks.open(&child, std::slice::from_ref(&a), EventTime(0));
        watermarks.close(&a);
        assert_eq!(watermarks.advance(EventTime(0)), EventTime(50));
        watermarks.observe(&child, EventTime(70), EventTime(0));
        assert_eq!(watermarks.advance(EventTime(0)), EventTime(70));
    }
}
