//! What is refused, and with which of AWS's errors.

use axum::http::StatusCode;
use serde_json::json;

use super::{Api, JSON};
use crate::fixture::MIB;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

#[tokio::test]
async fn what_is_refused_has_the_error_that_aws_gives_it() {
    let api = Api::with_stream(2).await;
    let long_key = "k".repeat(257);
    let large = "A".repeat(MIB * 4 / 3 / 4 * 4 + 4);
    let record = json!({"Data": "YQ==", "PartitionKey": "k"});
    let cases = [
        ("CreateStream", json!({"StreamName": "s", "ShardCount": 1}), "ResourceInUseException"),
        ("CreateStream", json!({"StreamName": "n"}), "ValidationException"),
        ("CreateStream", json!({"ShardCount": 1}), "ValidationException"),
        ("CreateStream", json!({"StreamName": "a b", "ShardCount": 1}), "ValidationException"),
        ("CreateStream", json!({"StreamName": "n".repeat(129), "ShardCount": 1}), "ValidationException"),
        ("CreateStream", json!({"StreamName": "n", "ShardCount": 0}), "ValidationException"),
        ("CreateStream", json!({"StreamName": "n", "ShardCount": 501}), "LimitExceededException"),
        ("CreateStream", json!({"StreamName": 1, "ShardCount": 1}), "SerializationException"),
        ("DeleteStream", json!({"StreamName": "n"}), "ResourceNotFoundException"),
        ("DescribeStream", json!({"StreamName": "n"}), "ResourceNotFoundException"),
        ("DescribeStream", json!({}), "ValidationException"),
        ("DescribeStream", json!({"StreamARN": "arn:aws:s3:::s"}), "ValidationException"),
        (
            "DescribeStream",
            json!({"StreamName": "s", "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/t"}),
            "InvalidArgumentException",
        ),
        ("DescribeStream", json!({"StreamName": "s", "Limit": 0}), "ValidationException"),
        ("DescribeStreamSummary", json!({"StreamName": "n"}), "ResourceNotFoundException"),
        ("ListStreams", json!({"Limit": 10_001}), "ValidationException"),
        ("ListStreams", json!({"NextToken": "x"}), "InvalidArgumentException"),
        ("ListShards", json!({"StreamName": "n"}), "ResourceNotFoundException"),
        ("ListShards", json!({}), "ValidationException"),
        ("ListShards", json!({"StreamName": "s", "StreamCreationTimestamp": 7}), "ResourceNotFoundException"),
        ("DescribeStream", json!({"StreamName": "s", "StreamId": "x"}), "ValidationException"),
        (
            "DescribeStream",
            json!({"StreamName": "s", "StreamARN": "arn:aws:kinesis:us-east-1:1:stream/s"}),
            "ValidationException",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "Data": "YQ==", "PartitionKey": "k", "DryRun": true}),
            "DryRunOperationException",
        ),
        ("PutResourcePolicy", json!({"ResourceARN": ARN, "Policy": "x"}), "InvalidArgumentException"),
        ("PutResourcePolicy", json!({"ResourceARN": ARN}), "ValidationException"),
        ("GetResourcePolicy", json!({"ResourceARN": "s"}), "ValidationException"),
        ("EnableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": []}), "ValidationException"),
        ("EnableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["X"]}), "ValidationException"),
        (
            "StartStreamEncryption",
            json!({"StreamName": "s", "EncryptionType": "NONE", "KeyId": "k"}),
            "InvalidArgumentException",
        ),
        ("StartStreamEncryption", json!({"StreamName": "s", "EncryptionType": "KMS"}), "ValidationException"),
        ("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 1023}), "ValidationException"),
        ("UpdateStreamMode", json!({"StreamName": "s"}), "ValidationException"),
        ("UpdateShardCount", json!({"StreamName": "s", "TargetShardCount": 2}), "ValidationException"),
        ("DescribeStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "n"}), "ResourceNotFoundException"),
        ("DescribeStreamConsumer", json!({"StreamARN": ARN}), "ValidationException"),
        ("ListStreamConsumers", json!({"StreamARN": ARN, "NextToken": "x"}), "InvalidArgumentException"),
        ("ListShards", json!({"StreamName": "s", "MaxResults": 10_001}), "ValidationException"),
        ("ListShards", json!({"NextToken": "x"}), "InvalidArgumentException"),
        ("ListShards", json!({"StreamName": "s", "NextToken": "x"}), "InvalidArgumentException"),
        ("ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "X"}}), "ValidationException"),
        ("ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "AT_TIMESTAMP"}}), "InvalidArgumentException"),
        ("PutRecord", json!({"StreamName": "n", "Data": "YQ==", "PartitionKey": "k"}), "ResourceNotFoundException"),
        ("PutRecord", json!({"StreamName": "s", "PartitionKey": "k"}), "ValidationException"),
        ("PutRecord", json!({"StreamName": "s", "Data": "YQ=="}), "ValidationException"),
        ("PutRecord", json!({"StreamName": "s", "Data": "YQ", "PartitionKey": "k"}), "SerializationException"),
        ("PutRecord", json!({"StreamName": "s", "Data": "YQ==", "PartitionKey": ""}), "ValidationException"),
        ("PutRecord", json!({"StreamName": "s", "Data": "YQ==", "PartitionKey": long_key}), "ValidationException"),
        ("PutRecord", json!({"StreamName": "s", "Data": large, "PartitionKey": "k"}), "ValidationException"),
        (
            "PutRecord",
            json!({"StreamName": "s", "Data": "YQ==", "PartitionKey": "k", "ExplicitHashKey": "-1"}),
            "InvalidArgumentException",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "Data": "YQ==", "PartitionKey": "k", "SequenceNumberForOrdering": "x"}),
            "InvalidArgumentException",
        ),
        ("PutRecords", json!({"StreamName": "n", "Records": [record]}), "ResourceNotFoundException"),
        ("PutRecords", json!({"StreamName": "s", "Records": []}), "ValidationException"),
        ("PutRecords", json!({"StreamName": "s", "Records": vec![record.clone(); 501]}), "ValidationException"),
        ("PutRecords", json!({"StreamName": "s", "Records": [record, {"Data": "YQ=="}]}), "ValidationException"),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "x", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "n", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "X"}),
            "ValidationException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP"}),
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_SEQUENCE_NUMBER"}),
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"}),
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST", "StartingSequenceNumber": "7"}),
            "InvalidArgumentException",
        ),
        ("GetRecords", json!({"ShardIterator": "AAAA"}), "InvalidArgumentException"),
        ("GetRecords", json!({}), "ValidationException"),
        ("GetRecords", json!({"ShardIterator": "AAAA", "Limit": 10_001}), "ValidationException"),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "0"}),
            "InvalidArgumentException",
        ),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "x"}),
            "ValidationException",
        ),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-000000000009", "NewStartingHashKey": "1"}),
            "ResourceNotFoundException",
        ),
        (
            "MergeShards",
            json!({"StreamName": "s", "ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000000"}),
            "InvalidArgumentException",
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "s", "RetentionPeriodHours": 23}),
            "InvalidArgumentException",
        ),
        (
            "DecreaseStreamRetentionPeriod",
            json!({"StreamName": "s", "RetentionPeriodHours": 25}),
            "InvalidArgumentException",
        ),
        (
            "DecreaseStreamRetentionPeriod",
            json!({"StreamName": "n", "RetentionPeriodHours": 24}),
            "ResourceNotFoundException",
        ),
        ("AddTagsToStream", json!({"StreamName": "s", "Tags": {"": "x"}}), "InvalidArgumentException"),
        ("AddTagsToStream", json!({"StreamName": "n", "Tags": {"a": "b"}}), "ResourceNotFoundException"),
        ("RemoveTagsFromStream", json!({"StreamName": "s"}), "ValidationException"),
        ("ListTagsForStream", json!({"StreamName": "n"}), "ResourceNotFoundException"),
        ("RegisterStreamConsumer", json!({"StreamARN": "x", "ConsumerName": "c"}), "ValidationException"),
        ("Nonsense", json!({}), "UnknownOperationException"),
    ];
    for (operation, body, expected) in cases {
        let shown = body.to_string().chars().take(200).collect::<String>();
        assert_eq!(api.refused(operation, body).await, expected, "{operation} {shown}");
    }
    assert_eq!(
        api.data(json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"})).await.len(),
        0
    );
}

#[tokio::test]
async fn what_is_not_json_or_too_much_is_told() {
    let api = Api::with_stream(1).await;
    let target = "Kinesis_20131202.ListStreams";
    let cases = [
        (target, "text/plain", "{}".to_owned(), 415, "UnsupportedMediaTypeException"),
        (target, JSON, "{".to_owned(), 400, "SerializationException"),
        ("DynamoDB_20120810.ListTables", JSON, "{}".to_owned(), 400, "UnknownOperationException"),
        (target, JSON, " ".repeat(17 * MIB), 413, "RequestEntityTooLargeException"),
    ];
    for (target, content_type, body, status, name) in cases {
        let (got, reply) = api.send(target, content_type, body).await;
        assert_eq!((got.as_u16(), reply["__type"].as_str()), (status, Some(name)), "{reply}");
    }
    let (status, _) = api.send(target, "application/x-amz-json-1.1; charset=utf-8", String::new()).await;
    assert_eq!(status, StatusCode::OK);
}
