//! Reading an aggregate.

use md5::{Digest, Md5};
use millstream_local_kinesis::HashKey;
use prost::Message;
use prost::bytes::Bytes;

use super::{AggregatedRecord, DIGEST_BYTES, MAGIC};

/// One of the records in an aggregate; its place there is its sub-sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRecord {
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<HashKey>,
    pub(crate) data: Bytes,
}

impl UserRecord {
    /// What says in which shard it belongs.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(&self.partition_key))
    }
}

/// The records in an aggregate, in their order; `None`: a plain record.
pub(crate) fn take_apart(data: &[u8]) -> Option<Vec<UserRecord>> {
    let message = data.strip_prefix(&MAGIC)?;
    let (message, digest) = message.split_at_checked(message.len().checked_sub(DIGEST_BYTES)?)?;
    if message.is_empty() || Md5::digest(message).as_slice() != digest {
        return None;
    }
    // One copy, which all records share.
    let aggregate = AggregatedRecord::decode(Bytes::copy_from_slice(message)).ok()?;
    let key = |index: u64| aggregate.partition_key_table.get(usize::try_from(index).ok()?);
    let hash_key = |index: u64| aggregate.explicit_hash_key_table.get(usize::try_from(index).ok()?)?.parse().ok();
    let records = aggregate.records.iter().map(|record| {
        Some(UserRecord {
            partition_key: key(record.partition_key_index)?.clone(),
            explicit_hash_key: match record.explicit_hash_key_index {
                Some(index) => Some(hash_key(index)?),
                None => None,
            },
            data: record.data.clone(),
        })
    });
    records.collect()
}
