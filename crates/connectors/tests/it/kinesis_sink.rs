//! The sink `kinesis` against servers that speak the API, through a proxy that lets calls go wrong. One body, the same
//! claims: everything is there, in the order of its key, and what is there twice has the same id.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use fault_proxy::{Fault, Faults, Proxy};
use millstream_connectors::{AccessKey, AwsSettings, Context, Registry};
use millstream_core::{Clock, Connectors, Duration, Emission, Sink, TableDecl};
use serde_json::Value;

use crate::ours::with_endpoint;
use crate::peers::{Peer, WallClock};

const STREAM: &str = "results";
const ROWS: i64 = 600;
const KEYS: i64 = 60;
/// A slow machine and waits of seconds after faults.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesalite_has_everything_in_order() {
    let peer = crate::kinesalite::kinesalite().await;
    everything_is_there(peer.port).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_has_everything_in_order() {
    let peer = Peer::moto().await;
    everything_is_there(peer.port).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_endpoint_has_everything_in_order() {
    with_endpoint(everything_is_there).await;
}

async fn everything_is_there(port: u16) {
    let claims = async {
        let client = client(port);
        client.create_stream().stream_name(STREAM).shard_count(3).send().await.unwrap();
        is_active(&client).await;
        for (seed, (more, is_aggregated)) in
            [(&[][..], false), (&[("sink.aggregation", "true")], true)].iter().enumerate()
        {
            let kinds = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Slow).collect();
            let faults = Faults { probability: 0.4, kinds, operations: vec!["PutRecords".into()], seed: seed as u64 };
            let proxy = Proxy::start(&format!("127.0.0.1:{port}"), 0, faults).await.unwrap();
            let first = i64::try_from(seed).unwrap() * ROWS;
            write(&mut sink(proxy.address().port(), more), first).await;
            // Of aggregates there are too few to be sure of it.
            assert!(*is_aggregated || !proxy.injected().is_empty(), "some calls went wrong");
            // What aggregates hold is checked where they can be taken apart; here, that they are fewer.
            let stored = stored(&client).await;
            if *is_aggregated {
                assert!(stored.iter().filter(|(_, data)| data.starts_with(b"\xF3\x89\x9A\xC2")).count() > 0);
            } else {
                are_in_order(&stored);
            }
        }
    };
    tokio::time::timeout(PATIENCE, claims).await.expect("the server and the connector keep going");
}

fn client(port: u16) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"));
    Client::from_conf(config.build())
}

async fn is_active(client: &Client) {
    loop {
        let stream = client.describe_stream_summary().stream_name(STREAM).send().await.unwrap();
        if stream.stream_description_summary.unwrap().stream_status == StreamStatus::Active {
            return;
        }
        WallClock.sleep(Duration(20)).await;
    }
}

fn sink(port: u16, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let base = [
        ("connector", "kinesis"),
        ("stream", STREAM),
        ("format", "json"),
        ("sink.partition-key", "k"),
        ("sink.id-field", "id"),
    ];
    let options = base.iter().chain(more).copied().collect();
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("k", DataType::Utf8, true)];
    let table = TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options };
    let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
    let aws = AwsSettings { region: None, endpoint_url: Some(format!("http://127.0.0.1:{port}")), access_key };
    Registry::new(Context { aws, ..Context::new(Arc::new(WallClock)) }).sink(&table, "q").unwrap()
}

fn key(n: i64) -> String {
    format!("k{}", n * 7 % KEYS)
}

async fn write(sink: &mut Box<dyn Sink>, first: i64) {
    for part in 0..6 {
        let numbers: Vec<i64> = (0..ROWS / 6).map(|n| first + part * (ROWS / 6) + n).collect();
        let columns: [(_, ArrayRef); 2] = [
            ("n", Arc::new(numbers.iter().copied().collect::<Int64Array>())),
            ("k", Arc::new(numbers.iter().map(|n| Some(key(*n))).collect::<StringArray>())),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        sink.write(&Emission { rows, window: None }).await.unwrap();
    }
    sink.prepare(false).await.unwrap();
}

/// Partition keys and payloads, shard by shard.
async fn stored(client: &Client) -> Vec<(String, Vec<u8>)> {
    let mut stored = Vec::new();
    for shard in client.list_shards().stream_name(STREAM).send().await.unwrap().shards.unwrap() {
        let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id(shard.shard_id);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let mut iterator = iterator.shard_iterator;
        while let Some(at) = iterator.take() {
            let page = client.get_records().shard_iterator(at).send().await.unwrap();
            iterator = page.next_shard_iterator.filter(|_| !page.records.is_empty());
            let record = |record: aws_sdk_kinesis::types::Record| {
                (record.partition_key.unwrap_or_default(), record.data.into_inner())
            };
            stored.extend(page.records.into_iter().map(record));
        }
    }
    stored
}

fn are_in_order(stored: &[(String, Vec<u8>)]) {
    let mut by_key: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut ids = HashMap::new();
    for (key, data) in stored {
        let row: Value = serde_json::from_slice(data).unwrap();
        let (number, numbers) = (row["n"].as_i64().unwrap(), by_key.entry(key).or_default());
        let other = ids.insert(row["id"].to_string(), number);
        assert!(other.is_none_or(|other| other == number), "an id is that of one row");
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    assert_eq!(ids.len(), usize::try_from(ROWS).unwrap(), "each row has one id");
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), ids.len());
    for (own, numbers) in by_key {
        assert!(numbers.is_sorted(), "{own}: {numbers:?}");
        assert!(numbers.iter().all(|n| key(*n) == own), "{own}: {numbers:?}");
    }
}
