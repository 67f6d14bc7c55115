//! Enhanced fan-out, against a server whose subscriptions are written down.

use std::time::Duration as Patience;

use base64::Engine;
use millstream_core::{SourceError, SourceOutput};
use serde_json::{Value, json};

use super::scripted::{Act, FastClock, Pushed};
use super::*;

/// What is waited for comes in much less.
const PATIENCE: Patience = Patience::from_secs(20);
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1";
const PUSHED: &[(&str, &str)] =
    &[("source.init.position", "TRIM_HORIZON"), ("source.reader.type", "EFO"), ("source.efo.consumer.name", "c")];

/// A server that has the consumer, and answers subscriptions as written.
async fn server_of(subscriptions: Vec<Act>) -> Server {
    let server = server(1).await;
    server.script.then("DescribeStreamConsumer", Act::Reply(described("ACTIVE")));
    for act in subscriptions {
        server.script.then("SubscribeToShard", act);
    }
    server
}

fn described(status: &str) -> Value {
    json!({ "ConsumerDescription": {
        "ConsumerName": "c", "ConsumerARN": ARN, "ConsumerStatus": status, "ConsumerCreationTimestamp": 1.0,
        "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
    } })
}

/// Records `{"n":…}` whose sequence numbers are their numbers.
fn event(numbers: std::ops::Range<u32>, continuation: u32, behind: i64) -> Pushed {
    let record = |n: u32| {
        let data = base64::engine::general_purpose::STANDARD.encode(format!("{{\"n\":{n}}}"));
        json!({ "SequenceNumber": n.to_string(), "ApproximateArrivalTimestamp": 1_767_225_600, "Data": data, "PartitionKey": "k" })
    };
    let records: Vec<_> = numbers.map(record).collect();
    let continuation = continuation.to_string();
    Pushed::Event(
        json!({ "Records": records, "ContinuationSequenceNumber": continuation, "MillisBehindLatest": behind }),
    )
}

