//! The connector `kinesis` against servers that speak Kinesis' API: ours, kinesis-local, kinesalite and moto. One body, the
//! same claims, by polling and by enhanced fan-out.
//!
//! None of the other servers enforces the limits of AWS's shards or fails on purpose: that is tested where faults are made.

mod seen;
mod stream;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use millstream_core::{Clock, Duration, Offsets, Resume, SourceEvent};

use crate::ours::with_endpoint;
use crate::peers::{Peer, WallClock, peers};
use seen::{Output, assert_exactly, assert_parents_come_first, is_at_tip, offsets, read, run};
use stream::{FROM_START, Stream};

/// Slow machines start Python in seconds; a whole body takes about ten.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);
/// Where a reading is broken off: at every chunk, but for those beyond this many.
const RESTARTS_MAX: usize = 12;
/// A stream takes 20 consumers, and each restart is one.
const PUSHED_RESTARTS_MAX: usize = 6;

/// A server that speaks Kinesis' API, and how it is read.
struct Server {
    port: u16,
    reader: Reader,
    /// Whether readers of a split shard are told that it has ended, as AWS does.
    ends_split_shards: bool,
    /// Whether subscriptions can be had; where they cannot, those who ask for them poll.
    has_fan_out: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Polling,
    FanOut,
}

impl Server {
    fn is_pushed(&self) -> bool {
        self.reader == Reader::FanOut && self.has_fan_out
    }
}

async fn ours_is_read(reader: Reader) {
    with_endpoint(|port| is_read_exactly_once(Server { port, reader, ends_split_shards: true, has_fan_out: true }))
        .await;
}

async fn kinesalite_is_read(reader: Reader) {
    let peer = crate::kinesalite::kinesalite().await;
    is_read_exactly_once(Server { port: peer.port, reader, ends_split_shards: true, has_fan_out: false }).await;
}

/// kinesis-local tells those who poll that a shard has ended, and never those whom it pushes records to.
async fn kinesis_local_is_read(reader: Reader) {
    let folder = peers().join("node/node_modules/kinesis-local");
    assert!(folder.exists(), "kinesis-local is not installed: run `scripts/setup test`");
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/peers/kinesis-local.js")).arg(folder);
    let peer = Peer::start(command).await;
    let ends_split_shards = reader == Reader::Polling;
    is_read_exactly_once(Server { port: peer.port, reader, ends_split_shards, has_fan_out: true }).await;
}

