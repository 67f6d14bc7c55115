//! What a live table holds: its rows, by window, by key or as they came, and the newest changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use millstream_core::{EventTime, Window};
use millstream_sql::LiveTableSettings;

use super::{Change, ChangeKind};
use crate::checkpoint::{SavedChunk, Slot};
use crate::memory::Account;

/// Watchers who missed more rows than this start from a snapshot.
const MAX_KEPT_CHANGE_ROWS: usize = 50_000;
/// …or more changes than this.
const MAX_KEPT_CHANGES: usize = 2_000;
/// …or more bytes: a row may have megabytes.
const MAX_KEPT_CHANGE_BYTES: usize = 64 << 20;
/// What a key and its row take beside their bytes where they are kept by key.
pub(super) const ENTRY_BYTES: usize = 110;

pub(super) struct State {
    pub(super) settings: LiveTableSettings,
    pub(super) content: Content,
    pub(super) converters: Converters,
    /// Appended rows go beyond this.
    pub(super) max_bytes: usize,
    /// Bytes of the content; of what is kept by key about.
    pub(super) bytes: usize,
    pub(super) account: Option<Account>,
    pub(super) changes: VecDeque<Arc<Change>>,
    pub(super) change_rows: usize,
    pub(super) change_bytes: usize,
    pub(super) last_change: u64,
    pub(super) watermark: EventTime,
}

pub(super) enum Content {
    /// Rows that are replaced window by window, by the window and the part of it: most have one.
    Windows(BTreeMap<(Window, usize), WindowRows>),
    /// One row for each key.
    Keyed(HashMap<OwnedRow, OwnedRow>),
    /// Rows in the order they came.
    Appended(VecDeque<AppendedRows>),
}

/// Rows that came together, or were brought together by a checkpoint.
pub(super) struct AppendedRows {
    pub(super) came: EventTime,
    pub(super) rows: RecordBatch,
    /// So many rows before these are gone already.
    pub(super) gone: usize,
    pub(super) slot: Slot,
    pub(super) bytes: usize,
}

impl AppendedRows {
    pub(super) fn new(came: EventTime, rows: RecordBatch, gone: usize, slot: Slot) -> Self {
        Self { bytes: rows.get_array_memory_size(), came, rows, gone, slot }
    }
}

pub(super) struct WindowRows {
    pub(super) rows: RecordBatch,
    /// Where a checkpoint has them.
    pub(super) slot: Slot,
    /// Key to row, while the window is open: what the next view is compared with.
    pub(super) open: Option<HashMap<OwnedRow, OwnedRow>>,
}

impl WindowRows {
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.get_array_memory_size();
        rows + self.open.as_ref().map_or(0, |open| rows + open.len() * ENTRY_BYTES)
    }
}

pub(super) struct Converters {
    pub(super) key: RowConverter,
    pub(super) row: RowConverter,
}

/// Rows that came since the last checkpoint become one batch: it has one chunk then, and the time of its newest rows.
pub(super) fn bring_together(content: &mut VecDeque<AppendedRows>, schema: &SchemaRef) -> Result<()> {
    let new = content.iter().position(|appended| appended.slot == Slot::default()).unwrap_or(content.len());
    let Some(came) = content.back().map(|newest| newest.came).filter(|_| content.len() > new + 1) else {
        return Ok(());
    };
    let rows = concat_batches(schema, content.range(new..).map(|appended| &appended.rows))?;
    content.truncate(new);
    content.push_back(AppendedRows::new(came, rows, 0, Slot::default()));
    Ok(())
}

/// Saved rows with the columns of the table as it is now; they keep their slot only if they are the same.
pub(super) fn renamed(chunk: &SavedChunk, schema: &SchemaRef) -> Result<(RecordBatch, Slot)> {
    let before = chunk.rows.schema();
    if before.fields() == schema.fields() {
        return Ok((RecordBatch::try_new(Arc::clone(schema), chunk.rows.columns().to_vec())?, chunk.slot));
    }
    let column = |field: &arrow::datatypes::FieldRef| match chunk.rows.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
        _ => arrow::array::new_null_array(field.data_type(), chunk.rows.num_rows()),
    };
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let nullable = Arc::new(arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>()));
    let columns = schema.fields().iter().map(column).collect();
    Ok((RecordBatch::try_new(nullable, columns)?, Slot::default()))
}

impl Converters {
    pub(super) fn by_key(&self, rows: &RecordBatch, key: &[usize]) -> Result<HashMap<OwnedRow, OwnedRow>> {
        let encoded = self.row.convert_columns(rows.columns())?;
        Ok(self.keys(rows, key)?.into_iter().zip(encoded.iter().map(|row| row.owned())).collect())
    }

