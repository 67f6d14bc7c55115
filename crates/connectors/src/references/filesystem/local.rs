//! Local files, each read whole or not at all.
//!
//! A file that is renamed into its place is whole whenever it is read. One that is written in place may be seen half
//! written: where its length or its times differ before and after, all is read once more, and then given up until the
//! next load. A writer that pauses for as long as a reading takes cannot be noticed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_core::{ReferenceError, SourceError};

use super::content::{Content, WholeFile};
use crate::sources::filesystem::list;

/// How often a changing file is read before it is given up until the next load.
const READS_MAX: u32 = 2;

/// Reads a file or all files of a folder.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Content, ReferenceError> {
    read_with(path, bytes_max, || {})
}

/// As [`read`]; `meanwhile` happens between reading and looking whether it was undisturbed.
fn read_with(path: &Path, bytes_max: u64, mut meanwhile: impl FnMut()) -> Result<Content, ReferenceError> {
    for _ in 0..READS_MAX {
        let before = stamps(path)?;
        let read = read_all(path, &before, bytes_max)?;
        meanwhile();
        if let Some(files) = read
            && stamps(path)? == before
        {
            return Ok(Content::by_hash(files));
        }
    }
    Err(ReferenceError::Changing { what: format!("`{}`", path.display()) })
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn new(path: PathBuf, of: &Metadata) -> Self {
        Self {
            path,
            device: of.dev(),
            inode: of.ino(),
            bytes: of.len(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

/// A folder's files come and go: one that is gone again is not there.
fn stamps(path: &Path) -> Result<Vec<Stamp>, ReferenceError> {
    let files = match std::fs::metadata(path) {
        Ok(_) => list(path).map_err(of_list)?,
        Err(error) => return Err(of_io(path, error)),
    };
    let mut stamps = Vec::with_capacity(files.len());
    for file in files {
        match std::fs::metadata(&file) {
            Ok(metadata) => stamps.push(Stamp::new(file, &metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(of_io(&file, error)),
        }
    }
    Ok(stamps)
}

/// `None` where a file is gone or has grown meanwhile.
fn read_all(path: &Path, stamps: &[Stamp], bytes_max: u64) -> Result<Option<Vec<WholeFile>>, ReferenceError> {
    let total: u64 = stamps.iter().map(|stamp| stamp.bytes).sum();
    if total > bytes_max {
        let reason = format!("it holds {total} bytes, more than {bytes_max}: leave out what no query needs");
        return Err(ReferenceError::Unusable { what: format!("`{}`", path.display()), reason });
    }
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.bytes).unwrap_or(0));
        // No more than was there: what is written without end is not read without end.
        match File::open(&stamp.path).and_then(|file| file.take(stamp.bytes).read_to_end(&mut bytes)) {
            Ok(read) if read as u64 == stamp.bytes => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(of_io(&stamp.path, error)),
        }
        files.push(WholeFile { name: stamp.path.display().to_string(), bytes: Bytes::from(bytes) });
    }
    Ok(Some(files))
}

fn of_io(path: &Path, error: io::Error) -> ReferenceError {
    let what = format!("`{}`", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => {
            ReferenceError::NotFound { what, remedy: "option 'path' must name a file or a folder".to_owned() }
        }
        io::ErrorKind::PermissionDenied => ReferenceError::Denied {
            what,
            remedy: "give the user that runs millstream the right to read it".to_owned(),
        },
        _ => ReferenceError::Failed { what, reason: error.to_string() },
    }
}

fn of_list(error: SourceError) -> ReferenceError {
    match error {
        SourceError::NotFound { what, remedy } => ReferenceError::NotFound { what, remedy },
        SourceError::Io { what, error } => of_io(Path::new(&what), error),
        other => ReferenceError::Failed { what: "a folder".to_owned(), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: u64 = 100;

    #[test]
    fn a_file_that_is_replaced_while_it_is_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.json");
        std::fs::write(&path, "old").unwrap();
        let mut replacements = 1;
        let content = read_with(&path, BYTES_MAX, || {
            if replacements > 0 {
                replacements -= 1;
                let other = folder.path().join(".other");
                std::fs::write(&other, "new").unwrap();
                std::fs::rename(&other, &path).unwrap();
            }
        });
        assert_eq!(content.unwrap().files[0].bytes, "new");
    }

    #[test]
    fn a_file_that_keeps_growing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.json");
        let mut text = "{}\n".to_owned();
        std::fs::write(&path, &text).unwrap();
        let error = read_with(&path, BYTES_MAX, || {
            text.push_str("{}\n");
            std::fs::write(&path, &text).unwrap();
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("changed while it was read: write it under another name"), "{error}");
    }

    #[test]
    fn files_of_a_folder_are_one_content() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "2"), ("a", "1"), (".hidden", "x")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let both = read(folder.path(), BYTES_MAX).unwrap();
        assert_eq!(both.files.iter().map(|file| &file.bytes[..]).collect::<Vec<_>>(), [b"1", b"2"]);
        std::fs::write(folder.path().join("a"), "12").unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        assert_ne!(read(folder.path(), BYTES_MAX).unwrap().version, both.version);
        // Neither more nor less than what is there, and gone when a file is.
        std::fs::remove_file(folder.path().join("b")).unwrap();
        assert_eq!(read(folder.path(), BYTES_MAX).unwrap().files.len(), 1);
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.json");
        std::fs::write(&path, "x".repeat(101)).unwrap();
        let error = read(&path, BYTES_MAX).unwrap_err().to_string();
        assert!(error.ends_with("it holds 101 bytes, more than 100: leave out what no query needs"), "{error}");
    }
}
