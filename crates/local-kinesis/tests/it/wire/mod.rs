//! The Kinesis API: each operation's good and bad ways, as data.

mod cbor;
mod configure;
mod fan_out;
mod operations;
mod quotas;
mod refused;
mod signatures;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use millstream_local_kinesis::{ApiSettings, NewStream, router_with};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{Fixture, HOUR_MS, MIB, START_MS};

const JSON: &str = "application/x-amz-json-1.1";
const MIDDLE: &str = "170141183460469231731687303715884105728";

struct Api {
    fixture: Fixture,
    router: Router,
}

impl Api {
    async fn with_stream(shards: u32) -> Self {
        Self::with_settings(shards, ApiSettings::default()).await
    }

    async fn with_settings(shards: u32, settings: ApiSettings) -> Self {
        let fixture = Fixture::with_stream(shards).await;
        Self { router: router_with(fixture.store.clone(), settings), fixture }
    }

    async fn send(&self, target: &str, content_type: &str, body: String) -> (StatusCode, Value) {
        let request = Request::post("/").header("x-amz-target", target).header("content-type", content_type);
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        assert_eq!(response.headers()["content-type"], JSON);
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
        let body = to_bytes(response.into_body(), 32 * MIB).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn call(&self, operation: &str, body: Value) -> Value {
        let (status, reply) = self.send(&format!("Kinesis_20131202.{operation}"), JSON, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{operation} {body}: {reply}");
        reply
    }

    /// The name of the error.
    async fn refused(&self, operation: &str, body: Value) -> String {
        let (status, reply) = self.send(&format!("Kinesis_20131202.{operation}"), JSON, body.to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{operation} {body}: {reply}");
        assert!(!reply["message"].as_str().unwrap().is_empty());
        reply["__type"].as_str().unwrap().to_owned()
    }

    async fn iterator(&self, mut how: Value) -> Value {
        how["StreamName"] = json!("s");
        json!({"ShardIterator": self.call("GetShardIterator", how).await["ShardIterator"]})
    }

    /// The payloads from there on.
    async fn data(&self, how: Value) -> Vec<String> {
        let reply = self.call("GetRecords", self.iterator(how).await).await;
        reply["Records"].as_array().unwrap().iter().map(|record| record["Data"].as_str().unwrap().to_owned()).collect()
    }
}

fn names(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_is_described_as_it_was_created() {
    let api = Api::with_stream(2).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    for stream in [json!({"StreamName": "s"}), json!({"StreamARN": arn})] {
        let description = &api.call("DescribeStream", stream.clone()).await["StreamDescription"];
        assert_eq!(description["StreamARN"], arn);
        assert_eq!((&description["StreamStatus"], &description["HasMoreShards"]), (&json!("ACTIVE"), &json!(false)));
        assert_eq!(description["StreamCreationTimestamp"].to_string(), "1767225600.0");
        let shard = &description["Shards"][1];
        assert_eq!(shard["HashKeyRange"]["StartingHashKey"], MIDDLE);
        assert_eq!(shard["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap().len(), 56);
        assert_eq!(shard["SequenceNumberRange"].get("EndingSequenceNumber"), None);
        let summary = &api.call("DescribeStreamSummary", stream).await["StreamDescriptionSummary"];
        assert_eq!((&summary["OpenShardCount"], &summary["RetentionPeriodHours"]), (&json!(2), &json!(24)));
    }
    let paged = api.call("DescribeStream", json!({"StreamName": "s", "Limit": 1})).await;
    assert_eq!(paged["StreamDescription"]["HasMoreShards"], true);
    let rest = json!({"StreamName": "s", "ExclusiveStartShardId": "shardId-000000000000"});
    let rest = api.call("DescribeStream", rest).await;
    assert_eq!(names(&rest["StreamDescription"]["Shards"], "ShardId"), ["shardId-000000000001"]);

    let details = json!({"StreamMode": "ON_DEMAND"});
    let demand =
        json!({"StreamName": "d", "StreamModeDetails": details, "Tags": {"a": "b"}, "MaxRecordSizeInKiB": 10_240});
    api.call("CreateStream", demand).await;
    let summary = api.call("DescribeStreamSummary", json!({"StreamName": "d"})).await;
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!((&summary["OpenShardCount"], &summary["MaxRecordSizeInKiB"]), (&json!(4), &json!(10_240)));
    assert_eq!(summary["StreamModeDetails"], details);
    api.call("DeleteStream", json!({"StreamName": "d"})).await;
    assert_eq!(api.refused("DescribeStream", json!({"StreamName": "d"})).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn listings_page_through_everything_once() {
    let api = Api::with_stream(5).await;
    for name in ["a", "b", "t"] {
        api.fixture.store.create_stream(NewStream::new(name, 1)).await.unwrap();
    }
    let first = api.call("ListStreams", json!({"Limit": 3})).await;
    assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b", "s"]), &json!(true)));
    for rest in [json!({"NextToken": first["NextToken"]}), json!({"ExclusiveStartStreamName": "s"})] {
        let rest = api.call("ListStreams", rest).await;
        assert_eq!((&rest["StreamNames"], &rest["HasMoreStreams"]), (&json!(["t"]), &json!(false)));
    }

    let (mut request, mut seen) = (json!({"StreamName": "s", "MaxResults": 2}), Vec::new());
    loop {
        let reply = api.call("ListShards", request).await;
        seen.extend(names(&reply["Shards"], "ShardId"));
        let Some(token) = reply.get("NextToken") else { break };
        request = json!({"NextToken": token, "MaxResults": 2});
    }
    assert_eq!(seen, (0..5).map(|number| format!("shardId-{number:012}")).collect::<Vec<_>>());
    let token = api.call("ListShards", json!({"StreamName": "s", "MaxResults": 2})).await["NextToken"].clone();
    api.fixture.advance_ms(300_001);
    assert_eq!(api.refused("ListShards", json!({"NextToken": token})).await, "ExpiredNextTokenException");
}

#[tokio::test]
async fn shard_filters_choose_by_time() {
    let api = Api::with_stream(1).await;
    api.fixture.advance_ms(HOUR_MS);
    let split = json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": MIDDLE});
    api.call("SplitShard", split).await;
    api.fixture.advance_ms(HOUR_MS);
    let pair = ["shardId-000000000001", "shardId-000000000002"];
    let merge = json!({"StreamName": "s", "ShardToMerge": pair[0], "AdjacentShardToMerge": pair[1]});
    api.call("MergeShards", merge).await;
    let at = |hours: i64| (START_MS + hours * HOUR_MS) / 1000;
    let cases = [
        (json!({"Type": "AT_TRIM_HORIZON"}), vec![0]),
        (json!({"Type": "FROM_TRIM_HORIZON"}), vec![0, 1, 2, 3]),
        (json!({"Type": "AT_LATEST"}), vec![3]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(0)}), vec![0]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(1)}), vec![1, 2]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(2)}), vec![3]),
        (json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(1)}), vec![0, 1, 2, 3]),
        (json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}), vec![2, 3]),
    ];
    for (filter, expected) in cases {
        let reply = api.call("ListShards", json!({"StreamName": "s", "ShardFilter": filter})).await;
        let expected: Vec<_> = expected.iter().map(|number| format!("shardId-{number:012}")).collect();
        assert_eq!(names(&reply["Shards"], "ShardId"), expected, "{filter}");
    }
    let shards = api.call("ListShards", json!({"StreamName": "s"})).await["Shards"].clone();
    assert_eq!((&shards[3]["ParentShardId"], &shards[3]["AdjacentParentShardId"]), (&json!(pair[0]), &json!(pair[1])));
    assert!(shards[0]["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
}

#[tokio::test]
async fn each_iterator_type_starts_where_it_says() {
    let api = Api::with_stream(1).await;
    let mut numbers = Vec::new();
    for data in ["AAAA", "BBBB", "CCCC"] {
        let put = api.call("PutRecord", json!({"StreamName": "s", "Data": data, "PartitionKey": "k"})).await;
        numbers.push(put["SequenceNumber"].clone());
        api.fixture.advance_ms(1500);
    }
    let seconds = |after_ms: i64| json!(format!("{}.5", (START_MS + after_ms) / 1000).parse::<f64>().unwrap());
    let cases = [
        (json!({"ShardIteratorType": "TRIM_HORIZON"}), vec!["AAAA", "BBBB", "CCCC"]),
        (json!({"ShardIteratorType": "LATEST"}), vec![]),
        (
            json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": numbers[1]}),
            vec!["BBBB", "CCCC"],
        ),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": numbers[1]}), vec!["CCCC"]),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds(1000)}), vec!["BBBB", "CCCC"]),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds(2000)}), vec!["CCCC"]),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 0}), vec!["AAAA", "BBBB", "CCCC"]),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds(HOUR_MS)}), vec![]),
    ];
    for (mut how, expected) in cases {
        how["ShardId"] = json!("shardId-000000000000");
        assert_eq!(api.data(how.clone()).await, expected, "{how}");
    }
    // LATEST is the moment of the call, not that of the first use.
    let latest = json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"});
    let latest = api.iterator(latest).await;
    api.call("PutRecord", json!({"StreamName": "s", "Data": "DDDD", "PartitionKey": "k"})).await;
    let reply = api.call("GetRecords", latest.clone()).await;
    assert_eq!(names(&reply["Records"], "Data"), ["DDDD"]);

    api.fixture.advance_ms(5 * 60 * 1000);
    api.call("GetRecords", latest.clone()).await;
    api.fixture.advance_ms(1);
    assert_eq!(api.refused("GetRecords", latest).await, "ExpiredIteratorException");
}

#[tokio::test]
async fn an_iterator_does_not_outlive_its_stream() {
    let api = Api::with_stream(1).await;
    let iterator = api.iterator(json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"})).await;
    api.call("DeleteStream", json!({"StreamName": "s"})).await;
    api.call("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
    assert_eq!(api.refused("GetRecords", iterator).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn records_are_read_in_pages_to_the_end_of_the_shard() {
    let api = Api::with_stream(1).await;
    let records: Vec<_> = (0..500).map(|n| json!({"Data": "YQ==", "PartitionKey": format!("{n}")})).collect();
    let put = api.call("PutRecords", json!({"StreamName": "s", "Records": records})).await;
    assert_eq!((&put["FailedRecordCount"], put["Records"].as_array().unwrap().len()), (&json!(0), 500));
    api.fixture.advance_ms(2000);
    api.call(
        "SplitShard",
        json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": MIDDLE}),
    )
    .await;

    let start = json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    let (mut iterator, mut keys) = (api.iterator(start).await["ShardIterator"].clone(), Vec::new());
    loop {
        let reply = api.call("GetRecords", json!({"ShardIterator": iterator, "Limit": 200})).await;
        keys.extend(names(&reply["Records"], "PartitionKey"));
        assert!(reply["Records"].as_array().unwrap().len() <= 200);
        assert_eq!(reply["Records"][0]["ApproximateArrivalTimestamp"].to_string(), "1767225600.0");
        iterator = reply["NextShardIterator"].clone();
        assert_eq!(reply["MillisBehindLatest"], if keys.len() < 500 { 2000 } else { 0 });
        if iterator.is_null() {
            assert_eq!(names(&reply["ChildShards"], "ShardId"), ["shardId-000000000001", "shardId-000000000002"]);
            assert_eq!(reply["ChildShards"][0]["ParentShards"], json!(["shardId-000000000000"]));
            break;
        }
        assert_eq!(reply.get("ChildShards"), None);
        assert!(iterator.as_str().unwrap().len() <= 512);
    }
    assert_eq!(keys, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_reply_has_at_most_10_mib() {
    let api = Api::with_stream(1).await;
    let record = json!({"Data": "A".repeat(MIB / 4 * 4), "PartitionKey": "k"});
    for _ in 0..2 {
        api.call("PutRecords", json!({"StreamName": "s", "Records": vec![record.clone(); 10]})).await;
    }
    let too_much = json!({"StreamName": "s", "Records": vec![record.clone(); 14]});
    assert_eq!(api.refused("PutRecords", too_much).await, "InvalidArgumentException");
    let start = json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    assert_eq!(api.data(start).await.len(), 13);
}

#[tokio::test]
async fn tags_and_retention_are_kept() {
    let api = Api::with_stream(1).await;
    api.call("AddTagsToStream", json!({"StreamName": "s", "Tags": {"a": "1", "b": "2", "c": "3"}})).await;
    api.call("AddTagsToStream", json!({"StreamName": "s", "Tags": {"b": "22"}})).await;
    api.call("RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["a", "x"]})).await;
    let listed = api.call("ListTagsForStream", json!({"StreamName": "s", "Limit": 1})).await;
    assert_eq!(listed, json!({"Tags": [{"Key": "b", "Value": "22"}], "HasMoreTags": true}));
    let rest = api.call("ListTagsForStream", json!({"StreamName": "s", "ExclusiveStartTagKey": "b"})).await;
    assert_eq!(rest, json!({"Tags": [{"Key": "c", "Value": "3"}], "HasMoreTags": false}));
    let many: serde_json::Map<_, _> = (0..49).map(|n| (n.to_string(), json!(""))).collect();
    assert_eq!(
        api.refused("AddTagsToStream", json!({"StreamName": "s", "Tags": many})).await,
        "LimitExceededException"
    );

    for (operation, hours) in [("IncreaseStreamRetentionPeriod", 48), ("DecreaseStreamRetentionPeriod", 30)] {
        api.call(operation, json!({"StreamName": "s", "RetentionPeriodHours": hours})).await;
        let summary = api.call("DescribeStreamSummary", json!({"StreamName": "s"})).await;
        assert_eq!(summary["StreamDescriptionSummary"]["RetentionPeriodHours"], hours);
    }
}
