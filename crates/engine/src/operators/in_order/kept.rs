//! Rows that a function keeps, wherever they came from.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use datafusion::common::{HashMap, Result};

use super::super::waiting::{with_times, without_times};
use crate::checkpoint::{Saved, Saver, Slot};

/// A row, and a time that goes with it.
#[derive(Clone)]
pub(super) struct Kept {
    batch: Arc<RecordBatch>,
    row: usize,
    pub(super) time: i64,
    /// Its share of the memory that the rows it came with take.
    pub(super) bytes: usize,
}

impl Kept {
    /// Some of the rows of a batch, with their times.
    pub(super) fn rows(rows: &RecordBatch, of: impl Iterator<Item = (usize, i64)>) -> impl Iterator<Item = Self> {
        let batch = Arc::new(rows.clone());
        let bytes = size_of::<Self>() + rows.get_array_memory_size() / rows.num_rows().max(1);
        of.map(move |(row, time)| Self { batch: Arc::clone(&batch), row, time, bytes })
    }

    /// The rows it came with.
    pub(super) fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Its number among the rows it came with.
    pub(super) fn row(&self) -> usize {
        self.row
    }
}

/// Kept rows as one batch, in their order.
pub(super) fn gather<'a>(schema: &SchemaRef, kept: impl IntoIterator<Item = &'a Kept>) -> Result<RecordBatch> {
    let mut numbers: HashMap<*const RecordBatch, usize> = HashMap::default();
    let mut batches: Vec<&RecordBatch> = Vec::new();
    let place = |kept: &'a Kept| {
        let number = *numbers.entry(Arc::as_ptr(&kept.batch)).or_insert_with(|| {
            batches.push(&kept.batch);
            batches.len() - 1
        });
        (number, kept.row)
    };
    let places: Vec<(usize, usize)> = kept.into_iter().map(place).collect();
    if places.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    }
    let column = |index: usize| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        Ok(interleave(&parts, &places)?)
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Saves kept rows with their times.
pub(super) fn save<'a>(
    saver: &mut Saver,
    schema: &SchemaRef,
    kept: impl Iterator<Item = &'a Kept> + Clone,
) -> Result<()> {
    let rows = gather(schema, kept.clone())?;
    if rows.num_rows() == 0 {
        return Ok(());
    }
    let times = kept.map(|kept| kept.time).collect();
    saver.chunk(&mut Slot::default(), "kept", &(), || with_times(&rows, times))
}

/// What [`save`] saved, in the same order.
pub(super) fn load(saved: &mut Saved, schema: &SchemaRef) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for chunk in saved.chunks("kept") {
        let (rows, times) = without_times(&chunk.rows, schema)?;
        kept.extend(Kept::rows(&rows, times.values().iter().copied().enumerate()));
    }
    Ok(kept)
}
