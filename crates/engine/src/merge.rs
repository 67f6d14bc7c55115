//! One reader per source: a query that is defined later first reads the past with a lane of its own, and joins the main
//! lane shard by shard, where both have read up to the same record.
//!
//! Every shard has one worker for all lanes of its source, so the joining is a matter of that worker alone. Chunks are
//! cut where the other lane stands. What is shared here is only the count that tells when the catching-up lane has
//! nothing left to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::{Chunk, Offset};
use tokio::sync::mpsc;

use crate::message::LaneId;

/// The catching-up of one lane with another.
pub(crate) struct Merge {
    lane: LaneId,
    pub(crate) into: LaneId,
    /// How many shards the main lane has opened so far.
    main_opened: Arc<AtomicUsize>,
    state: Mutex<State>,
    done: mpsc::UnboundedSender<LaneId>,
}

#[derive(Default)]
struct State {
    opened: usize,
    left: usize,
    complete: bool,
}

impl Merge {
    pub(crate) fn new(
        lane: LaneId,
        into: LaneId,
        main_opened: Arc<AtomicUsize>,
        done: mpsc::UnboundedSender<LaneId>,
    ) -> Self {
        Self { lane, into, main_opened, state: Mutex::default(), done }
    }

    /// The catching-up lane's reader opens a shard. Counted before any worker hears of it.
    pub(crate) fn shard_opened(&self) {
        self.with(|state| {
            state.opened += 1;
            state.left += 1;
        });
    }

    /// A shard has been handed to the main lane, or read to its end.
    pub(crate) fn shard_done(&self) {
        let complete = self.with(|state| {
            state.left = state.left.saturating_sub(1);
            let all_seen = state.opened >= self.main_opened.load(Ordering::Acquire);
            let newly = state.left == 0 && all_seen && !state.complete;
            state.complete |= newly;
            newly
        });
        if complete {
            // The engine may be stopping; then nobody needs to know.
            let _ = self.done.send(self.lane);
        }
    }

    /// Whether shards that the main lane opens from now on belong to the joined queries too.
    pub(crate) fn is_complete(&self) -> bool {
        self.with(|state| state.complete)
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Cuts a chunk behind the record at `offset`; `None` when that is not inside the chunk.
pub(crate) fn cut_after(chunk: &Chunk, offset: &Offset) -> Option<(Chunk, Chunk)> {
    if chunk.from.as_ref().is_some_and(|from| from >= offset) || *offset >= chunk.to {
        return None;
    }
    let numbers = chunk.sequence_numbers.as_ref()?;
    let is_before = |record: &usize| chunk.position(*record).is_some_and(|at| at.is_ok_and(|at| at <= *offset));
    let head = (0..chunk.len()).take_while(is_before).count();
    let part = |from: usize, length: usize, begins: Option<Offset>, ends: Offset| Chunk {
        shard: chunk.shard.clone(),
        from: begins,
        to: ends,
        data: chunk.data.slice(from, length),
        arrivals: chunk.arrivals.slice(from, length),
        keys: chunk.keys.as_ref().map(|keys| keys.slice(from, length)),
        sequence_numbers: Some(numbers.slice(from, length)),
        sub_sequence_numbers: chunk.sub_sequence_numbers.as_ref().map(|numbers| numbers.slice(from, length)),
        verdicts: chunk.verdicts.as_ref().map(|verdicts| verdicts[from..from + length].into()),
    };
    let first = part(0, head, chunk.from.clone(), offset.clone());
    let second = part(head, chunk.len() - head, Some(offset.clone()), chunk.to.clone());
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Int64Array, StringArray, TimestampMillisecondArray};
    use millstream_core::Verdict;

    fn chunk(from: u64, to: u64) -> Chunk {
        let numbers: Vec<String> = (from + 1..=to).map(|number| number.to_string()).collect();
        Chunk {
            shard: "s".into(),
            from: Some(Offset::from(from)),
            to: Offset::from(to),
            data: BinaryArray::from_iter_values(numbers.iter()),
            arrivals: TimestampMillisecondArray::from(vec![0; numbers.len()]),
            keys: None,
            sequence_numbers: Some(StringArray::from_iter_values(&numbers)),
            sub_sequence_numbers: None,
            verdicts: None,
        }
    }

    #[test]
    fn a_chunk_is_cut_within_an_aggregate() {
        let of_aggregate = |to: u64| Offset::parse("7", to).unwrap();
        let chunk = Chunk {
            from: None,
            to: of_aggregate(3),
            sequence_numbers: Some(StringArray::from_iter_values(["7"; 4])),
            sub_sequence_numbers: Some(Int64Array::from(vec![0, 1, 2, 3])),
            ..chunk(0, 4)
        };
        let (head, tail) = cut_after(&chunk, &of_aggregate(1)).unwrap();
        assert_eq!((head.len(), tail.len()), (2, 2));
        assert_eq!(tail.sub_sequence_numbers.unwrap().values(), &[2, 3]);
    }

    #[test]
    fn verdicts_are_cut_with_their_records() {
        let verdicts = [Verdict::Use, Verdict::Drop, Verdict::Use, Verdict::Reject("no".into())];
        let chunk = Chunk { verdicts: Some(verdicts.clone().into()), ..chunk(5, 9) };
        let (head, tail) = cut_after(&chunk, &Offset::from(6)).unwrap();
        assert_eq!(head.verdicts.as_deref(), Some(&verdicts[..1]));
        assert_eq!(tail.verdicts.as_deref(), Some(&verdicts[1..]));
        let (used, places) = tail.used().unwrap().unwrap();
        assert_eq!((used.len(), used.data.value(0), places.as_slice()), (1, &b"8"[..], &[1][..]));
    }

    #[test]
    fn a_chunk_is_cut_where_the_other_lane_stands() {
        let (head, tail) = cut_after(&chunk(5, 12), &Offset::from(9)).unwrap();
        assert_eq!((head.len(), tail.len()), (4, 3));
        assert_eq!((head.to, tail.from), (Offset::from(9), Some(Offset::from(9))));
        assert_eq!(head.data.value(3), b"9");
        assert_eq!(tail.data.value(0), b"10");
        for outside in [3, 5, 12, 20] {
            assert!(cut_after(&chunk(5, 12), &Offset::from(outside)).is_none(), "{outside}");
        }
    }

    #[test]
    fn a_lane_is_done_when_it_has_handed_over_every_shard_the_main_lane_knows() {
        let (done, mut told) = mpsc::unbounded_channel();
        let merge = Merge::new(LaneId(2), LaneId(1), Arc::new(AtomicUsize::new(2)), done);
        merge.shard_opened();
        merge.shard_done();
        assert!(!merge.is_complete(), "the main lane has another shard");
        merge.shard_opened();
        merge.shard_done();
        assert!(merge.is_complete());
        assert_eq!(told.try_recv(), Ok(LaneId(2)));
    }
}
