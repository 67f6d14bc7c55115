//! What a table's options say of a stream on AWS.

use millstream_core::{Duration, OptionError, OptionReader};

use crate::aws::AwsAccess;
use crate::leases::LeaseOptions;
use crate::sources::position::InitPosition;

/// `GetRecords` takes five calls a second of all readers of a shard together.
const READ_INTERVAL_MIN: Duration = Duration(200);
/// How often a silent shard is asked in the end.
const EMPTY_INTERVAL: Duration = Duration(1000);
/// A shard that is not asked for so long is of no use to anybody, and its iterator soon expires.
const INTERVAL_MAX: Duration = Duration(60_000);
/// Records of one reply: the most that `GetRecords` gives.
const RECORDS_MAX: i32 = 10_000;
/// Names of consumers have at most so many characters.
const CONSUMER_NAME_MAX: usize = 128;

const READER_TYPE: &str = "source.reader.type";
const CONSUMER_NAME: &str = "source.efo.consumer.name";
const LIFECYCLE: &str = "source.efo.lifecycle";

/// A stream and how it is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(super) name: String,
    pub(super) arn: Option<String>,
    pub(crate) access: AwsAccess,
    pub(crate) position: InitPosition,
    pub(super) polling: Polling,
    /// By enhanced fan-out rather than by polling.
    pub(super) consumer: Option<Consumer>,
    /// How processes share it.
    pub(super) leases: Option<LeaseOptions>,
}

impl Settings {
    /// A stream that no table names.
    pub(crate) fn of_stream(stream: &str, access: AwsAccess) -> Self {
        Self {
            name: stream.to_owned(),
            arn: None,
            access,
            position: InitPosition::TrimHorizon,
            polling: Polling::default(),
            consumer: None,
            leases: None,
        }
    }
}

/// How a shard is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Polling {
    /// At least so long lies between two reads of a shard.
    pub(super) interval_min: Duration,
    /// And at most so long, where it is silent.
    pub(super) interval_max: Duration,
    pub(super) records_max: i32,
}

impl Default for Polling {
    fn default() -> Self {
        Self { interval_min: READ_INTERVAL_MIN, interval_max: EMPTY_INTERVAL, records_max: RECORDS_MAX }
    }
}

/// A consumer with a throughput of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Consumer {
    pub(super) name: String,
    /// Whether it is made if it is not there.
    pub(super) is_ours: bool,
}

impl Polling {
    pub(super) fn read(options: &OptionReader<'_>) -> Result<Self, OptionError> {
        let interval = |key: &str, default: Duration| match options.duration(key)? {
            Some(given) if given > INTERVAL_MAX => {
                Err(OptionError::new(key, format!("at most {} s between two reads", INTERVAL_MAX.0 / 1000)))
            }
            given => Ok(given.unwrap_or(default)),
        };
        let interval_min = interval("scan.shard.getrecords.interval", READ_INTERVAL_MIN)?.max(READ_INTERVAL_MIN);
        let interval_max = interval("source.reader.empty-records-fetch-interval", EMPTY_INTERVAL)?.max(interval_min);
        let key = "source.shard.get-records.max-record-count";
        let records_max = options.parse::<i32>(key, "a number of records")?.unwrap_or(RECORDS_MAX);
        if !(1..=RECORDS_MAX).contains(&records_max) {
            return Err(OptionError::new(key, format!("`{records_max}` given, expected 1 to {RECORDS_MAX}")));
        }
        Ok(Self { interval_min, interval_max, records_max })
    }
}

impl Consumer {
    /// The consumer, if records are to be pushed.
    pub(super) fn read(options: &OptionReader<'_>) -> Result<Option<Self>, OptionError> {
        let is_pushed = options.one_of(READER_TYPE, &["POLLING", "EFO"])? == Some("EFO");
        let name = options.get(CONSUMER_NAME);
        let lifecycle = options.one_of(LIFECYCLE, &["JOB_MANAGED", "SELF_MANAGED"])?;
        if !is_pushed {
            let given = [(CONSUMER_NAME, name), (LIFECYCLE, lifecycle)];
            return match given.iter().find(|(_, given)| given.is_some()) {
                Some((key, _)) => Err(OptionError::new(key, format!("needs '{READER_TYPE}' = 'EFO'"))),
                None => Ok(None),
            };
        }
        let Some(name) = name else {
            let message = format!("is required with '{READER_TYPE}' = 'EFO'; each application has its own");
            return Err(OptionError::new(CONSUMER_NAME, message));
        };
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if name.is_empty() || name.len() > CONSUMER_NAME_MAX || !name.chars().all(is_plain) {
            let message = format!("`{name}` is no name of a consumer; use up to 128 letters, digits, `_`, `.` and `-`");
            return Err(OptionError::new(CONSUMER_NAME, message));
        }
        Ok(Some(Self { name: name.to_owned(), is_ours: lifecycle != Some("SELF_MANAGED") }))
    }
}

/// Region and name of `arn:aws:kinesis:eu-west-1:123456789012:stream/name`.
pub(super) fn parse_arn(arn: &str) -> Result<(&str, &str), OptionError> {
    let mut parts = arn.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (head, _partition, service, region, _account, resource) = (part(), part(), part(), part(), part(), part());
    match resource.strip_prefix("stream/") {
        Some(name) if head == "arn" && service == "kinesis" && !region.is_empty() && !name.is_empty() => {
            Ok((region, name))
        }
        _ => {
            let message =
                format!("`{arn}` is no ARN of a stream; expected arn:aws:kinesis:<region>:<account>:stream/<name>");
            Err(OptionError::new("stream.arn", message))
        }
    }
}
