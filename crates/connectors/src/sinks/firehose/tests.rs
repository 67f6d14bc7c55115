//! Against a stub that speaks `PutRecordBatch` and refuses a part.

use std::sync::Mutex;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_core::{Connectors, Emission, SinkError, TableDecl};
use serde_json::{Value, json};

use super::*;
use crate::testing::{StepClock, registry_at, serve};

#[derive(Default)]
struct Stub {
    stored: Mutex<Vec<String>>,
    calls: Mutex<Vec<usize>>,
}

/// Refuses the first two calls, one whole and one half; a stream of another name is not there.
async fn put(State(stub): State<Arc<Stub>>, request: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&request).unwrap();
    if request["DeliveryStreamName"] != "d" {
        let error = json!({ "__type": "ResourceNotFoundException", "message": "no such stream" });
        return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
    }
    let records = request["Records"].as_array().unwrap();
    let call = {
        let mut calls = stub.calls.lock().unwrap();
        calls.push(records.len());
        calls.len()
    };
    if call == 1 {
        let error = json!({ "__type": "ServiceUnavailableException", "message": "slow down" });
        return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response();
    }
    let answer = |(place, record): (usize, &Value)| {
        if call == 2 && place % 2 == 0 {
            return json!({ "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow down" });
        }
        let data = STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
        stub.stored.lock().unwrap().push(String::from_utf8(data).unwrap());
        json!({ "RecordId": place.to_string() })
    };
    let answers: Vec<_> = records.iter().enumerate().map(answer).collect();
    Json(json!({ "FailedPutCount": 0, "RequestResponses": answers })).into_response()
}

async fn stub() -> (Arc<Stub>, String) {
    let stub = Arc::new(Stub::default());
    let router = Router::new().route("/", post(put)).with_state(Arc::clone(&stub));
    (stub, serve(router).await)
}

fn sink(endpoint: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let base = [("connector", "firehose"), ("delivery-stream", "d"), ("format", "json")];
    let options = base.iter().chain(more).copied().collect();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let table = TableDecl { name: "t".into(), schema, primary_key: vec![], options };
    registry_at(endpoint, &StepClock::at(0)).sink(&table, "q").unwrap()
}

fn rows(count: i64) -> Emission {
    let column: ArrayRef = Arc::new((0..count).collect::<Int64Array>());
    Emission { rows: RecordBatch::try_from_iter([("n", column)]).unwrap(), window: None }
}

#[tokio::test]
async fn only_what_failed_is_sent_again() {
    let (stub, endpoint) = stub().await;
    let mut sink = sink(&endpoint, &[("sink.requests.max-inflight", "1")]);
    sink.write(&rows(1200)).await.unwrap();
    sink.prepare(false).await.unwrap();
    let mut stored = stub.stored.lock().unwrap().clone();
    assert_eq!(stored.len(), 1200, "each once");
    stored.sort_by_key(String::len);
    assert_eq!(stored[0], "{\"n\":0}\n");
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), 1200);
    let calls = stub.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|records| *records <= 500), "{calls:?}");
    assert_eq!(calls.iter().sum::<usize>(), 1200 + 500 + 250, "{calls:?}");
}

#[tokio::test]
async fn lines_end_where_they_are_wanted_to() {
    let (stub, endpoint) = stub().await;
    let mut sink = sink(&endpoint, &[("sink.newline", "false"), ("sink.id-field", "_id")]);
    sink.write(&rows(1)).await.unwrap();
    sink.finish().await.unwrap();
    let stored = stub.stored.lock().unwrap().clone();
    let row: Value = serde_json::from_str(&stored[0]).unwrap();
    assert_eq!((row["n"].as_i64(), row["_id"].as_str().map(str::len)), (Some(0), Some(32)));
    assert!(stored[0].ends_with('}'));
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_said() {
    let (_, endpoint) = stub().await;
    let mut sink = sink(&endpoint, &[("delivery-stream", "other")]);
    sink.write(&rows(1)).await.unwrap();
    let error = sink.prepare(false).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }));
    assert!(error.to_string().contains("Firehose stream `other` failed: it does not exist"), "{error}");
}
