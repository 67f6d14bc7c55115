//! AWS's rates, for those who want to meet them before they are on AWS: what a shard takes and gives in a second, how
//! often operations may be called, and how long streams are busy with a change. Off unless it is switched on.
//!
//! Readers and writers in the process are not limited: they would not be on AWS.

mod bucket;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::arn::ACCOUNT;
use super::error::ApiError;
use super::operations::Operation;
use crate::{Page, PutRecord, ShardId, StreamInfo};
use bucket::Bucket;

/// Of one shard: the AWS quota.
const WRITE_BYTES_PER_SECOND: u32 = 1024 * 1024;
/// Of one shard: the AWS quota.
const WRITE_RECORDS_PER_SECOND: u32 = 1000;
/// Of one shard, all polling readers together: the AWS quota.
const READ_BYTES_PER_SECOND: u32 = 2 * 1024 * 1024;
/// Of one shard, all polling readers together: the AWS quota.
const READS_PER_SECOND: u32 = 5;
/// Of one shard: the AWS quota.
const ITERATORS_PER_SECOND: u32 = 5;
/// How long a stream is CREATING or UPDATING. AWS takes seconds; long enough for clients to meet it.
const CHANGE_MS: i64 = 500;
const DAY_MS: i64 = 24 * 3_600_000;
/// Entries after which those that are over are looked for: shards and streams of a large store.
const ENTRIES_MAX: usize = 10_000;

/// Where a stream is in its life. Without limits it is always ACTIVE: changes are done when they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Status {
    #[serde(rename = "CREATING")]
    Creating,
    #[serde(rename = "UPDATING")]
    Updating,
    #[serde(rename = "ACTIVE")]
    Active,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Updating => "UPDATING",
            Self::Active => "ACTIVE",
        }
    }
}

