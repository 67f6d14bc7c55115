//! A run that is broken off and goes on from its newest checkpoint comes to the rows of one that is not.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::case::{Case, difference, name, normal};
use super::{data, setting};
use crate::crashes::resumed;
use crate::harness::stream;

/// How many seeds are run unless the environment says otherwise.
const DEFAULT_SEEDS: u64 = 24;
/// A life of a run ends after so many objects at the most.
const MAX_OBJECTS: usize = 120;

/// What the table of a query shows, without the mark of what will not change.
fn shown(rows: &[Value]) -> Vec<Value> {
    let without = |row: &Value| {
        let mut row = row.clone();
        if let Some(is_final) = row.as_object_mut().and_then(|row| row.remove("is_final")) {
            assert_eq!(is_final, Value::Bool(true), "nothing is open at the end");
        }
        row
    };
    rows.iter().map(without).collect()
}

#[test]
fn a_run_that_is_broken_off_comes_to_the_same_rows() {
    let first = setting("MILLSTREAM_SEED", 1);
    for seed in first..first + setting("MILLSTREAM_CRASHES", DEFAULT_SEEDS) {
        let case = Case::of(seed);
        let (script, replay) = (case.script(), data::replay(&case.records));
        let whole = stream(&script, &replay, case.cut).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut random = SmallRng::seed_from_u64(seed);
        let lives = random.random_range(1..=3);
        let deaths: Vec<usize> = (0..lives).map(|_| random.random_range(0..MAX_OBJECTS)).collect();
        let broken_off = resumed(&script, &replay, case.cut, &deaths);
        let broken_off = broken_off.unwrap_or_else(|error| panic!("seed {seed}, deaths {deaths:?}: {error}"));
        for number in 0..case.queries.len() {
            let name = name(number);
            let (expected, found) = (normal(&whole.results[&name]), normal(&shown(&broken_off.tables[&name])));
            if let Some(difference) = difference(&expected, &found, "the whole run", "the one that was broken off") {
                panic!("seed {seed}, deaths {deaths:?}, {:?}, {name}: {difference}\n{script}", case.cut);
            }
        }
    }
}
