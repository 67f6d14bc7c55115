//! The rows of the open file as checkpoints have them: in numbered runs.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use millstream_core::{Emission, Pending, Window};

/// A run that is larger so far takes no more: its columns of texts have offsets of 32 bits.
const RUN_BYTES_MAX: usize = 256 << 20;

#[derive(Default)]
pub(super) struct Runs {
    next: u64,
    /// Those that were prepared, oldest first. Without rows: a checkpoint that was committed has them.
    numbered: Vec<(u64, Option<Emission>)>,
    /// What came since.
    fresh: Vec<RecordBatch>,
}

impl Runs {
    /// No rows; numbers begin with `next`.
    pub(super) fn new(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The number of the next run.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Rows were written.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        self.fresh.push(rows.clone());
    }

    /// Rows were written again that a checkpoint has.
    pub(super) fn add_again(&mut self, id: u64) {
        self.numbered.push((id, None));
        self.next = self.next.max(id + 1);
    }

    /// The file has ended: checkpoints have it as a whole from now on.
    pub(super) fn clear(&mut self) {
        self.numbered.clear();
        self.fresh.clear();
    }

    /// All runs; what came since the last one becomes few. `window` is that of the file, where it has one.
    pub(super) fn prepare(&mut self, window: Option<Window>) -> Result<Vec<Pending>, ArrowError> {
        let (mut from, mut bytes) = (0, 0);
        let mut runs = Vec::new();
        for (index, rows) in self.fresh.iter().enumerate() {
            if bytes > RUN_BYTES_MAX {
                runs.push(from..index);
                (from, bytes) = (index, 0);
            }
            bytes += rows.get_array_memory_size();
        }
        runs.push(from..self.fresh.len());
        for run in runs {
            let Some(first) = self.fresh.get(run.start) else { continue };
            let rows = concat_batches(first.schema_ref(), &self.fresh[run])?;
            self.numbered.push((self.next, Some(Emission { rows, window })));
            self.next += 1;
        }
        self.fresh.clear();
        Ok(self.numbered.iter().map(|(id, rows)| Pending { id: *id, rows: rows.clone() }).collect())
    }

    /// The checkpoint that was prepared has the rows of all runs that have a number.
    pub(super) fn commit(&mut self) {
        for (_, rows) in &mut self.numbered {
            *rows = None;
        }
    }
}
