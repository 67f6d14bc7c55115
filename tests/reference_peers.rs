//! Reference tables and checkpoints in S3, against a server that speaks its API: moto.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use millstream_connectors::{AccessKey, AwsSettings, Context, Registry, checkpoint_store};
use millstream_core::{Connectors, Loaded, Reference, ReferenceError, StoreError, TableDecl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peers::{Peer, WallClock};

const OBJECT: &str = "/items/day/items.csv";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_loaded_when_it_is_another() {
    let server = Peer::moto().await;
    put(&server, "/items", "").await;
    put(&server, OBJECT, "1,a\nx,b\n3,c\n").await;
    let mut items = reference(&server, "s3://items/day/items.csv");

    let first = load(&mut items, None).await.unwrap().expect("nothing is known");
    assert_eq!(ids(&first.rows), [1, 3]);
    let rejected: Vec<_> = first.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(rejected, ["s3://items/day/items.csv:2: column `id`: expected a whole number, found `x`"]);
    assert!(load(&mut items, Some(&first)).await.unwrap().is_none(), "it is unchanged");
    let mut restarted = reference(&server, "s3://items/day/items.csv");
    assert!(load(&mut restarted, Some(&first)).await.unwrap().is_none(), "a version outlives who read it");

    put(&server, OBJECT, "4,d\n").await;
    let second = load(&mut items, Some(&first)).await.unwrap().expect("it was replaced");
    assert_eq!(ids(&second.rows), [4]);
    assert_ne!(second.version, first.version);
    put(&server, OBJECT, "1,a\nx,b\n3,c\n").await;
    let third = load(&mut items, Some(&second)).await.unwrap().expect("it was replaced");
    assert_eq!((third.version, third.rows), (first.version, first.rows));

    send(&server, "DELETE", OBJECT, "").await;
    let error = load(&mut items, Some(&second)).await.unwrap_err();
    assert!(matches!(error, ReferenceError::NotFound { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.starts_with("`s3://items/day/items.csv` does not exist: put it there, or name another"), "{error}");
    assert!(error.contains("NoSuchKey"), "{error}");
    put(&server, OBJECT, "4,d\n").await;
    assert!(load(&mut items, Some(&second)).await.unwrap().is_none(), "it is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_keeps_versions_names_them() {
    let server = Peer::moto().await;
    put(&server, "/items", "").await;
    let on = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
              </VersioningConfiguration>";
    put(&server, "/items?versioning", on).await;
    put(&server, OBJECT, "1,a\n").await;
    let mut items = reference(&server, "s3://items/day/items.csv");
    let first = load(&mut items, None).await.unwrap().expect("nothing is known");
    assert!(first.version.as_str().contains(";version="), "{}", first.version);
    assert!(load(&mut items, Some(&first)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_named() {
    let server = Peer::moto().await;
    let error = load(&mut reference(&server, "s3://itms/day/items.csv"), None).await.unwrap_err();
    assert!(matches!(error, ReferenceError::NotFound { .. }), "{error:?}");
    let expected = "bucket `itms` does not exist: option 'path' must name a bucket of the account and region";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_checkpoints_that_are_created_once() {
    let server = Peer::moto().await;
    put(&server, "/state", "").await;
    put(&server, "/state/orders/q/1", "not below the prefix").await;
    let store = checkpoint_store("s3://state/orders/today", &aws(&server)).unwrap();
    assert_eq!(store.location(), "s3://state/orders/today");
    assert_eq!(store.list("").await, Ok(vec![]));
    for path in ["q/10", "q/9", "q/deep/er/1", "q2/1"] {
        store.create(path, path.into()).await.unwrap();
    }
    let other = checkpoint_store("s3://state/orders/today", &aws(&server)).unwrap();
    assert_eq!(other.create("q/9", b"other".into()).await, Err(StoreError::Exists("q/9".into())));
    assert_eq!(other.read("q/9").await, Ok(b"q/9".into()));
    assert_eq!(other.list("q").await.unwrap(), ["q/10", "q/9", "q/deep/er/1"]);
    assert_eq!(other.list("").await.unwrap(), ["q/10", "q/9", "q/deep/er/1", "q2/1"]);

    store.delete("q/9").await.unwrap();
    store.delete("q/9").await.unwrap();
    assert_eq!(store.read("q/9").await, Err(StoreError::NotFound("q/9".into())));
    assert_eq!(store.list("q").await.unwrap(), ["q/10", "q/deep/er/1"]);
    let large = vec![7; 9_000_000];
    store.create("q/9", large.clone()).await.unwrap();
    assert!(store.read("q/9").await.unwrap() == large);

    let missing = checkpoint_store("s3://stat/orders", &aws(&server)).unwrap();
    for error in [
        missing.create("q/1", vec![]).await.unwrap_err(),
        missing.read("q/1").await.unwrap_err(),
        missing.list("q").await.unwrap_err(),
        missing.delete("q/1").await.unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.starts_with("`s3://stat/orders/q"), "{error}");
        assert!(error.contains("the bucket `stat` does not exist: make it, or name one of the account"), "{error}");
    }
}

fn aws(server: &Peer) -> AwsSettings {
    let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
    let endpoint_url = Some(format!("http://127.0.0.1:{}", server.port));
    AwsSettings { endpoint_url, access_key, ..AwsSettings::default() }
}

fn reference(server: &Peer, path: &str) -> Box<dyn Reference> {
    let registry = Registry::new(Context { aws: aws(server), ..Context::new(Arc::new(WallClock)) });
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
    let options = [("connector", "filesystem"), ("format", "csv"), ("path", path)].into_iter().collect();
    let schema = Arc::new(Schema::new(fields));
    registry.reference(&TableDecl { name: "items".into(), schema, primary_key: vec![], options }).unwrap()
}

async fn load(items: &mut Box<dyn Reference>, known: Option<&Loaded>) -> Result<Option<Loaded>, ReferenceError> {
    items.load(known.map(|loaded| &loaded.version)).await
}

fn ids(rows: &[RecordBatch]) -> Vec<i64> {
    rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

async fn put(server: &Peer, path: &str, body: &str) {
    send(server, "PUT", path, body).await;
}

/// A request by hand: what the connector asks with is not what its answers are made with.
async fn send(server: &Peer, method: &str, path: &str, body: &str) {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    // moto does not check signatures; it refuses who sends none.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: text/csv\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
}
