//! The sink of all services that take batches.

use std::sync::Arc;

use millstream_core::{BoxFuture, Delivery, Emission, FormatError, Prepared, Sink, SinkError};

use super::{Outbox, Record};
use crate::sinks::partition_key::PartitionKeys;
use crate::sinks::payloads::Payloads;

/// What keeps records in order.
pub(crate) enum Keys {
    /// Those of one partition key.
    Partition(PartitionKeys),
    /// Those of one id: rows that are alike. Others overtake each other.
    Id,
    /// Nothing does: each record has a key of its own.
    None { next: u64 },
}

/// Writes rows to a service: at least once.
pub(crate) struct BatchSink {
    pub(crate) what: String,
    pub(crate) payloads: Payloads,
    pub(crate) keys: Keys,
    /// Behind each payload.
    pub(crate) ending: &'static [u8],
    pub(crate) outbox: Outbox,
}

impl BatchSink {
    fn records(&mut self, emission: &Emission) -> Result<Vec<Record>, FormatError> {
        let record = |(key, payload): (String, bytes::Bytes)| {
            let data = if self.ending.is_empty() { payload } else { [&payload, self.ending].concat().into() };
            Record { key: Arc::from(key), data }
        };
        Ok(match &mut self.keys {
            Keys::Partition(keys) => {
                let keys_of_rows = keys.of(&emission.rows)?;
                let given = keys.is_given().then_some(keys_of_rows.as_slice());
                let payloads = self.payloads.of(emission, given)?;
                keys_of_rows.into_iter().zip(payloads).map(record).collect()
            }
            Keys::Id => self.payloads.with_ids(emission)?.into_iter().map(record).collect(),
            Keys::None { next } => {
                let payloads = self.payloads.of(emission, None)?;
                let first = *next;
                *next += payloads.len() as u64;
                (first..).map(|number| number.to_string()).zip(payloads).map(record).collect()
            }
        })
    }
}

impl Sink for BatchSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let records = self.records(emission);
            let sink = || self.what.clone();
            for record in records.map_err(|error| SinkError::Fatal { sink: sink(), reason: error.to_string() })? {
                self.outbox.push(record).await?;
            }
            Ok(())
        })
    }

    fn work(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.outbox.step(false))
    }

    /// What a checkpoint counts as written is stored before it.
    fn prepare(&mut self, _last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        Box::pin(async move {
            self.outbox.flush().await?;
            Ok(Prepared::default())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.outbox.flush())
    }
}
