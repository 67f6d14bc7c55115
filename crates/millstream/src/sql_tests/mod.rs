//! SQL tests: a script, the records it is run over, and the rows it is to give. What they are is told in
//! `docs/testing.md`.
//!
//! ```text
//! find ──► run_one (bounded_run) ──► rows ──► compare ──► diff
//! ```

mod compare;
mod diff;
mod find;
mod rows;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use millstream_connectors::{Replay, ReplayPlan};

pub(crate) use compare::{Difference, Mark};
pub(crate) use diff::text_of;
pub(crate) use find::{SqlTest, find};
pub(crate) use rows::Row;

use crate::bounded_run::{BoundedRun, Counts};
use crate::cli::ResultFormat;
use crate::printer::Printer;
use crate::scripts;
use compare::compare;

/// Results do not depend on it, and with one worker the rows of a table come in the same order every time.
const WORKERS: usize = 1;
/// A comment that starts a line with this sets how a script is tested.
const DIRECTIVE: &str = "-- test:";

/// How a test went.
pub(crate) struct Tested {
    /// Tables whose rows are not the expected ones; none: it passed.
    pub(crate) differences: Vec<Difference>,
    pub(crate) counts: Counts,
    /// What was written, if the expected rows had to change and were to be.
    pub(crate) is_updated: bool,
}

/// Runs a test; with `update` its expected rows become those that it gives.
pub(crate) async fn run_one(test: &SqlTest, update: bool) -> anyhow::Result<Tested> {
    let script = scripts::read(&test.query)?;
    let is_ordered = is_ordered(&script).with_context(|| test.query.display().to_string())?;
    let replay = Replay::open(&test.input, ReplayPlan::default());
    let replay = replay.with_context(|| test.input.display().to_string())?;
    let name = test.query.display().to_string();
    let run = BoundedRun { name: &name, script: &script, replay: Some(Arc::new(replay)) };
    let mut output = Vec::new();
    let mut printer = Printer::new(&mut output, ResultFormat::Ndjson);
    let counts = run.stream(WORKERS, &mut printer).await?;
    printer.finish()?;
    let given = rows::read(&String::from_utf8(output).context("the results are not UTF-8")?)?;
    let differences = match expected(&test.expected) {
        Ok(expected) => compare(&expected, &given, is_ordered),
        Err(_) if update => return write(&test.expected, &given, counts),
        Err(error) => return Err(error),
    };
    if update && !differences.is_empty() {
        return write(&test.expected, &given, counts);
    }
    Ok(Tested { differences, counts, is_updated: false })
}

fn expected(file: &Path) -> anyhow::Result<Vec<Row>> {
    if !file.exists() {
        bail!("{} is missing: `millstream test --update` writes it from what the query gives", file.display());
    }
    rows::read(&scripts::read(file)?).with_context(|| file.display().to_string())
}

fn write(file: &Path, given: &[Row], counts: Counts) -> anyhow::Result<Tested> {
    let written = std::fs::write(file, rows::by_table(given));
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Tested { differences: Vec::new(), counts, is_updated: true })
}

/// Whether a line `-- test: ordered` asks that the rows of each table come in the expected order.
fn is_ordered(script: &str) -> anyhow::Result<bool> {
    let mut is_ordered = false;
    for (number, line) in (1..).zip(script.lines()) {
        match line.trim().strip_prefix(DIRECTIVE).map(str::trim) {
            None => {}
            Some("ordered") => is_ordered = true,
            Some(other) => {
                return Err(anyhow!("line {number}: `{DIRECTIVE} {other}` is unknown; there is `{DIRECTIVE} ordered`"));
            }
        }
    }
    Ok(is_ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_counts_where_the_script_says_so() {
        assert!(!is_ordered("SELECT 1 -- test: ordered").unwrap());
        assert!(is_ordered("-- a query\n  -- test:  ordered\nSELECT 1").unwrap());
        let error = is_ordered("SELECT 1;\n-- test: sorted").unwrap_err().to_string();
        assert_eq!(error, "line 2: `-- test: sorted` is unknown; there is `-- test: ordered`");
    }
}
