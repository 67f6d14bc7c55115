//! Splits and merges: who owns which keys, and the order across a reshard.

use millstream_local_kinesis::{ControlError, HashKey, Position, ShardId};

use crate::fixture::{Fixture, HOUR_MS, START_MS, texts};

const MIDDLE: HashKey = HashKey(1 << 127);

#[tokio::test]
async fn open_shards_own_every_key_once_after_any_reshard() {
    let fixture = Fixture::with_stream(1).await;
    let mut fixture = fixture;
    fixture.store.split_shard("s", ShardId(0), MIDDLE).await.unwrap();
    fixture.store.split_shard("s", ShardId(1), HashKey(1)).await.unwrap();
    fixture.store.split_shard("s", ShardId(2), HashKey(u128::MAX)).await.unwrap();
    assert_eq!(fixture.store.merge_shards("s", ShardId(5), ShardId(4)).await.unwrap(), ShardId(7));
    fixture = fixture.reopened();
    let info = fixture.store.describe("s").unwrap();
    let mut open: Vec<_> = info.open_shards().map(|shard| (shard.range.start.0, shard.range.end.0)).collect();
    open.sort_unstable();
    assert_eq!((open[0], open[open.len() - 1].1), ((0, 0), u128::MAX));
    assert!(open.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{open:?}");
    let merged = info.shard(ShardId(7)).unwrap();
    assert_eq!(merged.parents, [ShardId(5), ShardId(4)]);
}

#[tokio::test]
async fn children_come_after_their_parents() {
    let fixture = Fixture::with_stream(2).await;
    let before = [fixture.put("a").await, fixture.put("b").await];
    // Even if the clock went back in between.
    fixture.advance_ms(-HOUR_MS);
    let child = fixture.store.merge_shards("s", ShardId(0), ShardId(1)).await.unwrap();
    fixture.advance_ms(-HOUR_MS);
    let after = fixture.put("a").await;
    assert_eq!(after.shard, child);
    let info = fixture.store.describe("s").unwrap();
    for parent in &info.shards[..2] {
        let ending = parent.ending.unwrap();
        assert!(before.iter().filter(|put| put.shard == parent.id).all(|put| put.sequence_number < ending));
        assert!(ending < info.shards[2].starting && info.shards[2].starting < after.sequence_number);
        let page = fixture.read(parent.id.0, Position::After(ending));
        assert!(page.is_empty() && page.end_of_shard);
    }
    assert!(after.sequence_number.arrival_ms() >= START_MS);
}

#[tokio::test]
async fn the_last_page_of_a_closed_shard_names_its_children() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a").await;
    fixture.put("b").await;
    let children = fixture.store.split_shard("s", ShardId(0), MIDDLE).await.unwrap();
    let first = fixture.store.read("s", ShardId(0), Position::TrimHorizon, 1, 100).unwrap();
    assert_eq!((texts(&first), first.end_of_shard, first.children.len()), (vec!["a"], false, 0));
    let last = fixture.store.read("s", ShardId(0), first.next, 1, 100).unwrap();
    assert_eq!((texts(&last), last.end_of_shard), (vec!["b"], true));
    assert_eq!(last.children.iter().map(|child| child.id).collect::<Vec<_>>(), children);
    assert!(last.children.iter().all(|child| child.parents == [ShardId(0)]));
}

#[tokio::test]
async fn what_cannot_be_resharded_is_refused_and_changes_nothing() {
    let fixture = Fixture::with_stream(3).await;
    let info = fixture.store.describe("s").unwrap();
    let (store, shards) = (&fixture.store, &info.shards);
    let split = async |shard, at| store.split_shard("s", shard, at).await.unwrap_err();
    assert!(matches!(split(ShardId(0), HashKey(0)).await, ControlError::Invalid(_)));
    assert!(matches!(split(ShardId(0), shards[1].range.start).await, ControlError::Invalid(_)));
    assert!(matches!(split(ShardId(9), MIDDLE).await, ControlError::NoShard { .. }));
    let merge = async |one, other| store.merge_shards("s", one, other).await.unwrap_err();
    assert!(matches!(merge(ShardId(0), ShardId(2)).await, ControlError::Invalid(_)));
    assert!(matches!(merge(ShardId(1), ShardId(1)).await, ControlError::Invalid(_)));
    assert_eq!(store.describe("s").unwrap(), info);
    store.merge_shards("s", ShardId(0), ShardId(1)).await.unwrap();
    assert!(matches!(merge(ShardId(1), ShardId(2)).await, ControlError::ShardClosed { .. }));
}