    /// The key of each row; its number where the table has no key.
    pub(super) fn keys(&self, rows: &RecordBatch, key: &[usize]) -> Result<Vec<OwnedRow>> {
        if key.is_empty() {
            let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..).take(rows.num_rows())));
            let numbered = RowConverter::new(vec![SortField::new(numbers.data_type().clone())])?;
            return Ok(numbered.convert_columns(&[numbers])?.iter().map(|row| row.owned()).collect());
        }
        let columns: Vec<ArrayRef> = key.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        Ok(self.key.convert_columns(&columns)?.iter().map(|row| row.owned()).collect())
    }
}

impl State {
    pub(super) fn row_count(&self) -> usize {
        match &self.content {
            Content::Windows(windows) => windows.values().map(|window| window.rows.num_rows()).sum(),
            Content::Keyed(rows) => rows.len(),
            Content::Appended(rows) => rows.iter().map(|appended| appended.rows.num_rows()).sum(),
        }
    }

    /// Says how much is kept.
    pub(super) fn count(&mut self) {
        let bytes = self.bytes;
        if let Some(account) = &mut self.account {
            account.set(bytes);
        }
    }

    pub(super) fn has_window(&self, window: Window) -> bool {
        let Content::Windows(windows) = &self.content else { return false };
        windows.range((window, 0)..=(window, usize::MAX)).next().is_some()
    }

    /// Takes a window out, in parts.
    pub(super) fn take_window(&mut self, window: Window) -> Vec<WindowRows> {
        let Content::Windows(windows) = &mut self.content else { return Vec::new() };
        let parts: Vec<WindowRows> =
            windows.extract_if((window, 0)..=(window, usize::MAX), |_, _| true).map(|(_, part)| part).collect();
        self.bytes -= parts.iter().map(WindowRows::bytes).sum::<usize>();
        parts
    }

    pub(super) fn add_part(&mut self, window: Window, part: WindowRows) {
        let Content::Windows(windows) = &mut self.content else { return };
        self.bytes += part.bytes();
        let last = windows.range((window, 0)..=(window, usize::MAX)).next_back();
        let number = last.map_or(0, |((_, number), _)| number + 1);
        windows.insert((window, number), part);
    }

    pub(super) fn record(&mut self, kind: ChangeKind, rows: RecordBatch) {
        if rows.num_rows() == 0 {
            return;
        }
        self.last_change += 1;
        self.change_rows += rows.num_rows();
        self.change_bytes += rows.get_array_memory_size();
        self.changes.push_back(Arc::new(Change { id: self.last_change, kind, rows }));
        while self.change_rows > MAX_KEPT_CHANGE_ROWS
            || self.changes.len() > MAX_KEPT_CHANGES
            || self.change_bytes > MAX_KEPT_CHANGE_BYTES
        {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.change_rows -= oldest.rows.num_rows();
            self.change_bytes -= oldest.rows.get_array_memory_size();
        }
    }

    /// Lets go of windows past their retention, and of the oldest beyond the row limit.
    pub(super) fn enforce(&mut self) {
        let (mut rows, settings) = (self.row_count(), self.settings);
        let Content::Windows(windows) = &mut self.content else { return };
        let expired = |window: &Window| {
            settings.retention.is_some_and(|kept| self.watermark > EventTime::MIN && window.end + kept < self.watermark)
        };
        let mut gone = Vec::new();
        let newest = windows.last_key_value().map(|((window, _), _)| *window);
        while let Some(oldest) = windows.first_entry() {
            let (window, _) = oldest.key();
            // The newest window stays even when it alone is over the limit: the query decides its rows.
            if !expired(window) && (rows <= settings.max_rows || Some(*window) == newest) {
                break;
            }
            let window = oldest.remove();
            rows -= window.rows.num_rows();
            self.bytes -= window.bytes();
            gone.push(window.rows);
        }
        for rows in gone {
            self.record(ChangeKind::Delete, rows);
        }
    }

    pub(super) fn enforce_appended(&mut self, now: EventTime) {
        let (mut rows, settings) = (self.row_count(), self.settings);
        let Content::Appended(content) = &mut self.content else { return };
        let mut gone = Vec::new();
        while let Some(oldest) = content.front_mut() {
            let expired = settings.retention.is_some_and(|kept| oldest.came + kept < now);
            let length = oldest.rows.num_rows();
            let is_over = expired || self.bytes > self.max_bytes;
            let over = if is_over { length } else { rows.saturating_sub(settings.max_rows).min(length) };
            if over == 0 {
                break;
            }
            rows -= over;
            if over == length {
                self.bytes -= oldest.bytes;
                gone.extend(content.pop_front().map(|oldest| oldest.rows));
            } else {
                gone.push(oldest.rows.slice(0, over));
                oldest.rows = oldest.rows.slice(over, length - over);
                oldest.gone += over;
            }
        }
        for rows in gone {
            self.record(ChangeKind::Delete, rows);
        }
    }
}
