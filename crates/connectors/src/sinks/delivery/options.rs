//! How batches are cut: the options `sink.*`, with the names and meanings they have in Flink's asynchronous sinks.

use millstream_core::{Duration, OptionError, OptionReader};

/// The bounds of one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Runs of a batch.
    pub(crate) batch_runs_max: usize,
    /// Bytes of a batch; a larger record goes alone.
    pub(crate) batch_bytes_max: usize,
    /// Bytes of a run of several records; 0: each record is a run.
    pub(crate) run_bytes_max: usize,
    /// Bytes of a record: what the service takes at most.
    pub(crate) record_bytes_max: usize,
    /// Batches that await their answers.
    pub(crate) in_flight_max: usize,
    /// Records accepted and not stored yet.
    pub(crate) buffered_max: usize,
    /// How long a record waits for others.
    pub(crate) linger: Duration,
}

/// What a service takes, and what it is given where the table does not say.
pub(crate) struct Defaults {
    /// The most records of a batch, also by default.
    pub(crate) batch_records_max: usize,
    pub(crate) batch_bytes_max: usize,
    pub(crate) record_bytes_max: usize,
    pub(crate) in_flight: usize,
    pub(crate) linger: Duration,
}

/// More connections to one service do not make it faster.
const IN_FLIGHT_MAX: usize = 64;
/// As many as Flink lets wait by default.
const BUFFERED: usize = 10_000;
const BUFFERED_MAX: usize = 1_000_000;

impl Limits {
    pub(crate) fn read(options: &OptionReader<'_>, defaults: &Defaults) -> Result<Self, OptionError> {
        let records_max = defaults.batch_records_max;
        let number = |key: &str, default: usize, most: usize| match options.parse(key, "a whole number")? {
            None => Ok(default),
            Some(given) if (1..=most).contains(&given) => Ok(given),
            Some(given) => Err(OptionError::new(key, format!("`{given}` given, expected 1 to {most}"))),
        };
        Ok(Self {
            batch_runs_max: number("sink.batch.max-size", records_max, records_max)?,
            batch_bytes_max: defaults.batch_bytes_max,
            run_bytes_max: 0,
            record_bytes_max: defaults.record_bytes_max,
            in_flight_max: number("sink.requests.max-inflight", defaults.in_flight, IN_FLIGHT_MAX)?,
            buffered_max: number("sink.requests.max-buffered", BUFFERED, BUFFERED_MAX)?,
            linger: options.duration("sink.flush-buffer.timeout")?.unwrap_or(defaults.linger),
        })
    }
}
