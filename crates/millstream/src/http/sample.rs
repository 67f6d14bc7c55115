//! `GET /api/v1/streams/{name}/sample`: the newest records of a stream, for people.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_core::EventTime;
use millstream_local_kinesis::{Position, Record, SequenceNumber, ShardId, Store};
use serde::Serialize;
use serde_json::value::RawValue;

use super::params::{self, Params};
use super::streams::no_stream;
use super::{App, Problem};
use crate::tasks;

/// Records shown unless `limit` says otherwise.
const LIMIT_DEFAULT: usize = 10;
/// Records of one read while the end of a shard is looked for.
const READ_RECORDS: usize = 10_000;
/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;

#[derive(Serialize)]
pub(super) struct Sample {
    records: Vec<Sampled>,
}

#[derive(Serialize)]
struct Sampled {
    shard: String,
    sequence_number: SequenceNumber,
    key: String,
    arrival: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip)]
    arrival_ms: i64,
}

pub(super) async fn newest(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Sample>, Problem> {
    params::only(&params, &["limit"])?;
    let limit = params::limit(&params, Some(LIMIT_DEFAULT))?;
    let info = app.store.describe(&name).ok_or_else(|| no_stream(&name))?;
    tasks::blocking(move || {
        let mut records = Vec::new();
        for shard in &info.shards {
            records.extend(newest_of(&app.store, &name, shard.id, limit)?);
        }
        records.sort_by_key(|record| std::cmp::Reverse((record.arrival_ms, record.sequence_number)));
        records.truncate(limit);
        Ok(Json(Sample { records }))
    })
    .await
}

/// The last records of a shard, in order. Shards are read forwards: starts ever further back until there are enough.
fn newest_of(store: &Store, stream: &str, shard: ShardId, limit: usize) -> Result<VecDeque<Sampled>, Problem> {
    let extent = store.extent(stream, shard)?;
    let (Some(first), Some(last)) = (extent.first, extent.last) else { return Ok(VecDeque::new()) };
    let mut back_ms = 1;
    loop {
        let from_ms = last.arrival_ms().saturating_sub(back_ms);
        let is_whole = from_ms <= first.arrival_ms();
        let from = if is_whole { Position::TrimHorizon } else { Position::AtTimestamp(from_ms) };
        let found = read_to_tip(store, stream, shard, from, limit)?;
        if found.len() >= limit || is_whole {
            return Ok(found);
        }
        back_ms *= 8;
    }
}

fn read_to_tip(
    store: &Store,
    stream: &str,
    shard: ShardId,
    mut from: Position,
    limit: usize,
) -> Result<VecDeque<Sampled>, Problem> {
    let mut newest = VecDeque::new();
    loop {
        let page = store.read(stream, shard, from, READ_RECORDS, READ_BYTES)?;
        let count = page.len();
        // Only the end of a page can be among the newest.
        newest.extend(page.records().skip(count.saturating_sub(limit)).map(|record| sampled(shard, &record)));
        while newest.len() > limit {
            newest.pop_front();
        }
        if page.is_empty() || page.millis_behind_latest == 0 {
            return Ok(newest);
        }
        from = page.next;
    }
}

/// The payload as a JSON value, else as text, else as base64.
fn sampled(shard: ShardId, record: &Record<'_>) -> Sampled {
    let text = std::str::from_utf8(record.data).ok();
    let value = text.and_then(|text| {
        let value: Result<Box<RawValue>, _> = serde_json::from_str(text);
        value.or_else(|_| serde_json::value::to_raw_value(text)).ok()
    });
    Sampled {
        shard: shard.to_string(),
        sequence_number: record.sequence_number,
        key: record.partition_key.to_owned(),
        arrival: format!("{}Z", EventTime(record.arrival_ms)),
        data_base64: value.is_none().then(|| STANDARD.encode(record.data)),
        data: value,
        arrival_ms: record.arrival_ms,
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestService;
    use millstream_local_kinesis::{NewStream, PutRecord};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_newest_records_come_first_in_the_form_they_have() {
        let service = TestService::open();
        service.store().create_stream(NewStream::new("s", 1)).await.unwrap();
        let payloads: [&[u8]; 4] = [b"old", br#"{"n": 1}"#, b"plain", b"\xff"];
        for data in payloads {
            let data = bytes::Bytes::from_static(data);
            let record = PutRecord { partition_key: "k".to_owned(), explicit_hash_key: None, data };
            service.store().put("s", vec![record]).await.unwrap();
        }
        let answer = service.ask("GET", "/api/v1/streams/s/sample?limit=3", "").await;
        let sample: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let records = sample["records"].as_array().unwrap();
        assert_eq!(records.len(), 3, "{sample}");
        assert_eq!((&records[0]["data"], &records[0]["data_base64"]), (&serde_json::Value::Null, &"/w==".into()));
        assert_eq!(records[1]["data"], "plain");
        assert_eq!(records[2]["data"]["n"], 1);
        assert_eq!((&records[0]["key"], &records[0]["shard"]), (&"k".into(), &"shardId-000000000000".into()));
    }
}
