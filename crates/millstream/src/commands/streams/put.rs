//! `millstream streams put`: the lines of a file, or of standard input, as records.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use millstream_connectors::AwsSettings;
use millstream_connectors::administration::Producer;
use millstream_core::Clock;
use serde_json::Value;

/// What AWS takes of a partition key, in characters.
const KEY_MAX: usize = 256;

/// Puts each line that is not empty; says how many are stored.
pub(super) async fn run(
    aws: &AwsSettings,
    stream: &str,
    file: Option<&Path>,
    field: Option<&str>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let lines: Box<dyn BufRead> = match file {
        Some(file) => {
            let opened = std::fs::File::open(file);
            Box::new(std::io::BufReader::new(opened.with_context(|| file.display().to_string())?))
        }
        None => Box::new(std::io::stdin().lock()),
    };
    let seed = clock.now().0.unsigned_abs();
    let mut producer = Producer::new(aws, stream, clock, seed)?;
    let mut stored: u64 = 0;
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.with_context(|| format!("line {number}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let key = match key(&line, field, number) {
            Ok(key) => key,
            Err(error) => {
                producer.flush().await?;
                return Err(error.context(format!("line {number}: nothing more is put; {stored} records are stored")));
            }
        };
        producer.put(&key, Bytes::from(line)).await?;
        stored += 1;
    }
    producer.flush().await?;
    println!("{stored} records stored in `{stream}`");
    Ok(())
}

/// The partition key of a line: a member of its JSON object, or else its number, which spreads lines over all shards.
fn key(line: &str, field: Option<&str>, number: u64) -> anyhow::Result<String> {
    let Some(field) = field else { return Ok(number.to_string()) };
    let value: Value = serde_json::from_str(line).context("no JSON, so that it has no key")?;
    let key = match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(_) => bail!("`{field}` is neither text nor a number"),
        None => bail!("has no member `{field}`"),
    };
    match key.chars().count() {
        1..=KEY_MAX => Ok(key),
        length => bail!("`{field}` has {length} characters; a partition key has 1 to {KEY_MAX}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_member_or_the_number_of_the_line() {
        let of = |line: &str, field| key(line, field, 7).map_err(|error| error.to_string());
        assert_eq!(of("anything", None).unwrap(), "7");
        assert_eq!(of(r#"{"k":"u1"}"#, Some("k")).unwrap(), "u1");
        assert_eq!(of(r#"{"k":12.50}"#, Some("k")).unwrap(), "12.50");
        for (line, words) in [
            ("no JSON", "no JSON, so that it has no key"),
            ("{}", "has no member `k`"),
            (r#"{"k":[]}"#, "`k` is neither text nor a number"),
            (r#"{"k":""}"#, "`k` has 0 characters"),
        ] {
            assert!(of(line, Some("k")).unwrap_err().starts_with(words), "{line}");
        }
    }
}
