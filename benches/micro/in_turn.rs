//! Two ways of doing the same, run in turn: on a machine that others use too, only their ratio means anything.

use std::time::{Duration, Instant};

/// Pairs of runs; the first is not counted.
const RUNS: usize = 31;

/// What came of them.
pub(crate) struct Ratio {
    pub(crate) ours: Duration,
    pub(crate) theirs: Duration,
    /// How many times longer theirs took, pair by pair: lowest, median, highest.
    pub(crate) spread: [f64; 3],
}

/// Runs both in turn.
pub(crate) fn compare(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> Ratio {
    let mut pairs: Vec<(Duration, Duration)> =
        (0..=RUNS).map(|_| (time(&mut ours), time(&mut theirs))).skip(1).collect();
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| theirs.as_secs_f64() / ours.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    pairs.sort_by_key(|(ours, _)| *ours);
    let median_of_ours = pairs[RUNS / 2].0;
    pairs.sort_by_key(|(_, theirs)| *theirs);
    Ratio { ours: median_of_ours, theirs: pairs[RUNS / 2].1, spread: [ratios[0], ratios[RUNS / 2], ratios[RUNS - 1]] }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
