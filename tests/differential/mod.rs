//! Random queries over random records: as a stream that is cut at random, as a batch of the same plan, and in SQLite
//! over rows that got their windows from the definition. All give the same rows.
//!
//! A seed gives the records, the cut and some queries, which run together. A failure is made smaller, and printed with
//! its seed. `MILLSTREAM_CASES` sets the number of queries, `MILLSTREAM_SEED` the first seed.

mod case;
mod data;
mod expand;
mod grammar;
mod laws;
mod query;
mod render;
mod shrink;
mod sqlite;

use case::{Case, QUERIES};

/// How many queries are asked unless the environment says otherwise: a minute and some, unoptimised, on two cores.
const DEFAULT_CASES: u64 = 2400;

pub(super) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn a_stream_a_batch_and_another_engine_give_the_same_rows() {
    let first = setting("MILLSTREAM_SEED", 1);
    let seeds = setting("MILLSTREAM_CASES", DEFAULT_CASES).div_ceil(QUERIES as u64);
    for seed in first..first + seeds {
        let case = Case::of(seed);
        if std::env::var("SHOW").is_ok() { eprintln!("{}\n{}", case.script(), data::replay(&case.records)); }
        if let Some(failure) = case.failure() {
            panic!("{}", shrink::report(seed, case, failure));
        }
    }
}
