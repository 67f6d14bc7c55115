//! Putting records that somebody has in a file.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::{Clock, Options, SinkError};

use super::StreamsError;
use crate::aws::AwsAccess;
use crate::context::AwsSettings;
use crate::sinks::delivery::{Outbox, Record};
use crate::sinks::kinesis::{Target, outbox};

/// Puts records to one stream: in batches, in order for each partition key, each at least once.
pub struct Producer {
    outbox: Outbox,
}

impl Producer {
    /// Nothing is asked of the server yet.
    pub fn new(aws: &AwsSettings, stream: &str, clock: Arc<dyn Clock>, seed: u64) -> Result<Self, StreamsError> {
        let access = AwsAccess::read(&Options::default().reader(), aws, None)?;
        let target = Target { name: stream.to_owned(), arn: None, access };
        Ok(Self { outbox: outbox(target, clock, seed)? })
    }

    /// Accepts a record; waits while many are on their way.
    pub async fn put(&mut self, partition_key: &str, data: Bytes) -> Result<(), SinkError> {
        self.outbox.push(Record { key: partition_key.into(), data }).await
    }

    /// Waits until all of them are stored.
    pub async fn flush(&mut self) -> Result<(), SinkError> {
        self.outbox.flush().await
    }
}
