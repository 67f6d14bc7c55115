//! The turnstile that the readers of one replay share: it lets them through one at a time, whoever is furthest behind
//! first.
//!
//! A reader takes a turn by saying how far it is, and gets it when every other reader is further, or as far and was made
//! later. Until it asks for its next turn the others wait. So all readers go through the replay's rounds together, and
//! always in the same order.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// See the module.
#[derive(Default)]
pub(super) struct Turnstile(Mutex<BTreeMap<u64, Place>>);

/// How far a reader is, and how to wake it if it waits there.
#[derive(Default)]
struct Place {
    at: u64,
    waiting: Option<Waker>,
}

/// One reader at the turnstile; dropping it lets the others go on without it.
pub(super) struct Reader {
    turnstile: Arc<Turnstile>,
    number: u64,
}

impl Turnstile {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose turn it is.
fn next(places: &BTreeMap<u64, Place>) -> Option<u64> {
    places.iter().min_by_key(|(number, place)| (place.at, **number)).map(|(number, _)| *number)
}

/// Wakes whoever has the turn now, and nobody else: there are as many turns as rounds and readers.
fn wake_next(places: &mut BTreeMap<u64, Place>) {
    let waiting = next(places).and_then(|number| places.get_mut(&number)).and_then(|place| place.waiting.take());
    waiting.into_iter().for_each(Waker::wake);
}

impl Reader {
    /// A reader that has not begun: the others wait for it from now on.
    pub(super) fn register(turnstile: &Arc<Turnstile>) -> Self {
        let mut places = turnstile.lock();
        let number = places.last_key_value().map_or(0, |(last, _)| last + 1);
        places.insert(number, Place::default());
        drop(places);
        Self { turnstile: Arc::clone(turnstile), number }
    }

    /// Goes on to a place, and waits for the turn there.
    pub(super) async fn turn(&self, place: u64) {
        {
            let mut places = self.turnstile.lock();
            places.insert(self.number, Place { at: place, waiting: None });
            wake_next(&mut places);
        }
        poll_fn(|context| {
            let mut places = self.turnstile.lock();
            if next(&places) == Some(self.number) {
                return Poll::Ready(());
            }
            places.insert(self.number, Place { at: place, waiting: Some(context.waker().clone()) });
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut places = self.turnstile.lock();
        places.remove(&self.number);
        wake_next(&mut places);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn whoever_is_behind_goes_first_and_ties_go_to_the_first_made() {
        let turnstile = Arc::new(Turnstile::default());
        let (a, b) = (Reader::register(&turnstile), Reader::register(&turnstile));
        assert!(b.turn(0).now_or_never().is_none(), "a was made first");
        assert!(a.turn(0).now_or_never().is_some());
        assert!(a.turn(1).now_or_never().is_none(), "b is behind");
        assert!(b.turn(0).now_or_never().is_some());
        assert!(b.turn(5).now_or_never().is_none());
        assert!(a.turn(1).now_or_never().is_some());
        assert!(a.turn(5).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_waits_is_woken_when_another_leaves() {
        let turnstile = Arc::new(Turnstile::default());
        let (a, b) = (Reader::register(&turnstile), Reader::register(&turnstile));
        let mut waiting = std::pin::pin!(b.turn(1));
        assert!((&mut waiting).now_or_never().is_none());
        drop(a);
        waiting.await;
    }

    #[test]
    fn who_was_made_and_never_began_is_waited_for() {
        let turnstile = Arc::new(Turnstile::default());
        let (a, b) = (Reader::register(&turnstile), Reader::register(&turnstile));
        assert!(a.turn(1).now_or_never().is_none());
        drop(b);
        assert!(a.turn(1).now_or_never().is_some());
    }
}
