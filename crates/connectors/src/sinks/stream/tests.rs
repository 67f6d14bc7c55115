//! That readers of a stream get every row of a query once, whenever its process is killed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use millstream_core::{Connectors, TableDecl};
use millstream_local_kinesis::{HashKey, NewStream, Settings};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::testing::{StepClock, store};
use crate::{Context, Registry};

const START: i64 = 1_767_225_600_000;

/// A row: a number and the key it goes by.
type Row = (i64, &'static str);

fn sink(store: &Store, more: &[(&str, &str)], seed: u64) -> Box<dyn Sink> {
    let base = [("connector", "stream"), ("stream", "s"), ("format", "json")];
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("k", DataType::Utf8, true)];
    let options = base.iter().chain(more).copied().collect();
    let table = TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options };
    let context = Context::new(Arc::new(StepClock::at(START)));
    Registry::new(Context { store: Some(store.clone()), seed, ..context }).sink(&table, "q").unwrap()
}

fn emission(rows: &[Row]) -> Emission {
    let columns: [(_, ArrayRef); 2] = [
        ("n", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
        ("k", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>())),
    ];
    Emission { rows: RecordBatch::try_from_iter(columns).unwrap(), window: None }
}

fn payload((n, k): Row) -> String {
    format!("{{\"n\":{n},\"k\":\"{k}\"}}")
}

