//! Scripts and where they came from, so that an error names the file, the line and the column.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use millstream_engine::{Script, ScriptError};
use millstream_sql::SqlError;

/// Scripts with their names, to be executed together.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    names: Vec<String>,
    scripts: Vec<Script>,
}

impl Scripts {
    /// Adds one; definitions of a `durable` one are kept by the service.
    pub(crate) fn add(&mut self, name: impl Into<String>, text: String, durable: bool) {
        self.names.push(name.into());
        self.scripts.push(Script { text, durable });
    }

    /// Adds every `.sql` file under a folder, in path order.
    pub(crate) fn add_folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut files = Vec::new();
        sql_files(folder, &mut files).with_context(|| format!("the queries in {} cannot be read", folder.display()))?;
        files.sort();
        for file in files {
            let text = read(&file)?;
            self.add(file.display().to_string(), text, false);
        }
        Ok(())
    }

    pub(crate) fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.scripts.len()
    }

    /// The error with the name of its script.
    pub(crate) fn explain(&self, error: &ScriptError) -> anyhow::Error {
        let name = self.names.get(error.script).map_or("the scripts", String::as_str);
        anyhow!("{}", located(name, &error.error))
    }
}

/// Reads a script.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// An error as compilers print them: `file:line:column: code: message`, and the remedy on a line of its own.
pub(crate) fn located(name: &str, error: &SqlError) -> String {
    let at = error.at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    let code = error.code.map(|code| format!("{code:?}: ")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{name}{at}: error: {code}{}{hint}", error.message)
}

fn sql_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            sql_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sql::{Code, Position};

    #[test]
    fn folders_are_read_in_path_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/query.sql", "a/query.sql", "a/input.ndjson", ".hidden/query.sql", "c.sql"] {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, name).unwrap();
        }
        let mut scripts = Scripts::default();
        scripts.add_folder(folder.path()).unwrap();
        let texts: Vec<_> = scripts.scripts().iter().map(|script| script.text.as_str()).collect();
        assert_eq!(texts, ["a/query.sql", "b/query.sql", "c.sql"]);
    }

    #[test]
    fn an_error_names_its_file_place_code_and_remedy() {
        let error = SqlError::coded(Code::E01, "no window", "add one").at(Some(Position { line: 3, column: 7 }));
        assert_eq!(located("q.sql", &error), "q.sql:3:7: error: E01: no window\n  hint: add one");
    }
}
