//! The wall clock: the only place of this crate that reads it or waits for it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millstream_core::{BoxFuture, Clock, Duration, EventTime};

/// The time of this machine.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> EventTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        EventTime(since.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(length.to_std()))
    }
}

/// Measures how long something took.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "durations are measured here only")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
