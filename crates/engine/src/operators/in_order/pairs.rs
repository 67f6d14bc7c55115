//! `pairs`: rows of two sides in one stream, each with every row that is in the window of the other side when it comes.
//! A window holds rows of some last time, or some last rows.

use std::collections::VecDeque;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::Result;
use millstream_core::EventTime;
use millstream_sql::Reach;

use super::kept::{Kept, gather, load, save};
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};

/// Pairs are given in portions of this many.
const PORTION: usize = 8192;

/// See the module.
pub(super) struct Pairs {
    schema: SchemaRef,
    /// The column that says which side a row is of: 0 is the left one.
    side: usize,
    /// Whether each column is of the left side; the time and the side are of the row that comes last.
    sources: Vec<Source>,
    windows: [Reach; 2],
    kept: [VecDeque<Kept>; 2],
}

#[derive(Clone, Copy)]
enum Source {
    Left,
    Right,
    Last,
}

/// Pairs on their way out.
#[derive(Default)]
struct Found {
    left: Vec<Kept>,
    right: Vec<Kept>,
    last: Vec<Kept>,
}

impl Pairs {
    /// `columns`: the time, the side, and the columns of the left side.
    pub(super) fn new(schema: SchemaRef, columns: &[usize], windows: [Reach; 2]) -> Self {
        let (own, left) = columns.split_at(2);
        let source = |column: usize| match column {
            column if own.contains(&column) => Source::Last,
            column if left.contains(&column) => Source::Left,
            _ => Source::Right,
        };
        let sources = (0..schema.fields().len()).map(source).collect();
        Self { schema, side: own[1], sources, windows, kept: Default::default() }
    }

    /// Leaves out what is no longer in the window of a side at a time.
    fn expire(&mut self, side: usize, time: i64) {
        let kept = &mut self.kept[side];
        match self.windows[side] {
            Reach::Time(length) => {
                while kept.front().is_some_and(|oldest| oldest.time < time.saturating_sub(length.0)) {
                    kept.pop_front();
                }
            }
            // The current row counts.
            Reach::Rows(rows) => {
                while kept.len() > rows + 1 {
                    kept.pop_front();
                }
            }
        }
    }

    fn give(&self, found: &mut Found, output: &mut Output) -> Result<()> {
        let Found { left, right, last } = std::mem::take(found);
        let (left, right, last) =
            (gather(&self.schema, &left)?, gather(&self.schema, &right)?, gather(&self.schema, &last)?);
        let columns = self.sources.iter().enumerate().map(|(column, source)| match source {
            Source::Left => left.column(column).clone(),
            Source::Right => right.column(column).clone(),
            Source::Last => last.column(column).clone(),
        });
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect())?;
        output.give(&rows, [])
    }

    /// Which side each row is of.
    fn sides(&self, rows: &RecordBatch) -> Result<Vec<usize>> {
        let sides = cast(rows.column(self.side), &DataType::Int64)?;
        let sides = sides.as_primitive::<Int64Type>();
        Ok((0..sides.len()).map(|row| usize::from(sides.is_valid(row) && sides.value(row) != 0)).collect())
    }
}

impl InOrderLogic for Pairs {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        let sides = self.sides(rows)?;
        let mut found = Found::default();
        let kept = Kept::rows(rows, times.iter().copied().enumerate());
        for (row, side) in kept.zip(sides) {
            let other = 1 - side;
            self.expire(other, row.time);
            for partner in &self.kept[other] {
                let (left, right) = if side == 0 { (&row, partner) } else { (partner, &row) };
                found.left.push(left.clone());
                found.right.push(right.clone());
                found.last.push(row.clone());
            }
            if found.last.len() >= PORTION {
                self.give(&mut found, output)?;
            }
            let time = row.time;
            self.kept[side].push_back(row);
            self.expire(side, time);
        }
        if found.last.is_empty() { Ok(()) } else { self.give(&mut found, output) }
    }

    fn advance(&mut self, watermark: EventTime, _: &mut Output) -> Result<()> {
        for side in [0, 1] {
            if matches!(self.windows[side], Reach::Time(_)) {
                self.expire(side, watermark.0);
            }
        }
        Ok(())
    }

    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        self.kept.iter().map(VecDeque::len).sum()
    }

    fn bytes(&self) -> usize {
        self.kept.iter().flatten().map(|kept| kept.bytes).sum()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        save(saver, &self.schema, self.kept[0].iter().chain(&self.kept[1]))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        for kept in load(saved, &self.schema)? {
            let side = self.sides(&kept.batch().slice(kept.row(), 1))?[0];
            self.kept[side].push_back(kept);
        }
        Ok(())
    }
}
