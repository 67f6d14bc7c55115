//! Registered consumers: readers of a stream that have its records pushed to them, each with its own throughput on AWS.
//! What is kept of one is its name, its tags and its policy; who reads at the moment is the wire's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{CONSUMERS_ADVANTAGE_MAX, CONSUMERS_MAX};
use crate::{ControlError, Store, StreamInfo, StreamMode, is_stream_name, tags};

/// A consumer as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerInfo {
    /// When it was registered, ms since 1970.
    pub created_ms: i64,
    /// Labels for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Who may use it, as its owner wrote it. Kept and told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Names one consumer of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerName {
    /// The stream.
    pub stream: String,
    /// Its name there.
    pub name: String,
    /// When it was registered: tells it from an earlier one of the same name.
    pub created_seconds: i64,
}

/// What carries tags and a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A stream of that name.
    Stream(String),
    /// A consumer of one.
    Consumer(ConsumerName),
}

impl ConsumerInfo {
    /// The second of its registration, which is part of its name.
    pub fn created_seconds(&self) -> i64 {
        self.created_ms.div_euclid(1000)
    }
}

impl Resource {
    pub(crate) fn stream(&self) -> &str {
        match self {
            Self::Stream(stream) => stream,
            Self::Consumer(consumer) => &consumer.stream,
        }
    }
}

impl StreamInfo {
    /// One consumer, unless there is none of that name and time.
    pub fn consumer(&self, wanted: &ConsumerName) -> Option<&ConsumerInfo> {
        let named = self.consumers.get(&wanted.name);
        named.filter(|consumer| consumer.created_seconds() == wanted.created_seconds)
    }

    pub(crate) fn consumer_mut(&mut self, wanted: &ConsumerName) -> Result<&mut ConsumerInfo, ControlError> {
        let stream = || self.name.clone();
        let missing = ControlError::NoConsumer { stream: stream(), consumer: wanted.name.clone() };
        let named = self.consumers.get_mut(&wanted.name);
        named.filter(|consumer| consumer.created_seconds() == wanted.created_seconds).ok_or(missing)
    }
}

impl Store {
    /// Registers a consumer; it can subscribe once this returns.
    pub async fn register_consumer(
        &self,
        stream: &str,
        name: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<ConsumerInfo, ControlError> {
        if !is_stream_name(name) {
            return Err(ControlError::Invalid(format!("`{name}` cannot name a consumer: use letters, digits, `_.-`")));
        }
        tags::check(stream, &tags)?;
        let (name, created_ms) = (name.to_owned(), self.now_ms());
        let has_commitment = self.account().has_commitment(created_ms);
        self.change_stream(stream, move |info| {
            let stream = || info.name.clone();
            if info.consumers.contains_key(&name) {
                return Err(ControlError::ConsumerExists { stream: stream(), consumer: name });
            }
            let is_advantage = has_commitment && info.mode == StreamMode::OnDemand;
            let limit = if is_advantage { CONSUMERS_ADVANTAGE_MAX } else { CONSUMERS_MAX };
            let wanted = info.consumers.len() + 1;
            if wanted > limit {
                return Err(ControlError::Limit { stream: stream(), what: "consumers", wanted, limit });
            }
            let consumer = ConsumerInfo { created_ms, tags, policy: None };
            info.consumers.insert(name, consumer.clone());
            Ok(consumer)
        })
        .await
    }

    /// Forgets a consumer; its subscriptions end.
    pub async fn deregister_consumer(&self, consumer: &ConsumerName) -> Result<(), ControlError> {
        let wanted = consumer.clone();
        self.change_stream(&consumer.stream, move |info| {
            info.consumer_mut(&wanted)?;
            info.consumers.remove(&wanted.name);
            Ok(())
        })
        .await
    }
}
