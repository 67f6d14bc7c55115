//! Which shard a partition key belongs to, as of the last time the stream was asked.

use aws_sdk_kinesis::types::Shard;
use millstream_local_kinesis::HashKey;

/// The open shards by the hash keys they own.
#[derive(Debug, Default)]
pub(super) struct ShardMap {
    /// By their last hash key.
    shards: Vec<(HashKey, HashKey, String)>,
}

impl ShardMap {
    /// The map of a listing; shards whose range cannot be read are left out, and nothing is found in them.
    pub(super) fn of(listed: &[Shard]) -> Self {
        let is_open = |shard: &&Shard| {
            shard.sequence_number_range.as_ref().is_none_or(|range| range.ending_sequence_number.is_none())
        };
        let range = |shard: &Shard| {
            let range = shard.hash_key_range.as_ref()?;
            let (start, end) = (range.starting_hash_key.parse().ok()?, range.ending_hash_key.parse().ok()?);
            Some((end, start, shard.shard_id.clone()))
        };
        let mut shards: Vec<_> = listed.iter().filter(is_open).filter_map(range).collect();
        shards.sort();
        Self { shards }
    }

    /// The shard of a partition key.
    pub(super) fn shard_of(&self, partition_key: &str) -> Option<&str> {
        let hash = HashKey::of_partition_key(partition_key);
        let at = self.shards.partition_point(|(end, ..)| *end < hash);
        let (_, start, shard) = self.shards.get(at)?;
        (*start <= hash).then_some(shard)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::types::{HashKeyRange, SequenceNumberRange};

    use super::*;

    fn shard(id: &str, start: u128, end: u128, is_open: bool) -> Shard {
        let hash = HashKeyRange::builder().starting_hash_key(start.to_string()).ending_hash_key(end.to_string());
        let numbers = SequenceNumberRange::builder().starting_sequence_number("1");
        let numbers = numbers.set_ending_sequence_number((!is_open).then(|| "2".to_owned()));
        let shard = Shard::builder().shard_id(id).hash_key_range(hash.build().unwrap());
        shard.sequence_number_range(numbers.build().unwrap()).build().unwrap()
    }

    #[test]
    fn a_key_belongs_to_the_open_shard_that_owns_its_hash() {
        let middle = HashKey::of_partition_key("k").0;
        let of = |shards: &[Shard]| ShardMap::of(shards).shard_of("k").map(ToOwned::to_owned);
        let parent = shard("parent", 0, u128::MAX, false);
        let low = shard("low", 0, middle, true);
        assert_eq!(
            of(&[parent.clone(), low.clone(), shard("high", middle + 1, u128::MAX, true)]).as_deref(),
            Some("low")
        );
        let high = shard("high", middle, u128::MAX, true);
        assert_eq!(of(&[parent, shard("low", 0, middle - 1, true), high]).as_deref(), Some("high"));
        assert_eq!(of(&[shard("low", 0, middle - 1, true)]), None);
    }
}
