//! A store in a folder of its own, with a clock that stands still until it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use millstream_local_kinesis::{NewStream, Page, Position, PutRecord, Settings, ShardId, Store, Stored};
use tempfile::TempDir;

/// 2026-01-01.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const MIB: usize = 1024 * 1024;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START_MS));
        Self { store: open(folder.path(), &clock), clock, folder }
    }

    /// With the stream `s` of that many shards.
    pub(crate) async fn with_stream(shards: u32) -> Self {
        let fixture = Self::new();
        fixture.store.create_stream(NewStream::new("s", shards)).await.unwrap();
        fixture
    }

    /// The same folder after a regular end.
    pub(crate) fn reopened(self) -> Self {
        let Self { store, clock, folder } = self;
        drop(store);
        Self { store: open(folder.path(), &clock), clock, folder }
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Puts one record whose key is its data.
    pub(crate) async fn put(&self, text: &str) -> Stored {
        self.store.put("s", vec![record(text, text)]).await.unwrap()[0]
    }

    pub(crate) fn read(&self, shard: u32, position: Position) -> Page {
        self.store.read("s", ShardId(shard), position, 10_000, 10 * MIB).unwrap()
    }
}

pub(crate) fn open(folder: &std::path::Path, clock: &Arc<AtomicI64>) -> Store {
    let clock = Arc::clone(clock);
    // Retention works when a test says so, not when the clock jumps.
    let settings = Settings { trim_every_ms: u64::from(u32::MAX) * 1000, ..Settings::default() };
    Store::open(folder, &settings, Arc::new(move || clock.load(Ordering::SeqCst))).unwrap()
}

pub(crate) fn record(key: &str, data: &str) -> PutRecord {
    PutRecord { partition_key: key.into(), explicit_hash_key: None, data: data.to_owned().into() }
}

pub(crate) fn texts(page: &Page) -> Vec<&str> {
    page.records().map(|record| std::str::from_utf8(record.data).unwrap()).collect()
}
