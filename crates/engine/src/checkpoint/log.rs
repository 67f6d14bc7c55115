//! State by key that changes: a log of what changed, in which the newest row of a key counts.
//!
//! Each checkpoint adds one chunk with the keys that changed since the last. When the log is more than twice the state,
//! it is written anew as a whole.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::row::OwnedRow;
use datafusion::common::Result;

use super::saver::{Saved, SavedChunk, Saver, Slot};

/// Logs shorter than this are not worth being written anew.
const MIN_LOG_ROWS: usize = 10_000;

/// The log of one keyed state. Until it is enabled nothing is remembered.
#[derive(Debug, Default)]
pub(crate) struct KeyedLog {
    touched: Option<HashSet<OwnedRow>>,
    chunks: Vec<(Slot, usize)>,
}

impl KeyedLog {
    /// Remembers changes from now on.
    pub(crate) fn enable(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// A key has changed or is gone.
    pub(crate) fn touch(&mut self, key: &OwnedRow) {
        if let Some(touched) = &mut self.touched
            && !touched.contains(key)
        {
            touched.insert(key.clone());
        }
    }

    /// The keys to be saved now: those that changed, also if they are gone; or `all` of them, of which there are `count`,
    /// when the log has become too long.
    pub(crate) fn changed(&mut self, count: usize, all: impl FnOnce() -> Vec<OwnedRow>) -> Vec<OwnedRow> {
        let touched = self.touched.replace(HashSet::new()).unwrap_or_default();
        let logged: usize = self.chunks.iter().map(|(_, rows)| rows).sum();
        if logged + touched.len() > MIN_LOG_ROWS.max(2 * count) {
            self.chunks.clear();
            all()
        } else {
            touched.into_iter().collect()
        }
    }

    /// Saves the log with the rows of the keys that [`Self::changed`] gave, one a key.
    pub(crate) fn save(&mut self, saver: &mut Saver, name: &str, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            self.chunks.push((Slot::default(), rows.num_rows()));
        }
        // Only the one that was added has not been saved yet, and its rows are asked for.
        self.chunks.iter_mut().try_for_each(|(slot, _)| saver.chunk(slot, name, &(), || Ok(rows.clone())))
    }

    /// The chunks of the log, to be applied in this order.
    pub(crate) fn load(&mut self, saved: &mut Saved, name: &str) -> Vec<RecordBatch> {
        let chunks = saved.chunks(name);
        self.chunks = chunks.iter().map(|chunk| (chunk.slot, chunk.rows.num_rows())).collect();
        chunks.into_iter().map(|SavedChunk { rows, .. }| rows).collect()
    }
}
