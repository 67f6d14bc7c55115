//! Random queries over random records: as a stream that is cut at random, as a batch of the same plan, and in `SQLite`
//! over rows that got their windows from the definition. All give the same rows.
//!
//! A seed gives the records, the cut and some queries, which run together. A failure is made smaller, and printed with
//! its seed. `MILLSTREAM_CASES` sets the number of queries, `MILLSTREAM_SEED` the first seed.

mod broken_off;
mod case;
mod data;
mod expand;
mod found;
mod grammar;
mod laws;
mod query;
mod render;
mod shrink;
mod sqlite;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use case::{Case, QUERIES};

/// How many queries are asked unless the environment says otherwise: a minute and some, unoptimised, on two cores.
const DEFAULT_CASES: u64 = 2400;

pub(super) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Seeds are run by so many threads: planning is most of the work, and each case plans by itself.
const THREADS: u64 = 2;

#[test]
fn a_stream_a_batch_and_another_engine_give_the_same_rows() {
    let first = setting("MILLSTREAM_SEED", 1);
    let seeds = setting("MILLSTREAM_CASES", DEFAULT_CASES).div_ceil(QUERIES as u64);
    let next = AtomicU64::new(first);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let case = Case::of(seed);
                    if let Some(failure) = case.failure() {
                        failed.lock().unwrap().get_or_insert((seed, case, failure));
                    }
                }
            });
        }
    });
    if let Some((seed, case, failure)) = failed.into_inner().unwrap() {
        panic!("{}", shrink::report(seed, case, failure));
    }
}
