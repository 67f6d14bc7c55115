//! Who is subscribed: each consumer to each shard once. A later subscription takes over from an earlier one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::error::ApiError;
use crate::{ConsumerName, ShardId};

/// A subscription cannot be taken over sooner than this: AWS's rule.
const HOLD_MS: i64 = 5000;

#[derive(Default)]
pub(super) struct Subscriptions {
    /// At most one for each consumer and shard; those that ended go with the next one that begins.
    held: Mutex<HashMap<(String, String, i64, ShardId), Held>>,
}

struct Held {
    began_ms: i64,
    taken_over: watch::Sender<bool>,
}

/// One subscription's part; it has ended once this is dropped.
pub(super) struct Subscription {
    taken_over: watch::Receiver<bool>,
}

impl Subscriptions {
    /// Begins a subscription, and ends the one before it.
    pub(super) fn begin(&self, consumer: &ConsumerName, shard: ShardId, now_ms: i64) -> Result<Subscription, ApiError> {
        let ConsumerName { stream, name, created_seconds } = consumer.clone();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |held: &Held| (0..HOLD_MS).contains(&(now_ms - held.began_ms));
        held.retain(|_, held| is_young(held) || !held.taken_over.is_closed());
        let key = (stream, name, created_seconds, shard);
        if held.get(&key).is_some_and(is_young) {
            let what = format!("Consumer {} subscribed to {shard} less than {HOLD_MS} ms ago", consumer.name);
            return Err(ApiError::in_use(format!("{what}: wait that long before it subscribes again")));
        }
        let (sender, taken_over) = watch::channel(false);
        if let Some(before) = held.insert(key, Held { began_ms: now_ms, taken_over: sender }) {
            before.taken_over.send_replace(true);
        }
        Ok(Subscription { taken_over })
    }
}

impl Subscription {
    pub(super) fn is_taken_over(&self) -> bool {
        *self.taken_over.borrow()
    }

    /// Resolves when another one takes over.
    pub(super) async fn taken_over(&mut self) {
        // Who takes over says so before it drops the sender.
        let _ = self.taken_over.wait_for(|taken_over| *taken_over).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_taken_over_after_five_seconds_only() {
        let subscriptions = Subscriptions::default();
        let consumer = ConsumerName { stream: "s".into(), name: "c".into(), created_seconds: 1 };
        let other = ConsumerName { name: "d".into(), ..consumer.clone() };
        let first = subscriptions.begin(&consumer, ShardId(0), 1000).unwrap();
        let refused = subscriptions.begin(&consumer, ShardId(0), 5999).err().unwrap();
        assert_eq!(refused.name, "ResourceInUseException");
        assert!(subscriptions.begin(&consumer, ShardId(1), 1000).is_ok(), "another shard");
        assert!(subscriptions.begin(&other, ShardId(0), 1000).is_ok(), "another consumer");
        assert!(!first.is_taken_over());
        let second = subscriptions.begin(&consumer, ShardId(0), 6000).unwrap();
        assert!(first.is_taken_over() && !second.is_taken_over());
    }

    #[test]
    fn subscriptions_that_ended_are_forgotten() {
        let subscriptions = Subscriptions::default();
        for number in 0..10 {
            let consumer = ConsumerName { stream: "s".into(), name: format!("c{number}"), created_seconds: 1 };
            subscriptions.begin(&consumer, ShardId(0), number * HOLD_MS).unwrap();
        }
        assert_eq!(subscriptions.held.lock().unwrap().len(), 1);
    }
}
