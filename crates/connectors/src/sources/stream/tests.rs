//! The embedded stream, read and written.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use millstream_core::{Connectors, Emission, Offsets, Start as From, TableDecl};
use millstream_local_kinesis::{HashKey, ShardId as StoredShard};

use super::*;
use crate::testing::{StepClock, collect_until, offsets, payloads, put, records, store, story};
use crate::{Context, Registry};

const START: i64 = 1_767_225_600_000;

fn table(connector: &str, more: &[(&str, &str)]) -> TableDecl {
    let base = [("connector", connector), ("stream", "s"), ("format", "json")];
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("k", DataType::Utf8, true)];
    let options = base.iter().chain(more).copied().collect();
    TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options }
}

fn registry(store: &Store, clock: &StepClock) -> Registry {
    Registry::new(Context { store: Some(store.clone()), ..Context::new(Arc::new(clock.clone())) })
}

fn at_least(count: usize) -> impl Fn(&[SourceEvent]) -> bool + Send + Sync + 'static {
    move |events| records(events) >= count && matches!(events.last(), Some(SourceEvent::Tip { .. }))
}

#[tokio::test]
async fn a_missing_stream_is_created_and_read_from_its_beginning() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    let source = registry(&store, &clock).source(&table("stream", &[("shards", "2")])).unwrap();
    let reading = collect_until(source, Offsets::default(), at_least(10));
    let writing = async {
        while store.describe("s").is_none() {
            tokio::task::yield_now().await;
        }
        put(&store, "s", 0..10).await;
    };
    let (events, ()) = tokio::join!(reading, writing);
    let payloads = payloads(&events.unwrap());
    assert_eq!((payloads.len(), payloads.values().map(Vec::len).sum::<usize>()), (2, 10));
}

#[tokio::test]
async fn positions_decide_where_a_first_reading_starts() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    store.create_stream(NewStream::new("s", 1)).await.unwrap();
    put(&store, "s", 0..2).await;
    clock.sleep(Duration(5000)).await;
    put(&store, "s", 2..5).await;
    let at = ("source.init.timestamp", "2026-01-01T00:00:05Z");
    for (connector, more, expected) in [
        ("stream", &[][..], 5),
        ("kinesis", &[("source.init.position", "TRIM_HORIZON")], 5),
        ("stream", &[("source.init.position", "AT_TIMESTAMP"), at], 3),
        ("stream", &[("source.init.position", "LATEST")], 0),
        ("kinesis", &[], 0),
    ] {
        let source = registry(&store, &clock).source(&table(connector, more)).unwrap();
        let events = collect_until(source, Offsets::default(), at_least(0)).await.unwrap();
        assert_eq!(records(&events), expected, "{connector} {more:?}");
    }
}

#[tokio::test]
async fn parents_are_read_before_children_and_closed_after_they_open() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    store.create_stream(NewStream::new("s", 1)).await.unwrap();
    put(&store, "s", 0..10).await;
    store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&store, "s", 10..20).await;
    store.merge_shards("s", StoredShard(1), StoredShard(2)).await.unwrap();
    put(&store, "s", 20..30).await;
    let source = registry(&store, &clock).source(&table("stream", &[])).unwrap();
    let events = collect_until(source, Offsets::default(), at_least(30)).await.unwrap();
    let mut told = story(&events);
    told[5..7].sort();
    assert_eq!(told[..5], ["+0", "0:10", "+1", "+2", "-0"]);
    assert_eq!(told[7..], ["+3", "-1", "-2", "3:10"]);

    // A checkpoint after any event, a restart, and the rest: every record once.
    for cut in 0..events.len() {
        let resume = offsets(&events[..cut]);
        let source = registry(&store, &clock).source(&table("stream", &[])).unwrap();
        let rest = collect_until(source, resume, at_least(30 - records(&events[..cut]))).await.unwrap();
        let mut all: Vec<_> =
            payloads(&events[..cut]).into_values().chain(payloads(&rest).into_values()).flatten().collect();
        all.sort();
        all.dedup();
        assert_eq!((records(&events[..cut]) + records(&rest), all.len()), (30, 30), "cut {cut}");
    }
}