/// What is used up of each limit.
pub(super) struct Quotas {
    are_enforced: bool,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    operations: HashMap<&'static str, Bucket>,
    /// Streams are told by their ids, so that one of the same name starts anew.
    streams: HashMap<(&'static str, u64), Bucket>,
    shards: HashMap<(u64, ShardId), ShardUse>,
    /// When a day's changes were made.
    days: HashMap<(&'static str, u64), VecDeque<i64>>,
    /// Until when a stream is busy.
    busy_until_ms: HashMap<u64, i64>,
}

#[derive(Clone, Copy, Default)]
struct ShardUse {
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    reads: Bucket,
    iterators: Bucket,
}

impl ShardUse {
    fn is_free(&self, now_ms: i64) -> bool {
        let Self { write_bytes, write_records, read_bytes, reads, iterators } = self;
        [write_bytes, write_records, read_bytes, reads, iterators].iter().all(|bucket| bucket.is_free(now_ms))
    }
}

impl Quotas {
    pub(super) fn new(are_enforced: bool) -> Self {
        Self { are_enforced, used: Mutex::default() }
    }

    pub(super) fn are_enforced(&self) -> bool {
        self.are_enforced
    }

    /// One call of an operation, as the account counts them.
    pub(super) fn take_operation(&self, operation: &Operation, now_ms: i64) -> Result<(), ApiError> {
        let Some((mut used, per_second)) = self.used().zip(operation.per_second) else { return Ok(()) };
        let bucket = used.operations.entry(operation.name).or_default();
        if bucket.take(now_ms, 1, per_second) { Ok(()) } else { Err(ApiError::rate(operation.name)) }
    }

    /// One call of an operation, as the stream counts them.
    pub(super) fn take_stream(
        &self,
        operation: &'static str,
        info: &StreamInfo,
        per_second: u32,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        let Some(mut used) = self.used() else { return Ok(()) };
        forget(&mut used.streams, |bucket| bucket.is_free(now_ms));
        let bucket = used.streams.entry((operation, info.id)).or_default();
        let taken = bucket.take(now_ms, 1, per_second);
        if taken { Ok(()) } else { Err(ApiError::rate(&format!("{operation} of stream {}", info.name))) }
    }

    /// One of the changes that a stream may have in 24 hours.
    pub(super) fn take_day(
        &self,
        operation: &'static str,
        info: &StreamInfo,
        per_day: usize,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        let Some(mut used) = self.used() else { return Ok(()) };
        forget(&mut used.days, |made| made.back().is_none_or(|last_ms| now_ms - last_ms >= DAY_MS));
        let made = used.days.entry((operation, info.id)).or_default();
        while made.front().is_some_and(|first_ms| now_ms - first_ms >= DAY_MS) {
            made.pop_front();
        }
        if made.len() >= per_day {
            let what = format!("{operation} of stream {}, {per_day} times in 24 hours,", info.name);
            return Err(ApiError::rate(&what));
        }
        made.push_back(now_ms);
        Ok(())
    }

    /// One record, if its shard takes it now; otherwise why not.
    pub(super) fn take_write(&self, info: &StreamInfo, record: &PutRecord, now_ms: i64) -> Result<(), String> {
        let Some(mut used) = self.used() else { return Ok(()) };
        let Some(shard) = info.shard_of(record.hash_key()) else { return Ok(()) };
        let using = used.shard(info, shard.id, now_ms);
        let mut after = *using;
        let fits = after.write_records.take(now_ms, 1, WRITE_RECORDS_PER_SECOND)
            && after.write_bytes.take(now_ms, record.data.len() + record.partition_key.len(), WRITE_BYTES_PER_SECOND);
        if !fits {
            return Err(exceeded(info, shard.id));
        }
        *using = after;
        Ok(())
    }

    /// One `GetRecords`, if the shard gives records now.
    pub(super) fn begin_read(&self, info: &StreamInfo, shard: ShardId, now_ms: i64) -> Result<(), ApiError> {
        let Some(mut used) = self.used() else { return Ok(()) };
        let using = used.shard(info, shard, now_ms);
        let fits = using.read_bytes.is_free(now_ms) && using.reads.take(now_ms, 1, READS_PER_SECOND);
        if fits { Ok(()) } else { Err(ApiError::throughput(exceeded(info, shard))) }
    }

    /// What the read gave: after 10 MiB there is nothing for 5 seconds.
    pub(super) fn end_read(&self, info: &StreamInfo, shard: ShardId, page: &Page, now_ms: i64) {
        let Some(mut used) = self.used() else { return };
        let bytes = page.records().map(|record| record.data.len() + record.partition_key.len()).sum();
        used.shard(info, shard, now_ms).read_bytes.charge(now_ms, bytes, READ_BYTES_PER_SECOND);
    }

    /// One `GetShardIterator`.
    pub(super) fn take_iterator(&self, info: &StreamInfo, shard: ShardId, now_ms: i64) -> Result<(), ApiError> {
        let Some(mut used) = self.used() else { return Ok(()) };
        let fits = used.shard(info, shard, now_ms).iterators.take(now_ms, 1, ITERATORS_PER_SECOND);
        if fits { Ok(()) } else { Err(ApiError::throughput(exceeded(info, shard))) }
    }

    /// Where the stream is in its life.
    pub(super) fn status(&self, info: &StreamInfo, now_ms: i64) -> Status {
        let Some(used) = self.used() else { return Status::Active };
        match used.busy_until_ms.get(&info.id) {
            _ if (0..CHANGE_MS).contains(&(now_ms - info.created_ms)) => Status::Creating,
            Some(until_ms) if now_ms < *until_ms => Status::Updating,
            _ => Status::Active,
        }
    }

    /// The stream is busy with a change from now on.
    pub(super) fn changed(&self, info: &StreamInfo, now_ms: i64) {
        let Some(mut used) = self.used() else { return };
        forget(&mut used.busy_until_ms, |until_ms| *until_ms <= now_ms);
        used.busy_until_ms.insert(info.id, now_ms + CHANGE_MS);
    }

    /// None where nothing is counted.
    fn used(&self) -> Option<MutexGuard<'_, Used>> {
        self.are_enforced.then(|| self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Used {
    fn shard(&mut self, info: &StreamInfo, shard: ShardId, now_ms: i64) -> &mut ShardUse {
        forget(&mut self.shards, |using| using.is_free(now_ms));
        self.shards.entry((info.id, shard)).or_default()
    }
}

/// Bounds a table by what of it is in use.
fn forget<Key: Eq + Hash, Value>(entries: &mut HashMap<Key, Value>, is_over: impl Fn(&Value) -> bool) {
    if entries.len() >= ENTRIES_MAX {
        entries.retain(|_, value| !is_over(value));
    }
}

/// In AWS's words.
fn exceeded(info: &StreamInfo, shard: ShardId) -> String {
    format!("Rate exceeded for shard {shard} in stream {} under account {ACCOUNT}.", info.name)
}
