//! State within a limit of memory: what goes to disk comes back as it was, what cannot go stops its query in words, and
//! a restart with more memory goes on.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use millstream_connectors::{AwsSettings, Context, Registry, checkpoint_store};
use millstream_core::{Clock, Duration};
use millstream_engine::{CheckpointSettings, Engine, MemorySettings, QueryState, Script, Settings};
use millstream_local_kinesis::{NewStream, PutRecord, Store};

use crate::harness::{Cut, Run, batch, rows, sorted, stream_within};
use crate::live::RealClock;

const TABLES: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) \
    WITH ('connector' = 'stream', 'format' = 'json');";
/// 2026-01-01, as producers write it.
const START: i64 = 1_767_225_600_000;

/// Records of so many keys, one every so many milliseconds.
fn replay(records: i64, keys: i64, every_ms: i64) -> String {
    let mut text = String::new();
    for n in 0..records {
        let (key, ts) = (n * 7919 % keys, START + n * every_ms);
        let arrival = "2026-01-02T00:00:00.000Z";
        let _ = writeln!(
            text,
            "{{\"stream\":\"s\",\"arrival\":\"{arrival}\",\"key\":\"{key}\",\"data\":{{\"k\":\"key {key}\",\"n\":{n},\"ts\":{ts}}}}}"
        );
    }
    text
}

/// What a query prints within so much memory.
fn printed(columns: &str, query: &str, replay: &str, limit: u64, cut: Cut) -> Result<Run, String> {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemorySettings { limit, spill: Some(folder.path().join("spill")) };
    let script = format!("{TABLES} CREATE TABLE r ({columns}) WITH ('connector' = 'print'); INSERT INTO r {query}");
    let run = stream_within(&script, replay, cut, None, memory);
    let left = std::fs::read_dir(folder.path().join("spill")).map_or(0, Iterator::count);
    assert!(run.is_err() || left == 0, "{left} files are left of {query}");
    run
}

fn spilled(run: &Run) -> u64 {
    run.stats.values().map(|stats| stats.spilled_bytes.get()).sum()
}

const GROUPED: &str = "window_start TIMESTAMP(3), k STRING, c BIGINT, total BIGINT";

#[test]
fn windows_that_were_on_disk_give_the_rows_of_windows_that_were_not() {
    let records = replay(20_000, 8000, 10);
    let tumble = "TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '100' SECOND))";
    let hop = "TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '50' SECOND, INTERVAL '100' SECOND))";
    let small_hop = "TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '120' SECOND))";
    let of = |windows: &str, more: &str| {
        format!("SELECT window_start, k, count(*), sum(n) FROM {windows} GROUP BY window_start, window_end, k {more}")
    };
    let cases = [
        (GROUPED, of(tumble, "")),
        (GROUPED, of(hop, "HAVING count(*) > 1")),
        // Merged by suffixes as long as there is memory for them.
        (GROUPED, of(small_hop, "HAVING sum(n) > 100")),
    ];
    for (columns, query) in cases {
        let script = format!("{TABLES} CREATE TABLE r ({columns}) WITH ('connector' = 'print'); INSERT INTO r {query}");
        let expected = sorted(&batch(&script, &records).unwrap()["r"]);
        for cut in [Cut::default(), Cut { workers: 2, shards: 3, seed: Some(5) }] {
            let whole = printed(columns, &query, &records, 1 << 30, cut).unwrap();
            assert_eq!(spilled(&whole), 0);
            assert!(sorted(&whole.results["r"]) == expected, "{query}");
            let short =
                printed(columns, &query, &records, 300_000, cut).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert!(spilled(&short) > 0, "nothing of {query} was on disk");
            assert!(sorted(&short.results["r"]) == expected, "{query}");
        }
    }
}

#[test]
fn a_live_table_shows_a_window_that_was_given_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemorySettings { limit: 1_050_000, spill: Some(folder.path().join("spill")) };
    let script = format!(
        "{TABLES} CREATE MATERIALIZED VIEW v AS SELECT window_start, k, count(*) AS c \
         FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '200' SECOND)) GROUP BY window_start, window_end, k"
    );
    let records = replay(39_999, 15_000, 10);
    let question = "SELECT count(*) AS n, sum(c) AS c, count(DISTINCT k) AS k FROM v WHERE is_final";
    let run = stream_within(&script, &records, Cut::default(), Some(question), memory).unwrap();
    assert!(spilled(&run) > 0);
    assert_eq!(run.answer[0].to_string(), "{\"n\":30000,\"c\":39999,\"k\":15000}");
}

