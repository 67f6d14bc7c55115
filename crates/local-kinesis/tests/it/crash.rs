//! What a process that dies leaves: all that was acknowledged, and a folder that opens.

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use millstream_local_kinesis::{
    ControlError, NewStream, OpenError, Position, PutError, Resource, Settings, ShardId, StorageError, Store,
};

use crate::fixture::{Fixture, open, record, texts};

/// The folder as a crash at this moment would leave it.
pub(crate) fn crash_image(folder: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(folder, image.path());
    image
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives() {
    let fixture = Fixture::with_stream(2).await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let sent: Vec<_> = (0..40).map(|number| format!("{round}/{number}")).collect();
        let puts = sent.iter().map(|text| fixture.store.put("s", vec![record(text, text)]));
        for (text, stored) in sent.iter().zip(join_all(puts).await) {
            acknowledged.push((stored.unwrap()[0], text.clone()));
        }
        let image = crash_image(fixture.folder.path());
        let store = open(image.path(), &fixture.clock);
        for (stored, text) in &acknowledged {
            let page = store.read("s", stored.shard, Position::At(stored.sequence_number), 1, 1).unwrap();
            assert_eq!(texts(&page), [text.as_str()]);
        }
        let after = store.put("s", vec![record("k", "after")]).await.unwrap()[0];
        assert!(
            acknowledged
                .iter()
                .all(|(stored, _)| { stored.shard != after.shard || stored.sequence_number < after.sequence_number })
        );
    }
}

#[tokio::test]
async fn changes_of_streams_survive() {
    let fixture = Fixture::with_stream(1).await;
    fixture.store.create_stream(NewStream::new("gone", 3)).await.unwrap();
    fixture.store.put("gone", vec![record("k", "gone")]).await.unwrap();
    fixture.put("before").await;
    fixture.store.split_shard("s", ShardId(0), "99".parse().unwrap()).await.unwrap();
    fixture.store.increase_retention("s", 48).await.unwrap();
    fixture
        .store
        .add_tags(Resource::Stream("s".into()), [("team".to_owned(), "blue".to_owned())].into())
        .await
        .unwrap();
    fixture.store.delete_stream("gone").await.unwrap();
    let info = fixture.store.describe("s").unwrap();

    let image = crash_image(fixture.folder.path());
    let Fixture { store, clock, folder } = fixture;
    drop(store);
    for folder in [image.path(), folder.path()] {
        let store = open(folder, &clock);
        assert_eq!(store.list(), ["s"]);
        assert_eq!(store.describe("s").unwrap(), info);
        let page = store.read("s", ShardId(0), Position::TrimHorizon, 10, 100).unwrap();
        assert_eq!((texts(&page), page.end_of_shard, page.children.len()), (vec!["before"], true, 2));
        let again = store.create_stream(NewStream::new("gone", 1)).await.unwrap();
        assert!(again.id > info.id + 1, "an id is never used twice");
        assert_eq!(store.extent("gone", ShardId(0)).unwrap().records, 0);
    }
}

#[tokio::test]
async fn a_folder_in_use_is_told() {
    let fixture = Fixture::new();
    let second = Store::open(fixture.folder.path(), &Settings::default(), Arc::new(|| 0));
    let error = second.err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("is in use by another process"));
}

#[tokio::test]
async fn a_disk_without_room_refuses_records_and_breaks_nothing() {
    let mut fixture = Fixture::with_stream(1).await;
    fixture.put("before").await;
    fixture.store.check().await.unwrap();
    let Fixture { store, clock, folder } = fixture;
    drop(store);
    let settings = Settings { free_bytes_min: u64::MAX, ..Settings::default() };
    let store = Store::open(folder.path(), &settings, Arc::new(|| 0)).unwrap();
    for _ in 0..2 {
        let refused = store.put("s", vec![record("k", "refused")]).await.unwrap_err();
        assert!(matches!(&refused, PutError::Storage(StorageError::Full { .. })), "{refused}");
        let unwell = store.check().await.unwrap_err();
        assert!(matches!(&unwell, ControlError::Storage(StorageError::Full { .. })), "{unwell}");
    }
    // What there is can be read, and room can be made.
    let page = store.read("s", ShardId(0), Position::TrimHorizon, 10, 1000).unwrap();
    assert_eq!(texts(&page), ["before"]);
    store.create_stream(NewStream::new("other", 1)).await.unwrap();
    store.delete_stream("other").await.unwrap();
    drop((page, store));
    fixture = Fixture { store: open(folder.path(), &clock), clock, folder };
    fixture.put("after").await;
    assert_eq!(texts(&fixture.read(0, Position::TrimHorizon)), ["before", "after"]);
}
