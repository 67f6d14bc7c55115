//! Positions, pages and waiting.

use futures::FutureExt;
use millstream_local_kinesis::{Position, ReadError, ShardId};

use crate::fixture::{Fixture, HOUR_MS, MIB, START_MS, record, texts};

#[tokio::test]
async fn each_position_starts_where_it_says() {
    let fixture = Fixture::with_stream(1).await;
    let mut stored = Vec::new();
    for text in ["a", "b", "c"] {
        stored.push(fixture.put(text).await.sequence_number);
        fixture.advance_ms(1000);
    }
    let cases = [
        (Position::TrimHorizon, vec!["a", "b", "c"]),
        (Position::Latest, vec![]),
        (Position::At(stored[1]), vec!["b", "c"]),
        (Position::After(stored[1]), vec!["c"]),
        (Position::After(stored[2]), vec![]),
        (Position::AtTimestamp(START_MS - 1), vec!["a", "b", "c"]),
        (Position::AtTimestamp(START_MS + 1000), vec!["b", "c"]),
        (Position::AtTimestamp(START_MS + 1001), vec!["c"]),
        (Position::AtTimestamp(START_MS + 2999), vec![]),
        (Position::AtTimestamp(START_MS + HOUR_MS), vec![]),
    ];
    for (position, expected) in cases {
        let page = fixture.read(0, position);
        assert_eq!(texts(&page), expected, "{position:?}");
        assert_eq!((page.next, page.tip), (Position::After(stored[2]), stored[2]), "{position:?}");
        assert_eq!((page.millis_behind_latest, page.end_of_shard), (0, false), "{position:?}");
    }
}

#[tokio::test]
async fn pages_keep_to_their_bounds_and_lose_nothing() {
    let fixture = Fixture::with_stream(1).await;
    let all: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    for chunk in all.chunks(7) {
        fixture.store.put("s", chunk.iter().map(|text| record("key", text)).collect()).await.unwrap();
    }
    fixture.advance_ms(500);
    for (records_max, bytes_max, largest) in [(1, MIB, 1), (3, MIB, 3), (8, MIB, 8), (100, 10, 2), (100, 1, 1)] {
        let (mut position, mut seen) = (Position::TrimHorizon, Vec::new());
        loop {
            let page = fixture.store.read("s", ShardId(0), position, records_max, bytes_max).unwrap();
            assert!(page.len() <= largest && page.len() == page.records().count());
            seen.extend(texts(&page).into_iter().map(str::to_owned));
            position = page.next;
            assert_eq!(page.millis_behind_latest, if seen.len() == all.len() { 0 } else { 500 });
            if page.millis_behind_latest == 0 {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let fixture = Fixture::with_stream(2).await;
    let stored = fixture.put("a").await;
    let other = ShardId(1 - stored.shard.0);
    let read = |stream, shard, position| fixture.store.read(stream, shard, position, 1, 1).unwrap_err();
    assert!(matches!(read("x", ShardId(0), Position::Latest), ReadError::NoStream(_)));
    assert!(matches!(read("s", ShardId(9), Position::Latest), ReadError::NoShard { .. }));
    let foreign = read("s", other, Position::After(stored.sequence_number));
    assert!(matches!(foreign, ReadError::ForeignPosition { .. }), "{foreign}");
}

#[tokio::test]
async fn waiting_ends_with_a_record_a_close_or_a_deletion() {
    let fixture = Fixture::with_stream(1).await;
    let wait = |position| fixture.store.wait_for_records("s", ShardId(0), position);
    let mut latest = Box::pin(wait(Position::Latest));
    assert!(latest.as_mut().now_or_never().is_none());
    let first = fixture.put("a").await.sequence_number;
    latest.await.unwrap();
    wait(Position::TrimHorizon).now_or_never().unwrap().unwrap();

    let mut closing = Box::pin(wait(Position::After(first)));
    assert!(closing.as_mut().now_or_never().is_none());
    let middle = "170141183460469231731687303715884105728".parse().unwrap();
    fixture.store.split_shard("s", ShardId(0), middle).await.unwrap();
    closing.await.unwrap();

    let mut deleted = Box::pin(fixture.store.wait_for_records("s", ShardId(1), Position::Latest));
    assert!(deleted.as_mut().now_or_never().is_none());
    fixture.store.delete_stream("s").await.unwrap();
    assert!(matches!(deleted.await, Err(ReadError::NoStream(_))));
}

#[tokio::test]
async fn an_extent_counts_what_is_left() {
    let fixture = Fixture::with_stream(1).await;
    let empty = fixture.store.extent("s", ShardId(0)).unwrap();
    assert_eq!((empty.records, empty.first, empty.last), (0, None, None));
    let first = fixture.put("a").await.sequence_number;
    let last = fixture.store.put("s", vec![record("b", ""), record("c", "")]).await.unwrap()[1].sequence_number;
    let extent = fixture.store.extent("s", ShardId(0)).unwrap();
    assert_eq!((extent.records, extent.first, extent.last), (3, Some(first), Some(last)));
}
