//! No state: rows go on as they come.

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::Result;
use millstream_core::EventTime;

use super::{Given, Operator, Taken};
use crate::checkpoint::{Saved, Saver};

/// Passes rows on.
pub(crate) struct RowsOperator {
    /// For each leaf an empty batch: what CLOSE sees of the others while rows of one come in.
    empty: Vec<RecordBatch>,
    waiting: Vec<(usize, RecordBatch)>,
    watermark: EventTime,
}

impl RowsOperator {
    pub(crate) fn new(empty: Vec<RecordBatch>) -> Self {
        Self { empty, waiting: Vec::new(), watermark: EventTime::MIN }
    }
}

impl Operator for RowsOperator {
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, _: Option<&Int64Array>) -> Result<Taken> {
        if rows.num_rows() > 0 {
            self.waiting.push((leaf, rows.clone()));
        }
        Ok(Taken::all(rows.num_rows()))
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        self.watermark = self.watermark.max(watermark);
        let mut given = Vec::new();
        // All of one leaf together: CLOSE costs the same for one row as for many.
        while let Some(leaf) = self.waiting.first().map(|(leaf, _)| *leaf) {
            let of_leaf: Vec<RecordBatch> =
                self.waiting.extract_if(.., |(of, _)| *of == leaf).map(|(_, rows)| rows).collect();
            let mut leaves = self.empty.clone();
            leaves[leaf] = concat_batches(&self.empty[leaf].schema(), &of_leaf)?;
            given.push(Given::Rows(leaves));
        }
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn size(&self) -> (usize, usize) {
        (0, 0)
    }

    /// What waits is given with the next step.
    fn bytes(&self) -> usize {
        0
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        Ok(())
    }
}
