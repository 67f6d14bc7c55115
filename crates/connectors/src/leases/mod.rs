//! Sharing a stream between processes: leases in DynamoDB, with the table and the rules of the Kinesis Client Library.
//!
//! ```text
//! lifecycle: which leases there are      rules: which of them a worker takes       (pure)
//!                        └──────── coordinator ────────┘                           the loop of one worker
//!                    table: dynamodb          readers: the engine's
//! ```
//!
//! What is read twice is not counted twice: that is a matter of checkpoints, not of leases (docs/adr/0007).

mod coordinator;
mod dynamodb;
mod import;
mod lease;
mod lifecycle;
mod options;
mod rules;
mod stream;
mod table;

#[cfg(test)]
mod simulation;

pub use import::{ImportError, ImportKcl, Imported, ImportedShard, import_kcl};
pub(crate) use lifecycle::StreamShard;
pub(crate) use options::LeaseOptions;
pub(crate) use stream::KinesisLeases;
