//! `distinct_in_order`: of the rows of one value of a lead that are equal in some columns the first, as soon as it comes.

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{HashSet, Result};
use millstream_core::EventTime;

use super::lead::Lead;
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver, Slot};
use crate::pane::columns_batch;

/// See the module.
pub(super) struct DistinctInOrder {
    lead: Lead,
    columns: Vec<usize>,
    converter: RowConverter,
    /// What rows of the value that the lead has come to had in the columns.
    seen: HashSet<OwnedRow>,
    bytes: usize,
}

impl DistinctInOrder {
    pub(super) fn new(schema: &SchemaRef, lead: usize, columns: Vec<usize>) -> Result<Self> {
        let fields = columns.iter().map(|column| SortField::new(schema.field(*column).data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { lead: Lead::new(vec![lead]), columns, converter, seen: HashSet::default(), bytes: 0 })
    }

    /// Whether it has not been seen before.
    fn see(&mut self, key: OwnedRow) -> bool {
        let bytes = size_of::<OwnedRow>() + key.as_ref().len();
        let is_new = self.seen.insert(key);
        self.bytes += if is_new { bytes } else { 0 };
        is_new
    }

    fn keys(&self, columns: &[ArrayRef]) -> Result<Vec<OwnedRow>> {
        Ok(self.converter.convert_columns(columns)?.iter().map(|key| key.owned()).collect())
    }
}

impl InOrderLogic for DistinctInOrder {
    fn push(&mut self, rows: &RecordBatch, _: &[i64], output: &mut Output) -> Result<()> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| rows.column(*column).clone()).collect();
        let mut is_first = Vec::with_capacity(rows.num_rows());
        for (row, key) in self.keys(&columns)?.into_iter().enumerate() {
            if self.lead.follow(rows, row)? {
                self.seen.clear();
                self.bytes = 0;
            }
            is_first.push(self.see(key));
        }
        output.give(&filter_record_batch(rows, &BooleanArray::from(is_first))?, [])
    }

    fn advance(&mut self, _: EventTime, _: &mut Output) -> Result<()> {
        Ok(())
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        self.seen.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.lead.save(saver)?;
        if self.seen.is_empty() {
            return Ok(());
        }
        let columns = self.converter.convert_rows(self.seen.iter().map(OwnedRow::row))?;
        saver.chunk(&mut Slot::default(), "seen", &(), || columns_batch(columns, self.seen.len()))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.lead.load(saved)?;
        for chunk in saved.chunks("seen") {
            for key in self.keys(chunk.rows.columns())? {
                self.see(key);
            }
        }
        Ok(())
    }
}
