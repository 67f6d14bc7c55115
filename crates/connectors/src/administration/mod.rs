//! Streams on a Kinesis server as people look after them: listed, made, and split or merged. For commands, not for
//! queries: a call that fails is told, and not tried again.

mod put;
mod rates;
mod reshard;

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails, StreamStatus};
use millstream_core::{OptionError, Options};

use crate::aws::AwsAccess;
use crate::aws::faults::words;
use crate::context::AwsSettings;

pub use put::Producer;
pub use rates::{Advice, Rates};
pub use reshard::Reshard;

/// A server that answers no such call within this time is not there.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The streams of one account and region, or of an emulator.
pub struct Streams {
    client: Client,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    pub name: String,
    pub arn: String,
    pub status: String,
    /// `PROVISIONED` or `ON_DEMAND`.
    pub mode: String,
    pub open_shards: i32,
    pub retention_hours: i32,
}

/// How many shards a new stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    Shards(i32),
    OnDemand,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The server says no.
    #[error("{what}: {reason}")]
    Refused { what: String, reason: String },
    /// The server was not reached, or what it said was not understood.
    #[error("{what}: the server cannot be asked: {reason}")]
    Unreachable { what: String, reason: String },
    /// What is asked for cannot be.
    #[error("{0}")]
    Wrong(String),
}

impl StreamsError {
    fn of<E>(what: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let what = what.into();
        move |error| match error {
            SdkError::ServiceError(_) => Self::Refused { what, reason: words(&error) },
            _ => Self::Unreachable { what, reason: words(&error) },
        }
    }
}

impl Streams {
    /// By the SDK's default chain of credentials, unless a key is given.
    pub async fn connect(aws: &AwsSettings) -> Result<Self, StreamsError> {
        let access = AwsAccess::read(&Options::default().reader(), aws, None)?;
        Ok(Self { client: Client::new(&access.config(TIMEOUT).await) })
    }

    /// All streams, by name.
    pub async fn list(&self) -> Result<Vec<StreamSummary>, StreamsError> {
        let (mut streams, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.client.list_streams().set_exclusive_start_stream_name(after).send().await;
            let page = page.map_err(StreamsError::of("streams"))?;
            for name in page.stream_names() {
                streams.push(self.describe(name).await?);
            }
            after = page.stream_names().last().cloned();
            if !page.has_more_streams() || after.is_none() {
                return Ok(streams);
            }
        }
    }

    /// One stream.
    pub async fn describe(&self, stream: &str) -> Result<StreamSummary, StreamsError> {
        let what = format!("stream `{stream}`");
        let reply = self.client.describe_stream_summary().stream_name(stream).send().await;
        let summary = reply.map_err(StreamsError::of(what.as_str()))?.stream_description_summary;
        let summary =
            summary.ok_or_else(|| StreamsError::Unreachable { what, reason: "an empty answer".to_owned() })?;
        let mode =
            summary.stream_mode_details.as_ref().map_or(StreamMode::Provisioned, |mode| mode.stream_mode.clone());
        Ok(StreamSummary {
            name: summary.stream_name,
            arn: summary.stream_arn,
            status: summary.stream_status.as_str().to_owned(),
            mode: mode.as_str().to_owned(),
            open_shards: summary.open_shard_count,
            retention_hours: summary.retention_period_hours,
        })
    }

    /// Whether nothing is being made or changed.
    pub async fn is_active(&self, stream: &str) -> Result<bool, StreamsError> {
        Ok(self.describe(stream).await?.status == StreamStatus::Active.as_str())
    }

    /// Makes a stream; it is there once it is active.
    pub async fn create(&self, stream: &str, capacity: Capacity) -> Result<(), StreamsError> {
        let request = self.client.create_stream().stream_name(stream);
        let request = match capacity {
            Capacity::Shards(count) => request.shard_count(count),
            Capacity::OnDemand => {
                let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
                request.stream_mode_details(mode.map_err(|error| StreamsError::Wrong(error.to_string()))?)
            }
        };
        request.send().await.map_err(StreamsError::of(format!("stream `{stream}`")))?;
        Ok(())
    }
}
