//! Against a stub that speaks Lambda's `Invoke`, and does each thing a function can do wrong.

use std::sync::Mutex;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use bytes::Bytes;
use millstream_core::{Connectors, Emission, SinkError, TableDecl};
use serde_json::{Value, json};

use super::*;
use crate::testing::{StepClock, registry_at, serve};

/// What a function does when it is called for the nth time.
#[derive(Clone, Copy, Debug)]
enum Does {
    Works,
    FailsFirstRecord,
    Throws,
    IsThrottled,
    ForgetsOne,
    AnswersTwice,
    AnswersNonsense,
    HangsAfterwards,
}

#[derive(Default)]
struct Stub {
    does: Mutex<Vec<Does>>,
    /// Each request.
    requests: Mutex<Vec<Value>>,
}

async fn invoke(State(stub): State<Arc<Stub>>, Path(function): Path<String>, request: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&request).unwrap();
    let fails = |status: StatusCode, kind: &str| {
        (status, [("x-amzn-errortype", kind.to_owned())], "{\"Message\":\"no\"}").into_response()
    };
    if function != "f" {
        return fails(StatusCode::NOT_FOUND, "ResourceNotFoundException");
    }
    let does = {
        let mut does = stub.does.lock().unwrap();
        if does.is_empty() { Does::Works } else { does.remove(0) }
    };
    stub.requests.lock().unwrap().push(request.clone());
    let mut answers: Vec<_> = request["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| json!({ "recordId": record["recordId"], "result": "Ok" }))
        .collect();
    match does {
        Does::Works => {}
        Does::FailsFirstRecord => answers[0]["result"] = "DeliveryFailed".into(),
        Does::Throws => {
            let kind = [("x-amz-function-error", "Unhandled")];
            return (kind, "{\"errorMessage\":\"division by zero\"}").into_response();
        }
        Does::IsThrottled => return fails(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        Does::ForgetsOne => drop(answers.pop()),
        Does::AnswersTwice => answers.push(answers[0].clone()),
        Does::AnswersNonsense => return "null".into_response(),
        Does::HangsAfterwards => std::future::pending().await,
    }
    Json(json!({ "records": answers })).into_response()
}

async fn stub(does: &[Does]) -> (Arc<Stub>, String) {
    let stub = Arc::new(Stub { does: Mutex::new(does.to_vec()), ..Stub::default() });
    let router = Router::new().route("/2015-03-31/functions/{function}/invocations", post(invoke));
    (Arc::clone(&stub), serve(router.with_state(stub)).await)
}

fn sink(endpoint: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let base = [("connector", "lambda"), ("function", "f"), ("format", "json"), ("function.timeout", "500 ms")];
    let options = base.iter().chain(more).copied().collect();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let table = TableDecl { name: "t".into(), schema, primary_key: vec![], options };
    registry_at(endpoint, &StepClock::at(0)).sink(&table, "q").unwrap()
}

fn rows(numbers: &[i64]) -> Emission {
    let column: ArrayRef = Arc::new(numbers.iter().copied().collect::<Int64Array>());
    Emission { rows: RecordBatch::try_from_iter([("n", column)]).unwrap(), window: None }
}

#[tokio::test]
async fn a_function_is_given_what_kinesis_analytics_gives_it() {
    let (stub, endpoint) = stub(&[Does::FailsFirstRecord]).await;
    let mut sink = sink(&endpoint, &[]);
    sink.write(&rows(&[1, 2])).await.unwrap();
    sink.prepare(false).await.unwrap();
    let requests = stub.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    let [first, second] = [&requests[0], &requests[1]];
    assert_eq!(first["invocationId"].as_str().map(str::len), Some(36));
    assert_eq!(first["applicationArn"], "arn:aws:kinesisanalytics:us-east-1:000000000000:application/q");
    let (sent, again) = (&first["records"], &second["records"]);
    assert_eq!((sent.as_array().unwrap().len(), again.as_array().unwrap().len()), (2, 1));
    assert_eq!(sent[0]["data"], STANDARD.encode("{\"n\":1}"));
    assert_eq!(sent[0]["lambdaDeliveryRecordMetadata"]["retryHint"], 0);
    assert_eq!(again[0]["lambdaDeliveryRecordMetadata"]["retryHint"], 1);
    assert_eq!(sent[0]["recordId"], again[0]["recordId"]);
    assert_ne!(sent[0]["recordId"], sent[1]["recordId"]);
}

#[tokio::test]
async fn a_function_that_goes_wrong_is_asked_again_with_the_same_ids() {
    for does in [
        Does::Throws,
        Does::IsThrottled,
        Does::ForgetsOne,
        Does::AnswersTwice,
        Does::AnswersNonsense,
        Does::HangsAfterwards,
    ] {
        let (stub, endpoint) = stub(&[does]).await;
        let mut sink = sink(&endpoint, &[]);
        sink.write(&rows(&[1, 2, 3])).await.unwrap();
        sink.prepare(false).await.unwrap();
        let requests = stub.requests.lock().unwrap().clone();
        assert_eq!(requests.len(), 2, "{does:?}");
        let ids = |request: &Value| {
            let records = request["records"].as_array().unwrap().iter();
            let mut ids: Vec<_> = records.map(|record| record["recordId"].to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&requests[0]), ids(&requests[1]), "{does:?}");
    }
}

#[tokio::test]
async fn rows_that_are_alike_go_one_after_the_other() {
    let (stub, endpoint) = stub(&[]).await;
    let mut sink = sink(&endpoint, &[]);
    sink.write(&rows(&[1, 1, 1])).await.unwrap();
    sink.prepare(false).await.unwrap();
    assert_eq!(stub.requests.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn batches_are_bounded_by_count_and_by_what_lambda_takes() {
    let (stub, endpoint) = stub(&[]).await;
    let mut few = sink(&endpoint, &[("sink.batch.max-size", "4")]);
    few.write(&rows(&(0..10).collect::<Vec<_>>())).await.unwrap();
    few.prepare(false).await.unwrap();
    let sizes: Vec<_> = stub.requests.lock().unwrap().iter().map(|r| r["records"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let mut many = sink(&endpoint, &[("sink.batch.max-size", "10000"), ("sink.requests.max-buffered", "12000")]);
    many.write(&rows(&(0..12_000).collect::<Vec<_>>())).await.unwrap();
    many.prepare(false).await.unwrap();
    let requests = stub.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.to_string().len() <= REQUEST_BYTES_MAX));
}

#[tokio::test]
async fn a_function_that_is_not_there_is_said() {
    let (_, endpoint) = stub(&[]).await;
    let mut sink = sink(&endpoint, &[("function", "g")]);
    sink.write(&rows(&[1])).await.unwrap();
    let error = sink.prepare(false).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }));
    assert!(error.to_string().contains("Lambda function `g` failed: it does not exist"), "{error}");
}
