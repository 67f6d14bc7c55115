//! A script over bounded input, to its end: what `run` and `test` have in common.
//!
//! SELECTs over tables wait until everything else has ended, so that they see the results.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use arrow::array::RecordBatch;
use millstream_connectors::Replay;
use millstream_core::Clock;
use millstream_engine::{Captured, ClientRows, ERROR_STREAM, Engine, MemorySettings, Outcome, Settings, run_batch};
use millstream_sql::{Position, parse};
use tokio::sync::mpsc;

use crate::clock::SystemClock;
use crate::config;
use crate::offline::{Offline, is_printed};
use crate::printer::Printer;
use crate::scripts::{self, Scripts};
use crate::select::{ordered_by, page};
use crate::service::QUEUE_BYTES;
use crate::tasks;

/// Results that may wait to be printed before queries wait too.
const PRINT_QUEUE: usize = 256;

/// A script and what it is run over.
pub(crate) struct BoundedRun<'a> {
    /// The script's name, for errors.
    pub(crate) name: &'a str,
    pub(crate) script: &'a str,
    /// Records that stand in for every stream.
    pub(crate) replay: Option<Arc<Replay>>,
}

/// Records read, and what became of those that are in no result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) late: u64,
    pub(crate) rejected: u64,
    /// Rows of results for sinks that are not printed.
    pub(crate) unprinted: u64,
}

/// Names of the rows of SELECTs: `select`, `select_2`, …; their columns differ.
#[derive(Default)]
pub(crate) struct Selects(usize);

impl Selects {
    pub(crate) fn name(&mut self) -> String {
        self.0 += 1;
        if self.0 == 1 { "select".to_owned() } else { format!("select_{}", self.0) }
    }
}

impl BoundedRun<'_> {
    fn clock(&self) -> Arc<dyn Clock> {
        match &self.replay {
            Some(replay) => replay.clock(),
            None => Arc::new(SystemClock),
        }
    }

    fn connectors(&self, results: mpsc::Sender<Captured>) -> anyhow::Result<Arc<Offline>> {
        Ok(Arc::new(Offline::new(self.clock(), self.replay.clone(), results)?))
    }

    /// Runs the plan of each query as one batch query and prints the results.
    pub(crate) async fn batch<W: Write>(&self, printer: &mut Printer<W>) -> anyhow::Result<Counts> {
        let (results, _) = mpsc::channel(PRINT_QUEUE);
        let (connectors, clock) = (self.connectors(results)?, self.clock());
        let (script, runtime) = (self.script.to_owned(), tokio::runtime::Handle::current());
        let ran = tokio::task::spawn_blocking(move || run_batch(connectors.as_ref(), clock, &script, &runtime)).await;
        let ran = ran.context("the batch run broke off")?;
        let ran = ran.map_err(|error| anyhow!("{}", scripts::located(self.name, &error)))?;
        let mut unprinted = 0;
        // A blackhole swallows here as it does on a stream; every other result is printed.
        for result in &ran.results {
            let is_swallowed = result.connector.as_deref() == Some("blackhole");
            for rows in &result.rows {
                if is_swallowed {
                    unprinted += rows.num_rows() as u64;
                } else {
                    printer.print(&result.table, rows)?;
                }
            }
        }
        Ok(Counts { records: ran.records, bytes: ran.bytes, late: 0, rejected: ran.rejected, unprinted })
    }

    /// Runs the script on worker threads and prints results as they come.
    pub(crate) async fn stream<W: Write>(&self, workers: usize, printer: &mut Printer<W>) -> anyhow::Result<Counts> {
        let (results, captured) = mpsc::channel(PRINT_QUEUE);
        let connectors = self.connectors(results.clone())?;
        let spill = std::env::temp_dir().join(format!("millstream-{}", std::process::id()));
        let memory = MemorySettings { limit: config::memory_limit_of_environment()?, spill: Some(spill.clone()) };
        let settings = Settings {
            workers,
            queue_bytes: QUEUE_BYTES,
            replay_time: self.replay.is_some(),
            checkpoints: None,
            memory,
        };
        let runtime = tokio::runtime::Handle::current();
        let engine = Engine::start(connectors, self.clock(), settings, Some(results.clone()), runtime)
            .map_err(|error| anyhow!("{}", scripts::located(self.name, &error)))?;
        let ran = stream(&engine, self.name, self.script, results, captured, printer).await;
        drop(engine);
        // Made only if memory was short; its files are gone by now.
        let _ = std::fs::remove_dir(&spill);
        ran
    }
}