#[tokio::test]
async fn rows_are_written_with_the_key_of_their_columns() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    let columns: [(_, ArrayRef); 2] =
        [("n", Arc::new(Int64Array::from(vec![Some(1), None]))), ("k", Arc::new(StringArray::from(vec!["a", ""])))];
    let emission = Emission { rows: RecordBatch::try_from_iter(columns).unwrap(), window: None };
    for (more, expected) in
        [(&[("sink.partition-key", "k,n")][..], ["a|1", "|"]), (&[("sink.partition-key", "k")], ["a", "-"])]
    {
        let mut sink = registry(&store, &clock).sink(&table("stream", more), "q").unwrap();
        sink.write(&emission).await.unwrap();
        let page = store.read("s", StoredShard(0), Position::TrimHorizon, 100, 1 << 20).unwrap();
        let written: Vec<_> = page.records().map(|record| (record.partition_key, record.data)).collect();
        let expected = [(expected[0], &br#"{"n":1,"k":"a"}"#[..]), (expected[1], br#"{"n":null,"k":""}"#)];
        assert_eq!(written[written.len() - 2..], expected);
    }
    let unknown = registry(&store, &clock).check(&table("stream", &[("sink.partition-key", "x")])).unwrap_err();
    assert_eq!(unknown.to_string(), "option 'sink.partition-key': table `t` has no column `x`");
}

fn resume(offsets: Offsets, start: Option<From>, since: Option<i64>) -> Resume {
    Resume { offsets, start, since: since.map(EventTime), only: None }
}

/// One reading to the tips of all shards.
async fn read(store: &Store, clock: &StepClock, more: &[(&str, &str)], resume: Resume) -> Vec<SourceEvent> {
    let tipped = |events: &[SourceEvent]| {
        let told = story(events);
        let count = |mark| told.iter().filter(|event| event.starts_with(mark)).count();
        let tip = |event: &SourceEvent| match event {
            SourceEvent::Tip { shard, .. } => Some(shard.clone()),
            _ => None,
        };
        let tips: std::collections::BTreeSet<_> = events.iter().filter_map(tip).collect();
        let open = count('+') - count('-');
        open > 0 && tips.len() == open
    };
    collect_until(registry(store, clock).source(&table("stream", more)).unwrap(), resume, tipped).await.unwrap()
}

const LATEST: &[(&str, &str)] = &[("source.init.position", "LATEST")];

#[tokio::test]
async fn a_query_says_where_it_starts_and_goes_on_from_when_it_began() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    store.create_stream(NewStream::new("s", 1)).await.unwrap();
    put(&store, "s", 0..2).await;
    clock.sleep(Duration(5000)).await;
    put(&store, "s", 2..5).await;
    let at = |ms| Some(From::At(EventTime(START + ms)));
    let timestamp = &[("source.init.position", "AT_TIMESTAMP"), ("source.init.timestamp", "2026-01-01T00:00:05Z")][..];
    for (more, start, since, expected) in [
        (LATEST, Some(From::Beginning), None, 5),
        (&[], Some(From::Latest), None, 0),
        (LATEST, at(5000), None, 3),
        (&[], at(1), None, 3),
        (&[], at(-10_000), None, 5),
        (&[], at(10_000), None, 0),
        (LATEST, None, Some(5000), 3),
        (LATEST, None, Some(0), 5),
        (&[], Some(From::Latest), Some(5000), 3),
        (LATEST, at(0), Some(5000), 5),
        (timestamp, None, Some(0), 3),
        (&[], None, Some(5000), 5),
    ] {
        let resume = resume(Offsets::default(), start, since.map(|ms| START + ms));
        let events = read(&store, &clock, more, resume).await;
        assert_eq!(records(&events), expected, "{more:?} {start:?} {since:?}");
    }
}

#[tokio::test]
async fn what_came_while_a_reading_from_latest_was_interrupted_is_read() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    store.create_stream(NewStream::new("s", 2)).await.unwrap();
    put(&store, "s", 0..20).await;
    clock.sleep(Duration(5000)).await;
    let began = clock.now().0;
    // One shard had records before the interruption, the other none.
    let mut taken = 20..20;
    let first = loop {
        put(&store, "s", taken.end..taken.end + 1).await;
        taken.end += 1;
        let events = read(&store, &clock, LATEST, resume(Offsets::default(), None, Some(began))).await;
        if let Some((shard, _)) = offsets(&events).iter().next() {
            break (shard.clone(), offsets(&events));
        }
    };
    put(&store, "s", taken.end..40).await;
    store.split_shard("s", StoredShard(0), HashKey(1 << 126)).await.unwrap();
    put(&store, "s", 40..60).await;
    store.split_shard("s", StoredShard(1), HashKey((1 << 127) + (1 << 126))).await.unwrap();
    put(&store, "s", 60..80).await;
    for (offsets, expected) in [(Offsets::default(), 60), (first.1, 59)] {
        let events = read(&store, &clock, LATEST, resume(offsets, None, Some(began))).await;
        assert_eq!(records(&events), expected, "after {} {:?}", first.0, story(&events));
    }
}

#[tokio::test]
async fn a_position_that_is_lost_is_an_error_in_words() {
    let clock = StepClock::at(START);
    let (store, _folder) = store(&clock);
    store.create_stream(NewStream::new("s", 1)).await.unwrap();
    put(&store, "s", 0..3).await;
    let events = read(&store, &clock, &[], Resume::default()).await;
    let after_three = offsets(&events);
    let error = async |offsets: &Offsets| {
        let source = registry(&store, &clock).source(&table("stream", &[])).unwrap();
        let error = collect_until(source, offsets.clone(), |_| false).await.unwrap_err();
        assert!(matches!(error, SourceError::Position { .. }), "{error}");
        error.to_string()
    };
    // The last record that was read has expired, and nothing that followed it has.
    clock.sleep(Duration(25 * 3_600_000)).await;
    store.trim().await.unwrap();
    put(&store, "s", 3..5).await;
    assert_eq!(records(&read(&store, &clock, &[], after_three.clone().into()).await), 2);
    store.split_shard("s", StoredShard(0), HashKey(1 << 127)).await.unwrap();
    put(&store, "s", 5..9).await;
    clock.sleep(Duration(25 * 3_600_000)).await;
    let told = error(&after_three).await;
    assert!(told.contains("2 records of shardId-000000000000 that follow it have expired"), "{told}");
    assert!(told.ends_with("start the query anew with START FROM BEGINNING or START FROM LATEST"), "{told}");
    // The shard itself is gone, and of its children the beginning.
    store.trim().await.unwrap();
    let told = error(&after_three).await;
    assert!(told.contains("have expired"), "{told}");

    store.delete_stream("s").await.unwrap();
    store.create_stream(NewStream::new("s", 1)).await.unwrap();
    let told = error(&after_three).await;
    assert!(told.contains("the stream was made anew"), "{told}");
    let unknown = [(ShardId::from("shardId-000000000007"), Offset::from(1))].into_iter().collect();
    let told = error(&unknown).await;
    assert!(told.contains("neither this shard nor a successor"), "{told}");
}
