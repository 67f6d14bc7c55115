//! Every application of `tests/kda/`, unmodified, gives the rows of its definition: however its input is cut, and when
//! it is broken off and goes on. How the rows are computed: `tests/kda/oracle.py`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use millstream_kda::{Application, Target};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value};

use crate::crashes::resumed;
use crate::harness::{Cut, Results, repository, stream};

/// Floats are equal within so much of the larger one, and next to 0 within so much.
const TOLERANCE: f64 = 1e-9;
const TOLERANCE_AT_ZERO: f64 = 1e-12;
/// How often each application is cut up, and broken off.
const SEEDS: u64 = 3;
/// A life of a run ends after so many objects at the most: replays are short, and few checkpoints are taken of them.
const MAX_OBJECTS: usize = 7;
/// Names the one case that is run.
const ONE_CASE: &str = "MILLSTREAM_KDA_CASE";
/// Where rows go if no output says more.
const DEFAULT_OUTPUT: &str = "DESTINATION_SQL_STREAM";

struct Case {
    name: String,
    script: String,
    replay: String,
    outputs: BTreeSet<String>,
    /// None where rows have properties (`check.py`), which `tests/e2e/test_kda_cases.py` checks.
    expected: Option<Results>,
    ordered: bool,
    /// Tables of which only those columns are compared that are expected.
    partial: BTreeSet<String>,
}

/// How rows are to be the expected ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    InOrder,
    Once,
    AtLeastOnce,
}

/// The folders of all cases.
pub(crate) fn folders() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(repository().join("tests/kda")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.join("case.toml").exists()).collect();
    folders.sort();
    folders
}

/// What a case says of itself.
pub(crate) fn told(folder: &std::path::Path) -> toml::Table {
    let file = folder.join("case.toml");
    std::fs::read_to_string(&file).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

impl Case {
    fn read(folder: &std::path::Path) -> Self {
        let read =
            |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let application =
            Application::read(&read("app.json")).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let file = |key: &String| folder.join(key.rsplit('/').next().unwrap()).display().to_string();
        let files: BTreeMap<String, String> =
            application.references.iter().map(|table| (table.key.clone(), file(&table.key))).collect();
        let mut outputs: BTreeSet<String> = application.outputs.iter().map(|output| output.stream.clone()).collect();
        if outputs.is_empty() {
            outputs.insert(DEFAULT_OUTPUT.to_owned());
        }
        let told = told(folder);
        let partial = told.get("partial").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        Self {
            name,
            script: application.script(Target::Local(&files)).text,
            replay: read("input.ndjson"),
            outputs,
            expected: folder.join("expected.ndjson").exists().then(|| rows(&read("expected.ndjson"))),
            ordered: told.get("ordered").and_then(toml::Value::as_bool).unwrap_or_default(),
            partial: partial.iter().map(|table| table.as_str().unwrap().to_owned()).collect(),
        }
    }

    /// What the application is to give, by its definition or else by a run.
    fn rows(&self) -> Result<Results, String> {
        match &self.expected {
            Some(expected) => Ok(expected.clone()),
            None => Ok(shown(stream(&self.script, &self.replay, Cut::default())?.results)),
        }
    }

    /// The first row that is not as expected.
    fn difference(&self, expected: &Results, found: &Results, how: How) -> Option<String> {
        let none = Vec::new();
        // Errors are told to who reads them then: they are in no checkpoint (docs/sql.md).
        let compared = self.outputs.iter().filter(|table| how != How::AtLeastOnce || *table != "error_stream");
        compared.into_iter().find_map(|table| {
            let rows = |results: &Results| {
                let rows = results.get(table).unwrap_or(&none).iter();
                rows.map(|row| row.as_object().expect("a row is an object").clone()).map(closed).collect::<Vec<_>>()
            };
            let (mut expected, mut found) = (rows(expected), rows(found));
            if self.partial.contains(table) {
                let columns: BTreeSet<String> = expected.iter().flat_map(Map::keys).cloned().collect();
                for row in &mut found {
                    row.retain(|column, _| columns.contains(column));
                }
            }
            if how != How::InOrder {
                expected.sort_by_key(place);
                found.sort_by_key(place);
            }
            if how == How::AtLeastOnce {
                expected.dedup_by(|one, other| same(one, other));
                found.dedup_by(|one, other| same(one, other));
            }
            let missing = Map::new();
            (0..expected.len().max(found.len())).find_map(|at| {
                let (expected, found) = (expected.get(at).unwrap_or(&missing), found.get(at).unwrap_or(&missing));
                let (one, other) = (Value::from(expected.clone()), Value::from(found.clone()));
                (!same(expected, found)).then(|| format!("{table}: expected {one}, found {other}"))
            })
        })
    }
}

/// By the names of the application: the table of an Output is called otherwise where a view has its name.
fn shown(results: impl IntoIterator<Item = (String, Vec<Value>)>) -> Results {
    let name = |table: String| table.strip_suffix("__output").map_or(table.clone(), str::to_owned);
    results.into_iter().map(|(table, rows)| (name(table), rows)).collect()
}

/// Without the mark of what will not change, which a live table's rows have.
fn closed(mut row: Map<String, Value>) -> Map<String, Value> {
    row.remove("is_final");
    row
}

fn rows(text: &str) -> Results {
    let mut rows = Results::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        rows.entry(line["table"].as_str().unwrap().to_owned()).or_default().push(line["row"].clone());
    }
    rows
}