#[test]
fn what_cannot_go_to_disk_stops_the_query_in_words() {
    let records = replay(40_000, 20_000, 10);
    let script = format!(
        "{TABLES} CREATE MATERIALIZED VIEW v WITH ('ttl' = '1 d') AS SELECT k, count(*) AS c FROM s GROUP BY k"
    );
    let memory = MemorySettings { limit: 2_000_000, spill: None };
    let error = stream_within(&script, &records, Cut::default(), None, memory).err().unwrap();
    for words in
        ["its state takes ", "of memory", "memory.limit is 2.0 MB", "its last checkpoint is kept", "'max-groups'"]
    {
        assert!(error.contains(words), "{words}: {error}");
    }
    // An order over all of a window that does not fit.
    let query = "SELECT window_start, k, count(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR)) \
        GROUP BY window_start, window_end, k ORDER BY k";
    let columns = "window_start TIMESTAMP(3), k STRING, c BIGINT";
    let error = printed(columns, query, &records, 1_000_000, Cut::default()).err().unwrap();
    assert!(error.contains("to be put together") && error.contains("memory.limit is 1.0 MB"), "{error}");
}

#[test]
fn a_query_has_no_more_groups_than_it_may_have() {
    let records = replay(3000, 1000, 10);
    let windows = "TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR))";
    let cases = [
        format!("SELECT window_start, k, count(*) AS c FROM {windows} GROUP BY window_start, window_end, k"),
        "SELECT k, count(*) AS c FROM s GROUP BY k".to_owned(),
        "SELECT window_start, k, count(*) AS c FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' HOUR)) \
         GROUP BY window_start, window_end, k"
            .to_owned(),
    ];
    for query in cases {
        let ttl = if query.contains("TABLE(") { "" } else { ", 'ttl' = '1 d'" };
        for (most, cut) in
            [(1000, Cut::default()), (999, Cut::default()), (1000, Cut { workers: 2, shards: 4, seed: Some(1) })]
        {
            let script = format!("{TABLES} CREATE MATERIALIZED VIEW v WITH ('max-groups' = '{most}'{ttl}) AS {query}");
            let memory = MemorySettings { limit: 1 << 30, spill: None };
            let run = stream_within(&script, &records, cut, None, memory);
            match run {
                Ok(_) => assert_eq!(most, 1000, "{query}"),
                Err(error) => {
                    assert_eq!(most, 999, "{query}: {error}");
                    assert!(error.contains("groups, keys or rows, and 'max-groups' is 999"), "{error}");
                }
            }
        }
    }
}

#[test]
fn running_values_of_a_partition_that_was_silent_begin_anew() {
    let mut records = String::new();
    for (n, seconds) in [(1, 0), (2, 30), (3, 100), (4, 5000), (5, 5050), (6, 20_000)] {
        let ts = START + seconds * 1000;
        let _ = writeln!(
            records,
            "{{\"stream\":\"s\",\"arrival\":\"2026-01-02T00:00:00.000Z\",\"data\":{{\"k\":\"a\",\"n\":{n},\"ts\":{ts}}}}}"
        );
    }
    let script = format!(
        "{TABLES} CREATE MATERIALIZED VIEW v WITH ('ttl' = '1 min') AS SELECT n, \
         sum(n) OVER (PARTITION BY k ORDER BY ts) AS total, row_number() OVER (PARTITION BY k ORDER BY ts) AS r, \
         count(*) OVER (PARTITION BY k ORDER BY ts ROWS 1 PRECEDING) AS near FROM s"
    );
    for cut in [Cut::default(), Cut { seed: Some(3), ..Cut::default() }, Cut { seed: Some(9), ..Cut::default() }] {
        let memory = MemorySettings::unlimited();
        let run = stream_within(&script, &records, cut, None, memory).unwrap();
        let seen: Vec<_> =
            run.results["v"].iter().map(|row| (row["total"].as_i64().unwrap(), row["r"].as_i64().unwrap())).collect();
        assert_eq!(seen, [(1, 1), (3, 2), (3, 1), (4, 1), (9, 2), (6, 1)]);
        assert!(run.results["v"].iter().skip(1).all(|row| row["near"] == 2), "frames with a start are as they were");
    }
}

/// A service without HTTP: streams and checkpoints in a folder.
struct Service {
    store: Store,
    engine: Engine,
}

const STREAM: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)";

