//! Time as a replay tells it: it stands still until a record arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::{BoxFuture, Clock, Duration, EventTime};

/// A clock that replays move: now is the newest arrival sent. Sleepers wake when a record has arrived that much later,
/// and never otherwise.
pub struct ReplayClock {
    state: Arc<Mutex<State>>,
}

struct State {
    now: EventTime,
    sleepers: Vec<Waker>,
}

impl ReplayClock {
    /// A clock that starts at the replay's first arrival.
    pub(super) fn new(start: EventTime) -> Self {
        Self { state: Arc::new(Mutex::new(State { now: start, sleepers: Vec::new() })) }
    }

    /// Moves on to `now`; never back.
    pub(super) fn advance(&self, now: EventTime) {
        let sleepers = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if now <= state.now {
                return;
            }
            state.now = now;
            std::mem::take(&mut state.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }
}

impl Clock for ReplayClock {
    fn now(&self) -> EventTime {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { state: Arc::clone(&self.state), until: self.now() + length })
    }
}

struct Sleep {
    state: Arc<Mutex<State>>,
    until: EventTime,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.now >= self.until {
            return Poll::Ready(());
        }
        if !state.sleepers.iter().any(|sleeper| sleeper.will_wake(context.waker())) {
            state.sleepers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_sleeper_wakes_when_enough_time_has_been_replayed() {
        let clock = ReplayClock::new(EventTime(1000));
        let mut sleep = clock.sleep(Duration(500));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(EventTime(1499));
        clock.advance(EventTime(0));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(EventTime(1500));
        assert!(sleep.now_or_never().is_some());
        assert_eq!(clock.now(), EventTime(1500));
    }
}
