//! Where a shard is opened, in the words of both calls that open one.

use aws_sdk_kinesis::error::BuildError;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};
use millstream_core::EventTime;

use crate::sources::lineage::Start;
use crate::sources::position::InitPosition;

/// Where a shard is opened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Opening {
    /// At its first record that is kept.
    Beginning,
    /// At what arrives from now on.
    Latest,
    /// At the first record that arrived then or later.
    AtTime(EventTime),
    /// At a record some of which may have been read: it can be an aggregate.
    At(String),
    /// After a record that has been read.
    After(String),
}

impl Opening {
    /// Where a reading begins.
    pub(super) fn of(start: &Start, configured: InitPosition) -> Self {
        match (start, configured) {
            (Start::After(offset), _) => Self::At(offset.sequence().to_owned()),
            (Start::Beginning, _) | (Start::Configured, InitPosition::TrimHorizon) => Self::Beginning,
            (Start::Configured, InitPosition::AtTimestamp(at)) => Self::AtTime(at),
            (Start::Configured, InitPosition::Latest) => Self::Latest,
        }
    }

    fn parts(&self) -> (ShardIteratorType, Option<&str>, Option<DateTime>) {
        match self {
            Self::Beginning => (ShardIteratorType::TrimHorizon, None, None),
            Self::Latest => (ShardIteratorType::Latest, None, None),
            Self::AtTime(at) => (ShardIteratorType::AtTimestamp, None, Some(DateTime::from_millis(at.0))),
            Self::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence), None),
            Self::After(sequence) => (ShardIteratorType::AfterSequenceNumber, Some(sequence), None),
        }
    }

    /// A request for an iterator that begins here.
    pub(super) fn iterator(&self, request: GetShardIteratorFluentBuilder) -> GetShardIteratorFluentBuilder {
        let (kind, sequence, timestamp) = self.parts();
        let sequence = sequence.map(ToOwned::to_owned);
        request.shard_iterator_type(kind).set_starting_sequence_number(sequence).set_timestamp(timestamp)
    }

    /// The beginning of a subscription.
    pub(super) fn subscription(&self) -> Result<StartingPosition, BuildError> {
        let (kind, sequence, timestamp) = self.parts();
        let sequence = sequence.map(ToOwned::to_owned);
        StartingPosition::builder().r#type(kind).set_sequence_number(sequence).set_timestamp(timestamp).build()
    }
}
