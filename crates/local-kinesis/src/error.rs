//! What can go wrong, one enum for each family of operations.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ShardId;

/// The disk, or what is on it, failed. But for [`StorageError::Full`] a write that fails is the last one that the store
/// takes: restart it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The storage engine refused or failed.
    #[error("the stream storage failed ({0}): check the disk and restart")]
    Engine(Arc<fjall::Error>),
    /// So little room is left that nothing is written until there is more; nothing is lost or broken.
    #[error("the disk of {} is full ({free_bytes} bytes are free, {kept_bytes} are kept free): make room", folder.display())]
    Full { folder: PathBuf, free_bytes: u64, kept_bytes: u64 },
    /// How much room is left cannot be told.
    #[error("the disk of {} cannot be asked for its free space ({error}): check it", folder.display())]
    Disk { folder: PathBuf, error: Arc<std::io::Error> },
    /// Something that this version cannot read.
    #[error("the stream storage holds {what} that cannot be read: it was damaged or written by a newer version")]
    Unreadable { what: String },
    /// The thread that writes is gone.
    #[error("the stream storage has stopped: restart the process")]
    Stopped,
}

impl From<fjall::Error> for StorageError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(Arc::new(error))
    }
}

/// A store that does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process: stop that one, or choose another folder", folder.display())]
    InUse { folder: PathBuf },
    /// The folder or its content cannot be read.
    #[error("opening the streams in {} failed: {error}", folder.display())]
    Storage { folder: PathBuf, error: StorageError },
    /// No thread for the committer.
    #[error("the thread that commits records cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Records that were not stored; none of the call's was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutError {
    /// The stream does not exist.
    #[error("stream {0} does not exist: create it first")]
    NoStream(String),
    /// Data and partition key of a record are too long.
    #[error("record {index} has {bytes} bytes with its partition key, and the stream takes at most {limit}")]
    RecordTooLarge { index: usize, bytes: usize, limit: usize },
    /// A partition key of a length that Kinesis refuses.
    #[error("record {index} has a partition key of {characters} characters: it must have 1 to {limit}")]
    PartitionKey { index: usize, characters: usize, limit: usize },
    /// A writer's name that is too long.
    #[error("a writer's name has {bytes} bytes, and {limit} are the limit")]
    Writer { bytes: usize, limit: usize },
    /// More than may wait for the disk at once.
    #[error("{bytes} bytes in one call are more than {limit}: send fewer records at a time")]
    TooMuch { bytes: usize, limit: usize },
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A shard that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream does not exist, or no longer.
    #[error("stream {0} does not exist")]
    NoStream(String),
    /// The shard never existed, or retention has deleted it whole.
    #[error("stream {stream} has no {shard}: it never had, or all its records have expired")]
    NoShard { stream: String, shard: ShardId },
    /// A position in another shard.
    #[error("{number} is a position in {of}, and {shard} was to be read from there")]
    ForeignPosition { number: String, of: ShardId, shard: ShardId },
    /// A position that this shard has not given out, though its form is right.
    #[error(
        "{shard} of stream {stream} has never come to {number}: the stream was made anew, or is an older copy of itself"
    )]
    UnknownPosition { stream: String, number: String, shard: ShardId },
    /// Records that a reader has not seen yet are gone.
    #[error("{lost} records of {shard} that follow it have expired: stream {stream} keeps records for {hours} hours")]
    Expired { stream: String, shard: ShardId, lost: u64, hours: u32 },
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A stream that was not created, changed or deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControlError {
    /// The stream does not exist.
    #[error("stream {0} does not exist")]
    NoStream(String),
    /// There is one of that name.
    #[error("stream {0} already exists")]
    Exists(String),
    /// The stream has no such consumer.
    #[error("stream {stream} has no consumer {consumer}")]
    NoConsumer { stream: String, consumer: String },
    /// There is a consumer of that name.
    #[error("stream {stream} already has a consumer {consumer}")]
    ConsumerExists { stream: String, consumer: String },
    /// What is not for streams in that mode.
    #[error("{0}")]
    Mode(String),
    /// The stream does not list that shard.
    #[error("stream {stream} has no {shard}")]
    NoShard { stream: String, shard: ShardId },
    /// A shard that was split or merged before.
    #[error("{shard} of stream {stream} is closed: only open shards can be split or merged")]
    ShardClosed { stream: String, shard: ShardId },
    /// More than is allowed.
    #[error("stream {stream} would have {wanted} {what}, and {limit} is the limit")]
    Limit { stream: String, what: &'static str, wanted: usize, limit: usize },
    /// An argument that does not fit the stream or the rules; says what would.
    #[error("{0}")]
    Invalid(String),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
