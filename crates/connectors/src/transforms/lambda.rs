//! A Lambda function between a stream and its table, by the contract of Kinesis Data Analytics: for each record the
//! function answers `Ok` with another payload, `Dropped`, or `ProcessingFailed`.
//!
//! A function that fails is asked again with the same records until it works, as there: no record is passed over, and the
//! shard waits.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::BinaryBuilder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use millstream_core::{
    BoxFuture, Chunk, Clock, Duration, OptionError, Resume, Source, SourceError, SourceOutput, Verdict,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::gather::{Ended, Enough, Gather, Transform, hand_on};
use crate::aws::AwsAccess;
use crate::aws::faults::{Call, Fault};
use crate::aws::function::{self, Answer, ENVELOPE_BYTES, Function, RECORD_BYTES, REQUEST_BYTES_MAX};
use crate::registry::Request;

const FUNCTION: &str = "transform.lambda.function";
const BATCH_SIZE: &str = "transform.lambda.batch-size";
const BATCH_WINDOW: &str = "transform.lambda.batch-window";
const ENDPOINT: &str = "transform.lambda.endpoint";
const TIMEOUT: &str = "transform.lambda.timeout";
const BATCH_RECORDS: usize = 500;
const BATCH_RECORDS_MAX: usize = 10_000;
const WINDOW: Duration = Duration(200);
/// A shard is not to stand still for longer.
const WINDOW_MAX: Duration = Duration::from_secs(300);
/// Calls for records of one shard at a time; what they answer is put in order again.
const CALLS_MAX: usize = 4;

/// What the options say.
pub(super) struct Settings {
    function: String,
    access: AwsAccess,
    timeout: Duration,
    enough: Enough,
    stream_arn: String,
}

/// Reads the options; `None`: the table has no transform.
pub(super) fn read(request: &Request<'_>) -> Result<Option<Settings>, OptionError> {
    let (options, aws) = (request.options, &request.context.aws);
    // All are asked for, so that one without the function is not taken for a misspelt option.
    let records: Option<usize> = options.parse(BATCH_SIZE, "a number of records")?;
    let window = options.duration(BATCH_WINDOW)?;
    let (endpoint, timeout) = (options.get(ENDPOINT), options.duration(TIMEOUT)?);
    let Some(name) = options.get(FUNCTION) else {
        let given = [BATCH_SIZE, BATCH_WINDOW, ENDPOINT, TIMEOUT].into_iter().find(|key| options.get(key).is_some());
        return match given {
            Some(key) => Err(OptionError::new(key, format!("needs '{FUNCTION}' beside it"))),
            None => Ok(None),
        };
    };
    let records = records.unwrap_or(BATCH_RECORDS);
    if !(1..=BATCH_RECORDS_MAX).contains(&records) {
        return Err(OptionError::new(BATCH_SIZE, format!("`{records}` given, expected 1 to {BATCH_RECORDS_MAX}")));
    }
    let window = window.unwrap_or(WINDOW);
    if window > WINDOW_MAX {
        return Err(OptionError::new(BATCH_WINDOW, format!("is at most {} s", WINDOW_MAX.0 / 1000)));
    }
    let region = function::region_of(FUNCTION, name)?;
    let stream_region = options.get("stream.arn").and_then(|arn| arn.split(':').nth(3));
    let mut access = AwsAccess::read(options, aws, stream_region)?;
    let region = region.map_or(access.region.clone(), ToOwned::to_owned);
    let stream_arn = options.get("stream.arn").map_or_else(
        || {
            let stream = options.get("stream").unwrap_or(&request.table.name);
            format!("arn:aws:kinesis:{region}:000000000000:stream/{stream}")
        },
        ToOwned::to_owned,
    );
    // The table's endpoint is that of its stream.
    (access.region, access.endpoint) = (region, endpoint.or(aws.endpoint_url.as_deref()).map(ToOwned::to_owned));
    Ok(Some(Settings {
        function: name.to_owned(),
        access,
        timeout: timeout.unwrap_or(function::TIMEOUT),
        enough: Enough { records, bytes: REQUEST_BYTES_MAX / 4 * 3, window },
        stream_arn,
    }))
}

