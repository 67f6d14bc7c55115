//! What a query has done so far: counters that workers and closers add to and anybody reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use millstream_core::{EventTime, Offset, ShardId, ShardState};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The counters of one query. Always `rows_in = filtered + late + rejected + used`.
#[derive(Debug, Default)]
pub struct QueryStats {
    /// Records that its sources gave it.
    pub rows_in: Counter,
    /// Rows that a condition dropped.
    pub filtered: Counter,
    /// Rows that came after their window had closed.
    pub late: Counter,
    /// Records and rows that could not be used: see `error_stream`.
    pub rejected: Counter,
    /// Rows that went into the result.
    pub used: Counter,
    /// Rows of results that were handed on, final ones only where results are windowed.
    pub rows_out: Counter,
    /// Groups held in open windows or updating tables, as of the last look.
    pub groups: Counter,
    /// Open windows, as of the last look.
    pub open_windows: Counter,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    watermark: EventTime,
    shards: BTreeMap<(String, ShardId), ShardStats>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { watermark: EventTime::MIN, shards: BTreeMap::new() }
    }
}

/// Where one shard stands, for one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStats {
    pub state: ShardState,
    pub watermark: EventTime,
    pub offset: Option<Offset>,
    /// How far behind the tip its reader is.
    pub lag_ms: u64,
    /// Whether event time of the query waits for this shard: of those that count, none is further behind.
    pub holds_back: bool,
}

impl QueryStats {
    /// How far event time has come: `EventTime::MIN` before any row, `MAX` after the end of the input.
    pub fn watermark(&self) -> EventTime {
        self.lock().watermark
    }

    /// Every shard of every source.
    pub fn shards(&self) -> Vec<(String, ShardId, ShardStats)> {
        let shards = self.lock();
        shards.shards.iter().map(|((source, shard), stats)| (source.clone(), shard.clone(), stats.clone())).collect()
    }

    pub(crate) fn set_watermark(&self, watermark: EventTime) {
        self.lock().watermark = watermark;
    }

    pub(crate) fn set_shard(&self, source: &str, shard: &ShardId, stats: ShardStats) {
        self.lock().shards.insert((source.to_owned(), shard.clone()), stats);
    }

    pub(crate) fn set_state_size(&self, windows: usize, groups: usize) {
        self.open_windows.set(windows as u64);
        self.groups.set(groups as u64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of one source table, over all its readers.
#[derive(Debug, Default)]
pub struct SourceStats {
    pub records: Counter,
    pub bytes: Counter,
    /// Records that could not be decoded.
    pub rejected: Counter,
    /// Rows whose times are too far in the future to move event time.
    pub future: Counter,
}
