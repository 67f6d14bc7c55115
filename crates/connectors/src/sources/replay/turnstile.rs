//! The turnstile that the readers of one replay share: it lets them through one at a time, whoever is furthest behind
//! first.
//!
//! A reader takes a turn by saying how far it is, and gets it when every other reader is further, or as far and was made
//! later. Until it asks for its next turn the others wait. So all readers go through the replay's rounds together, and
//! always in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// See the module.
#[derive(Default)]
pub(super) struct Turnstile {
    /// Readers by number, with the place each one is at.
    places: watch::Sender<BTreeMap<u64, u64>>,
}

/// One reader at the turnstile; dropping it lets the others go on without it.
pub(super) struct Reader {
    turnstile: Arc<Turnstile>,
    number: u64,
}

impl Reader {
    /// A reader that has not begun: the others wait for it from now on.
    pub(super) fn register(turnstile: &Arc<Turnstile>) -> Self {
        let mut number = 0;
        turnstile.places.send_modify(|places| {
            number = places.last_key_value().map_or(0, |(last, _)| last + 1);
            places.insert(number, 0);
        });
        Self { turnstile: Arc::clone(turnstile), number }
    }

    /// Goes on to a place, and waits for the turn there.
    pub(super) async fn turn(&self, place: u64) {
        self.turnstile.places.send_modify(|places| {
            places.insert(self.number, place);
        });
        let is_next =
            |places: &BTreeMap<u64, u64>| places.iter().all(|(number, at)| (*at, *number) >= (place, self.number));
        // It only fails without a sender, and the turnstile is one.
        let _ = self.turnstile.places.subscribe().wait_for(is_next).await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.turnstile.places.send_modify(|places| {
            places.remove(&self.number);
        });
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
