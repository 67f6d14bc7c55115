//! A durable, Kinesis-compatible stream in one folder: shards on disk, and the Kinesis wire API over them.
//!
//! It is
//! - a [`Store`] of streams that are split into shards by the MD5 of the partition key,
//! - durable: [`Store::put`] answers once its records are synced to disk; one thread commits all that waits as a group,
//! - read in the process ([`Store::read`], [`Store::wait_for_records`]) or over HTTP ([`router`]), committed records
//!   only,
//! - bounded by retention: what is older is hidden at once and deleted soon.
//!
//! It is not replicated and knows nothing of SQL. Sequence numbers, shard ids, limits and errors are AWS's in form; see
//! `limits`. AWS's rates and signatures are checked where [`ApiSettings`] say so.
//!
//! ```text
//! put ──► bounded queue ──► committer: sequence numbers, one batch, one sync ──► tips ──► answers
//!                                                                                 │
//!                                                   read, wait_for_records ◄──────┘
//! ```

mod account;
mod append;
mod committer;
mod configure;
mod consumers;
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
mod scale;
mod sequence;
mod shard;
mod split;
mod store;
mod stream;
mod tags;
mod trim;
mod wire;
mod writer;

pub use account::AccountSettings;
pub use append::{PutRecord, Stored};
pub use configure::{Distribution, ShardMetric, StreamSettings};
pub use consumers::{ConsumerInfo, ConsumerName, Resource};
pub use create::is_stream_name;
pub use error::{ControlError, OpenError, PutError, ReadError, StorageError};
pub use hash::{HashKey, HashRange, NotAHashKey};
pub use read::{Page, Position, Record, ShardExtent};
pub use sequence::{NotASequenceNumber, SequenceNumber};
pub use shard::{NotAShardId, ShardId, ShardInfo};
pub use store::{Now, Settings, Store};
pub use stream::{NewStream, StreamInfo, StreamMode};
pub use trim::Trimmed;
pub use wire::{AccessKey, Admitted, ApiSettings, Sleep, operation_names, router, router_with};
