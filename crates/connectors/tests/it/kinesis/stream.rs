//! A stream on a server, filled and resharded by the SDK, and read by the connector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, Field, Schema};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use millstream_connectors::{AccessKey, AwsSettings, Context, Registry};
use millstream_core::{Clock, Connectors, Duration, Resume, Source, SourceEvent, TableDecl};
use serde_json::json;
use tokio::sync::watch;

use super::seen::{Output, is_at_tip, read, run};
use super::{Reader, Server};
use crate::peers::WallClock;

const STREAM: &str = "orders";
const KEYS: u32 = 20;
pub(super) const FROM_START: &[(&str, &str)] = &[("source.init.position", "TRIM_HORIZON")];

/// A stream of two shards on a server, and what was put.
pub(super) struct Stream {
    client: Client,
    registry: Registry,
    endpoint: String,
    reader: Reader,
    pub(super) is_pushed: bool,
    next: u32,
    /// A consumer that was just used could not be used again for five seconds.
    consumers: AtomicU32,
    /// Key and number of each record, and the shard that took it.
    stored: BTreeMap<(u32, u32), String>,
}

impl Stream {
    pub(super) async fn create(server: &Server) -> Self {
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .endpoint_url(&endpoint)
            .build();
        let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
        let aws = AwsSettings { access_key, ..AwsSettings::default() };
        let stream = Self {
            client: Client::from_conf(config),
            registry: Registry::new(Context { aws, ..Context::new(Arc::new(WallClock)) }),
            endpoint,
            reader: server.reader,
            is_pushed: server.is_pushed(),
            next: 0,
            consumers: AtomicU32::new(0),
            stored: BTreeMap::new(),
        };
        stream.client.create_stream().stream_name(STREAM).shard_count(2).send().await.unwrap();
        stream.wait_until_active().await;
        stream
    }

    async fn wait_until_active(&self) {
        loop {
            let description = self.client.describe_stream_summary().stream_name(STREAM).send().await.unwrap();
            let summary = description.stream_description_summary.expect("a summary");
            if *summary.stream_status() == StreamStatus::Active {
                return;
            }
            WallClock.sleep(Duration(10)).await;
        }
    }

    pub(super) async fn put(&mut self, count: u32) {
        let numbers: Vec<u32> = (self.next..self.next + count).collect();
        self.next += count;
        let entry = |n: &u32| {
            let data = json!({ "key": n % KEYS, "n": n }).to_string();
            let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", n % KEYS));
            entry.data(Blob::new(data)).build().unwrap()
        };
        let entries = numbers.iter().map(entry).collect();
        let reply = self.client.put_records().stream_name(STREAM).set_records(Some(entries)).send().await.unwrap();
        for (n, stored) in numbers.iter().zip(reply.records()) {
            self.stored.insert((n % KEYS, *n), stored.shard_id().expect("every record is stored").to_owned());
        }
        assert_eq!(reply.records().len(), numbers.len());
    }

    /// The open shards by their ranges.
    pub(super) async fn open_shards(&self) -> Vec<String> {
        let list = self.client.list_shards().stream_name(STREAM).send().await.unwrap();
        let is_open = |shard: &&Shard| {
            shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
        };
        let mut open: Vec<_> =
            list.shards().iter().filter(is_open).map(|shard| (range(shard), shard.shard_id())).collect();
        open.sort_unstable();
        open.into_iter().map(|(_, id)| id.to_owned()).collect()
    }

    /// Splits a shard in the middle.
    pub(super) async fn split(&self, shard: &str) {
        let list = self.client.list_shards().stream_name(STREAM).send().await.unwrap();
        let listed = list.shards().iter().find(|listed| listed.shard_id() == shard).expect("the shard is listed");
        let (start, end) = range(listed);
        let middle = (start + (end - start) / 2).to_string();
        let split = self.client.split_shard().stream_name(STREAM).shard_to_split(shard);
        split.new_starting_hash_key(middle).send().await.unwrap();
        self.wait_until_active().await;
    }

    /// Merges two neighbours.
    pub(super) async fn merge(&self, shard: &str, next: &str) {
        let merge = self.client.merge_shards().stream_name(STREAM).shard_to_merge(shard);
        merge.adjacent_shard_to_merge(next).send().await.unwrap();
        self.wait_until_active().await;
    }

    pub(super) fn records(&self) -> BTreeSet<(u32, u32)> {
        self.stored.keys().copied().collect()
    }

    pub(super) fn records_of(&self, shard: &str) -> BTreeSet<(u32, u32)> {
        self.stored.iter().filter(|(_, stored)| *stored == shard).map(|(record, _)| *record).collect()
    }

    pub(super) fn shards(&self) -> BTreeSet<String> {
        self.stored.values().cloned().collect()
    }

    /// From now on only the records of these shards count.
    pub(super) fn forget_all_but(&mut self, shards: &BTreeSet<String>) {
        self.stored.retain(|_, shard| shards.contains(shard));
    }

    pub(super) fn source(&self, more: &[(&str, &str)]) -> Box<dyn Source> {
        let base = [("connector", "kinesis"), ("stream", STREAM), ("format", "json"), ("aws.region", "us-east-1")];
        let consumer = format!("reader-{}", self.consumers.fetch_add(1, Ordering::Relaxed));
        let reader = match self.reader {
            Reader::Polling => &[][..],
            Reader::FanOut => &[("source.reader.type", "EFO"), ("source.efo.consumer.name", consumer.as_str())],
        };
        let endpoint = [("aws.endpoint", self.endpoint.as_str())];
        let options = base.iter().chain(&endpoint).chain(reader).chain(more).copied().collect();
        let fields = vec![Field::new("key", DataType::Int64, true), Field::new("n", DataType::Int64, true)];
        let schema = Arc::new(Schema::new(fields));
        let table = TableDecl { name: STREAM.into(), schema, primary_key: vec![], options };
        self.registry.source(&table).unwrap()
    }

    /// What is read until this many records have come, and polled shards say that there are no more.
    pub(super) async fn read(
        &self,
        start: &[(&str, &str)],
        resume: impl Into<Resume>,
        records: usize,
    ) -> Vec<SourceEvent> {
        let resume = resume.into();
        let output = Output(watch::Sender::new(Vec::new()), Mutex::new(resume.offsets.clone()));
        let is_enough = |events: &[SourceEvent]| read(events).len() >= records && (self.is_pushed || is_at_tip(events));
        run(self.source(start), resume, &output, output.wait(is_enough)).await;
        output.events()
    }
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range().expect("every shard has a range");
    (range.starting_hash_key().parse().unwrap(), range.ending_hash_key().parse().unwrap())
}
