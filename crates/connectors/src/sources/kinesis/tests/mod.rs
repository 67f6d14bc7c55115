//! Against the embedded stream's wire API on 127.0.0.1: the real SDK, HTTP, JSON.

use arrow::datatypes::{DataType, Field, Schema};
use millstream_core::{
    BoxFuture, Clock, Connectors, Duration, EventTime, Offsets, Resume, ShardId, SourceEvent, Start, TableDecl,
};
use millstream_local_kinesis::{HashKey, NewStream, ShardId as StoredShard, Store};

use super::*;
use crate::testing::{StepClock, collect, collect_until, offsets, payloads, put, records, store, story};
use crate::{AccessKey, AwsSettings, Context, Registry};

mod polled;
mod pushed;
mod scripted;

use scripted::Script;

const START: i64 = 1_767_225_600_000;

/// A Kinesis server of one stream, and a registry that reads it.
struct Server {
    store: Store,
    clock: StepClock,
    /// What the server does besides.
    script: Script,
    endpoint: String,
    registry: Registry,
    _folder: tempfile::TempDir,
}

async fn server(shards: u32) -> Server {
    let clock = StepClock::at(START);
    let (store, folder) = store(&clock);
    store.create_stream(NewStream::new("s", shards)).await.unwrap();
    let script = Script::default();
    let endpoint = scripted::serve(store.clone(), &script).await;
    let registry = registry(Arc::new(clock.clone()), &endpoint);
    Server { store, clock, script, endpoint, registry, _folder: folder }
}

fn registry(clock: Arc<dyn Clock>, endpoint: &str) -> Registry {
    let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
    let aws = AwsSettings { region: None, endpoint_url: Some(endpoint.to_owned()), access_key };
    Registry::new(Context { aws, ..Context::new(clock) })
}

fn table(more: &[(&str, &str)]) -> TableDecl {
    let base = [("connector", "kinesis"), ("stream", "s"), ("format", "json")];
    let fields = vec![Field::new("n", DataType::Int64, true)];
    let options = base.iter().chain(more).copied().collect();
    TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options }
}

const FROM_START: &[(&str, &str)] = &[("source.init.position", "TRIM_HORIZON")];

fn at_least(count: usize) -> impl Fn(&[SourceEvent]) -> bool + Send + Sync + 'static {
    move |events| records(events) >= count && matches!(events.last(), Some(SourceEvent::Tip { .. }))
}

#[tokio::test]
async fn a_split_and_a_merge_are_followed_and_resumed() {
    let server = server(1).await;
    put(&server.store, "s", 0..10).await;
    server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&server.store, "s", 10..20).await;
    server.store.merge_shards("s", StoredShard(1), StoredShard(2)).await.unwrap();
    put(&server.store, "s", 20..30).await;
    let source = server.registry.source(&table(FROM_START)).unwrap();
    let events = collect_until(source, Offsets::default(), at_least(30)).await.unwrap();
    let mut told = story(&events);
    told[5..7].sort();
    assert_eq!(told[..5], ["+0", "0:10", "+1", "+2", "-0"]);
    assert_eq!(told[7..], ["+3", "-1", "-2", "3:10"]);

    for cut in 0..events.len() {
        let resume = offsets(&events[..cut]);
        let source = server.registry.source(&table(FROM_START)).unwrap();
        let rest = collect_until(source, resume, at_least(30 - records(&events[..cut]))).await.unwrap();
        let mut all: Vec<_> =
            payloads(&events[..cut]).into_values().chain(payloads(&rest).into_values()).flatten().collect();
        all.sort();
        all.dedup();
        assert_eq!((records(&events[..cut]) + records(&rest), all.len()), (30, 30), "cut {cut}");
    }
}

#[tokio::test]
async fn a_shard_that_splits_while_it_is_read_is_followed() {
    let server = server(1).await;
    let source = server.registry.source(&table(&[])).unwrap();
    let tipped = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let said = Arc::clone(&tipped);
    let reading = collect_until(source, Offsets::default(), move |events| {
        said.store(
            !events.is_empty() && matches!(events.last(), Some(SourceEvent::Tip { .. })),
            std::sync::atomic::Ordering::SeqCst,
        );
        records(events) >= 20
    });
    let writing = async {
        while !tipped.load(std::sync::atomic::Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        put(&server.store, "s", 0..10).await;
        server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
        put(&server.store, "s", 10..20).await;
    };
    let (events, ()) = tokio::join!(reading, writing);
    let events = events.unwrap();
    assert_eq!(payloads(&events)["shardId-000000000000"].len(), 10, "LATEST begins where the source was started");
    assert_eq!(records(&events), 20);
}

#[tokio::test]
async fn a_query_says_where_it_starts_and_goes_on_from_when_it_began() {
    let server = server(1).await;
    put(&server.store, "s", 0..2).await;
    server.clock.sleep(Duration(5000)).await;
    let began = server.clock.now();
    put(&server.store, "s", 2..5).await;
    server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&server.store, "s", 5..10).await;
    for (more, start, since, expected) in [
        (&[][..], Some(Start::Beginning), None, 10),
        (FROM_START, Some(Start::At(began)), None, 8),
        (&[], None, Some(began), 8),
        (FROM_START, Some(Start::Latest), Some(began), 8),
        (FROM_START, None, Some(EventTime(began.0 + 1)), 10),
        (FROM_START, Some(Start::Latest), None, 0),
    ] {
        let source = server.registry.source(&table(more)).unwrap();
        let resume = Resume { start, since, ..Resume::default() };
        let events = collect_until(source, resume, at_least(expected)).await.unwrap();
        assert_eq!(records(&events), expected, "{more:?} {start:?} {since:?}");
    }
}

