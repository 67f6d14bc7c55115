//! `SubscribeToShard`: what is pushed, when, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::Request;
use futures::StreamExt;
use millstream_local_kinesis::{ApiSettings, ShardId};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Api, JSON, MIDDLE, names};
use crate::fixture::{MIB, record};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const SHARD: &str = "shardId-000000000000";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The messages of one subscription.
struct Events {
    body: BodyDataStream,
    left: Bytes,
}

impl Events {
    /// The kind of the next message, and its content; none at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut decoder = MessageFrameDecoder::new();
        loop {
            if let DecodedFrame::Complete(message) = decoder.decode_frame(&mut self.left).unwrap() {
                let content = serde_json::from_slice(message.payload()).unwrap();
                let kind = header(&message, ":event-type").or_else(|| header(&message, ":exception-type")).unwrap();
                assert_eq!(header(&message, ":content-type").unwrap(), JSON);
                return Some((kind, content));
            }
            let more = timeout(PATIENCE, self.body.next()).await.expect("the subscription goes on");
            self.left = more?.unwrap();
        }
    }

    async fn event(&mut self) -> Value {
        let (kind, event) = self.next().await.expect("an event");
        assert_eq!(kind, "SubscribeToShardEvent", "{event}");
        event
    }

    /// The payloads of the next event.
    async fn data(&mut self) -> Vec<String> {
        names(&self.event().await["Records"], "Data")
    }
}

fn header(message: &Message, name: &str) -> Option<String> {
    let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
    Some(found.value().as_string().unwrap().as_str().to_owned())
}

impl Api {
    /// Time passes at once, so that what waits for it is due.
    async fn without_time(shards: u32) -> Self {
        let sleep = Arc::new(|_| Box::pin(std::future::ready(())) as std::pin::Pin<Box<_>>);
        Self::with_settings(shards, ApiSettings { sleep, ..ApiSettings::default() }).await
    }

