//! `group_rank`: the rows of one time, ranked by a column and sorted by rank. Equal rows have the same rank, and as many
//! ranks are left out behind them.
//!
//! Nothing is kept: rows are waited for until the watermark has passed their time, and then come all together.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, UInt32Array};
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

impl InOrderLogic for GroupRank {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        let arrival = UInt32Array::from_iter_values(0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
        let of_time: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
        let column = |values: ArrayRef, options| SortColumn { values, options };
        let options = SortOptions { descending: self.is_descending, nulls_first: self.is_descending };
        let order = lexsort_to_indices(
            &[
                column(Arc::clone(&of_time), None),
                column(Arc::clone(rows.column(self.by)), Some(options)),
                column(Arc::new(arrival), None),
            ],
            None,
        )?;
        let equal = partition(&[of_time, take(rows.column(self.by), &order, None)?])?.ranges();
        let limit = if self.output_max == 0 { usize::MAX } else { self.output_max };
        let (mut from, mut equal) = (0, equal.into_iter().peekable());
        let (mut numbers, mut ranks) = (Vec::new(), Vec::new());
        for group in times.chunk_by(|a, b| a == b) {
            let to = from + group.len();
            let mut of_group: Vec<_> = std::iter::from_fn(|| equal.next_if(|places| places.start < to)).collect();
            if self.is_last_first {
                of_group.reverse();
            }
            let ranked = of_group.into_iter().flat_map(|places| {
                let rank = i32::try_from(places.start - from + 1).unwrap_or(i32::MAX);
                places.map(move |place| (place, rank))
            });
            for (place, rank) in ranked.take(limit) {
                numbers.push(order.value(place));
                ranks.push(rank);
            }
            from = to;
        }
        let rows = take_record_batch(rows, &UInt32Array::from(numbers))?;
        output.give(&rows, [Arc::new(Int32Array::from(ranks)) as ArrayRef])
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
