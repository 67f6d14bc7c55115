//! `millstream test`: the SQL tests of a folder.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;

use super::serve::block_on;
use crate::cli::{TestFlags, TextOrJson, WrongUsage};
use crate::logging;
use crate::sql_tests::{Difference, Mark, SqlTest, Tested, find, run_one, text_of};

/// What `--format json` prints.
#[derive(Default, Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    updated: usize,
    tests: Vec<TestReport>,
}

#[derive(Serialize)]
struct TestReport {
    name: String,
    query: String,
    input: String,
    expected: String,
    /// `passed`, `failed`, `error` or `updated`.
    status: &'static str,
    late: u64,
    rejected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Tables that differ.
    tables: Vec<TableReport>,
}

#[derive(Serialize)]
struct TableReport {
    table: String,
    missing: Vec<MissingRow>,
    unexpected: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct MissingRow {
    /// In the file of expected rows.
    line: u64,
    row: Box<RawValue>,
}

/// Runs every test; 1 if one fails.
pub(crate) fn run(flags: &TestFlags) -> anyhow::Result<ExitCode> {
    logging::start_quiet();
    let tests = tests_of(&flags.folder)?;
    let mut report = Report::default();
    block_on(async {
        for test in &tests {
            let tested = run_one(test, flags.update).await;
            if flags.format == TextOrJson::Text {
                stdout().write_all(text_of_test(test, &tested).as_bytes())?;
            }
            report.add(test, tested)?;
        }
        anyhow::Ok(())
    })?;
    match flags.format {
        TextOrJson::Text => writeln!(stdout(), "{}", report.summary())?,
        TextOrJson::Json => writeln!(stdout(), "{}", serde_json::to_string(&report)?)?,
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tests_of(folder: &Path) -> anyhow::Result<Vec<SqlTest>> {
    if !folder.is_dir() {
        let message = format!("{} is no folder; give one with tests, as <topic>/query.sql", folder.display());
        return Err(WrongUsage(message).into());
    }
    let tests = find(folder)?;
    if tests.is_empty() {
        let message = format!("{} has no tests: no folder in it has a query.sql", folder.display());
        return Err(WrongUsage(message).into());
    }
    Ok(tests)
}

impl Report {
    fn add(&mut self, test: &SqlTest, tested: anyhow::Result<Tested>) -> anyhow::Result<()> {
        let (status, count) = match &tested {
            Err(_) => ("error", &mut self.failed),
            Ok(Tested { is_updated: true, .. }) => ("updated", &mut self.updated),
            Ok(Tested { differences, .. }) if differences.is_empty() => ("passed", &mut self.passed),
            Ok(_) => ("failed", &mut self.failed),
        };
        *count += 1;
        let counts = tested.as_ref().map(|tested| tested.counts).unwrap_or_default();
        let tables = tested.as_ref().map(|tested| tested.differences.iter().map(table_report).collect());
        self.tests.push(TestReport {
            name: test.name.clone(),
            query: test.query.display().to_string(),
            input: test.input.display().to_string(),
            expected: test.expected.display().to_string(),
            status,
            late: counts.late,
            rejected: counts.rejected,
            tables: tables.unwrap_or_else(|_| Ok(Vec::new()))?,
            error: tested.err().map(|error| format!("{error:#}")),
        });
        Ok(())
    }

    fn summary(&self) -> String {
        let all = self.tests.len();
        let tests = |count: usize| if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
        match (self.failed, self.updated) {
            (0, 0) => format!("{} passed", tests(all)),
            (0, updated) => format!("{}: {} passed, {updated} updated", tests(all), self.passed),
            (failed, 0) => format!("{failed} of {} failed", tests(all)),
            (failed, updated) => format!("{failed} of {} failed, {updated} updated", tests(all)),
        }
    }
}

fn table_report(difference: &Difference) -> anyhow::Result<TableReport> {
    let (mut missing, mut unexpected) = (Vec::new(), Vec::new());
    for (mark, row) in &difference.rows {
        let json = || RawValue::from_string(row.text.clone()).context("a row is JSON");
        match mark {
            Mark::Same => {}
            Mark::Missing => missing.push(MissingRow { line: row.line, row: json()? }),
            Mark::Unexpected => unexpected.push(json()?),
        }
    }
    Ok(TableReport { table: difference.table.clone(), missing, unexpected })
}

fn text_of_test(test: &SqlTest, tested: &anyhow::Result<Tested>) -> String {
    let name = &test.name;
    let tested = match tested {
        Ok(tested) => tested,
        Err(error) => return format!("FAILED  {name}\n{error:#}\n"),
    };
    let (late, rejected) = (tested.counts.late, tested.counts.rejected);
    let lost = if late + rejected > 0 { format!(" ({late} late, {rejected} rejected)") } else { String::new() };
    if tested.is_updated {
        return format!("updated {}{lost}\n", test.expected.display());
    }
    if tested.differences.is_empty() {
        return format!("ok      {name}{lost}\n");
    }
    format!("FAILED  {name}{lost}\n{}", text_of(&test.expected.display().to_string(), &tested.differences))
}
