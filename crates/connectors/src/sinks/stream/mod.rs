//! Writing to the embedded stream: one record a row, acknowledged once it is on disk, and visible to readers from then on.
//!
//! Exactly once over restarts, though readers wait for no checkpoint: every record is signed with the query's name. A
//! query that goes on from a checkpoint is given where the stream ended then; what it finds of its own after that it
//! will compute again, and does not store again ([`replayed`]). That is exact where the rows come out the same the
//! second time.

mod replayed;

use std::collections::{BTreeMap, VecDeque};

use millstream_core::{BoxFuture, Delivery, Emission, OptionError, Prepared, Sink, SinkError, SinkState};
use millstream_local_kinesis::{
    ControlError, Page, Position, PutError, PutRecord, ReadError, SequenceNumber, ShardId, StorageError, Store,
};
use serde::{Deserialize, Serialize};

use crate::registry::Request;
use crate::sinks::partition_key::PartitionKeys;
use crate::sinks::payloads::Payloads;
use crate::sources::stream::{EmbeddedStream, store_of};
use replayed::Replayed;

/// Records of one call: as many as PutRecords takes.
const PUT_RECORDS_MAX: usize = 500;
/// Bytes of one call, far below what the stream lets wait.
const PUT_BYTES_MAX: usize = 5 << 20;
/// Records of one read when the stream is looked through.
const READ_RECORDS_MAX: usize = 8192;
/// Bytes of one read.
const READ_BYTES_MAX: usize = 1 << 20;

/// Reads every option of writing.
pub(crate) fn check(request: &Request<'_>) -> Result<(), OptionError> {
    PartitionKeys::read(request)?;
    Payloads::read(request, "")?;
    Ok(())
}

/// A writer of the records of a query to an embedded stream.
pub(crate) fn sink(request: &Request<'_>, stream: EmbeddedStream, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    Ok(Box::new(StreamSink {
        store: store_of(request)?,
        stream,
        query: query.to_owned(),
        keys: PartitionKeys::read(request)?,
        payloads: Payloads::read(request, query)?,
        replayed: Replayed::default(),
        sending: None,
    }))
}

struct StreamSink {
    store: Store,
    stream: EmbeddedStream,
    /// Its records are signed with it.
    query: String,
    keys: PartitionKeys,
    payloads: Payloads,
    /// What is stored and will be computed again.
    replayed: Replayed,
    /// What is not stored yet of an emission that is to be tried again.
    sending: Option<VecDeque<PutRecord>>,
}

/// What a checkpoint keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// The stream's id: one that was made anew has another. `None`: there was no stream yet.
    stream: Option<u64>,
    /// The newest record of each shard. All this query had stored is up to there, and what it stores later is not.
    ends: BTreeMap<ShardId, SequenceNumber>,
    /// Rows up to there that the query has not computed again yet, by their hashes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replayed: BTreeMap<String, u32>,
}

impl StreamSink {
    async fn put(&mut self, emission: &Emission) -> Result<(), SinkError> {
        let mut sending = match self.sending.take() {
            // The same rows again: those that are not in here were dealt with.
            Some(sending) => sending,
            None => self.records(emission)?,
        };
        let sent = self.send(&mut sending).await;
        if sent.is_err() {
            self.sending = Some(sending);
        }
        sent
    }

    /// The records of rows, without those that are stored already.
    fn records(&mut self, emission: &Emission) -> Result<VecDeque<PutRecord>, SinkError> {
        let has_keys = self.keys.is_given();
        let keys = self.keys.of(&emission.rows).map_err(|error| self.fatal(&error))?;
        let payloads = self.payloads.of(emission, has_keys.then_some(&keys)).map_err(|error| self.fatal(&error))?;
        let records = keys.into_iter().zip(payloads);
        let is_new = |record: &PutRecord| !self.replayed.take(has_keys.then_some(&record.partition_key), &record.data);
        Ok(records
            .map(|(partition_key, data)| PutRecord { partition_key, explicit_hash_key: None, data })
            .filter(is_new)
            .collect())
    }

    /// Stores records from the front on. Each call is stored whole or not at all.
    async fn send(&mut self, records: &mut VecDeque<PutRecord>) -> Result<(), SinkError> {
        self.stream.ensure(&self.store).await.map_err(|error| self.refused(&error))?;
        while !records.is_empty() {
            let mut bytes = 0;
            let fits = |record: &&PutRecord| {
                bytes += record.data.len();
                bytes <= PUT_BYTES_MAX
            };
            let call: Vec<_> = records.iter().take(PUT_RECORDS_MAX).take_while(fits).cloned().collect();
            // One that is larger than a call may be goes alone.
            let call = if call.is_empty() { records.iter().take(1).cloned().collect() } else { call };
            let count = call.len();
            let stored = self.store.put_as(&self.stream.name, &self.query, call).await;
            stored.map_err(|error| match error {
                PutError::Storage(error) => self.refused(&ControlError::Storage(error)),
                // Deleted just now; the next try makes it again.
                PutError::NoStream(_) => self.retry(&error),
                _ => self.fatal(&error),
            })?;
            records.drain(..count);
        }
        Ok(())
    }

