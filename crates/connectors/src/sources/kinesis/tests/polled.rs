//! What AWS does that the embedded stream does not: it refuses, forgets, tears, and reshards at the worst moment.

use std::time::Duration as Patience;

use super::scripted::Act;
use super::*;
use crate::kpl::Aggregator;

/// What is waited for comes in much less.
const PATIENCE: Patience = Patience::from_secs(20);
const LATEST: &[(&str, &str)] = &[];

async fn read(server: &Server, more: &[(&str, &str)], resume: impl Into<Resume>, count: usize) -> Vec<SourceEvent> {
    try_read(server, more, resume, count).await.unwrap()
}

/// Reads until there are so many records, and all shards have told how far they are.
async fn try_read(
    server: &Server,
    more: &[(&str, &str)],
    resume: impl Into<Resume>,
    count: usize,
) -> Result<Vec<SourceEvent>, millstream_core::SourceError> {
    let source = server.registry.source(&table(more)).unwrap();
    tokio::time::timeout(PATIENCE, collect_until(source, resume, at_least(count))).await.expect("it comes to an end")
}

/// Something that happens in a server before it answers.
fn acting<F>(
    server: &Server,
    act: impl FnOnce(Store, StepClock) -> F,
) -> Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>
where
    F: Future<Output = ()> + Send + 'static,
{
    let acting = act(server.store.clone(), server.clock.clone());
    Box::new(move || Box::pin(acting))
}

fn nothing(server: &Server) -> Act {
    Act::First(acting(server, async |_, _| ()))
}

fn kinds(server: &Server) -> Vec<String> {
    let kind = |asked: &serde_json::Value| asked["ShardIteratorType"].as_str().unwrap().to_owned();
    server.script.asked("GetShardIterator").iter().map(kind).collect()
}

const OPERATIONS: [&str; 3] = ["ListShards", "GetShardIterator", "GetRecords"];

#[tokio::test]
async fn what_passes_is_tried_again_until_it_works() {
    let server = server(1).await;
    put(&server.store, "s", 0..5).await;
    for operation in OPERATIONS {
        for (status, name) in [
            (400, "ProvisionedThroughputExceededException"),
            (400, "LimitExceededException"),
            (400, "KMSThrottlingException"),
            (400, "ThrottlingException"),
            (400, "ResourceInUseException"),
            (403, "ExpiredTokenException"),
            (500, "InternalFailureException"),
            (503, "ServiceUnavailable"),
            (503, ""),
            (500, ""),
        ] {
            let refuse = || Act::Refuse(status, name);
            server.script.then(operation, refuse()).then(operation, refuse()).then(operation, Act::Tear);
            let events = read(&server, FROM_START, Offsets::default(), 5).await;
            assert_eq!(payloads(&events)["shardId-000000000000"].len(), 5, "{operation} {name}");
            assert!(server.script.is_played(), "{operation} {name}");
        }
    }
}

#[tokio::test]
async fn what_a_person_has_to_mend_is_told() {
    let server = server(1).await;
    for operation in OPERATIONS {
        for name in [
            "InvalidArgumentException",
            "ValidationException",
            "AccessDeniedException",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "UnknownOperationException",
        ] {
            server.script.then(operation, Act::Refuse(400, name));
            let error = try_read(&server, FROM_START, Offsets::default(), 1).await.unwrap_err().to_string();
            assert!(error.starts_with("reading Kinesis stream `s` failed: "), "{error}");
            assert!(error.contains(name) && error.contains("said so"), "{operation}: {error}");
        }
    }
}

#[tokio::test]
async fn an_iterator_that_expires_is_opened_again_after_the_last_record() {
    let server = server(1).await;
    put(&server.store, "s", 0..5).await;
    let more = acting(&server, async |store, _| put(&store, "s", 5..10).await);
    let expire = Act::FirstRefuse(more, "ExpiredIteratorException");
    server.script.then("GetRecords", nothing(&server)).then("GetRecords", expire);
    let events = read(&server, FROM_START, Offsets::default(), 10).await;
    assert_eq!(records(&events), 10);
    assert_eq!(kinds(&server), ["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"]);
}

#[tokio::test]
async fn latest_is_not_a_later_one_when_its_iterator_expires_or_cannot_be_had() {
    for operation in ["GetRecords", "GetShardIterator"] {
        let server = server(1).await;
        put(&server.store, "s", 0..5).await;
        server.clock.sleep(Duration(5000)).await;
        let meanwhile = acting(&server, async |store, _| put(&store, "s", 5..8).await);
        let error = if operation == "GetRecords" { "ExpiredIteratorException" } else { "LimitExceededException" };
        server.script.then(operation, Act::FirstRefuse(meanwhile, error));
        let events = read(&server, LATEST, Offsets::default(), 3).await;
        assert_eq!(records(&events), 3, "{operation}");
        assert_eq!(kinds(&server), ["LATEST", "AT_TIMESTAMP"]);
    }
}

