//! Writing an aggregate. All of its records must belong in one shard, which the caller sees to.

use std::collections::HashMap;

use md5::{Digest, Md5};
use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::encoded_len_varint;

use super::{AggregatedRecord, DIGEST_BYTES, MAGIC, Record, Tag};

/// Records on their way into one aggregate.
#[derive(Debug, Default)]
pub(crate) struct Aggregator {
    aggregate: AggregatedRecord,
    /// Where each partition key is in the table.
    keys: HashMap<String, u64>,
    message_bytes: usize,
}

/// An aggregate, as it is put to the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aggregate {
    /// That of its first record.
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
}

impl Aggregator {
    pub(crate) fn is_empty(&self) -> bool {
        self.aggregate.records.is_empty()
    }

    pub(crate) fn records(&self) -> usize {
        self.aggregate.records.len()
    }

    /// The size of the record that [`Aggregator::take`] would give now.
    pub(crate) fn bytes(&self) -> usize {
        MAGIC.len() + self.message_bytes + DIGEST_BYTES
    }

    /// Adds a record; `tags` go with it as pairs of key and value.
    pub(crate) fn push(&mut self, partition_key: &str, data: Bytes, tags: &[(&str, &str)]) {
        let known = self.keys.get(partition_key).copied();
        let partition_key_index = known.unwrap_or_else(|| {
            let index = self.aggregate.partition_key_table.len() as u64;
            self.aggregate.partition_key_table.push(partition_key.to_owned());
            self.keys.insert(partition_key.to_owned(), index);
            self.message_bytes += field_bytes(partition_key.len());
            index
        });
        let tag = |&(key, value): &(&str, &str)| Tag { key: key.to_owned(), value: Some(value.to_owned()) };
        let tags = tags.iter().map(tag).collect();
        let record = Record { partition_key_index, explicit_hash_key_index: None, data, tags };
        self.message_bytes += field_bytes(record.encoded_len());
        self.aggregate.records.push(record);
    }

    /// Gives the aggregate out, if there is anything in it, and begins the next.
    pub(crate) fn take(&mut self) -> Option<Aggregate> {
        let Self { aggregate, .. } = std::mem::take(self);
        let partition_key = aggregate.partition_key_table.first()?.clone();
        let message = aggregate.encode_to_vec();
        let mut data = Vec::with_capacity(MAGIC.len() + message.len() + DIGEST_BYTES);
        data.extend(MAGIC);
        data.extend(&message);
        data.extend(Md5::digest(&message));
        Some(Aggregate { partition_key, data })
    }
}

/// A field of so many bytes, with its tag (one byte for the few there are) and its length.
fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}
