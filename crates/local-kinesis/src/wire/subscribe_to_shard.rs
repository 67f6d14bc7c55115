//! `SubscribeToShard`: the records of a shard, pushed as soon as they are committed, for up to five minutes.
//!
//! The connection pulls: the next event is read when the one before it is on its way, so that a slow reader holds one
//! event and no more.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde::{Deserialize, Serialize};

use super::arguments::{check_dry_run, check_stream_id, required, shard_id};
use super::error::ApiError;
use super::format::Format;
use super::operations::{Answer, Call};
use super::position::Start;
use super::scalars::Timestamp;
use super::shapes::{ChildShard, RecordShape};
use super::subscriptions::Subscription;
use super::{Api, arn, consumers, event_stream};
use crate::limits::{EVENT_BYTES_MAX, GET_RECORDS_MAX};
use crate::{ConsumerName, Page, Position, SequenceNumber, ShardId};

/// After so long without records an event without any is sent, so that readers see where they are and connections stay.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    stream_id: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<StartingPosition>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition {
    r#type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    records: Vec<RecordShape<'a>>,
    /// Missing at the end of a closed shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<SequenceNumber>,
    millis_behind_latest: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShard>,
}

/// A subscription on its way.
struct Push {
    api: Arc<Api>,
    format: Format,
    consumer: ConsumerName,
    shard: ShardId,
    position: Position,
    subscription: Subscription,
    began_ms: i64,
    stage: Stage,
}

enum Stage {
    Begin,
    Events,
    End,
}

pub(super) fn subscribe(call: Call) -> Result<Answer, ApiError> {
    let Call { api, format, body } = call;
    let request: SubscribeToShard = format.parse(&body)?;
    let consumer = arn::consumer_in(&required(request.consumer_arn, "consumerARN")?)?;
    if let Some(id) = &request.stream_id {
        check_stream_id(id)?;
    }
    let shard = shard_id(&required(request.shard_id, "shardId")?)?;
    let position = required(request.starting_position, "startingPosition")?.read()?;
    consumers::find(&api, &consumer)?;
    let (position, began_ms) = (api.store.pin(&consumer.stream, shard, position)?, api.store.now_ms());
    check_dry_run(request.dry_run)?;
    let subscription = api.subscriptions.begin(&consumer, shard, began_ms)?;
    let push = Push { api, format, consumer, shard, position, subscription, began_ms, stage: Stage::Begin };
    let messages = stream::try_unfold(push, Push::next);
    Ok(Answer { content_type: event_stream::CONTENT_TYPE, body: Body::from_stream(messages) })
}

impl StartingPosition {
    fn read(&self) -> Result<Position, ApiError> {
        let start = Start {
            kind: required(self.r#type.as_deref(), "startingPosition.type")?,
            kind_member: "startingPosition.type",
            number: self.sequence_number.as_deref(),
            number_member: "SequenceNumber",
            timestamp: self.timestamp,
        };
        start.read()
    }
}

/// What a wait came to.
enum Waited {
    Records,
    KeepAlive,
    TimeIsUp,
}

impl Push {
    /// The next message. What goes wrong is told as the last one; an error proper cuts the connection.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        let message = match self.stage {
            Stage::End => return Ok(None),
            Stage::Begin => {
                self.stage = Stage::Events;
                event_stream::initial_response(self.format)?
            }
            Stage::Events => match self.event().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.stage = Stage::End;
                    event_stream::exception(&error, self.format)?
                }
            },
        };
        Ok(Some((message, self)))
    }

    /// The next event; none when the time of the subscription is up.
    async fn event(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut is_due = false;
        loop {
            self.check()?;
            if self.left_ms() == 0 {
                return Ok(None);
            }
            let page = self.read().await?;
            self.position = page.next;
            if is_due || !page.is_empty() || page.end_of_shard {
                return self.write(&page).map(Some);
            }
            match self.wait().await? {
                Waited::Records => {}
                Waited::KeepAlive => is_due = true,
                Waited::TimeIsUp => return Ok(None),
            }
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.subscription.is_taken_over() {
            let what = format!("Another subscription of consumer {} to {}", self.consumer.name, self.shard);
            return Err(ApiError::in_use(format!("{what} has taken over from this one.")));
        }
        consumers::find(&self.api, &self.consumer).map(drop)
    }

    /// Reading may wait for the disk, so that it has a thread of its own.
    async fn read(&self) -> Result<Page, ApiError> {
        let (store, stream) = (self.api.store.clone(), self.consumer.stream.clone());
        let (shard, position) = (self.shard, self.position);
        let read = move || store.read(&stream, shard, position, GET_RECORDS_MAX, EVENT_BYTES_MAX);
        let page = tokio::task::spawn_blocking(read).await;
        Ok(page.map_err(|error| ApiError::internal(format!("reading was broken off: {error}")))??)
    }

    fn write(&mut self, page: &Page) -> Result<Bytes, ApiError> {
        let info = self.api.store.describe(&self.consumer.stream);
        let info = info.ok_or_else(|| ApiError::no_stream(&self.consumer.stream))?;
        if page.end_of_shard {
            self.stage = Stage::End;
        }
        let continuation = match page.next {
            Position::After(number) | Position::At(number) => number,
            Position::TrimHorizon | Position::Latest | Position::AtTimestamp(_) => page.tip,
        };
        let event = Event {
            records: page.records().map(|record| RecordShape::new(record, (&*info).into())).collect(),
            continuation_sequence_number: (!page.end_of_shard).then_some(continuation),
            millis_behind_latest: page.millis_behind_latest,
            child_shards: page.children.iter().map(ChildShard::from).collect(),
        };
        event_stream::event("SubscribeToShardEvent", self.format, &event)
    }

    async fn wait(&mut self) -> Result<Waited, ApiError> {
        let (api, left) = (Arc::clone(&self.api), Duration::from_millis(self.left_ms()));
        tokio::select! {
            found = api.store.wait_for_records(&self.consumer.stream, self.shard, self.position) => {
                found?;
                Ok(Waited::Records)
            }
            // The next check tells it.
            () = self.subscription.taken_over() => Ok(Waited::Records),
            () = (api.settings.sleep)(left.min(KEEP_ALIVE)) => {
                Ok(if left <= KEEP_ALIVE { Waited::TimeIsUp } else { Waited::KeepAlive })
            }
        }
    }

    fn left_ms(&self) -> u64 {
        let age_ms = u64::try_from(self.api.store.now_ms() - self.began_ms).unwrap_or(0);
        self.api.settings.subscription_ms_max.saturating_sub(age_ms)
    }
}
