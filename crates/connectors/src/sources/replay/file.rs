//! Replay files: NDJSON, one record a line (`docs`: the interface's «Replay files»).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::TimeUnit;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_core::{EventTime, ShardId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ReplayClock, ReplayPlan};
use crate::formats::time;

/// All records of a replay file, by stream.
pub struct Replay {
    streams: BTreeMap<String, Arc<Stream>>,
    pub(super) plan: ReplayPlan,
    clock: Arc<ReplayClock>,
}

/// The records of one stream, in file order.
#[derive(Default)]
pub(super) struct Stream {
    /// Every shard that a record is in, in order of their ids.
    pub(super) shards: Vec<ShardId>,
    pub(super) records: Vec<Record>,
}

pub(super) struct Record {
    pub(super) line: u64,
    pub(super) arrival: EventTime,
    pub(super) key: Option<Box<str>>,
    /// The index of its shard.
    pub(super) shard: usize,
    pub(super) data: Bytes,
}

/// A replay file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("replay file {path} cannot be read: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("line {line} of the replay: {reason}")]
    Line { line: u64, reason: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    arrival: &'a RawValue,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    shard: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
}

impl Replay {
    /// Reads a replay file.
    pub fn open(path: &Path, plan: ReplayPlan) -> Result<Self, ReplayError> {
        let content = std::fs::read(path);
        let content = content.map_err(|error| ReplayError::Io { path: path.display().to_string(), error })?;
        Self::parse(&content.into(), plan)
    }

    /// Reads the content of a replay file. Payloads stay where they are in `content`.
    pub fn parse(content: &Bytes, plan: ReplayPlan) -> Result<Self, ReplayError> {
        let mut streams: BTreeMap<String, Gathering> = BTreeMap::new();
        let mut first_arrival = None;
        for (number, text) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            if text.trim_ascii().is_empty() {
                continue;
            }
            let at_line = |reason: String| ReplayError::Line { line: number, reason };
            let line: Line<'_> = serde_json::from_slice(text).map_err(|error| at_line(reason_of(&error)))?;
            let arrival = arrival(line.arrival).map_err(at_line)?;
            let data = payload(content, &line).map_err(at_line)?;
            first_arrival.get_or_insert(arrival);
            let shard = line.shard.as_deref().map_or_else(
                || format!("shardId-{:012}", shard_of_key(line.key.as_deref().unwrap_or_default(), plan.shards)),
                ToOwned::to_owned,
            );
            let key = line.key.map(|key| key.into_owned().into_boxed_str());
            let gathering = match streams.get_mut(&*line.stream) {
                Some(gathering) => gathering,
                None => streams.entry(line.stream.into_owned()).or_default(),
            };
            gathering.push(shard, Record { line: number, arrival, key, shard: 0, data });
        }
        let streams = streams.into_iter().map(|(name, gathering)| (name, Arc::new(gathering.finish()))).collect();
        let clock = Arc::new(ReplayClock::new(first_arrival.unwrap_or(EventTime(0))));
        Ok(Self { streams, plan, clock })
    }

    /// The clock that the records move: the one to run the engine on.
    pub fn clock(&self) -> Arc<ReplayClock> {
        Arc::clone(&self.clock)
    }

    /// The streams that have records, with how many.
    pub fn streams(&self) -> impl Iterator<Item = (&str, usize)> {
        self.streams.iter().map(|(name, stream)| (name.as_str(), stream.records.len()))
    }

    pub(super) fn stream(&self, name: &str) -> Arc<Stream> {
        self.streams.get(name).cloned().unwrap_or_default()
    }
}

/// A stream while its file is read: shards are numbered as they come, and sorted at the end.
#[derive(Default)]
struct Gathering {
    numbers: BTreeMap<String, usize>,
    records: Vec<Record>,
}

impl Gathering {
    fn push(&mut self, shard: String, mut record: Record) {
        let next = self.numbers.len();
        record.shard = *self.numbers.entry(shard).or_insert(next);
        self.records.push(record);
    }

