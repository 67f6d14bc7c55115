//! What errors ask of a reader: the table of all calls of AWS, and what only readers tell apart.

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError as InStream;
use millstream_core::Duration;

use crate::aws::faults::{Fault, words};

/// A consumer that is taken cannot be had again sooner.
const IN_USE: Duration = Duration(5000);

/// What an error asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadFault {
    /// More was asked than the shard gives.
    Throttled { reason: String },
    /// The server has no such operation.
    Unsupported { reason: String },
    /// The server has failed without one of Kinesis' errors: emulators do that of what they lack.
    Nameless { reason: String },
    /// What the table says.
    Plain(Fault),
}

impl ReadFault {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let reason = || words(error);
        let status = error.raw_response().map_or(0, |reply| reply.status().as_u16());
        match ProvideErrorMetadata::code(error).unwrap_or_default() {
            "ProvisionedThroughputExceededException" => Self::Throttled { reason: reason() },
            "UnknownOperationException" | "UnknownOperation" | "NotImplemented" | "NotImplementedException" => {
                Self::Unsupported { reason: reason() }
            }
            _ if status == 501 => Self::Unsupported { reason: reason() },
            "" if status == 500 => Self::Nameless { reason: reason() },
            "ResourceInUseException" => Self::Plain(Fault::Retry { reason: reason(), least: IN_USE }),
            _ => Self::Plain(Fault::of(error)),
        }
    }

    /// What an error within a subscription asks for.
    pub(super) fn of_subscription<R: std::fmt::Debug + 'static>(error: &SdkError<InStream, R>) -> Self {
        let reason = words(error);
        let SdkError::ServiceError(service) = error else {
            // Resets, torn events: the connection is gone, nothing else.
            return Self::Plain(Fault::Retry { reason, least: Duration(0) });
        };
        Self::Plain(match service.err() {
            InStream::ResourceNotFoundException(_) => Fault::Missing(reason),
            InStream::ResourceInUseException(_) => Fault::Retry { reason, least: IN_USE },
            InStream::KmsDisabledException(_)
            | InStream::KmsInvalidStateException(_)
            | InStream::KmsAccessDeniedException(_)
            | InStream::KmsNotFoundException(_)
            | InStream::KmsOptInRequired(_) => Fault::Permanent(reason),
            _ => Fault::Retry { reason, least: Duration(0) },
        })
    }

    /// For calls where the two make no difference.
    pub(super) fn plain(self) -> Fault {
        match self {
            Self::Throttled { reason } => Fault::Retry { reason, least: Duration(1000) },
            Self::Unsupported { reason } => Fault::Permanent(reason),
            Self::Nameless { reason } => Fault::Retry { reason, least: Duration(0) },
            Self::Plain(fault) => fault,
        }
    }
}
