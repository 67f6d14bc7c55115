//! What Apache Flink gives for the same data and the same meaning: `tests/oracle` has the rows and how to ask again.
//!
//! Every case runs as it is, as a batch, and cut at random places over shards and workers.

use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{Cut, batch, repository, sorted, stream};

fn cases() -> Vec<PathBuf> {
    let folder = repository().join("tests/oracle");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.join("millstream.sql").is_file()).collect();
    cases.sort();
    assert!(cases.len() > 60, "{} has its cases", folder.display());
    cases
}

fn read(case: &Path, file: &str) -> String {
    std::fs::read_to_string(case.join(file)).unwrap_or_else(|error| panic!("{}/{file}: {error}", case.display()))
}

fn expected(case: &Path) -> Vec<String> {
    let rows: Vec<Value> =
        read(case, "expected.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    sorted(&rows)
}

/// Field order does not matter, and a number may be written with or without a fraction.
fn normal(rows: &[String]) -> Vec<String> {
    fn of(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<(String, Value)> = fields.iter().map(|(name, v)| (name.clone(), of(v))).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(fields.into_iter().collect())
            }
            Value::Number(number) => Value::from(number.as_f64()),
            other => other.clone(),
        }
    }
    let mut rows: Vec<String> = rows.iter().map(|row| of(&serde_json::from_str(row).unwrap()).to_string()).collect();
    rows.sort();
    rows
}

/// The first rows that one side has and the other has not.
fn difference(found: &[String], expected: &[String]) -> String {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).take(4).collect();
    let extra: Vec<_> = found.iter().filter(|row| !expected.contains(row)).take(4).collect();
    format!("{} rows, expected {}; missing {missing:#?}, not expected {extra:#?}", found.len(), expected.len())
}

/// Runs a check over all cases and fails with everything that is wrong.
fn check(cases: &[PathBuf], run: impl Fn(&Path, &str, &str) -> Result<Vec<String>, String>) {
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy();
        let expected = normal(&expected(case));
        match run(case, &read(case, "millstream.sql"), &read(case, "input.ndjson")) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(rows) => {
                let rows = normal(&rows);
                if rows != expected {
                    wrong.push(format!("{name}: {}", difference(&rows, &expected)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn rows_are_those_of_flink() {
    check(&cases(), |_, script, input| Ok(sorted(&stream(script, input, Cut::default())?.results["r"])));
}

#[test]
fn a_batch_gives_the_rows_of_flink() {
    // A batch has no late rows, and of rows with the same time it does not know which came first.
    let needs_arrival = |case: &PathBuf| {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        ["late", "over_rows", "deduplicate_last"].iter().any(|start| name.starts_with(start))
    };
    let cases: Vec<PathBuf> = cases().into_iter().filter(|case| !needs_arrival(case)).collect();
    check(&cases, |_, script, input| Ok(sorted(&batch(script, input)?["r"])));
}

#[test]
fn rows_do_not_depend_on_cuts_shards_or_workers() {
    let cases: Vec<PathBuf> =
        cases().into_iter().filter(|case| !case.file_name().unwrap().to_string_lossy().starts_with("late")).collect();
    for seed in 1..=3 {
        let mut random = SmallRng::seed_from_u64(seed);
        let cut = Cut { workers: random.random_range(1..=4), shards: random.random_range(1..=6), seed: Some(seed) };
        check(&cases, |_, script, input| {
            let run = stream(script, input, cut).map_err(|error| format!("{cut:?}: {error}"))?;
            let stats = &run.stats["r"];
            let all = stats.filtered.get() + stats.late.get() + stats.rejected.get() + stats.used.get();
            if stats.rows_in.get() != all || stats.late.get() != 0 {
                return Err(format!(
                    "{cut:?}: {} rows came in, {all} are accounted for, {} late",
                    stats.rows_in.get(),
                    stats.late.get()
                ));
            }
            Ok(sorted(&run.results["r"]))
        });
    }
}
