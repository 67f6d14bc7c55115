//! Against the embedded stream's wire API, of which calls fail as they do on AWS: in part, before and after the work is
//! done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use millstream_core::{Connectors, Emission, EventTime, SinkError, TableDecl, Window};
use millstream_local_kinesis::{HashKey, NewStream, Position, Store};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::*;
use crate::kpl::take_apart;
use crate::testing::{StepClock, registry_at, serve, store};

const START: i64 = 1_767_225_600_000;

/// What goes wrong. `calls` counts those of `PutRecords`.
struct Faults {
    dice: SmallRng,
    calls: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Before,
    After,
    Partial,
    Nothing,
}

async fn faulty(State(faults): State<Option<Arc<Mutex<Faults>>>>, request: Request<Body>, next: Next) -> Response {
    let is_put = request.headers().get("x-amz-target").is_some_and(|target| target == "Kinesis_20131202.PutRecords");
    let Some(faults) = faults.filter(|_| is_put) else { return next.run(request).await };
    let fault = {
        let mut faults = faults.lock().unwrap();
        faults.calls += 1;
        match faults.dice.random_range(0..10) {
            0 => Fault::Before,
            1 => Fault::After,
            2..5 => Fault::Partial,
            _ => Fault::Nothing,
        }
    };
    let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "{\"__type\":\"InternalFailureException\"}").into_response();
    if fault == Fault::Before {
        return failed();
    }
    let (mut head, body) = request.into_parts();
    let mut sent: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    let records = sent["Records"].as_array_mut().unwrap();
    let keys: BTreeSet<_> = records.iter().map(|record| record["PartitionKey"].to_string()).collect();
    assert_eq!(keys.len(), records.len(), "a key comes once in a call");
    let refused: Vec<bool> = records
        .iter()
        .map(|_| fault == Fault::Partial && records.len() > 1 && faults.lock().unwrap().dice.random_bool(0.4))
        .collect();
    let mut taken = refused.iter().map(|refused| !refused);
    records.retain(|_| taken.next().unwrap());
    let is_empty = records.is_empty();
    head.headers.remove("content-length");
    let reply = if is_empty {
        json!({ "Records": [] })
    } else {
        let reply = next.run(Request::from_parts(head, Body::from(sent.to_string()))).await;
        assert_eq!(reply.status(), StatusCode::OK);
        serde_json::from_slice(&to_bytes(reply.into_body(), usize::MAX).await.unwrap()).unwrap()
    };
    if fault == Fault::After {
        return failed();
    }
    let mut stored = reply["Records"].as_array().unwrap().iter().cloned();
    let answer = |refused: bool| {
        let error = json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down" });
        if refused { error } else { stored.next().unwrap() }
    };
    let records: Vec<Value> = refused.into_iter().map(answer).collect();
    json!({ "FailedRecordCount": 0, "Records": records }).to_string().into_response()
}

struct Server {
    store: Store,
    clock: StepClock,
    endpoint: String,
    _folder: tempfile::TempDir,
}

async fn server(shards: u32, seed: Option<u64>) -> Server {
    let clock = StepClock::at(START);
    let (store, folder) = store(&clock);
    store.create_stream(NewStream::new("s", shards)).await.unwrap();
    let faults = seed.map(|seed| Arc::new(Mutex::new(Faults { dice: SmallRng::seed_from_u64(seed), calls: 0 })));
    let router = millstream_local_kinesis::router(store.clone()).layer(from_fn_with_state(faults, faulty));
    Server { endpoint: serve(router).await, store, clock, _folder: folder }
}

impl Server {
    fn sink(&self, more: &[(&str, &str)]) -> Box<dyn Sink> {
        self.checked(more).unwrap()
    }

    fn checked(&self, more: &[(&str, &str)]) -> Result<Box<dyn Sink>, OptionError> {
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("k", DataType::Utf8, true)];
        let base = [("connector", "kinesis"), ("stream", "s"), ("format", "json")];
        let options = base.iter().chain(more).copied().collect();
        let table = TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options };
        registry_at(&self.endpoint, &self.clock).sink(&table, "q")
    }

    /// Partition keys and payloads, shard by shard in the order in which they were made. Aggregates are taken apart as the
    /// KCL does it: one that has a row of another shard is dropped.
    fn stored(&self) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        let info = self.store.describe("s").unwrap();
        for shard in &info.shards {
            let page = self.store.read("s", shard.id, Position::TrimHorizon, 1_000_000, 1 << 30).unwrap();
            for record in page.records() {
                let row = |data: &[u8]| serde_json::from_slice(data).unwrap();
                match take_apart(record.data) {
                    None => found.push((record.partition_key.to_owned(), row(record.data))),
                    Some(rows) if rows.iter().all(|row| shard.range.contains(row.hash_key())) => {
                        found.extend(rows.into_iter().map(|user| (user.partition_key.clone(), row(&user.data))));
                    }
                    Some(_) => {}
                }
            }
        }
        found
    }
}

fn emission(rows: &[(i64, String)]) -> Emission {
    let columns: [(_, ArrayRef); 2] = [
        ("n", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>())),
        ("k", Arc::new(rows.iter().map(|row| Some(row.1.as_str())).collect::<StringArray>())),
    ];
    let window = Some(Window { start: EventTime(0), end: EventTime(1000) });
    Emission { rows: RecordBatch::try_from_iter(columns).unwrap(), window }
}

/// The numbers of each key in the order in which they are in the stream, each where it came first.
fn by_key(stored: &[(String, Value)]) -> BTreeMap<String, Vec<i64>> {
    let mut keys: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, row) in stored {
        let (numbers, number) = (keys.entry(key.clone()).or_default(), row["n"].as_i64().unwrap());
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    keys
}

