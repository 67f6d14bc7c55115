//! Makes a failing case smaller: one query, fewer records, fewer clauses, a plainer cut.

use super::case::{Case, Failure};
use super::data;
use crate::harness::Cut;

/// How often a case is run again at most.
const MAX_RUNS: usize = 400;

/// What to print of a failing case.
pub(super) fn report(seed: u64, case: Case, failure: Failure) -> String {
    let mut shrinking = Shrinking { case, failure, runs: 0 };
    shrinking.shrink();
    let Shrinking { case, failure, .. } = shrinking;
    format!(
        "seed {seed}, {:?}\n{}\n{}\n{}\nagain: MILLSTREAM_SEED={seed} MILLSTREAM_CASES=1",
        case.cut,
        case.script(),
        data::replay(&case.records),
        failure.reason
    )
}

struct Shrinking {
    case: Case,
    failure: Failure,
    runs: usize,
}

impl Shrinking {
    fn shrink(&mut self) {
        self.to_one_query();
        let plain = [Cut::default(), Cut { workers: 1, ..self.case.cut }, Cut { shards: 1, ..self.case.cut }];
        for cut in plain {
            self.attempt(Case { cut, ..self.case.clone() });
        }
        self.to_fewer_records();
        while self.to_a_simpler_query() {}
        self.to_fewer_records();
    }

    /// Keeps a smaller case if it fails too.
    fn attempt(&mut self, case: Case) -> bool {
        if self.runs == MAX_RUNS {
            return false;
        }
        self.runs += 1;
        let Some(failure) = case.failure() else { return false };
        (self.case, self.failure) = (case, failure);
        true
    }

    fn to_one_query(&mut self) {
        let queries = self.case.queries.clone();
        let one = |number: usize| vec![queries[number].clone()];
        match self.failure.query {
            Some(number) => {
                self.attempt(Case { queries: one(number), ..self.case.clone() });
            }
            None => {
                let _ =
                    (0..queries.len()).any(|number| self.attempt(Case { queries: one(number), ..self.case.clone() }));
            }
        }
    }

    /// Leaves out halves, then quarters, down to single records.
    fn to_fewer_records(&mut self) {
        let mut part = self.case.records.len() / 2;
        while part > 0 {
            let mut start = 0;
            while start < self.case.records.len() {
                let mut records = self.case.records.clone();
                records.drain(start..(start + part).min(records.len()));
                if !self.attempt(Case { records, ..self.case.clone() }) {
                    start += part;
                }
            }
            part /= 2;
        }
    }

    fn to_a_simpler_query(&mut self) -> bool {
        let [query] = self.case.queries.as_slice() else { return false };
        let simpler = query.simpler();
        simpler.into_iter().any(|query| self.attempt(Case { queries: vec![query], ..self.case.clone() }))
    }
}
