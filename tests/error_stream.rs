//! Continuous queries over `error_stream`: what a run could not use flows on as a stream.

use std::sync::Arc;

use millstream_connectors::{Context, Registry};
use millstream_core::{
    BoxFuture, Clock, Connectors, Decoder, Delivery, Duration, Emission, OptionError, Reference, Roles, Sink,
    SinkError, SinkState, Source, TableDecl,
};
use millstream_engine::{Engine, MemorySettings, Script, Settings};
use millstream_local_kinesis::{NewStream, PutRecord, Store};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::crashes::{MemoryStore, Objects, checkpoints};
use crate::harness::{Cut, Run, hex, sorted, stream};
use crate::live::RealClock;

const TABLE: &str = "CREATE TABLE s (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
    CREATE TABLE dead_letters (error_time TIMESTAMP(3), error_level STRING, error_name STRING, message STRING,
        data_rowtime TIMESTAMP(3), data_row STRING, pump_name STRING, source STRING, shard_id STRING,
        sequence_number STRING, raw BYTES) WITH ('connector' = 'print');
    CREATE MATERIALIZED VIEW inverse AS SELECT 100 / n AS i FROM s;
    CREATE MATERIALIZED VIEW minutes AS SELECT window_end, count(*) AS c
        FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end;";

/// A bad record, a division by zero, a late row, and good rows between them.
fn records() -> String {
    let line = |(second, data): (i64, Value)| {
        json!({"stream": "s", "arrival": second * 1000, "data": data}).to_string() + "\n"
    };
    let row = |n: i64, second: i64| json!({"n": n, "ts": second * 1000});
    let rows = [
        (10, row(1, 10)),
        (20, json!({"n": "x", "ts": 20_000})),
        (30, row(0, 30)),
        (130, row(5, 130)),
        (140, row(7, 50)),
        (310, row(8, 310)),
    ];
    rows.into_iter().map(line).collect()
}

fn run(queries: &str) -> Run {
    stream(&format!("{TABLE}{queries}"), &records(), Cut::default()).unwrap()
}

fn names(rows: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = rows.iter().map(|row| row["error_name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_error_of_a_run_reaches_a_sink() {
    for workers in [1, 3] {
        let script = format!("{TABLE}INSERT INTO dead_letters SELECT * FROM error_stream");
        let run = stream(&script, &records(), Cut { workers, ..Cut::default() }).unwrap();
        assert_eq!(names(&run.errors), ["coercion", "evaluation", "late row"]);
        assert_eq!(sorted(&run.results["dead_letters"]), sorted(&run.errors));
    }
}

#[test]
fn the_columns_of_kinesis_data_analytics_are_filled() {
    let run = run("");
    let of = |name: &str| run.errors.iter().find(|error| error["error_name"] == name).unwrap();
    for error in &run.errors {
        assert_eq!(error["error_level"], "ERROR");
    }
    let bad = of("coercion");
    assert_eq!(bad["data_row"], hex(r#"{"n":"x","ts":20000}"#));
    assert_eq!((&bad["pump_name"], &bad["data_rowtime"]), (&Value::Null, &json!("1970-01-01T00:00:20.000")));
    let failed = of("evaluation");
    assert!(failed["data_row"].as_str().unwrap().contains(&hex("n=0")), "{failed}");
    assert_eq!((&failed["pump_name"], &failed["data_rowtime"]), (&json!("inverse"), &json!("1970-01-01T00:00:30.000")));
    let late = of("late row");
    assert_eq!((&late["pump_name"], &late["data_rowtime"]), (&json!("minutes"), &json!("1970-01-01T00:00:50.000")));
}

#[test]
fn errors_are_filtered_computed_and_counted_in_windows() {
    let run = run("CREATE VIEW failed AS SELECT * FROM error_stream WHERE error_name <> 'late row';
        CREATE MATERIALIZED VIEW short AS SELECT upper(error_name) AS name, error_time AS \"ERROR_TIME\" FROM failed;
        CREATE MATERIALIZED VIEW per_minute AS SELECT window_end, count(*) AS errors
            FROM TABLE(TUMBLE(TABLE error_stream, DESCRIPTOR(error_time), INTERVAL '1' MINUTE)) GROUP BY window_end;");
    let mut short: Vec<&str> = run.results["short"].iter().map(|row| row["name"].as_str().unwrap()).collect();
    short.sort_unstable();
    assert_eq!(short, ["COERCION", "EVALUATION"]);
    assert!(run.results["short"].iter().all(|row| row["ERROR_TIME"].is_string()));
    let counted: i64 = run.results["per_minute"].iter().map(|row| row["errors"].as_i64().unwrap()).sum();
    assert_eq!(counted, 3);
}

#[test]
fn errors_of_queries_over_errors_are_kept_out_of_what_they_read() {
    let run = run(
        "CREATE MATERIALIZED VIEW one AS SELECT 1 / (length(error_name) - length(error_name)) AS x FROM error_stream;
        CREATE MATERIALIZED VIEW two AS SELECT 1 / (length(message) - length(message)) AS x FROM error_stream;
        CREATE MATERIALIZED VIEW all_of_it AS SELECT error_name FROM error_stream;",
    );
    assert_eq!(names(&run.results["all_of_it"]), ["coercion", "evaluation", "late row"]);
    for query in ["one", "two"] {
        assert_eq!((run.stats[query].rows_in.get(), run.stats[query].rejected.get()), (3, 3), "{query}");
    }
    assert_eq!(run.errors.len(), 3 + 6, "the table has them all");
}

#[test]
fn a_query_over_errors_and_the_stream_that_makes_them_gets_all_of_both() {
    let run = run("CREATE MATERIALIZED VIEW both_of_them AS
        SELECT error_name AS what FROM error_stream UNION ALL SELECT 'row' AS what FROM s");
    let mut what: Vec<&str> = run.results["both_of_them"].iter().map(|row| row["what"].as_str().unwrap()).collect();
    what.sort_unstable();
    assert_eq!(what, ["coercion", "evaluation", "late row", "row", "row", "row", "row", "row"]);
}

#[test]
fn without_errors_the_query_ends_with_the_others() {
    let script = format!("{TABLE}INSERT INTO dead_letters SELECT * FROM error_stream");
    let good = json!({"stream": "s", "arrival": 1000, "data": {"n": 1, "ts": 1000}}).to_string();
    let run = stream(&script, &good, Cut::default()).unwrap();
    assert!(!run.results.contains_key("dead_letters"), "nothing was printed");
}

/// The registry, where the table `slow` takes rows while its gate is open.
struct Gated {
    host: Registry,
    gate: watch::Receiver<bool>,
    taken: watch::Sender<Vec<String>>,
}

impl Connectors for Gated {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        self.host.check(table)
    }
    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        self.host.source(table)
    }
    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        self.host.decoder(table)
    }
    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        match table.name.as_str() {
            "slow" => Ok(Box::new(SlowSink { gate: self.gate.clone(), taken: self.taken.clone() })),
            _ => self.host.sink(table, query),
        }
    }
    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        self.host.reference(table)
    }
}

struct SlowSink {
    gate: watch::Receiver<bool>,
    taken: watch::Sender<Vec<String>>,
}

impl Sink for SlowSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }
    fn recover<'a>(&'a mut self, _: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.gate.wait_for(|open| *open).await.unwrap();
            let rows = crate::harness::rows(std::slice::from_ref(&emission.rows));
            let messages = rows.iter().map(|row| row["message"].as_str().unwrap().to_owned());
            self.taken.send_modify(|taken| taken.extend(messages));
            Ok(())
        })
    }
}

