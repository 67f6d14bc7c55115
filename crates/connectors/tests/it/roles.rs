//! A role is assumed before a stream is read: moto has STS and Kinesis in one process.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use millstream_connectors::{Context, Registry};
use millstream_core::{BoxFuture, Connectors, Resume, SourceError, SourceEvent, SourceOutput, Stopped, TableDecl};

use crate::peers::{Peer, WallClock};

/// Slow machines start Python in seconds.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// Nobody listens.
struct Deaf;

impl SourceOutput for Deaf {
    fn send(&self, _: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Err(Stopped)))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn read(endpoint: &str) -> Result<(), SourceError> {
    let options = [
        ("connector", "kinesis"),
        ("stream", "nowhere"),
        ("format", "json"),
        ("aws.endpoint", endpoint),
        ("aws.credentials.basic.accesskeyid", "id"),
        ("aws.credentials.basic.secretkey", "secret"),
        ("aws.credentials.role.arn", "arn:aws:iam::123456789012:role/reader"),
        ("aws.credentials.role.externalId", "partner"),
        ("aws.credentials.role.stsEndpoint", endpoint),
    ];
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let options = options.into_iter().collect();
    let table = TableDecl { name: "t".into(), schema, primary_key: vec![], options };
    let source = Registry::new(Context::new(Arc::new(WallClock))).source(&table).unwrap();
    source.run(Resume::default(), &Deaf).await
}

#[tokio::test]
async fn a_role_is_assumed_and_its_credentials_are_used() {
    let moto = Peer::moto().await;
    let endpoint = format!("http://127.0.0.1:{}", moto.port);
    // With the role's credentials the call comes through, to a stream that is not there.
    let reading = tokio::time::timeout(PATIENCE, read(&endpoint));
    let error = reading.await.expect("an answer").unwrap_err();
    assert!(matches!(error, SourceError::NotFound { .. }), "{error}");
}
