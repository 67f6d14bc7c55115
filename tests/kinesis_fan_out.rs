//! The AWS SDK for Rust is pushed the records of embedded streams: `SubscribeToShard`, signed.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};
use millstream_core::Clock;
use millstream_local_kinesis::{AccessKey, ApiSettings, Settings, Store, router_with};

use crate::peers::WallClock;

const STREAM: &str = "orders";
const SHARD: &str = "shardId-000000000000";
const PATIENCE: Duration = Duration::from_mins(1);

fn client(port: u16, secret: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .credentials_provider(Credentials::new("AK", secret, None, None, "test"))
        .http_client(http)
        .build();
    Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_for_rust_is_pushed_what_is_put() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &Settings::default(), Arc::new(|| WallClock.now().0)).unwrap();
    let keys = vec![AccessKey { id: "AK".into(), secret: "right".into(), may_use_streams: true }];
    let router = router_with(store, ApiSettings { keys, ..ApiSettings::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async { axum::serve(listener, router).await };
    tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        done = tokio::time::timeout(PATIENCE, is_pushed(port)) => done.expect("records are pushed"),
    }
}

async fn is_pushed(port: u16) {
    let refused = client(port, "wrong").list_streams().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidSignatureException"));
    let client = client(port, "right");
    client.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
    let arn = format!("arn:aws:kinesis:eu-west-1:000000000000:stream/{STREAM}");
    let registered = client.register_stream_consumer().stream_arn(&arn).consumer_name("rust").send().await.unwrap();
    let consumer = registered.consumer().unwrap().consumer_arn().to_owned();
    let start = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
    let subscribe = client.subscribe_to_shard().consumer_arn(consumer).shard_id(SHARD).starting_position(start);
    let mut subscribed = subscribe.send().await.unwrap();
    for n in 0..20 {
        let data = Blob::new(format!("{n}"));
        let put = client.put_record().stream_arn(&arn).partition_key("k").data(data.clone()).send().await.unwrap();
        let event = subscribed.event_stream.recv().await.unwrap().unwrap();
        let event = event.as_subscribe_to_shard_event().unwrap();
        let [record] = event.records() else { panic!("{event:?}") };
        assert_eq!((record.data(), record.sequence_number()), (&data, put.sequence_number()));
        assert_eq!(event.continuation_sequence_number(), put.sequence_number());
    }
    let middle = (1_u128 << 127).to_string();
    let split = client.split_shard().stream_arn(&arn).shard_to_split(SHARD).new_starting_hash_key(middle);
    split.send().await.unwrap();
    let last = subscribed.event_stream.recv().await.unwrap().unwrap();
    assert_eq!(last.as_subscribe_to_shard_event().unwrap().child_shards().len(), 2);
    assert!(subscribed.event_stream.recv().await.unwrap().is_none());
}
