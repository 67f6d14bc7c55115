//! The connector `kinesis` against servers that speak Kinesis' API: ours, kinesalite and moto. One body, the same claims.
//!
//! None of the other servers enforces the limits of AWS's shards or fails on purpose: throttling is tested where faults
//! are made.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, Field, Schema};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamStatus};
use millstream_connectors::{AccessKey, AwsSettings, Context, Registry};
use millstream_core::{
    BoxFuture, Clock, Connectors, Duration, Offsets, ShardId, Source, SourceEvent, SourceOutput, Stopped, TableDecl,
};
use millstream_local_kinesis::{Settings, Store, router};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::peers::{Peer, WallClock, peers};

const STREAM: &str = "orders";
const KEYS: u32 = 20;
/// Slow machines start Python in seconds; a whole body takes about five.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_endpoint_is_read_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &Settings::default(), Arc::new(|| WallClock.now().0)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = Server { port: listener.local_addr().unwrap().port(), ends_split_shards: true };
    let server = async { axum::serve(listener, router(store)).await };
    tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        () = is_read_exactly_once(ours) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesalite_is_read_exactly_once() {
    let folder = peers().join("node");
    let listen =
        "require('kinesalite')({ createStreamMs: 5, updateStreamMs: 5 }).listen(+process.argv[1], '127.0.0.1')";
    assert!(folder.join("node_modules/kinesalite").exists(), "kinesalite is not installed: run `scripts/setup test`");
    let mut command = Command::new("node");
    command.current_dir(folder).args(["--eval", listen]);
    let peer = Peer::start(command).await;
    is_read_exactly_once(Server { port: peer.port, ends_split_shards: true }).await;
}

/// moto never ends a shard that was split, and moves its records to the children: what the children hold cannot be read
/// in order. What holds: the shard that was not split goes on, and nothing is read twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_is_read_exactly_once_but_for_split_shards() {
    let peer = Peer::moto().await;
    is_read_exactly_once(Server { port: peer.port, ends_split_shards: false }).await;
}

/// A server that speaks Kinesis' API.
struct Server {
    port: u16,
    /// Whether readers of a split shard are told that it has ended, as AWS does.
    ends_split_shards: bool,
}

async fn is_read_exactly_once(server: Server) {
    let claims = async {
        let mut stream = Stream::create(&server).await;
        starts_where_the_table_says(&mut stream).await;
        resumes_after_every_offset(&stream).await;
        follows_a_split_while_it_reads(&mut stream, server.ends_split_shards).await;
        if server.ends_split_shards {
            resumes_after_every_offset(&stream).await;
        }
    };
    tokio::time::timeout(PATIENCE, claims).await.expect("the server and the connector keep going");
}

async fn starts_where_the_table_says(stream: &mut Stream) {
    stream.put(100).await;
    let before = stream.records();
    // A millisecond of its own between the two halves.
    WallClock.sleep(Duration(5)).await;
    let between = WallClock.now();
    WallClock.sleep(Duration(5)).await;

    let source = stream.source(&[("source.init.position", "LATEST")]);
    let output = Output::default();
    let writing = async {
        output.wait(is_at_tip).await;
        stream.put(100).await;
        output.wait(|events| read(events).len() >= 100 && is_at_tip(events)).await;
    };
    run(source, Offsets::default(), &output, writing).await;
    let after: BTreeSet<_> = stream.records().difference(&before).copied().collect();
    assert_exactly(&output.events(), &after, "LATEST");

    let timestamp = format!("{}.{:03}", between.0 / 1000, between.0 % 1000);
    let at = [("source.init.position", "AT_TIMESTAMP"), ("source.init.timestamp", timestamp.as_str())];
    assert_exactly(&stream.read_to_tip(&at, Offsets::default()).await, &after, "AT_TIMESTAMP");
    assert_exactly(&stream.read_to_tip(FROM_START, Offsets::default()).await, &stream.records(), "TRIM_HORIZON");
}