/// A service with one stream `s`, and the gate and the rows of the table `slow`.
struct Service {
    store: Store,
    engine: Engine,
    gate: watch::Sender<bool>,
    taken: watch::Receiver<Vec<String>>,
    _folder: Arc<tempfile::TempDir>,
}

const SLOW: &str = "CREATE TABLE s (n BIGINT) WITH ('connector' = 'stream', 'format' = 'json');
    CREATE TABLE slow (message STRING) WITH ('connector' = 'print');
    CREATE MATERIALIZED VIEW good AS SELECT n FROM s;";

impl Service {
    async fn start() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let service = Self::start_in(&folder, None);
        service.store.create_stream(NewStream::new("s", 1)).await.unwrap();
        service
    }

    fn start_in(folder: &Arc<tempfile::TempDir>, objects: Option<&Arc<Objects>>) -> Self {
        let settings = millstream_local_kinesis::Settings::default();
        let store = Store::open(folder.path(), &settings, Arc::new(|| RealClock.now().0)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let host = Registry::new(Context { store: Some(store.clone()), ..Context::new(Arc::clone(&clock)) });
        let (gate, (sender, taken)) = (watch::Sender::new(true), watch::channel(Vec::new()));
        let connectors = Arc::new(Gated { host, gate: gate.subscribe(), taken: sender });
        let settings = Settings {
            workers: 2,
            queue_bytes: 1 << 22,
            replay_time: false,
            checkpoints: objects.map(|objects| checkpoints(&MemoryStore::new(objects, None), "one")),
            memory: MemorySettings::unlimited(),
        };
        let engine = Engine::start(connectors, clock, settings, None, tokio::runtime::Handle::current()).unwrap();
        Self { store, engine, gate, taken, _folder: Arc::clone(folder) }
    }

    async fn execute(&self, sql: &str) {
        let (engine, script) = (self.engine.clone(), Script { text: sql.to_owned(), durable: true });
        let executed = tokio::task::spawn_blocking(move || engine.execute(&[script])).await.unwrap();
        executed.unwrap_or_else(|failed| panic!("{sql}: {}", failed.error));
    }

    async fn put(&self, records: impl IntoIterator<Item = String>) {
        let record =
            |data: String| PutRecord { partition_key: "k".to_owned(), explicit_hash_key: None, data: data.into() };
        self.store.put("s", records.into_iter().map(record).collect()).await.unwrap();
    }

    async fn until(&self, done: impl Fn() -> bool, what: &str) {
        for _ in 0..4000 {
            if done() {
                return;
            }
            RealClock.sleep(Duration(5)).await;
        }
        let shown: Vec<String> = self.taken.borrow().iter().map(|message| message.chars().take(80).collect()).collect();
        panic!("{what}: not within twenty seconds; taken: {}: {:?}", shown.len(), shown.last());
    }

    fn good(&self) -> usize {
        self.engine.table("good").unwrap().row_count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_of_errors_holds_nobody_up_and_is_told_what_it_has_missed() {
    let service = Service::start().await;
    service.execute(&format!("{SLOW} INSERT INTO slow SELECT message FROM error_stream")).await;
    service.gate.send_replace(false);
    // What waits for the sink is bounded in batches: these fill its queue, one after another.
    let small = 150;
    for number in 0..small {
        service.put([format!("bad {number}")]).await;
        let told = || service.engine.table("error_stream").unwrap().row_count();
        service.until(|| told() > number, "the error is told").await;
    }
    // What waits for the reader is bounded in bytes: a record is kept with 48 KiB.
    let bad = |number: usize| format!("{{\"n\":\"{number} {}\"}}", "x".repeat(60_000));
    let (mut rounds, records) = (0, 30);
    while service.engine.errors_lost() == 0 {
        assert!(rounds < 300, "what a reader cannot take is lost");
        let numbers = rounds * records..(rounds + 1) * records;
        service.put(numbers.map(bad).chain([format!("{{\"n\":{rounds}}}")])).await;
        rounds += 1;
        service.until(|| service.good() == rounds, "other queries go on").await;
    }
    service.gate.send_replace(true);
    let counted = || {
        let lost = |message: &str| message.split(' ').next().unwrap().parse::<usize>().unwrap();
        let taken = service.taken.borrow();
        let (notices, errors): (Vec<&String>, Vec<&String>) =
            taken.iter().partition(|message| message.contains("came faster than they were read"));
        (errors.len(), notices.into_iter().map(|notice| lost(notice)).sum::<usize>())
    };
    service
        .until(|| counted().0 + counted().1 == small + rounds * records, "each error is there, or told to be lost")
        .await;
    assert_eq!(counted().1 as u64, service.engine.errors_lost());
    // It goes on as before.
    let before = counted().0;
    service.put([bad(0)]).await;
    service.until(|| counted().0 == before + 1, "it reads on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_defined_later_reads_what_is_told_from_then_on() {
    let service = Service::start().await;
    service.execute(SLOW).await;
    let errors = || service.engine.table("error_stream").unwrap().row_count();
    service.put(["first".to_owned()]).await;
    service.until(|| errors() == 1, "the first error").await;
    service.execute("CREATE MATERIALIZED VIEW one AS SELECT message FROM error_stream").await;
    service.put(["second".to_owned()]).await;
    let rows = |table: &str| service.engine.table(table).unwrap().row_count();
    service.until(|| rows("one") == 1, "one").await;
    service.execute("CREATE MATERIALIZED VIEW two AS SELECT message FROM error_stream").await;
    for number in 0..50 {
        service.put([format!("bad {number}")]).await;
        if number == 20 {
            service.execute("CREATE MATERIALIZED VIEW three AS SELECT message FROM error_stream").await;
        }
    }
    service.until(|| rows("one") == 51 && rows("two") == 50, "one and two").await;
    assert!(rows("three") >= 29, "{}", rows("three"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_errors_goes_on_after_a_pause_and_a_restart() {
    let objects = Arc::<Objects>::default();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let service = Service::start_in(&folder, Some(&objects));
    service.store.create_stream(NewStream::new("s", 1)).await.unwrap();
    let script = format!("{SLOW} CREATE MATERIALIZED VIEW e AS SELECT message FROM error_stream;");
    service.execute(&script).await;
    service.put(["a".to_owned(), "b".to_owned()]).await;
    let rows = |service: &Service| service.engine.table("e").unwrap().row_count();
    service.until(|| rows(&service) == 2, "two errors").await;
    service.engine.pause("e").await.unwrap();
    service.put(["c".to_owned()]).await;
    let errors = || service.engine.table("error_stream").unwrap().row_count();
    service.until(|| errors() == 3, "an error while it pauses").await;
    service.engine.resume("e").unwrap();
    service.until(|| rows(&service) == 3, "it is told that it has missed one").await;
    assert_eq!(service.engine.errors_lost(), 1);
    service.put(["d".to_owned()]).await;
    service.until(|| rows(&service) == 4, "it goes on").await;
    service.engine.shutdown().await;
    drop(service);

    let service = Service::start_in(&folder, Some(&objects));
    service.execute(&script).await;
    assert_eq!(rows(&service), 4, "its table is there again");
    service.put(["e".to_owned()]).await;
    service.until(|| rows(&service) == 5, "it reads what is told in the new process").await;
}
