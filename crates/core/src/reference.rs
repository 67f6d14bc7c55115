//! The contract of reference tables: tables that are small enough to be held, and are read whole.
//!
//! A stream is joined with what such a table holds. It is read again from time to time ([`Reference::reload_interval`]),
//! and each content has a [`Version`], so that a checkpoint can name what a join has seen. Who calls decides when to
//! read and when rows of a new version count; a load that fails changes nothing of what was loaded before.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::{BoxFuture, Duration};

/// One reference table. Making one does no I/O.
pub trait Reference: Send {
    /// Reads the whole table; `None` where its content is still that of `known`.
    ///
    /// All rows are of one version: a content that changes while it is read is read again or is an error. After an error
    /// the same call may be made again at any time.
    fn load<'a>(&'a mut self, known: Option<&'a Version>) -> BoxFuture<'a, Result<Option<Loaded>, ReferenceError>>;

    /// How much time lies between two loads.
    fn reload_interval(&self) -> Duration;
}

/// Identifies the content of a reference table: the same version of the same declaration has the same rows.
///
/// A short text, such as an ETag or a hash, for a checkpoint to carry. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// The text a checkpoint keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table as it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was read.
    pub version: Version,
    /// The rows, in the order of the content; their schema is the table's. No batch is empty.
    pub rows: Vec<RecordBatch>,
    /// Records that could not be decoded, in order; the first ones only, where there are very many.
    pub rejected: Vec<RejectedRecord>,
    /// How many could not be decoded.
    pub rejected_count: u64,
}

/// A record of a reference table that could not become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The path of the file that holds it.
    pub file: String,
    /// Its line, or in a file without lines its row; counted from 1.
    pub line: u64,
    /// Why, for a person: names the column and what was found.
    pub reason: String,
    /// The record as it was found, cut where it is long; empty in a file without lines.
    pub raw: Vec<u8>,
}

impl fmt::Display for RejectedRecord {
    /// `items.csv:3: column …`, as compilers name a place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// A table that could not be read: what was loaded before stays as it is. The variants differ in what mends them.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing is there. Mended by putting it there, or by naming another place in the table's options.
    #[error("{what} does not exist: {remedy}")]
    NotFound { what: String, remedy: String },
    /// The place refused. Mended by whoever gives rights.
    #[error("{what} may not be read: {remedy}")]
    Denied { what: String, remedy: String },
    /// What is there is no content of this table. Mended by writing it anew, or by declaring the table as it is.
    #[error("{what} cannot be used: {reason}")]
    Unusable { what: String, reason: String },
    /// It changed each time it was read. Mended by writing it elsewhere and moving it into its place.
    #[error("{what} changed while it was read: write it under another name and rename it when it is complete")]
    Changing { what: String },
    /// A disk, a network or a server failed. Likely to mend itself: the next load tries again.
    #[error("reading {what} failed and will be tried again: {reason}")]
    Failed { what: String, reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_record_prints_its_place() {
        let (file, reason) = ("/data/items.csv".to_owned(), "expected 3 fields, found 1".to_owned());
        let rejected = RejectedRecord { file, line: 3, reason, raw: b"x".to_vec() };
        assert_eq!(rejected.to_string(), "/data/items.csv:3: expected 3 fields, found 1");
    }
}
