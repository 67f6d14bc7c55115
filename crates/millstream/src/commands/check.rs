//! `millstream check`: parses and plans scripts, and says what it found. Nothing runs.

use std::io::{Write, stdout};
use std::sync::Arc;

use anyhow::bail;
use millstream_engine::{CheckReport, Engine, MemorySettings, Settings};
use millstream_sql::SqlError;
use tokio::sync::mpsc;

use super::serve::block_on;
use crate::cli::{CheckFlags, TextOrJson};
use crate::clock::SystemClock;
use crate::offline::Offline;
use crate::report::FileReport;
use crate::scripts;

/// Checks every file by itself; fails if one has an error.
pub(crate) fn run(flags: &CheckFlags) -> anyhow::Result<()> {
    block_on(async { check_all(flags) })
}

fn check_all(flags: &CheckFlags) -> anyhow::Result<()> {
    let mut checked = Vec::new();
    let mut errors = 0;
    for file in &flags.files {
        let report = match scripts::read(file) {
            Ok(script) => check(&script)?,
            // The others are checked all the same.
            Err(error) => {
                CheckReport { errors: vec![SqlError::new(format!("the file {error:#}"))], ..CheckReport::default() }
            }
        };
        let name = file.display().to_string();
        errors += report.errors.len();
        match flags.format {
            TextOrJson::Text => stdout().write_all(text_of(&name, &report).as_bytes())?,
            TextOrJson::Json => checked.push(FileReport::new(name, report)),
        }
    }
    if flags.format == TextOrJson::Json {
        writeln!(stdout(), "{}", serde_json::json!({ "files": checked }))?;
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
    let memory = MemorySettings::unlimited();
    let settings = Settings { workers: 1, queue_bytes: 1 << 20, replay_time: true, checkpoints: None, memory };
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

    use serde_json::{Value, json};

    use super::*;

    fn flags(files: &[&Path]) -> CheckFlags {
        CheckFlags { files: files.iter().map(|file| (*file).to_owned()).collect(), format: TextOrJson::Text }
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
        assert_eq!(run(&flags(&[&file])).unwrap_err().to_string(), "1 error");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_error_is_found_once_and_its_consequences_are_not_reported() {
        let script = "
            CREATE TABLE good (k STRING, n BIGINT) WITH ('connector' = 'stream', 'format' = 'json');
            CREATE TABLE bad (k STRANGE) WITH ('connector' = 'stream', 'format' = 'json');
            CREATE TABLE worse (k STRING) WITH ('connector' = 'strem');
            CREATE VIEW on_bad AS SELECT k FROM bad;
            INSERT INTO worse SELECT k FROM good;
            CREATE MATERIALIZED VIEW m AS SELECT k FROM on_bad;
            SELEC 1;
            CREATE MATERIALIZED VIEW fine AS SELECT k FROM good;
            SELECT nope FROM fine;
            SELECT * FROM neverwhere;
            DROP TABLE bad;
            SET 'a' = 'b';";
        let report = check(script).unwrap();
        let lines: Vec<_> = report.errors.iter().map(|error| error.at.unwrap().line).collect();
        assert_eq!(lines, [3, 4, 8, 10, 11, 13], "{:?}", report.errors);
        let names: Vec<_> = report.statements.iter().map(|statement| statement.name.as_str()).collect();
        assert_eq!(names, ["good", "fine"]);
    }

    fn members(value: &Value) -> Vec<&str> {
        let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        members
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn editors_get_places_queries_and_graphs() {
        let script = "CREATE TABLE e (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'stream', 'format' = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT window_start, k, count(*) AS n
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, k;
  CREATE VIEW wrong AS SELECT nope FROM e;
SELECT k FROM e;";
        let report = serde_json::to_value(FileReport::new("q.sql".to_owned(), check(script).unwrap())).unwrap();
        assert_eq!(members(&report), ["errors", "file", "queries", "statements", "warnings"]);
        assert_eq!(report["file"], "q.sql");
        let error = &report["errors"][0];
        assert_eq!(members(error), ["code", "column", "hint", "line", "message"]);
        assert_eq!((&error["line"], &error["column"], &error["code"]), (&6.into(), &31.into(), &Value::Null));
        assert!(error["message"].as_str().unwrap().contains("nope"), "{error}");
        let mut query = report["queries"][0].clone();
        let graph = query["graph"].take();
        assert_eq!(
            query,
            json!({
                "name": "counts", "line": 3, "column": 1, "target": {"kind": "table", "name": "counts"},
                "sources": ["e"], "window": "TUMBLE(size=60000 ms)", "key": ["window_start", "k"],
                "columns": [{"name": "window_start", "type": "TIMESTAMP(3)"}, {"name": "k", "type": "STRING"}, {"name": "n", "type": "BIGINT"}],
                "is_updating": false, "graph": null
            })
        );
        let ids: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
        assert!(ids.contains(&"source:e") && ids.contains(&"sink:counts"), "{graph}");
        assert!(graph["nodes"][0]["kind"].is_string() && graph["nodes"][0]["label"].is_string(), "{graph}");
        assert!(graph["edges"].as_array().unwrap().contains(&json!(["source:e", "hot:0.0.0"])), "{graph}");
        let select = &report["queries"][1];
        assert_eq!((&select["name"], &select["target"]), (&Value::Null, &json!({"kind": "client", "name": null})));
        assert_eq!((&select["line"], &select["window"], &select["key"]), (&7.into(), &Value::Null, &json!([])));
        let statement = &report["statements"][1];
        assert_eq!(
            (&statement["kind"], &statement["line"], &statement["column"]),
            (&"query".into(), &3.into(), &1.into())
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_text_is_as_compilers_print_it() {
        let text = text_of("q.sql", &check("CREATE VIEW v AS SELECT 1 AS one;\n\n  SELEC 1").unwrap());
        assert!(
            text.starts_with("q.sql: view v\nq.sql:3:3: error: a statement cannot start with SELEC\n  hint: "),
            "{text}"
        );
    }
}