#[tokio::test]
async fn a_reshard_at_any_moment_of_a_start_from_latest_loses_nothing() {
    for operation in OPERATIONS {
        let server = server(1).await;
        put(&server.store, "s", 0..5).await;
        server.clock.sleep(Duration(5000)).await;
        // The child is split again while the parent is being read.
        let reshard = acting(&server, async |store, _| {
            store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
            put(&store, "s", 5..10).await;
            store.split_shard("s", StoredShard(1), HashKey(1 << 126)).await.unwrap();
            put(&store, "s", 10..20).await;
        });
        server.script.then(operation, Act::First(reshard));
        // What has come before the stream is listed is before the latest.
        let expected = if operation == "ListShards" { 0 } else { 15 };
        let events = read(&server, LATEST, Offsets::default(), expected).await;
        assert_eq!(records(&events), expected, "{operation}");
        let told = story(&events);
        let place = |what: &str| told.iter().position(|event| event == what);
        if expected > 0 {
            assert!(place("+1") > place("+0") && place("+3") > place("+1"), "parents first: {told:?}");
        }
    }
}

#[tokio::test]
async fn a_restart_from_latest_amid_reshards_loses_nothing() {
    let server = server(1).await;
    put(&server.store, "s", 0..5).await;
    server.clock.sleep(Duration(5000)).await;
    let since = Some(server.clock.now());
    let reshard = acting(&server, async |store, _| {
        put(&store, "s", 5..10).await;
        store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
        put(&store, "s", 10..20).await;
        store.split_shard("s", StoredShard(1), HashKey(1 << 126)).await.unwrap();
        store.merge_shards("s", StoredShard(3), StoredShard(4)).await.unwrap();
        put(&store, "s", 20..35).await;
    });
    server.script.then("GetRecords", nothing(&server)).then("GetRecords", Act::First(reshard));
    let events = read(&server, LATEST, Offsets::default(), 30).await;
    for cut in 0..events.len() {
        let before = &events[..cut];
        let resume = Resume { offsets: offsets(before), since, ..Resume::default() };
        let rest = read(&server, LATEST, resume, 30 - records(before)).await;
        let mut all: Vec<_> =
            [payloads(before), payloads(&rest)].into_iter().flat_map(|of| of.into_values().flatten()).collect();
        all.sort();
        all.dedup();
        assert_eq!((records(before) + records(&rest), all.len()), (30, 30), "cut {cut}");
    }
}

#[tokio::test]
async fn a_shard_that_closes_while_nobody_has_an_iterator_is_read_to_its_end() {
    let server = server(1).await;
    let close = acting(&server, async |store, _| {
        put(&store, "s", 0..5).await;
        store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
        put(&store, "s", 5..10).await;
    });
    server.script.then("GetRecords", Act::FirstRefuse(close, "ExpiredIteratorException"));
    let events = read(&server, LATEST, Offsets::default(), 10).await;
    assert_eq!(story(&events)[..2], ["+0", "0:5"]);
    assert_eq!(records(&events), 10);
}

#[tokio::test]
async fn servers_that_do_not_tell_the_children_list_them_page_by_page() {
    let server = server(1).await;
    server.script.hide_children();
    server.script.page_shards(1);
    put(&server.store, "s", 0..5).await;
    server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&server.store, "s", 5..15).await;
    server.store.merge_shards("s", StoredShard(1), StoredShard(2)).await.unwrap();
    put(&server.store, "s", 15..20).await;
    server
        .script
        .then("ListShards", nothing(&server))
        .then("ListShards", Act::Refuse(400, "ExpiredNextTokenException"));
    let events = read(&server, FROM_START, Offsets::default(), 20).await;
    assert_eq!(records(&events), 20);
    assert!(server.script.is_played() && server.script.asked("ListShards").len() > 4);
}

#[tokio::test]
async fn a_split_is_found_by_listing_though_the_listing_lags_behind() {
    let server = server(1).await;
    server.script.hide_children();
    let split = acting(&server, async |store, _| {
        store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
        put(&store, "s", 0..10).await;
    });
    let range = serde_json::json!({ "StartingHashKey": "0", "EndingHashKey": "9" });
    let shard = serde_json::json!({
        "ShardId": "shardId-000000000000", "HashKeyRange": range, "SequenceNumberRange": { "StartingSequenceNumber": "1" },
    });
    let behind = serde_json::json!({ "Shards": [shard] });
    server.script.then("GetRecords", Act::First(split));
    server.script.then("ListShards", nothing(&server)).then("ListShards", Act::Reply(behind));
    assert_eq!(records(&read(&server, LATEST, Offsets::default(), 10).await), 10);
    assert!(server.script.is_played());
}

