//! Live result tables: what a materialized view shows, and the changes its watchers follow.
//!
//! One closer writes a table; any number of readers copy from it. Writers and readers share a lock that is held for
//! the length of one change or one copy. Changes are numbered and the newest are kept, so that a watcher who was away
//! goes on where it was, or is told to start from a snapshot.

mod state;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use millstream_core::{EventTime, Window};
use millstream_sql::LiveTableSettings;
use tokio::sync::watch;

use crate::checkpoint::{Saved, Saver, Slot};
use crate::memory::Account;

use state::{AppendedRows, Content, Converters, ENTRY_BYTES, State, WindowRows, bring_together, renamed};

/// What became of some rows.
#[derive(Clone, Debug)]
pub struct Change {
    /// Counts from 1 for each table of each process.
    pub id: u64,
    pub kind: ChangeKind,
    /// The rows, with all columns of the table.
    pub rows: RecordBatch,
}

/// New or changed, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Upsert,
    Delete,
}

/// A copy of a table, and the number of the last change it has.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub last_change: u64,
    pub watermark: EventTime,
    pub rows: Vec<RecordBatch>,
}

/// The result of one query, as it is now.
pub struct LiveTable {
    name: String,
    schema: SchemaRef,
    /// Indexes of the columns that identify a row; empty: none do.
    key: Vec<usize>,
    state: RwLock<State>,
    /// The number of the newest change: what watchers wait on.
    newest: watch::Sender<u64>,
}

/// What kind of rows a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Windows,
    Keys,
    Appended,
}

impl LiveTable {
    pub(crate) fn new(
        name: &str,
        schema: SchemaRef,
        key: Vec<usize>,
        holds: Holds,
        settings: LiveTableSettings,
    ) -> Result<Self> {
        let fields = |columns: &mut dyn Iterator<Item = usize>| {
            columns.map(|column| SortField::new(schema.field(column).data_type().clone())).collect::<Vec<_>>()
        };
        let converters = Converters {
            key: RowConverter::new(fields(&mut key.iter().copied()))?,
            row: RowConverter::new(fields(&mut (0..schema.fields().len())))?,
        };
        let content = match holds {
            Holds::Windows => Content::Windows(BTreeMap::new()),
            Holds::Keys => Content::Keyed(HashMap::new()),
            Holds::Appended => Content::Appended(VecDeque::new()),
        };
        let state = State {
            settings,
            content,
            converters,
            max_bytes: usize::MAX,
            bytes: 0,
            account: None,
            changes: VecDeque::new(),
            change_rows: 0,
            change_bytes: 0,
            last_change: 0,
            watermark: EventTime::MIN,
        };
        Ok(Self { name: name.to_owned(), schema, key, state: RwLock::new(state), newest: watch::Sender::new(0) })
    }

    /// Keeps at most so many bytes of rows that are appended.
    pub(crate) fn with_max_bytes(self, max_bytes: usize) -> Self {
        self.state.write().unwrap_or_else(PoisonError::into_inner).max_bytes = max_bytes;
        self
    }

