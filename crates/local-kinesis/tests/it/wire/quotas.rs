//! AWS's rates, where they are switched on.

use millstream_local_kinesis::ApiSettings;
use serde_json::{Value, json};

use super::{Api, MIDDLE};
use crate::fixture::MIB;

const SHARD: &str = "shardId-000000000000";

async fn limited() -> Api {
    let api = Api::with_settings(1, ApiSettings { enforce_limits: true, ..ApiSettings::default() }).await;
    // The stream is there by then.
    api.fixture.advance_ms(1000);
    api
}

fn records(count: usize, bytes: usize) -> Value {
    // Base64 of three bytes are four letters.
    let record = json!({"Data": "AAAA".repeat(bytes / 3), "PartitionKey": "k"});
    json!({"StreamName": "s", "Records": vec![record; count]})
}

#[tokio::test]
async fn a_shard_takes_a_thousand_records_a_second_and_refuses_each_further_one() {
    let api = limited().await;
    assert_eq!(api.call("PutRecords", records(500, 3)).await["FailedRecordCount"], 0);
    assert_eq!(api.call("PutRecords", records(400, 3)).await["FailedRecordCount"], 0);
    let reply = api.call("PutRecords", records(200, 3)).await;
    assert_eq!(reply["FailedRecordCount"], 100);
    let outcomes = reply["Records"].as_array().unwrap();
    assert!(outcomes[..100].iter().all(|outcome| outcome["SequenceNumber"].is_string()));
    assert!(outcomes[100..].iter().all(|outcome| outcome["ErrorCode"] == "ProvisionedThroughputExceededException"));
    let message = "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.";
    assert_eq!(outcomes[100]["ErrorMessage"], message);
    let one = json!({"StreamName": "s", "Data": "AAAA", "PartitionKey": "k"});
    assert_eq!(api.refused("PutRecord", one.clone()).await, "ProvisionedThroughputExceededException");
    api.fixture.advance_ms(1000);
    api.call("PutRecord", one).await;
    assert_eq!(api.fixture.read(0, millstream_local_kinesis::Position::TrimHorizon).len(), 1001);
}

#[tokio::test]
async fn a_shard_takes_a_megabyte_a_second() {
    let api = limited().await;
    let reply = api.call("PutRecords", records(20, MIB / 10)).await;
    assert_eq!(reply["FailedRecordCount"], 10);
    api.fixture.advance_ms(1000);
    assert_eq!(api.call("PutRecords", records(10, MIB / 10)).await["FailedRecordCount"], 0);
}

#[tokio::test]
async fn a_shard_is_read_five_times_a_second_and_rests_after_much() {
    let api = limited().await;
    let iterator = api.iterator(json!({"ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"})).await;
    for _ in 0..5 {
        api.call("GetRecords", iterator.clone()).await;
    }
    assert_eq!(api.refused("GetRecords", iterator.clone()).await, "ProvisionedThroughputExceededException");
    api.fixture.advance_ms(1000);
    let text = "x".repeat(MIB - 10);
    for _ in 0..12 {
        api.fixture.store.put("s", vec![crate::fixture::record("k", &text)]).await.unwrap();
    }
    let page = api.call("GetRecords", iterator.clone()).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 10);
    let next = json!({"ShardIterator": page["NextShardIterator"]});
    api.fixture.advance_ms(4900);
    assert_eq!(api.refused("GetRecords", next.clone()).await, "ProvisionedThroughputExceededException");
    api.fixture.advance_ms(100);
    assert_eq!(api.call("GetRecords", next).await["Records"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn iterators_and_operations_have_rates() {
    let api = limited().await;
    let iterator = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "LATEST"});
    for _ in 0..5 {
        api.call("GetShardIterator", iterator.clone()).await;
    }
    assert_eq!(api.refused("GetShardIterator", iterator).await, "ProvisionedThroughputExceededException");
    for (operation, request, per_second) in [
        ("DescribeLimits", json!({}), 1),
        ("ListStreams", json!({}), 5),
        ("DescribeStream", json!({"StreamName": "s"}), 10),
        ("DescribeStreamSummary", json!({"StreamName": "s"}), 20),
        ("ListStreamConsumers", json!({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}), 5),
    ] {
        for _ in 0..per_second {
            api.call(operation, request.clone()).await;
        }
        assert_eq!(api.refused(operation, request).await, "LimitExceededException", "{operation}");
    }
}

#[tokio::test]
async fn streams_are_busy_while_they_change() {
    let api = limited().await;
    api.call("CreateStream", json!({"StreamName": "t", "ShardCount": 1})).await;
    let status = async |stream: &str| {
        let described = api.call("DescribeStreamSummary", json!({"StreamName": stream})).await;
        described["StreamDescriptionSummary"]["StreamStatus"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("t").await, "CREATING");
    let put = json!({"StreamName": "t", "Data": "AAAA", "PartitionKey": "k"});
    assert_eq!(api.refused("PutRecord", put.clone()).await, "ResourceNotFoundException");
    let split = json!({"StreamName": "t", "ShardToSplit": SHARD, "NewStartingHashKey": MIDDLE});
    assert_eq!(api.refused("SplitShard", split.clone()).await, "ResourceInUseException");
    api.fixture.advance_ms(500);
    assert_eq!(status("t").await, "ACTIVE");
    api.call("SplitShard", split).await;
    assert_eq!((status("t").await, status("s").await), ("UPDATING".to_owned(), "ACTIVE".to_owned()));
    api.call("PutRecord", put).await;
    let hours = json!({"StreamName": "t", "RetentionPeriodHours": 48});
    assert_eq!(api.refused("IncreaseStreamRetentionPeriod", hours.clone()).await, "ResourceInUseException");
    api.fixture.advance_ms(500);
    api.call("IncreaseStreamRetentionPeriod", hours).await;
}

#[tokio::test]
async fn the_mode_changes_twice_a_day() {
    let api = limited().await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let mode = |mode: &str| json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": mode}});
    for name in ["ON_DEMAND", "PROVISIONED"] {
        api.call("UpdateStreamMode", mode(name)).await;
        api.fixture.advance_ms(1000);
    }
    assert_eq!(api.refused("UpdateStreamMode", mode("ON_DEMAND")).await, "LimitExceededException");
    api.fixture.advance_ms(24 * crate::fixture::HOUR_MS);
    api.call("UpdateStreamMode", mode("ON_DEMAND")).await;
}

#[tokio::test]
async fn nothing_is_limited_unless_it_is_switched_on() {
    let api = Api::with_stream(1).await;
    for _ in 0..4 {
        assert_eq!(api.call("PutRecords", records(500, 3)).await["FailedRecordCount"], 0);
    }
    let iterator = api.iterator(json!({"ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"})).await;
    for _ in 0..20 {
        api.call("GetRecords", iterator.clone()).await;
    }
}
