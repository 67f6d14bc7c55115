//! Writing to the embedded stream: one record a row, acknowledged once it is on disk. At least once: rows that were
//! written before a crash and are computed again are written again.

use std::fmt::Write;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use millstream_core::{BoxFuture, Delivery, Emission, Encoder, OptionError, Sink, SinkError};
use millstream_local_kinesis::{PutError, PutRecord, Store};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::formats;
use crate::registry::Request;
use crate::sources::stream::{EmbeddedStream, store_of};

/// Records of one call: as many as PutRecords takes.
const PUT_RECORDS_MAX: usize = 500;
/// Bytes of one call, far below what the stream lets wait.
const PUT_BYTES_MAX: usize = 5 << 20;
/// The longest partition key Kinesis takes, in characters.
const KEY_CHARACTERS_MAX: usize = 256;

/// The columns of the partition key; none: records are spread at random.
pub(crate) fn check(request: &Request<'_>) -> Result<Vec<usize>, OptionError> {
    const KEY: &str = "sink.partition-key";
    let Some(names) = request.options.get(KEY) else { return Ok(Vec::new()) };
    let index = |name: &str| {
        let unknown = |_| OptionError::new(KEY, format!("table `{}` has no column `{name}`", request.table.name));
        request.table.schema.index_of(name).map_err(unknown)
    };
    names.split(',').map(|name| index(name.trim())).collect()
}

/// A writer of records to an embedded stream.
pub(crate) fn sink(request: &Request<'_>, stream: EmbeddedStream) -> Result<Box<dyn Sink>, OptionError> {
    Ok(Box::new(StreamSink {
        store: store_of(request)?,
        stream,
        key_columns: check(request)?,
        encoder: (formats::of_table(request.options)?.encoder)(request.table, request.options)?,
        random: SmallRng::seed_from_u64(request.context.seed),
    }))
}

struct StreamSink {
    store: Store,
    stream: EmbeddedStream,
    key_columns: Vec<usize>,
    encoder: Box<dyn Encoder>,
    random: SmallRng,
}

impl StreamSink {
    async fn put(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let payloads = self.encoder.encode(rows).map_err(|error| self.fatal(&error))?;
        let keys = self.keys(rows)?;
        self.stream.ensure(&self.store).await.map_err(|error| self.fatal(&error))?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for (partition_key, data) in keys.into_iter().zip(payloads) {
            if records.len() == PUT_RECORDS_MAX || bytes + data.len() > PUT_BYTES_MAX {
                self.send(std::mem::take(&mut records)).await?;
                bytes = 0;
            }
            bytes += data.len();
            records.push(PutRecord { partition_key, explicit_hash_key: None, data });
        }
        self.send(records).await
    }

    async fn send(&mut self, records: Vec<PutRecord>) -> Result<(), SinkError> {
        let stored: Result<_, PutError> = self.store.put(&self.stream.name, records).await;
        stored.map(drop).map_err(|error| self.fatal(&error))
    }

    fn keys(&mut self, rows: &RecordBatch) -> Result<Vec<String>, SinkError> {
        if self.key_columns.is_empty() {
            return Ok((0..rows.num_rows()).map(|_| format!("{:016x}", self.random.random::<u64>())).collect());
        }
        let format = FormatOptions::new();
        let columns =
            self.key_columns.iter().map(|index| ArrayFormatter::try_new(rows.column(*index).as_ref(), &format));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| self.fatal(&error))?;
        let key = |row: usize| {
            let mut key = String::new();
            for (place, column) in columns.iter().enumerate() {
                let mark = if place > 0 { "|" } else { "" };
                write!(key, "{mark}{}", column.value(row)).map_err(|error| self.fatal(&error))?;
            }
            Ok(bounded(key))
        };
        (0..rows.num_rows()).map(key).collect()
    }

    fn fatal(&self, error: &dyn std::fmt::Display) -> SinkError {
        SinkError::Fatal { sink: format!("stream `{}`", self.stream.name), reason: error.to_string() }
    }
}

/// A key as Kinesis takes it: not empty, not too long.
fn bounded(mut key: String) -> String {
    if key.is_empty() {
        key.push('-');
    }
    if let Some((end, _)) = key.char_indices().nth(KEY_CHARACTERS_MAX) {
        key.truncate(end);
    }
    key
}

impl Sink for StreamSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.put(&emission.rows))
    }
}
