//! What operators and tables say of their state when a checkpoint is taken, and what they get back.
//!
//! State is small values by name, and chunks of rows by name, each with a few words of its own. A chunk that an earlier
//! checkpoint has is only named again.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chunk::ChunkRows;

/// Where some rows are kept, once a checkpoint has them. Rows that change get a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot(pub(super) Option<u64>);

/// A chunk that is part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// What its owner must know beside its rows.
    pub(crate) note: Value,
    pub(crate) chunk: u64,
}

/// Collects the state of one query.
#[derive(Debug)]
pub(crate) struct Saver {
    scope: String,
    next_chunk: u64,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) entries: Vec<Entry>,
    /// Chunks that no checkpoint has yet.
    pub(super) new: Vec<(u64, ChunkRows)>,
}

impl Saver {
    /// Chunks are numbered from `next_chunk` on.
    pub(crate) fn new(next_chunk: u64) -> Self {
        Self { scope: String::new(), next_chunk, values: BTreeMap::new(), entries: Vec::new(), new: Vec::new() }
    }

    /// The number that the next new chunk would get.
    pub(crate) fn next_chunk(&self) -> u64 {
        self.next_chunk
    }

    /// What is saved from now on is of this part of the query.
    pub(crate) fn scope(&mut self, scope: impl std::fmt::Display) {
        self.scope = scope.to_string();
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.scope)
    }

    /// A value, small: it is written whole each time.
    pub(crate) fn value(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        self.values.insert(self.path(name), to_json(value)?);
        Ok(())
    }

    /// A chunk; `rows` is asked only if no checkpoint has it.
    pub(crate) fn chunk<R: Into<ChunkRows>>(
        &mut self,
        slot: &mut Slot,
        name: &str,
        note: &impl Serialize,
        rows: impl FnOnce() -> Result<R>,
    ) -> Result<()> {
        let chunk = match slot.0 {
            Some(chunk) => chunk,
            None => {
                let chunk = self.next_chunk;
                self.next_chunk += 1;
                self.add(chunk, rows()?);
                chunk
            }
        };
        slot.0 = Some(chunk);
        self.entries.push(Entry { name: self.path(name), note: to_json(note)?, chunk });
        Ok(())
    }

    /// A chunk that no checkpoint has yet.
    pub(super) fn add(&mut self, chunk: u64, rows: impl Into<ChunkRows>) {
        self.new.push((chunk, rows.into()));
    }
}

/// A chunk that came back.
#[derive(Debug)]
pub(crate) struct SavedChunk {
    note: Value,
    pub(crate) slot: Slot,
    pub(crate) rows: RecordBatch,
}

impl SavedChunk {
    /// What was said when it was saved.
    pub(crate) fn note<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.note.clone()).map_err(|error| unreadable(&error))
    }
}

/// The state of one query, read from a checkpoint. Each part is taken out once.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    scope: String,
    values: BTreeMap<String, Value>,
    chunks: BTreeMap<String, Vec<SavedChunk>>,
}

impl Saved {
    /// `rows` has the rows of every chunk.
    pub(super) fn new(
        values: BTreeMap<String, Value>,
        entries: &[Entry],
        mut rows: impl FnMut(u64) -> Option<RecordBatch>,
    ) -> std::result::Result<Self, String> {
        let mut chunks: BTreeMap<String, Vec<SavedChunk>> = BTreeMap::new();
        for Entry { name, note, chunk } in entries {
            let rows = rows(*chunk).ok_or_else(|| format!("chunk {chunk} of `{name}` is missing"))?;
            let saved = SavedChunk { note: note.clone(), slot: Slot(Some(*chunk)), rows };
            chunks.entry(name.clone()).or_default().push(saved);
        }
        Ok(Self { scope: String::new(), values, chunks })
    }

    /// Whether nothing was saved.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.chunks.is_empty()
    }

    /// What is asked for from now on is of this part of the query.
    pub(crate) fn scope(&mut self, scope: impl std::fmt::Display) {
        self.scope = scope.to_string();
    }

    /// A value by its name.
    pub(crate) fn value<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let path = format!("{}/{name}", self.scope);
        let value = self.values.remove(&path).ok_or_else(|| unreadable(&format!("`{path}` is missing")))?;
        serde_json::from_value(value).map_err(|error| unreadable(&error))
    }

    /// The chunks at a path, which is a scope and a name.
    pub(crate) fn chunks_mut(&mut self, path: &str) -> &mut [SavedChunk] {
        self.chunks.get_mut(path).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Several states as one that no checkpoint has yet. Of times, which is what values are there, it has the least.
    pub(crate) fn together(parts: Vec<Self>) -> std::result::Result<Self, String> {
        let mut all = Self::default();
        for part in parts {
            for (path, value) in part.values {
                let least = match all.values.get(&path).map(|before| (before.as_i64(), value.as_i64())) {
                    None => value,
                    Some((Some(before), Some(value))) => Value::from(before.min(value)),
                    Some(_) => return Err(format!("`{path}` of two states is no time")),
                };
                all.values.insert(path, least);
            }
            for (path, chunks) in part.chunks {
                let new = chunks.into_iter().map(|chunk| SavedChunk { slot: Slot::default(), ..chunk });
                all.chunks.entry(path).or_default().extend(new);
            }
        }
        Ok(all)
    }

    /// All chunks of a name, in the order in which they were saved.
    pub(crate) fn chunks(&mut self, name: &str) -> Vec<SavedChunk> {
        self.chunks.remove(&format!("{}/{name}", self.scope)).unwrap_or_default()
    }
}

fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| DataFusionError::Internal(format!("state cannot be written: {error}")))
}

fn unreadable(reason: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("the checkpoint does not fit this query: {reason}"))
}
