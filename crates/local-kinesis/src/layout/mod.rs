//! The keys and values on disk, one file each. Every number in a key is big-endian, so that byte order is its order.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `catalog` | [`stream_key`] | the stream's description, JSON |
//! | `catalog` | [`next_id_key`] | the id of the next stream |
//! | `catalog` | [`account_key`] | what is set of the account, JSON |
//! | `stream-<id>` | [`block_key`] | [`block`]: consecutive records of one shard |

pub(crate) mod account_key;
pub(crate) mod block;
pub(crate) mod block_key;
pub(crate) mod next_id_key;
pub(crate) mod stream_key;

/// The keyspace of everything but records.
pub(crate) const CATALOG: &str = "catalog";

/// The keyspace of one stream's records; its own, so that deleting the stream costs nothing.
pub(crate) fn blocks_keyspace(stream_id: u64) -> String {
    format!("{BLOCKS_PREFIX}{stream_id}")
}

/// What the names of all keyspaces with records begin with.
pub(crate) const BLOCKS_PREFIX: &str = "stream-";
