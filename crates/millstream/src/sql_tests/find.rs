//! Which tests a folder has.

use std::path::{Path, PathBuf};

use anyhow::Context;

const QUERY: &str = "query.sql";
const INPUT: &str = "input.ndjson";
const EXPECTED: &str = "expected.ndjson";
/// Further inputs for the same script, each in a folder of its own.
const CASES: &str = "cases";

/// One script over one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlTest {
    /// Its folder.
    pub(crate) name: String,
    pub(crate) query: PathBuf,
    pub(crate) input: PathBuf,
    pub(crate) expected: PathBuf,
}

/// The tests of every folder with a `query.sql`, in path order; hidden folders are left out.
pub(crate) fn find(folder: &Path) -> anyhow::Result<Vec<SqlTest>> {
    let mut tests = Vec::new();
    add(folder, &mut tests)?;
    Ok(tests)
}

fn add(folder: &Path, tests: &mut Vec<SqlTest>) -> anyhow::Result<()> {
    let query = folder.join(QUERY);
    let is_topic = query.is_file();
    let mut cases = Vec::new();
    let below = subfolders(folder)?;
    if is_topic && below.iter().any(|below| below.ends_with(CASES)) {
        cases = subfolders(&folder.join(CASES))?;
    }
    let is_case = |folder: &Path| folder.join(INPUT).exists() || folder.join(EXPECTED).exists();
    if is_topic && (cases.is_empty() || is_case(folder)) {
        cases.insert(0, folder.to_owned());
    }
    tests.extend(cases.into_iter().map(|case| SqlTest {
        name: case.display().to_string(),
        query: query.clone(),
        input: case.join(INPUT),
        expected: case.join(EXPECTED),
    }));
    below.iter().filter(|below| !(is_topic && below.ends_with(CASES))).try_for_each(|below| add(below, tests))
}

/// The folders in a folder, in path order. Links are not followed: they may lead back.
fn subfolders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type().with_context(unreadable)?.is_dir() && !is_hidden {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_with_a_query_is_a_test_and_so_is_each_of_its_cases() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "b/query.sql",
            "a/deep/query.sql",
            "a/deep/input.ndjson",
            "a/deep/cases/two/input.ndjson",
            "a/deep/cases/one/input.ndjson",
            "c/query.sql",
            "c/cases/only/input.ndjson",
            ".hidden/query.sql",
            "d/input.ndjson",
        ] {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let tests = find(folder.path()).unwrap();
        let within = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
        let found: Vec<_> = tests.iter().map(|test| (within(&test.query), within(&test.input))).collect();
        let expected = [
            ("a/deep/query.sql", "a/deep/input.ndjson"),
            ("a/deep/query.sql", "a/deep/cases/one/input.ndjson"),
            ("a/deep/query.sql", "a/deep/cases/two/input.ndjson"),
            ("b/query.sql", "b/input.ndjson"),
            ("c/query.sql", "c/cases/only/input.ndjson"),
        ];
        assert_eq!(found, expected.map(|(query, input)| (query.to_owned(), input.to_owned())));
    }
}