/// Brings rows that are equal but for rounding to the same place.
fn place(row: &Map<String, Value>) -> String {
    let rounded = |value: &Value| match value.as_f64() {
        Some(number) if number.abs() <= TOLERANCE_AT_ZERO => "0".to_owned(),
        Some(number) => format!("{number:.6e}"),
        None => value.to_string(),
    };
    let columns: BTreeMap<&String, String> = row.iter().map(|(name, value)| (name, rounded(value))).collect();
    format!("{columns:?}")
}

fn same(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same_value(value, other)))
}

fn same_value(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(a), Some(b)) if one.is_f64() || other.is_f64() => {
            (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()) || (a - b).abs() <= TOLERANCE_AT_ZERO
        }
        _ => one == other,
    }
}

/// Runs every case; fails with all that is wrong.
fn every_case(run: impl Fn(&Case) -> Result<(), String>) {
    let only = std::env::var(ONE_CASE).ok();
    let mut wrong = Vec::new();
    for folder in folders() {
        if only.as_ref().is_some_and(|only| !folder.ends_with(only)) {
            continue;
        }
        let case = Case::read(&folder);
        if let Err(difference) = run(&case) {
            wrong.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn applications_give_their_rows_however_their_input_is_cut() {
    every_case(|case| {
        let expected = case.rows()?;
        let order = if case.ordered { How::InOrder } else { How::Once };
        for seed in 0..SEEDS {
            let mut random = SmallRng::seed_from_u64(seed);
            // The order of rows of several shards is a matter of how they are cut: the records say theirs.
            let cut = Cut { workers: random.random_range(1..=3), shards: 1, seed: Some(seed).filter(|seed| *seed > 0) };
            let found = shown(stream(&case.script, &case.replay, cut)?.results);
            if let Some(difference) = case.difference(&expected, &found, order) {
                return Err(format!("{cut:?}: {difference}"));
            }
        }
        Ok(())
    });
}

#[test]
fn applications_that_are_broken_off_come_to_the_same_rows() {
    let deaths_of_all = Cell::new(0);
    every_case(|case| {
        let expected = case.rows()?;
        for seed in 0..SEEDS {
            let mut random = SmallRng::seed_from_u64(seed);
            let cut = Cut { workers: random.random_range(1..=3), shards: 1, seed: Some(seed) };
            let deaths: Vec<usize> =
                (0..random.random_range(1..=3)).map(|_| random.random_range(0..MAX_OBJECTS)).collect();
            let found = resumed(&case.script, &case.replay, cut, &deaths)?;
            deaths_of_all.set(deaths_of_all.get() + found.deaths);
            // `print` gives rows again that came behind the checkpoint; a table has each of them once.
            let how = if found.printed.is_empty() { How::Once } else { How::AtLeastOnce };
            let found = shown(found.tables.into_iter().chain(found.printed));
            if let Some(difference) = case.difference(&expected, &found, how) {
                return Err(format!("{cut:?}, deaths {deaths:?}: {difference}"));
            }
        }
        Ok(())
    });
    let (deaths, cases) = (deaths_of_all.get(), folders().len());
    let one = std::env::var_os(ONE_CASE).is_some();
    assert!(one || deaths >= cases, "{deaths} lives of {cases} cases were broken off: too few to say anything");
}