async fn resumes_after_every_offset(stream: &Stream) {
    let events = stream.read_to_tip(FROM_START, Offsets::default()).await;
    let chunks = events.iter().enumerate().filter(|(_, event)| matches!(event, SourceEvent::Chunk(_)));
    for (last, _) in chunks {
        let before = &events[..=last];
        let mut both = before.to_vec();
        both.extend(stream.read_to_tip(FROM_START, offsets(before)).await);
        assert_exactly(&both, &stream.records(), "what was read before and after a restart");
    }
}

async fn follows_a_split_while_it_reads(stream: &mut Stream, ends_split_shards: bool) {
    let first_shards = stream.shards();
    let parent = first_shards.first().expect("records were put").clone();
    let source = stream.source(FROM_START);
    let output = Output::default();
    let before = stream.records().len();
    let reading = async {
        output.wait(|events| read(events).len() >= before).await;
        stream.put(100).await;
        stream.split(&parent).await;
        stream.put(100).await;
        let is_readable = |shard: &String| ends_split_shards || first_shards.contains(shard);
        stream.stored.retain(|_, shard| is_readable(shard));
        output.wait(|events| read(events).len() >= stream.stored.len() && is_at_tip(events)).await;
    };
    run(source, Offsets::default(), &output, reading).await;
    let events = output.events();
    assert_exactly(&events, &stream.records(), "with a split");
    if ends_split_shards {
        assert_eq!(assert_parents_come_first(&events), 2, "both children are read");
    }
}

/// Every record once, and each key's in the order they were put.
#[track_caller]
fn assert_exactly(events: &[SourceEvent], expected: &BTreeSet<(u32, u32)>, context: &str) {
    let records = read(events);
    let mut last = BTreeMap::new();
    for &(key, n) in &records {
        let before = last.insert(key, n);
        assert!(before < Some(n), "{context}: key {key}: {n} was read after {before:?}");
    }
    assert_eq!(&records.iter().copied().collect::<BTreeSet<_>>(), expected, "{context}");
    assert_eq!(records.len(), expected.len(), "{context}: nothing is read twice");
}

/// Answers how many shards had parents.
fn assert_parents_come_first(events: &[SourceEvent]) -> usize {
    let mut children = 0;
    for (at, event) in events.iter().enumerate() {
        let SourceEvent::ShardOpened { parents, .. } = event else { continue };
        children += usize::from(!parents.is_empty());
        for later in &events[at..] {
            let late = matches!(later, SourceEvent::Chunk(chunk) if parents.contains(&chunk.shard));
            assert!(!late, "{parents:?} were read after their child was opened");
        }
    }
    children
}

/// Key and number of each record, in the order they were read.
fn read(events: &[SourceEvent]) -> Vec<(u32, u32)> {
    let mut records = Vec::new();
    for event in events {
        let SourceEvent::Chunk(chunk) = event else { continue };
        let keys = chunk.keys.as_ref().expect("Kinesis has partition keys");
        for (data, partition_key) in chunk.data.iter().zip(keys) {
            let record: Value = serde_json::from_slice(data.unwrap()).unwrap();
            let number = |field: &str| u32::try_from(record[field].as_u64().unwrap()).unwrap();
            assert_eq!(partition_key, Some(format!("key-{}", number("key")).as_str()));
            records.push((number("key"), number("n")));
        }
    }
    records
}

/// Whether every shard being read has said that nothing is left, after its last record.
fn is_at_tip(events: &[SourceEvent]) -> bool {
    let mut at_tip: BTreeMap<&ShardId, bool> = BTreeMap::new();
    for event in events {
        match event {
            SourceEvent::ShardOpened { shard, .. } => drop(at_tip.insert(shard, false)),
            SourceEvent::Chunk(chunk) => drop(at_tip.insert(&chunk.shard, false)),
            SourceEvent::Tip { shard, .. } => drop(at_tip.insert(shard, true)),
            SourceEvent::ShardClosed { shard } => drop(at_tip.remove(shard)),
            SourceEvent::Behind { .. } | SourceEvent::Watermark { .. } => {}
        }
    }
    !at_tip.is_empty() && at_tip.values().all(|&is_at_tip| is_at_tip)
}

