//! Descriptions in every shape, and the scripts they become; what is wrong with others, and where. The cases are files of
//! `tests/data`: `<case>.json`, and beside it what comes of it. `MILLSTREAM_UPDATE=1` writes that anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Application, Problem, Script, Target};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Compares with the file, or writes it.
fn compare(file: &Path, found: &str) {
    if std::env::var_os("MILLSTREAM_UPDATE").is_some() {
        std::fs::write(file, found).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap();
    assert_eq!(found, expected, "{}", file.display());
}

fn with_warnings(script: &Script) -> String {
    let warnings = script.warnings.iter().map(|warning| format!("-- warning: {warning}\n"));
    std::iter::once(script.text.clone()).chain(warnings).collect()
}

#[test]
fn every_description_becomes_what_is_beside_it() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    cases.sort();
    assert!(cases.len() > 10, "{cases:?}");
    let files = BTreeMap::from([("reference/companies.csv".to_owned(), "apps/companies.csv".to_owned())]);
    for case in cases {
        match Application::read(&std::fs::read_to_string(&case).unwrap()) {
            Err(problems) => {
                let found: Vec<_> = problems.iter().map(Problem::to_string).collect();
                compare(&case.with_extension("problems"), &(found.join("\n") + "\n"));
            }
            Ok(application) => {
                for (target, name) in
                    [(Target::Aws, "aws.sql"), (Target::Embedded, "embedded.sql"), (Target::Local(&files), "local.sql")]
                {
                    let script = application.script(target);
                    assert!(script.text.contains(&application.code), "{}", case.display());
                    compare(&case.with_extension(name), &with_warnings(&script));
                }
            }
        }
    }
}

#[test]
fn what_is_no_json_says_where() {
    for (text, words) in [
        ("", "the file is empty"),
        ("{\"ApplicationCode\": ", "line 1 column 20; mend it there"),
        ("Resources:\n  App:\n", "YAML is not read: take `aws kinesisanalytics describe-application`"),
    ] {
        let problems = Application::read(text).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().starts_with("$: is no JSON: "), "{}", problems[0]);
        assert!(problems[0].message.contains(words), "{}", problems[0]);
    }
}

/// An application with one input and four outputs, whose names are given.
fn description(code: &str, prefix: &str, outputs: [&str; 4]) -> serde_json::Value {
    let output = |name| {
        serde_json::json!({
            "Name": name,
            "KinesisStreamsOutput": {"ResourceARN": "arn:aws:kinesis:us-east-1:1:stream/out"},
        })
    };
    serde_json::json!({
        "ApplicationCode": code,
        "Inputs": [{
            "NamePrefix": prefix,
            "KinesisStreamsInput": {"ResourceARN": "in"},
            "InputSchema": {
                "RecordFormat": {"RecordFormatType": "JSON"},
                "RecordColumns": [{"Name": "a", "SqlType": "INTEGER", "Mapping": "$.a"}],
            },
        }],
        "Outputs": outputs.map(output),
    })
}

#[test]
fn what_is_beyond_the_limits_of_aws_is_taken_with_a_warning() {
    let description = description(&"-".repeat(102_401), &"A".repeat(33), ["X", "X_2", "X", "X"]);
    let script = Application::read(&description.to_string()).unwrap().script(Target::Aws);
    let letters = "A".repeat(33);
    assert_eq!(
        script.warnings,
        [
            "$.ApplicationCode: has 102401 bytes; AWS allows 102400",
            &format!("$.Inputs[0].NamePrefix: `{letters}` has 33 letters; AWS allows 32"),
            "$.Inputs[0].KinesisStreamsInput.ResourceARN: `in` is no ARN; it is taken as the name of a Kinesis stream",
            "the application has 4 outputs; AWS allows 3",
        ]
    );
    for table in ["CREATE TABLE \"X\" ", "CREATE TABLE \"X_2\" ", "CREATE TABLE \"X_3\" ", "CREATE TABLE \"X_4\" "] {
        assert_eq!(script.text.matches(table).count(), 1, "{table}");
    }
}

#[test]
fn the_code_is_kept_to_the_byte() {
    for code in ["SELECT 1", "-- a\r\n\tSELECT 'ä''' ;\n\n", "/* never closed"] {
        let description = description(code, "S", ["A", "B", "C", "D"]);
        let application = Application::read(&format!("\u{feff}{description}")).unwrap();
        assert_eq!(application.code, code);
        let script = application.script(Target::Aws).text;
        let (_, after) = script.split_once("-- The application's SQL, unchanged.\n").unwrap();
        assert_eq!(after.strip_suffix('\n').filter(|_| !code.ends_with('\n')).unwrap_or(after), code);
    }
}
