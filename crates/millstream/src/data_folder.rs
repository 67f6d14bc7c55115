//! The data folder: one process at a time, streams in `streams/`, definitions in `definitions.sql`, the state of queries
//! in `checkpoints/`, and in `spill/` what memory has no room for.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};

const DEFINITIONS: &str = "definitions.sql";

/// An opened data folder. The lock goes with the last handle, also when the process dies.
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Locked as long as it is open; writers of definitions take turns by it.
    lock: Mutex<File>,
}

impl DataFolder {
    /// Makes the folder if need be and takes it for this process.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        std::fs::create_dir_all(path).with_context(|| format!("the data folder {shown} cannot be made"))?;
        let lock = path.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.with_context(|| format!("{} cannot be opened", lock.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock: Mutex::new(file) }),
            Err(TryLockError::WouldBlock) => {
                bail!("the data folder {shown} is in use by another process: stop that one, or give another --data")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("the data folder {shown} cannot be locked"))
            }
        }
    }

    /// Where the streams are.
    pub(crate) fn streams(&self) -> PathBuf {
        self.path.join("streams")
    }

    /// Where the state of queries is, unless it is kept elsewhere.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where state goes that memory has no room for.
    pub(crate) fn spill(&self) -> PathBuf {
        self.path.join("spill")
    }

    /// Where the definitions are.
    pub(crate) fn definitions_path(&self) -> PathBuf {
        self.path.join(DEFINITIONS)
    }

    /// What users had defined when the last process stopped; empty at the first start.
    pub(crate) fn definitions(&self) -> anyhow::Result<String> {
        let path = self.definitions_path();
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Keeps the definitions that `current` gives, which is asked when it is this writer's turn: the last to write
    /// writes the newest. A crash leaves the old file or the new one.
    pub(crate) fn keep_definitions(&self, current: impl FnOnce() -> Vec<String>) -> std::io::Result<()> {
        let _turn = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("-- Written by millstream: what was defined over HTTP. Read at the start.\n");
        for statement in current() {
            text.push_str(&statement);
            text.push_str(";\n");
        }
        let fresh = self.path.join(format!("{DEFINITIONS}.new"));
        // Options of tables may hold passwords.
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.definitions_path())?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_by_one_at_a_time_and_keeps_definitions() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        let error = DataFolder::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("is in use by another process"), "{error}");

        assert_eq!(first.definitions().unwrap(), "");
        first
            .keep_definitions(|| vec!["CREATE VIEW a AS SELECT 1".into(), "CREATE VIEW b AS SELECT 2".into()])
            .unwrap();
        drop(first);
        let second = DataFolder::open(folder.path()).unwrap();
        let kept = second.definitions().unwrap();
        assert!(kept.ends_with("CREATE VIEW a AS SELECT 1;\nCREATE VIEW b AS SELECT 2;\n"), "{kept}");
    }
}
