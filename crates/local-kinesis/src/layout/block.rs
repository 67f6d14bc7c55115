//! Value of a block: consecutive records of one shard that were committed together.
//!
//! | part | holds |
//! |---|---|
//! | 1 byte | version, 1 |
//! | 4 bytes | how many records, little-endian like all that follows |
//! | 8 bytes a record | where its partition key ends among the keys (4), where its data ends among the data (4) |
//! | | all partition keys, then all data |
//!
//! Sequence numbers and arrivals are not in it: the records arrived together and count down from the number in the key.

use bytes::Bytes;

use crate::{Record, SequenceNumber};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const ENTRY_BYTES: usize = 8;

/// Collects the records of a block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    ends: Vec<u8>,
    keys: Vec<u8>,
    data: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    pub(crate) fn push(&mut self, partition_key: &str, data: &[u8]) {
        self.keys.extend_from_slice(partition_key.as_bytes());
        self.data.extend_from_slice(data);
        for end in [self.keys.len(), self.data.len()] {
            let end = u32::try_from(end).expect("a block ends soon after BLOCK_BYTES_MAX");
            self.ends.extend_from_slice(&end.to_le_bytes());
        }
        self.count += 1;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.ends.len() + self.keys.len() + self.data.len()
    }

    pub(crate) fn finish(self) -> Bytes {
        let mut value = Vec::with_capacity(HEADER_BYTES + self.bytes());
        value.push(VERSION);
        value.extend_from_slice(&self.count.to_le_bytes());
        for part in [self.ends, self.keys, self.data] {
            value.extend_from_slice(&part);
        }
        value.into()
    }
}

/// A block as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    value: Bytes,
    last: SequenceNumber,
    count: usize,
    keys_at: usize,
    data_at: usize,
}

impl Block {
    /// `None` if the value is not a whole block.
    pub(crate) fn open(last: SequenceNumber, value: Bytes) -> Option<Self> {
        if value.first() != Some(&VERSION) {
            return None;
        }
        let count = usize::try_from(u32_at(&value, 1)?).ok()?;
        let keys_at = HEADER_BYTES + count.checked_mul(ENTRY_BYTES)?;
        let mut block = Self { value, last, count, keys_at, data_at: keys_at };
        let (keys_end, data_end) = block.ends(count.checked_sub(1)?)?;
        block.data_at += keys_end;
        (block.data_at + data_end == block.value.len()).then_some(block)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn sequence_number(&self, index: usize) -> SequenceNumber {
        self.last.earlier((self.count - 1 - index) as u64)
    }

    /// The first record above a position.
    pub(crate) fn first_after(&self, after: SequenceNumber) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.sequence_number(middle) > after {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    pub(crate) fn record(&self, index: usize) -> Record<'_> {
        let (key_from, data_from) = index.checked_sub(1).and_then(|before| self.ends(before)).unwrap_or_default();
        let (key_to, data_to) = self.ends(index).unwrap_or_default();
        let part = |from, to| self.value.get(from..to).unwrap_or_default();
        let sequence_number = self.sequence_number(index);
        Record {
            sequence_number,
            arrival_ms: sequence_number.arrival_ms(),
            partition_key: std::str::from_utf8(part(self.keys_at + key_from, self.keys_at + key_to))
                .unwrap_or_default(),
            data: part(self.data_at + data_from, self.data_at + data_to),
        }
    }

    fn ends(&self, index: usize) -> Option<(usize, usize)> {
        let at = HEADER_BYTES + index * ENTRY_BYTES;
        let (key, data) = (u32_at(&self.value, at)?, u32_at(&self.value, at + 4)?);
        Some((usize::try_from(key).ok()?, usize::try_from(data).ok()?))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(records: &[(&str, &str)]) -> Bytes {
        let mut builder = BlockBuilder::default();
        for (key, data) in records {
            builder.push(key, data.as_bytes());
        }
        builder.finish()
    }

    #[test]
    fn what_is_written_reads_back() {
        let records = [("a", "one"), ("ünï", ""), ("", "three")];
        let last = SequenceNumber::new(9, 12, 1);
        let block = Block::open(last, block(&records)).unwrap();
        assert_eq!(block.count(), 3);
        for (index, (key, data)) in records.iter().enumerate() {
            let record = block.record(index);
            assert_eq!((record.partition_key, record.data, record.arrival_ms), (*key, data.as_bytes(), 9));
            assert_eq!(record.sequence_number, SequenceNumber::new(9, 10 + index as u64, 1));
            assert_eq!(block.first_after(record.sequence_number), index + 1);
            assert_eq!(block.first_after(record.sequence_number.predecessor()), index);
        }
    }

    #[test]
    fn a_value_that_is_cut_or_of_another_version_is_refused() {
        let (last, whole) = (SequenceNumber::new(9, 12, 1), block(&[("a", "one"), ("b", "two")]));
        for length in 0..whole.len() {
            assert!(Block::open(last, whole.slice(..length)).is_none(), "{length} bytes");
        }
        let mut other = whole.to_vec();
        other[0] = 2;
        assert!(Block::open(last, other.into()).is_none());
    }
}
