//! `group_rank`: the rows of one time, ranked by a column and sorted by rank. Equal rows have the same rank, and as many
//! ranks are left out behind them.
//!
//! Nothing is kept: rows are waited for until the watermark has passed their time, and then come all together.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, partition, take, take_record_batch};
use datafusion::common::Result;
use millstream_core::EventTime;

use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};

/// See the module.
pub(super) struct GroupRank {
    pub(super) by: usize,
    /// Whether the greatest value has rank 1.
    pub(super) is_descending: bool,
    /// Whether the last rank comes first.
    pub(super) is_last_first: bool,
    /// Rows given of a group; 0: all.
    pub(super) output_max: usize,
}

impl GroupRank {
    fn give(&self, rows: &RecordBatch, output: &mut Output) -> Result<()> {
        let arrival = UInt32Array::from_iter_values(0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
        let options = SortOptions { descending: self.is_descending, nulls_first: self.is_descending };
        let by = SortColumn { values: Arc::clone(rows.column(self.by)), options: Some(options) };
        let order = lexsort_to_indices(&[by, SortColumn { values: Arc::new(arrival), options: None }], None)?;
        let mut equals = partition(&[take(rows.column(self.by), &order, None)?])?.ranges();
        if self.is_last_first {
            equals.reverse();
        }
        let ranked = equals.into_iter().flat_map(|equal| {
            let rank = i32::try_from(equal.start + 1).unwrap_or(i32::MAX);
            equal.map(move |place| (place, rank))
        });
        let limit = if self.output_max == 0 { usize::MAX } else { self.output_max };
        let (numbers, ranks): (Vec<u32>, Vec<i32>) =
            ranked.take(limit).map(|(place, rank)| (order.value(place), rank)).unzip();
        let rows = take_record_batch(rows, &UInt32Array::from(numbers))?;
        output.give(&rows, [Arc::new(Int32Array::from(ranks)) as ArrayRef])
    }
}

impl InOrderLogic for GroupRank {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        let mut from = 0;
        for group in times.chunk_by(|a, b| a == b) {
            self.give(&rows.slice(from, group.len()), output)?;
            from += group.len();
        }
        Ok(())
    }

    fn advance(&mut self, _: EventTime, _: &mut Output) -> Result<()> {
        Ok(())
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        0
    }

    fn save(&mut self, _: &mut Saver) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut Saved) -> Result<()> {
        Ok(())
    }
}
