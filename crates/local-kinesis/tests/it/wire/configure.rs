//! What can be set of streams, consumers and the account; that it is told, and there after a restart.

use axum::Router;
use serde_json::{Value, json};

use super::{Api, names};
use crate::fixture::{HOUR_MS, START_MS};
use millstream_local_kinesis::router;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

impl Api {
    async fn summary(&self) -> Value {
        self.call("DescribeStreamSummary", json!({"StreamARN": ARN})).await["StreamDescriptionSummary"].clone()
    }

    fn reopened(self) -> Self {
        let Self { fixture, router } = self;
        // It holds the store.
        drop::<Router>(router);
        let fixture = fixture.reopened();
        Self { router: router_of(&fixture.store), fixture }
    }
}

fn router_of(store: &millstream_local_kinesis::Store) -> Router {
    router(store.clone())
}

#[tokio::test]
async fn what_is_set_of_a_stream_is_told_and_kept() {
    let api = Api::with_stream(1).await;
    api.call("StartStreamEncryption", json!({"StreamARN": ARN, "EncryptionType": "KMS", "KeyId": "alias/k"})).await;
    let metrics = json!({"StreamName": "s", "ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]});
    let enabled = api.call("EnableEnhancedMonitoring", metrics).await;
    assert_eq!(enabled["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(enabled["DesiredShardLevelMetrics"], json!(["IncomingBytes", "OutgoingBytes"]));
    let metrics = json!({"StreamARN": ARN, "ShardLevelMetrics": ["OutgoingBytes"]});
    let disabled = api.call("DisableEnhancedMonitoring", metrics).await;
    assert_eq!(disabled["DesiredShardLevelMetrics"], json!(["IncomingBytes"]));
    assert_eq!((&disabled["StreamName"], &disabled["StreamARN"]), (&json!("s"), &json!(ARN)));
    api.call("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2048})).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    api.call("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": policy})).await;
    api.call("TagResource", json!({"ResourceARN": ARN, "Tags": {"a": "1", "b": "2"}})).await;
    api.call("UntagResource", json!({"ResourceARN": ARN, "TagKeys": ["a"]})).await;

    let api = api.reopened();
    let summary = api.summary().await;
    assert_eq!((&summary["EncryptionType"], &summary["KeyId"]), (&json!("KMS"), &json!("alias/k")));
    assert_eq!(summary["EnhancedMonitoring"], json!([{"ShardLevelMetrics": ["IncomingBytes"]}]));
    assert_eq!((&summary["MaxRecordSizeInKiB"], &summary["ConsumerCount"]), (&json!(2048), &json!(0)));
    assert_eq!(api.call("GetResourcePolicy", json!({"ResourceARN": ARN})).await, json!({"Policy": policy}));
    let tags = json!({"Tags": [{"Key": "b", "Value": "2"}]});
    assert_eq!(api.call("ListTagsForResource", json!({"ResourceARN": ARN})).await, tags);
    let put = api.call("PutRecord", json!({"StreamARN": ARN, "Data": "YQ==", "PartitionKey": "k"})).await;
    assert_eq!(put["EncryptionType"], "KMS");

    api.call("StopStreamEncryption", json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/k"})).await;
    api.call("DeleteResourcePolicy", json!({"ResourceARN": ARN})).await;
    let summary = api.summary().await;
    assert_eq!((&summary["EncryptionType"], summary.get("KeyId")), (&json!("NONE"), None));
    assert_eq!(api.call("GetResourcePolicy", json!({"ResourceARN": ARN})).await, json!({"Policy": ""}));
    assert_eq!(api.refused("DeleteResourcePolicy", json!({"ResourceARN": ARN})).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_larger_record_is_taken_once_the_stream_allows_it() {
    let api = Api::with_stream(1).await;
    let record = json!({"StreamName": "s", "Data": "A".repeat(2 * 1024 * 1024), "PartitionKey": "k"});
    assert_eq!(api.refused("PutRecord", record.clone()).await, "ValidationException");
    api.call("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2048})).await;
    api.call("PutRecord", record).await;
}

#[tokio::test]
async fn a_consumer_is_known_by_its_arn_until_it_is_deregistered() {
    let api = Api::with_stream(1).await;
    let register = json!({"StreamARN": ARN, "ConsumerName": "fast", "Tags": {"team": "blue"}});
    let consumer = api.call("RegisterStreamConsumer", register.clone()).await["Consumer"].clone();
    let arn = format!("{ARN}/consumer/fast:{}", START_MS / 1000);
    assert_eq!((&consumer["ConsumerARN"], &consumer["ConsumerStatus"]), (&json!(arn), &json!("ACTIVE")));
    assert_eq!(consumer["ConsumerCreationTimestamp"].to_string(), "1767225600.0");
    assert_eq!(api.refused("RegisterStreamConsumer", register.clone()).await, "ResourceInUseException");

    let api = api.reopened();
    for one in [json!({"ConsumerARN": arn}), json!({"StreamARN": ARN, "ConsumerName": "fast"})] {
        let described = api.call("DescribeStreamConsumer", one).await["ConsumerDescription"].clone();
        assert_eq!((&described["ConsumerARN"], &described["StreamARN"]), (&json!(arn), &json!(ARN)));
    }
    let tags = api.call("ListTagsForResource", json!({"ResourceARN": arn})).await;
    assert_eq!(tags, json!({"Tags": [{"Key": "team", "Value": "blue"}]}));
    api.call("PutResourcePolicy", json!({"ResourceARN": arn, "Policy": "{}"})).await;
    assert_eq!(api.call("GetResourcePolicy", json!({"ResourceARN": arn})).await, json!({"Policy": "{}"}));
    assert_eq!(api.refused("DeleteStream", json!({"StreamName": "s"})).await, "ResourceInUseException");

    let differs = json!({"ConsumerARN": arn, "ConsumerName": "slow"});
    assert_eq!(api.refused("DescribeStreamConsumer", differs).await, "InvalidArgumentException");
    api.call("DeregisterStreamConsumer", json!({"ConsumerARN": arn})).await;
    assert_eq!(api.refused("DescribeStreamConsumer", json!({"ConsumerARN": arn})).await, "ResourceNotFoundException");
    // One of the same name and another time is another one.
    api.fixture.advance_ms(1000);
    api.call("RegisterStreamConsumer", register).await;
    assert_eq!(api.refused("DescribeStreamConsumer", json!({"ConsumerARN": arn})).await, "ResourceNotFoundException");
    api.call("DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true})).await;
}

#[tokio::test]
async fn a_stream_has_twenty_consumers_and_lists_them_in_pages() {
    let api = Api::with_stream(1).await;
    for number in 0..20 {
        api.call("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": format!("c{number:02}")})).await;
    }
    let more = json!({"StreamARN": ARN, "ConsumerName": "more"});
    assert_eq!(api.refused("RegisterStreamConsumer", more.clone()).await, "LimitExceededException");
    let (mut request, mut seen) = (json!({"StreamARN": ARN, "MaxResults": 7}), Vec::new());
    loop {
        let page = api.call("ListStreamConsumers", request).await;
        seen.extend(names(&page["Consumers"], "ConsumerName"));
        let Some(token) = page.get("NextToken") else { break };
        request = json!({"StreamARN": ARN, "MaxResults": 7, "NextToken": token});
    }
    assert_eq!(seen, (0..20).map(|number| format!("c{number:02}")).collect::<Vec<_>>());

    // Fifty, where the account has committed itself and the stream is on demand.
    let commitment = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    api.call("UpdateAccountSettings", commitment).await;
    assert_eq!(api.refused("RegisterStreamConsumer", more.clone()).await, "LimitExceededException");
    let mode = json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    api.call("UpdateStreamMode", mode).await;
    api.call("RegisterStreamConsumer", more).await;
}

#[tokio::test]
async fn the_number_of_shards_changes_at_most_by_a_factor_of_two() {
    let api = Api::with_stream(2).await;
    for (target, open) in [(3_u32, 3_usize), (6, 6), (4, 4), (4, 4), (2, 2), (1, 1)] {
        let request = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        let before = api.summary().await["OpenShardCount"].clone();
        let reply = api.call("UpdateShardCount", request).await;
        assert_eq!((&reply["CurrentShardCount"], &reply["TargetShardCount"]), (&before, &json!(target)));
        assert_eq!(api.summary().await["OpenShardCount"], open);
        let latest = api.call("ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}})).await;
        let key = |shard: &Value, end: &str| shard["HashKeyRange"][end].as_str().unwrap().parse::<u128>().unwrap();
        let shards = latest["Shards"].as_array().unwrap().iter();
        let mut ranges: Vec<_> =
            shards.map(|shard| (key(shard, "StartingHashKey"), key(shard, "EndingHashKey"))).collect();
        ranges.sort_unstable();
        assert_eq!((ranges[0].0, ranges[open - 1].1), (0, u128::MAX));
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
        let widths: Vec<u128> = ranges.iter().map(|(start, end)| end - start).collect();
        assert!(widths.iter().max().unwrap() - widths.iter().min().unwrap() <= u128::from(target), "{widths:?}");
    }
    for (target, error) in [(3, "LimitExceededException"), (0, "ValidationException")] {
        let request = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        assert_eq!(api.refused("UpdateShardCount", request).await, error);
    }
}

#[tokio::test]
async fn records_stay_in_order_when_the_number_of_shards_changes() {
    let api = Api::with_stream(2).await;
    for round in 0..3 {
        for target in [3, 2] {
            for key in ["a", "b", "c", "d"] {
                let data = format!("{key}{round}{target}AAA").chars().take(4).collect::<String>();
                api.call("PutRecord", json!({"StreamName": "s", "Data": data, "PartitionKey": key})).await;
            }
            let request = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
            api.call("UpdateShardCount", request).await;
        }
    }
    let api = api.reopened();
    let shards = api.call("ListShards", json!({"StreamName": "s"})).await["Shards"].clone();
    let mut read = Vec::new();
    // Ids grow, and parents come before their children.
    for shard in names(&shards, "ShardId") {
        read.extend(api.data(json!({"ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"})).await);
    }
    for key in ["a", "b", "c", "d"] {
        let of_key: Vec<_> = read.iter().filter(|data| data.starts_with(key)).collect();
        assert_eq!(of_key.len(), 6);
        let put = [format!("{key}03A"), format!("{key}02A"), format!("{key}13A"), format!("{key}12A")];
        assert_eq!(of_key.into_iter().take(4).cloned().collect::<Vec<_>>(), put, "{key}");
    }
}

#[tokio::test]
async fn streams_on_demand_take_what_others_do_not() {
    let api = Api::with_stream(1).await;
    let warm = json!({"StreamARN": ARN, "WarmThroughputMiBps": 100});
    let even = json!({"StreamARN": ARN, "RecordDistributionStrategy": "AUTO"});
    assert_eq!(api.refused("UpdateStreamRecordDistributionStrategy", even.clone()).await, "ValidationException");
    assert_eq!(api.refused("UpdateStreamWarmThroughput", warm.clone()).await, "InvalidArgumentException");
    let commitment = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    api.call("UpdateAccountSettings", commitment).await;
    assert_eq!(api.refused("UpdateStreamWarmThroughput", warm.clone()).await, "ValidationException");
    api.call(
        "UpdateStreamMode",
        json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "WarmThroughputMiBps": 50}),
    )
    .await;
    let updated = api.call("UpdateStreamWarmThroughput", warm).await;
    assert_eq!(updated["WarmThroughput"], json!({"TargetMiBps": 100, "CurrentMiBps": 50}));
    api.call("UpdateStreamRecordDistributionStrategy", even).await;
    let summary = api.summary().await;
    assert_eq!(summary["WarmThroughput"], json!({"TargetMiBps": 100, "CurrentMiBps": 100}));
    assert_eq!(summary["RecordDistributionStrategy"], "AUTO");
    assert_eq!(
        api.refused(
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})
        )
        .await,
        "ValidationException"
    );
    api.call(
        "SplitShard",
        json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": super::MIDDLE}),
    )
    .await;
    let records: Vec<_> = (0..100).map(|_| json!({"Data": "YQ==", "PartitionKey": "same"})).collect();
    let put = api.call("PutRecords", json!({"StreamName": "s", "Records": records})).await;
    let first = names(&put["Records"], "ShardId").iter().filter(|shard| shard.ends_with('1')).count();
    assert!((45..=55).contains(&first), "{first} of 100 in one of two shards");
}

#[tokio::test]
async fn a_commitment_holds_for_a_day_at_least() {
    let api = Api::with_stream(1).await;
    let status = |reply: &Value| reply["MinimumThroughputBillingCommitment"]["Status"].clone();
    let set = |to: &str| json!({"MinimumThroughputBillingCommitment": {"Status": to}});
    assert_eq!(status(&api.call("DescribeAccountSettings", json!({})).await), "DISABLED");
    assert_eq!(status(&api.call("UpdateAccountSettings", set("ENABLED")).await), "ENABLED");
    api.fixture.advance_ms(HOUR_MS);
    let ending = api.call("UpdateAccountSettings", set("DISABLED")).await;
    assert_eq!(status(&ending), "ENABLED_UNTIL_EARLIEST_ALLOWED_END");
    let api = api.reopened();
    api.fixture.advance_ms(22 * HOUR_MS);
    let described = api.call("DescribeAccountSettings", json!({})).await;
    assert_eq!(status(&described), "ENABLED_UNTIL_EARLIEST_ALLOWED_END");
    api.fixture.advance_ms(HOUR_MS);
    assert_eq!(status(&api.call("DescribeAccountSettings", json!({})).await), "DISABLED");
    let limits = api.call("DescribeLimits", json!({})).await;
    assert_eq!((&limits["OpenShardCount"], &limits["ShardLimit"]), (&json!(1), &json!(500)));
}

#[tokio::test]
async fn what_is_not_here_is_refused_and_listed_as_none() {
    let api = Api::with_stream(1).await;
    assert_eq!(api.call("ListQueues", json!({})).await, json!({"QueueSummaries": []}));
    assert_eq!(api.call("ListChannels", json!({"MaxResults": 5})).await, json!({"ChannelSummaries": []}));
    assert_eq!(api.refused("CreateQueue", json!({"QueueName": "q"})).await, "InvalidArgumentException");
}
