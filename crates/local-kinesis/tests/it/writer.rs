//! Records that say who wrote them.

use futures::future::join_all;
use millstream_local_kinesis::limits::WRITER_BYTES_MAX;
use millstream_local_kinesis::{Position, PutError};

use crate::fixture::{Fixture, record};

#[tokio::test(flavor = "multi_thread")]
async fn writers_are_kept_beside_what_nobody_signed() {
    let mut fixture = Fixture::with_stream(1).await;
    let store = &fixture.store;
    // Together, so that groups of several writers are committed.
    let puts = (0..60).map(async |number: usize| {
        let records = vec![record("k", &format!("{number}/0")), record("k", &format!("{number}/1"))];
        match number % 3 {
            0 => store.put("s", records).await,
            1 => store.put_as("s", "one", records).await,
            _ => store.put_as("s", "two", records).await,
        }
    });
    for stored in join_all(puts).await {
        stored.unwrap();
    }
    fixture = fixture.reopened();
    let page = fixture.read(0, Position::TrimHorizon);
    assert_eq!(page.len(), 120);
    for record in page.records() {
        let text = std::str::from_utf8(record.data).unwrap();
        let number: usize = text.split('/').next().unwrap().parse().unwrap();
        assert_eq!(record.writer, [None, Some("one"), Some("two")][number % 3], "{text}");
    }
    assert!(page.records().zip(page.records().skip(1)).all(|(a, b)| a.sequence_number < b.sequence_number));
    for record in page.records() {
        let one =
            fixture.store.read("s", millstream_local_kinesis::ShardId(0), Position::At(record.sequence_number), 1, 1);
        assert_eq!(one.unwrap().records().next(), Some(record));
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused() {
    let fixture = Fixture::with_stream(1).await;
    let name = "w".repeat(WRITER_BYTES_MAX + 1);
    let refused = fixture.store.put_as("s", &name, vec![record("k", "v")]).await.unwrap_err();
    assert!(matches!(refused, PutError::Writer { bytes: 1025, limit: 1024 }), "{refused}");
}
