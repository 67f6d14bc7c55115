//! A Lambda function that takes records and answers for each: by sinks and by the transform of records.
//!
//! ```text
//! {"invocationId", "applicationArn", "records": [{"recordId", "data", …}]}  ─►  {"records": [{"recordId", "result", …}]}
//! ```
//!
//! Every record is answered for once. A function that does otherwise, fails or does not answer is asked again: for ever,
//! as Kinesis Data Analytics does, since it may be mended meanwhile.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use millstream_core::{Duration, OptionError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::AwsAccess;
use super::faults::{Fault, shortened};

/// What Lambda takes in one call; its 6 MB.
pub(crate) const REQUEST_BYTES_MAX: usize = 6_000_000;
/// What the members around a record's data take, and those around the records.
pub(crate) const RECORD_BYTES: usize = 400;
pub(crate) const ENVELOPE_BYTES: usize = 1000;
/// The longest that Kinesis Data Analytics lets a function work.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// A function, and who calls it.
pub(crate) struct Function {
    name: String,
    access: AwsAccess,
    timeout: Duration,
    /// For its logs, in the place of the application that it would be called by.
    application_arn: String,
    client: OnceCell<Client>,
    random: Mutex<SmallRng>,
}

/// What is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a, R> {
    invocation_id: String,
    application_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_arn: Option<&'a str>,
    records: &'a [R],
}

#[derive(Deserialize)]
struct Reply<A> {
    records: Vec<A>,
}

/// An answer for one record.
pub(crate) trait Answer: DeserializeOwned {
    fn record_id(&self) -> &str;

    /// Whether it says all that it has to; what is missing, for people.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Region and name or ARN of a function, as the option `key` gives it.
pub(crate) fn region_of<'a>(key: &str, function: &'a str) -> Result<Option<&'a str>, OptionError> {
    if !function.starts_with("arn:") {
        return Ok(None);
    }
    match function.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "lambda", region, _, "function", ..] if !region.is_empty() => Ok(Some(region)),
        _ => {
            let expected = "arn:aws:lambda:<region>:<account>:function:<name>";
            Err(OptionError::new(key, format!("`{function}` is no ARN of a function; expected {expected}")))
        }
    }
}

impl Function {
    /// `caller` is the query's or the table's name.
    pub(crate) fn new(name: String, access: AwsAccess, timeout: Duration, caller: &str, seed: u64) -> Self {
        let application_arn = format!("arn:aws:kinesisanalytics:{}:000000000000:application/{caller}", access.region);
        let random = Mutex::new(SmallRng::seed_from_u64(seed));
        Self { name, access, timeout, application_arn, client: OnceCell::new(), random }
    }

    /// For messages.
    pub(crate) fn what(&self) -> String {
        format!("Lambda function `{}`", self.name)
    }

    /// Asks for records, named by `ids`; the answers are in the order of the ids.
    pub(crate) async fn ask<R: Serialize, A: Answer>(
        &self,
        stream_arn: Option<&str>,
        ids: &[String],
        records: &[R],
    ) -> Result<Vec<A>, Fault> {
        let (invocation_id, application_arn) = (self.invocation_id(), self.application_arn.as_str());
        let request = Request { invocation_id, application_arn, stream_arn, records };
        let payload = serde_json::to_vec(&request).map_err(|error| Fault::Permanent(error.to_string()))?;
        let timeout = self.timeout.to_std();
        let client = self.client.get_or_init(|| async { Client::new(&self.access.config(timeout).await) }).await;
        let invoke = client.invoke().function_name(&self.name).payload(Blob::new(payload));
        let reply = invoke.send().await.map_err(|error| Fault::of(&error))?;
        let payload = reply.payload.map(Blob::into_inner).unwrap_or_default();
        let again = |reason: String| Fault::Retry { reason, least: Duration(0) };
        if let Some(kind) = reply.function_error {
            return Err(again(format!("the function failed ({kind}): {}", shown(&payload))));
        }
        let reply: Reply<A> = serde_json::from_slice(&payload)
            .map_err(|error| again(format!("the function's answer has another form ({error}): {}", shown(&payload))))?;
        in_order(ids, reply.records).map_err(again)
    }

    /// In the form of a UUID.
    fn invocation_id(&self) -> String {
        let number: u128 = self.random.lock().unwrap_or_else(PoisonError::into_inner).random();
        let hex = format!("{number:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// The answers in the order of the ids; fails unless there is one for each.
fn in_order<A: Answer>(ids: &[String], answers: Vec<A>) -> Result<Vec<A>, String> {
    let mut by_id: HashMap<String, A> = HashMap::with_capacity(ids.len());
    for answer in answers {
        answer.check()?;
        let id = answer.record_id().to_owned();
        if let Some(twice) = by_id.insert(id, answer) {
            return Err(format!("the function answers twice for the recordId `{}`", twice.record_id()));
        }
    }
    let found = ids.iter().map(|id| by_id.remove(id).ok_or_else(|| id.clone())).collect::<Result<Vec<_>, _>>();
    let missing = |id| format!("the function does not answer for the recordId `{id}`: each record needs one result");
    let found = found.map_err(missing)?;
    match by_id.keys().next() {
        Some(unknown) => Err(format!("the function answers for the recordId `{unknown}`, which it was not sent")),
        None => Ok(found),
    }
}

/// What a function said, for people.
fn shown(payload: &[u8]) -> String {
    shortened(String::from_utf8_lossy(payload).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Answer for String {
        fn record_id(&self) -> &str {
            self
        }
    }

    #[test]
    fn each_record_is_answered_for_once() {
        let ids = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let check = |answers: &[&str]| in_order(&ids(&["a", "b"]), ids(answers));
        assert_eq!(check(&["b", "a"]), Ok(ids(&["a", "b"])));
        assert!(check(&["a"]).unwrap_err().contains("does not answer for the recordId `b`"));
        assert!(check(&["a", "b", "a"]).unwrap_err().contains("answers twice for the recordId `a`"));
        assert!(check(&["a", "b", "c"]).unwrap_err().contains("`c`, which it was not sent"));
    }

    #[test]
    fn the_region_of_a_function_is_that_of_its_arn() {
        let region = |function| region_of("function", function).map_err(|error| error.to_string());
        assert_eq!(region("clean"), Ok(None));
        assert_eq!(region("arn:aws:lambda:eu-west-1:123456789012:function:clean:7"), Ok(Some("eu-west-1")));
        assert!(region("arn:aws:s3:::bucket").unwrap_err().contains("is no ARN of a function"));
    }
}
