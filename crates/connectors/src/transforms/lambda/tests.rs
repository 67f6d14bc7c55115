//! An embedded stream whose records a stub of a function changes.

use arrow::datatypes::{DataType, Field, Schema};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use bytes::Bytes;
use millstream_core::{Connectors, Offsets, SourceEvent, TableDecl};
use millstream_local_kinesis::{HashKey, NewStream, ShardId, Store};
use serde_json::{Value, json};

use super::*;
use crate::testing::{StepClock, collect_until, offsets, put, records, registry_at, serve, store, story};
use crate::{Context, Registry};

const START: i64 = 1_767_225_600_000;

/// Answers for `{"n":…}`: every third is dropped, every fifth fails, of the others n is made ten times as large. Every
/// third call goes wrong.
#[derive(Default)]
struct Stub {
    calls: Mutex<Vec<Value>>,
}

async fn invoke(State(stub): State<Arc<Stub>>, Path(function): Path<String>, request: Bytes) -> Response {
    if function != "f" {
        let kind = [("x-amzn-errortype", "ResourceNotFoundException")];
        return (StatusCode::NOT_FOUND, kind, "{\"Message\":\"no\"}").into_response();
    }
    let request: Value = serde_json::from_slice(&request).unwrap();
    let number = {
        let mut calls = stub.calls.lock().unwrap();
        calls.push(request.clone());
        calls.len()
    };
    let answer = |record: &Value| {
        let data = STANDARD.decode(record["data"].as_str().unwrap()).unwrap();
        let n = serde_json::from_slice::<Value>(&data).unwrap()["n"].as_i64().unwrap();
        let result = if n % 3 == 0 {
            "Dropped"
        } else if n % 5 == 0 {
            "ProcessingFailed"
        } else {
            "Ok"
        };
        let data = (result == "Ok").then(|| STANDARD.encode(format!("{{\"n\":{}}}", n * 10)));
        json!({ "recordId": record["recordId"], "result": result, "data": data })
    };
    let mut answers: Vec<_> = request["records"].as_array().unwrap().iter().map(answer).collect();
    match number % 12 {
        3 => return ([("x-amz-function-error", "Unhandled")], "{}").into_response(),
        6 => drop(answers.pop()),
        9 => answers.iter_mut().for_each(|answer| answer["data"] = Value::Null),
        0 => answers.push(answers[0].clone()),
        _ => {}
    }
    Json(json!({ "records": answers })).into_response()
}

struct World {
    store: Store,
    registry: Registry,
    stub: Arc<Stub>,
    _folder: tempfile::TempDir,
}

async fn world(shards: u32) -> World {
    let clock = StepClock::at(START);
    let (store, folder) = store(&clock);
    store.create_stream(NewStream::new("s", shards)).await.unwrap();
    let stub = Arc::new(Stub::default());
    let router = Router::new().route("/2015-03-31/functions/{function}/invocations", post(invoke));
    let endpoint = serve(router.with_state(Arc::clone(&stub))).await;
    let aws = crate::AwsSettings {
        region: None,
        endpoint_url: Some(endpoint),
        access_key: Some(crate::AccessKey { id: "id".into(), secret: "secret".into() }),
    };
    let context = Context { store: Some(store.clone()), aws, ..Context::new(Arc::new(clock)) };
    World { store, registry: Registry::new(context), stub, _folder: folder }
}

fn table(more: &[(&str, &str)]) -> TableDecl {
    let base = [("connector", "stream"), ("stream", "s"), ("format", "json"), (FUNCTION, "f")];
    let options = base.iter().chain(more).copied().collect();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    TableDecl { name: "t".into(), schema, primary_key: vec![], options }
}

fn at_least(count: usize) -> impl Fn(&[SourceEvent]) -> bool + Send + Sync + 'static {
    move |events| records(events) >= count && matches!(events.last(), Some(SourceEvent::Tip { .. }))
}

/// What became of each record, with the verdicts: the number that is used, `-` or `!`.
fn outcome(events: &[SourceEvent]) -> Vec<String> {
    let mut outcome = Vec::new();
    for event in events {
        let SourceEvent::Chunk(chunk) = event else { continue };
        for record in 0..chunk.len() {
            let verdict = chunk.verdicts.as_ref().map_or(&Verdict::Use, |verdicts| &verdicts[record]);
            outcome.push(match verdict {
                Verdict::Use => {
                    let payload: Value = serde_json::from_slice(chunk.data.value(record)).unwrap();
                    payload["n"].to_string()
                }
                Verdict::Drop => "-".to_owned(),
                Verdict::Reject(_) => "!".to_owned(),
            });
        }
    }
    outcome
}

fn expected(n: u32) -> String {
    match n {
        n if n.is_multiple_of(3) => "-".to_owned(),
        n if n.is_multiple_of(5) => "!".to_owned(),
        n => (n * 10).to_string(),
    }
}

