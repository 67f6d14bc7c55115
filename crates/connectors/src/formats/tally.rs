//! Which rows came of which records: what a decoder notes while it reads a chunk.

use arrow::array::RecordBatch;
use millstream_core::{Decoded, Rejected};

/// Rows and rejected records so far. A record may become several rows, and be rejected in parts.
#[derive(Default)]
pub(super) struct Tally {
    rows: usize,
    /// The record of each row, from where they stopped being the same.
    records: Option<Vec<u32>>,
    rejected: Vec<Rejected>,
}

impl Tally {
    /// How many rows there are: the place of the next one.
    #[inline]
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Notes a row of this record.
    #[inline]
    pub(super) fn row(&mut self, record: usize) {
        if self.records.is_none() && self.rows != record {
            self.records = Some((0..index(self.rows)).collect());
        }
        if let Some(records) = &mut self.records {
            records.push(index(record));
        }
        self.rows += 1;
    }

    /// Notes that a record, or a part of it, became no row.
    pub(super) fn reject(&mut self, record: usize, reason: String) {
        self.rejected.push(Rejected { record: index(record), reason });
    }

    /// What came out of a chunk of so many records.
    pub(super) fn finish(self, records: usize, rows: RecordBatch) -> Decoded {
        let of_rows = self.records.or_else(|| (self.rows != records).then(|| (0..index(self.rows)).collect()));
        Decoded { rows, records: of_rows, rejected: self.rejected }
    }
}

/// A chunk has far fewer records than that.
#[inline]
fn index(record: usize) -> u32 {
    u32::try_from(record).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    /// What became of each record: rows, and `!` for a part that was rejected.
    fn records(outcomes: &[&str]) -> Option<Vec<u32>> {
        let mut tally = Tally::default();
        for (record, outcome) in outcomes.iter().enumerate() {
            for part in outcome.bytes() {
                match part {
                    b'!' => tally.reject(record, String::new()),
                    _ => tally.row(record),
                }
            }
        }
        tally.finish(outcomes.len(), RecordBatch::new_empty(Arc::new(Schema::empty()))).records
    }

    #[test]
    fn rows_know_their_records_once_they_differ() {
        for (outcomes, expected) in [
            (&["r", "r"][..], None),
            (&["r", "!", "r"], Some(vec![0, 2])),
            (&["r", "!"], Some(vec![0])),
            (&["!"], Some(vec![])),
            (&["rr", "!"], Some(vec![0, 0])),
            (&["r", "rr", "r"], Some(vec![0, 1, 1, 2])),
            (&["r!r", "r"], Some(vec![0, 0, 1])),
            (&["r", "", "r"], Some(vec![0, 2])),
        ] {
            assert_eq!(records(outcomes), expected, "{outcomes:?}");
        }
    }
}
