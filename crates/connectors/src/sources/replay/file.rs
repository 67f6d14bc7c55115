//! Replay files: NDJSON, a record or a step a line (`docs/testing.md`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::{EventTime, ShardId};

use super::line::{Line, NamedStep};
use super::rounds::{Round, Step, cut};
use super::turnstile::Turnstile;
use super::{ReplayClock, ReplayPlan};

/// All records of a replay file, in order of arrival.
pub struct Replay {
    streams: Vec<Stream>,
    pub(super) records: Vec<Record>,
    pub(super) rounds: Vec<Round>,
    pub(super) plan: ReplayPlan,
    pub(super) turnstile: Arc<Turnstile>,
    clock: Arc<ReplayClock>,
}

/// A stream that has records.
pub(super) struct Stream {
    name: String,
    /// Every shard that a record is in, in order of their ids.
    pub(super) shards: Vec<ShardId>,
}

pub(super) struct Record {
    pub(super) line: u64,
    pub(super) arrival: EventTime,
    pub(super) key: Option<Box<str>>,
    /// The indexes of its stream, and of its shard in that.
    pub(super) stream: u32,
    pub(super) shard: u32,
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

impl Replay {
    /// Reads a replay file.
    pub fn open(path: &Path, plan: ReplayPlan) -> Result<Self, ReplayError> {
        let content = std::fs::read(path);
        let content = content.map_err(|error| ReplayError::Io { path: path.display().to_string(), error })?;
        Self::parse(&content.into(), plan)
    }

    /// Reads the content of a replay file. Payloads stay where they are in `content`.
    pub fn parse(content: &Bytes, plan: ReplayPlan) -> Result<Self, ReplayError> {
        let mut gathering = Gathering::new(plan.shards);
        for (number, text) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line = Line::parse(content, text).map_err(|reason| ReplayError::Line { line: number, reason })?;
            gathering.take(number, line);
        }
        let (streams, records, steps) = gathering.finish()?;
        let rounds = cut(&records, &steps, &plan);
        let clock = Arc::new(ReplayClock::new(rounds.first().map_or(EventTime(0), |first| first.now)));
        Ok(Self { streams, records, rounds, plan, turnstile: Arc::default(), clock })
    }

    /// The clock that the records move: the one to run the engine on.
    pub fn clock(&self) -> Arc<ReplayClock> {
        Arc::clone(&self.clock)
    }

    /// The streams that have records, with how many.
    pub fn streams(&self) -> impl Iterator<Item = (&str, usize)> {
        let count = |index| self.records.iter().filter(|record| record.stream as usize == index).count();
        self.streams.iter().enumerate().map(move |(index, stream)| (stream.name.as_str(), count(index)))
    }

    pub(super) fn stream(&self, index: u32) -> &Stream {
        &self.streams[index as usize]
    }

    /// The index of a stream, if it has records.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.streams.iter().position(|stream| stream.name == name).map(as_index)
    }
}

/// What a replay holds while its file is read: streams and shards are numbered as they come.
struct Gathering {
    shards: u32,
    streams: BTreeMap<String, GatheredStream>,
    records: Vec<Record>,
    /// With their lines.
    steps: Vec<(EventTime, u64, NamedStep)>,
}

struct GatheredStream {
    number: u32,
    shards: BTreeMap<String, GatheredShard>,
}

struct GatheredShard {
    number: u32,
    /// Within a shard time does not go back: an earlier arrival counts as this one.
    newest: EventTime,
}

type Gathered = (Vec<Stream>, Vec<Record>, Vec<(EventTime, Step)>);

impl Gathering {
    fn new(shards: u32) -> Self {
        Self { shards, streams: BTreeMap::new(), records: Vec::new(), steps: Vec::new() }
    }

    fn take(&mut self, number: u64, line: Line<'_>) {
        let (stream, arrival, key, shard, data) = match line {
            Line::Step { arrival, step } => return self.steps.push((arrival, number, step)),
            Line::Record { stream, arrival, key, shard, data } => (stream, arrival, key, shard, data),
        };
        let shard = shard.unwrap_or_else(|| {
            Cow::Owned(format!("shardId-{:012}", shard_of_key(key.as_deref().unwrap_or_default(), self.shards)))
        });
        let next = as_index(self.streams.len());
        let stream = match self.streams.get_mut(&*stream) {
            Some(stream) => stream,
            None => (self.streams.entry(stream.into_owned()))
                .or_insert_with(|| GatheredStream { number: next, shards: BTreeMap::new() }),
        };
        let next = as_index(stream.shards.len());
        let shard = match stream.shards.get_mut(&*shard) {
            Some(shard) => shard,
            None => (stream.shards.entry(shard.into_owned()))
                .or_insert(GatheredShard { number: next, newest: EventTime::MIN }),
        };
        shard.newest = shard.newest.max(arrival);
        let key = key.map(|key| key.into_owned().into_boxed_str());
        let (stream, shard, arrival) = (stream.number, shard.number, shard.newest);
        self.records.push(Record { line: number, arrival, key, stream, shard, data });
    }

