//! What arrives at a stream, and how many shards that takes.

use std::collections::{BTreeMap, HashMap};

use millstream_core::{Chunk, ShardId};

/// What one shard takes a second: AWS's limits of writing, the megabyte counted the smaller way.
const SHARD_BYTES: f64 = 1_000_000.0;
const SHARD_RECORDS: f64 = 1000.0;
/// Keys that are told apart; those that come first when there are more. What matters is one that has much, and that
/// comes early.
const KEYS_MAX: usize = 100_000;

/// Records and bytes that came within a time.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    shards: BTreeMap<ShardId, Count>,
    keys: HashMap<String, Count>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    records: u64,
    bytes: u64,
}

/// Rates of one shard, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub records_per_second: f64,
    pub bytes_per_second: f64,
}

/// How many shards are needed, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    pub shards: BTreeMap<ShardId, Rate>,
    pub total: Rate,
    /// So many shards take it all, with the headroom, if keys are spread evenly.
    pub shards_needed: u32,
    /// The key with the largest part of what a shard takes.
    pub hottest_key: Option<(String, Rate)>,
}

impl Rate {
    /// What part of one shard this takes: of its bytes or of its records, whichever is more.
    pub fn of_one_shard(&self) -> f64 {
        (self.bytes_per_second / SHARD_BYTES).max(self.records_per_second / SHARD_RECORDS)
    }
}

impl Rates {
    /// A shard that is there, even if nothing comes.
    pub fn add_shard(&mut self, shard: &ShardId) {
        self.shards.entry(shard.clone()).or_default();
    }

    /// Records that came. Partition keys count as bytes, as AWS counts them.
    pub fn add(&mut self, chunk: &Chunk) {
        let of_shard = self.shards.entry(chunk.shard.clone()).or_default();
        for (index, data) in chunk.data.iter().enumerate() {
            let key = chunk.keys.as_ref().map_or("", |keys| keys.value(index));
            let bytes = (key.len() + data.map_or(0, <[u8]>::len)) as u64;
            of_shard.records += 1;
            of_shard.bytes += bytes;
            if self.keys.len() < KEYS_MAX || self.keys.contains_key(key) {
                let of_key = self.keys.entry(key.to_owned()).or_default();
                of_key.records += 1;
                of_key.bytes += bytes;
            }
        }
    }

    /// What follows of it, had it come in `seconds`. `headroom` is what a shard is to have left, as a part of its use.
    pub fn advice(&self, seconds: f64, headroom: f64) -> Advice {
        #[expect(clippy::cast_precision_loss, reason = "counts of a measurement")]
        let rate = |count: &Count| Rate {
            records_per_second: count.records as f64 / seconds,
            bytes_per_second: count.bytes as f64 / seconds,
        };
        let shards: BTreeMap<_, _> = self.shards.iter().map(|(shard, count)| (shard.clone(), rate(count))).collect();
        let total = shards.values().fold(Rate::default(), |total, rate| Rate {
            records_per_second: total.records_per_second + rate.records_per_second,
            bytes_per_second: total.bytes_per_second + rate.bytes_per_second,
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number that is not negative"
        )]
        let shards_needed = ((total.of_one_shard() * (1.0 + headroom)).ceil() as u32).max(1);
        let keys = self.keys.iter().map(|(key, count)| (key.clone(), rate(count)));
        let hottest_key = keys.max_by(|(_, one), (_, other)| one.of_one_shard().total_cmp(&other.of_one_shard()));
        Advice { shards, total, shards_needed, hottest_key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::chunks::ChunkBuilder;
    use millstream_core::EventTime;

    fn rates(records: &[(&str, &str, usize)]) -> Rates {
        let mut rates = Rates::default();
        for (shard, key, bytes) in records {
            let mut builder = ChunkBuilder::new(ShardId::from(*shard), None);
            builder.push(&vec![b'x'; *bytes], EventTime(0), Some(key), "1");
            rates.add(&builder.take().unwrap().unwrap());
        }
        rates
    }

    #[test]
    fn shards_are_needed_for_bytes_or_for_records_whichever_are_more() {
        let large = rates(&[("a", "k", 999_999), ("b", "l", 999_999), ("b", "k", 499_999)]);
        let advice = large.advice(1.0, 0.0);
        assert_eq!((advice.shards_needed, large.advice(1.0, 0.25).shards_needed), (3, 4));
        assert_eq!(large.advice(10.0, 0.0).shards_needed, 1);
        assert!((advice.total.bytes_per_second - 2_500_000.0).abs() < 1e-6);
        assert!((advice.shards[&ShardId::from("b")].of_one_shard() - 1.5).abs() < 1e-9);
        let (key, rate) = advice.hottest_key.unwrap();
        assert_eq!(key, "k");
        assert!((rate.of_one_shard() - 1.5).abs() < 1e-9, "no number of shards takes this key");
        let small: Vec<_> = (0..2100).map(|_| ("a", "k", 0)).collect();
        assert_eq!(rates(&small).advice(1.0, 0.0).shards_needed, 3);
    }

    #[test]
    fn nothing_needs_one_shard() {
        let mut rates = Rates::default();
        rates.add_shard(&ShardId::from("a"));
        let advice = rates.advice(5.0, 0.25);
        assert_eq!((advice.shards_needed, advice.shards.len(), advice.hottest_key), (1, 1, None));
    }
}
