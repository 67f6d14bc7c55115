//! Value of a block: consecutive records of one shard that were committed together.
//!
//! | part | holds |
//! |---|---|
//! | 1 byte | version: 1, or 2 with a writer |
//! | 4 bytes | how many records, little-endian like all that follows |
//! | | version 2 only: the length of the writer's name (4 bytes), and the name |
//! | 8 bytes a record | where its partition key ends among the keys (4), where its data ends among the data (4) |
//! | | all partition keys, then all data |
//!
//! What nobody signed is written in version 1, which all releases read. Version 2 is refused by releases before it.
//! Sequence numbers and arrivals are not in it: the records arrived together and count down from the number in the key.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Record, SequenceNumber};

const PLAIN: u8 = 1;
const WITH_WRITER: u8 = 2;
const HEADER_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;

/// Collects the records of a block, all of one writer or of none.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    writer: Option<Arc<str>>,
    ends: Vec<u8>,
    keys: Vec<u8>,
    data: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    pub(crate) fn new(writer: Option<Arc<str>>) -> Self {
        Self { writer, ..Self::default() }
    }

    pub(crate) fn writer(&self) -> Option<&Arc<str>> {
        self.writer.as_ref()
    }

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
        value.push(if self.writer.is_some() { WITH_WRITER } else { PLAIN });
        value.extend_from_slice(&self.count.to_le_bytes());
        if let Some(writer) = &self.writer {
            let bytes = u32::try_from(writer.len()).expect("checked against WRITER_BYTES_MAX");
            value.extend_from_slice(&bytes.to_le_bytes());
            value.extend_from_slice(writer.as_bytes());
        }
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
    /// Where the name of the writer is.
    writer: Option<Range<usize>>,
    ends_at: usize,
    keys_at: usize,
    data_at: usize,
}

impl Block {
    /// `None` if the value is not a whole block.
    pub(crate) fn open(last: SequenceNumber, value: Bytes) -> Option<Self> {
        let count = usize::try_from(u32_at(&value, 1)?).ok()?;
        let writer = match *value.first()? {
            PLAIN => None,
            WITH_WRITER => {
                let from = HEADER_BYTES + LENGTH_BYTES;
                Some(from..from.checked_add(usize::try_from(u32_at(&value, HEADER_BYTES)?).ok()?)?)
            }
            _ => return None,
        };
        let ends_at = writer.as_ref().map_or(HEADER_BYTES, |writer| writer.end);
        let keys_at = ends_at.checked_add(count.checked_mul(ENTRY_BYTES)?)?;
        let mut block = Self { value, last, count, writer, ends_at, keys_at, data_at: keys_at };
        let (keys_end, data_end) = block.ends(count.checked_sub(1)?)?;
        block.data_at += keys_end;
        (block.data_at + data_end == block.value.len()).then_some(block)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn writer(&self) -> Option<&str> {
        std::str::from_utf8(self.value.get(self.writer.clone()?)?).ok()
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
            writer: self.writer(),
        }
    }

    fn ends(&self, index: usize) -> Option<(usize, usize)> {
        let at = self.ends_at + index * ENTRY_BYTES;
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

    fn block(writer: Option<&str>, records: &[(&str, &str)]) -> Bytes {
        let mut builder = BlockBuilder::new(writer.map(Arc::from));
        for (key, data) in records {
            builder.push(key, data.as_bytes());
        }
        builder.finish()
    }

    #[test]
    fn what_is_written_reads_back() {
        let records = [("a", "one"), ("ünï", ""), ("", "three")];
        let last = SequenceNumber::new(9, 12, 1);
        for writer in [None, Some("totals"), Some("")] {
            let block = Block::open(last, block(writer, &records)).unwrap();
            assert_eq!(block.count(), 3);
            for (index, (key, data)) in records.iter().enumerate() {
                let record = block.record(index);
                assert_eq!((record.partition_key, record.data, record.arrival_ms), (*key, data.as_bytes(), 9));
                assert_eq!(record.sequence_number, SequenceNumber::new(9, 10 + index as u64, 1));
                assert_eq!(record.writer, writer);
                assert_eq!(block.first_after(record.sequence_number), index + 1);
                assert_eq!(block.first_after(record.sequence_number.predecessor()), index);
            }
        }
    }

    #[test]
    fn records_without_a_writer_are_stored_as_they_were_before_there_were_writers() {
        let expected = [&[1, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0][..], b"aone"].concat();
        assert_eq!(block(None, &[("a", "one")]), expected);
    }

    #[test]
    fn a_value_that_is_cut_or_of_another_version_is_refused() {
        let last = SequenceNumber::new(9, 12, 1);
        for writer in [None, Some("totals")] {
            let whole = block(writer, &[("a", "one"), ("b", "two")]);
            for length in 0..whole.len() {
                assert!(Block::open(last, whole.slice(..length)).is_none(), "{length} bytes");
            }
            let mut other = whole.to_vec();
            other[0] = 3;
            assert!(Block::open(last, other.into()).is_none());
        }
    }
}
