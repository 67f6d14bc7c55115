//! Reading by enhanced fan-out: a shard pushes its records, for five minutes at a time.
//!
//! Nothing is read ahead: an event is taken from the connection when the one before has been handed on, and HTTP/2 holds
//! the others back. All shards share connections, so a shard that the engine holds back for long gives up its place
//! there, lest the others wait for it, and subscribes again.

use std::pin::pin;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::SubscribeToShardEventStream;
use futures::future::{Either, select};
use millstream_core::{Duration, EventTime, SourceError};

use super::Ended;
use super::fault::ReadFault;
use super::pace::scaled;
use super::shard::{Distance, ShardReader};
use super::shards::Child;
use crate::aws::faults::{Call, Fault};

/// Kinesis sends something every five seconds or so, records or not.
const SILENT_MAX: Duration = Duration(30_000);
/// How long an event may wait for the engine before its shard gives up its subscription.
const HELD_MAX: Duration = Duration(5000);
/// An event is on its way for less.
const FLIGHT_MAX: Duration = Duration(1000);
/// A consumer may subscribe to a shard once a second.
const ASK_EVERY: Duration = Duration(1000);
/// Within this time of a subscription that worked, the next one is refused.
const OPEN_EVERY: Duration = Duration(5000);
/// All shards are subscribed to at once, and end at once: this much apart they subscribe again.
const APART_MAX: Duration = Duration(200);
/// A server that answers this often with a plain HTTP error, and never with a subscription, has none.
const NAMELESS_MAX: u32 = 3;

/// How a subscription ended.
enum Over {
    /// With the shard.
    Drained(Vec<Child>),
    /// After its five minutes, or because it was given up.
    Renew,
    Broken(ReadFault),
}