#[tokio::test]
async fn listings_are_filtered_where_the_server_can() {
    let server = server(1).await;
    put(&server.store, "s", 0..5).await;
    server.clock.sleep(Duration(1000)).await;
    server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    for (more, refused, filter) in [
        (LATEST, false, Some("AT_LATEST")),
        (LATEST, true, Some("AT_LATEST")),
        (
            &[("source.init.position", "AT_TIMESTAMP"), ("source.init.timestamp", "1767225600")],
            false,
            Some("FROM_TIMESTAMP"),
        ),
        (FROM_START, false, None),
    ] {
        let asked = server.script.asked("ListShards").len();
        if refused {
            server.script.then("ListShards", Act::Refuse(400, "InvalidArgumentException"));
        }
        let expected = if more == LATEST { 0 } else { 5 };
        let events = read(&server, more, Offsets::default(), expected).await;
        assert_eq!(records(&events), expected);
        let lists = server.script.asked("ListShards")[asked..].to_vec();
        assert_eq!(lists[0]["ShardFilter"]["Type"].as_str(), filter);
        assert_eq!(lists.len(), 1 + usize::from(refused), "again without it");
    }
}

#[tokio::test]
async fn shards_that_expire_before_they_were_read_are_passed_over() {
    let server = server(1).await;
    put(&server.store, "s", 0..5).await;
    let expire = acting(&server, async |store, clock| {
        store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
        store.merge_shards("s", StoredShard(1), StoredShard(2)).await.unwrap();
        clock.sleep(Duration(25 * 3_600_000)).await;
        store.trim().await.unwrap();
        put(&store, "s", 5..10).await;
    });
    let expire = Act::FirstRefuse(expire, "ExpiredIteratorException");
    server.script.then("GetRecords", nothing(&server)).then("GetRecords", expire);
    let events = read(&server, FROM_START, Offsets::default(), 10).await;
    assert_eq!(story(&events), ["+0", "0:5", "+3", "-0", "3:5"]);
}

#[tokio::test]
async fn a_reading_goes_on_within_an_aggregate() {
    let server = server(1).await;
    let aggregate = |numbers: std::ops::Range<u32>| {
        let mut aggregator = Aggregator::default();
        numbers.for_each(|n| aggregator.push(&format!("k{n}"), format!("{{\"n\":{n}}}").into(), &[]));
        let aggregate = aggregator.take().unwrap();
        let (partition_key, data) = (aggregate.partition_key, aggregate.data.into());
        millstream_local_kinesis::PutRecord { partition_key, explicit_hash_key: None, data }
    };
    server.store.put("s", vec![aggregate(0..4)]).await.unwrap();
    put(&server.store, "s", 4..5).await;
    server.store.put("s", vec![aggregate(5..8)]).await.unwrap();
    let events = read(&server, FROM_START, Offsets::default(), 8).await;
    let shard = ShardId::from("shardId-000000000000");
    let SourceEvent::Chunk(chunk) = &events[1] else { panic!("{:?}", events[1]) };
    assert_eq!(chunk.len(), 8);
    for had in 0..8 {
        let position = chunk.position(had).unwrap().unwrap();
        let rest = read(&server, FROM_START, Offsets::from_iter([(shard.clone(), position)]), 7 - had).await;
        let expected: Vec<_> = (had + 1..8).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(payloads(&rest).remove(shard.as_str()).unwrap_or_default(), expected, "after {had}");
    }
}

#[tokio::test]
async fn a_record_of_ten_mebibytes_is_read() {
    let server = server(1).await;
    let stream = NewStream { record_bytes_max: 10 << 20, ..NewStream::new("large", 1) };
    server.store.create_stream(stream).await.unwrap();
    let data = format!("\"{}\"", "x".repeat((10 << 20) - 10)).into_bytes();
    let record = |n: u32| millstream_local_kinesis::PutRecord {
        partition_key: format!("k{n}"),
        explicit_hash_key: None,
        data: data.clone().into(),
    };
    for n in 0..2 {
        server.store.put("large", vec![record(n)]).await.unwrap();
    }
    let events =
        read(&server, &[("stream", "large"), ("source.init.position", "TRIM_HORIZON")], Offsets::default(), 2).await;
    let lengths: Vec<_> = payloads(&events)["shardId-000000000000"].iter().map(String::len).collect();
    assert_eq!(lengths, [data.len(); 2]);
}
