//! Key of a block: the shard's number (4 bytes), then the sequence number of the block's LAST record (24 bytes).
//!
//! With the last record in the key, the first key above a position is the block that the position's next record is in.

use crate::{SequenceNumber, ShardId};

const BYTES: usize = 28;

/// The key of the block of `shard` that ends with `last`.
pub(crate) fn encode(shard: ShardId, last: SequenceNumber) -> [u8; BYTES] {
    let mut key = [0; BYTES];
    key[..4].copy_from_slice(&shard.0.to_be_bytes());
    key[4..].copy_from_slice(&last.to_bytes());
    key
}

/// The last record's number; `None` if this is not such a key.
pub(crate) fn decode(key: &[u8]) -> Option<(ShardId, SequenceNumber)> {
    let (shard, last) = key.split_first_chunk::<4>()?;
    Some((ShardId(u32::from_be_bytes(*shard)), SequenceNumber::from_bytes(last.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let last = SequenceNumber::new(1, 2, 3);
        assert_eq!(decode(&encode(ShardId(3), last)), Some((ShardId(3), last)));
        assert_eq!(decode(b"short"), None);
    }

    #[test]
    fn keys_order_by_shard_then_number() {
        let key = |shard, ms, counter| encode(ShardId(shard), SequenceNumber::new(ms, counter, shard));
        let keys = [key(0, 5, 300), key(0, 6, 1), key(1, 1, 1), key(256, 0, 0)];
        assert!(keys.is_sorted());
    }
}