async fn stream<W: Write>(
    engine: &Engine,
    name: &str,
    script: &str,
    results: mpsc::Sender<Captured>,
    mut captured: mpsc::Receiver<Captured>,
    printer: &mut Printer<W>,
) -> anyhow::Result<Counts> {
    let (first, last) = split(engine, name, script)?;
    let (mut following, mut selects) = (Vec::new(), Selects::default());
    for outcome in execute(engine, first).await? {
        match outcome {
            Outcome::Stream { rows, .. } => following.push(tasks::start(follow(selects.name(), rows, results.clone()))),
            Outcome::Explained { text, .. } => eprint!("{text}"),
            Outcome::Rows { rows, .. } => print_all(printer, &selects.name(), &rows)?,
            _ => {}
        }
    }
    let ended = async {
        let failures = engine.finished().await;
        for task in following {
            task.await.context("a SELECT broke off")?;
        }
        anyhow::Ok(failures)
    };
    tokio::pin!(ended);
    let failures = loop {
        tokio::select! {
            biased;
            Some(Captured { table, rows }) = captured.recv() => printer.print(&table, &rows)?,
            failures = &mut ended => break failures?,
        }
    };
    while let Ok(Captured { table, rows }) = captured.try_recv() {
        printer.print(&table, &rows)?;
    }
    if let Some((query, reason)) = failures.first() {
        bail!("{name}: query `{query}` failed: {reason}");
    }
    for query in engine.queries().iter().filter(|query| query.pipeline.is_updating()) {
        if let Some(table) = engine.table(&query.name) {
            let snapshot = table.snapshot().map_err(|error| anyhow!("{}", error.strip_backtrace()))?;
            let rows = ordered_by(table.schema(), snapshot.rows, table.key())?;
            print_all(printer, table.name(), &rows)?;
        }
    }
    for outcome in execute(engine, last).await? {
        if let Outcome::Rows { rows, .. } = outcome {
            print_all(printer, &selects.name(), &rows)?;
        }
    }
    let counts = counts(engine);
    engine.shutdown().await;
    Ok(counts)
}

/// The script's statements, those that read results apart. Each keeps its place, for errors.
fn split(engine: &Engine, name: &str, script: &str) -> anyhow::Result<(Scripts, Scripts)> {
    let report = engine.check(script);
    if !report.errors.is_empty() {
        let errors: Vec<String> = report.errors.iter().map(|error| scripts::located(name, error)).collect();
        bail!("{}", errors.join("\n"));
    }
    let statements = parse(script).map_err(|error| anyhow!("{}", scripts::located(name, &error)))?;
    let (mut first, mut last) = (Scripts::default(), Scripts::default());
    // Settings hold within their script: they go with the query that they are for.
    let mut settings = String::new();
    for (statement, checked) in statements.iter().zip(&report.statements) {
        let text = in_place(&statement.text, statement.at);
        match checked.kind {
            "set" => settings = format!("{settings}{}; ", statement.text),
            "query" => first.add(name, std::mem::take(&mut settings) + &text, false),
            "rows" => last.add(name, text, false),
            _ => first.add(name, text, false),
        }
    }
    Ok((first, last))
}

/// The text where it stands in its script.
fn in_place(text: &str, at: Option<Position>) -> String {
    let Some(at) = at else { return text.to_owned() };
    let before = |count: u64| usize::try_from(count).unwrap_or(0).saturating_sub(1);
    format!("{}{}{text}", "\n".repeat(before(at.line)), " ".repeat(before(at.column)))
}

async fn execute(engine: &Engine, scripts: Scripts) -> anyhow::Result<Vec<Outcome>> {
    let engine = engine.clone();
    let executed =
        tokio::task::spawn_blocking(move || engine.execute(scripts.scripts()).map_err(|error| scripts.explain(&error)));
    executed.await.context("a statement broke off")?
}

/// Rows of a SELECT over a stream, until the input or LIMIT ends it.
async fn follow(table: String, mut selected: ClientRows, results: mpsc::Sender<Captured>) {
    let mut left = selected.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    while left > 0
        && let Some(rows) = selected.next().await
    {
        let rows = rows.slice(0, rows.num_rows().min(left));
        left -= rows.num_rows();
        if results.send(Captured { table: table.clone(), rows }).await.is_err() {
            return;
        }
    }
}

fn print_all<W: Write>(printer: &mut Printer<W>, table: &str, batches: &[RecordBatch]) -> anyhow::Result<()> {
    page(batches, 0, usize::MAX).iter().try_for_each(|rows| printer.print(table, rows))
}

/// Records are counted once, whatever reads them; rows that a query could not use are its own.
fn counts(engine: &Engine) -> Counts {
    let sources = engine.sources();
    let catalog = engine.catalog();
    let mut counts = Counts::default();
    // Errors are counted where they are made.
    for (_, source) in sources.iter().filter(|(name, _)| name != ERROR_STREAM) {
        counts.records += source.records.get();
        counts.bytes += source.bytes.get();
        counts.rejected += source.rejected.get();
    }
    for query in engine.queries() {
        let read = sources.iter().filter(|(name, _)| query.sources.contains(name));
        let undecodable: u64 = read.map(|(_, source)| source.rejected.get()).sum();
        counts.rejected += query.stats.rejected.get().saturating_sub(undecodable);
        counts.late += query.stats.late.get();
        let mut sink = catalog.tables().filter(|table| query.sink.as_ref() == Some(&table.decl.name));
        if sink.any(|table| !is_printed(&table.decl)) {
            counts.unprinted += query.stats.rows_out.get();
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_its_place() {
        let script = "CREATE VIEW v AS SELECT 1 AS one;\n\n  SELEC 1;";
        assert_eq!(in_place("SELECT 1", Some(Position { line: 3, column: 3 })), "\n\n  SELECT 1");
        let error = parse(script).unwrap_err();
        assert_eq!(error.at, Some(Position { line: 3, column: 3 }));
    }
}
