//! The sink `firehose` against moto, whose delivery streams write objects to its S3.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_firehose::types::S3DestinationConfiguration;
use futures::TryStreamExt;
use millstream_connectors::{AccessKey, AwsSettings, Context, Registry};
use millstream_core::{Connectors, Emission, TableDecl};
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peers::{Peer, WallClock};

const ROWS: i64 = 1200;

#[tokio::test]
async fn rows_become_lines_of_objects() {
    let moto = Peer::moto().await;
    let endpoint = format!("http://127.0.0.1:{}", moto.port);
    make_bucket(moto.port).await;
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials);
    let destination = S3DestinationConfiguration::builder()
        .role_arn("arn:aws:iam::123456789012:role/delivery")
        .bucket_arn("arn:aws:s3:::lake");
    #[expect(deprecated, reason = "what moto writes to")]
    let made = Client::from_conf(config.build())
        .create_delivery_stream()
        .delivery_stream_name("clicks")
        .s3_destination_configuration(destination.build().unwrap());
    Box::pin(made.send()).await.unwrap();

    let options = [("connector", "firehose"), ("delivery-stream", "clicks"), ("format", "json")];
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let options = options.into_iter().collect();
    let table = TableDecl { name: "t".into(), schema, primary_key: vec![], options };
    let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
    let aws = AwsSettings { region: None, endpoint_url: Some(endpoint.clone()), access_key };
    let registry = Registry::new(Context { aws, ..Context::new(Arc::new(WallClock)) });
    let mut sink = registry.sink(&table, "q").unwrap();
    let column: ArrayRef = Arc::new((0..ROWS).collect::<Int64Array>());
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    sink.write(&Emission { rows, window: None }).await.unwrap();
    sink.prepare(false).await.unwrap();

    let bucket = AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .build()
        .unwrap();
    let objects: Vec<_> = bucket.list(None).try_collect().await.unwrap();
    let mut numbers = Vec::new();
    for object in objects {
        let content = bucket.get(&object.location).await.unwrap().bytes().await.unwrap();
        for line in std::str::from_utf8(&content).unwrap().lines() {
            numbers.push(serde_json::from_str::<Value>(line).unwrap()["n"].as_i64().unwrap());
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..ROWS).collect::<Vec<_>>());
}

async fn make_bucket(port: u16) {
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // moto does not check signatures; it refuses who sends none.
    let request = "PUT /lake HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n";
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