impl Service {
    fn start(store: &Store, folder: &Path, limit: u64) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let context = Context { store: Some(store.clone()), ..Context::new(Arc::clone(&clock)) };
        let open = |place: &str| checkpoint_store(place, &AwsSettings::default()).map_err(|error| error.to_string());
        let place = folder.join("checkpoints").display().to_string();
        let checkpoints = CheckpointSettings {
            shared: None,
            store: checkpoint_store(&place, &AwsSettings::default()).unwrap(),
            open: Arc::new(open),
            interval: Duration(50),
            retained: 2,
            writer: format!("w{limit}"),
        };
        let settings = Settings {
            workers: 2,
            queue_bytes: 1 << 24,
            replay_time: false,
            checkpoints: Some(checkpoints),
            memory: MemorySettings { limit, spill: Some(folder.join("spill")) },
        };
        let runtime = tokio::runtime::Handle::current();
        let engine = Engine::start(Arc::new(Registry::new(context)), clock, settings, None, runtime).unwrap();
        Self { store: store.clone(), engine }
    }

    async fn execute(&self, sql: String) {
        let engine = self.engine.clone();
        let script = Script { text: sql, durable: true };
        let executed = tokio::task::spawn_blocking(move || engine.execute(&[script]).map_err(|failed| failed.error));
        executed.await.unwrap().unwrap();
    }

    async fn put(&self, records: impl Iterator<Item = (u128, String, i64)>) {
        let record = |(hash, key, ts): (u128, String, i64)| {
            let data = format!("{{\"k\":\"{key}\",\"n\":1,\"ts\":{ts}}}");
            PutRecord { partition_key: key, explicit_hash_key: hash.to_string().parse().ok(), data: data.into() }
        };
        let records: Vec<PutRecord> = records.map(record).collect();
        for some in records.chunks(500) {
            self.store.put("s", some.to_vec()).await.unwrap();
        }
    }

    async fn until(&self, what: &str, done: impl Fn(&Engine) -> bool) {
        for _ in 0..4000 {
            if done(&self.engine) {
                return;
            }
            RealClock.sleep(Duration(5)).await;
        }
        let queries = self.engine.queries();
        let states: Vec<_> = queries.iter().map(|query| (&query.name, &query.state, query.stats.used.get())).collect();
        panic!("{what} did not happen: {states:?}, {:?}", self.engine.memory());
    }
}

async fn open_store(folder: &Path, shards: u32) -> Store {
    let settings = millstream_local_kinesis::Settings::default();
    let store = Store::open(&folder.join("streams"), &settings, Arc::new(|| RealClock.now().0)).unwrap();
    store.create_stream(NewStream::new("s", shards)).await.unwrap();
    store
}

fn failure(engine: &Engine, query: &str) -> Option<String> {
    match engine.query(query)?.state {
        QueryState::Failed(reason) => Some(reason),
        QueryState::Running | QueryState::Paused | QueryState::Finished => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_was_refused_memory_goes_on_with_more_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), 1).await;
    let table = format!("{STREAM} WITH ('connector' = 'stream', 'format' = 'json');");
    let view = "CREATE MATERIALIZED VIEW v WITH ('ttl' = '10 d') AS SELECT k, count(*) AS c FROM s GROUP BY k;";
    let small = "CREATE MATERIALIZED VIEW one WITH ('ttl' = '10 d') AS SELECT count(*) AS c FROM s;";
    let service = Service::start(&store, folder.path(), 3_000_000);
    service.execute(format!("{table} {view} {small}")).await;
    service.put((0..1000).map(|n| (0, format!("key {n}"), START + n))).await;
    service
        .until("a checkpoint", |engine| {
            engine
                .query("v")
                .is_some_and(|query| query.stats.used.get() == 1000 && query.stats.checkpoints.newest().bytes > 0)
        })
        .await;
    service.put((0..30_000).map(|n| (0, format!("key {n}"), START + 1000 + n))).await;
    service.until("a refusal", |engine| failure(engine, "v").is_some()).await;
    let reason = failure(&service.engine, "v").unwrap();
    assert!(reason.contains("memory.limit is 3.0 MB"), "{reason}");
    service.until("the small one", |engine| engine.query("one").unwrap().stats.used.get() == 31_000).await;
    assert_eq!(failure(&service.engine, "one"), None, "what is small goes on");
    service.engine.shutdown().await;
    drop(service);

    let service = Service::start(&store, folder.path(), 1 << 30);
    service.execute(format!("{table} {view} {small}")).await;
    let counted = |engine: &Engine| {
        let rows = rows(&engine.table("v").unwrap().snapshot().unwrap().rows);
        rows.iter().map(|row| row["c"].as_i64().unwrap()).sum::<i64>()
    };
    service.until("all of it", |engine| counted(engine) == 31_000).await;
    let read = service.engine.query("v").unwrap().stats.rows_in.get();
    assert!(read < 31_000, "it went on from its checkpoint, and read {read} records");
    service.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_run_ahead_wait_and_nothing_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), 2).await;
    let service = Service::start(&store, folder.path(), 1 << 30);
    // One shard has a day in a few records, the other the same day in many: without waiting the first is read at once.
    let upper = u128::MAX / 2 + 10;
    service.put((0..2000).map(|n| (0, format!("ahead {n}"), START + n * 43_200))).await;
    service.put((0..40_000).map(|n| (upper, format!("behind {n}"), START + n * 2160))).await;
    let table = format!(
        "{STREAM} WITH ('connector' = 'stream', 'format' = 'json', 'scan.watermark.alignment.max-drift' = '1 h');"
    );
    let view = "CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS c \
        FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end;";
    service.execute(format!("{table} {view}")).await;
    service.until("all of it", |engine| engine.query("v").unwrap().stats.used.get() == 42_000).await;
    assert_eq!(service.engine.query("v").unwrap().stats.late.get(), 0);
    service.engine.shutdown().await;
}
