//! `sort_within`: rows in the order of another time, which they may be behind by a slack. A row goes on once one was seen
//! that is later by more than the slack; after that it would be late.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use millstream_core::{Duration, EventTime};

use super::kept::{self, Kept};
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};
use crate::source::millis;

/// See the module.
pub(super) struct SortWithin {
    schema: SchemaRef,
    column: usize,
    slack: Duration,
    /// The latest time that was seen.
    latest: EventTime,
    /// By time, and by number among what has one time.
    rows: BTreeMap<(i64, u64), Kept>,
    next: u64,
    bytes: usize,
}

impl SortWithin {
    pub(super) fn new(schema: SchemaRef, column: usize, slack: Duration) -> Self {
        Self { schema, column, slack, latest: EventTime::MIN, rows: BTreeMap::new(), next: 0, bytes: 0 }
    }

    fn keep(&mut self, kept: Kept) {
        self.bytes += kept.bytes;
        self.rows.insert((kept.time, self.next), kept);
        self.next += 1;
    }

    /// Gives the rows before a time.
    fn give_before(&mut self, time: i64, output: &mut Output) -> Result<()> {
        let left = self.rows.split_off(&(time, 0));
        self.give(left, output)
    }

    /// Gives all but those that are left.
    fn give(&mut self, left: BTreeMap<(i64, u64), Kept>, output: &mut Output) -> Result<()> {
        let given = std::mem::replace(&mut self.rows, left);
        self.bytes -= given.values().map(|kept| kept.bytes).sum::<usize>();
        output.give(&kept::gather(&self.schema, given.values())?, [])
    }
}

impl InOrderLogic for SortWithin {
    fn push(&mut self, rows: &RecordBatch, _: &[i64], output: &mut Output) -> Result<()> {
        let times = millis(rows.column(self.column))?;
        let mut taken = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let time = times.value(row);
            if times.is_null(row) {
                output.tell(rows, row, "the row has no time to be sorted by");
            } else if time < (self.latest - self.slack).0 {
                output.late(time);
            } else {
                self.latest = self.latest.max(EventTime(time));
                taken.push((row, time));
            }
        }
        for kept in Kept::rows(rows, taken.into_iter()) {
            self.keep(kept);
        }
        self.give_before((self.latest - self.slack).0, output)
    }

    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        if watermark == EventTime::MAX { self.give(BTreeMap::new(), output) } else { Ok(()) }
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        if input == EventTime::MAX { input } else { self.latest - self.slack }
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("latest", &self.latest.0)?;
        kept::save(saver, &self.schema, self.rows.values())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.latest = EventTime(saved.value("latest")?);
        for kept in kept::load(saved, &self.schema)? {
            self.keep(kept);
        }
        Ok(())
    }
}
