//! One line of a replay file: a record, or a step in which time passes without one.

use std::borrow::Cow;

use arrow::datatypes::TimeUnit;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_core::EventTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::formats::time;

/// What a line says.
pub(super) enum Line<'a> {
    Record {
        stream: Cow<'a, str>,
        arrival: EventTime,
        key: Option<Cow<'a, str>>,
        shard: Option<Cow<'a, str>>,
        data: Bytes,
    },
    Step {
        arrival: EventTime,
        step: NamedStep,
    },
}

/// A step as it is written, by names.
pub(super) enum NamedStep {
    /// Nothing arrives until then.
    Idle,
    /// The event time of a stream, or of one of its shards, is said to have come so far.
    Watermark { stream: String, shard: Option<String>, time: EventTime },
}

/// The members of a line; which of them belong together depends on `step`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(borrow)]
    arrival: &'a RawValue,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    shard: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    step: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    /// Reads a line. `content` is the whole file, of which `text` is a part: payloads stay where they are.
    pub(super) fn parse(content: &Bytes, text: &'a [u8]) -> Result<Self, String> {
        let members: Members<'a> = serde_json::from_slice(text).map_err(|error| reason_of(&error))?;
        let arrival = moment("arrival", members.arrival)?;
        if members.step.is_some() {
            return Ok(Self::Step { arrival, step: members.step()? });
        }
        if members.time.is_some() {
            return Err("`time` belongs to the step `watermark`; give `\"step\":\"watermark\"` too".to_owned());
        }
        let data = members.payload(content)?;
        let Members { stream, key, shard, .. } = members;
        let stream = stream.ok_or("missing field `stream`")?;
        Ok(Self::Record { stream, arrival, key, shard, data })
    }
}

impl Members<'_> {
    fn step(self) -> Result<NamedStep, String> {
        let name = self.step.unwrap_or_default();
        let given = [
            ("stream", self.stream.is_some()),
            ("shard", self.shard.is_some()),
            ("time", self.time.is_some()),
            ("key", self.key.is_some()),
            ("data", self.data.is_some()),
            ("data_base64", self.data_base64.is_some()),
        ];
        let takes: &[&str] = match &*name {
            "idle" => &[],
            "watermark" => &["stream", "shard", "time"],
            other => return Err(format!("the step `{other}` is unknown; there are `idle` and `watermark`")),
        };
        if let Some((extra, _)) = given.iter().find(|(member, is_given)| *is_given && !takes.contains(member)) {
            return Err(format!("the step `{name}` has no `{extra}`; take it away, or put it on a line of its own"));
        }
        if takes.is_empty() {
            return Ok(NamedStep::Idle);
        }
        let needs = |member: &str| format!("the step `watermark` needs `{member}`");
        let time = moment("time", self.time.ok_or_else(|| needs("time"))?)?;
        let stream = self.stream.ok_or_else(|| needs("stream"))?.into_owned();
        Ok(NamedStep::Watermark { stream, shard: self.shard.map(Cow::into_owned), time })
    }

    /// A JSON value is sent as its text, a text as it is, base64 as its bytes.
    fn payload(&self, content: &Bytes) -> Result<Bytes, String> {
        match (self.data, &self.data_base64) {
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
}

fn moment(member: &str, value: &RawValue) -> Result<EventTime, String> {
    let text = value.get();
    let millis = match serde_json::from_str::<Cow<'_, str>>(text) {
        Ok(text) => time::timestamp(&text, TimeUnit::Millisecond),
        Err(_) => text.parse().map_err(|_| format!("expected a timestamp or epoch milliseconds, found `{text}`")),
    };
    millis.map(EventTime).map_err(|reason| format!("`{member}`: {reason}"))
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
