//! Putting records: checks and hashing on the caller's side, sequence numbers and the group commit on the writer's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::committer::Command;
use crate::error::StorageError;
use crate::layout::block::BlockBuilder;
use crate::layout::block_key;
use crate::limits::{
    BLOCK_BYTES_MAX, PARTITION_KEY_CHARACTERS_MAX, QUEUE_BYTES_MAX, RECORD_OVERHEAD_BYTES, WRITER_BYTES_MAX,
};
use crate::stream::Stream;
use crate::writer::Writer;
use crate::{Distribution, HashKey, PutError, SequenceNumber, ShardId, Store, StreamInfo};

/// A record to store.
#[derive(Clone, Debug)]
pub struct PutRecord {
    /// 1 to 256 characters; its MD5 chooses the shard.
    pub partition_key: String,
    /// Chooses the shard instead.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload.
    pub data: Bytes,
}

/// Where a record was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The shard it is in.
    pub shard: ShardId,
    /// Its place there.
    pub sequence_number: SequenceNumber,
}

/// One call's records on their way to the committer.
pub(crate) struct PutRequest {
    stream: String,
    /// Who signed the records.
    writer: Option<Arc<str>>,
    records: Vec<(HashKey, PutRecord)>,
    reply: oneshot::Sender<Result<Vec<Stored>, PutError>>,
    /// Given back when the request is done: it bounds the queue.
    room: OwnedSemaphorePermit,
}

impl PutRequest {
    pub(crate) fn bytes(&self) -> usize {
        self.room.num_permits()
    }
}

impl Store {
    /// Stores records, all or none, and answers once they are on disk: the places, in the order given. Records of one
    /// call keep their order within a shard. Waits while more than 64 MiB are on their way to disk.
    ///
    /// ```
    /// # use millstream_local_kinesis::{NewStream, Position, PutRecord, Settings, Store};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = Store::open(folder.path(), &Settings::default(), std::sync::Arc::new(|| 1_767_225_600_000)).unwrap();
    /// store.create_stream(NewStream::new("orders", 1)).await.unwrap();
    /// let record = PutRecord { partition_key: "u1".into(), explicit_hash_key: None, data: "{}".into() };
    /// let stored = store.put("orders", vec![record]).await.unwrap();
    /// let page = store.read("orders", stored[0].shard, Position::TrimHorizon, 100, 1 << 20).unwrap();
    /// assert_eq!(page.records().next().unwrap().data, b"{}");
    /// # });
    /// ```
    pub async fn put(&self, stream: &str, records: Vec<PutRecord>) -> Result<Vec<Stored>, PutError> {
        self.put_from(stream, None, records).await
    }

    /// As [`Store::put`], and keeps with each record who wrote it. [`crate::Record::writer`] tells it within the process;
    /// it does not show on the wire. A name has at most 1,024 bytes.
    pub async fn put_as(&self, stream: &str, writer: &str, records: Vec<PutRecord>) -> Result<Vec<Stored>, PutError> {
        if writer.len() > WRITER_BYTES_MAX {
            return Err(PutError::Writer { bytes: writer.len(), limit: WRITER_BYTES_MAX });
        }
        self.put_from(stream, Some(writer.into()), records).await
    }

    async fn put_from(
        &self,
        stream: &str,
        writer: Option<Arc<str>>,
        records: Vec<PutRecord>,
    ) -> Result<Vec<Stored>, PutError> {
        let info = self.describe(stream).ok_or_else(|| PutError::NoStream(stream.to_owned()))?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = check(&info, &records)?;
        let records = records.into_iter().map(|record| (self.hash_key(&info, &record), record)).collect();
        let permits = u32::try_from(bytes).expect("checked against QUEUE_BYTES_MAX");
        let room = Arc::clone(self.room()).acquire_many_owned(permits).await.map_err(|_| StorageError::Stopped)?;
        let (reply, replied) = oneshot::channel();
        self.send(Command::Put(PutRequest { stream: stream.to_owned(), writer, records, reply, room }))?;
        replied.await.map_err(|_| StorageError::Stopped)?
    }

    fn hash_key(&self, info: &StreamInfo, record: &PutRecord) -> HashKey {
        match info.settings.distribution {
            Distribution::PartitionKey => record.hash_key(),
            Distribution::Even => HashKey::of_turn(self.take_turn()),
        }
    }
}

impl PutRecord {
    /// What chooses its shard, unless the stream does.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(&self.partition_key))
    }
}

