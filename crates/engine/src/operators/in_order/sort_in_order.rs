//! `sort_in_order`: the rows of one value of a lead, sorted. They wait until the lead goes on; where it is the beginning
//! of a step of time, until that is over.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use millstream_core::{Duration, EventTime};

use super::kept::{self, Kept};
use super::lead::Lead;
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};
use crate::source::millis;

/// See the module.
pub(super) struct SortInOrder {
    schema: SchemaRef,
    lead: Lead,
    /// Columns to sort by, and whether they are descending.
    by: Vec<(usize, bool)>,
    step: Option<Duration>,
    /// The rows of the value that the lead has come to.
    rows: Vec<Kept>,
    bytes: usize,
}

impl SortInOrder {
    pub(super) fn new(schema: SchemaRef, lead: usize, by: Vec<(usize, bool)>, step: Option<Duration>) -> Self {
        Self { schema, lead: Lead::new(vec![lead]), by, step, rows: Vec::new(), bytes: 0 }
    }

    fn flush(&mut self, output: &mut Output) -> Result<()> {
        let rows = kept::gather(&self.schema, &std::mem::take(&mut self.rows))?;
        self.bytes = 0;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let column = |(column, descending): &(usize, bool)| SortColumn {
            values: Arc::clone(rows.column(*column)),
            options: Some(SortOptions { descending: *descending, nulls_first: *descending }),
        };
        let arrival = UInt32Array::from_iter_values(0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
        let last = SortColumn { values: Arc::new(arrival) as ArrayRef, options: None };
        let columns: Vec<SortColumn> = self.by.iter().map(column).chain([last]).collect();
        output.give(&take_record_batch(&rows, &lexsort_to_indices(&columns, None)?)?, [])
    }

    /// When the lead's step is over.
    fn end(&self) -> Result<Option<EventTime>> {
        let (Some(step), [lead]) = (self.step, self.lead.values.as_slice()) else { return Ok(None) };
        let begins = millis(&lead.to_array()?)?;
        Ok(begins.iter().next().flatten().map(|begins| EventTime(begins) + step))
    }
}

impl InOrderLogic for SortInOrder {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        for kept in Kept::rows(rows, times.iter().copied().enumerate()) {
            if self.lead.follow(rows, kept.row())? {
                self.flush(output)?;
            }
            self.bytes += kept.bytes;
            self.rows.push(kept);
        }
        Ok(())
    }

    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        let is_over = watermark == EventTime::MAX || self.end()?.is_some_and(|end| end <= watermark);
        if is_over { self.flush(output) } else { Ok(()) }
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        self.rows.first().map_or(input, |first| input.min(EventTime(first.time)))
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.lead.save(saver)?;
        kept::save(saver, &self.schema, self.rows.iter())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.lead.load(saved)?;
        self.rows = kept::load(saved, &self.schema)?;
        self.bytes = self.rows.iter().map(|kept| kept.bytes).sum();
        Ok(())
    }
}