    fn finish(mut self) -> Stream {
        let mut sorted = vec![0; self.numbers.len()];
        self.numbers.values().enumerate().for_each(|(place, number)| sorted[*number] = place);
        self.records.iter_mut().for_each(|record| record.shard = sorted[record.shard]);
        Stream { shards: self.numbers.into_keys().map(ShardId::from).collect(), records: self.records }
    }
}

fn arrival(value: &RawValue) -> Result<EventTime, String> {
    let text = value.get();
    let millis = match serde_json::from_str::<Cow<'_, str>>(text) {
        Ok(text) => time::timestamp(&text, TimeUnit::Millisecond),
        Err(_) => text.parse().map_err(|_| format!("expected a timestamp or epoch milliseconds, found `{text}`")),
    };
    millis.map(EventTime).map_err(|reason| format!("`arrival`: {reason}"))
}

/// A JSON value is sent as its text, a text as it is, base64 as its bytes.
fn payload(content: &Bytes, line: &Line<'_>) -> Result<Bytes, String> {
    match (line.data, &line.data_base64) {
        (Some(data), None) if data.get().starts_with('"') => {
            serde_json::from_str::<String>(data.get()).map(Bytes::from).map_err(|error| format!("`data`: {error}"))
        }
        (Some(data), None) => Ok(content.slice_ref(data.get().as_bytes())),
        (None, Some(text)) => {
            STANDARD.decode(text.as_ref()).map(Bytes::from).map_err(|e| format!("`data_base64`: {e}"))
        }
        _ => Err("give either `data` or `data_base64`".to_owned()),
    }
}

/// FNV-1a, spread over the shards: the same key is always in the same one.
fn shard_of_key(key: &str, shards: u32) -> u64 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) % u64::from(shards.max(1))
}

/// The parser's message without its «at line 1»: each line is parsed by itself.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<Replay, ReplayError> {
        Replay::parse(&Bytes::copy_from_slice(content.as_bytes()), ReplayPlan { shards: 4, ..ReplayPlan::default() })
    }

    #[test]
    fn payloads_are_values_texts_or_bytes() {
        let replay = parse(concat!(
            r#"{"stream":"s","arrival":"2026-01-01T00:00:00.123Z","key":"u1","data":{"a": 1}}"#,
            "\n\n",
            r#"{"stream":"s","arrival":1767225600124,"shard":"x","data":"a\nb"}"#,
            "\r\n",
            r#"{"stream":"s","arrival":"2026-01-01T00:00:00.125Z","data_base64":"AP8="}"#,
        ));
        let stream = replay.unwrap().stream("s");
        let data: Vec<_> = stream.records.iter().map(|record| record.data.to_vec()).collect();
        assert_eq!(data, [br#"{"a": 1}"#.to_vec(), b"a\nb".to_vec(), vec![0, 255]]);
        assert_eq!(stream.records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(stream.records[1].arrival, EventTime(1_767_225_600_124));
        assert_eq!(stream.shards[stream.records[1].shard].as_str(), "x");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = r#"{"stream":"s","arrival":1,"data":{}}"#;
        for (bad, reason) in [
            ("{", "EOF while parsing an object"),
            (r#"{"stream":"s","arrival":1}"#, "give either `data` or `data_base64`"),
            (r#"{"stream":"s","arrival":"noon","data":{}}"#, "`arrival`: expected a timestamp"),
            (r#"{"stream":"s","arrival":1,"data_base64":"*"}"#, "`data_base64`"),
            (r#"{"stream":"s","arrival":1,"data":{},"sahrd":"x"}"#, "unknown field `sahrd`"),
            (r#"{"arrival":1,"data":{}}"#, "missing field `stream`"),
        ] {
            let error = parse(&format!("{good}\n{bad}\n")).err().unwrap().to_string();
            assert!(error.starts_with("line 2 of the replay: ") && error.contains(reason), "{error}");
        }
    }
}
