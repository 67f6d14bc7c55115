//! Chunks under construction: records of one shard, gathered until they are sent.

use arrow::array::{BinaryBuilder, StringBuilder, TimestampMillisecondArray};
use millstream_core::{Chunk, EventTime, Offset, OffsetError, ShardId};

/// Records of one shard that will leave as one chunk.
pub(crate) struct ChunkBuilder {
    shard: ShardId,
    from: Option<Offset>,
    data: BinaryBuilder,
    arrivals: Vec<i64>,
    keys: StringBuilder,
    sequence_numbers: StringBuilder,
    /// The last record's.
    sequence: String,
    last_arrival: EventTime,
    bytes: usize,
}

impl ChunkBuilder {
    /// A builder of the chunks after `from`.
    pub(crate) fn new(shard: ShardId, from: Option<Offset>) -> Self {
        Self {
            shard,
            from,
            data: BinaryBuilder::new(),
            arrivals: Vec::new(),
            keys: StringBuilder::new(),
            sequence_numbers: StringBuilder::new(),
            sequence: String::new(),
            last_arrival: EventTime::MIN,
            bytes: 0,
        }
    }

    pub(crate) fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// Adds a record. An arrival that goes back counts as the one before it.
    pub(crate) fn push(&mut self, data: &[u8], arrival: EventTime, key: Option<&str>, sequence: &str) {
        self.last_arrival = self.last_arrival.max(arrival);
        self.data.append_value(data);
        self.arrivals.push(self.last_arrival.0);
        self.keys.append_option(key);
        self.sequence_numbers.append_value(sequence);
        self.sequence.clear();
        self.sequence.push_str(sequence);
        self.bytes += data.len();
    }

    /// Bytes of payload gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the records out, if there are any; the next chunk follows on them. Fails where the last record's sequence
    /// number is none.
    pub(crate) fn take(&mut self) -> Result<Option<Chunk>, OffsetError> {
        if self.arrivals.is_empty() {
            return Ok(None);
        }
        let to = Offset::parse(&self.sequence, 0)?;
        self.bytes = 0;
        Ok(Some(Chunk {
            shard: self.shard.clone(),
            from: self.from.replace(to.clone()),
            to,
            data: self.data.finish(),
            arrivals: TimestampMillisecondArray::from(std::mem::take(&mut self.arrivals)),
            keys: Some(self.keys.finish()),
            sequence_numbers: Some(self.sequence_numbers.finish()),
        }))
    }
}
