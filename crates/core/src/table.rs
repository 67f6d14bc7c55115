//! What a `CREATE TABLE` declares, and who can make a source, a sink or a reference table of it.

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};

use crate::{Decoder, Leases, OptionError, Options, Reference, Sink, Source};

/// A table as its connector sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDecl {
    /// The table's name: the default name of its stream.
    pub name: String,
    /// The physical columns, in order: what payloads hold. No computed and no metadata columns.
    pub schema: SchemaRef,
    /// The primary key's columns, empty without one.
    pub primary_key: Vec<String>,
    /// `WITH (…)`, `connector` included.
    pub options: Options,
}

/// A column that is filled from a record's envelope instead of its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataColumn {
    /// The column's name in the table.
    pub name: String,
    /// What it holds.
    pub metadata: Metadata,
}

/// What an envelope tells of a record; null where the source does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metadata {
    ShardId,
    PartitionKey,
    SequenceNumber,
    SubSequenceNumber,
    ArrivalTimestamp,
}

impl Metadata {
    /// Every kind, with the key it has in `METADATA FROM '…'`.
    pub const ALL: [(&'static str, Self); 5] = [
        ("shard-id", Self::ShardId),
        ("partition-key", Self::PartitionKey),
        ("sequence-number", Self::SequenceNumber),
        ("subsequence-number", Self::SubSequenceNumber),
        ("arrival-timestamp", Self::ArrivalTimestamp),
    ];

    /// The type of such a column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::ShardId | Self::PartitionKey | Self::SequenceNumber => DataType::Utf8,
            Self::SubSequenceNumber => DataType::Int64,
            Self::ArrivalTimestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

/// Whether an input ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundedness {
    Bounded,
    Unbounded,
}

/// What a table can serve as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Source,
    Sink,
}

/// What a connector can do with a table as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Readable, and whether it ends.
    pub source: Option<Boundedness>,
    /// Writable with final rows.
    pub sink: bool,
    /// Readable as a whole, again and again: what a stream can be joined with. A table may be this and a source too;
    /// which it is, each query says.
    pub lookup: bool,
}

/// Every connector there is: makes of a declared table what reads and writes it. Nothing here does I/O.
pub trait Connectors: Send + Sync {
    /// Checks all options and says what the table can be used for.
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError>;

    /// A reader of the table.
    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError>;

    /// A decoder of the table's format, giving `table.schema`.
    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError>;

    /// A writer to the table. `query` names the query that writes, for file names and record ids.
    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError>;

    /// A reader of the whole table, for joins; where its [`Roles::lookup`] is true.
    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError>;

    /// The leases by which processes share a table; `None`: each reads all of it.
    fn leases(&self, _table: &TableDecl) -> Result<Option<Box<dyn Leases>>, OptionError> {
        Ok(None)
    }
}