/// What the query `q` has in the stream: shards in the order in which they were made, so that a key's records are in
/// theirs.
fn stored(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for shard in store.tips("s").unwrap().keys() {
        let page = store.read("s", *shard, Position::TrimHorizon, 100_000, 100 << 20).unwrap();
        let own = page.records().filter(|record| record.writer == Some("q"));
        found.extend(own.map(|record| String::from_utf8(record.data.to_vec()).unwrap()));
    }
    found
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

async fn state(sink: &mut Box<dyn Sink>) -> SinkState {
    SinkState { note: sink.prepare(false).await.unwrap().note, pending: Vec::new() }
}

async fn split(store: &Store, random: &mut SmallRng) {
    let info = store.describe("s").unwrap();
    let open: Vec<_> = info.open_shards().collect();
    let shard = open[random.random_range(0..open.len())];
    let middle = HashKey(shard.range.start.0.midpoint(shard.range.end.0));
    store.split_shard("s", shard.id, middle).await.unwrap();
}

async fn put_foreign(store: &Store, row: Row, random: &mut SmallRng) {
    let record = PutRecord { partition_key: row.1.into(), explicit_hash_key: None, data: payload(row).into() };
    let writer = ["another query", "Q"][random.random_range(0..2)];
    store.put("s", vec![record.clone()]).await.unwrap();
    store.put_as("s", writer, vec![record]).await.unwrap();
}

/// A query of known rows that is killed again and again.
async fn killed_at_random(seed: u64, more: &[(&str, &str)]) {
    let mut random = SmallRng::seed_from_u64(seed);
    let (store, _folder) = store(&StepClock::at(START));
    store.create_stream(NewStream::new("s", 2)).await.unwrap();
    // Many are alike.
    let row = |_| (random.random_range(0..12), ["a", "b", "c", "d"][random.random_range(0..4)]);
    let rows: Vec<Row> = (0..80).map(row).collect();

    let mut sink = self::sink(&store, more, seed);
    sink.recover(None).await.unwrap();
    let mut checkpoint = (0, state(&mut sink).await);
    let (mut at, mut kills) = (0, 0);
    while at < rows.len() {
        match random.random_range(0..100) {
            0..60 => {
                let end = (at + random.random_range(1..8)).min(rows.len());
                sink.write(&emission(&rows[at..end])).await.unwrap();
                at = end;
            }
            60..75 => {
                let taken = (at, state(&mut sink).await);
                // It may not become durable.
                if random.random_bool(0.8) {
                    checkpoint = taken;
                    if random.random_bool(0.8) {
                        sink.commit().await.unwrap();
                        continue;
                    }
                }
                (kills, at) = (kills + 1, checkpoint.0);
                sink = self::sink(&store, more, random.random());
                sink.recover(Some(&checkpoint.1)).await.unwrap();
            }
            75..85 => {
                (kills, at) = (kills + 1, checkpoint.0);
                sink = self::sink(&store, more, random.random());
                sink.recover(Some(&checkpoint.1)).await.unwrap();
            }
            85..97 => put_foreign(&store, rows[random.random_range(0..rows.len())], &mut random).await,
            _ => split(&store, &mut random).await,
        }
        assert!(kills < 1000, "seed {seed} does not come to an end");
    }
    let (found, expected) = (stored(&store), rows.iter().copied().map(payload).collect::<Vec<_>>());
    assert_eq!(sorted(found.clone()), sorted(expected.clone()), "seed {seed}, {kills} kills");
    if !more.is_empty() {
        for key in ["a", "b", "c", "d"] {
            let of_key = |rows: &[String]| rows.iter().filter(|row| row.contains(key)).cloned().collect::<Vec<_>>();
            assert_eq!(of_key(&found), of_key(&expected), "seed {seed}, key {key}");
        }
    }
}

#[tokio::test]
async fn each_row_is_there_once_whenever_the_process_is_killed() {
    for seed in 0..40 {
        let keyed: &[(&str, &str)] = if seed % 4 == 0 { &[] } else { &[("sink.partition-key", "k")] };
        killed_at_random(seed, keyed).await;
    }
}

#[tokio::test]
async fn a_query_that_starts_anew_stores_what_an_earlier_one_of_its_name_had_stored() {
    let (store, _folder) = store(&StepClock::at(START));
    let rows = emission(&[(1, "a"), (2, "b")]);
    for run in 1..4 {
        let mut sink = sink(&store, &[], 0);
        sink.recover(None).await.unwrap();
        let first = state(&mut sink).await;
        sink.write(&rows).await.unwrap();
        assert_eq!(stored(&store).len(), run * 2);
        // Rows of the run before are no rows of this one.
        let mut again = self::sink(&store, &[], 1);
        again.recover(Some(&first)).await.unwrap();
        again.write(&rows).await.unwrap();
        assert_eq!(stored(&store).len(), run * 2);
    }
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_looked_through_from_its_beginning() {
    let (store, _folder) = store(&StepClock::at(START));
    let mut sink = self::sink(&store, &[], 0);
    sink.recover(None).await.unwrap();
    sink.write(&emission(&[(1, "a")])).await.unwrap();
    let checkpoint = state(&mut sink).await;
    store.delete_stream("s").await.unwrap();
    sink.write(&emission(&[(2, "b")])).await.unwrap();
    let mut sink = self::sink(&store, &[], 1);
    sink.recover(Some(&checkpoint)).await.unwrap();
    sink.write(&emission(&[(2, "b"), (3, "c")])).await.unwrap();
    assert_eq!(stored(&store), [payload((2, "b")), payload((3, "c"))]);
    store.delete_stream("s").await.unwrap();
    let mut sink = self::sink(&store, &[], 2);
    sink.recover(Some(&checkpoint)).await.unwrap();
    sink.write(&emission(&[(2, "b")])).await.unwrap();
    assert_eq!(stored(&store), [payload((2, "b"))]);
}

#[tokio::test]
async fn what_was_stored_of_refused_rows_is_not_stored_again() {
    let (store, _folder) = store(&StepClock::at(START));
    let long: &'static str = "x".repeat(2 << 20).leak();
    let mut rows: Vec<Row> = (0..i64::try_from(PUT_RECORDS_MAX).unwrap() + 100).map(|n| (n, "k")).collect();
    rows.last_mut().unwrap().1 = long;
    let mut sink = sink(&store, &[], 0);
    for _ in 0..3 {
        let refused = sink.write(&emission(&rows)).await.unwrap_err();
        assert!(matches!(refused, SinkError::Fatal { .. }), "{refused}");
        assert_eq!(stored(&store).len(), PUT_RECORDS_MAX);
        let unready = sink.prepare(false).await.unwrap_err();
        assert!(matches!(unready, SinkError::Retry { .. }), "{unready}");
    }
}

#[tokio::test]
async fn a_full_disk_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { free_bytes_min: u64::MAX, ..Settings::default() };
    let store = Store::open(folder.path(), &settings, Arc::new(|| START)).unwrap();
    let mut sink = sink(&store, &[], 0);
    sink.recover(None).await.unwrap();
    let full = sink.write(&emission(&[(1, "a")])).await.unwrap_err();
    assert!(matches!(&full, SinkError::Retry { .. }) && full.to_string().contains("make room"), "{full}");
    assert_eq!(stored(&store).len(), 0);
}

#[tokio::test]
async fn a_note_of_something_else_is_refused() {
    let (store, _folder) = store(&StepClock::at(START));
    for note in ["-", "{\"files\":[]}", "{\"stream\":1,\"ends\":{},\"replayed\":{\"?\":1}}"] {
        let state = SinkState { note: note.to_owned(), pending: Vec::new() };
        let refused = sink(&store, &[], 0).recover(Some(&state)).await.unwrap_err();
        assert!(matches!(refused, SinkError::Fatal { .. }), "{note}");
    }
}
