//! The consumer that enhanced fan-out reads as: found, or registered.
//!
//! It stays when reading stops: a restart goes on with it, and AWS bills it until somebody deregisters it.

use aws_sdk_kinesis::types::ConsumerStatus;
use millstream_core::{Duration, SourceError};

use super::client::StreamClient;
use super::fault::ReadFault;
use super::settings::Consumer;
use crate::aws::faults::{Call, Fault};

/// How often a consumer in the making is looked at; twenty looks a second are allowed to all.
const LOOK_EVERY: Duration = Duration(500);

impl StreamClient {
    /// The ARN of an active consumer; nothing where the server has no consumers.
    pub(super) async fn consumer(&self, consumer: &Consumer) -> Result<Option<String>, SourceError> {
        let mut call = Call::default();
        loop {
            let fault = match self.active(consumer).await {
                Ok(Some(arn)) => return Ok(Some(arn)),
                Ok(None) => {
                    self.clock().sleep(LOOK_EVERY).await;
                    continue;
                }
                Err(ReadFault::Unsupported { reason }) => {
                    tracing::warn!(stream = self.what(), reason, "the server has no enhanced fan-out: polling instead");
                    return Ok(None);
                }
                Err(fault) => fault.plain(),
            };
            self.wait_or_fail(&mut call, fault).await?;
        }
    }

    /// The consumer's ARN if it is active. One that is not there is registered, if it is ours.
    async fn active(&self, consumer: &Consumer) -> Result<Option<String>, ReadFault> {
        let stream = self.stream_arn().await?;
        let request = self.sdk().describe_stream_consumer().stream_arn(&stream).consumer_name(&consumer.name);
        let error = match request.send().await.map_err(|error| ReadFault::of(&error)) {
            Ok(reply) => {
                let found = reply.consumer_description;
                let active = found.filter(|found| found.consumer_status == ConsumerStatus::Active);
                return Ok(active.map(|found| found.consumer_arn));
            }
            Err(error) => error,
        };
        match error {
            ReadFault::Plain(Fault::Missing(reason)) if !consumer.is_ours => {
                let name = &consumer.name;
                let reason = format!(
                    "there is no consumer `{name}`: register it, or say 'source.efo.lifecycle' = 'JOB_MANAGED' ({reason})"
                );
                Err(ReadFault::Plain(Fault::Permanent(reason)))
            }
            ReadFault::Plain(Fault::Missing(_)) => {
                let request = self.sdk().register_stream_consumer().stream_arn(stream).consumer_name(&consumer.name);
                request.send().await.map_err(|error| ReadFault::of(&error))?;
                tracing::info!(stream = self.what(), consumer = consumer.name, "registered a consumer");
                Ok(None)
            }
            error => Err(error),
        }
    }

    async fn stream_arn(&self) -> Result<String, ReadFault> {
        if let Some(arn) = self.arn() {
            return Ok(arn);
        }
        let request = self.sdk().describe_stream_summary().set_stream_name(self.name());
        let reply = request.send().await.map_err(|error| ReadFault::of(&error))?;
        let summary = reply.stream_description_summary;
        let no_arn = || ReadFault::Plain(Fault::Permanent("the server describes the stream without its ARN".into()));
        summary.map(|summary| summary.stream_arn).ok_or_else(no_arn)
    }
}
