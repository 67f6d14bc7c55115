//! What a folder promises as a store. A bucket's promises are tested against a server: `tests/reference_peers.rs`.

use super::*;

fn open(folder: &std::path::Path) -> Result<Arc<dyn CheckpointStore>, OptionError> {
    checkpoint_store(&folder.display().to_string(), &AwsSettings::default())
}

#[tokio::test]
async fn an_object_is_created_once_read_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("made/for/it")).unwrap();
    assert_eq!(store.location(), folder.path().join("made/for/it").display().to_string());
    assert_eq!(store.list("").await, Ok(vec![]));
    for path in ["q/10", "q/9", "q/deep/er/1", "q2/1", "top"] {
        store.create(path, path.into()).await.unwrap();
    }
    assert_eq!(store.create("q/9", b"other".into()).await, Err(StoreError::Exists("q/9".into())));
    assert_eq!(store.read("q/9").await, Ok(b"q/9".into()));
    assert_eq!(store.list("q").await.unwrap(), ["q/10", "q/9", "q/deep/er/1"]);
    assert_eq!(store.list("").await.unwrap(), ["q/10", "q/9", "q/deep/er/1", "q2/1", "top"]);
    assert_eq!(store.list("nothing").await, Ok(vec![]));

    store.delete("q/9").await.unwrap();
    store.delete("q/9").await.unwrap();
    assert_eq!(store.read("q/9").await, Err(StoreError::NotFound("q/9".into())));
    store.create("q/9", b"anew".into()).await.unwrap();
    assert_eq!(store.read("q/9").await, Ok(b"anew".into()));
}

#[tokio::test]
async fn of_many_that_create_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let tries = futures::future::join_all((0..16u8).map(|number| store.create("q/1", vec![number; 100_000]))).await;
    let won: Vec<_> = (0..16u8).zip(&tries).filter(|(_, answer)| answer.is_ok()).map(|(number, _)| number).collect();
    assert_eq!(won.len(), 1);
    assert!(tries.iter().all(|answer| matches!(answer, Ok(()) | Err(StoreError::Exists(_)))), "{tries:?}");
    assert_eq!(store.read("q/1").await, Ok(vec![won[0]; 100_000]));
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, [".lock", "q"]);
}

#[tokio::test]
async fn what_was_being_written_when_a_process_died_is_invisible_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.create("q/1", b"whole".into()).await.unwrap();
    // Killed between the link and the removal of the first name, and while writing.
    std::fs::hard_link(folder.path().join("q/1"), folder.path().join(".fresh-0")).unwrap();
    std::fs::write(folder.path().join(".fresh-1"), "tor").unwrap();
    assert_eq!(store.list("").await.unwrap(), ["q/1"]);
    drop(store);
    let store = open(folder.path()).unwrap();
    assert!(!folder.path().join(".fresh-0").exists() && !folder.path().join(".fresh-1").exists());
    store.create("q/2", b"next".into()).await.unwrap();
    assert_eq!(store.read("q/1").await, Ok(b"whole".into()));
}

#[tokio::test]
async fn a_folder_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).err().unwrap().to_string();
    let shown = folder.path().display();
    let expected = format!("option 'checkpoints': the folder `{shown}` is in use by another process: stop that one");
    assert!(error.starts_with(&expected), "{error}");
    drop(first);
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn errors_name_the_path_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.create("q/1", b"".into()).await.unwrap();
    for (path, reason) in [
        ("", "an object needs a name"),
        ("../x", "illegal"),
        (".lock", "begins with `.`"),
        ("q/1/2", "File exists"),
        ("q", "directory"),
    ] {
        let error = match path {
            "q" => store.read(path).await.err(),
            _ => store.create(path, vec![]).await.err(),
        };
        let Some(StoreError::Failed { path: named, reason: given }) = &error else { panic!("{path}: {error:?}") };
        assert_eq!(named, path);
        assert!(given.contains(reason), "{path}: {given}");
    }
}

#[test]
fn a_location_is_a_folder_or_a_prefix_in_a_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let aws = AwsSettings::default();
    let shown = |location: &str| checkpoint_store(location, &aws).map(|store| store.location());
    let local = folder.path().display().to_string();
    for (location, expected) in
        [(format!("file://{local}"), local.as_str()), ("s3://b/check/points".to_owned(), "s3://b/check/points")]
    {
        assert_eq!(shown(&location).as_deref(), Ok(expected));
    }
    for location in ["s3://b", "s3://", "s3://b/check/", "", "gs://b/x"] {
        let error = shown(location).unwrap_err().to_string();
        assert!(error.ends_with("expected a local folder or s3://bucket/prefix"), "{error}");
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = shown(&format!("{local}/file")).unwrap_err().to_string();
    assert!(error.contains(&format!("the folder `{local}/file` cannot be made: ")), "{error}");
}