/// moto never ends a shard that was split, and moves its records to the children: what the children hold cannot be read
/// in order. What holds: the shard that was not split goes on, and nothing is read twice.
async fn moto_is_read(reader: Reader) {
    let peer = Peer::moto().await;
    is_read_exactly_once(Server { port: peer.port, reader, ends_split_shards: false, has_fan_out: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_endpoint_is_read_exactly_once() {
    ours_is_read(Reader::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_endpoint_pushes_exactly_once() {
    ours_is_read(Reader::FanOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesis_local_is_read_exactly_once() {
    kinesis_local_is_read(Reader::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesis_local_pushes_exactly_once_but_for_split_shards() {
    kinesis_local_is_read(Reader::FanOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesalite_is_read_exactly_once() {
    kinesalite_is_read(Reader::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesalite_is_polled_where_fan_out_is_asked_for() {
    kinesalite_is_read(Reader::FanOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_is_read_exactly_once_but_for_split_shards() {
    moto_is_read(Reader::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_is_polled_where_fan_out_is_asked_for() {
    moto_is_read(Reader::FanOut).await;
}

async fn is_read_exactly_once(server: Server) {
    let claims = async {
        let mut stream = Stream::create(&server).await;
        starts_where_the_table_says(&mut stream).await;
        resumes_after_every_offset(&stream).await;
        if server.ends_split_shards {
            follows_reshards_while_it_reads(&mut stream).await;
            resumes_after_every_offset(&stream).await;
            one_shard_is_read_to_its_end(&stream).await;
        } else {
            goes_on_with_the_other_shard(&mut stream).await;
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
        output.wait(|events| read(events).len() >= 100).await;
    };
    run(source, Resume::default(), &output, writing).await;
    let after: BTreeSet<_> = stream.records().difference(&before).copied().collect();
    assert_exactly(&output.events(), &after, "LATEST");

    let timestamp = format!("{}.{:03}", between.0 / 1000, between.0 % 1000);
    let at = [("source.init.position", "AT_TIMESTAMP"), ("source.init.timestamp", timestamp.as_str())];
    assert_exactly(&stream.read(&at, Offsets::default(), after.len()).await, &after, "AT_TIMESTAMP");
    let goes_on = Resume { since: Some(between), ..Resume::default() };
    let latest = [("source.init.position", "LATEST")];
    let events = stream.read(&latest, goes_on, after.len()).await;
    assert_exactly(&events, &after, "LATEST, interrupted before the first record");
    let all = stream.records();
    assert_exactly(&stream.read(FROM_START, Offsets::default(), all.len()).await, &all, "TRIM_HORIZON");
}

async fn resumes_after_every_offset(stream: &Stream) {
    let all = stream.records();
    let events = stream.read(FROM_START, Offsets::default(), all.len()).await;
    let chunks = events.iter().enumerate().filter(|(_, event)| matches!(event, SourceEvent::Chunk(_)));
    let restarts_max = if stream.is_pushed { PUSHED_RESTARTS_MAX } else { RESTARTS_MAX };
    for (last, _) in chunks.take(restarts_max) {
        let before = &events[..=last];
        let mut both = before.to_vec();
        both.extend(stream.read(FROM_START, offsets(before), all.len() - read(before).len()).await);
        assert_exactly(&both, &all, "what was read before and after a restart");
    }
}

/// A split, a split of its child before the parent has been read, and a merge of both with what came of them.
async fn follows_reshards_while_it_reads(stream: &mut Stream) {
    let output = Output::default();
    let (source, before) = (stream.source(FROM_START), stream.records().len());
    let reading = async {
        output.wait(|events| read(events).len() >= before).await;
        stream.put(100).await;
        for _ in 0..2 {
            let [first, ..] = &stream.open_shards().await[..] else { panic!("there are open shards") };
            stream.split(first).await;
            stream.put(100).await;
        }
        let [first, second, ..] = &stream.open_shards().await[..] else { panic!("there are two open shards") };
        stream.merge(first, second).await;
        stream.put(100).await;
        output.wait(|events| read(events).len() >= stream.records().len()).await;
    };
    run(source, Resume::default(), &output, reading).await;
    let events = output.events();
    assert_exactly(&events, &stream.records(), "with reshards");
    assert_eq!(assert_parents_come_first(&events), 5, "two pairs of children, and what was merged");
}

async fn one_shard_is_read_to_its_end(stream: &Stream) {
    let shards = stream.shards();
    let ended = shards.first().expect("records were put");
    let resume = Resume { only: Some(ended.as_str().into()), ..Resume::default() };
    let output = Output::default();
    stream.source(FROM_START).run(resume, &output).await.unwrap();
    let events = output.events();
    assert_exactly(&events, &stream.records_of(ended), "of one shard");
    assert!(matches!(events.last(), Some(SourceEvent::ShardClosed { shard }) if shard.as_str() == ended));
}

async fn goes_on_with_the_other_shard(stream: &mut Stream) {
    let first_shards = stream.shards();
    let split = first_shards.first().expect("records were put").clone();
    let output = Output::default();
    let (source, before) = (stream.source(FROM_START), stream.records().len());
    let reading = async {
        output.wait(|events| read(events).len() >= before).await;
        stream.put(100).await;
        stream.split(&split).await;
        stream.put(100).await;
        stream.forget_all_but(&first_shards);
        output.wait(|events| read(events).len() >= stream.records().len()).await;
    };
    run(source, Resume::default(), &output, reading).await;
    assert_exactly(&output.events(), &stream.records(), "with a split");
}
