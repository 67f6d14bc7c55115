//! The call a writer makes.

use std::time::Duration;

use aws_sdk_firehose::Client;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record as Entry;
use millstream_core::BoxFuture;
use tokio::sync::OnceCell;

use crate::aws::AwsAccess;
use crate::aws::faults::Fault;
use crate::sinks::delivery::{Outcome, Record, Run, Service};

/// Of one call: 4 MiB on a thin line.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A Firehose stream.
pub(super) struct Firehose {
    delivery_stream: String,
    access: AwsAccess,
    pub(super) what: String,
    client: OnceCell<Client>,
}

impl Firehose {
    pub(super) fn new(delivery_stream: String, access: AwsAccess) -> Self {
        let what = format!("Firehose stream `{delivery_stream}`");
        Self { delivery_stream, access, what, client: OnceCell::new() }
    }

    async fn put(&self, runs: &[Run]) -> Result<Vec<Outcome>, Fault> {
        let client = self.client.get_or_init(|| async { Client::new(&self.access.config(TIMEOUT).await) }).await;
        let entry = |record: &Record| {
            let entry = Entry::builder().data(Blob::new(record.data.clone())).build();
            entry.map_err(|error| Fault::Permanent(error.to_string()))
        };
        let entries = runs.iter().flat_map(|run| &run.records).map(entry).collect::<Result<Vec<_>, _>>()?;
        let sent = entries.len();
        let put = client.put_record_batch().delivery_stream_name(&self.delivery_stream).set_records(Some(entries));
        let reply = put.send().await.map_err(|error| Fault::of(&error))?;
        if reply.request_responses.len() != sent {
            let reason = format!("{sent} records were sent, and {} answered for", reply.request_responses.len());
            return Err(Fault::Retry { reason, least: millstream_core::Duration(0) });
        }
        let outcome = |reply: aws_sdk_firehose::types::PutRecordBatchResponseEntry| match reply.error_code {
            None => Outcome::Stored,
            Some(code) => Outcome::Failed(format!("{code}: {}", reply.error_message.unwrap_or_default())),
        };
        Ok(reply.request_responses.into_iter().map(outcome).collect())
    }
}

impl Service for Firehose {
    fn what(&self) -> &str {
        &self.what
    }

    fn bytes(&self, record: &Record) -> usize {
        record.data.len()
    }

    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        Box::pin(self.put(runs))
    }
}