/// Where to resume after these events.
fn offsets(events: &[SourceEvent]) -> Offsets {
    let position = |event: &SourceEvent| match event {
        SourceEvent::Chunk(chunk) => Some((chunk.shard.clone(), chunk.to.clone())),
        _ => None,
    };
    events.iter().filter_map(position).collect()
}

const FROM_START: &[(&str, &str)] = &[("source.init.position", "TRIM_HORIZON")];

/// A stream of two shards on a server, and what was put.
struct Stream {
    client: Client,
    registry: Registry,
    endpoint: String,
    next: u32,
    /// Key and number of each record, and the shard that took it.
    stored: BTreeMap<(u32, u32), String>,
}

impl Stream {
    async fn create(server: &Server) -> Self {
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
        let registry = Registry::new(Context { aws, ..Context::new(Arc::new(WallClock)) });
        let stream = Self { client: Client::from_conf(config), registry, endpoint, next: 0, stored: BTreeMap::new() };
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

    async fn put(&mut self, count: u32) {
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

    /// Splits a shard in the middle.
    async fn split(&self, shard: &str) {
        let list = self.client.list_shards().stream_name(STREAM).send().await.unwrap();
        let listed = list.shards().iter().find(|listed| listed.shard_id() == shard).expect("the shard is listed");
        let range = listed.hash_key_range().expect("every shard has a range");
        let (start, end): (u128, u128) =
            (range.starting_hash_key().parse().unwrap(), range.ending_hash_key().parse().unwrap());
        let middle = (start + (end - start) / 2).to_string();
        let split = self.client.split_shard().stream_name(STREAM).shard_to_split(shard);
        split.new_starting_hash_key(middle).send().await.unwrap();
        self.wait_until_active().await;
    }

    fn records(&self) -> BTreeSet<(u32, u32)> {
        self.stored.keys().copied().collect()
    }

    fn shards(&self) -> BTreeSet<String> {
        self.stored.values().cloned().collect()
    }

    fn source(&self, more: &[(&str, &str)]) -> Box<dyn Source> {
        let base = [("connector", "kinesis"), ("stream", STREAM), ("format", "json"), ("aws.region", "us-east-1")];
        let endpoint = [("aws.endpoint", self.endpoint.as_str())];
        let options = base.iter().chain(&endpoint).chain(more).copied().collect();
        let fields = vec![Field::new("key", DataType::Int64, true), Field::new("n", DataType::Int64, true)];
        let schema = Arc::new(Schema::new(fields));
        let table = TableDecl { name: STREAM.into(), schema, primary_key: vec![], options };
        self.registry.source(&table).unwrap()
    }

    /// Everything from a start to the tip of every shard.
    async fn read_to_tip(&self, start: &[(&str, &str)], resume: Offsets) -> Vec<SourceEvent> {
        let output = Output(watch::Sender::new(Vec::new()), Mutex::new(resume.clone()));
        run(self.source(start), resume, &output, output.wait(is_at_tip)).await;
        output.events()
    }
}

/// Runs a source until `meanwhile` is done.
async fn run(source: Box<dyn Source>, resume: Offsets, output: &Output, meanwhile: impl Future<Output = ()>) {
    tokio::select! {
        ended = source.run(resume.into(), output) => panic!("the source ended: {ended:?}"),
        () = meanwhile => {}
    }
}

/// Keeps what a source sends, and checks that its offsets have no gaps and no overlaps.
#[derive(Default)]
struct Output(watch::Sender<Vec<SourceEvent>>, Mutex<Offsets>);

impl Output {
    async fn wait(&self, enough: impl Fn(&[SourceEvent]) -> bool) {
        self.0.subscribe().wait_for(|events| enough(events)).await.expect("the sender is here");
    }

    fn events(&self) -> Vec<SourceEvent> {
        self.0.borrow().clone()
    }
}

impl SourceOutput for Output {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        if let SourceEvent::Chunk(chunk) = &event {
            self.1.lock().unwrap().advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).unwrap();
        }
        self.0.send_modify(|events| events.push(event));
        Box::pin(std::future::ready(Ok(())))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
