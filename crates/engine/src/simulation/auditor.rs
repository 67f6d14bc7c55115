//! Compares what a run shows with the batch answer, and looks that nothing goes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use millstream_core::{EventTime, Offset};

use super::connectors::Edges;
use super::process::Process;
use super::scenario::Scenario;
use super::sinks::texts;
use super::world::{Shared, count};
use crate::batch::run_batch;
use crate::stats::Counter;

/// How far a shard of a query has come: event time, and the position in it.
type Reached = (EventTime, Option<Offset>);

pub(super) struct Auditor {
    world: Shared,
    views: Vec<String>,
    lasting: Vec<String>,
    /// By process, query, source and shard; event time of the whole query is that of no shard.
    reached: RefCell<BTreeMap<[String; 4], Reached>>,
}

impl Auditor {
    /// Asks for the batch answer.
    pub(super) fn new(world: &Shared, scenario: &Scenario) -> Self {
        let edges = Edges { world: world.clone(), is_calm: true };
        let batch = run_batch(&edges, Arc::new(world.clone()), &scenario.script, &super::runtime()).unwrap();
        for result in batch.results {
            let rows = count(result.rows.iter().flat_map(texts));
            world.log(format!("{} rows of {}", rows.len(), result.table));
            world.lock().expected.insert(result.table, rows);
        }
        let (views, lasting) = (scenario.views.clone(), scenario.lasting.clone());
        Self { world: world.clone(), views, lasting, reached: RefCell::default() }
    }

    fn wrong(&self, what: String) {
        self.world.lock().wrong.push(what);
    }

    /// Looks at a process between two steps.
    pub(super) fn look(&self, process: &Process) {
        for view in &self.lasting {
            let Some(table) = process.engine.table(view) else { continue };
            let rows = table.snapshot().unwrap().rows;
            self.world.lock().check_visible(view, rows.iter().map(final_rows).flat_map(|rows| texts(&rows)));
        }
        for query in process.queries() {
            self.advanced(process, &query.name, ["", ""], (query.stats.watermark(), None));
            for (source, shard, at) in query.stats.shards() {
                self.advanced(process, &query.name, [&source, shard.as_str()], (at.watermark, at.offset));
            }
        }
    }

    fn advanced(&self, process: &Process, query: &str, [source, shard]: [&str; 2], now: Reached) {
        let key = [&process.name, query, source, shard].map(str::to_owned);
        let mut reached = self.reached.borrow_mut();
        if reached.get(&key).is_some_and(|before| before.0 > now.0 || before.1 > now.1) {
            self.wrong(format!("{key:?} went back from {:?} to {now:?}", reached[&key]));
        }
        reached.insert(key, now);
    }

    /// Everything has been read: all is as the batch answer has it.
    pub(super) fn compare(&self, process: &Process) {
        self.look(process);
        self.compare_tables(process);
        let sinks: Vec<String> = self.world.lock().sinks.keys().cloned().collect();
        for sink in sinks {
            let (shown, may_repeat) = {
                let world = self.world.lock();
                // Two processes that write to a log at the same time know nothing of each other.
                (count(world.sinks[&sink].rows()), world.has_two_writers && sink.ends_with("_log"))
            };
            self.same(&sink, shown, may_repeat);
        }
        for query in process.queries() {
            let stats = &query.stats;
            let [rows_in, filtered, late, rejected, used] =
                [&stats.rows_in, &stats.filtered, &stats.late, &stats.rejected, &stats.used].map(Counter::get);
            if rows_in != filtered + late + rejected + used || late > 0 || rejected > 0 {
                let counts =
                    format!("{rows_in} in, {filtered} filtered, {late} late, {rejected} rejected, {used} used");
                self.wrong(format!("the counts of {} do not add up: {counts}", query.name));
            }
        }
    }

    pub(super) fn compare_tables(&self, process: &Process) {
        for view in &self.views {
            let rows = process.engine.table(view).unwrap().snapshot().unwrap().rows;
            self.same(view, count(rows.iter().flat_map(texts)), false);
        }
    }

    fn same(&self, table: &str, mut shown: BTreeMap<String, usize>, may_repeat: bool) {
        let expected = self.world.lock().expected[table].clone();
        if may_repeat {
            for (row, times) in &mut shown {
                *times = (*times).min(expected.get(row).copied().unwrap_or(1));
            }
        }
        let rows: BTreeSet<&String> = expected.keys().chain(shown.keys()).collect();
        for row in rows {
            let [wanted, found] = [&expected, &shown].map(|of| of.get(row).copied().unwrap_or(0));
            if wanted != found {
                self.wrong(format!("`{table}` has {found} times {row}, and the batch answer {wanted} times"));
            }
        }
    }
}

/// The rows of windows that have closed; all where there are no windows.
fn final_rows(rows: &RecordBatch) -> RecordBatch {
    match rows.column_by_name("is_final") {
        Some(is_final) => {
            let is_final: &BooleanArray = is_final.as_boolean();
            arrow::compute::filter_record_batch(rows, is_final).unwrap()
        }
        None => rows.clone(),
    }
}
