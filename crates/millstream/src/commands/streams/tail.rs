//! `millstream streams tail`: records as the lines of a replay file, so that what is seen can be run again.

use std::io::{BufWriter, Write};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_core::{BoxFuture, Chunk, Resume, Source, SourceEvent, SourceOutput, Stopped};
use serde::Serialize;
use serde_json::value::RawValue;

/// Prints until the limit is reached, or the command is stopped.
pub(super) async fn run(source: Box<dyn Source>, stream: &str, limit: Option<u64>) -> anyhow::Result<()> {
    let output = Lines { stream, state: Mutex::new(State { left: limit, failed: None }) };
    source.run(Resume::default(), &output).await?;
    match output.state.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// A line of a replay file.
#[derive(Serialize)]
struct Line<'a> {
    stream: &'a str,
    arrival: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    shard: &'a str,
    #[serde(flatten)]
    payload: Payload<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Payload<'a> {
    Data(Data<'a>),
    DataBase64(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    /// JSON that is an object: it stays as it is.
    Object(&'a RawValue),
    Text(&'a str),
}

impl<'a> Payload<'a> {
    fn of(data: &'a [u8]) -> Self {
        let Ok(text) = str::from_utf8(data) else { return Self::DataBase64(STANDARD.encode(data)) };
        match serde_json::from_str::<&RawValue>(text) {
            // A line is one line.
            Ok(value) if value.get().starts_with('{') && !text.contains(['\n', '\r']) => {
                Self::Data(Data::Object(value))
            }
            _ => Self::Data(Data::Text(text)),
        }
    }
}

struct Lines<'a> {
    stream: &'a str,
    state: Mutex<State>,
}

struct State {
    left: Option<u64>,
    failed: Option<std::io::Error>,
}

impl Lines<'_> {
    /// Prints records; answers whether there is to be more.
    fn print(&self, chunk: &Chunk) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.left.map_or(chunk.len(), |left| chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let mut out = BufWriter::new(std::io::stdout().lock());
        let printed = (0..count).try_for_each(|index| write_line(&mut out, self.stream, chunk, index));
        if let Err(error) = printed.and_then(|()| out.flush()) {
            state.failed = Some(error);
            return false;
        }
        state.left = state.left.map(|left| left - count as u64);
        state.left != Some(0)
    }
}

fn write_line(out: &mut impl Write, stream: &str, chunk: &Chunk, index: usize) -> std::io::Result<()> {
    let line = Line {
        stream,
        arrival: chunk.arrivals.value(index),
        key: chunk.keys.as_ref().map(|keys| keys.value(index)),
        shard: chunk.shard.as_str(),
        payload: Payload::of(chunk.data.value(index)),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

impl SourceOutput for Lines<'_> {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        let goes_on = !matches!(&event, SourceEvent::Chunk(chunk) if !self.print(chunk));
        Box::pin(std::future::ready(if goes_on { Ok(()) } else { Err(Stopped) }))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, StringArray, TimestampMillisecondArray};
    use millstream_connectors::{Replay, ReplayPlan};
    use millstream_core::Offset;

    #[test]
    fn lines_are_those_of_a_replay_file() {
        let payloads: [&[u8]; 5] = [b"{\"a\": 1.50}", b"plain \"text\"", b"[1,2]", b"{\n}", &[0xFF, 0]];
        let chunk = Chunk {
            shard: "shardId-000000000001".into(),
            from: None,
            to: Offset::from(5),
            data: BinaryArray::from_iter_values(payloads),
            arrivals: TimestampMillisecondArray::from(vec![7; 5]),
            keys: Some(StringArray::from_iter_values(["k"; 5])),
            sequence_numbers: None,
            sub_sequence_numbers: None,
            verdicts: None,
        };
        let mut lines = Vec::new();
        (0..5).for_each(|index| write_line(&mut lines, "s", &chunk, index).unwrap());
        let lines = String::from_utf8(lines).unwrap();
        let ends: Vec<_> = lines.lines().map(|line| line.split("0001\",").nth(1).unwrap()).collect();
        let expected = [
            "\"data\":{\"a\": 1.50}}",
            "\"data\":\"plain \\\"text\\\"\"}",
            "\"data\":\"[1,2]\"}",
            "\"data\":\"{\\n}\"}",
            "\"data_base64\":\"/wA=\"}",
        ];
        assert_eq!(ends, expected);
        assert!(Replay::parse(&lines.into(), ReplayPlan::default()).is_ok());
    }
}
