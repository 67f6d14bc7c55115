//! What a query has done so far: counters that workers and closers add to and anybody reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::{Duration, EventTime, Offset, ShardId, ShardState};

use crate::checkpoint::{Manifest, SourcePosition};

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
    /// Bytes of memory that its state takes, its live table among it.
    pub state_bytes: Counter,
    /// Bytes of memory whose content was moved to disk so far.
    pub spilled_bytes: Counter,
    /// Groups that workers have and have not handed over.
    pub(crate) pane_groups: Counter,
    /// Its checkpoints.
    pub checkpoints: Arc<CheckpointStats>,
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
    /// Counts what another has counted, but for what it has at the moment.
    pub(crate) fn add(&self, other: &Self) {
        for (own, other) in [
            (&self.rows_in, &other.rows_in),
            (&self.filtered, &other.filtered),
            (&self.late, &other.late),
            (&self.rejected, &other.rejected),
            (&self.used, &other.used),
            (&self.rows_out, &other.rows_out),
            (&self.spilled_bytes, &other.spilled_bytes),
        ] {
            own.add(other.get());
        }
    }

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

/// The newest checkpoint of a query, and how taking it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// 0: none yet.
    pub number: u64,
    pub taken_at: Option<EventTime>,
    /// Bytes that were written for it.
    pub bytes: u64,
    /// Bytes of everything it needs.
    pub state_bytes: u64,
    /// From the cut to the manifest, in milliseconds.
    pub duration_ms: i64,
    /// How long the query stood still for it, in microseconds.
    pub pause_us: u64,
    /// Why the next one has not been written, while that is being tried.
    pub failing: Option<String>,
    /// Checkpoints that could not be used when the query was restored, and why.
    pub skipped: Vec<String>,
    /// How far it has each shard.
    pub(crate) sources: Vec<SourcePosition>,
}

/// A query's checkpoints, for whoever asks.
#[derive(Debug, Default)]
pub struct CheckpointStats(Mutex<CheckpointInfo>);

impl CheckpointStats {
    /// The newest checkpoint.
    pub fn newest(&self) -> CheckpointInfo {
        self.lock().clone()
    }

    pub(crate) fn set(&self, manifest: &Manifest, bytes: u64, duration: Duration) {
        let mut newest = self.lock();
        newest.number = manifest.number;
        newest.taken_at = Some(EventTime(manifest.taken_at));
        newest.bytes = bytes;
        newest.state_bytes = manifest.chunks.values().map(|place| place.length).sum();
        newest.duration_ms = duration.0;
        newest.sources.clone_from(&manifest.sources);
    }

    /// How far the newest checkpoint has a shard.
    pub(crate) fn offset(&self, shard: &ShardId) -> Option<Offset> {
        let newest = self.lock();
        let at = newest.sources.iter().flat_map(|source| &source.shards).find(|at| at.shard == shard.as_str())?;
        at.offset().ok().flatten()
    }

    pub(crate) fn set_pause(&self, pause: std::time::Duration) {
        self.lock().pause_us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
    }

    pub(crate) fn set_skipped(&self, skipped: Vec<String>) {
        self.lock().skipped = skipped;
    }

    pub(crate) fn failing(&self, reason: &str) {
        self.lock().failing = Some(reason.to_owned());
    }

    pub(crate) fn recovered(&self) {
        self.lock().failing = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CheckpointInfo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
