//! Points and lengths on the time axis that queries see: milliseconds, UTC, signed.
//!
//! Event time and arrival time share one axis. The wall clock comes in through [`Clock`], so that a replay can
//! run on the arrival times of its records and a test on a clock of its own.

use std::fmt;
use std::ops::{Add, Sub};

use crate::BoxFuture;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

/// A length of time in milliseconds; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl EventTime {
    /// Before every point a record can carry: the watermark of a shard that has shown nothing yet.
    pub const MIN: Self = Self(i64::MIN);
    /// After every point a record can carry: the watermark of an input that has ended.
    pub const MAX: Self = Self(i64::MAX);
}

impl Duration {
    /// A length given in seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    /// For timers: `std`'s duration, zero when negative.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl Add<Duration> for EventTime {
    type Output = Self;
    /// Saturates, so that `MIN` and `MAX` stay what they are.
    fn add(self, by: Duration) -> Self {
        match self {
            Self::MIN | Self::MAX => self,
            Self(at) => Self(at.saturating_add(by.0)),
        }
    }
}

impl Sub<Duration> for EventTime {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        self.add(Duration(by.0.saturating_neg()))
    }
}

impl Sub for EventTime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for EventTime {
    /// ISO 8601 with milliseconds, as results print it: `2026-01-01T00:00:00.000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match arrow::temporal_conversions::timestamp_ms_to_datetime(self.0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.3f")),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// Where the current time comes from, and the only way to wait for it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> EventTime;

    /// Resolves once `length` has passed.
    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_do_not_move() {
        assert_eq!(EventTime::MIN - Duration::from_secs(5), EventTime::MIN);
        assert_eq!(EventTime::MAX + Duration::from_secs(5), EventTime::MAX);
        assert_eq!(EventTime(i64::MAX - 1) + Duration(5), EventTime::MAX);
    }

    #[test]
    fn prints_iso_8601_with_milliseconds() {
        assert_eq!(EventTime(0).to_string(), "1970-01-01T00:00:00.000");
        assert_eq!(EventTime(-1).to_string(), "1969-12-31T23:59:59.999");
    }
}
