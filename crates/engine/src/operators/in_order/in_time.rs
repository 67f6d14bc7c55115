//! `in_time`: rows go on as they are, in an event time that is another one from then on.

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::Result;
use millstream_core::EventTime;

use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};
use crate::source::millis;

/// See the module.
pub(super) struct InTime {
    /// The column with the new time; `None`: it is the one that rows are in the order of.
    column: Option<usize>,
    /// The new time never goes back.
    greatest: EventTime,
}

impl InTime {
    pub(super) fn new(column: Option<usize>) -> Self {
        Self { column, greatest: EventTime::MIN }
    }
}

impl InOrderLogic for InTime {
    fn push(&mut self, rows: &RecordBatch, _: &[i64], output: &mut Output) -> Result<()> {
        let Some(column) = self.column else { return output.give(rows, []) };
        let times = millis(rows.column(column))?;
        let mut goes_on = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let time = EventTime(times.value(row));
            goes_on.push(times.is_valid(row) && time >= self.greatest);
            if times.is_null(row) {
                output.tell(rows, row, "rows out of order: its time is NULL");
            } else if time < self.greatest {
                let reason = format!("rows out of order: its time is {time}, after a row at {}", self.greatest);
                output.tell(rows, row, reason);
            } else {
                self.greatest = time;
            }
        }
        output.give(&filter_record_batch(rows, &BooleanArray::from(goes_on))?, [])
    }

    fn advance(&mut self, _: EventTime, _: &mut Output) -> Result<()> {
        Ok(())
    }

    /// A new time says nothing of those to come but that they are not before it.
    fn watermark(&self, input: EventTime) -> EventTime {
        if self.column.is_none() || input == EventTime::MAX { input } else { self.greatest }
    }

    fn len(&self) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        0
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("greatest", &self.greatest.0)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.greatest = EventTime(saved.value("greatest")?);
        Ok(())
    }
}