    /// Counts here what it keeps.
    pub(crate) fn counted_in(&self, account: Account) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.account = Some(account);
        state.count();
    }

    /// The name of the table and of its query.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Indexes of the columns that identify a row; empty when none do.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// How many rows it has.
    pub fn row_count(&self) -> usize {
        self.read(State::row_count)
    }

    /// A copy of all rows.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Snapshot { last_change: state.last_change, watermark: state.watermark, rows: self.rows(&state)? })
    }

    fn rows(&self, state: &State) -> Result<Vec<RecordBatch>> {
        Ok(match &state.content {
            Content::Windows(windows) => windows.values().map(|window| window.rows.clone()).collect(),
            Content::Keyed(rows) => {
                let columns = state.converters.row.convert_rows(rows.values().map(OwnedRow::row))?;
                vec![self.batch(columns, rows.len())?]
            }
            Content::Appended(rows) => rows.iter().map(|appended| appended.rows.clone()).collect(),
        })
    }

    /// Whether the rows of the other table could be this one's.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.schema == other.schema && self.key == other.key
    }

    /// Shows what the other table has, in one step: its query takes the place of the one that wrote this. Both must be
    /// alike, and the other is empty then.
    pub(crate) fn adopt(&self, other: &Self) -> Result<()> {
        let mut from = other.state.write().unwrap_or_else(PoisonError::into_inner);
        self.write(|state| {
            for rows in self.rows(state)? {
                state.record(ChangeKind::Delete, rows);
            }
            std::mem::swap(&mut state.content, &mut from.content);
            std::mem::swap(&mut state.bytes, &mut from.bytes);
            // The query that wrote this is gone, and with it what it counted.
            state.account = from.account.take();
            state.settings = from.settings;
            state.watermark = from.watermark;
            for rows in self.rows(state)? {
                state.record(ChangeKind::Upsert, rows);
            }
            Ok(())
        })
    }

    /// The changes after a number; `None` when some of them are no longer kept, or the number is not of this table.
    pub fn changes_after(&self, id: u64) -> Option<Vec<Arc<Change>>> {
        self.read(|state| {
            let first_kept = state.last_change + 1 - state.changes.len() as u64;
            if id > state.last_change || id + 1 < first_kept {
                return None;
            }
            let skip = usize::try_from(id + 1 - first_kept).unwrap_or(usize::MAX);
            Some(state.changes.iter().skip(skip).cloned().collect())
        })
    }

    /// Wakes whenever there are new changes or a new watermark.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// How far event time has come for this table.
    pub fn watermark(&self) -> EventTime {
        self.read(|state| state.watermark)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)?;
        state.count();
        drop(state);
        self.newest.send_modify(|version| *version += 1);
        Ok(())
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The rows with the column that says whether they will change.
    fn marked(&self, rows: &RecordBatch, is_final: bool) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![is_final; rows.num_rows()])));
        self.batch(columns, rows.num_rows())
    }

    /// More rows of a window that was given a part of; those will not change any more.
    pub(crate) fn add_to_window(&self, window: Window, rows: &RecordBatch) -> Result<()> {
        let rows = self.marked(rows, true)?;
        self.write(|state| {
            if rows.num_rows() > 0 {
                state.add_part(window, WindowRows { rows: rows.clone(), slot: Slot::default(), open: None });
            }
            state.record(ChangeKind::Upsert, rows);
            state.enforce();
            Ok(())
        })
    }

    /// The first part of a window that is given in parts: what was shown of it goes.
    pub(crate) fn begin_window(&self, window: Window, rows: &RecordBatch) -> Result<()> {
        self.write(|state| {
            for former in state.take_window(window) {
                state.record(ChangeKind::Delete, former.rows);
            }
            Ok(())
        })?;
        self.add_to_window(window, rows)
    }

    /// The rows of a window, whole. `is_final`: they will not change any more.
    pub(crate) fn replace_window(&self, window: Window, rows: &RecordBatch, is_final: bool) -> Result<()> {
        if is_final && !self.read(|state| state.has_window(window)) {
            // Nothing to be compared with: large windows are spared the work and the memory.
            return self.add_to_window(window, rows);
        }
        let rows = self.marked(rows, is_final)?;
        self.write(|state| {
            let keys = state.converters.keys(&rows, &self.key)?;
            let encoded = state.converters.row.convert_columns(rows.columns())?;
            let mut before = HashMap::new();
            for former in state.take_window(window) {
                match former.open {
                    Some(open) => before = open,
                    // A window that was final is given again with rows that came late.
                    None => before.extend(state.converters.by_key(&former.rows, &self.key)?),
                }
            }
            let changed: Vec<u32> = (0..)
                .zip(encoded.iter().zip(&keys))
                .filter(|(_, (row, key))| before.get(*key).is_none_or(|old| old.row() != *row))
                .map(|(index, _)| index)
                .collect();
            let now: HashMap<OwnedRow, OwnedRow> =
                keys.into_iter().zip(encoded.iter()).map(|(key, row)| (key, row.owned())).collect();
            let gone: Vec<&OwnedRow> =
                before.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, row)| row).collect();
            let gone_rows = gone.len();
            let gone = state.converters.row.convert_rows(gone.into_iter().map(OwnedRow::row))?;
            let changed = take_record_batch(&rows, &UInt32Array::from(changed))?;
            if rows.num_rows() > 0 {
                let open = (!is_final).then_some(now);
                state.add_part(window, WindowRows { rows, slot: Slot::default(), open });
            }
            if gone_rows > 0 {
                state.record(ChangeKind::Delete, self.batch(gone, gone_rows)?);
            }
            state.record(ChangeKind::Upsert, changed);
            state.enforce();
            Ok(())
        })
    }

    /// New and changed rows by key.
    pub(crate) fn upsert(&self, rows: &RecordBatch) -> Result<()> {
        self.write(|state| {
            let keys = state.converters.keys(rows, &self.key)?;
            let encoded = state.converters.row.convert_columns(rows.columns())?;
            let Content::Keyed(content) = &mut state.content else { return Ok(()) };
            for (key, row) in keys.into_iter().zip(encoded.iter()) {
                state.bytes += ENTRY_BYTES + key.as_ref().len() + row.as_ref().len();
                let length = key.as_ref().len();
                if let Some(former) = content.insert(key, row.owned()) {
                    state.bytes -= ENTRY_BYTES + length + former.as_ref().len();
                }
            }
            state.record(ChangeKind::Upsert, rows.clone());
            Ok(())
        })
    }

    /// Rows that are gone, by their key columns in key order; without a key there is one row, and it goes.
    pub(crate) fn delete(&self, keys: &[ArrayRef]) -> Result<()> {
        self.write(|state| {
            let Content::Keyed(content) = &mut state.content else { return Ok(()) };
            let gone: Vec<(OwnedRow, OwnedRow)> = if keys.is_empty() {
                content.drain().collect()
            } else {
                let keys = state.converters.key.convert_columns(keys)?;
                keys.iter().filter_map(|key| content.remove_entry(&key.owned())).collect()
            };
            for (key, row) in &gone {
                state.bytes -= ENTRY_BYTES + key.as_ref().len() + row.as_ref().len();
            }
            let rows = state.converters.row.convert_rows(gone.iter().map(|(_, row)| row.row()))?;
            if !gone.is_empty() {
                state.record(ChangeKind::Delete, self.batch(rows, gone.len())?);
            }
            Ok(())
        })
    }

    /// Rows that came.
    pub(crate) fn append(&self, rows: RecordBatch, now: EventTime) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.write(|state| {
            let Content::Appended(content) = &mut state.content else { return Ok(()) };
            let appended = AppendedRows::new(now, rows.clone(), 0, Slot::default());
            state.bytes += appended.bytes;
            content.push_back(appended);
            state.record(ChangeKind::Upsert, rows);
            state.enforce_appended(now);
            Ok(())
        })
    }

    /// What a checkpoint keeps of it: closed windows and appended rows. Open windows and rows by key come from the
    /// query's state again, unless it `is_finished` and gives nothing any more.
    pub(crate) fn save(&self, saver: &mut Saver, is_finished: bool) -> Result<()> {
        saver.scope("table");
        let state = &mut *self.state.write().unwrap_or_else(PoisonError::into_inner);
        let keyed = match &state.content {
            Content::Keyed(_) if is_finished => self.rows(state)?,
            _ => Vec::new(),
        };
        for rows in keyed {
            saver.chunk(&mut Slot::default(), "keyed", &(), || Ok(rows))?;
        }
        match &mut state.content {
            Content::Windows(windows) => {
                for ((window, _), kept) in windows.iter_mut().filter(|(_, kept)| kept.open.is_none()) {
                    let WindowRows { rows, slot, .. } = kept;
                    saver.chunk(slot, "windows", &(window.start.0, window.end.0), || Ok(rows.clone()))?;
                }
            }
            Content::Appended(content) => {
                bring_together(content, &self.schema)?;
                state.bytes = content.iter().map(|appended| appended.bytes).sum();
                for AppendedRows { came, rows, gone, slot, .. } in content {
                    if *slot == Slot::default() {
                        *gone = 0;
                    }
                    saver.chunk(slot, "appended", &(came.0, *gone), || Ok(rows.clone()))?;
                }
            }
            Content::Keyed(_) => {}
        }
        Ok(())
    }

    /// Takes saved rows on. Columns are found by name and type; what is new is NULL in old rows.
    pub(crate) fn load(&self, saved: &mut Saved) -> Result<()> {
        saved.scope("table");
        let (windows, appended) = (saved.chunks("windows"), saved.chunks("appended"));
        for chunk in saved.chunks("keyed") {
            self.upsert(&renamed(&chunk, &self.schema)?.0)?;
        }
        self.write(|state| {
            for chunk in windows {
                let (start, end): (i64, i64) = chunk.note()?;
                let window = Window { start: EventTime(start), end: EventTime(end) };
                let (rows, slot) = renamed(&chunk, &self.schema)?;
                state.add_part(window, WindowRows { rows, slot, open: None });
            }
            match &mut state.content {
                Content::Appended(content) => {
                    for chunk in appended {
                        let (came, gone): (i64, usize) = chunk.note()?;
                        let (rows, slot) = renamed(&chunk, &self.schema)?;
                        let rows = rows.slice(gone.min(rows.num_rows()), rows.num_rows().saturating_sub(gone));
                        let appended = AppendedRows::new(EventTime(came), rows, gone, slot);
                        state.bytes += appended.bytes;
                        content.push_back(appended);
                    }
                }
                Content::Windows(_) | Content::Keyed(_) => {}
            }
            Ok(())
        })
    }

    /// Event time has come this far: old windows may go.
    pub(crate) fn advance(&self, watermark: EventTime) -> Result<()> {
        self.write(|state| {
            state.watermark = state.watermark.max(watermark);
            state.enforce();
            Ok(())
        })
    }
}
