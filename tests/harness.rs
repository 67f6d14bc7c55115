//! Runs scripts over replays in this process, with everything that a test wants to vary.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::RecordBatch;
use millstream_connectors::{Context, Registry, Replay, ReplayPlan, json_rows};
use millstream_core::{Clock, Connectors};
use millstream_engine::{Captured, Engine, MemorySettings, Outcome, QueryStats, Script, Settings, run_batch};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How a run is cut up. Results must not depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) workers: usize,
    pub(crate) shards: u32,
    pub(crate) seed: Option<u64>,
}

impl Default for Cut {
    fn default() -> Self {
        Self { workers: 1, shards: 1, seed: None }
    }
}

/// One for all runs: to start one takes longer than a small run.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// What came out of a run, by table: rows as JSON, in emission order.
pub(crate) type Results = BTreeMap<String, Vec<Value>>;

/// A finished run.
pub(crate) struct Run {
    pub(crate) results: Results,
    pub(crate) stats: BTreeMap<String, Arc<QueryStats>>,
    pub(crate) errors: Vec<Value>,
    /// What was asked when everything had ended.
    pub(crate) answer: Vec<Value>,
}

/// What `print` tables have printed.
pub(crate) type Printed = Arc<Mutex<Vec<u8>>>;

pub(crate) fn registry(replay: &str, plan: ReplayPlan, printed: &Printed) -> (Arc<Registry>, Arc<dyn Clock>) {
    let replay = Arc::new(Replay::parse(&replay.to_owned().into(), plan).expect("the replay is well formed"));
    let clock: Arc<dyn Clock> = replay.clock();
    let printer = Arc::clone(printed) as _;
    let context = Context { replay: Some(replay), printer, ..Context::new(Arc::clone(&clock)) };
    (Arc::new(Registry::new(context)), clock)
}

/// Runs a script over a replay to the end.
pub(crate) fn stream(script: &str, replay: &str, cut: Cut) -> Result<Run, String> {
    stream_and_ask(script, replay, cut, None)
}

/// The same, and answers a SELECT of tables at the end.
pub(crate) fn stream_and_ask(script: &str, replay: &str, cut: Cut, question: Option<&str>) -> Result<Run, String> {
    stream_within(script, replay, cut, question, MemorySettings { limit: 1 << 30, spill: None })
}

/// The same within so much memory.
pub(crate) fn stream_within(
    script: &str,
    replay: &str,
    cut: Cut,
    question: Option<&str>,
    memory: MemorySettings,
) -> Result<Run, String> {
    let plan = ReplayPlan { cut_seed: cut.seed, shards: cut.shards, ..ReplayPlan::default() };
    let printed = Printed::default();
    let (registry, clock) = registry(replay, plan, &printed);
    let settings =
        Settings { workers: cut.workers, queue_bytes: 1 << 24, replay_time: true, checkpoints: None, memory };
    stream_on(registry, clock, settings, script, question, &printed)
}

/// The same on these connectors.
pub(crate) fn stream_on(
    registry: Arc<dyn Connectors>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    script: &str,
    question: Option<&str>,
    printed: &Printed,
) -> Result<Run, String> {
    let runtime = &*RUNTIME;
    let (sender, mut captured) = mpsc::channel::<Captured>(64);
    let engine = Engine::start(registry, clock, settings, Some(sender), runtime.handle().clone())
        .map_err(|error| error.to_string())?;
    let collected = runtime.spawn(async move {
        let mut results: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
        while let Some(Captured { table, rows }) = captured.recv().await {
            results.entry(table).or_default().push(rows);
        }
        results
    });
    let scripts = [Script { text: script.to_owned(), durable: false }];
    engine.execute(&scripts).map_err(|failed| failed.error.to_string())?;
    let failures = runtime.block_on(engine.finished());
    if let Some((query, reason)) = failures.first() {
        return Err(format!("{query}: {reason}"));
    }
    let mut updating = Results::new();
    let mut stats = BTreeMap::new();
    for query in engine.queries() {
        stats.insert(query.name.clone(), Arc::clone(&query.stats));
        if query.pipeline.is_updating() {
            let table = engine.table(&query.name).expect("an updating query has a table");
            updating.insert(query.name.clone(), rows(&table.snapshot().unwrap().rows));
        }
    }
    let errors = rows(&engine.table("error_stream").unwrap().snapshot().unwrap().rows);
    let mut answer = Vec::new();
    if let Some(question) = question {
        let scripts = [Script { text: question.to_owned(), durable: false }];
        let outcomes = engine.execute(&scripts).map_err(|failed| failed.error.to_string())?;
        for outcome in outcomes {
            if let Outcome::Rows { rows: found, .. } = outcome {
                answer.extend(rows(&found));
            }
        }
    }
    drop(engine);
    let captured = runtime.block_on(collected).unwrap();
    let mut results: Results = captured.into_iter().map(|(table, batches)| (table, rows(&batches))).collect();
    for query in stats.keys() {
        results.entry(query.clone()).or_default();
    }
    results.extend(updating);
    for (table, rows) in lines(printed) {
        results.entry(table).or_default().extend(rows);
    }
    Ok(Run { results, stats, errors, answer })
}

/// What was printed, by table.
pub(crate) fn lines(printed: &Printed) -> Results {
    let mut results = Results::new();
    for line in std::str::from_utf8(&printed.lock().unwrap()).unwrap().lines() {
        let line: Value = serde_json::from_str(line).expect("a printed row is one JSON object");
        let table = line["table"].as_str().expect("it names its table").to_owned();
        results.entry(table).or_default().push(line["row"].clone());
    }
    results
}

/// The same as one batch query each.
pub(crate) fn batch(script: &str, replay: &str) -> Result<Results, String> {
    let runtime = &*RUNTIME;
    let (registry, clock) = registry(replay, ReplayPlan::default(), &Printed::default());
    let connectors: &dyn Connectors = registry.as_ref();
    let run = run_batch(connectors, clock, script, runtime.handle()).map_err(|error| error.to_string())?;
    Ok(run.results.into_iter().map(|result| (result.table, rows(&result.rows))).collect())
}

/// Rows as JSON values.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<Value> {
    let mut rows = Vec::new();
    for batch in batches {
        let mut text = Vec::new();
        json_rows(batch, &mut text).expect("every type has a JSON form");
        let lines = std::str::from_utf8(&text).unwrap().lines();
        rows.extend(lines.map(|line| serde_json::from_str(line).expect("a row is one JSON object")));
    }
    rows
}

/// Rows without an order, to compare.
pub(crate) fn sorted(rows: &[Value]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    rows.sort();
    rows
}

/// Text as `data_row` of `error_stream` shows it.
pub(crate) fn hex(text: &str) -> String {
    let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// The folder of the repository.
pub(crate) fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_path_buf()
}
