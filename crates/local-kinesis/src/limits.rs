//! Every bound of this crate, with its reason. Rates (1 MB/s a shard and the like) are in `wire/quotas`.

/// A record's data and partition key together, unless the stream was created with more: the AWS default.
pub const RECORD_BYTES_DEFAULT: usize = 1024 * 1024;
/// The most a stream can be created with: the AWS quota (`MaxRecordSizeInKiB`).
pub const RECORD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Characters of a partition key: the AWS quota.
pub const PARTITION_KEY_CHARACTERS_MAX: usize = 256;
/// Records of one `PutRecords`: the AWS quota.
pub const PUT_RECORDS_MAX: usize = 500;
/// Data and partition keys of one `PutRecords`: the AWS quota.
pub const PUT_BYTES_MAX: usize = 10 * 1024 * 1024;
/// An HTTP body: 10 MiB of data grow by a third in base64, and there are the keys and the JSON around them.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Records of one `GetRecords`: the AWS quota.
pub const GET_RECORDS_MAX: usize = 10_000;
/// Bytes of one `GetRecords`: the AWS quota.
pub const GET_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Bytes of one event of a subscription: what a consumer is given of a shard in half a second on AWS. One record that is
/// larger is an event all the same.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// How long a shard iterator may be used: the AWS quota.
pub const ITERATOR_MS_MAX: i64 = 5 * 60 * 1000;
/// How long a token of a listing may be used: the AWS quota.
pub const LISTING_TOKEN_MS_MAX: i64 = 300 * 1000;
/// Open shards of one stream: enough for one machine, and the AWS default for most regions.
pub const OPEN_SHARDS_MAX: usize = 500;
/// Open shards of a stream created on demand: what AWS starts with.
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Characters of a stream's name: the AWS quota.
pub const STREAM_NAME_CHARACTERS_MAX: usize = 128;
/// The shortest retention, and the default: the AWS quota.
pub const RETENTION_HOURS_MIN: u32 = 24;
/// The longest retention: the AWS quota (a year).
pub const RETENTION_HOURS_MAX: u32 = 8760;
/// Consumers of one stream: the AWS quota.
pub const CONSUMERS_MAX: usize = 20;
/// Consumers of one stream on demand in an account that has committed to a minimum: the AWS quota.
pub const CONSUMERS_ADVANTAGE_MAX: usize = 50;
/// Bytes of a resource policy: the AWS quota.
pub const POLICY_BYTES_MAX: usize = 20 * 1024;
/// Warm throughput of one stream, MiB a second: the AWS quota (10 GiB).
pub const WARM_THROUGHPUT_MIB_MAX: u32 = 10 * 1024;
/// Streams on demand that AWS allows; told, not enforced.
pub const ON_DEMAND_STREAMS_MAX: usize = 50;
/// Tags of one stream: the AWS quota.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's key: the AWS quota.
pub const TAG_KEY_CHARACTERS_MAX: usize = 128;
/// Characters of a tag's value: the AWS quota.
pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;
/// Bytes of a writer's name: it is stored with each block of its records.
pub const WRITER_BYTES_MAX: usize = 1024;
/// Bytes that wait for the committer before producers are held back: a few of the largest requests.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a queued record takes besides its bytes: without it the queue of tiny records would hardly be bounded.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 96;
/// Bytes of one group commit: larger ones make the disk no faster (a sync amortizes well before), only latency longer.
pub(crate) const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Data of one stored block, after which the next begins: small enough to be read again for a page that starts
/// within it.
pub(crate) const BLOCK_BYTES_MAX: usize = 256 * 1024;
/// Blocks deleted between two commits, so that retention does not delay producers by more than some milliseconds.
pub(crate) const TRIM_BLOCKS_MAX: usize = 4096;
