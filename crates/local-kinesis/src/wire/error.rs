//! Errors as AWS names them, and which of ours is which.

use super::quotas::Status;
use crate::{ControlError, PutError, ReadError, StorageError};

/// Also the code of a single record that was refused.
pub(super) const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";

/// What goes to the client.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    pub(super) name: &'static str,
    pub(super) status: u16,
    pub(super) message: String,
}

impl ApiError {
    fn new(name: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { name, status, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", 400, message)
    }

    pub(super) fn no_stream(name: &str) -> Self {
        Self::not_found(format!("Stream {name} under account {} not found.", super::arn::ACCOUNT))
    }

    pub(super) fn no_consumer(stream: &str, name: &str) -> Self {
        Self::not_found(format!("Consumer {name} of stream {stream} under account {} not found.", super::arn::ACCOUNT))
    }

    pub(super) fn in_use(message: impl Into<String>) -> Self {
        Self::new("ResourceInUseException", 400, message)
    }

    /// A stream that is still busy with an earlier change.
    pub(super) fn not_active(stream: &str, status: Status) -> Self {
        let what = format!("Stream {stream} under account {} not ACTIVE", super::arn::ACCOUNT);
        Self::in_use(format!("{what}, instead in state {}", status.name()))
    }

    /// Calls that come too fast.
    pub(super) fn rate(what: &str) -> Self {
        let account = super::arn::ACCOUNT;
        Self::new("LimitExceededException", 400, format!("Rate exceeded for {what} under account {account}."))
    }

    /// A shard that takes or gives no more now.
    pub(super) fn throughput(message: impl Into<String>) -> Self {
        Self::new(THROUGHPUT_EXCEEDED, 400, message)
    }

    /// A caller who is not let in.
    pub(super) fn caller(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, 400, message)
    }

    pub(super) fn dry_run() -> Self {
        let message = "The request was rejected because the DryRun parameter was specified.";
        Self::new("DryRunOperationException", 400, message)
    }

    /// A name that is not one of a set.
    pub(super) fn not_one_of(value: &str, member: &str, set: &str) -> Self {
        Self::constraint(value, member, &format!("Member must satisfy enum value set: [{set}]"))
    }

    pub(super) fn argument(message: impl Into<String>) -> Self {
        Self::new("InvalidArgumentException", 400, message)
    }

    /// A value that breaks a constraint of the API's model, in AWS's words.
    pub(super) fn constraint(value: &str, member: &str, rule: &str) -> Self {
        let what = format!("Value '{value}' at '{member}' failed to satisfy constraint: {rule}");
        Self::new("ValidationException", 400, format!("1 validation error detected: {what}"))
    }

    /// A member that must be there.
    pub(super) fn missing(member: &str) -> Self {
        let what = format!("Value null at '{member}' failed to satisfy constraint: Member must not be null");
        Self::new("ValidationException", 400, format!("1 validation error detected: {what}"))
    }

    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", 400, message)
    }

    pub(super) fn media_type(message: impl Into<String>) -> Self {
        Self::new("UnsupportedMediaTypeException", 415, message)
    }

    pub(super) fn unknown_operation(operation: &str) -> Self {
        Self::new("UnknownOperationException", 400, format!("there is no operation `{operation}` here"))
    }

    pub(super) fn expired_iterator(message: impl Into<String>) -> Self {
        Self::new("ExpiredIteratorException", 400, message)
    }

    pub(super) fn expired_next_token(message: impl Into<String>) -> Self {
        Self::new("ExpiredNextTokenException", 400, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new("RequestEntityTooLargeException", 413, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalFailureException", 500, message)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::NoStream(name) => Self::no_stream(&name),
            ControlError::NoConsumer { stream, consumer } => Self::no_consumer(&stream, &consumer),
            ControlError::NoShard { .. } => Self::not_found(message),
            ControlError::Exists(_) | ControlError::ConsumerExists { .. } => Self::in_use(message),
            ControlError::Mode(_) => Self::new("ValidationException", 400, message),
            ControlError::Limit { .. } => Self::new("LimitExceededException", 400, message),
            ControlError::ShardClosed { .. } | ControlError::Invalid(_) => Self::argument(message),
            ControlError::Storage(error) => error.into(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::NoStream(name) => Self::no_stream(&name),
            ReadError::NoShard { .. } => Self::not_found(message),
            ReadError::ForeignPosition { .. } | ReadError::UnknownPosition { .. } | ReadError::Expired { .. } => {
                Self::argument(message)
            }
            ReadError::Storage(error) => error.into(),
        }
    }
}

impl From<PutError> for ApiError {
    fn from(error: PutError) -> Self {
        let message = error.to_string();
        match error {
            PutError::NoStream(name) => Self::no_stream(&name),
            PutError::RecordTooLarge { .. } | PutError::PartitionKey { .. } => {
                Self::new("ValidationException", 400, message)
            }
            PutError::TooMuch { .. } | PutError::Writer { .. } => Self::argument(message),
            PutError::Storage(error) => error.into(),
        }
    }
}
