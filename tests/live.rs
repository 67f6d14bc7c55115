//! The engine on the embedded stream, in real time.

use std::sync::Arc;

use millstream_connectors::{Context, Registry};
use millstream_core::{BoxFuture, Clock, Duration, EventTime};
use millstream_engine::{ChangeKind, Engine, MemorySettings, QueryState, Script, Settings};
use millstream_local_kinesis::{NewStream, PutRecord, Store};

/// The machine's clock, for tests that run in real time.
pub(crate) struct RealClock;

#[expect(clippy::disallowed_methods, reason = "tests of the running service need real time")]
impl Clock for RealClock {
    fn now(&self) -> EventTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        EventTime(i64::try_from(since.as_millis()).unwrap())
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(length.to_std()))
    }
}

/// A service without HTTP: a store with one stream `s` of four shards, and an engine.
struct Service {
    store: Store,
    engine: Engine,
    _folder: tempfile::TempDir,
}

const TABLE: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'stream', 'format' = 'json')";

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(folder.path(), &millstream_local_kinesis::Settings::default(), Arc::new(|| RealClock.now().0))
                .unwrap();
        store.create_stream(NewStream::new("s", 4)).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let context = Context { store: Some(store.clone()), ..Context::new(Arc::clone(&clock)) };
        let memory = MemorySettings::unlimited();
        let settings = Settings { workers: 2, queue_bytes: 1 << 24, replay_time: false, checkpoints: None, memory };
        let runtime = tokio::runtime::Handle::current();
        let engine = Engine::start(Arc::new(Registry::new(context)), clock, settings, None, runtime).unwrap();
        let service = Self { store, engine, _folder: folder };
        service.execute(TABLE);
        service
    }

    fn execute(&self, sql: &str) {
        let script = Script { text: sql.to_owned(), durable: true };
        if let Err(failed) = self.engine.execute(&[script]) {
            panic!("{sql}: {}", failed.error);
        }
    }

    async fn put(&self, records: std::ops::Range<i64>) {
        let record = |n: i64| {
            let data = format!("{{\"k\":\"k{}\",\"n\":{n},\"ts\":{}}}", n % 7, 1_767_225_600_000 + n * 10);
            PutRecord { partition_key: format!("k{}", n % 50), explicit_hash_key: None, data: data.into() }
        };
        self.store.put("s", records.map(record).collect()).await.unwrap();
    }

    /// Waits until a query has used so many rows.
    async fn used(&self, query: &str, rows: u64) {
        self.until(|| self.engine.query(query).is_some_and(|query| query.stats.used.get() == rows), query).await;
    }

    async fn until(&self, done: impl Fn() -> bool, what: &str) {
        for _ in 0..2000 {
            if done() {
                return;
            }
            RealClock.sleep(Duration(5)).await;
        }
        let queries: Vec<_> =
            self.engine.queries().iter().map(|q| (q.name.clone(), q.state.clone(), q.stats.used.get())).collect();
        panic!("{what}: not within ten seconds: {queries:?}");
    }

    fn records_read(&self) -> u64 {
        self.engine.sources().iter().map(|(_, stats)| stats.records.get()).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_has_one_reader_however_many_queries_use_it() {
    let service = Service::start().await;
    service.put(0..1000).await;
    service.execute("CREATE MATERIALIZED VIEW a AS SELECT k, count(*) AS c FROM s GROUP BY k; CREATE MATERIALIZED VIEW b AS SELECT k, sum(n) AS t FROM s GROUP BY k");
    service.used("a", 1000).await;
    service.used("b", 1000).await;
    assert_eq!(service.records_read(), 1000, "two queries of one script share a reader from the start");
    // A later query reads the past by itself, and then joins.
    for (number, name) in ["c", "d", "e"].into_iter().enumerate() {
        let before = service.records_read();
        let all = 1000 + 200 * number as u64;
        service.execute(&format!("CREATE MATERIALIZED VIEW {name} AS SELECT max(n) AS m FROM s"));
        service.used(name, all).await;
        service.until(|| service.records_read() == before + all, "it reads the past once").await;
        let joined = service.records_read();
        let next = 1000 + 200 * i64::try_from(number).unwrap();
        service.put(next..next + 200).await;
        for query in ["a", "b", name] {
            service.used(query, all + 200).await;
        }
        assert_eq!(service.records_read(), joined + 200, "`{name}` reads with the others now");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_joins_while_records_come() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW a AS SELECT k, count(*) AS c FROM s GROUP BY k");
    for round in 0..40 {
        service.put(round * 100..round * 100 + 100).await;
        if round % 8 == 3 {
            service.execute(&format!("CREATE MATERIALIZED VIEW q{round} AS SELECT count(*) AS c, sum(n) AS t FROM s"));
        }
    }
    for query in service.engine.queries() {
        service.used(&query.name, 4000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_query_goes_on_where_it_stopped() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW a AS SELECT count(*) AS c FROM s; CREATE MATERIALIZED VIEW b AS SELECT count(*) AS c FROM s");
    service.put(0..500).await;
    service.used("a", 500).await;
    service.engine.pause("a").await.unwrap();
    service.put(500..900).await;
    service.used("b", 900).await;
    let paused = service.engine.query("a").unwrap();
    assert_eq!((paused.state, paused.stats.used.get()), (QueryState::Paused, 500));
    service.engine.resume("a").unwrap();
    service.put(900..1000).await;
    service.used("a", 1000).await;
    service.used("b", 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_window_is_seen_as_it_fills_and_then_is_final() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW w AS SELECT window_start, k, count(*) AS c FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, k");
    let table = service.engine.table("w").unwrap();
    service.put(0..70).await;
    service.until(|| table.row_count() == 7, "seven keys are in the open window").await;
    let first = table.snapshot().unwrap();
    let column = |rows: &arrow::array::RecordBatch| rows.column_by_name("is_final").unwrap().clone();
    assert!(first.rows.iter().all(|rows| arrow::array::AsArray::as_boolean(&column(rows)).true_count() == 0));
    service.put(70..2000).await;
    let finals = || {
        let rows = table.snapshot().unwrap().rows;
        rows.iter().map(|rows| arrow::array::AsArray::as_boolean(&column(rows)).true_count()).sum::<usize>()
    };
    service.until(|| finals() == 7, "the first window has closed").await;
    let changes = table.changes_after(first.last_change).expect("what changed is kept");
    assert!(changes.iter().all(|change| change.kind == ChangeKind::Upsert && change.id > first.last_change));
    assert!(table.changes_after(first.last_change + 1_000_000).is_none(), "a number of another life is not believed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_is_gone_and_its_name_free() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW a AS SELECT count(*) AS c FROM s");
    service.put(0..10).await;
    service.used("a", 10).await;
    service.execute("DROP MATERIALIZED VIEW a");
    assert!(service.engine.table("a").is_none() && service.engine.queries().is_empty());
    assert_eq!(service.engine.definitions().len(), 1, "only the table is left to be there again");
    service.execute("CREATE MATERIALIZED VIEW a AS SELECT sum(n) AS t FROM s");
    service.used("a", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_select_ends_with_its_client_even_when_no_rows_come() {
    let service = Service::start().await;
    let script = Script { text: "SELECT * FROM s".to_owned(), durable: false };
    let outcomes = service.engine.execute(&[script]).map_err(|failed| failed.error).unwrap();
    assert_eq!(service.engine.queries().len(), 1);
    drop(outcomes);
    service.until(|| service.engine.queries().is_empty(), "the client has left").await;
}

/// The sum of a column of a live table's rows, of all and of those that are final.
fn sums(service: &Service, table: &str) -> (i64, i64) {
    use arrow::array::AsArray;
    let rows = service.engine.table(table).expect("the table is there").snapshot().unwrap().rows;
    let (mut all, mut last) = (0, 0);
    for batch in &rows {
        let counts = batch.column_by_name("c").unwrap().as_primitive::<arrow::datatypes::Int64Type>().clone();
        let finals = batch.column_by_name("is_final").unwrap().as_boolean().clone();
        for row in 0..batch.num_rows() {
            all += counts.value(row);
            last += if finals.value(row) { counts.value(row) } else { 0 };
        }
    }
    (all, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_sessions_are_shown_and_become_final_once() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW v AS SELECT window_start, window_end, k, count(*) AS c FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, k");
    service.put(0..100).await;
    service.until(|| sums(&service, "v") == (100, 0), "open sessions are shown").await;
    service.put(1000..1200).await;
    service.until(|| sums(&service, "v") == (300, 100), "what has closed is final, and shown once").await;
    service.put(1200..1300).await;
    service.until(|| sums(&service, "v") == (400, 100), "open sessions grow").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_open_window_of_a_hop_is_shown() {
    let service = Service::start().await;
    service.execute("CREATE MATERIALIZED VIEW v AS SELECT window_start, window_end, count(*) AS c FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)) GROUP BY window_start, window_end");
    service.execute("CREATE MATERIALIZED VIEW f WITH ('emit' = 'final') AS SELECT window_start, window_end, count(*) AS c FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)) GROUP BY window_start, window_end");
    service.put(0..100).await;
    service.until(|| sums(&service, "v") == (300, 0), "each row is in three open windows").await;
    service.put(1000..1200).await;
    service.until(|| sums(&service, "v") == (900, 400), "what ends by 11 s has closed").await;
    service.until(|| sums(&service, "f") == (400, 400), "final rows only").await;
    let script = Script { text: "EXPLAIN SELECT k FROM s".to_owned(), durable: false };
    let outcomes = service.engine.execute(&[script]).unwrap();
    let [millstream_engine::Outcome::Explained { text, .. }] = &outcomes[..] else { panic!("EXPLAIN explains") };
    assert!(text.contains("held by s shardId-"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_table_is_loaded_again_and_stays_when_that_fails() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names");
    std::fs::write(&path, "{\"k\":\"k1\",\"name\":\"one\"}\n").unwrap();
    service.execute(&format!("CREATE TABLE names (k STRING, name STRING) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json', 'lookup.full-cache.periodic-reload.interval' = '100 ms'); CREATE MATERIALIZED VIEW r AS SELECT s.n, t.name FROM s LEFT JOIN names t ON s.k = t.k WHERE s.k = 'k1'", path.display()));
    let named = |name: &'static str| {
        let rows = service.engine.table("r").unwrap().snapshot().unwrap().rows;
        let column = |batch: &arrow::array::RecordBatch| {
            use arrow::array::{Array, AsArray};
            let names = batch.column(1).as_string::<i32>().clone();
            (0..names.len()).filter(|row| !names.is_null(*row) && names.value(*row) == name).count()
        };
        rows.iter().map(column).sum::<usize>()
    };
    service.put(0..7).await;
    service.until(|| named("one") == 1, "the file as it was").await;
    std::fs::write(&path, "{\"k\":\"k1\",\"name\":\"two\"}\n").unwrap();
    // Rows that come before the reload still meet the old content.
    let mut next = 7;
    while named("two") == 0 {
        assert!(next < 7000, "the file was not loaded again");
        service.put(next..next + 7).await;
        next += 7;
        RealClock.sleep(Duration(20)).await;
    }
    std::fs::remove_file(&path).unwrap();
    let errors = || service.engine.table("error_stream").unwrap().row_count();
    service.until(|| errors() > 0, "a reload that fails is told").await;
    let before = named("two");
    service.put(next..next + 7).await;
    service.until(|| named("two") > before, "and what was loaded stays").await;
}