    async fn register(&self, name: &str) -> String {
        let reply = self.call("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": name})).await;
        reply["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
    }

    /// Subscribes, and takes the initial response.
    async fn subscribe(&self, consumer: &str, start: Value) -> Events {
        let request = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": start});
        let request = Request::post("/")
            .header("x-amz-target", "Kinesis_20131202.SubscribeToShard")
            .header("content-type", JSON)
            .body(Body::from(request.to_string()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
        let mut events = Events { body: response.into_body().into_data_stream(), left: Bytes::new() };
        assert_eq!(events.next().await.unwrap(), ("initial-response".to_owned(), json!({})));
        events
    }

    async fn put(&self, data: &str) -> String {
        let put = self.call("PutRecord", json!({"StreamName": "s", "Data": data, "PartitionKey": "k"})).await;
        put["SequenceNumber"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pushed_when_they_are_committed() {
    let api = Api::with_stream(1).await;
    let consumer = api.register("c").await;
    let mut events = api.subscribe(&consumer, json!({"Type": "LATEST"})).await;
    for data in ["AAAA", "BBBB", "CCCC"] {
        let (number, event) = tokio::join!(api.put(data), events.event());
        assert_eq!(names(&event["Records"], "Data"), [data]);
        assert_eq!(event["Records"][0]["SequenceNumber"], number);
        assert_eq!(event["ContinuationSequenceNumber"], number);
        assert_eq!(event["MillisBehindLatest"], 0);
        assert_eq!(event.get("ChildShards"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_starting_position_starts_where_it_says() {
    let api = Api::with_stream(1).await;
    let mut numbers = Vec::new();
    for data in ["AAAA", "BBBB", "CCCC"] {
        numbers.push(api.put(data).await);
        api.fixture.advance_ms(1000);
    }
    let cases = [
        (json!({"Type": "TRIM_HORIZON"}), vec!["AAAA", "BBBB", "CCCC"]),
        (json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}), vec!["BBBB", "CCCC"]),
        (json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}), vec!["CCCC"]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": 1_767_225_601.0}), vec!["BBBB", "CCCC"]),
    ];
    for (number, (start, expected)) in cases.into_iter().enumerate() {
        let consumer = api.register(&format!("c{number}")).await;
        let mut events = api.subscribe(&consumer, start.clone()).await;
        assert_eq!(events.data().await, expected, "{start}");
    }
    let consumer = api.register("bad").await;
    for (start, error) in [
        (json!({"Type": "X"}), "ValidationException"),
        (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (json!({"Type": "AT_SEQUENCE_NUMBER"}), "InvalidArgumentException"),
        (json!({}), "ValidationException"),
    ] {
        let request = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": start});
        assert_eq!(api.refused("SubscribeToShard", request).await, error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_of_a_closed_shard_names_its_children_and_ends_the_stream() {
    let api = Api::with_stream(1).await;
    api.put("AAAA").await;
    let consumer = api.register("c").await;
    let mut events = api.subscribe(&consumer, json!({"Type": "TRIM_HORIZON"})).await;
    assert_eq!(events.data().await, ["AAAA"]);
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": MIDDLE});
    let (_, last) = tokio::join!(api.call("SplitShard", split), events.event());
    assert_eq!(names(&last["ChildShards"], "ShardId"), ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!((&last["Records"], last.get("ContinuationSequenceNumber")), (&json!([]), None));
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_subscription_takes_over_and_the_older_one_ends() {
    let api = Api::with_stream(1).await;
    let consumer = api.register("c").await;
    let mut first = api.subscribe(&consumer, json!({"Type": "LATEST"})).await;
    let again = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}});
    api.fixture.advance_ms(4999);
    assert_eq!(api.refused("SubscribeToShard", again).await, "ResourceInUseException");
    api.fixture.advance_ms(1);
    let waiting = async { (first.next().await, first.next().await) };
    let ((ended, nothing), mut second) = tokio::join!(waiting, api.subscribe(&consumer, json!({"Type": "LATEST"})));
    assert_eq!((ended.unwrap().0.as_str(), nothing), ("ResourceInUseException", None));
    api.put("AAAA").await;
    assert_eq!(second.data().await, ["AAAA"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_consumer_and_with_its_stream() {
    let api = Api::with_stream(1).await;
    let consumers = [api.register("c").await, api.register("d").await];
    let mut first = api.subscribe(&consumers[0], json!({"Type": "LATEST"})).await;
    let mut second = api.subscribe(&consumers[1], json!({"Type": "LATEST"})).await;
    api.call("DeregisterStreamConsumer", json!({"ConsumerARN": consumers[0]})).await;
    api.put("AAAA").await;
    assert_eq!(first.next().await.unwrap().0, "ResourceNotFoundException");
    assert_eq!(first.next().await, None);
    assert_eq!(second.data().await, ["AAAA"]);
    api.call("DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true})).await;
    assert_eq!(second.next().await.unwrap().0, "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_records_keep_a_quiet_subscription_alive() {
    let api = Api::without_time(1).await;
    let number = api.put("AAAA").await;
    let consumer = api.register("c").await;
    let mut events = api.subscribe(&consumer, json!({"Type": "LATEST"})).await;
    for _ in 0..3 {
        let event = events.event().await;
        assert_eq!((&event["Records"], &event["ContinuationSequenceNumber"]), (&json!([]), &json!(number)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_quietly_after_five_minutes() {
    let api = Api::without_time(1).await;
    let consumer = api.register("c").await;
    let mut events = api.subscribe(&consumer, json!({"Type": "LATEST"})).await;
    api.fixture.advance_ms(5 * 60 * 1000 - 5001);
    assert_eq!(events.data().await, Vec::<String>::new());
    api.fixture.advance_ms(5001);
    assert_eq!(events.next().await, None);
}

/// What is not asked for is not read: many megabytes wait on disk for a reader that is slow.
#[tokio::test(flavor = "multi_thread")]
async fn large_backlogs_come_in_events_of_a_bounded_size() {
    let api = Api::with_stream(1).await;
    let text = "x".repeat(300 * 1024);
    for _ in 0..8 {
        api.fixture.store.put("s", vec![record("k", &text); 2]).await.unwrap();
    }
    let consumer = api.register("c").await;
    let mut events = api.subscribe(&consumer, json!({"Type": "TRIM_HORIZON"})).await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 16 {
        let event = events.event().await;
        sizes.push(event["Records"].as_array().unwrap().len());
        assert!(serde_json::to_vec(&event).unwrap().len() < 2 * MIB);
    }
    assert_eq!(sizes, [3, 3, 3, 3, 3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_refused() {
    let api = Api::with_stream(1).await;
    let consumer = api.register("c").await;
    let start = json!({"Type": "LATEST"});
    let unknown = consumer.replace("/c:", "/other:");
    for (consumer, shard, error) in [
        (unknown.as_str(), SHARD, "ResourceNotFoundException"),
        (&consumer, "shardId-000000000009", "ResourceNotFoundException"),
        ("c", SHARD, "ValidationException"),
        (ARN, SHARD, "ValidationException"),
    ] {
        let request = json!({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": start});
        assert_eq!(api.refused("SubscribeToShard", request).await, error, "{consumer} {shard}");
    }
    let dry = json!({"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": start, "DryRun": true});
    assert_eq!(api.refused("SubscribeToShard", dry).await, "DryRunOperationException");
    // It was not counted as one.
    api.subscribe(&consumer, start).await;
    assert!(api.fixture.store.tips("s").unwrap().contains_key(&ShardId(0)));
}
