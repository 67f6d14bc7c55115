//! A rate: so much a second, of which a second's worth may come at once.

/// How much of a rate is used up, told by when it will be free again. An unused one is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Microseconds since 1970.
    free_at_us: i64,
}

const SECOND_US: i64 = 1_000_000;

impl Bucket {
    /// Whether an amount fits, which is then used up. What is more than a second's worth fits into an unused bucket:
    /// AWS takes large records so, and has later ones wait the longer.
    pub(super) fn take(&mut self, now_ms: i64, amount: usize, per_second: u32) -> bool {
        let used = self.used_us(now_ms);
        let cost = cost_us(amount, per_second);
        if used > 0 && used + cost > SECOND_US {
            return false;
        }
        self.free_at_us = micros(now_ms) + used + cost;
        true
    }

    /// Uses up an amount, whether it fits or not.
    pub(super) fn charge(&mut self, now_ms: i64, amount: usize, per_second: u32) {
        self.free_at_us = micros(now_ms) + self.used_us(now_ms) + cost_us(amount, per_second);
    }

    /// Whether nothing is used up.
    pub(super) fn is_free(self, now_ms: i64) -> bool {
        self.used_us(now_ms) == 0
    }

    fn used_us(self, now_ms: i64) -> i64 {
        (self.free_at_us - micros(now_ms)).max(0)
    }
}

fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1000)
}

fn cost_us(amount: usize, per_second: u32) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(SECOND_US) / i64::from(per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_what_the_rate_says_and_then_it_trickles() {
        let mut bucket = Bucket::default();
        assert_eq!((0..10).filter(|_| bucket.take(5000, 1, 5)).count(), 5);
        assert_eq!((0..10).filter(|_| bucket.take(5199, 1, 5)).count(), 0);
        assert_eq!((0..10).filter(|_| bucket.take(5200, 1, 5)).count(), 1);
        assert_eq!((0..10).filter(|_| bucket.take(60_000, 1, 5)).count(), 5);
    }

    #[test]
    fn what_is_too_much_for_a_second_fits_once_and_delays_the_rest() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(0, 10, 1));
        assert!(!bucket.take(9_000, 1, 1));
        assert!(bucket.take(10_000, 1, 1));
    }

    #[test]
    fn what_was_charged_must_pass_before_it_is_free() {
        let mut bucket = Bucket::default();
        bucket.charge(1000, 10, 2);
        assert!(!bucket.is_free(5999));
        assert!(bucket.is_free(6000));
    }
}
