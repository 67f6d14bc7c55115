//! One file on its way: open, ended, complete under its hidden name, visible.
//!
//! Whatever the disk refuses may be tried again, but for one: after a sync that failed it is not known what of the file
//! is on disk, and a second sync would not tell (it may answer well for pages the kernel has dropped).

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use millstream_core::{Encoder, TableDecl};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use super::backlog::Backlog;
use crate::durable::sync_folder;
use crate::formats::Format;

/// The end of a hidden file's name.
pub(super) const IN_PROGRESS: &str = ".inprogress";

/// What files hold.
#[derive(Clone, Copy)]
pub(super) enum FileKind {
    Parquet {
        compression: &'static str,
    },
    /// A record a line.
    Lines(&'static Format),
}

impl FileKind {
    fn extension(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => "parquet",
            Self::Lines(format) => format.name,
        }
    }
}

/// A file of the disk; tests have others.
pub(super) trait DiskFile: Write + Send {
    /// Waits until what was written is on disk.
    fn sync(&mut self) -> std::io::Result<()>;
}

impl DiskFile for File {
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_all()
    }
}

/// Makes a file that is not there yet.
pub(super) type CreateFile = dyn Fn(&Path) -> std::io::Result<Box<dyn DiskFile>> + Send + Sync;

/// As the operating system does.
pub(super) fn create_file(path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
    Ok(Box::new(File::options().write(true).create_new(true).open(path)?))
}

/// Why a file does not come further.
#[derive(Debug)]
pub(super) enum FileError {
    /// May work when tried again.
    Retry(String),
    Fatal(String),
}

impl FileError {
    pub(super) fn of(path: &Path, error: &std::io::Error) -> Self {
        let reason = format!("`{}`: {error}", path.display());
        match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::FileTooLarge
            | ErrorKind::InvalidFilename
            | ErrorKind::Unsupported => Self::Fatal(reason),
            _ => Self::Retry(reason),
        }
    }

    fn unsynced(path: &Path, error: &std::io::Error) -> Self {
        let remedy = "what of it is on disk is not known: see to the disk and start the query again";
        Self::Fatal(format!("`{}` cannot be synced: {error}; {remedy}", path.display()))
    }
}

/// A file's two names, in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    pub(super) hidden: String,
    pub(super) visible: String,
}

impl Names {
    fn new(name: &str, kind: &FileKind) -> Self {
        let visible = format!("{name}.{}", kind.extension());
        Self { hidden: format!(".{visible}{IN_PROGRESS}"), visible }
    }

    /// Makes a complete file visible, if it is not yet. The folder is not synced.
    pub(super) fn show(&self, folder: &Path) -> Result<(), FileError> {
        let (hidden, visible) = (folder.join(&self.hidden), folder.join(&self.visible));
        match std::fs::rename(hidden, &visible) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => match visible.try_exists() {
                Ok(true) => Ok(()),
                Ok(false) => Err(FileError::Fatal(format!(
                    "the file `{}` is gone, and so is `{}`, which was complete: put it back; if a reader has taken it \
                     already, make an empty file of that name and remove it when the query runs",
                    visible.display(),
                    self.hidden
                ))),
                Err(error) => Err(FileError::of(&visible, &error)),
            },
            Err(error) => Err(FileError::of(&visible, &error)),
        }
    }
}

/// Writes the folder's entries to disk.
pub(super) fn sync_entries(folder: &Path) -> Result<(), FileError> {
    sync_folder(folder).map_err(|error| FileError::unsynced(folder, &error))
}

type Disk = Backlog<Box<dyn DiskFile>>;

/// A file being written.
pub(super) struct OpenFile {
    names: Names,
    body: Body,
}

enum Body {
    Parquet(Box<ArrowWriter<Disk>>),
    Lines { file: BufWriter<Disk>, encoder: Box<dyn Encoder>, bytes: u64 },
}

impl OpenFile {
    /// Starts a file whose name begins with `name`. Fails if it exists.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        kind: &FileKind,
        table: &TableDecl,
        create: &CreateFile,
    ) -> Result<Self, FileError> {
        let names = Names::new(name, kind);
        let path = folder.join(&names.hidden);
        let fatal = |error: &dyn std::fmt::Display| FileError::Fatal(format!("`{}`: {error}", path.display()));
        let file = Backlog::new(create(&path).map_err(|error| FileError::of(&path, &error))?);
        let body = match kind {
            FileKind::Parquet { compression } => {
                let compression = match *compression {
                    "snappy" => Compression::SNAPPY,
                    "uncompressed" => Compression::UNCOMPRESSED,
                    _ => Compression::ZSTD(ZstdLevel::default()),
                };
                let properties = WriterProperties::builder().set_compression(compression).build();
                let writer = ArrowWriter::try_new(file, table.schema.clone(), Some(properties));
                Body::Parquet(Box::new(writer.map_err(|error| fatal(&error))?))
            }
            FileKind::Lines(format) => {
                let encoder = (format.encoder)(table, &table.options.reader()).map_err(|error| fatal(&error))?;
                Body::Lines { file: BufWriter::new(file), encoder, bytes: 0 }
            }
        };
        Ok(Self { names, body })
    }

    /// Takes the rows. After [`FileError::Retry`] it has none of them.
    pub(super) fn write(&mut self, folder: &Path, rows: &RecordBatch) -> Result<(), FileError> {
        let path = folder.join(&self.names.hidden);
        let disk = match &mut self.body {
            Body::Parquet(writer) => writer.inner_mut(),
            Body::Lines { file, .. } => file.get_mut(),
        };
        disk.drain().map_err(|error| FileError::of(&path, &error))?;
        let fatal = |error: &dyn std::fmt::Display| FileError::Fatal(format!("`{}`: {error}", path.display()));
        match &mut self.body {
            Body::Parquet(writer) => writer.write(rows).map_err(|error| fatal(&error)),
            Body::Lines { file, encoder, bytes } => {
                for payload in encoder.encode(rows).map_err(|error| fatal(&error))? {
                    file.write_all(&payload).and_then(|()| file.write_all(b"\n")).map_err(|error| fatal(&error))?;
                    *bytes += payload.len() as u64 + 1;
                }
                Ok(())
            }
        }
    }

    /// How large it is by now, compressed as far as it has been.
    pub(super) fn bytes(&self) -> u64 {
        match &self.body {
            Body::Parquet(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
            Body::Lines { bytes, .. } => *bytes,
        }
    }

    /// No more rows come.
    pub(super) fn end(self) -> Result<EndedFile, FileError> {
        let fatal = |error: &dyn std::fmt::Display| FileError::Fatal(format!("`{}`: {error}", self.names.hidden));
        let disk = match self.body {
            Body::Parquet(writer) => writer.into_inner().map_err(|error| fatal(&error))?,
            Body::Lines { file, .. } => file.into_inner().map_err(|error| fatal(error.error()))?,
        };
        Ok(EndedFile { names: self.names, disk })
    }
}

/// A file that has all its rows, not all of them on disk.
pub(super) struct EndedFile {
    names: Names,
    disk: Disk,
}

impl EndedFile {
    /// Puts the file on disk, under its hidden name. May be tried again.
    pub(super) fn complete(&mut self, folder: &Path) -> Result<Names, FileError> {
        let path = folder.join(&self.names.hidden);
        let disk = self.disk.drained().map_err(|error| FileError::of(&path, &error))?;
        disk.sync().map_err(|error| FileError::unsynced(&path, &error))?;
        sync_entries(folder)?;
        Ok(self.names.clone())
    }
}
