//! What SELECTs of KDA become: pairs of them and their native forms, or what is said of them, in `translations.sql`.
//! `MILLSTREAM_UPDATE=1` writes the second halves anew.

use std::fmt::Write as _;
use std::path::Path;

use super::translate;

const SOURCES: &str = r#"
CREATE TABLE "SOURCE_SQL_STREAM_001" ("TICKER" VARCHAR(4), "PRICE" REAL, "QTY" INTEGER, "sensor_id" VARCHAR(8), "TS" TIMESTAMP, "AMOUNT" DECIMAL(8,2)) WITH ('connector' = 'stream', 'stream' = 's', 'format' = 'json');
CREATE TABLE "Company" ("Ticker" VARCHAR(4), "Name" VARCHAR(20)) WITH ('connector' = 'filesystem', 'path' = 'c.csv', 'format' = 'csv');
CREATE STREAM S (A INTEGER NOT NULL, B VARCHAR(4));
CREATE PUMP INTO_S AS INSERT INTO S SELECT STREAM QTY, TICKER FROM "SOURCE_SQL_STREAM_001";
"#;

/// The native form, or the errors.
fn translated(statement: &str) -> String {
    let before = SOURCES.lines().count();
    match translate(&format!("{SOURCES}{statement}")) {
        Ok((statements, warnings)) => {
            let select = statements.iter().rev().find(|native| native.sql.starts_with("SELECT")).unwrap();
            let mut text = select.sql.clone();
            for warning in warnings {
                let _ = write!(text, "\nwarning: {}", warning.message);
            }
            text
        }
        Err(errors) => {
            let said = errors.iter().map(|error| {
                let at = error.at.unwrap();
                let line = usize::try_from(at.line).unwrap().saturating_sub(before);
                let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("error {line}:{}: {}{hint}", at.column, error.message)
            });
            said.collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn selects_become_native_ones() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kda/translations.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut made = String::new();
    for pair in text.split("\n\n").filter(|pair| !pair.trim().is_empty()) {
        let kda: Vec<&str> = pair.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let _ = write!(made, "-- {}\n{}\n\n", kda.join("\n-- "), translated(&kda.join("\n")));
    }
    if std::env::var_os("MILLSTREAM_UPDATE").is_some() {
        return std::fs::write(&file, &made).unwrap();
    }
    assert_eq!(made.trim_end(), text.trim_end(), "MILLSTREAM_UPDATE=1 writes {} anew", file.display());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let script = "CREATE PUMP a AS INSERT INTO S SELECT STREAM nope FROM nowhere;
CREATE PUMP b AS INSERT INTO T SELECT STREAM 1 FROM S;
DROP PUMP a;";
    let said = translated(script);
    let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["error 1:56", "error 2:30", "error 3:1"], "{said}");
}

#[test]
fn a_stream_cannot_come_from_itself() {
    let said = translated("CREATE PUMP p AS INSERT INTO S SELECT STREAM * FROM S;\nSELECT STREAM * FROM S");
    assert!(said.contains("come from itself"), "{said}");
}
