//! A durable, Kinesis-compatible stream in one folder: shards on disk, and the Kinesis wire API over them.
//!
//! It is
//! - a [`Store`] of streams that are split into shards by the MD5 of the partition key,
//! - durable: [`Store::put`] answers once its records are synced to disk; one thread commits all that waits as a group,
//! - read in the process ([`Store::read`], [`Store::wait_for_records`]) or over HTTP ([`router`]), committed records
//!   only,
//! - bounded by retention: what is older is hidden at once and deleted soon.
//!
//! It is not replicated, does not enforce the rates of AWS's shards, checks no signatures, and knows nothing of SQL.
//! Sequence numbers, shard ids, limits and errors are AWS's in form; see `limits`.
//!
//! ```text
//! put ──► bounded queue ──► committer: sequence numbers, one batch, one sync ──► tips ──► answers
//!                                                                                 │
//!                                                   read, wait_for_records ◄──────┘
//! ```

mod append;
mod committer;
mod create;
mod delete;
mod error;
mod hash;
mod layout;
pub mod limits;
mod merge;
mod read;
mod recover;
mod retention;
mod sequence;
mod shard;
mod split;
mod store;
mod stream;
mod tags;
mod trim;
mod wire;
mod writer;

pub use append::{PutRecord, Stored};
pub use create::is_stream_name;
pub use error::{ControlError, OpenError, PutError, ReadError, StorageError};
pub use hash::{HashKey, HashRange, NotAHashKey};
pub use read::{Page, Position, Record, ShardExtent};
pub use sequence::{NotASequenceNumber, SequenceNumber};
pub use shard::{NotAShardId, ShardId, ShardInfo};
pub use store::{Now, Settings, Store};
pub use stream::{NewStream, StreamInfo, StreamMode};
pub use trim::Trimmed;
pub use wire::router;
