//! CBOR, as AWS's SDKs for Java speak it: blobs as they are, times as milliseconds under tag 1.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use ciborium::value::Value;
use tower::ServiceExt;

use super::Api;
use crate::fixture::{MIB, START_MS};

const CBOR: &str = "application/x-amz-cbor-1.1";

impl Api {
    async fn cbor(&self, operation: &str, members: Vec<(&str, Value)>) -> (u16, Value) {
        let mut body = Vec::new();
        let members = members.into_iter().map(|(name, value)| (name.into(), value)).collect();
        ciborium::into_writer(&Value::Map(members), &mut body).unwrap();
        self.cbor_bytes(operation, body).await
    }

    async fn cbor_bytes(&self, operation: &str, body: Vec<u8>) -> (u16, Value) {
        let request = Request::post("/").header("x-amz-target", format!("Kinesis_20131202.{operation}"));
        let request = request.header("content-type", CBOR).body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], CBOR);
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 32 * MIB).await.unwrap();
        (status, ciborium::from_reader(&body[..]).unwrap())
    }
}

pub(super) fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    let members = value.as_map().unwrap();
    &members.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap_or_else(|| panic!("{name} in {value:?}")).1
}

fn time(ms: i64) -> Value {
    Value::Tag(1, Box::new(Value::Integer(ms.into())))
}

#[tokio::test]
async fn records_go_in_and_out_as_bytes_with_times_in_milliseconds() {
    let api = Api::with_stream(1).await;
    api.fixture.advance_ms(123);
    let data = Value::Bytes(vec![0, 255, 10, 128]);
    let record = Value::Map(vec![("Data".into(), data.clone()), ("PartitionKey".into(), "k".into())]);
    let put = api.cbor("PutRecords", vec![("StreamName", "s".into()), ("Records", Value::Array(vec![record]))]).await;
    assert_eq!((put.0, member(&put.1, "FailedRecordCount")), (200, &Value::Integer(0.into())));
    for start in [time(START_MS + 123), Value::Integer((START_MS + 123).into())] {
        let how = vec![
            ("StreamName", "s".into()),
            ("ShardId", "shardId-000000000000".into()),
            ("ShardIteratorType", "AT_TIMESTAMP".into()),
            ("Timestamp", start),
        ];
        let (_, iterator) = api.cbor("GetShardIterator", how).await;
        let iterator = member(&iterator, "ShardIterator").clone();
        let (_, got) = api.cbor("GetRecords", vec![("ShardIterator", iterator)]).await;
        let [record] = &member(&got, "Records").as_array().unwrap()[..] else { panic!("{got:?}") };
        assert_eq!(member(record, "Data"), &data);
        assert_eq!(member(record, "ApproximateArrivalTimestamp"), &time(START_MS + 123));
        assert_eq!(member(record, "PartitionKey"), &Value::from("k"));
        assert_eq!(member(record, "SequenceNumber").as_text().unwrap().len(), 56);
    }
}

#[tokio::test]
async fn descriptions_and_errors_are_in_cbor_too() {
    let api = Api::with_stream(1).await;
    let (_, described) = api.cbor("DescribeStream", vec![("StreamName", "s".into())]).await;
    let description = member(&described, "StreamDescription");
    assert_eq!(member(description, "StreamCreationTimestamp"), &time(START_MS));
    assert_eq!(member(description, "Shards").as_array().unwrap().len(), 1);
    let (status, refused) = api.cbor("DescribeStream", vec![("StreamName", "none".into())]).await;
    assert_eq!((status, member(&refused, "__type")), (400, &Value::from("ResourceNotFoundException")));
    assert!(member(&refused, "message").as_text().unwrap().contains("none"));
    for bad in [b"{}".to_vec(), vec![0xbf], vec![0xa1, 0x61], vec![0x9b; 9]] {
        let (status, refused) = api.cbor_bytes("ListStreams", bad.clone()).await;
        assert_eq!((status, member(&refused, "__type")), (400, &Value::from("SerializationException")), "{bad:?}");
    }
    assert_eq!(api.cbor_bytes("ListStreams", Vec::new()).await.0, 200);
}

/// The form in which the SDK for Java 1.x writes: maps, text and bytes of a length that is not told before.
#[tokio::test]
async fn parts_of_unknown_length_are_read() {
    let api = Api::with_stream(1).await;
    let mut body = vec![0xbf];
    for (name, value) in [("StreamName", "s"), ("PartitionKey", "k")] {
        for text in [name, value] {
            body.extend([&[0x60 + u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        }
    }
    // "Data", then bytes in two pieces.
    body.extend(b"\x64Data\x5f\x42ab\x41c\xff\xff");
    assert_eq!(api.cbor_bytes("PutRecord", body).await.0, 200);
    let start = serde_json::json!({"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"});
    assert_eq!(api.data(start).await, ["YWJj"]);
}
