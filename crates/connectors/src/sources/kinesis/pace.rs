//! When a shard is polled again: pure state, the time comes in.
//!
//! Kinesis gives all readers of a shard together five reads and 2 MB a second. Within that a shard is read at once while
//! records wait, and less and less often while none come. Where reads are refused though this reader keeps to the limits,
//! others read the shard too: then its share of both is halved, and grows back slowly.

use millstream_core::{Duration, EventTime};

/// What Kinesis gives in a second.
const BYTES_PER_SECOND: f64 = 2_000_000.0;
/// A reader keeps at least this much of a shard, however often it is refused: one of the twenty that a shard could serve
/// with a read every four seconds each.
const SHARE_MIN: f64 = 0.05;
/// A share grows back by so much a second: a minute from a half to all.
const SHARE_GROWTH_PER_SECOND: f64 = 1.0 / 120.0;
/// A silent shard is asked so much later each time.
const IDLE_GROWTH: f64 = 1.5;
/// After a refusal nothing is given for so long (longer after much was given, which the bytes account for).
const REFUSED: Duration = Duration(1000);

/// When one shard is read next.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    least: Duration,
    most: Duration,
    idle: Duration,
    share: f64,
    /// When the share was last looked at.
    at: Option<EventTime>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) bytes: usize,
    /// Whether there were records, or some wait.
    pub(super) has_more: bool,
}

