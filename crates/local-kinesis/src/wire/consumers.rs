//! `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer` and `ListStreamConsumers`. A consumer
//! is ACTIVE at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, check_created, check_name, find_stream, required, within};
use super::error::ApiError;
use super::scalars::Timestamp;
use super::{Api, Nothing, arn, token};
use crate::limits::LISTING_TOKEN_MS_MAX;
use crate::{ConsumerInfo, ConsumerName};

/// Consumers of one reply, unless told: the AWS default.
const CONSUMERS_DEFAULT: usize = 100;
const CONSUMERS_MAX: usize = 10_000;

/// Of one stream: the AWS quota.
const CHANGES_PER_SECOND: u32 = 5;
/// Of one stream: the AWS quota.
const DESCRIPTIONS_PER_SECOND: u32 = 20;
/// Of one stream: the AWS quota.
const LISTINGS_PER_SECOND: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Register {
    #[serde(flatten)]
    stream: StreamArguments,
    consumer_name: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

/// One consumer: by its ARN, by its name and its stream's ARN, or by both where they agree.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct One {
    #[serde(flatten)]
    stream: StreamArguments,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    #[serde(flatten)]
    stream: StreamArguments,
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registered {
    consumer: Consumer,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    consumer_description: Description,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(flatten)]
    consumer: Consumer,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Consumer {
    consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    consumer_status: &'static str,
    consumer_creation_timestamp: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    consumers: Vec<Consumer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Where a listing goes on.
#[derive(Serialize, Deserialize)]
struct Cursor {
    stream: String,
    after: Option<String>,
    issued_ms: i64,
}

pub(super) async fn register(api: &Api, request: Register) -> Result<Registered, ApiError> {
    let stream = request.stream.name_by_arn()?;
    let name = required(request.consumer_name, "consumerName")?;
    check_name(&name, "consumerName")?;
    let consumer = api.store.register_consumer(&stream, &name, request.tags.unwrap_or_default()).await?;
    Ok(Registered { consumer: Consumer::new(&stream, &name, &consumer) })
}

pub(super) async fn deregister(api: &Api, request: One) -> Result<Nothing, ApiError> {
    let (consumer, _) = request.find(api)?;
    api.take_per_second("DeregisterStreamConsumer", &consumer.stream, CHANGES_PER_SECOND)?;
    api.store.deregister_consumer(&consumer).await?;
    Ok(Nothing {})
}

pub(super) fn describe(api: &Api, request: One) -> Result<Described, ApiError> {
    let (ConsumerName { stream, name, .. }, info) = request.find(api)?;
    api.take_per_second("DescribeStreamConsumer", &stream, DESCRIPTIONS_PER_SECOND)?;
    let consumer = Consumer::new(&stream, &name, &info);
    Ok(Described { consumer_description: Description { consumer, stream_arn: arn::of_stream(&stream) } })
}

pub(super) fn list(api: &Api, request: List) -> Result<Listed, ApiError> {
    let max = within(request.max_results, "maxResults", 1..=CONSUMERS_MAX, CONSUMERS_DEFAULT)?;
    let (stream, now_ms) = (request.stream.name_by_arn()?, api.store.now_ms());
    let after = match &request.next_token {
        None => None,
        Some(_) if request.stream_creation_timestamp.is_some() => {
            return Err(ApiError::argument("NextToken and StreamCreationTimestamp cannot be provided together."));
        }
        Some(text) => {
            let cursor = token::open::<Cursor>(text).filter(|cursor| cursor.stream == stream);
            let cursor = cursor.ok_or_else(|| ApiError::argument("the NextToken is invalid"))?;
            if now_ms - cursor.issued_ms > LISTING_TOKEN_MS_MAX {
                let age = format!("the NextToken is older than {LISTING_TOKEN_MS_MAX} ms");
                return Err(ApiError::expired_next_token(format!("{age}: start the listing again")));
            }
            cursor.after
        }
    };
    let info = find_stream(api, &stream)?;
    check_created(&info, request.stream_creation_timestamp)?;
    api.take_per_second("ListStreamConsumers", &stream, LISTINGS_PER_SECOND)?;
    let mut left = info.consumers.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
    let page: Vec<_> = left.by_ref().take(max).collect();
    let cursor = || Cursor { stream, after: page.last().map(|(name, _)| (*name).clone()), issued_ms: now_ms };
    let next_token = left.next().is_some().then(|| token::seal(&cursor()));
    let consumers = page.iter().map(|(name, consumer)| Consumer::new(&info.name, name, consumer)).collect();
    Ok(Listed { consumers, next_token })
}

impl Consumer {
    fn new(stream: &str, name: &str, info: &ConsumerInfo) -> Self {
        Self {
            consumer_name: name.to_owned(),
            consumer_arn: arn::of_consumer(stream, name, info.created_ms),
            consumer_status: "ACTIVE",
            consumer_creation_timestamp: Timestamp(info.created_ms),
        }
    }
}

impl One {
    fn find(&self, api: &Api) -> Result<(ConsumerName, ConsumerInfo), ApiError> {
        let by_arn = self.consumer_arn.as_deref().map(arn::consumer_in).transpose()?;
        let Some(consumer) = by_arn else {
            let (stream, name) = (self.stream.name_by_arn()?, required(self.consumer_name.clone(), "consumerName")?);
            check_name(&name, "consumerName")?;
            let info = find_stream(api, &stream)?;
            let found = info.consumers.get(&name).ok_or_else(|| ApiError::no_consumer(&stream, &name))?;
            return Ok((ConsumerName { stream, name, created_seconds: found.created_seconds() }, found.clone()));
        };
        let differs = self.consumer_name.as_ref().is_some_and(|name| *name != consumer.name)
            || (!self.stream.is_empty() && self.stream.name()? != consumer.stream);
        if differs {
            return Err(ApiError::argument("StreamARN and ConsumerName are not those of ConsumerARN: leave them out"));
        }
        let info = find(api, &consumer)?;
        Ok((consumer, info))
    }
}

/// The consumer that is meant, if there is one.
pub(super) fn find(api: &Api, consumer: &ConsumerName) -> Result<ConsumerInfo, ApiError> {
    let info = find_stream(api, &consumer.stream)?;
    info.consumer(consumer).cloned().ok_or_else(|| ApiError::no_consumer(&consumer.stream, &consumer.name))
}
