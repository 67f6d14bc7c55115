//! `millstream check`: parses and plans scripts, and says what it found. Nothing runs.

use std::sync::Arc;

use anyhow::bail;
use millstream_engine::{CheckReport, Engine, Settings};
use serde::Serialize;
use tokio::sync::mpsc;

use super::serve::block_on;
use crate::cli::{CheckFlags, CheckFormat};
use crate::clock::SystemClock;
use crate::offline::Offline;
use crate::report::Report;
use crate::scripts;

#[derive(Serialize)]
struct Checked {
    file: String,
    #[serde(flatten)]
    report: Report,
}

/// Checks every file by itself; fails if one has an error.
pub(crate) fn run(flags: &CheckFlags) -> anyhow::Result<()> {
    block_on(async { check_all(flags) })
}

fn check_all(flags: &CheckFlags) -> anyhow::Result<()> {
    let mut checked = Vec::new();
    let mut errors = 0;
    for file in &flags.files {
        let report = check(&scripts::read(file)?)?;
        let name = file.display().to_string();
        errors += report.errors.len();
        match flags.format {
            CheckFormat::Text => print!("{}", text_of(&name, &report)),
            CheckFormat::Json => checked.push(Checked { file: name, report: report.into() }),
        }
    }
    if flags.format == CheckFormat::Json {
        println!("{}", serde_json::json!({ "files": checked }));
    }
    match errors {
        0 => Ok(()),
        1 => bail!("1 error"),
        errors => bail!("{errors} errors"),
    }
}

/// Against an empty catalog.
fn check(script: &str) -> anyhow::Result<CheckReport> {
    let clock = Arc::new(SystemClock);
    let (printed, _) = mpsc::channel(1);
    let connectors = Arc::new(Offline::new(clock.clone(), None, printed)?);
    let settings = Settings { workers: 1, queue_bytes: 1 << 20, replay_time: true };
    let engine = Engine::start(connectors, clock, settings, None, tokio::runtime::Handle::current())?;
    Ok(engine.check(script))
}

fn text_of(name: &str, report: &CheckReport) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing to a String cannot fail.
    for statement in &report.statements {
        let _ = writeln!(text, "{name}: {} {}", statement.kind, statement.name);
        for line in statement.explain.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    for warning in &report.warnings {
        let at = warning.at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let _ = writeln!(text, "{name}{at}: warning: {}: {}", warning.code, warning.message);
    }
    for error in &report.errors {
        let _ = writeln!(text, "{}", scripts::located(name, error));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn flags(files: &[&Path]) -> CheckFlags {
        CheckFlags { files: files.iter().map(|file| (*file).to_owned()).collect(), format: CheckFormat::Text }
    }

    #[test]
    fn errors_are_counted_and_named_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.sql");
        std::fs::write(&file, "CREATE TABLE t (a INT) WITH ('connector' = 'stream', 'format' = 'json');\nSELEC 1;\n")
            .unwrap();
        assert_eq!(run(&flags(&[&file])).unwrap_err().to_string(), "1 error");
        std::fs::write(&file, "CREATE TABLE t (a INT) WITH ('connector' = 'stream', 'format' = 'json');\n").unwrap();
        run(&flags(&[&file])).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(run(&flags(&[&file])).unwrap_err().to_string().ends_with("q.sql cannot be read"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_text_is_as_compilers_print_it() {
        let text = text_of("q.sql", &check("CREATE VIEW v AS SELECT 1 AS one;\n\n  SELEC 1").unwrap());
        assert!(text.starts_with("q.sql:3:3: error: a statement cannot start with SELEC\n  hint: "), "{text}");
    }
}
