//! The embedded stream, read and written.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use millstream_core::{Connectors, Emission, TableDecl};
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