/// A source whose records a function changes.
pub(super) struct Transformed {
    source: Box<dyn Source>,
    lambda: Lambda,
    enough: Enough,
}

struct Lambda {
    function: Function,
    stream_arn: String,
    records_max: usize,
    clock: Arc<dyn Clock>,
    jitter: Mutex<SmallRng>,
}

impl Transformed {
    pub(super) fn new(request: &Request<'_>, source: Box<dyn Source>, settings: Settings) -> Self {
        let Settings { function, access, timeout, enough, stream_arn } = settings;
        let context = request.context;
        let lambda = Lambda {
            function: Function::new(function, access, timeout, &request.table.name, context.seed),
            stream_arn,
            records_max: enough.records,
            clock: Arc::clone(&context.clock),
            jitter: Mutex::new(SmallRng::seed_from_u64(context.seed)),
        };
        Self { source, lambda, enough }
    }
}

impl Source for Transformed {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let Self { source, lambda, enough } = *self;
            let (gather, mut queues) = Gather::new(output);
            let mut shards = FuturesUnordered::new();
            let reading = async {
                source.run(resume, &gather).await?;
                // Stopped: then nobody waits for the rest.
                let _ = gather.flush(None).await;
                Ok(())
            };
            let mut reading = std::pin::pin!(reading);
            loop {
                tokio::select! {
                    ended = &mut reading => return ended,
                    Some(queue) = queues.recv() => {
                        shards.push(hand_on(queue, &lambda, enough, Arc::clone(&lambda.clock), output));
                    }
                    Some(ended) = shards.next() => match ended {
                        Ok(()) => {}
                        Err(Ended::Stopped) => return Ok(()),
                        Err(Ended::Failed(error)) => return Err(error),
                    },
                }
            }
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    record_id: &'a str,
    #[serde(flatten)]
    metadata: Metadata<'a>,
    data: String,
}

/// What a function is told of a record: less of one that came through Firehose.
#[derive(Serialize)]
enum Metadata<'a> {
    #[serde(rename = "kinesisStreamRecordMetadata", rename_all = "camelCase")]
    Stream { sequence_number: &'a str, partition_key: &'a str, shard_id: &'a str, approximate_arrival_timestamp: i64 },
    #[serde(rename = "kinesisFirehoseRecordMetadata", rename_all = "camelCase")]
    Firehose { approximate_arrival_timestamp: i64 },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    record_id: String,
    result: ProcessingResult,
    #[serde(default, deserialize_with = "decoded")]
    data: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
enum ProcessingResult {
    Ok,
    Dropped,
    ProcessingFailed,
}

impl Answer for Answered {
    fn record_id(&self) -> &str {
        &self.record_id
    }

    fn check(&self) -> Result<(), String> {
        if self.result == ProcessingResult::Ok && self.data.is_none() {
            return Err(format!("the function answers Ok without data for the recordId `{}`", self.record_id));
        }
        Ok(())
    }
}

fn decoded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let decode = |text| STANDARD.decode(text).map_err(|error| serde::de::Error::custom(format!("data: {error}")));
    text.map(decode).transpose()
}

/// A record of one of the chunks.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    record: usize,
}

impl Transform for Lambda {
    fn change(&self, chunks: Vec<Chunk>) -> BoxFuture<'_, Result<Vec<Chunk>, SourceError>> {
        Box::pin(async move {
            let calls: Vec<_> = self.calls(&chunks).into_iter().map(|places| self.ask(&chunks, places)).collect();
            let answers: Vec<Vec<Answered>> = futures::stream::iter(calls).buffered(CALLS_MAX).try_collect().await?;
            let mut answers = answers.into_iter().flatten();
            Ok(chunks.into_iter().map(|chunk| changed(chunk, &mut answers)).collect())
        })
    }
}

