//! The calls a writer makes.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard};
use bytes::Bytes;
use millstream_core::BoxFuture;
use tokio::sync::OnceCell;

use super::Target;
use crate::aws::faults::Fault;
use crate::aws::shards::list_shards;
use crate::sinks::delivery::{Outcome, Record, Run, Service};

/// Of one call: 5 MiB on a thin line.
const TIMEOUT: Duration = Duration::from_secs(30);
/// One stream to write to.
pub(super) struct PutClient {
    target: Target,
    what: String,
    client: OnceCell<Client>,
}

/// What became of one record of a call.
pub(super) enum Put {
    /// It is in this shard, if the server tells.
    Stored {
        shard: Option<String>,
    },
    Failed(String),
}

impl PutClient {
    pub(super) fn new(target: Target) -> Self {
        let what = format!("Kinesis stream `{}`", target.arn.as_ref().unwrap_or(&target.name));
        Self { target, what, client: OnceCell::new() }
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(&self.target.access.config(TIMEOUT).await) }).await
    }

    /// The name, where it is not named by its ARN: that also reaches streams of other accounts.
    fn name(&self) -> Option<String> {
        self.target.arn.is_none().then(|| self.target.name.clone())
    }

    /// Puts records, each with its partition key; answers for each, in order.
    pub(super) async fn put(&self, records: Vec<(String, Bytes)>) -> Result<Vec<Put>, Fault> {
        let sent = records.len();
        let entry = |(key, data): (String, Bytes)| {
            let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data));
            entry.build().map_err(|error| Fault::Permanent(error.to_string()))
        };
        let entries = records.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let put = self.client().await.put_records().set_records(Some(entries));
        let put = put.set_stream_name(self.name()).set_stream_arn(self.target.arn.clone());
        let reply = put.send().await.map_err(|error| Fault::of(&error))?;
        if reply.records.len() != sent {
            let reason = format!("{sent} records were sent, and {} answered for", reply.records.len());
            return Err(Fault::Retry { reason, least: millstream_core::Duration(0) });
        }
        let put = |entry: aws_sdk_kinesis::types::PutRecordsResultEntry| match entry.error_code {
            None => Put::Stored { shard: entry.shard_id },
            Some(code) => Put::Failed(format!("{code}: {}", entry.error_message.unwrap_or_default())),
        };
        Ok(reply.records.into_iter().map(put).collect())
    }

    /// All shards, closed ones included.
    pub(super) async fn list_shards(&self) -> Result<Vec<Shard>, Fault> {
        let listed = list_shards(self.client().await, self.name(), self.target.arn.clone(), None).await;
        listed.map_err(|error| Fault::of(&error))
    }
}

/// A record of the stream a row.
pub(super) struct Plain {
    pub(super) client: PutClient,
}

impl Service for Plain {
    fn what(&self) -> &str {
        self.client.what()
    }

    fn bytes(&self, record: &Record) -> usize {
        record.key.len() + record.data.len()
    }

    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        Box::pin(async move {
            let records = runs.iter().flat_map(|run| &run.records);
            let records = records.map(|record| (record.key.to_string(), record.data.clone())).collect();
            let outcome = |put| match put {
                Put::Stored { .. } => Outcome::Stored,
                Put::Failed(reason) => Outcome::Failed(reason),
            };
            Ok(self.client.put(records).await?.into_iter().map(outcome).collect())
        })
    }
}
