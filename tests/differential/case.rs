//! One case: records, queries over them, and how the run is cut up.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::data::{self, Record};
use super::grammar;
use super::query::Query;
use super::render::{Dialect, Render, Step};
use super::sqlite::Sqlite;
use crate::harness::{Cut, batch, stream};

/// How many queries run over the same records: starting an engine costs more than a query.
pub(super) const QUERIES: usize = 12;

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) records: Vec<Record>,
    pub(super) queries: Vec<Query>,
    pub(super) cut: Cut,
}

/// What is wrong with a case.
#[derive(Debug)]
pub(super) struct Failure {
    /// The query, unless nothing ran.
    pub(super) query: Option<usize>,
    pub(super) reason: String,
}

impl Case {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let queries = (0..QUERIES).map(|_| grammar::query(&mut random)).collect();
        Self { records: data::records(seed), queries, cut: cut(&mut random, seed) }
    }

    pub(super) fn script(&self) -> String {
        let mut script = data::tables();
        for (number, query) in self.queries.iter().enumerate() {
            let name = name(number);
            let mut render = Render::new(Dialect::Millstream, &name);
            let sql = query.sql(&mut render);
            for step in render.steps {
                if let Step::View(statement) = step {
                    script += &(statement + "\n");
                }
            }
            script.extend(["CREATE MATERIALIZED VIEW ", &name, " AS ", &sql, ";\n"]);
        }
        script
    }

    /// The first thing that is wrong.
    pub(super) fn failure(&self) -> Option<Failure> {
        let (script, replay) = (self.script(), data::replay(&self.records));
        let not_run = |what: &str, error: String| Some(Failure { query: None, reason: format!("{what}: {error}") });
        let run = match stream(&script, &replay, self.cut) {
            Err(error) => return not_run("stream", error),
            Ok(run) => run,
        };
        let whole = match batch(&script, &replay) {
            Err(error) => return not_run("batch", error),
            Ok(whole) => whole,
        };
        let sqlite = match Sqlite::new(&self.records) {
            Err(error) => return not_run("SQLite", error.to_string()),
            Ok(sqlite) => sqlite,
        };
        for (number, query) in self.queries.iter().enumerate() {
            let name = name(number);
            let failed = |reason| Some(Failure { query: Some(number), reason });
            let streamed = normal(&run.results[&name]);
            if let Some(difference) = difference(&streamed, &normal(&whole[&name]), "the stream", "the batch") {
                return failed(difference);
            }
            if query.is_portable() {
                match sqlite.answer(&name, query) {
                    Err(error) => return failed(format!("SQLite: {error}")),
                    Ok(rows) => {
                        if let Some(difference) = difference(&streamed, &normal(&rows), "the stream", "SQLite") {
                            return failed(difference);
                        }
                    }
                }
            }
            if let Some(wrong) = self.wrong_count(query, &run.stats[&name]) {
                return failed(wrong);
            }
        }
        None
    }

    /// Every record is accounted for, and none is late. A query that copies rows into windows that overlap, or has
    /// GROUPING SETS, reads each record once for each of them, and counts it as often.
    fn wrong_count(&self, query: &Query, stats: &millstream_engine::QueryStats) -> Option<String> {
        let read: Vec<_> = self.records.iter().filter(|record| query.streams().contains(&record.stream)).collect();
        let rejected = read.iter().filter(|record| record.is_rejected()).count() as u64;
        let read = read.len() as u64;
        let (rows_in, filtered, used) = (stats.rows_in.get(), stats.filtered.get(), stats.used.get());
        let times = rows_in.checked_div(read).unwrap_or(1).max(1);
        let found = (rows_in, stats.late.get(), stats.rejected.get(), filtered + stats.rejected.get() + used);
        let expected = (times * read, 0, times * rejected, times * read);
        (found != expected).then(|| {
            format!("read, late, rejected and accounted for are {found:?}, expected {expected:?}; {used} used, {filtered} filtered")
        })
    }
}

pub(super) fn name(number: usize) -> String {
    format!("q{number}")
}

/// Any of the cuts that must not matter.
pub(super) fn cut(random: &mut SmallRng, seed: u64) -> Cut {
    let workers = *[1, 2, 8].choose(random).expect("there is a choice");
    let shards = random.random_range(1..=6);
    Cut { workers, shards, seed: random.random_bool(0.8).then_some(seed) }
}

/// Rows as both engines have them: times as milliseconds, numbers as floats, truth as 1 and 0; sorted.
pub(super) fn normal(rows: &[Value]) -> Vec<String> {
    fn of(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let members: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, of(value))).collect();
                members.into_iter().map(|(name, value)| (name.clone(), value)).collect()
            }
            Value::Array(items) => items.iter().map(of).collect(),
            Value::Bool(truth) => Value::from(f64::from(u8::from(*truth))),
            // Zero has no sign here.
            Value::Number(number) => Value::from(number.as_f64().map(|number| number + 0.0)),
            Value::String(text) => match NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
                Ok(time) => Value::from(time.and_utc().timestamp_millis() as f64),
                Err(_) => value.clone(),
            },
            Value::Null => Value::Null,
        }
    }
    let mut rows: Vec<String> = rows.iter().map(|row| of(row).to_string()).collect();
    rows.sort();
    rows
}

/// The first rows that one side has more often than the other.
pub(super) fn difference(found: &[String], expected: &[String], of: &str, other: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    for (rows, sign) in [(found, 1), (expected, -1)] {
        for row in rows {
            *counts.entry(row).or_default() += sign;
        }
    }
    let mut text = format!("{of} gives {} rows, {other} {}", found.len(), expected.len());
    for (side, sign) in [(of, 1), (other, -1)] {
        for (row, count) in counts.iter().filter(|(_, count)| **count * sign > 0).take(3) {
            let times = (count * sign).to_string();
            text.extend(["\n  only ", side, " (", &times, " times): ", row]);
        }
    }
    Some(text)
}