impl ShardReader<'_> {
    /// Reads to the end of the shard; answers the shards that follow it, as far as they were told. Answers nothing where
    /// the server has no subscriptions: then the shard is to be polled.
    pub(super) async fn subscribe(&mut self, consumer: &str) -> Result<Option<Vec<Child>>, Ended> {
        let client = &self.reading.client;
        let (mut consumer, mut call) = (consumer.to_owned(), Call::default());
        let (mut renewal, mut nameless) = (Renewal::default(), 0);
        loop {
            client.clock().sleep(renewal.wait(client.clock().now())).await;
            renewal.asked(client.clock().now());
            let fault = match self.subscription(&consumer).await? {
                Ok(subscription) => {
                    renewal.opened(client.clock().now());
                    match self.follow(subscription, &mut call).await? {
                        Over::Drained(children) => return Ok(Some(children)),
                        Over::Renew => {
                            client.clock().sleep(scaled(APART_MAX, client.chance())).await;
                            continue;
                        }
                        Over::Broken(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            let fault = match fault {
                ReadFault::Plain(Fault::Missing(_)) if client.is_gone(&self.shard).await? => {
                    return Ok(Some(Vec::new()));
                }
                // The consumer was deregistered: another of its name may have come.
                ReadFault::Plain(Fault::Missing(reason)) => match self.consumer_again().await? {
                    Some(found) => {
                        consumer = found;
                        Fault::Retry { reason, least: ASK_EVERY }
                    }
                    None => return Ok(None),
                },
                ReadFault::Unsupported { reason } => return Ok(self.poll_instead(&reason)),
                ReadFault::Nameless { reason } if !renewal.has_opened() => {
                    nameless += 1;
                    if nameless >= NAMELESS_MAX {
                        return Ok(self.poll_instead(&reason));
                    }
                    Fault::Retry { reason, least: Duration(0) }
                }
                fault => fault.plain(),
            };
            client.wait_or_fail(&mut call, fault).await?;
        }
    }

    fn poll_instead(&self, reason: &str) -> Option<Vec<Child>> {
        let (stream, shard) = (self.reading.client.what(), &self.shard);
        tracing::warn!(stream, %shard, reason, "the server has no enhanced fan-out: polling instead");
        None
    }

    async fn consumer_again(&self) -> Result<Option<String>, SourceError> {
        match &self.reading.settings.consumer {
            Some(consumer) => self.reading.client.consumer(consumer).await,
            None => Ok(None),
        }
    }

    async fn subscription(&mut self, consumer: &str) -> Result<Result<SubscribeToShardOutput, ReadFault>, SourceError> {
        let client = &self.reading.client;
        let invalid = |reason: String| client.failed(Fault::Permanent(reason));
        let position = self.opening().subscription().map_err(|error| invalid(error.to_string()))?;
        let request = client.sdk().subscribe_to_shard().consumer_arn(consumer).shard_id(self.shard.as_str());
        let request = pin!(request.starting_position(position).send());
        Ok(match select(request, client.clock().sleep(SILENT_MAX)).await {
            Either::Left((reply, _)) => reply.map_err(|error| ReadFault::of(&error)),
            Either::Right(_) => Err(silent()),
        })
    }

    /// Hands on what a subscription pushes, to its end.
    async fn follow(&mut self, subscription: SubscribeToShardOutput, call: &mut Call) -> Result<Over, Ended> {
        let clock = self.reading.client.clock();
        let mut subscription = Some(subscription);
        while let Some(open) = &mut subscription {
            let since = clock.now();
            let received = match select(pin!(open.event_stream.recv()), clock.sleep(SILENT_MAX)).await {
                Either::Left((received, _)) => received,
                Either::Right(_) => return Ok(Over::Broken(silent())),
            };
            let event = match received {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => event,
                // A kind of event that is newer than this.
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(Over::Renew),
                Err(error) => return Ok(Over::Broken(ReadFault::of_subscription(&error))),
            };
            call.worked();
            // An event that had to be waited for is no older than the waiting, but for its flight. Another may have lain
            // in the connection for any time.
            let as_of = (clock.now() > since).then_some(EventTime(since.0 - FLIGHT_MAX.0));
            let distance = match event.millis_behind_latest {
                lag_ms if lag_ms > 0 => Distance::Behind { lag_ms },
                _ => Distance::AtTip { as_of },
            };
            {
                let taking = pin!(self.take(&event.records, distance));
                match select(taking, clock.sleep(HELD_MAX)).await {
                    Either::Left((taken, _)) => taken?,
                    Either::Right(((), taking)) => {
                        subscription = None;
                        taking.await?;
                    }
                }
            }
            if event.continuation_sequence_number.is_empty() || !event.child_shards().is_empty() {
                let children = event.child_shards.unwrap_or_default();
                return Ok(Over::Drained(children.into_iter().map(Child::from).collect()));
            }
            self.go_on_after(&event.continuation_sequence_number);
        }
        Ok(Over::Renew)
    }
}

fn silent() -> ReadFault {
    let reason = format!("nothing came for {} s", SILENT_MAX.0 / 1000);
    ReadFault::Plain(Fault::Retry { reason, least: Duration(0) })
}

/// When a shard may be subscribed to again: pure state, the time comes in.
#[derive(Clone, Copy, Debug, Default)]
struct Renewal {
    asked: Option<EventTime>,
    opened: Option<EventTime>,
}

impl Renewal {
    fn asked(&mut self, now: EventTime) {
        self.asked = Some(now);
    }

    fn opened(&mut self, now: EventTime) {
        self.opened = Some(now);
    }

    fn has_opened(self) -> bool {
        self.opened.is_some()
    }

    /// How long to wait before the next try.
    fn wait(self, now: EventTime) -> Duration {
        let rest = |since: Option<EventTime>, length: Duration| {
            since.map_or(0, |since| (length.0 - (now - since).0).clamp(0, length.0))
        };
        Duration(rest(self.asked, ASK_EVERY).max(rest(self.opened, OPEN_EVERY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_subscribed_to_once_a_second_and_five_seconds_after_it_was() {
        let mut renewal = Renewal::default();
        assert_eq!(renewal.wait(EventTime(7)), Duration(0));
        renewal.asked(EventTime(1000));
        assert!(!renewal.has_opened());
        assert_eq!([1000, 1300, 2000, 9000].map(|now| renewal.wait(EventTime(now)).0), [1000, 700, 0, 0]);
        renewal.opened(EventTime(1100));
        assert_eq!([1100, 3000, 6100, 301_100].map(|now| renewal.wait(EventTime(now)).0), [5000, 3100, 0, 0]);
        assert_eq!(renewal.wait(EventTime(0)), Duration(5000), "a clock that goes back does not make it longer");
    }
}