/// The memory that all records take, if each keeps to the limits.
fn check(info: &StreamInfo, records: &[PutRecord]) -> Result<usize, PutError> {
    let mut total = 0;
    for (index, record) in records.iter().enumerate() {
        let (bytes, limit) = (record.data.len() + record.partition_key.len(), info.record_bytes_max);
        if bytes > limit {
            return Err(PutError::RecordTooLarge { index, bytes, limit });
        }
        let characters = record.partition_key.chars().count();
        if !(1..=PARTITION_KEY_CHARACTERS_MAX).contains(&characters) {
            return Err(PutError::PartitionKey { index, characters, limit: PARTITION_KEY_CHARACTERS_MAX });
        }
        total += bytes + RECORD_OVERHEAD_BYTES;
    }
    if total > QUEUE_BYTES_MAX {
        return Err(PutError::TooMuch { bytes: total, limit: QUEUE_BYTES_MAX });
    }
    Ok(total)
}

/// A shard while one group is put together.
struct ShardAppend {
    shard: ShardId,
    last: SequenceNumber,
    block: BlockBuilder,
    finished: Vec<(SequenceNumber, Bytes)>,
}

/// A stream while one group is put together.
struct StreamAppend {
    stream: Arc<Stream>,
    /// By the end of the shard's hash range.
    shards: BTreeMap<u128, ShardAppend>,
}

impl ShardAppend {
    fn push(&mut self, writer: Option<&Arc<str>>, record: &PutRecord, now_ms: i64) -> Stored {
        if self.block.writer() != writer {
            self.finish_block();
            self.block = BlockBuilder::new(writer.cloned());
        }
        // All records of a group arrive at `now_ms`, or with the shard's last if the clock went back: blocks rely on it.
        let next = self.last.next(now_ms);
        self.last = next;
        self.block.push(&record.partition_key, &record.data);
        if self.block.bytes() >= BLOCK_BYTES_MAX {
            self.finish_block();
        }
        Stored { shard: self.shard, sequence_number: next }
    }

    fn finish_block(&mut self) {
        let next = BlockBuilder::new(self.block.writer().cloned());
        let block = std::mem::replace(&mut self.block, next);
        if block.bytes() > 0 {
            self.finished.push((self.last, block.finish()));
        }
    }
}

impl StreamAppend {
    fn new(stream: Arc<Stream>) -> Self {
        let shards = stream.info.open_shards().filter_map(|shard| {
            let last = stream.tips.get(&shard.id)?.borrow().last;
            let append = ShardAppend { shard: shard.id, last, block: BlockBuilder::default(), finished: Vec::new() };
            Some((shard.range.end.0, append))
        });
        Self { shards: shards.collect(), stream }
    }

    fn push(&mut self, key: HashKey, writer: Option<&Arc<str>>, record: &PutRecord, now_ms: i64) -> Stored {
        let (_, shard) = self.shards.range_mut(key.0..).next().expect("open shards cover all hash keys");
        shard.push(writer, record, now_ms)
    }
}

impl Writer {
    /// Commits a group: one batch, one sync, then the tips, then the answers.
    pub(crate) fn append(&mut self, group: Vec<PutRequest>) {
        let now_ms = self.now_ms();
        let mut appends: HashMap<String, StreamAppend> = HashMap::new();
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            let answer = match self.stream(&request.stream) {
                Err(_) => Err(PutError::NoStream(request.stream.clone())),
                Ok(stream) => {
                    let append = appends.entry(request.stream.clone()).or_insert_with(|| StreamAppend::new(stream));
                    let writer = request.writer.as_ref();
                    Ok(request.records.iter().map(|(key, record)| append.push(*key, writer, record, now_ms)).collect())
                }
            };
            answers.push((request, answer));
        }
        let committed = self.commit(&mut appends);
        if committed.is_ok() {
            publish_tips(&appends);
        }
        for (request, answer) in answers {
            let answer = committed.clone().map_err(PutError::Storage).and(answer);
            // A producer that no longer waits has its records stored all the same.
            drop(request.reply.send(answer));
        }
    }

    fn commit(&self, appends: &mut HashMap<String, StreamAppend>) -> Result<(), StorageError> {
        let mut batch = self.durable_batch();
        for append in appends.values_mut() {
            for shard in append.shards.values_mut() {
                shard.finish_block();
                for (last, block) in shard.finished.drain(..) {
                    batch.insert(&append.stream.blocks, block_key::encode(shard.shard, last), block);
                }
            }
        }
        let committed = self.check_space().and_then(|()| Ok(batch.commit()?));
        committed.inspect_err(|error| tracing::error!(%error, "records could not be written"))
    }
}

fn publish_tips(appends: &HashMap<String, StreamAppend>) {
    for append in appends.values() {
        for shard in append.shards.values() {
            if let Some(tip) = append.stream.tips.get(&shard.shard) {
                tip.send_if_modified(|tip| std::mem::replace(&mut tip.last, shard.last) != shard.last);
            }
        }
    }
}
