//! Rows by the time at which they have waited long enough: coarsely in order, so that to add one costs little.

use std::collections::BTreeMap;

use millstream_core::EventTime;

/// Rows that are due within so many milliseconds are together, in no order.
const WIDTH_MS: i64 = 256;

/// See the module.
#[derive(Default)]
pub(super) struct Due(BTreeMap<i64, Vec<(EventTime, u64)>>);

impl Due {
    pub(super) fn push(&mut self, due: EventTime, number: u64) {
        self.0.entry(due.0.div_euclid(WIDTH_MS)).or_default().push((due, number));
    }

    /// The time at which the first is due.
    pub(super) fn first(&self) -> Option<EventTime> {
        self.0.first_key_value()?.1.iter().map(|(due, _)| *due).min()
    }

    /// Takes out all that are due before a time, in order; at the end of time all there are.
    pub(super) fn take_before(&mut self, time: EventTime) -> Vec<(EventTime, u64)> {
        let mut taken = Vec::new();
        while let Some(mut bucket) = self.0.first_entry() {
            let from = taken.len();
            taken.extend(bucket.get_mut().extract_if(.., |(due, _)| *due < time || time == EventTime::MAX));
            taken[from..].sort_unstable();
            if !bucket.get().is_empty() {
                break;
            }
            bucket.remove();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order() {
        let mut due = Due::default();
        for (number, time) in (0..).zip([900, 10, 300, 5, 301, -1, 299]) {
            due.push(EventTime(time), number);
        }
        assert_eq!(due.first(), Some(EventTime(-1)));
        let times = |taken: Vec<(EventTime, u64)>| taken.into_iter().map(|(due, _)| due.0).collect::<Vec<_>>();
        assert_eq!(times(due.take_before(EventTime(300))), [-1, 5, 10, 299]);
        assert_eq!(due.first(), Some(EventTime(300)));
        assert_eq!(times(due.take_before(EventTime(300))), Vec::<i64>::new());
        assert_eq!(times(due.take_before(EventTime::MAX)), [300, 301, 900]);
        assert_eq!(due.first(), None);
    }
}
