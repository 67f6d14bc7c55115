//! Made-up values, written as JSON.

use std::io::Write;

use millstream_core::{Duration, EventTime};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::formats::time;

/// The members of an object, each with how its values are made.
pub(super) struct Object {
    /// The key as it is written, with its quotes and colon.
    members: Vec<(Vec<u8>, Value)>,
}

/// How the values of a column are made.
pub(super) enum Value {
    Null,
    /// `start`, `start + 1`, …; the rows end with `end`.
    Sequence {
        start: i64,
        end: i64,
        in_quotes: bool,
    },
    /// One of these JSON texts.
    Pick {
        values: Vec<Vec<u8>>,
        skew: f64,
    },
    /// From `min` to `max`, both included.
    Integer {
        min: i64,
        max: i64,
        skew: f64,
    },
    /// From `min` to `max`, with so many digits after the point.
    Number {
        min: f64,
        max: f64,
        digits: usize,
        skew: f64,
    },
    /// Letters.
    Text {
        length: usize,
    },
    /// Now, or up to `max_past` earlier.
    Timestamp {
        max_past: Duration,
    },
    /// The date of the same.
    Date {
        max_past: Duration,
    },
    Object(Object),
}

impl Object {
    pub(super) fn new(members: Vec<(String, Value)>) -> Self {
        let key = |name: String| format!("{}:", serde_json::Value::from(name)).into_bytes();
        Self { members: members.into_iter().map(|(name, value)| (key(name), value)).collect() }
    }

    /// How many rows there are before the first sequence ends.
    pub(super) fn rows(&self) -> Option<u64> {
        let rows = |value: &Value| match value {
            Value::Sequence { end: i64::MAX, .. } => None,
            Value::Sequence { start, end, .. } => {
                Some(u64::try_from(i128::from(*end) - i128::from(*start) + 1).unwrap_or(0))
            }
            Value::Object(object) => object.rows(),
            _ => None,
        };
        self.members.iter().filter_map(|(_, value)| rows(value)).min()
    }

    /// Appends row number `row`.
    pub(super) fn write(&self, row: u64, now: EventTime, random: &mut SmallRng, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (key, value)) in self.members.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            value.write(row, now, random, out);
        }
        out.push(b'}');
    }
}

impl Value {
    /// A choice of these words.
    pub(super) fn pick<'a>(words: impl Iterator<Item = &'a str>, in_quotes: bool, skew: f64) -> Self {
        let text = |word: &str| if in_quotes { serde_json::Value::from(word).to_string() } else { word.to_owned() };
        Self::Pick { values: words.map(|word| text(word).into_bytes()).collect(), skew }
    }

    fn write(&self, row: u64, now: EventTime, random: &mut SmallRng, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Sequence { start, in_quotes, .. } => {
                let value = start.wrapping_add_unsigned(row);
                if *in_quotes { print(out, format_args!("\"{value}\"")) } else { print(out, format_args!("{value}")) }
            }
            Self::Pick { values, skew } => {
                let last = i64::try_from(values.len()).unwrap_or(1) - 1;
                let index = usize::try_from(skewed(0, last, *skew, random)).unwrap_or(0);
                out.extend_from_slice(values.get(index).map_or(b"null", Vec::as_slice));
            }
            Self::Integer { min, max, skew } => print(out, format_args!("{}", skewed(*min, *max, *skew, random))),
            Self::Number { min, max, digits, skew } => {
                let value = min + random.random::<f64>().powf(1.0 + skew) * (max - min);
                print(out, format_args!("{value:.digits$}"));
            }
            Self::Text { length } => {
                out.push(b'"');
                out.extend((0..*length).map(|_| b'a' + random.random_range(0..26u8)));
                out.push(b'"');
            }
            Self::Timestamp { max_past } => {
                out.push(b'"');
                time::write_timestamp(past(now, *max_past, random), b'T', out);
                out.push(b'"');
            }
            Self::Date { max_past } => {
                let start = out.len();
                out.push(b'"');
                time::write_timestamp(past(now, *max_past, random), b'T', out);
                out.truncate(start + "\"2026-01-01".len());
                out.push(b'"');
            }
            Self::Object(object) => object.write(row, now, random, out),
        }
    }
}

/// A whole number of a range; with more skew the low ones come more often, as in a power law.
fn skewed(min: i64, max: i64, skew: f64, random: &mut SmallRng) -> i64 {
    if skew == 0.0 {
        return random.random_range(min..=max);
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a random choice need not be exact"
    )]
    let above = (random.random::<f64>().powf(1.0 + skew) * (max as f64 - min as f64 + 1.0)) as i64;
    min.saturating_add(above).min(max)
}

fn past(now: EventTime, max_past: Duration, random: &mut SmallRng) -> i64 {
    now.0 - if max_past.0 > 0 { random.random_range(0..=max_past.0) } else { 0 }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}
