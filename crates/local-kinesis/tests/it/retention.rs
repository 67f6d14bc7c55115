//! Retention: what has expired is hidden at once and deleted by the next round.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_local_kinesis::{
    ControlError, HashKey, NewStream, Position, ReadError, Settings, ShardId, Store, Trimmed,
};

use crate::fixture::{Fixture, HOUR_MS, START_MS, texts};

#[tokio::test]
async fn expired_records_are_hidden_and_then_deleted() {
    let mut fixture = Fixture::with_stream(1).await;
    fixture.put("old").await;
    fixture.advance_ms(HOUR_MS);
    let young = fixture.put("young").await;
    assert_eq!(fixture.store.trim().await.unwrap(), Trimmed::default());

    fixture.advance_ms(23 * HOUR_MS + 1);
    let positions = [Position::TrimHorizon, Position::AtTimestamp(START_MS), Position::At(young.sequence_number)];
    for position in positions {
        assert_eq!(texts(&fixture.read(0, position)), ["young"], "{position:?}");
    }
    assert_eq!(fixture.store.trim().await.unwrap().blocks, 1);
    fixture = fixture.reopened();
    assert_eq!(fixture.store.trim().await.unwrap().blocks, 0);
    for position in positions {
        assert_eq!(texts(&fixture.read(0, position)), ["young"], "{position:?}");
    }

    fixture.advance_ms(HOUR_MS);
    fixture.store.trim().await.unwrap();
    // With nothing left, and a clock that went back: the numbers still grow.
    fixture.advance_ms(-20 * HOUR_MS);
    fixture = fixture.reopened();
    assert!(fixture.put("next").await.sequence_number > young.sequence_number);
}

#[tokio::test]
async fn a_closed_shard_goes_when_all_it_held_has_expired() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("old").await;
    fixture.advance_ms(HOUR_MS);
    fixture.store.split_shard("s", ShardId(0), HashKey(1)).await.unwrap();
    fixture.advance_ms(24 * HOUR_MS);
    assert_eq!(fixture.store.trim().await.unwrap(), Trimmed { blocks: 1, ..Trimmed::default() });
    assert!(fixture.read(0, Position::TrimHorizon).end_of_shard);
    fixture.advance_ms(1);
    assert_eq!(fixture.store.trim().await.unwrap(), Trimmed { shards: 1, ..Trimmed::default() });
    let gone = fixture.store.read("s", ShardId(0), Position::TrimHorizon, 1, 1).unwrap_err();
    assert!(matches!(gone, ReadError::NoShard { .. }));
    let info = fixture.store.describe("s").unwrap();
    assert_eq!(info.shards.iter().map(|shard| shard.id).collect::<Vec<_>>(), [ShardId(1), ShardId(2)]);
}

#[tokio::test]
async fn the_committer_trims_by_itself() {
    let mut fixture = Fixture::with_stream(1).await;
    let Fixture { store, clock, folder } = fixture;
    drop(store);
    let now = Arc::clone(&clock);
    let now = Arc::new(move || now.load(Ordering::SeqCst));
    fixture = Fixture { store: Store::open(folder.path(), &Settings::default(), now).unwrap(), clock, folder };
    fixture.put("old").await;
    fixture.advance_ms(25 * HOUR_MS);
    // The round comes after this commit, and before the next one is taken.
    fixture.put("young").await;
    fixture.put("younger").await;
    assert_eq!(fixture.store.trim().await.unwrap(), Trimmed::default());
    assert_eq!(texts(&fixture.read(0, Position::TrimHorizon)), ["young", "younger"]);
}

#[tokio::test]
async fn retention_keeps_to_its_bounds() {
    let fixture = Fixture::with_stream(1).await;
    let hours = || fixture.store.describe("s").unwrap().retention_hours;
    for bad in [0, 23, 8761] {
        let refused = fixture.store.increase_retention("s", bad).await;
        assert!(matches!(refused, Err(ControlError::Invalid(_))), "{bad}");
    }
    fixture.store.increase_retention("s", 8760).await.unwrap();
    assert_eq!(hours(), 8760);
    assert!(matches!(fixture.store.increase_retention("s", 48).await, Err(ControlError::Invalid(_))));
    fixture.put("old").await;
    fixture.advance_ms(25 * HOUR_MS);
    assert_eq!(texts(&fixture.read(0, Position::TrimHorizon)), ["old"]);
    fixture.store.decrease_retention("s", 24).await.unwrap();
    assert!(fixture.read(0, Position::TrimHorizon).is_empty());
    assert!(matches!(fixture.store.decrease_retention("s", 25).await, Err(ControlError::Invalid(_))));
}

#[tokio::test]
async fn a_reader_that_comes_back_is_told_what_it_has_missed() {
    let fixture = Fixture::with_stream(2).await;
    let first = fixture.put("a").await;
    let check = |fixture: &Fixture, after| fixture.store.check_resume("s", first.shard, after);
    check(&fixture, first.sequence_number).unwrap();
    for _ in 0..3 {
        fixture.put("a").await;
        fixture.advance_ms(HOUR_MS);
    }
    let last = fixture.put("a").await;
    check(&fixture, first.sequence_number).unwrap();
    // The record itself may go: nothing after it has.
    fixture.advance_ms(21 * HOUR_MS);
    check(&fixture, first.sequence_number).unwrap();
    for (hours, expected) in [(1, 1), (1, 2), (5, 4)] {
        fixture.advance_ms(hours * HOUR_MS);
        for trimmed in [false, true] {
            if trimmed {
                fixture.store.trim().await.unwrap();
            }
            let told = check(&fixture, first.sequence_number).unwrap_err();
            assert!(
                matches!(told, ReadError::Expired { lost, hours: 24, .. } if lost == expected),
                "{told} {expected}"
            );
            check(&fixture, last.sequence_number).unwrap();
        }
    }
    let other = ShardId(1 - first.shard.0);
    let foreign = fixture.store.check_resume("s", other, last.sequence_number).unwrap_err();
    assert!(matches!(foreign, ReadError::ForeignPosition { .. }), "{foreign}");

    fixture.store.delete_stream("s").await.unwrap();
    fixture.store.create_stream(NewStream::new("s", 2)).await.unwrap();
    let anew = check(&fixture, last.sequence_number).unwrap_err();
    assert!(matches!(anew, ReadError::UnknownPosition { .. }), "{anew}");
}
