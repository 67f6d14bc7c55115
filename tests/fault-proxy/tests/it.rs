//! A server that remembers what it was asked, behind the proxy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its server too")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fault_proxy::{Fault, Faults, Proxy};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};

/// Answers `PutRecords` as Kinesis does; everything else with the body it got. Keeps the bodies.
async fn server(seen: Arc<Mutex<Vec<Bytes>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut connections = tokio::task::JoinSet::new();
    let accept = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            connections.spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let body = request.into_body().collect().await?.to_bytes();
                        seen.lock().unwrap().push(body.clone());
                        Ok::<_, hyper::Error>(Response::new(Full::new(reply(&body))))
                    }
                });
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a server of the test")]
    tokio::spawn(accept);
    address
}

fn reply(request: &Bytes) -> Bytes {
    let parsed: Value = serde_json::from_slice(request).unwrap();
    let Some(records) = parsed["Records"].as_array() else { return request.clone() };
    let records: Vec<_> = records.iter().map(|record| json!({ "SequenceNumber": record["Data"] })).collect();
    json!({ "FailedRecordCount": 0, "Records": records }).to_string().into()
}

/// The status and the body of one call, if it came through.
async fn call(proxy: &Proxy, operation: &str, body: Value) -> Result<(StatusCode, Value), String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(format!("http://{}/", proxy.address()))
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::new(body.to_string().into()))
        .unwrap();
    let reply = client.request(request).await.map_err(|error| error.to_string())?;
    let status = reply.status();
    let body = reply.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn with(kind: Fault) -> (Proxy, Arc<Mutex<Vec<Bytes>>>) {
    let seen = Arc::default();
    let faults = Faults { kinds: vec![kind], ..Faults::all(1.0, 7) };
    (Proxy::start(&server(Arc::clone(&seen)).await, 0, faults).await.unwrap(), seen)
}

#[tokio::test]
async fn each_fault_is_what_its_name_says() {
    let name = |error: &str| json!(error);
    for (kind, operation, expected, is_seen) in [
        (Fault::Throttled, "PutRecord", Some((400, name("ProvisionedThroughputExceededException"))), false),
        (Fault::Internal, "PutRecord", Some((500, name("InternalFailureException"))), false),
        (Fault::Unavailable, "PutRecord", Some((503, Value::Null)), false),
        (Fault::ExpiredIterator, "GetRecords", Some((400, name("ExpiredIteratorException"))), false),
        (Fault::ExpiredIterator, "PutRecord", Some((200, Value::Null)), true),
        (Fault::Slow, "PutRecord", Some((200, Value::Null)), true),
        (Fault::ResetBefore, "PutRecord", None, false),
        (Fault::ResetAfter, "PutRecord", None, true),
        (Fault::Cut, "PutRecord", None, true),
    ] {
        let (proxy, seen) = with(kind).await;
        let answered = call(&proxy, operation, json!({ "n": 1 })).await.ok();
        let answered = answered.map(|(status, body)| (status.as_u16(), body["__type"].clone()));
        assert_eq!(answered, expected, "{kind:?}");
        assert_eq!(!seen.lock().unwrap().is_empty(), is_seen, "{kind:?}");
        let befell = u64::from(!(kind == Fault::ExpiredIterator && operation == "PutRecord"));
        assert_eq!(proxy.injected().get(&kind).copied().unwrap_or(0), befell, "{kind:?}");
    }
}

#[tokio::test]
async fn of_some_records_the_refused_are_not_put_and_each_reply_is_in_its_place() {
    let (proxy, seen) = with(Fault::Partial).await;
    let mut refused = 0;
    for n in 0..20 {
        let records: Vec<_> = (0..10).map(|k| json!({ "Data": format!("{n}-{k}") })).collect();
        let (status, reply) = call(&proxy, "PutRecords", json!({ "Records": records })).await.unwrap();
        assert_eq!(status, 200);
        let put: Value = serde_json::from_slice(seen.lock().unwrap().last().unwrap()).unwrap();
        let put: Vec<_> = put["Records"].as_array().unwrap().iter().map(|record| record["Data"].clone()).collect();
        let replies = reply["Records"].as_array().unwrap();
        assert_eq!(replies.len(), 10);
        let stored: Vec<_> = replies.iter().map(|record| record["SequenceNumber"].clone()).collect();
        for (k, reply) in replies.iter().enumerate() {
            let is_refused = reply["ErrorCode"] == "ProvisionedThroughputExceededException";
            assert_ne!(is_refused, reply["SequenceNumber"] == format!("{n}-{k}"));
            refused += u64::from(is_refused);
        }
        assert_eq!(stored.into_iter().filter(|stored| !stored.is_null()).collect::<Vec<_>>(), put);
        assert_eq!(reply["FailedRecordCount"], 10 - put.len());
    }
    assert!((50..150).contains(&refused), "{refused} of 200");
    let (_, reply) = call(&proxy, "PutRecords", json!({ "Records": [{ "Data": "alone" }] })).await.unwrap();
    assert_eq!(reply["FailedRecordCount"], 0, "one alone is put");
}

#[tokio::test]
async fn faults_come_as_often_as_they_are_asked_for_and_not_at_all() {
    let seen = Arc::default();
    let kinds = vec![Fault::Throttled, Fault::Internal, Fault::ResetAfter];
    let faults = Faults { kinds, operations: vec!["PutRecord".into()], ..Faults::all(0.5, 3) };
    let proxy = Proxy::start(&server(seen).await, 0, faults).await.unwrap();
    for _ in 0..200 {
        let _ = call(&proxy, "PutRecord", json!({})).await;
        assert!(call(&proxy, "GetRecords", json!({})).await.is_ok_and(|(status, _)| status == 200));
    }
    let injected = proxy.injected();
    let all: u64 = injected.values().sum();
    assert!((60..140).contains(&all) && injected.len() == 3, "{injected:?}");
    proxy.set_probability(0.0);
    for _ in 0..20 {
        assert!(call(&proxy, "PutRecord", json!({})).await.is_ok_and(|(status, _)| status == 200));
    }
    let after: BTreeMap<_, _> = proxy.injected();
    assert_eq!(after, injected);
}
