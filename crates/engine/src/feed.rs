//! One batch into one query: HOT's rows into panes, or straight to the closer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::common::Result;
use millstream_core::{EventTime, Window, WindowSpec};

use crate::attached::{Attachment, Panes, Part, Work};
use crate::errors::Fault;
use crate::hot::{CompiledLeaf, HotRows};
use crate::message::ToCloser;
use crate::pane::{Arguments, PaneLayout, PaneTable, take_rows};

/// One batch on its way into one query.
pub(crate) struct Feed<'a> {
    pub(crate) attachment: &'a Attachment,
    pub(crate) panes: &'a mut Panes,
    pub(crate) closed: EventTime,
    pub(crate) part: &'a Part,
    pub(crate) shard: &'a str,
    pub(crate) late: Vec<Fault>,
    /// Why the query cannot go on, if it cannot.
    pub(crate) broken: Option<String>,
}

impl Feed<'_> {
    /// Takes what HOT let pass. Nothing here is the fault of a row: an error breaks the query.
    pub(crate) fn take(&mut self, given: usize, passed: HotRows, times: Option<&Int64Array>) {
        let stats = Arc::clone(&self.attachment.stats);
        stats.filtered.add((given - passed.rows) as u64);
        match self.absorb(passed, times) {
            Ok(used) => stats.used.add(used as u64),
            Err(error) => self.broken = Some(error.strip_backtrace()),
        }
    }

    /// Answers how many rows were used.
    fn absorb(&mut self, passed: HotRows, times: Option<&Int64Array>) -> Result<usize> {
        let part = self.part;
        match &part.work {
            Work::Rows { schema, .. } => {
                if passed.rows > 0 {
                    let options = RecordBatchOptions::new().with_row_count(Some(passed.rows));
                    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), passed.columns, &options)?;
                    let _ = self.attachment.closer.send(ToCloser::Rows(rows));
                }
                Ok(passed.rows)
            }
            Work::Aggregate { leaf, compiled, layout, window } => match (window, times) {
                (Some(window), Some(times)) => {
                    let times = match &passed.selected {
                        Some(mask) => arrow::compute::filter(times, mask)?.as_primitive().clone(),
                        None => times.clone(),
                    };
                    self.into_windows(*leaf, compiled, layout, *window, &passed, &times)
                }
                _ => {
                    let pane = pane(self.panes, layout, (None, *leaf))?;
                    update(pane, compiled, passed.rows, &passed.columns)?;
                    Ok(passed.rows)
                }
            },
        }
    }

    /// Splits rows by window; answers how many were in time.
    fn into_windows(
        &mut self,
        leaf: usize,
        compiled: &CompiledLeaf,
        layout: &PaneLayout,
        spec: WindowSpec,
        passed: &HotRows,
        times: &Int64Array,
    ) -> Result<usize> {
        let WindowSpec::Tumble { size, offset } = spec;
        let start = |time: i64| WindowSpec::tumble_start(size, offset, EventTime(time));
        let (Some(least), Some(most)) = (arrow::compute::min(times), arrow::compute::max(times)) else { return Ok(0) };
        let times = times.values();
        if start(least) == start(most) {
            let window = spec.window_at(start(least));
            if window.end <= self.closed {
                self.note_late(window, times.iter().copied());
                return Ok(0);
            }
            update(pane(self.panes, layout, (Some(window), leaf))?, compiled, passed.rows, &passed.columns)?;
            return Ok(passed.rows);
        }
        let mut by_window: BTreeMap<EventTime, Vec<u32>> = BTreeMap::new();
        let (mut run, mut run_start) = (Vec::new(), start(times[0]));
        for (row, time) in (0_u32..).zip(times) {
            // Neighbours are mostly of one window: look it up once a run.
            if *time < run_start.0 || *time >= run_start.0 + size.0 {
                by_window.entry(run_start).or_default().append(&mut run);
                run_start = start(*time);
            }
            run.push(row);
        }
        by_window.entry(run_start).or_default().append(&mut run);
        let mut used = 0;
        for (window_start, rows) in by_window {
            let window = spec.window_at(window_start);
            if window.end <= self.closed {
                self.note_late(window, rows.iter().map(|row| times[*row as usize]));
                continue;
            }
            let rows = UInt32Array::from(rows);
            let columns = take_rows(&passed.columns, &rows)?;
            update(pane(self.panes, layout, (Some(window), leaf))?, compiled, rows.len(), &columns)?;
            used += rows.len();
        }
        Ok(used)
    }

    fn note_late(&mut self, window: Window, times: impl Iterator<Item = i64>) {
        for time in times {
            self.attachment.stats.late.add(1);
            let by = self.closed - EventTime(time);
            let reason = format!(
                "late for `{}`: its window [{}, {}) has closed; it came {} ms after the watermark",
                self.attachment.name, window.start, window.end, by.0
            );
            let fault = Fault::of_row(
                &self.attachment.name,
                &self.part.source,
                self.shard,
                Some(EventTime(time)),
                String::new(),
                reason,
            );
            self.late.push(fault.named("late row"));
        }
    }
}

fn pane<'p>(panes: &'p mut Panes, layout: &PaneLayout, key: (Option<Window>, usize)) -> Result<&'p mut PaneTable> {
    use std::collections::btree_map::Entry;
    Ok(match panes.entry(key) {
        Entry::Occupied(pane) => pane.into_mut(),
        Entry::Vacant(place) => place.insert(layout.table()?),
    })
}

fn update(pane: &mut PaneTable, compiled: &CompiledLeaf, rows: usize, columns: &[ArrayRef]) -> Result<()> {
    let keys: Vec<ArrayRef> = compiled.keys.iter().map(|key| Arc::clone(&columns[*key])).collect();
    let arguments: Vec<Arguments> = (compiled.aggregates.iter())
        .map(|aggregate| Arguments {
            values: aggregate.arguments.iter().map(|argument| Arc::clone(&columns[*argument])).collect(),
            filter: aggregate.filter.map(|filter| columns[filter].as_boolean().clone()),
        })
        .collect();
    pane.update(rows, &keys, &arguments)
}

/// A row as text, for `error_stream`.
pub(crate) fn row_text(rows: &RecordBatch, row: usize) -> String {
    let one = rows.slice(row, 1);
    let cells = one
        .schema()
        .fields()
        .iter()
        .zip(one.columns())
        .map(|(field, column)| {
            let value =
                arrow::util::display::array_value_to_string(column, 0).unwrap_or_else(|error| error.to_string());
            format!("{}={value}", field.name())
        })
        .collect::<Vec<_>>();
    cells.join(", ")
}
