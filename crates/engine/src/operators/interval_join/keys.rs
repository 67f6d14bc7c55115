//! The rows of both sides of a join by key, in the order of time.

use std::collections::VecDeque;

use datafusion::common::HashMap;
use millstream_core::EventTime;

/// The place of a key.
pub(super) type Place = usize;

/// See the module. A row is known by its number on its side.
#[derive(Default)]
pub(super) struct Keys {
    places: HashMap<Box<[u8]>, Place>,
    rows: Vec<KeyRows>,
    /// Places that are free again.
    free: Vec<Place>,
}

#[derive(Default)]
struct KeyRows {
    key: Box<[u8]>,
    sides: [VecDeque<(EventTime, u64)>; 2],
}

impl Keys {
    /// Adds a row of a side; answers the place of its key.
    pub(super) fn insert(&mut self, side: usize, key: &[u8], time: EventTime, number: u64) -> Place {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => self.add(key),
        };
        let rows = &mut self.rows[place].sides[side];
        // Rows come nearly in the order of time.
        let behind = rows.iter().rev().take_while(|row| **row > (time, number)).count();
        rows.insert(rows.len() - behind, (time, number));
        place
    }

    fn add(&mut self, key: &[u8]) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.rows.push(KeyRows::default());
            self.rows.len() - 1
        });
        self.rows[place].key = key.into();
        self.places.insert(key.into(), place);
        place
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, side: usize, place: Place, time: EventTime, number: u64) {
        let of = &mut self.rows[place];
        let rows = &mut of.sides[side];
        // The oldest mostly goes first.
        if rows.front() == Some(&(time, number)) {
            rows.pop_front();
        } else if let Ok(at) = rows.binary_search(&(time, number)) {
            rows.remove(at);
        }
        if of.sides.iter().all(VecDeque::is_empty) {
            self.places.remove(&of.key);
            *of = KeyRows::default();
            self.free.push(place);
        }
    }

    /// The rows of a side with the key and a time from `from` to `to`.
    pub(super) fn between(
        &self,
        side: usize,
        place: Place,
        from: EventTime,
        to: EventTime,
    ) -> impl Iterator<Item = u64> + '_ {
        let rows = &self.rows[place].sides[side];
        let first = rows.partition_point(|(time, _)| *time < from);
        rows.range(first..).take_while(move |(time, _)| *time <= to).map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_key_are_in_the_order_of_time_and_keys_without_rows_go() {
        let mut keys = Keys::default();
        let at = |time: i64| EventTime(time);
        let place = keys.insert(0, b"a", at(5), 0);
        for (time, number) in [(3, 1), (9, 2), (5, 3), (4, 4)] {
            assert_eq!(keys.insert(0, b"a", at(time), number), place);
        }
        let other = keys.insert(1, b"b", at(1), 0);
        let found = |keys: &Keys, from, to| keys.between(0, place, at(from), at(to)).collect::<Vec<_>>();
        assert_eq!(found(&keys, 0, 10), [1, 4, 0, 3, 2]);
        assert_eq!(found(&keys, 4, 5), [4, 0, 3]);
        assert_eq!(found(&keys, 6, 8), Vec::<u64>::new());
        assert_eq!(keys.between(1, place, at(0), at(10)).count(), 0);
        for (time, number) in [(3, 1), (9, 2), (5, 3), (4, 4), (5, 0)] {
            keys.remove(0, place, at(time), number);
        }
        assert_eq!(keys.insert(1, b"c", at(1), 1), place, "the place is free again");
        assert_eq!(keys.between(1, other, at(1), at(1)).collect::<Vec<_>>(), [0]);
    }
}