fn end(children: &[&str]) -> Pushed {
    let child = |id: &&str| json!({ "ShardId": id, "ParentShards": ["shardId-000000000000"], "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "9" } });
    let children: Vec<_> = children.iter().map(child).collect();
    Pushed::Event(json!({ "Records": [], "MillisBehindLatest": 0, "ChildShards": children }))
}

async fn try_read(server: &Server, more: &[(&str, &str)], count: usize) -> Result<Vec<SourceEvent>, SourceError> {
    let registry = registry(Arc::new(FastClock::start()), &server.endpoint);
    let source = registry.source(&table(&[PUSHED, more].concat())).unwrap();
    let enough = move |events: &[SourceEvent]| records(events) >= count;
    tokio::time::timeout(PATIENCE, collect_until(source, Offsets::default(), enough)).await.expect("it comes to an end")
}

/// The numbers that were read, which must be those up to `count`, each once and in order.
async fn assert_read(server: &Server, count: usize) -> Vec<SourceEvent> {
    let events = try_read(server, &[], count).await.unwrap();
    let expected: Vec<_> = (1..=count).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(payloads(&events).into_values().flatten().collect::<Vec<_>>(), expected);
    events
}

/// Where subscriptions began.
fn positions(server: &Server) -> Vec<String> {
    let position = |asked: &Value| {
        let position = &asked["StartingPosition"];
        let word = |key: &str| position[key].as_str().unwrap_or_default();
        format!("{} {}", word("Type"), word("SequenceNumber")).trim().to_owned()
    };
    server.script.asked("SubscribeToShard").iter().map(position).collect()
}

#[tokio::test]
async fn a_subscription_that_ends_is_renewed_where_it_was() {
    let server = server_of(vec![
        Act::Push(vec![event(1..4, 5, 0), event(0..0, 9, 0)]),
        Act::Push(vec![event(10..10, 9, 0)]),
        Act::Push(vec![event(4..6, 9, 0), Pushed::Silence]),
    ])
    .await;
    let events = assert_read(&server, 5).await;
    assert_eq!(story(&events), ["+0", "0:3", "0:2"]);
    assert_eq!(positions(&server), ["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER 9", "AFTER_SEQUENCE_NUMBER 9"]);
    assert_eq!(server.script.asked("SubscribeToShard")[0]["ConsumerARN"], ARN);
}

#[tokio::test]
async fn what_breaks_a_subscription_is_tried_again_where_it_was() {
    let server = server_of(vec![
        Act::Refuse(400, "LimitExceededException"),
        Act::Refuse(400, "ResourceInUseException"),
        Act::Push(vec![event(1..2, 1, 0), Pushed::Exception("InternalFailureException")]),
        Act::Refuse(503, ""),
        Act::Push(vec![event(2..3, 2, 0), Pushed::Exception("ResourceInUseException")]),
        // Nothing for 30 s.
        Act::Push(vec![event(3..4, 3, 0), Pushed::Silence]),
        Act::Push(vec![event(4..5, 4, 0), Pushed::Silence]),
    ])
    .await;
    assert_read(&server, 4).await;
    assert!(server.script.is_played());
    let expected = ["TRIM_HORIZON"; 3].into_iter().map(ToOwned::to_owned);
    let expected = expected.chain([1, 1, 2, 3].map(|n| format!("AFTER_SEQUENCE_NUMBER {n}")));
    assert_eq!(positions(&server), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_person_has_to_mend_is_told() {
    for act in [
        Act::Refuse(400, "AccessDeniedException"),
        Act::Refuse(400, "InvalidArgumentException"),
        Act::Push(vec![Pushed::Exception("KMSDisabledException")]),
    ] {
        let server = server_of(vec![act]).await;
        let error = try_read(&server, &[], 1).await.unwrap_err();
        assert!(matches!(error, SourceError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("said so"), "{error}");
    }
}

#[tokio::test]
async fn the_end_of_a_shard_tells_its_children_and_they_begin_at_their_beginning() {
    let children = ["shardId-000000000001", "shardId-000000000002"];
    let server = server_of(vec![
        Act::Push(vec![event(1..3, 2, 0), end(&children)]),
        Act::Push(vec![event(3..4, 3, 0), Pushed::Silence]),
        Act::Push(vec![Pushed::Silence]),
    ])
    .await;
    let events = assert_read(&server, 3).await;
    let mut told = story(&events);
    told.retain(|event| !event.contains(':'));
    assert_eq!(told, ["+0", "+1", "+2", "-0"]);
    assert_eq!(positions(&server), ["TRIM_HORIZON"; 3]);
}

#[tokio::test]
async fn a_server_without_fan_out_is_polled() {
    let refused = |operation, status, name, times: usize| (operation, status, name, times);
    for (operation, status, name, times) in [
        refused("DescribeStreamConsumer", 400, "UnknownOperationException", 1),
        refused("DescribeStreamConsumer", 501, "", 1),
        refused("SubscribeToShard", 400, "UnknownOperationException", 1),
        refused("SubscribeToShard", 500, "", 3),
    ] {
        let server = server(1).await;
        for _ in 0..times {
            server.script.then(operation, Act::Refuse(status, name));
        }
        server.script.then("DescribeStreamConsumer", Act::Reply(described("ACTIVE")));
        put(&server.store, "s", 1..6).await;
        assert_read(&server, 5).await;
        assert!(!server.script.asked("GetRecords").is_empty(), "{operation}");
    }
}

#[tokio::test]
async fn a_consumer_is_registered_if_it_is_ours_and_waited_for() {
    let missing = || Act::Refuse(400, "ResourceNotFoundException");
    let push = || Act::Push(vec![event(1..2, 1, 0), Pushed::Silence]);
    let server = server(1).await;
    let made = json!({ "Consumer": { "ConsumerName": "c", "ConsumerARN": ARN, "ConsumerStatus": "CREATING", "ConsumerCreationTimestamp": 1.0 } });
    server.script.then("DescribeStreamConsumer", missing()).then("RegisterStreamConsumer", Act::Reply(made));
    for status in ["CREATING", "ACTIVE"] {
        server.script.then("DescribeStreamConsumer", Act::Reply(described(status)));
    }
    server.script.then("SubscribeToShard", push());
    assert_read(&server, 1).await;
    assert_eq!(server.script.asked("RegisterStreamConsumer")[0]["ConsumerName"], "c");

    server.script.then("DescribeStreamConsumer", missing());
    let error = try_read(&server, &[("source.efo.lifecycle", "SELF_MANAGED")], 1).await.unwrap_err().to_string();
    assert!(error.contains("there is no consumer `c`: register it"), "{error}");

    // It is deregistered while it is read.
    let server = server_of(vec![missing(), push()]).await;
    server.script.then("DescribeStreamConsumer", Act::Reply(described("ACTIVE")));
    assert_read(&server, 1).await;
    assert!(server.script.is_played());
}

#[tokio::test]
async fn the_tip_is_told_of_what_was_waited_for_and_the_lag_of_what_lies_behind() {
    let server = server_of(vec![Act::Push(vec![event(1..2, 1, 5000), event(2..3, 2, 0), Pushed::Silence])]).await;
    let events = assert_read(&server, 2).await;
    let behind = |event: &SourceEvent| matches!(event, SourceEvent::Behind { lag_ms: 5000, .. });
    assert_eq!(events.iter().filter(|event| behind(event)).count(), 1);
}

/// Takes the first chunk only after a while.
struct Slow(FastClock, std::sync::Mutex<Vec<SourceEvent>>);

impl SourceOutput for Slow {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            let is_first = matches!(event, SourceEvent::Chunk(_)) && records(&self.1.lock().unwrap()) == 0;
            if is_first {
                self.0.sleep(Duration(40_000)).await;
            }
            let mut events = self.1.lock().unwrap();
            events.push(event);
            if records(&events) >= 3 { Err(Stopped) } else { Ok(()) }
        })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn a_shard_that_the_engine_holds_back_gives_up_its_subscription_and_loses_nothing() {
    let server = server_of(vec![
        // The second event is never taken from this one.
        Act::Push(vec![event(1..2, 1, 0), event(7..9, 9, 0), Pushed::Silence]),
        Act::Push(vec![event(2..4, 3, 0), Pushed::Silence]),
    ])
    .await;
    let clock = FastClock::start();
    let source = registry(Arc::new(clock.clone()), &server.endpoint).source(&table(PUSHED)).unwrap();
    let slow = Slow(clock, std::sync::Mutex::default());
    tokio::time::timeout(PATIENCE, source.run(Resume::default(), &slow)).await.expect("it goes on").unwrap();
    let events = slow.1.into_inner().unwrap();
    assert_eq!(payloads(&events)["shardId-000000000000"], ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    assert_eq!(positions(&server), ["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER 1"]);
}
