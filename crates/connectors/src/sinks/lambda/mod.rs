//! The connector `lambda`: rows to a function, as Kinesis Data Analytics gives its output to one.
//!
//! A record's `recordId` is the row's id (see `payloads`), so that a function can tell what it is given again; what it
//! answers `DeliveryFailed` for comes again with a `retryHint` that counts up.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_core::{BoxFuture, Duration, OptionError, Roles, Sink};
use serde::{Deserialize, Serialize};

use super::delivery::{BatchSink, Defaults, Keys, Limits, Outbox, Outcome, Record, Run, Service};
use super::payloads::Payloads;
use crate::aws::AwsAccess;
use crate::aws::faults::Fault;
use crate::aws::function::{self, Answer, ENVELOPE_BYTES, Function, RECORD_BYTES, REQUEST_BYTES_MAX};
use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_source};

pub(crate) const CONNECTOR: Connector =
    Connector { name: "lambda", format: formats::of_table, check, source: no_source, sink, reference: no_reference };

/// Base64 makes four bytes of three.
const DEFAULTS: Defaults = Defaults {
    batch_records_max: 10_000,
    batch_bytes_max: REQUEST_BYTES_MAX - ENVELOPE_BYTES,
    record_bytes_max: (REQUEST_BYTES_MAX - ENVELOPE_BYTES - RECORD_BYTES) / 4 * 3,
    in_flight: 1,
    linger: Duration(1000),
};
/// Records of a batch where the table does not say.
const BATCH_RECORDS: usize = 500;

/// What the options say.
struct Settings {
    function: String,
    access: AwsAccess,
    timeout: Duration,
    limits: Limits,
}

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    read(request)?;
    Payloads::read(request, "")?;
    Ok(Roles { source: None, sink: true, lookup: false })
}

fn sink(request: &Request<'_>, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    let Settings { function, access, timeout, limits } = read(request)?;
    let context = request.context;
    let function = Function::new(function, access, timeout, query, context.seed);
    let what = function.what();
    let service = Arc::new(Lambda { function, what: what.clone() });
    Ok(Box::new(BatchSink {
        what,
        payloads: Payloads::read(request, query)?,
        keys: Keys::Id,
        ending: b"",
        outbox: Outbox::new(service, limits, Arc::clone(&context.clock), context.seed),
    }))
}

fn read(request: &Request<'_>) -> Result<Settings, OptionError> {
    let options = request.options;
    let function = options.require("function")?;
    let limits = Limits::read(options, &DEFAULTS)?;
    let is_given = options.get("sink.batch.max-size").is_some();
    let batch_runs_max = if is_given { limits.batch_runs_max } else { BATCH_RECORDS };
    Ok(Settings {
        function: function.to_owned(),
        access: AwsAccess::read(options, &request.context.aws, function::region_of("function", function)?)?,
        timeout: options.duration("function.timeout")?.unwrap_or(function::TIMEOUT),
        limits: Limits { batch_runs_max, ..limits },
    })
}

struct Lambda {
    function: Function,
    what: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    record_id: &'a str,
    lambda_delivery_record_metadata: Metadata,
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    retry_hint: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    record_id: String,
    result: DeliveryResult,
}

#[derive(Deserialize)]
enum DeliveryResult {
    Ok,
    DeliveryFailed,
}

impl Answer for Answered {
    fn record_id(&self) -> &str {
        &self.record_id
    }
}

impl Service for Lambda {
    fn what(&self) -> &str {
        &self.what
    }

    fn bytes(&self, record: &Record) -> usize {
        record.data.len().div_ceil(3) * 4 + RECORD_BYTES
    }

    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        Box::pin(async move {
            let ids: Vec<_> = runs.iter().map(|run| run.key.to_string()).collect();
            let sent = runs.iter().flat_map(|run| {
                run.records.iter().map(|record| Sent {
                    record_id: &run.key,
                    lambda_delivery_record_metadata: Metadata { retry_hint: run.tries },
                    data: STANDARD.encode(&record.data),
                })
            });
            let sent: Vec<_> = sent.collect();
            let answers: Vec<Answered> = self.function.ask(None, &ids, &sent).await?;
            let outcome = |answer: Answered| match answer.result {
                DeliveryResult::Ok => Outcome::Stored,
                DeliveryResult::DeliveryFailed => Outcome::Failed("the function answered DeliveryFailed".to_owned()),
            };
            Ok(answers.into_iter().map(outcome).collect())
        })
    }
}

#[cfg(test)]
mod tests;
