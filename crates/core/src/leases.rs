//! The contract of sharing a stream between processes: leases decide which of its shards this process reads.
//!
//! Leases only decide who tries. That nothing is counted twice does not depend on them: a process that has lost a lease
//! and does not know it cannot write the next checkpoint of its shard, because another has.

use crate::{BoxFuture, EventTime, Offset, ShardId};

/// The option that says that processes share a table, and by which leases.
pub const LEASE_TABLE: &str = "source.lease.table";

/// The leases of one table. Making them does no I/O.
pub trait Leases: Send {
    /// Takes, renews and hands over leases until `readers` is [stopping](ShardReaders::stopping); then gives all back.
    /// What can be tried again is tried again; an error is for good.
    fn run(self: Box<Self>, readers: &dyn ShardReaders) -> BoxFuture<'_, Result<(), LeaseError>>;
}

/// Reads single shards of a table, as leases come and go.
pub trait ShardReaders: Send + Sync {
    /// Has a shard read, from its newest checkpoint, whoever wrote it; where there is none, as the lease says.
    fn start(&self, shard: LeasedShard) -> BoxFuture<'_, Result<(), String>>;

    /// Takes a last checkpoint of a shard and stops reading it; answers how far it was read.
    fn stop<'a>(&'a self, shard: &'a ShardId) -> BoxFuture<'a, Result<Option<Offset>, String>>;

    /// Stops reading a shard as it is: another process has it.
    fn abandon(&self, shard: &ShardId);

    /// How a shard is doing that was started and not stopped.
    fn reading(&self, shard: &ShardId) -> ShardReading;

    /// Waits until all leases are to be given back.
    fn stopping(&self) -> BoxFuture<'_, ()>;
}

/// A shard whose lease this process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedShard {
    pub shard: ShardId,
    /// Those that were split or merged into it, which have been read to their end; with their hashes.
    pub parents: Vec<(ShardId, Option<(u128, u128)>)>,
    /// The hashes of its partition keys, first and last; `None`: not known.
    pub hashes: Option<(u128, u128)>,
    /// Where it starts without a checkpoint.
    pub start: ShardStart,
}

/// Where a shard starts that has no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardStart {
    /// Where the table says.
    Configured,
    /// At its oldest record.
    Beginning,
    /// At what arrives from now on.
    Latest,
    /// At the first record that arrived at this time or later.
    At(EventTime),
    /// After this record: where another program has come to.
    After(Offset),
}

/// How a shard that is being read is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardReading {
    /// A durable checkpoint has everything up to here; `None`: no record yet.
    Reading(Option<Offset>),
    /// It was read to its end, and a durable checkpoint has all of it.
    Drained,
    /// It is not read any more.
    Failed(String),
}

/// Why a table cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leases in {table} cannot be used: {reason}")]
pub struct LeaseError {
    pub table: String,
    pub reason: String,
}
