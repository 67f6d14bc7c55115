//! The order in which a replay is computed: records of all streams by arrival, cut into rounds, and steps between them.
//!
//! What is in one round is simultaneous: nothing of it is late because of something else in it.

use millstream_core::EventTime;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::ReplayPlan;
use super::file::Record;

/// A run of records in order of arrival, or a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The index after its last record; it starts where the round before it ends.
    pub(super) end: usize,
    /// Time as it is when the round has been sent: its newest arrival.
    pub(super) now: EventTime,
    /// A round with a step has no records.
    pub(super) step: Option<Step>,
}

/// Something that happens without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Time passes.
    Idle,
    /// Event time of a stream has come so far; `shard`: of one shard only.
    Watermark { stream: u32, shard: Option<u32>, time: EventTime },
}

/// Cuts sorted records into rounds; a step comes after the records that arrive in the same millisecond.
pub(super) fn cut(records: &[Record], steps: &[(EventTime, Step)], plan: &ReplayPlan) -> Vec<Round> {
    let mut cutter = Cutter {
        is_exact: plan.is_exact(records.len()),
        plan,
        random: plan.cut_seed.map(SmallRng::seed_from_u64),
        rounds: Vec::new(),
        start: 0,
        bytes: 0,
    };
    let mut steps = steps.iter().peekable();
    for (index, record) in records.iter().enumerate() {
        while let Some((at, step)) = steps.next_if(|(at, _)| *at < record.arrival) {
            cutter.end_at(records, index);
            cutter.step(index, *at, *step);
        }
        if cutter.is_full(records, index) {
            cutter.end_at(records, index);
        }
        cutter.bytes += record.data.len();
    }
    cutter.end_at(records, records.len());
    for (at, step) in steps {
        cutter.step(records.len(), *at, *step);
    }
    cutter.rounds
}

struct Cutter<'a> {
    plan: &'a ReplayPlan,
    is_exact: bool,
    random: Option<SmallRng>,
    rounds: Vec<Round>,
    /// Where the round that is being filled starts, and its bytes.
    start: usize,
    bytes: usize,
}

impl Cutter<'_> {
    /// Whether the round that is being filled ends before a record.
    fn is_full(&mut self, records: &[Record], next: usize) -> bool {
        if next == self.start {
            return false;
        }
        if self.is_exact {
            return records[next - 1].arrival != records[next].arrival;
        }
        let by_chance = self.random.as_mut().is_some_and(|random| random.random_ratio(1, 50));
        by_chance || self.bytes >= self.plan.round_bytes || next - self.start >= self.plan.round_records
    }

    fn end_at(&mut self, records: &[Record], end: usize) {
        if end > self.start {
            self.rounds.push(Round { end, now: records[end - 1].arrival, step: None });
            (self.start, self.bytes) = (end, 0);
        }
    }

    fn step(&mut self, end: usize, now: EventTime, step: Step) {
        self.rounds.push(Round { end, now, step: Some(step) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(arrivals: &[i64]) -> Vec<Record> {
        let record = |(line, arrival): (u64, &i64)| Record {
            line,
            arrival: EventTime(*arrival),
            key: None,
            stream: 0,
            shard: 0,
            data: bytes::Bytes::from_static(b"12345678"),
        };
        (1..).zip(arrivals).map(record).collect()
    }

    fn cuts(arrivals: &[i64], steps: &[i64], plan: ReplayPlan) -> Vec<(usize, i64, bool)> {
        let steps: Vec<_> = steps.iter().map(|at| (EventTime(*at), Step::Idle)).collect();
        let rounds = cut(&records(arrivals), &steps, &plan);
        rounds.iter().map(|round| (round.end, round.now.0, round.step.is_some())).collect()
    }

    #[test]
    fn a_small_replay_is_cut_at_every_arrival_and_a_step_comes_after_its_millisecond() {
        let plan = ReplayPlan::default();
        assert_eq!(cuts(&[1, 1, 2, 5], &[], plan), [(2, 1, false), (3, 2, false), (4, 5, false)]);
        assert_eq!(
            cuts(&[1, 1, 2, 5], &[0, 1, 3, 9], plan),
            [(0, 0, true), (2, 1, false), (2, 1, true), (3, 2, false), (3, 3, true), (4, 5, false), (4, 9, true)]
        );
        assert_eq!(cuts(&[], &[7], plan), [(0, 7, true)]);
    }

    #[test]
    fn a_large_replay_is_cut_by_count_and_size() {
        let plan = ReplayPlan { exact_records: 2, round_records: 2, ..ReplayPlan::default() };
        assert_eq!(cuts(&[1, 2, 3], &[], plan), [(2, 2, false), (3, 3, false)]);
        let plan = ReplayPlan { exact_records: 2, round_bytes: 8, ..ReplayPlan::default() };
        assert_eq!(cuts(&[1, 1, 3], &[], plan), [(1, 1, false), (2, 1, false), (3, 3, false)]);
    }
}