#[tokio::test]
async fn a_reading_goes_on_after_what_has_expired_but_not_in_another_stream() {
    let server = server(1).await;
    put(&server.store, "s", 0..3).await;
    let source = server.registry.source(&table(FROM_START)).unwrap();
    let read = offsets(&collect_until(source, Offsets::default(), at_least(3)).await.unwrap());
    for (put_now, expected) in [(0..0, 0), (3..5, 2), (5..9, 4)] {
        put(&server.store, "s", put_now).await;
        let source = server.registry.source(&table(FROM_START)).unwrap();
        let events = collect_until(source, read.clone(), at_least(expected)).await.unwrap();
        assert_eq!(records(&events), expected);
        server.clock.sleep(Duration(25 * 3_600_000)).await;
        server.store.trim().await.unwrap();
    }

    server.store.delete_stream("s").await.unwrap();
    server.store.create_stream(NewStream::new("s", 1)).await.unwrap();
    let unknown = [(millstream_core::ShardId::from("shardId-000000000007"), millstream_core::Offset::from(1))];
    for (resume, words) in [(read, "the stream was made anew"), (unknown.into_iter().collect(), "nor a successor")] {
        let source = server.registry.source(&table(FROM_START)).unwrap();
        let error = collect_until(source, resume, |_| false).await.unwrap_err();
        assert!(matches!(error, SourceError::Position { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn one_shard_is_read_by_itself_to_its_end_and_after_an_offset() {
    let server = server(1).await;
    put(&server.store, "s", 0..10).await;
    server.store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&server.store, "s", 10..20).await;
    let parent = ShardId::from("shardId-000000000000");
    let read = async |only: &ShardId, offsets: Offsets, start: Option<Start>| {
        let source = server.registry.source(&table(&[])).unwrap();
        let resume = Resume { offsets, start, only: Some(only.clone()), ..Resume::default() };
        collect(source, resume).await.unwrap()
    };
    let events = read(&parent, Offsets::default(), Some(Start::Beginning)).await;
    assert_eq!(story(&events), ["+0", "0:10", "-0"]);
    assert_eq!(story(&read(&parent, offsets(&events), None).await), ["+0", "-0"]);
    let gone = ShardId::from("shardId-000000000009");
    assert_eq!(story(&read(&gone, Offsets::default(), None).await), ["+9", "-9"], "expired, so read");

    server.store.merge_shards("s", StoredShard(1), StoredShard(2)).await.unwrap();
    let child = read(&ShardId::from("shardId-000000000001"), Offsets::default(), Some(Start::Beginning)).await;
    let told = story(&child);
    assert_eq!((told.first().unwrap().as_str(), told.last().unwrap().as_str()), ("+1", "-1"));
    assert!(records(&child) > 0);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let server = server(1).await;
    let source = server.registry.source(&table(&[("stream", "other")])).unwrap();
    let error = collect_until(source, Offsets::default(), |_| false).await.unwrap_err();
    assert!(matches!(&error, SourceError::NotFound { what, .. } if what == "Kinesis stream `other`"), "{error}");
}

#[tokio::test]
async fn options_are_checked() {
    let server = server(1).await;
    for (more, key) in [
        (&[("source.reader.type", "PUSH")][..], "source.reader.type"),
        (&[("source.reader.type", "EFO")], "source.efo.consumer.name"),
        (&[("source.efo.consumer.name", "c")], "source.efo.consumer.name"),
        (&[("source.efo.lifecycle", "SELF_MANAGED")], "source.efo.lifecycle"),
        (&[("source.reader.type", "EFO"), ("source.efo.consumer.name", "no spaces")], "source.efo.consumer.name"),
        (&[("source.shard.get-records.max-record-count", "10001")], "source.shard.get-records.max-record-count"),
        (&[("source.reader.empty-records-fetch-interval", "2 h")], "source.reader.empty-records-fetch-interval"),
        (&[("stream.arn", "arn:aws:kinesis:eu-west-1:1:table/s")], "stream.arn"),
        (&[("source.init.postion", "LATEST")], "source.init.postion"),
        (&[("scan.shard.getrecords.interval", "fast")], "scan.shard.getrecords.interval"),
        (&[("stream", "no spaces")], "stream"),
    ] {
        assert_eq!(server.registry.check(&table(more)).unwrap_err().key, key);
    }
    let nowhere = Registry::new(Context::new(Arc::new(StepClock::at(START))));
    assert_eq!(nowhere.check(&table(&[])).unwrap_err().key, "aws.region");
    let arn = [("stream.arn", "arn:aws:kinesis:eu-west-1:123456789012:stream/s")];
    assert_eq!(
        nowhere.check(&table(&arn)).unwrap(),
        Roles { source: Some(Boundedness::Unbounded), sink: true, lookup: false }
    );
}
