//! How fast the API itself is, without a network: PutRecords and `GetRecords` in JSON and in CBOR.
//! `cargo run --release --example wire_throughput -- <folder> <calls> <bytes of a record>`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use ciborium::value::Value;
use millstream_local_kinesis::{NewStream, Settings, Store, router};
use tower::ServiceExt;

const RECORDS: usize = 500;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

#[tokio::main]
#[expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a program's clock starts somewhere")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, calls, bytes] = &arguments[..] else {
        return Err("usage: wire_throughput <folder> <calls> <bytes of a record>".into());
    };
    let (calls, bytes): (usize, usize) = (calls.parse()?, bytes.parse()?);
    let now = || {
        let age = SystemTime::now().duration_since(UNIX_EPOCH);
        age.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let store = Store::open(folder.as_ref(), &Settings::default(), Arc::new(now))?;
    let router = router(store.clone());
    for format in ["json", "cbor"] {
        store.create_stream(NewStream::new(format, 1)).await?;
        let put = put_records(format, bytes)?;
        let start = Instant::now();
        for _ in 0..calls {
            send(&router, format, "PutRecords", put.clone()).await?;
        }
        let put_seconds = start.elapsed().as_secs_f64();
        let members =
            [("StreamName", format), ("ShardId", "shardId-000000000000"), ("ShardIteratorType", "TRIM_HORIZON")];
        let reply = send(&router, format, "GetShardIterator", map(format, &members)?).await?;
        let start = Instant::now();
        for _ in 0..calls / 10 {
            // The same page each time.
            send(&router, format, "GetRecords", map(format, &[("ShardIterator", &iterator(format, &reply)?)])?).await?;
        }
        let get_seconds = start.elapsed().as_secs_f64();
        let page = (calls * RECORDS).min(10_000).min(10 * 1024 * 1024 / (bytes + 4));
        println!(
            "{format}: put {:.0} records/s, get {:.0} records/s",
            (calls * RECORDS) as f64 / put_seconds,
            (calls / 10 * page) as f64 / get_seconds
        );
    }
    Ok(())
}

fn put_records(format: &str, bytes: usize) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    if format == "json" {
        let data = "YWJj".repeat(bytes / 3);
        let record = serde_json::json!({ "Data": data, "PartitionKey": "key1" });
        return Ok(serde_json::to_vec(&serde_json::json!({ "StreamName": format, "Records": vec![record; RECORDS] }))?);
    }
    let record = Value::Map(vec![
        ("Data".into(), Value::Bytes(b"abc".repeat(bytes / 3))),
        ("PartitionKey".into(), "key1".into()),
    ]);
    let records = Value::Array(vec![record; RECORDS]);
    cbor(&Value::Map(vec![("StreamName".into(), format.into()), ("Records".into(), records)]))
}

fn map(format: &str, members: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    if format == "json" {
        let members = members.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        return Ok(serde_json::to_vec(&serde_json::Value::Object(members.collect()))?);
    }
    cbor(&Value::Map(members.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()))
}

fn cbor(value: &Value) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)?;
    Ok(bytes)
}

fn iterator(format: &str, reply: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let value: Value = if format == "json" { serde_json::from_slice(reply)? } else { ciborium::from_reader(reply)? };
    let members = value.as_map().ok_or("no map")?;
    let (_, iterator) = members.first().ok_or("no iterator")?;
    Ok(iterator.as_text().ok_or("no text")?.to_owned())
}

async fn send(
    router: &axum::Router,
    format: &str,
    operation: &str,
    body: Vec<u8>,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let request = Request::post("/")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", format!("application/x-amz-{format}-1.1"));
    let response = router.clone().oneshot(request.body(Body::from(body))?).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), BODY_BYTES_MAX).await?.to_vec();
    if status.is_success() { Ok(body) } else { Err(format!("{operation}: {}", String::from_utf8_lossy(&body)).into()) }
}
