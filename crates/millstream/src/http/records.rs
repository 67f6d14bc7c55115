//! `POST /api/v1/streams/{name}/records`: JSON objects in, stored as they were sent. All or none.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use millstream_local_kinesis::{PutRecord, SequenceNumber};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::params::{self, Params};
use super::streams::no_stream;
use super::{App, Problem};

/// More records in one request are refused: their answer would be larger than what is useful.
const RECORDS_MAX: usize = 100_000;

#[derive(Serialize)]
pub(super) struct Stored {
    stored: usize,
    records: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    shard: String,
    sequence_number: SequenceNumber,
}

/// A record of the body, and the line it is on.
#[derive(Debug)]
struct Line {
    number: usize,
    data: Bytes,
}

/// Where partition keys come from.
enum Keys<'a> {
    Field(&'a str),
    Given(&'a str),
    Random(u64),
}

pub(super) async fn store(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Stored>, Problem> {
    params::only(&params, &["key"])?;
    if app.store.describe(&name).is_none() {
        return Err(no_stream(&name));
    }
    let field = params.iter().find(|(parameter, _)| parameter == "key").map(|(_, field)| field.as_str());
    let header = headers.get("x-partition-key").and_then(|key| key.to_str().ok());
    let keys = match (field, header) {
        (Some(field), _) => Keys::Field(field),
        (None, Some(key)) => Keys::Given(key),
        (None, None) => Keys::Random(app.started.0.unsigned_abs()),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lines = split(&body, content_type.contains("ndjson"))?;
    if lines.len() > RECORDS_MAX {
        let detail = format!("{} records in one request, the most is {RECORDS_MAX}", lines.len());
        return Err(Problem::bad_request(detail).hint("send them in parts"));
    }
    let records = lines.into_iter().map(|line| record(line, &keys)).collect::<Result<Vec<_>, _>>()?;
    let stored = app.store.put(&name, records).await?;
    let places = stored.iter();
    let records: Vec<Place> =
        places.map(|place| Place { shard: place.shard.to_string(), sequence_number: place.sequence_number }).collect();
    Ok(Json(Stored { stored: records.len(), records }))
}

/// The records of a body: an array's elements, one object, or one a line.
fn split(body: &Bytes, is_ndjson: bool) -> Result<Vec<Line>, Problem> {
    let start = body.len() - body.trim_ascii_start().len();
    match body.get(start) {
        None => Err(Problem::bad_request("the body is empty").hint("send a JSON object, an array of them, or NDJSON")),
        Some(b'[') if !is_ndjson => elements(body),
        Some(_) if !is_ndjson && serde_json::from_slice::<&RawValue>(body).is_ok() => {
            let number = 1 + line_breaks(&body[..start]);
            Ok(vec![Line { number, data: body.slice_ref(body.trim_ascii()) }])
        }
        Some(_) => lines(body),
    }
}

fn elements(body: &Bytes) -> Result<Vec<Line>, Problem> {
    let elements: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| refused(error.line(), &reason_of(&error)))?;
    // Elements come in the order they stand in: lines are counted on from one to the next.
    let (mut counted, mut number) = (0, 1);
    let mut lines = Vec::with_capacity(elements.len());
    for element in elements {
        let data = body.slice_ref(element.get().as_bytes());
        let at = data.as_ptr() as usize - body.as_ptr() as usize;
        number += line_breaks(&body[counted..at]);
        counted = at;
        lines.push(Line { number, data });
    }
    Ok(lines)
}

fn lines(body: &Bytes) -> Result<Vec<Line>, Problem> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        serde_json::from_slice::<&RawValue>(text).map_err(|error| refused(number, &reason_of(&error)))?;
        lines.push(Line { number, data: body.slice_ref(text) });
    }
    Ok(lines)
}

fn record(line: Line, keys: &Keys<'_>) -> Result<PutRecord, Problem> {
    if line.data.first() != Some(&b'{') {
        let found: String = String::from_utf8_lossy(&line.data).chars().take(40).collect();
        return Err(refused(line.number, &format!("a record is a JSON object, found `{found}`")));
    }
    let partition_key = match keys {
        Keys::Given(key) => (*key).to_owned(),
        Keys::Random(seed) => random_key(*seed),
        Keys::Field(field) => {
            let object: Value =
                serde_json::from_slice(&line.data).map_err(|error| refused(line.number, &reason_of(&error)))?;
            match object.get(field) {
                Some(Value::String(text)) if !text.is_empty() => text.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                found => {
                    let found = found.map_or("nothing".to_owned(), ToString::to_string);
                    let reason = format!("the partition key is to be `{field}`, a text or a number; found {found}");
                    return Err(refused(line.number, &reason));
                }
            }
        }
    };
    Ok(PutRecord { partition_key, explicit_hash_key: None, data: line.data })
}

