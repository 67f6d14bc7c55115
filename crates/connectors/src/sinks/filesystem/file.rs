//! One file on its way: hidden while it is written, visible once it is complete.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use millstream_core::{Encoder, TableDecl};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

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

/// A file being written.
pub(super) struct OpenFile {
    hidden: PathBuf,
    visible: PathBuf,
    body: Body,
}

enum Body {
    Parquet(Box<ArrowWriter<File>>),
    Lines { file: BufWriter<File>, encoder: Box<dyn Encoder>, bytes: u64 },
}

impl OpenFile {
    /// Starts a file whose name begins with `name`. Fails if it exists.
    pub(super) fn create(folder: &Path, name: &str, kind: &FileKind, table: &TableDecl) -> Result<Self, String> {
        let extension = match kind {
            FileKind::Parquet { .. } => "parquet",
            FileKind::Lines(format) => format.name,
        };
        let visible = folder.join(format!("{name}.{extension}"));
        let hidden = folder.join(format!(".{name}.{extension}{IN_PROGRESS}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&hidden);
        let file = file.map_err(|error| format!("`{}`: {error}", hidden.display()))?;
        let body = match kind {
            FileKind::Parquet { compression } => {
                let compression = match *compression {
                    "snappy" => Compression::SNAPPY,
                    "uncompressed" => Compression::UNCOMPRESSED,
                    _ => Compression::ZSTD(ZstdLevel::default()),
                };
                let properties = WriterProperties::builder().set_compression(compression).build();
                let writer = ArrowWriter::try_new(file, table.schema.clone(), Some(properties));
                Body::Parquet(Box::new(writer.map_err(|error| error.to_string())?))
            }
            FileKind::Lines(format) => {
                let encoder = (format.encoder)(table, &table.options.reader()).map_err(|error| error.to_string())?;
                Body::Lines { file: BufWriter::new(file), encoder, bytes: 0 }
            }
        };
        Ok(Self { hidden, visible, body })
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), String> {
        match &mut self.body {
            Body::Parquet(writer) => writer.write(rows).map_err(|error| error.to_string()),
            Body::Lines { file, encoder, bytes } => {
                for payload in encoder.encode(rows).map_err(|error| error.to_string())? {
                    file.write_all(&payload).and_then(|()| file.write_all(b"\n")).map_err(|error| error.to_string())?;
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

    /// Completes the file: on disk first, then visible, then the folder on disk.
    pub(super) fn complete(self) -> Result<(), String> {
        let file = match self.body {
            Body::Parquet(writer) => writer.into_inner().map_err(|error| error.to_string())?,
            Body::Lines { file, .. } => file.into_inner().map_err(|error| error.to_string())?,
        };
        let publish = || {
            file.sync_all()?;
            std::fs::rename(&self.hidden, &self.visible)?;
            match self.visible.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        publish().map_err(|error| format!("`{}`: {error}", self.visible.display()))
    }
}
