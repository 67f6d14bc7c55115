//! `sets`: the rows of one value of some leads, given together when one of them goes on, with the time of the row that did
//! so; at the end of the input with that of their last row.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use millstream_core::EventTime;

use super::kept::{self, Kept};
use super::lead::Lead;
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};

/// See the module.
pub(super) struct Sets {
    schema: SchemaRef,
    lead: Lead,
    rows: Vec<Kept>,
    bytes: usize,
}

impl Sets {
    pub(super) fn new(schema: SchemaRef, leads: Vec<usize>) -> Self {
        Self { schema, lead: Lead::new(leads), rows: Vec::new(), bytes: 0 }
    }

    /// Gives the rows that are here. A row whose lead went back is among them, with its own value.
    fn give(&mut self, end: i64, output: &mut Output) -> Result<()> {
        let rows = kept::gather(&self.schema, &std::mem::take(&mut self.rows))?;
        self.bytes = 0;
        let ends = output.times(std::iter::repeat_n(end, rows.num_rows()), self.schema.fields().len());
        output.give(&rows, [ends])
    }
}

impl InOrderLogic for Sets {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        for kept in Kept::rows(rows, times.iter().copied().enumerate()) {
            if self.lead.follow(rows, kept.row())? {
                self.give(kept.time, output)?;
            }
            self.bytes += kept.bytes;
            self.rows.push(kept);
        }
        Ok(())
    }

    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        match self.rows.last().map(|last| last.time) {
            Some(last) if watermark == EventTime::MAX => self.give(last, output),
            _ => Ok(()),
        }
    }

    /// The input may end with the rows that are here.
    fn watermark(&self, input: EventTime) -> EventTime {
        self.rows.last().map_or(input, |last| input.min(EventTime(last.time)))
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
