//! What passes between reading and decoding, and what comes out.

use std::fmt::Write;

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_core::{Loaded, ReferenceError, RejectedRecord, Version};
use ring::digest::{Context, SHA256};

/// So many rejected records are kept with their reasons: the rest are counted.
const REJECTED_MAX: usize = 1000;
/// More of a rejected record is not kept.
const RAW_BYTES_MAX: usize = 4096;

/// The bytes of a table, all of one version.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) version: Version,
    pub(super) files: Vec<WholeFile>,
}

/// A file's bytes.
#[derive(Debug)]
pub(super) struct WholeFile {
    /// As messages name it.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl WholeFile {
    /// An error about what the file holds.
    pub(super) fn unusable(&self, reason: impl Into<String>) -> ReferenceError {
        ReferenceError::Unusable { what: format!("`{}`", self.name), reason: reason.into() }
    }
}

impl Content {
    /// A content whose version is its hash: of the one file's bytes, or of all names and bytes.
    pub(super) fn by_hash(files: Vec<WholeFile>) -> Self {
        let mut hash = Context::new(&SHA256);
        for file in &files {
            if files.len() > 1 {
                // The lengths keep two files apart from one that holds both.
                for part in [file.name.as_bytes(), &file.bytes] {
                    hash.update(&(part.len() as u64).to_be_bytes());
                }
                hash.update(file.name.as_bytes());
            }
            hash.update(&file.bytes);
        }
        // As `sha256sum` prints it.
        let mut version = "sha256=".to_owned();
        for byte in hash.finish().as_ref() {
            let _ = write!(version, "{byte:02x}");
        }
        Self { version: Version::from(version), files }
    }
}

/// Rows and rejected records, gathered file by file.
#[derive(Default)]
pub(super) struct Gathered {
    rows: Vec<RecordBatch>,
    rejected: Vec<RejectedRecord>,
    rejected_count: u64,
}

impl Gathered {
    pub(super) fn add_rows(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.rows.push(rows);
        }
    }

    pub(super) fn reject(&mut self, file: &WholeFile, line: u64, reason: String, raw: &[u8]) {
        self.rejected_count += 1;
        if self.rejected.len() < REJECTED_MAX {
            let raw = raw.trim_ascii();
            let raw = raw[..raw.len().min(RAW_BYTES_MAX)].to_vec();
            self.rejected.push(RejectedRecord { file: file.name.clone(), line, reason, raw });
        }
    }

    /// Fails where there are records and none of them is a row: that is another content than the table's, and no reason
    /// to forget what was loaded before.
    pub(super) fn finish(self, version: Version) -> Result<Loaded, ReferenceError> {
        if let (true, Some(first)) = (self.rows.is_empty(), self.rejected.first()) {
            let reason = format!("none of its {} records fits the table; the first: {first}", self.rejected_count);
            return Err(ReferenceError::Unusable { what: format!("`{}`", first.file), reason });
        }
        let Self { rows, rejected, rejected_count } = self;
        Ok(Loaded { version, rows, rejected, rejected_count })
    }
}
