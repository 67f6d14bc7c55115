//! One batch into one query: HOT's rows into panes, or straight to the closer.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use datafusion::common::Result;
use millstream_core::{Duration, EventTime, ShardId, Window, WindowSpec};

use crate::attached::{Attachment, Into, Panes, Part};
use crate::errors::Fault;
use crate::hot::{CompiledFeed, CompiledGroups, HotRows};
use crate::message::{LeafId, ToCloser};
use crate::pane::{Arguments, PaneLayout, PaneTable, take_rows};
use crate::slices::{Slices, by_slice};

/// One batch on its way into one query.
pub(crate) struct Feed<'a> {
    pub(crate) attachment: &'a Attachment,
    pub(crate) panes: &'a mut Panes,
    pub(crate) closed: EventTime,
    pub(crate) part: &'a Part,
    pub(crate) shard: &'a ShardId,
    pub(crate) arrival: EventTime,
    /// Rows that came too late, by their place among those that came.
    pub(crate) late: Vec<(usize, Late)>,
    /// Why the query cannot go on, if it cannot.
    pub(crate) broken: Option<String>,
}

impl Feed<'_> {
    /// Takes what HOT let pass of so many rows from `first` on. Nothing here is the fault of a row: an error breaks the
    /// query.
    pub(crate) fn take(&mut self, passed: HotRows, first: usize, rows: usize, times: Option<&Int64Array>) {
        let stats = Arc::clone(&self.attachment.stats);
        stats.filtered.add((rows - passed.rows) as u64);
        match self.absorb(first, passed, times) {
            Ok(used) => stats.used.add(used as u64),
            Err(error) => self.broken = Some(error.strip_backtrace()),
        }
    }

    /// Answers how many rows were used, of those that are not counted by the closer.
    fn absorb(&mut self, first: usize, passed: HotRows, times: Option<&Int64Array>) -> Result<usize> {
        let part = self.part;
        if passed.rows == 0 {
            return Ok(0);
        }
        let times = match (times, &passed.selected) {
            (Some(times), Some(mask)) => Some(arrow::compute::filter(times, mask)?.as_primitive().clone()),
            (times, _) => times.cloned(),
        };
        match (&part.feed, &part.into) {
            (CompiledFeed::Rows { schema, .. }, into) => {
                let rows = batch(schema, passed)?;
                let times = times.filter(|_| matches!(into, Into::Closer { timed: true }));
                let message =
                    ToCloser::Rows { leaf: part.leaf, shard: self.shard.clone(), arrival: self.arrival, rows, times };
                self.attachment.closer.tell(message);
                Ok(0)
            }
            (CompiledFeed::Groups(groups), Into::Panes { layout, spec, lateness }) => {
                let Some(times) = times else { return Ok(0) };
                self.into_panes(first, groups, layout, *spec, *lateness, &passed, &times)
            }
            (CompiledFeed::Groups(groups), Into::Table(layout)) => {
                update(pane(self.panes, layout, (None, part.leaf))?, groups, passed.rows, &passed.columns)?;
                Ok(passed.rows)
            }
            (CompiledFeed::Groups(_), Into::Closer { .. }) => Ok(0),
        }
    }

    /// Splits rows by slice; answers how many were in time.
    #[expect(clippy::too_many_arguments, reason = "what a pane is made of, all borrowed")]
    fn into_panes(
        &mut self,
        first: usize,
        groups: &CompiledGroups,
        layout: &PaneLayout,
        spec: WindowSpec,
        lateness: Duration,
        passed: &HotRows,
        times: &Int64Array,
    ) -> Result<usize> {
        // The closer alone knows which session a row belongs to, and counts it.
        let is_session = matches!(spec, WindowSpec::Session { .. });
        let counted = |rows: usize| if is_session { 0 } else { rows };
        let closed = self.closed;
        let is_late = |slice: Window| !is_session && spec.last_end(slice) + lateness <= closed;
        match by_slice(spec, times.values()) {
            Slices::One(slice) if is_late(slice) => {
                let all: Vec<u32> = (0..u32::try_from(times.len()).unwrap_or(u32::MAX)).collect();
                self.note_late(spec, slice, first, passed.selected.as_ref(), &all, times);
                Ok(0)
            }
            Slices::One(slice) => {
                let key = (Some(slice), self.part.leaf);
                update(pane(self.panes, layout, key)?, groups, passed.rows, &passed.columns)?;
                Ok(counted(passed.rows))
            }
            Slices::Many { parts, outside } => {
                self.attachment.stats.filtered.add(outside as u64);
                let mut used = 0;
                for (slice, rows) in parts {
                    if is_late(slice) {
                        self.note_late(spec, slice, first, passed.selected.as_ref(), rows.values(), times);
                        continue;
                    }
                    let columns = take_rows(&passed.columns, &rows)?;
                    let key = (Some(slice), self.part.leaf);
                    update(pane(self.panes, layout, key)?, groups, rows.len(), &columns)?;
                    used += counted(rows.len());
                }
                Ok(used)
            }
        }
    }

    fn note_late(
        &mut self,
        spec: WindowSpec,
        slice: Window,
        first: usize,
        selected: Option<&BooleanArray>,
        rows: &[u32],
        times: &Int64Array,
    ) {
        self.attachment.stats.late.add(rows.len() as u64);
        let missed = spec.window_ending(spec.last_end(slice));
        let passed: Option<Vec<usize>> = selected.map(|mask| mask.values().set_indices().collect());
        for row in rows {
            let row = *row as usize;
            let time = EventTime(times.value(row));
            let row = first + passed.as_ref().map_or(row, |passed| passed[row]);
            self.late.push((row, Late { time, missed: Some(missed), watermark: self.closed }));
        }
    }
}

