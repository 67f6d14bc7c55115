//! The nouns of Millstream, and the traits at its edges.
//!
//! Everything here is a value or a contract: time, shards, offsets, chunks of records, watermarks, windows,
//! and what a source, a format and a sink must do. There is no I/O here, no clock, no runtime and no SQL;
//! the crates that have those depend on this one.

mod checkpoint;
mod chunk;
mod format;
mod grid;
mod leases;
mod offset;
mod options;
mod reference;
mod shard;
mod sink;
mod source;
mod table;
mod time;
mod type_name;
mod watermark;
mod window;

pub use checkpoint::{CheckpointStore, StoreError};
pub use chunk::{Chunk, Verdict};
pub use format::{Decoded, Decoder, Encoder, FormatError, Rejected};
pub use grid::{Grid, Step};
pub use leases::{LEASE_TABLE, LeaseError, LeasedShard, Leases, ShardReaders, ShardReading, ShardStart};
pub use offset::{Offset, OffsetError, Offsets};
pub use options::{OptionError, OptionReader, Options, edit_distance};
pub use reference::{Loaded, Reference, ReferenceError, RejectedRecord, Version};
pub use shard::ShardId;
pub use sink::{Delivery, Emission, Pending, Prepared, Sink, SinkError, SinkState};
pub use source::{BoxFuture, Resume, Source, SourceError, SourceEvent, SourceOutput, Start, Stopped};
pub use table::{Boundedness, Connectors, Metadata, MetadataColumn, Role, Roles, TableDecl};
pub use time::{Clock, Duration, EventTime};
pub use type_name::{type_name, with_type_names};
pub use watermark::{IdlePolicy, ShardProgress, ShardState, Watermarks};
pub use window::{Window, WindowSpec};