impl Pace {
    /// A pace with at least `least` between two reads, and at most `most` while the shard is silent.
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most: most.max(least), idle: least, share: 1.0, at: None }
    }

    /// A read begun at `at` was answered; says how long after `at` the next one may begin.
    pub(super) fn answered(&mut self, at: EventTime, given: Given) -> Duration {
        let since = self.at.replace(at).map_or(0.0, |before| seconds(at - before).max(0.0));
        self.share = (self.share + since * SHARE_GROWTH_PER_SECOND).min(1.0);
        if given.has_more {
            self.idle = self.least;
        } else {
            let wait = self.idle;
            self.idle = scaled(self.idle, IDLE_GROWTH).min(self.most);
            return scaled(self.least, 1.0 / self.share).max(wait);
        }
        #[expect(clippy::cast_precision_loss, reason = "a page has some 20 MB at most")]
        let budget = given.bytes as f64 / BYTES_PER_SECOND;
        scaled(self.least.max(scaled(Duration(1000), budget)), 1.0 / self.share)
    }

    /// A read begun at `at` was refused, for more was asked than the shard gives; says how long to wait at least. `jitter`
    /// is from 0 to 1: readers that wait equally long would meet again, and always the same one would be served.
    pub(super) fn refused(&mut self, at: EventTime, jitter: f64) -> Duration {
        self.at = Some(at);
        self.share = (self.share / 2.0).max(SHARE_MIN);
        scaled(REFUSED.max(scaled(self.least, 1.0 / self.share)), 1.0 + jitter / 2.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations of a process's life")]
fn seconds(length: Duration) -> f64 {
    length.0 as f64 / 1000.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most minutes")]
pub(super) fn scaled(length: Duration, factor: f64) -> Duration {
    Duration((length.0 as f64 * factor).ceil() as i64)
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "minutes and megabytes")]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn pace() -> Pace {
        Pace::new(Duration(200), Duration(1000))
    }

    fn given(bytes: usize) -> Given {
        Given { bytes, has_more: true }
    }

    const SILENT: Given = Given { bytes: 0, has_more: false };

    /// Reads for this many milliseconds; answers the reads and the bytes of a second.
    fn read(pace: &mut Pace, from: i64, millis: i64, bytes: usize) -> (f64, f64) {
        let (mut at, mut reads) = (from, 0);
        while at < from + millis {
            at += pace.answered(EventTime(at), given(bytes)).0;
            reads += 1;
        }
        let per_second = 1000.0 / (at - from) as f64;
        (f64::from(reads) * per_second, f64::from(reads) * bytes as f64 * per_second)
    }

    #[test]
    fn five_reads_and_two_megabytes_a_second_are_never_passed() {
        for bytes in [0, 1000, 100_000, 400_000, 400_001, 1_000_000, 10_000_000, 20_000_000] {
            let (reads, megabytes) = read(&mut pace(), 0, 60_000, bytes);
            assert!(reads <= 5.0 && megabytes <= 2_000_000.0, "{bytes}: {reads} reads, {megabytes} bytes a second");
            assert!(reads > 4.9 || megabytes > 1_990_000.0, "{bytes}: all of it is used: {reads}, {megabytes}");
        }
        assert_eq!(pace().answered(EventTime(0), given(10_000_000)), Duration(5000), "after a full page");
    }

    #[test]
    fn a_silent_shard_is_asked_less_often_and_at_once_again_when_records_come() {
        let mut pace = pace();
        let waits: Vec<_> = (0..7).map(|n| pace.answered(EventTime(n * 1000), SILENT).0).collect();
        assert_eq!(waits, [200, 300, 450, 675, 1000, 1000, 1000]);
        assert_eq!(pace.answered(EventTime(8000), given(1)), Duration(200));
        assert_eq!(pace.answered(EventTime(8200), SILENT), Duration(200));
        let mut steady = Pace::new(Duration(500), Duration(100));
        assert_eq!([1, 2].map(|n| steady.answered(EventTime(n), SILENT).0), [500, 500], "never below the least");
    }

    #[test]
    fn a_refused_reader_takes_half_and_gets_it_back_in_a_minute() {
        let mut pace = pace();
        assert_eq!(pace.clone().refused(EventTime(0), 1.0), Duration(1500));
        assert_eq!(pace.refused(EventTime(0), 0.0), Duration(1000));
        assert_eq!(pace.answered(EventTime(0), given(1)), Duration(400));
        assert_eq!(pace.answered(EventTime(0), given(2_000_000)), Duration(2000));
        assert_eq!(pace.answered(EventTime(30_000), given(1)), Duration(267));
        assert_eq!(pace.answered(EventTime(60_000), given(1)), Duration(200));
        assert_eq!(pace.answered(EventTime(600_000), given(1)), Duration(200));
    }

    #[test]
    fn a_reader_that_is_always_refused_keeps_a_share() {
        let mut pace = pace();
        let waits: Vec<_> = (0..8).map(|n| pace.refused(EventTime(n), 0.0).0).collect();
        assert_eq!(waits, [1000, 1000, 1600, 3200, 4000, 4000, 4000, 4000]);
    }

    #[test]
    fn three_readers_of_a_shard_share_it() {
        // The shard answers five reads a second, as a bucket that is filled steadily.
        let mut readers = [pace(), pace(), pace()];
        let (mut next, mut answered, mut refused) = ([0, 70, 140], [0_u32; 3], 0);
        let (mut tokens, mut last, mut random) = (5.0_f64, 0_i64, SmallRng::seed_from_u64(7));
        while let Some((reader, &at)) =
            next.iter().enumerate().min_by_key(|(_, at)| **at).filter(|(_, at)| **at < 600_000)
        {
            tokens = (tokens + (at - last) as f64 / 200.0).min(5.0);
            last = at;
            next[reader] += if tokens >= 1.0 {
                tokens -= 1.0;
                answered[reader] += 1;
                readers[reader].answered(EventTime(at), given(1)).0
            } else {
                refused += 1;
                readers[reader].refused(EventTime(at), random.random()).0
            };
        }
        let all: u32 = answered.iter().sum();
        assert!(all > 2000, "two thirds of 3,000 are used: {answered:?}");
        assert!(answered.iter().all(|reads| *reads > all / 5), "nobody starves: {answered:?}");
        assert!(refused < all / 5, "few are refused: {refused} of {all}");
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut pace = pace();
        pace.refused(EventTime(1_000_000), 0.0);
        assert_eq!(pace.answered(EventTime(0), given(1)), Duration(400));
    }
}