/// A row that came too late.
pub(crate) struct Late {
    pub(crate) time: EventTime,
    /// The last of the windows that would have taken it.
    pub(crate) missed: Option<Window>,
    pub(crate) watermark: EventTime,
}

impl Late {
    pub(crate) fn fault(&self, query: &str, source: &str, shard: &str, row: String) -> Fault {
        let by = (self.watermark - self.time).0;
        let reason = match self.missed {
            Some(Window { start, end }) => format!(
                "late for `{query}`: its window [{start}, {end}) has closed; it came {by} ms after the watermark"
            ),
            None => format!("late for `{query}`: it came {by} ms after the watermark"),
        };
        Fault::of_row(query, source, shard, Some(self.time), row, reason).named("late row")
    }
}

fn batch(schema: &SchemaRef, passed: HotRows) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(passed.rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), passed.columns, &options)?)
}

fn pane<'p>(panes: &'p mut Panes, layout: &PaneLayout, key: (Option<Window>, LeafId)) -> Result<&'p mut PaneTable> {
    use std::collections::btree_map::Entry;
    Ok(match panes.entry(key) {
        Entry::Occupied(pane) => pane.into_mut(),
        Entry::Vacant(place) => place.insert(layout.table()?),
    })
}

/// Adds rows that passed HOT to a table of groups.
pub(crate) fn update(pane: &mut PaneTable, groups: &CompiledGroups, rows: usize, columns: &[ArrayRef]) -> Result<()> {
    let keys: Vec<ArrayRef> = groups.keys.iter().map(|key| Arc::clone(&columns[*key])).collect();
    let arguments: Vec<Arguments> = (groups.aggregates.iter())
        .map(|aggregate| Arguments {
            values: aggregate.arguments.iter().map(|argument| Arc::clone(&columns[*argument])).collect(),
            filter: aggregate.filter.map(|filter| columns[filter].as_boolean().clone()),
        })
        .collect();
    pane.update(rows, &keys, &arguments)
}

/// A row as text, for `error_stream`.
pub(crate) fn row_text(rows: &RecordBatch, row: usize) -> String {
    columns_text(rows, 0..rows.num_columns(), row)
}

/// Some columns of a row as text.
pub(crate) fn columns_text(rows: &RecordBatch, columns: impl Iterator<Item = usize>, row: usize) -> String {
    let cells = columns.map(|column| {
        let value = array_value_to_string(rows.column(column), row).unwrap_or_else(|error| error.to_string());
        format!("{}={value}", rows.schema_ref().field(column).name())
    });
    cells.collect::<Vec<_>>().join(", ")
}
