//! A run of raw records of one shard: what readers hand to workers.

use arrow::array::{Array, BinaryArray, Int64Array, StringArray, TimestampMillisecondArray};

use crate::{EventTime, Offset, OffsetError, ShardId};

/// Consecutive records of one shard, not yet decoded. Columns, so that metadata columns of a table cost nothing.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The shard all records come from.
    pub shard: ShardId,
    /// The records are those in `(from, to]`; `None`: from where this reading of the shard started.
    pub from: Option<Offset>,
    /// The position of the last record.
    pub to: Offset,
    /// The payloads, one value a record, none null.
    pub data: BinaryArray,
    /// When each record arrived at the stream, never decreasing within a shard; as long as `data`.
    pub arrivals: TimestampMillisecondArray,
    /// Partition keys, where the source has them; as long as `data`.
    pub keys: Option<StringArray>,
    /// Sequence numbers, where the source has them; as long as `data`.
    pub sequence_numbers: Option<StringArray>,
    /// Places within aggregated records, where there are such; as long as `data`.
    pub sub_sequence_numbers: Option<Int64Array>,
}

impl Chunk {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes of payload: what a bound on a queue counts.
    pub fn payload_bytes(&self) -> usize {
        let ends = self.data.value_offsets();
        match (ends.first(), ends.last()) {
            (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(0),
            _ => 0,
        }
    }

    /// The position of a record, where the source has sequence numbers.
    pub fn position(&self, record: usize) -> Option<Result<Offset, OffsetError>> {
        let sequence = self.sequence_numbers.as_ref()?.value(record);
        let sub_sequence = self.sub_sequence_numbers.as_ref().map_or(0, |numbers| numbers.value(record));
        Some(Offset::parse(sequence, u64::try_from(sub_sequence).unwrap_or(0)))
    }

    /// The arrival of the newest record.
    pub fn last_arrival(&self) -> Option<EventTime> {
        self.arrivals.values().last().copied().map(EventTime)
    }
}
