//! Which errors of AWS are tried again, and how long to wait: backing off from 200 ms to 30 s, with jitter.

use std::any::Any;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use millstream_core::Duration;

const WAIT_FIRST: Duration = Duration(200);
const WAIT_MAX: Duration = Duration(30_000);

/// What an error asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Try again, after at least `least`.
    Retry { reason: String, least: Duration },
    /// Get another iterator, after the last record.
    ExpiredIterator,
    /// List again from the start.
    ExpiredToken,
    /// The stream, or a shard of it, is not there.
    Missing(String),
    /// A person has to act.
    Permanent(String),
}

impl Fault {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let reason = words(error);
        match error {
            SdkError::ServiceError(service) => {
                Self::of_code(service.err().code().unwrap_or_default(), service.raw().status().as_u16(), reason)
            }
            // Credentials that cannot be had are a matter of configuration, but may come: by instance metadata.
            SdkError::ConstructionFailure(_) => Self::Permanent(reason),
            // Timeouts, resets, torn replies.
            _ => Self::Retry { reason, least: Duration(0) },
        }
    }

    /// By the service's name for it, or else by the status.
    fn of_code(code: &str, status: u16, reason: String) -> Self {
        match code {
            // A shard gives 10 MB at once and then nothing until the time for that has passed.
            "ProvisionedThroughputExceededException" => Self::Retry { reason, least: Duration(1000) },
            "LimitExceededException" | "KMSThrottlingException" | "ThrottlingException" | "InternalFailure"
            | "InternalFailureException" | "ServiceUnavailable" | "ServiceUnavailableException" | "ResourceInUseException"
            // A function that is being updated or has been asleep.
            | "ResourceConflictException" | "ResourceNotReadyException" | "SnapStartNotReadyException"
            // Credentials are read again before the next try.
            | "ExpiredTokenException" => Self::Retry { reason, least: Duration(0) },
            "ExpiredIteratorException" => Self::ExpiredIterator,
            "ExpiredNextTokenException" => Self::ExpiredToken,
            "ResourceNotFoundException" => Self::Missing(reason),
            _ if status >= 500 || status == 429 => Self::Retry { reason, least: Duration(0) },
            _ => Self::Permanent(reason),
        }
    }
}

/// What an error says, for people: the service's name for it and its words, or else how far the call came.
pub(crate) fn words<E, Raw>(error: &SdkError<E, Raw>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    Raw: std::fmt::Debug + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let reply = (service.raw() as &dyn Any).downcast_ref::<HttpResponse>();
        let status = || reply.map_or_else(String::new, |reply| format!("HTTP {}", reply.status().as_u16()));
        return match (service.err().code(), service.err().message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => format!("{code} {}", status()).trim_end().to_owned(),
            (None, Some(message)) => format!("{} {message}", status()).trim_start().to_owned(),
            (None, None) => format!("an error without a name {}", status()).trim_end().to_owned(),
        };
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        // Some repeat what is below them.
        if !words.ends_with(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

/// More of what a server says is not shown.
const WORDS_BYTES_MAX: usize = 500;

/// The beginning of what a server says, where it is long.
pub(crate) fn shortened(mut words: String) -> String {
    if words.len() > WORDS_BYTES_MAX {
        words.truncate(words.floor_char_boundary(WORDS_BYTES_MAX));
        words.push('…');
    }
    words
}

/// The tries of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    tries: u32,
}

impl Call {
    /// Notes a failure; answers how long to wait. `jitter` is from 0 to 1.
    pub(crate) fn failed(&mut self, least: Duration, jitter: f64) -> Duration {
        let doubled = WAIT_FIRST.0.saturating_mul(1 << self.tries.min(16)).min(WAIT_MAX.0);
        self.tries += 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 30,000 ms")]
        let spread = (doubled as f64 * (0.5 + jitter / 2.0)) as i64;
        Duration(spread.max(least.0))
    }

    /// Notes a success: the next failure waits little again.
    pub(crate) fn worked(&mut self) {
        self.tries = 0;
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::http::HttpResponse;
    use aws_sdk_kinesis::operation::list_shards::ListShardsError;
    use aws_sdk_kinesis::types::error::ResourceNotFoundException;

    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        let raw = || HttpResponse::new(400.try_into().unwrap(), "{}".into());
        let meta = aws_sdk_kinesis::error::ErrorMetadata::builder();
        let meta = meta.code("ResourceNotFoundException").message("Stream x not found.").build();
        let missing = ResourceNotFoundException::builder().meta(meta.clone()).message("Stream x not found.").build();
        let said = SdkError::service_error(ListShardsError::ResourceNotFoundException(missing), raw());
        assert_eq!(words(&said), "ResourceNotFoundException: Stream x not found.");
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let unreached = SdkError::<ListShardsError, HttpResponse>::timeout_error(refused);
        assert_eq!(words(&unreached), "request has timed out: connection refused");
    }

    #[test]
    fn codes_and_what_they_ask_for() {
        let fault = |code: &str, status| Fault::of_code(code, status, String::new());
        let retry = |least| Fault::Retry { reason: String::new(), least: Duration(least) };
        for (code, status, expected) in [
            ("ProvisionedThroughputExceededException", 400, retry(1000)),
            ("InternalFailureException", 500, retry(0)),
            ("", 503, retry(0)),
            ("ResourceInUseException", 400, retry(0)),
            ("TooManyRequestsException", 429, retry(0)),
            ("ResourceConflictException", 409, retry(0)),
            ("ExpiredIteratorException", 400, Fault::ExpiredIterator),
            ("ExpiredNextTokenException", 400, Fault::ExpiredToken),
            ("ResourceNotFoundException", 400, Fault::Missing(String::new())),
            ("InvalidArgumentException", 400, Fault::Permanent(String::new())),
            ("AccessDeniedException", 400, Fault::Permanent(String::new())),
            ("KMSDisabledException", 400, Fault::Permanent(String::new())),
        ] {
            assert_eq!(fault(code, status), expected, "{code}");
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_start_over() {
        let mut call = Call::default();
        let waits: Vec<_> = (0..10).map(|_| call.failed(Duration(0), 1.0).0).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        call.worked();
        assert_eq!(call.failed(Duration(0), 0.0), Duration(100));
        assert_eq!(call.failed(Duration(1000), 0.0), Duration(1000));
    }
}
