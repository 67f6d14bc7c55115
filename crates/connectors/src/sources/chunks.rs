//! Chunks under construction: records of one shard, gathered until they are sent.

use arrow::array::{BinaryBuilder, Int64Array, StringBuilder, TimestampMillisecondArray};
use millstream_core::{Chunk, EventTime, Offset, OffsetError, ShardId};
use millstream_local_kinesis::HashRange;

use crate::kpl;

/// Records of one shard that will leave as one chunk.
pub(crate) struct ChunkBuilder {
    shard: ShardId,
    from: Option<Offset>,
    data: BinaryBuilder,
    arrivals: Vec<i64>,
    keys: StringBuilder,
    sequence_numbers: StringBuilder,
    sub_sequence_numbers: Vec<i64>,
    /// The last record's.
    sequence: String,
    /// Whether a record of this chunk was one of an aggregate.
    has_parts: bool,
    /// The hash keys of the shard, where they are known.
    range: Option<HashRange>,
    outside: u64,
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
            sub_sequence_numbers: Vec::new(),
            sequence: String::new(),
            has_parts: false,
            range: None,
            outside: 0,
            last_arrival: EventTime::MIN,
            bytes: 0,
        }
    }

    pub(crate) fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// From now on records that do not belong in this range are counted.
    pub(crate) fn set_range(&mut self, range: HashRange) {
        self.range = Some(range);
    }

    /// How many records of aggregates belong in another shard, since this was last asked: the shard was split or merged
    /// after they had been aggregated. They are kept all the same.
    pub(crate) fn take_outside(&mut self) -> u64 {
        std::mem::take(&mut self.outside)
    }

    /// Adds a record as the stream has it: an aggregate is taken apart. Left out is what the reading that is gone on with
    /// has had: a reading that may have ended within an aggregate goes on at it.
    pub(crate) fn push_stored(&mut self, data: &[u8], arrival: EventTime, key: Option<&str>, sequence: &str) {
        let had = self.from.as_ref().filter(|from| from.sequence() == sequence).map(Offset::sub_sequence);
        let Some(records) = kpl::take_apart(data) else {
            if had.is_none() {
                self.push(data, arrival, key, sequence);
            }
            return;
        };
        for (sub_sequence, record) in (0..).zip(&records) {
            if had.is_some_and(|had| sub_sequence <= had) {
                continue;
            }
            if self.range.is_some_and(|range| !range.contains(record.hash_key())) {
                self.outside += 1;
            }
            self.push(&record.data, arrival, Some(&record.partition_key), sequence);
            self.has_parts = true;
            if let Some(last) = self.sub_sequence_numbers.last_mut() {
                *last = i64::try_from(sub_sequence).unwrap_or(i64::MAX);
            }
        }
    }

    /// Adds a record. An arrival that goes back counts as the one before it.
    pub(crate) fn push(&mut self, data: &[u8], arrival: EventTime, key: Option<&str>, sequence: &str) {
        self.last_arrival = self.last_arrival.max(arrival);
        self.data.append_value(data);
        self.arrivals.push(self.last_arrival.0);
        self.keys.append_option(key);
        self.sequence_numbers.append_value(sequence);
        self.sub_sequence_numbers.push(0);
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
        let sub_sequences = std::mem::take(&mut self.sub_sequence_numbers);
        let last = sub_sequences.last().map_or(0, |last| u64::try_from(*last).unwrap_or(0));
        let to = Offset::parse(&self.sequence, last)?;
        self.bytes = 0;
        let has_parts = std::mem::take(&mut self.has_parts);
        Ok(Some(Chunk {
            shard: self.shard.clone(),
            from: self.from.replace(to.clone()),
            to,
            data: self.data.finish(),
            arrivals: TimestampMillisecondArray::from(std::mem::take(&mut self.arrivals)),
            keys: Some(self.keys.finish()),
            sequence_numbers: Some(self.sequence_numbers.finish()),
            sub_sequence_numbers: has_parts.then(|| Int64Array::from(sub_sequences)),
            verdicts: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpl::Aggregator;
    use millstream_local_kinesis::HashKey;

    fn aggregate(records: &[&'static str]) -> Vec<u8> {
        let mut aggregator = Aggregator::default();
        for record in records {
            aggregator.push(record, record.as_bytes().into(), &[]);
        }
        aggregator.take().unwrap().data
    }

    fn texts(chunk: &Chunk) -> Vec<&str> {
        chunk.data.iter().map(|data| str::from_utf8(data.unwrap()).unwrap()).collect()
    }

    #[test]
    fn an_aggregate_is_many_records_at_one_sequence_number() {
        let mut builder = ChunkBuilder::new("s".into(), None);
        builder.push_stored(b"plain", EventTime(5), Some("p"), "7");
        builder.push_stored(&aggregate(&["a", "b", "c"]), EventTime(3), Some("a"), "8");
        let chunk = builder.take().unwrap().unwrap();
        assert_eq!(texts(&chunk), ["plain", "a", "b", "c"]);
        assert_eq!(chunk.keys.as_ref().unwrap().iter().flatten().collect::<Vec<_>>(), ["p", "a", "b", "c"]);
        assert_eq!(chunk.arrivals.values(), &[5, 5, 5, 5]);
        assert_eq!(chunk.sub_sequence_numbers.as_ref().unwrap().values(), &[0, 0, 1, 2]);
        assert_eq!(chunk.to, Offset::parse("8", 2).unwrap());
        builder.push_stored(b"plain", EventTime(5), Some("p"), "9");
        let next = builder.take().unwrap().unwrap();
        assert_eq!((next.from, next.to), (Some(chunk.to), Offset::from(9)));
        assert_eq!(next.sub_sequence_numbers, None);
    }

    #[test]
    fn a_reading_goes_on_within_an_aggregate() {
        let mut builder = ChunkBuilder::new("s".into(), Some(Offset::parse("8", 1).unwrap()));
        builder.push_stored(&aggregate(&["a", "b", "c", "d"]), EventTime(0), None, "8");
        builder.push_stored(&aggregate(&["e", "f"]), EventTime(0), None, "9");
        let chunk = builder.take().unwrap().unwrap();
        assert_eq!(texts(&chunk), ["c", "d", "e", "f"]);
        assert_eq!(chunk.sub_sequence_numbers.unwrap().values(), &[2, 3, 0, 1]);
    }

    #[test]
    fn a_plain_record_that_was_had_is_left_out() {
        let mut builder = ChunkBuilder::new("s".into(), Some(Offset::from(8)));
        builder.push_stored(b"had", EventTime(0), None, "8");
        builder.push_stored(b"new", EventTime(0), None, "9");
        assert_eq!(texts(&builder.take().unwrap().unwrap()), ["new"]);
    }

    #[test]
    fn records_of_another_shard_are_kept_and_counted() {
        let mut builder = ChunkBuilder::new("s".into(), None);
        let middle = HashKey::of_partition_key("b");
        builder.set_range(HashRange { start: middle, end: middle });
        builder.push_stored(&aggregate(&["a", "b", "c"]), EventTime(0), None, "8");
        assert_eq!(texts(&builder.take().unwrap().unwrap()), ["a", "b", "c"]);
        assert_eq!((builder.take_outside(), builder.take_outside()), (2, 0));
    }
}
