//! The most frequent items of a stream: Space-Saving (Metwally, Agrawal and El Abbadi 2005).
//!
//! There are `COUNTERS` counters. As long as there are no more different items, all counts are exact. After that a new
//! item takes the counter of the rarest one and goes on from its count, so that of n items taken
//! - every item that came more than n / `COUNTERS` times has a counter, and
//! - no count is too small, and none is too large by more than n / `COUNTERS`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use crate::saved::{self, LoadError};

const COUNTERS: usize = TopK::ITEMS_MAX;

/// What a counter takes besides its item's bytes: the entry of the map with its spare room, and that of the heap.
const COUNTER_BYTES: usize = 96;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Counter {
    count: u64,
    /// How many items had been taken when this one got the counter.
    since: u64,
}

type Rarest = BinaryHeap<Reverse<(Counter, Vec<u8>)>>;

/// An item and how often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub item: Vec<u8>,
    pub count: u64,
}

/// Finds the most frequent items.
///
/// ```
/// use millstream_analytics::TopK;
/// let mut items = TopK::default();
/// for item in ["b", "a", "b", "c", "a", "b"] {
///     items.add(item.as_bytes());
/// }
/// let top: Vec<_> = items.top(2).into_iter().map(|top| (top.item, top.count)).collect();
/// assert_eq!(top, [(b"b".to_vec(), 3), (b"a".to_vec(), 2)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TopK {
    taken: u64,
    counters: HashMap<Vec<u8>, Counter>,
    /// The rarest item first, once counters are scarce. Entries are of counts that may have grown since.
    rarest: Option<Rarest>,
    item_bytes: usize,
}

impl TopK {
    /// How many items can be told. As many as AWS counts exactly where it counts distinct ones; with short items they
    /// take about a megabyte.
    pub const ITEMS_MAX: usize = 10_000;

    pub fn add(&mut self, item: &[u8]) {
        self.taken += 1;
        if let Some(counter) = self.counters.get_mut(item) {
            counter.count += 1;
            return;
        }
        let inherited = if self.counters.len() < COUNTERS { 0 } else { self.evict() };
        let counter = Counter { count: inherited + 1, since: self.taken };
        self.item_bytes += item.len();
        self.counters.insert(item.to_vec(), counter);
        if let Some(rarest) = &mut self.rarest {
            rarest.push(Reverse((counter, item.to_vec())));
        }
    }

    /// Takes the counter of the rarest item, and of those the one that has had its longest; answers its count.
    fn evict(&mut self) -> u64 {
        let counters = &self.counters;
        let rarest = self
            .rarest
            .get_or_insert_with(|| counters.iter().map(|(item, counter)| Reverse((*counter, item.clone()))).collect());
        while let Some(Reverse((counter, item))) = rarest.pop() {
            let now = self.counters[&item];
            if now == counter {
                self.counters.remove(&item);
                self.item_bytes -= item.len();
                return counter.count;
            }
            rarest.push(Reverse((now, item)));
        }
        0
    }

    /// At most `k` items, the most frequent first, and of equally frequent ones that which came first.
    pub fn top(&self, k: usize) -> Vec<Counted> {
        let mut all: Vec<_> = self.counters.iter().collect();
        all.sort_unstable_by_key(|(_, counter)| (Reverse(counter.count), counter.since));
        all.truncate(k);
        all.into_iter().map(|(item, counter)| Counted { item: item.clone(), count: counter.count }).collect()
    }

    /// By how much a count may be too large.
    pub fn error_max(&self) -> u64 {
        if self.rarest.is_some() { self.taken / COUNTERS as u64 } else { 0 }
    }

    pub fn bytes(&self) -> usize {
        let copies = if self.rarest.is_some() { 2 } else { 1 };
        self.counters.len() * COUNTER_BYTES + self.item_bytes * copies
    }

    pub fn save(&self) -> Vec<u8> {
        let mut counters: Vec<_> = self.counters.iter().collect();
        counters.sort_unstable_by_key(|(_, counter)| counter.since);
        saved::save(&(self.taken, self.rarest.is_some(), counters))
    }

    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let (taken, scarce, counters): (u64, bool, Vec<(Vec<u8>, Counter)>) = saved::load(bytes)?;
        let rarest = scarce.then(|| counters.iter().map(|(item, counter)| Reverse((*counter, item.clone()))).collect());
        let item_bytes = counters.iter().map(|(item, _)| item.len()).sum();
        Ok(Self { taken, counters: counters.into_iter().collect(), rarest, item_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Items whose nth comes with a frequency of 1 / n: a Zipf distribution, drawn by the inverse of its continuous form.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "items are small and positive")]
    fn zipf(random: &mut Random, different: f64) -> u32 {
        different.powf(random.fraction()) as u32
    }

    #[test]
    fn few_items_are_counted_exactly_and_ties_go_by_the_first() {
        let mut items = TopK::default();
        for item in ["x", "b", "a", "b", "a", "c"] {
            items.add(item.as_bytes());
        }
        let top: Vec<_> =
            items.top(3).into_iter().map(|top| (String::from_utf8(top.item).unwrap(), top.count)).collect();
        assert_eq!(top, [("b".to_owned(), 2), ("a".to_owned(), 2), ("x".to_owned(), 1)]);
        assert_eq!((items.error_max(), items.top(9).len()), (0, 4));
    }

    #[test]
    fn skewed_items_are_counted_within_the_stated_error() {
        let mut items = TopK::default();
        let mut random = Random::new(7);
        let mut exact = HashMap::<u32, u64>::new();
        for _ in 0..300_000 {
            let item = zipf(&mut random, 1e6);
            *exact.entry(item).or_default() += 1;
            items.add(&item.to_le_bytes());
        }
        assert!(exact.len() > 3 * COUNTERS, "{}", exact.len());
        assert_eq!(items.error_max(), 30);
        let held: HashMap<u32, u64> = items
            .top(COUNTERS)
            .into_iter()
            .map(|top| (u32::from_le_bytes(top.item.try_into().unwrap()), top.count))
            .collect();
        for (item, count) in &held {
            let exact = exact[item];
            assert!((exact..=exact + items.error_max()).contains(count), "{item}: {count} for {exact}");
        }
        assert!(exact.iter().all(|(item, count)| *count <= items.error_max() || held.contains_key(item)));
        let mut most: Vec<_> = exact.into_iter().collect();
        most.sort_unstable_by_key(|(item, count)| (Reverse(*count), *item));
        let top: Vec<_> = items.top(10).into_iter().map(|top| top.item).collect();
        assert_eq!(top, most[..10].iter().map(|(item, _)| item.to_le_bytes().to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn saved_and_loaded_it_goes_on_the_same() {
        for before in [10, 9_999, 10_001, 50_000] {
            let mut random = Random::new(1);
            let mut straight = TopK::default();
            for _ in 0..before {
                straight.add(&zipf(&mut random, 1e7).to_le_bytes());
            }
            let bytes = straight.save();
            let mut loaded = TopK::load(&bytes).unwrap();
            for _ in 0..20_000 {
                let item = zipf(&mut random, 1e7).to_le_bytes();
                straight.add(&item);
                loaded.add(&item);
            }
            assert_eq!(straight.top(COUNTERS), loaded.top(COUNTERS));
            assert_eq!(straight.save(), loaded.save());
            assert_eq!(straight.bytes(), loaded.bytes());
            assert!(TopK::load(&bytes[1..]).is_err());
        }
    }
}
