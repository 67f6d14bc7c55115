//! Rows per second of each query, measured from its counter by one sampling task.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use millstream_core::{Duration, EventTime};

/// How often the counters are read.
pub(crate) const SAMPLE_EVERY: Duration = Duration(1000);
/// Rates are means over this many samples: steady to the eye, and gone soon after the rows are.
const SAMPLES: usize = 5;

/// The samples of every query.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<BTreeMap<String, VecDeque<(EventTime, u64)>>>);

impl Rates {
    /// Takes a sample of every query; those that are gone are forgotten.
    pub(crate) fn sample(&self, now: EventTime, counts: impl Iterator<Item = (String, u64)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *all);
        for (query, count) in counts {
            let mut samples = before.remove(&query).unwrap_or_default();
            // A query that was dropped and defined again counts from zero.
            if samples.back().is_some_and(|(_, last)| *last > count) {
                samples.clear();
            }
            samples.push_back((now, count));
            if samples.len() > SAMPLES + 1 {
                samples.pop_front();
            }
            all.insert(query, samples);
        }
    }

    /// Rows per second now; 0 before there are two samples.
    #[expect(clippy::cast_precision_loss, reason = "rows and milliseconds between samples are far below 2^53")]
    pub(crate) fn per_second(&self, query: &str) -> f64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(samples) = all.get(query) else { return 0.0 };
        let (Some((from, before)), Some((to, after))) = (samples.front(), samples.back()) else { return 0.0 };
        let millis = (*to - *from).0;
        if millis <= 0 { 0.0 } else { ((after - before) as f64 * 10_000.0 / millis as f64).round() / 10.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_the_last_seconds() {
        let rates = Rates::default();
        for (second, count) in [(0, 0), (1, 100), (2, 300)] {
            rates.sample(EventTime(second * 1000), [("q".to_owned(), count)].into_iter());
        }
        assert!((rates.per_second("q") - 150.0).abs() < f64::EPSILON);
        rates.sample(EventTime(3000), [("q".to_owned(), 10)].into_iter());
        assert!(rates.per_second("q").abs() < f64::EPSILON, "defined anew");
        rates.sample(EventTime(4000), std::iter::empty());
        assert!(rates.per_second("q").abs() < f64::EPSILON);
    }
}