    async fn recover_from(&mut self, state: Option<&SinkState>) -> Result<(), SinkError> {
        // What an earlier sink of this process may have left on its way to the disk.
        self.store.settle().await.map_err(|error| self.refused(&error))?;
        (self.replayed, self.sending) = (Replayed::default(), None);
        // A savepoint says nothing of this stream.
        let Some(state) = state.filter(|state| !state.note.is_empty()) else { return Ok(()) };
        let (note, mut replayed) = read_note(&state.note)
            .map_err(|reason| self.fatal(&format!("its checkpoint cannot be read ({reason}): start the query anew")))?;
        self.collect_after(&note, &mut replayed).await?;
        if replayed.left() > 0 {
            let (stream, rows) = (&self.stream.name, replayed.left());
            tracing::info!(query = self.query, %stream, rows, "rows after the checkpoint are stored and come once");
        }
        self.replayed = replayed;
        Ok(())
    }

    /// Adds this query's records after a note's positions: of shards that were made since, and of a stream that was
    /// made anew since, all.
    async fn collect_after(&mut self, note: &Note, replayed: &mut Replayed) -> Result<(), SinkError> {
        let Some(info) = self.store.describe(&self.stream.name) else { return Ok(()) };
        let is_same = note.stream == Some(info.id);
        for (shard, tip) in self.tips()? {
            let end = note.ends.get(&shard).filter(|_| is_same);
            let mut position = end.map_or(Position::TrimHorizon, |end| Position::After(*end));
            loop {
                let Some(page) = self.page(shard, position)? else { break };
                for record in page.records().filter(|record| record.writer == Some(&self.query)) {
                    let key = self.keys.is_given().then_some(record.partition_key);
                    replayed.add(key, record.data);
                }
                position = page.next;
                // Others may write faster than this reads: what came since is not ours.
                if page.millis_behind_latest == 0 || matches!(position, Position::After(last) if last >= tip) {
                    break;
                }
                // There may be much to read, and others wait for this thread.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// `None`: retention has just taken the shard, or somebody the stream.
    fn page(&self, shard: ShardId, position: Position) -> Result<Option<Page>, SinkError> {
        match self.store.read(&self.stream.name, shard, position, READ_RECORDS_MAX, READ_BYTES_MAX) {
            Ok(page) => Ok(Some(page)),
            Err(ReadError::NoStream(_) | ReadError::NoShard { .. }) => Ok(None),
            Err(error) => Err(self.fatal(&error)),
        }
    }

    fn tips(&self) -> Result<BTreeMap<ShardId, SequenceNumber>, SinkError> {
        match self.store.tips(&self.stream.name) {
            Ok(tips) => Ok(tips),
            Err(ReadError::NoStream(_)) => Ok(BTreeMap::new()),
            Err(error) => Err(self.fatal(&error)),
        }
    }

    fn prepared(&mut self) -> Result<Prepared, SinkError> {
        if self.sending.is_some() {
            return Err(self.retry(&"rows that were refused are to be written first"));
        }
        self.replayed.prepared();
        let stream = self.store.describe(&self.stream.name).map(|info| info.id);
        let note = Note { stream, ends: self.tips()?, replayed: self.replayed.to_note() };
        let note = serde_json::to_string(&note).map_err(|error| self.fatal(&error))?;
        Ok(Prepared { note, pending: Vec::new() })
    }

    /// What the store says of itself: that it is full passes, all else is a matter for people.
    fn refused(&self, error: &ControlError) -> SinkError {
        match error {
            ControlError::Storage(StorageError::Full { .. }) => self.retry(error),
            _ => self.fatal(error),
        }
    }

    fn retry(&self, error: &dyn std::fmt::Display) -> SinkError {
        SinkError::Retry { sink: format!("stream `{}`", self.stream.name), reason: error.to_string() }
    }

    fn fatal(&self, error: &dyn std::fmt::Display) -> SinkError {
        SinkError::Fatal { sink: format!("stream `{}`", self.stream.name), reason: error.to_string() }
    }
}

fn read_note(text: &str) -> Result<(Note, Replayed), String> {
    let note: Note = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let replayed = Replayed::of_note(&note.replayed)?;
    Ok((note, replayed))
}

impl Sink for StreamSink {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn recover<'a>(&'a mut self, state: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.recover_from(state))
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.put(emission))
    }
    fn prepare(&mut self, _last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        Box::pin(std::future::ready(self.prepared()))
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        let rows = self.replayed.committed();
        if rows > 0 {
            let (query, stream) = (&self.query, &self.stream.name);
            tracing::warn!(query, %stream, rows, "rows that were stored before the restart have not been computed again");
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests;