#[tokio::test]
async fn records_are_changed_dropped_and_rejected_where_they_stand() {
    let world = world(1).await;
    put(&world.store, "s", 0..100).await;
    let table = table(&[(BATCH_SIZE, "7")]);
    let events =
        collect_until(world.registry.source(&table).unwrap(), Offsets::default(), at_least(100)).await.unwrap();
    assert_eq!(outcome(&events), (0..100).map(expected).collect::<Vec<_>>());
    let calls = world.stub.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|call| call["records"].as_array().unwrap().len() <= 7));
    assert!(calls.len() > 15 + 2, "{} calls, of which some went wrong", calls.len());
    let first = &calls[0]["records"][0];
    assert_eq!(calls[0]["streamArn"], "arn:aws:kinesis:us-east-1:000000000000:stream/s");
    let metadata = &first["kinesisStreamRecordMetadata"];
    assert_eq!(metadata["shardId"], "shardId-000000000000");
    assert_eq!((&metadata["partitionKey"], &metadata["approximateArrivalTimestamp"]), (&json!("k0"), &json!(START)));
    assert_eq!(metadata["sequenceNumber"], first["recordId"]);
}

#[tokio::test]
async fn records_that_came_through_firehose_have_its_metadata() {
    let world = world(1).await;
    put(&world.store, "s", 1..2).await;
    let arn = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/d";
    let table = table(&[("stream.arn", arn)]);
    collect_until(world.registry.source(&table).unwrap(), Offsets::default(), at_least(1)).await.unwrap();
    let call = world.stub.calls.lock().unwrap()[0].clone();
    assert_eq!(call["streamArn"], arn);
    let record = &call["records"][0];
    assert_eq!(record["kinesisFirehoseRecordMetadata"], json!({ "approximateArrivalTimestamp": START }));
    assert_eq!(record["kinesisStreamRecordMetadata"], Value::Null);
}

#[tokio::test]
async fn a_reading_is_resumed_after_every_chunk_and_follows_splits() {
    let world = world(1).await;
    put(&world.store, "s", 0..20).await;
    world.store.split_shard("s", ShardId(0), HashKey(1 << 127)).await.unwrap();
    put(&world.store, "s", 20..40).await;
    let source = || world.registry.source(&table(&[(BATCH_SIZE, "6")])).unwrap();
    let events = collect_until(source(), Offsets::default(), at_least(40)).await.unwrap();
    let told = story(&events);
    let at = |what: &str| told.iter().position(|event| event.starts_with(what)).unwrap();
    assert!(at("0:") < at("+1") && at("0:") < at("-0") && at("+1") < at("1:") && at("+2") < at("2:"), "{told:?}");
    let sorted = |mut outcomes: Vec<String>| {
        outcomes.sort();
        outcomes
    };
    let all = sorted((0..40).map(expected).collect());
    for cut in 0..events.len() {
        let rest = 40 - records(&events[..cut]);
        let rest = collect_until(source(), offsets(&events[..cut]), at_least(rest)).await.unwrap();
        assert_eq!(sorted([outcome(&events[..cut]), outcome(&rest)].concat()), all, "cut {cut}");
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_ends_the_reading() {
    let world = world(1).await;
    put(&world.store, "s", 0..1).await;
    let table = table(&[(FUNCTION, "g")]);
    let reading = collect_until(world.registry.source(&table).unwrap(), Offsets::default(), |_| false);
    let error = reading.await.unwrap_err().to_string();
    assert!(error.starts_with("Lambda function `g` does not exist: check its name, region and endpoint"), "{error}");
}

#[test]
fn options_are_checked() {
    let registry = registry_at("http://127.0.0.1:1", &StepClock::at(START));
    let aws = |more: &[(&str, &str)]| {
        let base = [("connector", "kinesis"), ("format", "json")];
        let options = base.iter().chain(more).copied().collect();
        let table = TableDecl { options, ..table(&[]) };
        registry.check(&table).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(aws(&[(FUNCTION, "f"), (BATCH_WINDOW, "1 s"), (ENDPOINT, "http://127.0.0.1:2")]), Ok(()));
    for (more, error) in [
        (&[(BATCH_SIZE, "5")][..], "option 'transform.lambda.batch-size': needs 'transform.lambda.function' beside it"),
        (&[(FUNCTION, "f"), (BATCH_SIZE, "0")], "option 'transform.lambda.batch-size': `0` given, expected 1 to 10000"),
        (&[(FUNCTION, "f"), (BATCH_WINDOW, "1 h")], "option 'transform.lambda.batch-window': is at most 300 s"),
        (
            &[(FUNCTION, "arn:aws:s3:::b")],
            "option 'transform.lambda.function': `arn:aws:s3:::b` is no ARN of a function",
        ),
        (&[(FUNCTION, "f"), ("transform.lambda.fn", "g")], "option 'transform.lambda.fn': is unknown here"),
    ] {
        let found = aws(more).unwrap_err();
        assert!(found.starts_with(error), "{found}");
    }
}