impl Lambda {
    /// The records in batches, as many as may go together.
    fn calls(&self, chunks: &[Chunk]) -> Vec<Vec<Place>> {
        let (mut calls, mut bytes) = (vec![Vec::new()], ENVELOPE_BYTES);
        for (chunk, of) in chunks.iter().enumerate() {
            for record in 0..of.len() {
                let size = of.data.value(record).len().div_ceil(3) * 4 + RECORD_BYTES;
                let last = calls.last_mut().expect("there is one");
                if !last.is_empty() && (last.len() >= self.records_max || bytes + size > REQUEST_BYTES_MAX) {
                    calls.push(Vec::new());
                    bytes = ENVELOPE_BYTES;
                }
                bytes += size;
                calls.last_mut().expect("there is one").push(Place { chunk, record });
            }
        }
        calls
    }

    /// Asks until there is an answer, in the order of the records.
    async fn ask(&self, chunks: &[Chunk], places: Vec<Place>) -> Result<Vec<Answered>, SourceError> {
        let ids: Vec<_> = places.iter().map(|place| record_id(&chunks[place.chunk], place.record)).collect();
        let sent: Vec<_> =
            places.iter().zip(&ids).map(|(at, id)| self.sent(&chunks[at.chunk], at.record, id)).collect();
        let mut call = Call::default();
        loop {
            let fault = match self.function.ask::<_, Answered>(Some(&self.stream_arn), &ids, &sent).await {
                Ok(answers) => return Ok(answers),
                Err(fault) => fault,
            };
            let what = self.function.what();
            let (reason, least) = match fault {
                Fault::Retry { reason, least } => (reason, least),
                Fault::Missing(reason) => {
                    let remedy = format!("check its name, region and endpoint ({reason})");
                    return Err(SourceError::NotFound { what, remedy });
                }
                Fault::Permanent(reason) => return Err(SourceError::Failed { what, reason }),
                Fault::ExpiredIterator | Fault::ExpiredToken => {
                    return Err(SourceError::Failed { what, reason: "it answered as a stream does".to_owned() });
                }
            };
            let jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>();
            let wait = call.failed(least, jitter);
            let (records, tries) = (sent.len(), call.tries());
            tracing::warn!(function = what, records, tries, wait_ms = wait.0, reason, "asking again");
            self.clock.sleep(wait).await;
        }
    }
}

/// The record's place: no other record of its shard has it.
fn record_id(chunk: &Chunk, record: usize) -> String {
    match chunk.position(record) {
        Some(Ok(position)) => position.to_string(),
        // Sources without sequence numbers, or with others than Kinesis has.
        Some(Err(_)) | None => format!("{}-{record}", chunk.to),
    }
}

impl Lambda {
    fn sent<'a>(&self, chunk: &'a Chunk, record: usize, id: &'a str) -> Sent<'a> {
        let approximate_arrival_timestamp = chunk.arrivals.value(record);
        let metadata = if self.stream_arn.contains(":firehose:") {
            Metadata::Firehose { approximate_arrival_timestamp }
        } else {
            Metadata::Stream {
                sequence_number: chunk.sequence_numbers.as_ref().map_or("", |numbers| numbers.value(record)),
                partition_key: chunk.keys.as_ref().map_or("", |keys| keys.value(record)),
                shard_id: chunk.shard.as_str(),
                approximate_arrival_timestamp,
            }
        };
        Sent { record_id: id, metadata, data: STANDARD.encode(chunk.data.value(record)) }
    }
}

/// The chunk with what the function made of its records.
fn changed(chunk: Chunk, answers: &mut impl Iterator<Item = Answered>) -> Chunk {
    let mut data = BinaryBuilder::new();
    let verdict = |(record, answer): (usize, Answered)| {
        let payload = answer.data.filter(|_| answer.result == ProcessingResult::Ok);
        data.append_value(payload.as_deref().unwrap_or_else(|| chunk.data.value(record)));
        match answer.result {
            ProcessingResult::Ok => Verdict::Use,
            ProcessingResult::Dropped => Verdict::Drop,
            ProcessingResult::ProcessingFailed => {
                Verdict::Reject("the function of the transform answered ProcessingFailed".into())
            }
        }
    };
    let verdicts: Arc<[Verdict]> = answers.take(chunk.len()).enumerate().map(verdict).collect();
    let all_used = verdicts.iter().all(|verdict| *verdict == Verdict::Use);
    Chunk { data: data.finish(), verdicts: (!all_used).then_some(verdicts), ..chunk }
}

#[cfg(test)]
mod tests;