    fn finish(mut self) -> Result<Gathered, ReplayError> {
        // Mostly sorted already. A shard keeps the order of its lines: its arrivals do not go back.
        self.records.sort_by_key(|record| record.arrival);
        self.steps.sort_by_key(|(arrival, ..)| *arrival);
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); self.streams.len()];
        for stream in self.streams.values() {
            let of_stream = &mut places[stream.number as usize];
            of_stream.resize(stream.shards.len(), 0);
            for (place, shard) in stream.shards.values().enumerate() {
                of_stream[shard.number as usize] = as_index(place);
            }
        }
        for record in &mut self.records {
            record.shard = places[record.stream as usize][record.shard as usize];
        }
        let steps = self.steps.iter().map(|(arrival, line, step)| {
            let step = self.resolve(step).map_err(|reason| ReplayError::Line { line: *line, reason })?;
            Ok((*arrival, step))
        });
        let steps = steps.collect::<Result<_, ReplayError>>()?;
        let mut streams: Vec<_> = self.streams.into_iter().collect();
        streams.sort_by_key(|(_, stream)| stream.number);
        let stream = |(name, stream): (String, GatheredStream)| Stream {
            name,
            shards: stream.shards.into_keys().map(ShardId::from).collect(),
        };
        Ok((streams.into_iter().map(stream).collect(), self.records, steps))
    }

    /// A step with its names looked up.
    fn resolve(&self, step: &NamedStep) -> Result<Step, String> {
        let NamedStep::Watermark { stream: name, shard, time } = step else { return Ok(Step::Idle) };
        let Some(stream) = self.streams.get(name) else {
            let names: Vec<_> = self.streams.keys().map(String::as_str).collect();
            let names =
                if names.is_empty() { "none has".to_owned() } else { format!("those have: {}", names.join(", ")) };
            return Err(format!("the stream `{name}` has no records in this replay, so it has no shards; {names}"));
        };
        let shard = match shard {
            None => None,
            Some(wanted) => match stream.shards.keys().position(|shard| shard == wanted) {
                Some(place) => Some(as_index(place)),
                None => {
                    let names: Vec<_> = stream.shards.keys().map(String::as_str).collect();
                    let names = names.join(", ");
                    return Err(format!("no record of `{name}` is in the shard `{wanted}`; its shards are: {names}"));
                }
            },
        };
        Ok(Step::Watermark { stream: stream.number, shard, time: *time })
    }
}

/// Streams and shards have been counted one by one: there are never as many as this.
fn as_index(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// FNV-1a, spread over the shards: the same key is always in the same one.
fn shard_of_key(key: &str, shards: u32) -> u64 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) % u64::from(shards.max(1))
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
        let replay = replay.unwrap();
        let data: Vec<_> = replay.records.iter().map(|record| record.data.to_vec()).collect();
        assert_eq!(data, [br#"{"a": 1}"#.to_vec(), b"a\nb".to_vec(), vec![0, 255]]);
        assert_eq!(replay.records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(replay.records[1].arrival, EventTime(1_767_225_600_124));
        let stream = replay.stream(replay.find("s").unwrap());
        assert_eq!(stream.shards[replay.records[1].shard as usize].as_str(), "x");
        assert_eq!(replay.streams().collect::<Vec<_>>(), [("s", 3)]);
    }

    #[test]
    fn records_are_in_order_of_arrival_and_a_shard_in_that_of_its_lines() {
        let line = |stream: &str, shard: &str, arrival: i64| {
            format!("{{\"stream\":\"{stream}\",\"shard\":\"{shard}\",\"arrival\":{arrival},\"data\":1}}\n")
        };
        let lines = [line("z", "1", 5), line("z", "1", 2), line("z", "0", 3), line("a", "0", 4), line("z", "0", 5)];
        let replay = parse(&lines.concat()).unwrap();
        let found: Vec<_> = replay.records.iter().map(|record| (record.line, record.arrival.0)).collect();
        assert_eq!(found, [(3, 3), (4, 4), (1, 5), (2, 5), (5, 5)], "line 2 cannot be before line 1");
        let shards: Vec<_> = (replay.records.iter())
            .map(|record| replay.stream(record.stream).shards[record.shard as usize].as_str())
            .collect();
        assert_eq!(shards, ["0", "0", "1", "1", "0"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = r#"{"stream":"s","arrival":1,"shard":"x","data":{}}"#;
        for (bad, reason) in [
            ("{", "EOF while parsing an object"),
            (r#"{"stream":"s","arrival":1}"#, "give either `data` or `data_base64`"),
            (r#"{"stream":"s","arrival":"noon","data":{}}"#, "`arrival`: expected a timestamp"),
            (r#"{"stream":"s","arrival":1,"data_base64":"*"}"#, "`data_base64`"),
            (r#"{"stream":"s","arrival":1,"data":{},"sahrd":"x"}"#, "unknown field `sahrd`"),
            (r#"{"arrival":1,"data":{}}"#, "missing field `stream`"),
            (r#"{"stream":"s","arrival":1,"data":{},"time":1}"#, "`time` belongs to the step `watermark`"),
            (r#"{"step":"idle"}"#, "missing field `arrival`"),
            (r#"{"arrival":1,"step":"sleep"}"#, "the step `sleep` is unknown; there are `idle` and `watermark`"),
            (r#"{"arrival":1,"step":"idle","stream":"s"}"#, "the step `idle` has no `stream`"),
            (r#"{"arrival":1,"step":"watermark","stream":"s"}"#, "the step `watermark` needs `time`"),
            (r#"{"arrival":1,"step":"watermark","time":1}"#, "the step `watermark` needs `stream`"),
            (
                r#"{"arrival":1,"step":"watermark","stream":"s","time":1,"data":1}"#,
                "the step `watermark` has no `data`",
            ),
            (r#"{"arrival":1,"step":"watermark","stream":"s","time":"?"}"#, "`time`: expected a timestamp"),
            (r#"{"arrival":1,"step":"watermark","stream":"t","time":1}"#, "`t` has no records in this replay"),
            (r#"{"arrival":1,"step":"watermark","stream":"s","time":1,"shard":"y"}"#, "its shards are: x"),
        ] {
            let error = parse(&format!("{good}\n{bad}\n")).err().unwrap().to_string();
            assert!(error.starts_with("line 2 of the replay: ") && error.contains(reason), "{error}");
        }
    }
}
