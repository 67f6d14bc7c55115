//! `millstream kda`: applications of Kinesis Data Analytics for SQL, run over a replay, or rewritten as scripts.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use millstream_kda::{Application, Problem, Script, Target};

use super::run::run_text;
use super::serve::block_on;
use crate::cli::{KdaCommand, KdaConvertFlags, KdaRunFlags};
use crate::{logging, scripts};

pub(crate) fn run(command: &KdaCommand) -> anyhow::Result<()> {
    match command {
        KdaCommand::Run(flags) => run_application(flags),
        KdaCommand::Convert(flags) => convert(flags),
    }
}

fn run_application(flags: &KdaRunFlags) -> anyhow::Result<()> {
    logging::start_quiet();
    let application = read(&flags.file)?;
    let folder = flags.file.parent().unwrap_or(Path::new(""));
    let script = application.script(Target::Local(&references(&application, folder)?));
    warn(&script);
    // Places of errors are those of the script.
    let name = format!("{} as a script (`millstream kda convert` prints one)", flags.file.display());
    block_on(run_text(&name, &script.text, &flags.over, false))
}

fn convert(flags: &KdaConvertFlags) -> anyhow::Result<()> {
    let target = if flags.embedded { Target::Embedded } else { Target::Aws };
    let script = read(&flags.file)?.script(target);
    warn(&script);
    Ok(stdout().write_all(script.text.as_bytes())?)
}

fn read(file: &Path) -> anyhow::Result<Application> {
    let json = scripts::read(file)?;
    Application::read(&json).map_err(|problems| anyhow!("{} cannot be used:{}", file.display(), listed(&problems)))
}

/// A line for each.
fn listed(problems: &[Problem]) -> String {
    problems.iter().flat_map(|problem| ["\n  ".to_owned(), problem.to_string()]).collect()
}

fn warn(script: &Script) {
    for warning in &script.warnings {
        eprintln!("warning: {warning}");
    }
}

/// The files that stand in for objects of S3, by the keys of those.
fn references(application: &Application, folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for reference in &application.references {
        let places: [PathBuf; 2] =
            [folder.join(reference.file_name()), folder.join(reference.key.trim_start_matches('/'))];
        let Some(file) = places.iter().find(|place| place.is_file()) else {
            let object = format!("s3://{}/{}", reference.bucket.name, reference.key);
            let [beside, below] = places.map(|place| place.display().to_string());
            let or = if beside == below { String::new() } else { format!(" or as {below}") };
            bail!(
                "the reference table {} is {object}, which is not read here; put a copy of it as {beside}{or}",
                reference.table
            );
        };
        files.insert(reference.key.clone(), file.display().to_string());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = r#"{
        "ApplicationCode": "SELECT 1",
        "Inputs": [{
            "NamePrefix": "S",
            "KinesisStreamsInput": {"ResourceARN": "arn:aws:kinesis:us-east-1:1:stream/s"},
            "InputSchema": {
                "RecordFormat": {"RecordFormatType": "JSON"},
                "RecordColumns": [{"Name": "a", "SqlType": "INTEGER"}]
            }
        }],
        "ReferenceDataSources": [{
            "TableName": "names",
            "S3ReferenceDataSource": {"BucketARN": "arn:aws:s3:::bucket", "FileKey": "a/names.csv"},
            "ReferenceSchema": {
                "RecordFormat": {"RecordFormatType": "CSV"},
                "RecordColumns": [{"Name": "a", "SqlType": "INTEGER"}]
            }
        }]
    }"#;

    #[test]
    fn a_reference_table_is_a_file_of_its_keys_name() {
        let folder = tempfile::tempdir().unwrap();
        let application = Application::read(APPLICATION).unwrap();
        let error = references(&application, folder.path()).unwrap_err().to_string();
        let (beside, below) = (folder.path().join("names.csv"), folder.path().join("a/names.csv"));
        assert!(error.starts_with("the reference table names is s3://bucket/a/names.csv, "), "{error}");
        assert!(error.ends_with(&format!("as {} or as {}", beside.display(), below.display())), "{error}");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for file in [below, beside] {
            std::fs::write(&file, "1\n").unwrap();
            let files = references(&application, folder.path()).unwrap();
            assert_eq!(files["a/names.csv"], file.display().to_string());
        }
    }

    #[test]
    fn every_problem_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.json");
        std::fs::write(&file, r#"{"ApplicationCode": ""}"#).unwrap();
        let error = read(&file).unwrap_err().to_string();
        let lines: Vec<_> = error.lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["  $.ApplicationCode", "  $"], "{error}");
    }
}
