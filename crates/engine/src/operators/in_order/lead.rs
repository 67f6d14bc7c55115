//! Columns that go on and never back: rows of one value of them belong together.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use datafusion::common::{Result, ScalarValue};

use crate::checkpoint::{Saved, Saver, Slot};
use crate::pane::columns_batch;

/// The values of the lead columns that were come to.
pub(super) struct Lead {
    columns: Vec<usize>,
    /// Empty before the first row.
    pub(super) values: Vec<ScalarValue>,
}

impl Lead {
    pub(super) fn new(columns: Vec<usize>) -> Self {
        Self { columns, values: Vec::new() }
    }

    /// Goes on to a row's values; answers whether the rows before it had others. A value that goes back stays at what
    /// was come to, and NULL comes before all values.
    pub(super) fn follow(&mut self, rows: &RecordBatch, row: usize) -> Result<bool> {
        let is_first = self.values.is_empty();
        let mut has_changed = false;
        for (index, column) in self.columns.iter().enumerate() {
            let value = ScalarValue::try_from_array(rows.column(*column), row)?;
            match self.values.get_mut(index) {
                None => self.values.push(value),
                Some(before) if value.partial_cmp(before) == Some(Ordering::Greater) => {
                    *before = value;
                    has_changed = true;
                }
                Some(_) => {}
            }
        }
        Ok(has_changed && !is_first)
    }

    pub(super) fn save(&self, saver: &mut Saver) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let columns = self.values.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        saver.chunk(&mut Slot::default(), "lead", &(), || columns_batch(columns, 1))
    }

    pub(super) fn load(&mut self, saved: &mut Saved) -> Result<()> {
        for chunk in saved.chunks("lead") {
            let values = chunk.rows.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
            self.values = values.collect::<Result<_>>()?;
        }
        Ok(())
    }
}