/// Answers how many are there twice.
async fn all_are_there_in_order(seed: u64, more: &[(&str, &str)]) -> usize {
    let server = server(2, Some(seed)).await;
    let options: Vec<_> = [("sink.partition-key", "k"), ("sink.id-field", "id")].iter().chain(more).copied().collect();
    let mut sink = server.sink(&options);
    let mut random = SmallRng::seed_from_u64(seed);
    let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for round in 0..10_i64 {
        let row = |n: i64| (round * 100 + n, format!("k{}", random.random_range(0..40)));
        let rows: Vec<_> = (0..100).map(row).collect();
        for (n, k) in &rows {
            expected.entry(k.clone()).or_default().push(*n);
        }
        sink.write(&emission(&rows)).await.unwrap();
        if round % 3 == 1 {
            let info = server.store.describe("s").unwrap();
            let shard = info.open_shards().next().unwrap();
            let middle = HashKey(shard.range.start.0.midpoint(shard.range.end.0));
            server.store.split_shard("s", shard.id, middle).await.unwrap();
        }
    }
    sink.prepare(false).await.unwrap();
    let stored = server.stored();
    assert_eq!(by_key(&stored), expected, "seed {seed}");
    let ids: BTreeMap<_, _> = stored.iter().map(|(_, row)| (row["id"].to_string(), row["n"].as_i64())).collect();
    assert_eq!(ids.len(), 1000, "seed {seed}: what is there twice has one id, and nothing else has it");
    stored.len() - 1000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_there_in_the_order_of_their_keys_whatever_fails() {
    let mut twice = 0;
    for seed in 0..4 {
        twice += all_are_there_in_order(seed, &[]).await;
    }
    assert!(twice > 0, "some calls were answered with a failure after they had worked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_are_in_their_shards_whatever_fails_and_splits() {
    let mut twice = 0;
    for seed in 0..8 {
        twice += all_are_there_in_order(seed, &[("sink.aggregation", "true")]).await;
    }
    assert!(twice > 0, "some calls were answered with a failure after they had worked");
}

#[tokio::test]
async fn rows_of_few_keys_make_few_aggregates() {
    let server = server(4, None).await;
    let mut sink = server.sink(&[("sink.partition-key", "k"), ("sink.aggregation", "true")]);
    let rows: Vec<_> = (0..5000).map(|n| (n, format!("k{}", n % 3))).collect();
    sink.write(&emission(&rows)).await.unwrap();
    sink.prepare(false).await.unwrap();
    assert_eq!(server.stored().len(), 5000);
    let info = server.store.describe("s").unwrap();
    let records = info.shards.iter().map(|shard| {
        let page = server.store.read("s", shard.id, Position::TrimHorizon, 1_000_000, 1 << 30).unwrap();
        page.records().count()
    });
    let records = records.sum::<usize>();
    assert!(records < 30, "5,000 rows are {records} records");
}

#[tokio::test]
async fn what_lingers_is_sent_without_another_call() {
    let server = server(1, None).await;
    let mut sink = server.sink(&[]);
    sink.write(&emission(&[(1, "a".into()), (2, "a".into())])).await.unwrap();
    assert_eq!(server.stored().len(), 0);
    while server.stored().len() < 2 {
        sink.work().await.unwrap();
    }
    sink.prepare(false).await.unwrap();
    assert_eq!(server.stored().len(), 2);
}

#[tokio::test]
async fn what_the_stream_refuses_fails_in_words() {
    let server = server(1, None).await;
    let refused = async |more: &[(&str, &str)], row: String| {
        let mut sink = server.sink(more);
        let written = sink.write(&emission(&[(1, row)])).await;
        let error = if written.is_ok() { sink.prepare(false).await.err() } else { written.err() }.unwrap();
        assert!(matches!(error, SinkError::Fatal { .. }), "{error}");
        error.to_string()
    };
    let missing = refused(&[("stream", "nowhere")], "a".into()).await;
    assert!(missing.contains("`nowhere` failed: it does not exist"), "{missing}");
    let missing = refused(&[("stream", "nowhere"), ("sink.aggregation", "true")], "a".into()).await;
    assert!(missing.contains("`nowhere` failed: it does not exist"), "{missing}");
    let long = refused(&[], "x".repeat(11 << 20)).await;
    assert!(long.contains("bytes, and a record no more than 10485760"), "{long}");
    // Larger than the stream takes: it says so itself.
    let long = refused(&[], "x".repeat(2 << 20)).await;
    assert!(long.contains("1048576") || long.contains("1 MiB"), "{long}");
}

#[tokio::test]
async fn options_are_checked() {
    let server = server(1, None).await;
    for (more, error) in [
        (("sink.partition-key", "x"), "option 'sink.partition-key': table `t` has no column `x`"),
        (("sink.batch.max-size", "501"), "option 'sink.batch.max-size': `501` given, expected 1 to 500"),
        (("sink.id-field", "n"), "option 'sink.id-field': `n` is a column of the table"),
        (("format", "csv"), "option 'sink.id-field': is for format 'json'"),
        (("sink.agregation", "true"), "option 'sink.agregation': is unknown here; the nearest known option is"),
    ] {
        let mut options = vec![("sink.id-field", "id")];
        options.retain(|(key, _)| *key != more.0);
        options.push(more);
        let found = server.checked(&options).err().unwrap().to_string();
        assert!(found.starts_with(error), "{found}");
    }
}
