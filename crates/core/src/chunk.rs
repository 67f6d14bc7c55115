//! A run of raw records of one shard: what readers hand to workers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::error::ArrowError;

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
    /// What is to become of each record, where a transform has something to say of it; as long as `data`.
    pub verdicts: Option<Arc<[Verdict]>>,
}

/// What a transform makes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is used as it is here.
    Use,
    /// It counts as filtered.
    Drop,
    /// It cannot be used, for this reason.
    Reject(Arc<str>),
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

    /// The records that are to be used, and where they are here; `None`: all of them.
    pub fn used(&self) -> Result<Option<(Self, Vec<u32>)>, ArrowError> {
        let Some(verdicts) = &self.verdicts else { return Ok(None) };
        let used = (0..).zip(verdicts.iter()).filter(|(_, verdict)| **verdict == Verdict::Use);
        let places: Vec<u32> = used.map(|(place, _)| place).collect();
        let indices = UInt32Array::from(places.clone());
        let pick = |array: &dyn Array| -> Result<ArrayRef, ArrowError> { take(array, &indices, None) };
        let text = |array: Option<&StringArray>| -> Result<_, ArrowError> {
            array.map(|array| pick(array).map(|array| array.as_string().clone())).transpose()
        };
        let numbers = self.sub_sequence_numbers.as_ref().map(|array| pick(array)).transpose()?;
        let used = Self {
            data: pick(&self.data)?.as_binary().clone(),
            arrivals: pick(&self.arrivals)?.as_primitive().clone(),
            keys: text(self.keys.as_ref())?,
            sequence_numbers: text(self.sequence_numbers.as_ref())?,
            sub_sequence_numbers: numbers.map(|array| array.as_primitive().clone()),
            verdicts: None,
            shard: self.shard.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
        };
        Ok(Some((used, places)))
    }

    /// The arrival of the newest record.
    pub fn last_arrival(&self) -> Option<EventTime> {
        self.arrivals.values().last().copied().map(EventTime)
    }
}
