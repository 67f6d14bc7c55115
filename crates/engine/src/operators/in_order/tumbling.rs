//! Items of one column in windows side by side, aligned to the epoch, of which a few rows are told at the end. Rows come in
//! order, so one window is open at a time. NULL is no item.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use millstream_analytics::LoadError;
use millstream_core::{Duration, EventTime};

use super::{InOrderLogic, Output, state_bytes};
use crate::checkpoint::{Saved, Saver, Slot};

/// What is kept of the items of a window.
pub(super) trait WindowItems: Clone + Send {
    /// Takes an item, as text.
    fn add(&mut self, item: &str);

    /// What is told of the window: perhaps the items, and a number for each row.
    fn tell(&self) -> Result<(Option<ArrayRef>, Int64Array)>;

    fn bytes(&self) -> usize;

    fn save(&self) -> Vec<u8>;

    /// The same, with a saved state.
    fn loaded(&self, bytes: &[u8]) -> Result<Self, LoadError>;
}

/// See the module.
pub(super) struct Tumbling<I> {
    column: usize,
    length: Duration,
    /// Those of a window in which nothing has come.
    none: I,
    open: Option<Window<I>>,
}

struct Window<I> {
    start: i64,
    items: I,
    slot: Slot,
}

impl<I: WindowItems> Tumbling<I> {
    pub(super) fn new(column: usize, length: Duration, none: I) -> Self {
        Self { column, length, none, open: None }
    }

    /// The open window, if it is the one that starts then; otherwise it is closed and that one opened.
    fn window(&mut self, start: i64, output: &mut Output) -> Result<&mut Window<I>> {
        let open = match self.open.take() {
            Some(open) if open.start == start => open,
            other => {
                self.close(other, output)?;
                Window { start, items: self.none.clone(), slot: Slot::default() }
            }
        };
        Ok(self.open.insert(open))
    }

    fn close(&self, window: Option<Window<I>>, output: &mut Output) -> Result<()> {
        let Some(window) = window else { return Ok(()) };
        let (items, numbers) = window.items.tell()?;
        let rows = numbers.len();
        let fields = items.iter().map(|items| Field::new("item", items.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = items.iter().cloned().collect::<Vec<_>>();
        let time = columns.len() + 1;
        let items = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let times = output.times(std::iter::repeat_n(window.start + self.length.0, rows), time);
        output.give(&items, [Arc::new(numbers) as ArrayRef, times])
    }
}

impl<I: WindowItems> InOrderLogic for Tumbling<I> {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()> {
        let (column, length) = (rows.column(self.column), self.length.0);
        let texts = ArrayFormatter::try_new(column, &FormatOptions::default())?;
        let mut text = String::new();
        for (row, time) in times.iter().enumerate() {
            let window = self.window(time.div_euclid(length) * length, output)?;
            window.slot = Slot::default();
            if column.is_valid(row) {
                text.clear();
                // Writing to a text cannot fail.
                _ = write!(text, "{}", texts.value(row));
                window.items.add(&text);
            }
        }
        Ok(())
    }

    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        let is_over = self.open.as_ref().is_some_and(|open| open.start + self.length.0 <= watermark.0);
        let over = if is_over { self.open.take() } else { None };
        self.close(over, output)
    }

    /// The end of the open window is later.
    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.items.bytes())
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("window", &self.open.as_ref().map(|open| open.start))?;
        match &mut self.open {
            Some(open) => state_bytes::save(saver, &mut open.slot, || open.items.save()),
            None => Ok(()),
        }
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let start: Option<i64> = saved.value("window")?;
        let state = state_bytes::load(saved, |bytes| self.none.loaded(bytes))?;
        self.open = start.zip(state).map(|(start, (items, slot))| Window { start, items, slot });
        Ok(())
    }
}
