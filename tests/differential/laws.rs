//! Laws that need no second engine: the same rows however a run is cut, windows that are one another's special case, and
//! counts that add up.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;

use super::case::{Case, difference, name, normal};
use super::data::{self, Record};
use super::expand::Window;
use super::query::{Bounds, Groups, Query, Relation};
use super::setting;
use crate::harness::{Cut, Run, stream};

/// Seeds a law is tried on.
const SEEDS: u64 = 8;

fn seeds() -> impl Iterator<Item = u64> {
    let first = setting("MILLSTREAM_SEED", 1);
    first..first + SEEDS
}

fn run(case: &Case, context: &str) -> Run {
    let script = case.script();
    let replay = data::replay(&case.records);
    stream(&script, &replay, case.cut).unwrap_or_else(|error| panic!("{context}: {error}\n{script}\n{replay}"))
}

fn assert_same(case: &Case, one: &[Value], other: &[Value], context: &str) {
    if let Some(difference) = difference(&normal(one), &normal(other), "one", "the other") {
        panic!("{context}: {difference}\n{}\n{}", case.script(), data::replay(&case.records));
    }
}

/// The same queries over the same records, in two ways.
fn assert_same_runs(one: &Case, other: &Case, context: &str) {
    let (run_one, run_other) = (run(one, context), run(other, context));
    for number in 0..one.queries.len() {
        let name = name(number);
        assert_same(one, &run_one.results[&name], &run_other.results[&name], &format!("{context}, {name}"));
    }
}

fn groups(window: Window) -> Groups {
    Groups {
        relation: Relation::Stream("a"),
        window,
        bounds: Bounds::All,
        filter: None,
        keys: vec!["k"],
        aggregates: vec!["count(*)", "sum(v)", "count(DISTINCT n)", "max(ts)"],
        having: None,
    }
}

/// A case that only counts, per window.
fn counts(records: Vec<Record>, windows: &[Window], cut: Cut) -> Case {
    let count = |window: &Window| {
        let session_key = matches!(window, Window::Session { by_key: true, .. });
        let keys = if session_key { vec!["k"] } else { Vec::new() };
        Query::Groups(Groups { keys, aggregates: vec!["count(*)"], ..groups(*window) })
    };
    Case { records, queries: windows.iter().map(count).collect(), cut }
}

fn total(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["a0"].as_u64().expect("a count")).sum()
}

fn accepted(records: &[Record]) -> u64 {
    records.iter().filter(|record| record.stream == "a" && !record.is_rejected()).count() as u64
}

#[test]
fn chunk_cuts_shards_and_workers_change_no_row() {
    for seed in seeds() {
        let plain = Case { cut: Cut::default(), ..Case::of(seed) };
        for (workers, shards) in [(1, 5), (2, 3), (8, 6)] {
            let cut = Cut { workers, shards, seed: Some(seed * 100 + u64::from(shards)) };
            assert_same_runs(&plain, &Case { cut, ..plain.clone() }, &format!("seed {seed}, {cut:?}"));
        }
    }
}

#[test]
fn shuffles_within_the_bound_change_no_row() {
    for seed in seeds() {
        let case = Case::of(seed);
        let mut random = SmallRng::seed_from_u64(seed);
        let records = data::shuffled(&case.records, data::DELAY_MS, &mut random);
        assert_same_runs(&case, &Case { records, ..case.clone() }, &format!("seed {seed}"));
    }
}

#[test]
fn windows_that_are_special_cases_of_others_are_the_same() {
    for seed in seeds() {
        let mut case = Case::of(seed);
        let shapes = [(1, 0), (1000, 1), (7000, -1000), (10_000, 3000), (60_000, 0), (3_600_000, 60_000)];
        let same = |(size, offset)| {
            [
                Window::Tumble { size, offset },
                Window::Hop { slide: size, size, offset },
                Window::Cumulate { step: size, max: size, offset },
            ]
        };
        case.queries = shapes.into_iter().flat_map(same).map(|window| Query::Groups(groups(window))).collect();
        let found = run(&case, &format!("seed {seed}")).results;
        for (number, shape) in (0..).step_by(3).zip(shapes) {
            for other in [number + 1, number + 2] {
                let context = format!("seed {seed}, size and offset {shape:?}");
                assert_same(&case, &found[&name(number)], &found[&name(other)], &context);
            }
        }
    }
}

#[test]
fn counts_of_all_windows_add_up_to_the_accepted_rows() {
    let zone = chrono_tz::Tz::America__New_York;
    // How many windows each row is in.
    let windows = [
        (Window::Tumble { size: 7000, offset: -1000 }, 1),
        (Window::Hop { slide: 2000, size: 10_000, offset: 3000 }, 5),
        (Window::Hop { slide: 1000, size: 60_000, offset: 0 }, 60),
        (Window::Session { gap: 5000, by_key: true }, 1),
        (Window::Session { gap: 1, by_key: false }, 1),
        (Window::Day { zone }, 1),
        (Window::HopDays { days: 3, zone }, 3),
    ];
    for seed in seeds() {
        let case = counts(Case::of(seed).records, &windows.map(|(window, _)| window), Case::of(seed).cut);
        let found = run(&case, &format!("seed {seed}"));
        for (number, (window, times)) in windows.iter().enumerate() {
            let counted = total(&found.results[&name(number)]);
            assert_eq!(counted, times * accepted(&case.records), "seed {seed}, {window:?}, {:?}", case.cut);
        }
    }
}

#[test]
fn every_record_read_is_filtered_late_rejected_or_used() {
    let mut late_rows = 0;
    for seed in seeds() {
        let case = Case::of(seed);
        let mut random = SmallRng::seed_from_u64(seed);
        let records = data::shuffled(&case.records, 20 * data::DELAY_MS, &mut random);
        let case = Case { records, ..case };
        for (query, stats) in &run(&case, &format!("seed {seed}")).stats {
            let (filtered, late) = (stats.filtered.get(), stats.late.get());
            let (rejected, used) = (stats.rejected.get(), stats.used.get());
            let context =
                format!("seed {seed}, {query}: {filtered} filtered, {late} late, {rejected} rejected, {used} used");
            assert_eq!(stats.rows_in.get(), filtered + late + rejected + used, "{context}\n{}", case.script());
            late_rows += late;
        }
    }
    assert!(late_rows > 0, "some rows are late");
}

#[test]
fn rows_that_are_not_late_are_in_one_tumbling_window() {
    let windows = [Window::Tumble { size: 1000, offset: 0 }, Window::Session { gap: 3000, by_key: true }];
    for seed in seeds() {
        let case = Case::of(seed);
        let mut random = SmallRng::seed_from_u64(seed);
        let records = data::shuffled(&case.records, 20 * data::DELAY_MS, &mut random);
        let case = counts(records, &windows, case.cut);
        let found = run(&case, &format!("seed {seed}"));
        let late: BTreeMap<&String, u64> = found.stats.iter().map(|(query, stats)| (query, stats.late.get())).collect();
        for (query, late) in late {
            assert_eq!(total(&found.results[query]) + late, accepted(&case.records), "seed {seed}, {query}");
        }
    }
}