/// A key that differs from record to record and from start to start: the store hashes it, so a count is random enough.
fn random_key(seed: u64) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{seed:x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn refused(line: usize, reason: &str) -> Problem {
    let status = axum::http::StatusCode::BAD_REQUEST;
    let detail = format!("line {line}: {reason}");
    Problem::new(status, "Record refused", detail).line(line as u64, 1).hint("nothing of the request was stored")
}

/// The parser's message without its place, which is within the line.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}

fn line_breaks(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestService;
    use millstream_local_kinesis::{NewStream, Position, ShardId};

    fn stored(service: &TestService) -> Vec<(String, String)> {
        let page = service.store().read("s", ShardId(0), Position::TrimHorizon, 1000, 1 << 20).unwrap();
        let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
        page.records().map(|record| (record.partition_key.to_owned(), text(record.data))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn objects_arrays_and_lines_are_stored_as_they_were_sent() {
        for (content_type, body, expected) in [
            ("application/json", "{\"u\": \"a\"}", vec![("a", "{\"u\": \"a\"}")]),
            ("application/json", " {\"u\":\n1.50} \n", vec![("1.50", "{\"u\":\n1.50}")]),
            (
                "application/json",
                "[{\"u\":\"a\"},\n {\"u\":true}]",
                vec![("a", "{\"u\":\"a\"}"), ("true", "{\"u\":true}")],
            ),
            (
                "application/x-ndjson",
                "{\"u\":\"a\"}\n\n{\"u\":\"b\"}\r\n",
                vec![("a", "{\"u\":\"a\"}"), ("b", "{\"u\":\"b\"}")],
            ),
            ("application/json", "{\"u\":\"a\"}\n{\"u\":\"b\"}", vec![("a", "{\"u\":\"a\"}"), ("b", "{\"u\":\"b\"}")]),
            ("application/json", "[]", vec![]),
        ] {
            let service = TestService::open();
            service.store().create_stream(NewStream::new("s", 1)).await.unwrap();
            let headers = [("content-type", content_type)];
            let answer = service.send("POST", "/api/v1/streams/s/records?key=u", &headers, body).await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.body);
            let expected: Vec<_> = expected.into_iter().map(|(k, d)| (k.to_owned(), d.to_owned())).collect();
            assert_eq!(stored(&service), expected, "{body}");
            let answer: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(answer["stored"], expected.len());
            assert_eq!(answer["records"].as_array().unwrap().len(), expected.len());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_input_is_refused_whole_with_line_and_reason() {
        let service = TestService::open();
        service.store().create_stream(NewStream::new("s", 1)).await.unwrap();
        for (query, content_type, body, line, reason) in [
            ("", "application/x-ndjson", "{}\n{\"a\":}\n", 2, "line 2: expected value (column 6)"),
            ("", "application/x-ndjson", "{}\n\n[]", 3, "line 3: a record is a JSON object, found `[]`"),
            ("", "application/json", "[{},\n{},\n3]", 3, "line 3: a record is a JSON object, found `3`"),
            ("", "application/json", "[{},\n{]", 2, "line 2: "),
            ("", "application/json", "{}\nx", 2, "line 2: expected value"),
            ("?key=u", "application/json", "[{\"u\":1},\n{\"v\":1}]", 2, "the partition key is to be `u`"),
            ("?key=u", "application/json", "{\"u\":null}", 1, "found null"),
        ] {
            let headers = [("content-type", content_type)];
            let path = format!("/api/v1/streams/s/records{query}");
            let answer = service.send("POST", &path, &headers, body).await;
            let problem: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status, &problem["line"]), (400, &line.into()), "{body}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(reason), "{body}: {problem}");
        }
        assert!(stored(&service).is_empty());
        assert_eq!(service.ask("POST", "/api/v1/streams/s/records", "").await.status, 400);
        assert_eq!(service.ask("POST", "/api/v1/streams/none/records", "{}").await.status, 404);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_come_from_the_field_the_header_or_chance() {
        let service = TestService::open();
        service.store().create_stream(NewStream::new("s", 1)).await.unwrap();
        let headers = [("x-partition-key", "h")];
        for (path, headers) in [("?key=u", &headers[..]), ("", &headers[..]), ("", &[]), ("", &[])] {
            let path = format!("/api/v1/streams/s/records{path}");
            assert_eq!(service.send("POST", &path, headers, "{\"u\":\"f\"}").await.status, 200);
        }
        let keys: Vec<String> = stored(&service).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys[..2], ["f", "h"]);
        assert_ne!(keys[2], keys[3]);
    }
}
