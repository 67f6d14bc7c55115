//! The open sessions of one input: rows as they came, the keys they are of, and the cells of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{HashMap, Result};
use datafusion::error::DataFusionError;
use millstream_core::{Duration, EventTime, Window, WindowSpec};
use smallvec::SmallVec;

use crate::checkpoint::{SavedChunk, Saver, Slot};
use crate::close::{Bounds, leaf_batch};
use crate::operators::Taken;
use crate::operators::windows::{Holds, WindowLeaf};
use crate::pane::{Delta, PaneLayout, columns_batch, take_rows};

/// Columns are rewritten without the rows of closed sessions when those are more than the others and than this.
const MIN_DEAD_ROWS: usize = 10_000;

/// What a key takes: itself twice, a cell, and its places in two maps.
const KEY_BYTES: usize = 330;
/// What a row takes beside its columns.
const ROW_BYTES: usize = 33;

/// Beyond so many pieces a checkpoint brings them together.
const MAX_SAVED_PIECES: usize = 16;

/// The sessions of one input.
pub(super) struct SessionLeaf {
    pub(super) of: WindowLeaf,
    pub(super) gap: Duration,
    /// Which of the columns are the keys of sessions.
    pub(super) key_columns: Vec<usize>,
    pub(super) converter: RowConverter,
    /// The places of keys with open sessions.
    pub(super) places: HashMap<Box<[u8]>, usize>,
    pub(super) keys: Vec<Key>,
    /// Places that are free again.
    pub(super) free: Vec<usize>,
    /// When the first session of a key may end; looked at again when it is due.
    pub(super) due: BTreeSet<(EventTime, usize)>,
    pub(super) pieces: BTreeMap<u32, Piece>,
    pub(super) next_piece: u32,
    pub(super) live_rows: usize,
    pub(super) dead_rows: usize,
}

/// Rows as they came, with the first and last time of what each stands for.
pub(super) struct Piece {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) first: Int64Array,
    pub(super) last: Int64Array,
    /// Which rows are of open sessions.
    pub(super) live: Vec<bool>,
    pub(super) live_rows: usize,
    /// Where a checkpoint has the rows.
    pub(super) slot: Slot,
    /// Bytes of the columns.
    pub(super) bytes: usize,
}

/// A key with open sessions.
#[derive(Default)]
pub(super) struct Key {
    pub(super) bytes: Box<[u8]>,
    /// Its cells, in order. Most keys have one: a tree of them would take ten times as much.
    pub(super) cells: Vec<Cell>,
    /// When it is looked at.
    pub(super) due: Option<EventTime>,
}

/// The rows of a key in one cell: where they are, by piece and row.
pub(super) struct Cell {
    pub(super) start: EventTime,
    pub(super) first: EventTime,
    pub(super) last: EventTime,
    pub(super) rows: Refs,
}

/// Most cells have one row or two: a list of them would take an allocation each.
pub(super) type Refs = SmallVec<[(u32, u32); 2]>;

/// One session on its way out.
pub(super) struct Session {
    pub(super) window: Window,
    pub(super) rows: Refs,
}

impl SessionLeaf {
    pub(super) fn new(gap: Duration, of: WindowLeaf) -> Result<Self> {
        // Columns of windows are not among the rows' own.
        let columns = &of.leaf.feed().columns;
        let is_row = |index: &usize| matches!(columns[*index], millstream_sql::LeafColumn::Row(_));
        let key_columns: Vec<usize> = of.leaf.session_keys.iter().map(|key| (0..*key).filter(is_row).count()).collect();
        let types: Vec<DataType> = match &of.holds {
            Holds::Groups(layout) => layout.keys.fields().iter().map(|field| field.data_type().clone()).collect(),
            Holds::Rows(schema) => schema.fields().iter().map(|field| field.data_type().clone()).collect(),
        };
        let fields = key_columns.iter().map(|key| SortField::new(types[*key].clone())).collect();
        Ok(Self {
            of,
            gap,
            key_columns,
            converter: RowConverter::new(fields)?,
            places: HashMap::default(),
            keys: Vec::new(),
            free: Vec::new(),
            due: BTreeSet::new(),
            pieces: BTreeMap::new(),
            next_piece: 0,
            live_rows: 0,
            dead_rows: 0,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let columns = self.pieces.values().map(|piece| piece.bytes).sum::<usize>();
        columns + self.places.len() * KEY_BYTES + (self.live_rows + self.dead_rows) * ROW_BYTES
    }

    /// Takes rows, each of which stands for `count` rows from `first` to `last`.
    pub(super) fn take(
        &mut self,
        columns: Vec<ArrayRef>,
        first: &Int64Array,
        last: &Int64Array,
        count: &Int64Array,
        watermark: EventTime,
    ) -> Result<Taken> {
        let spec = WindowSpec::Session { gap: self.gap };
        let mut taken = Taken::default();
        let (first_times, last_times) = (first, last);
        let rows = first.len();
        let keys = self.keys_of(&columns)?;
        let piece = self.next_piece;
        let mut live = vec![false; rows];
        let mut kept = 0;
        for (row, is_live) in live.iter_mut().enumerate() {
            let key = key_of(keys.as_ref(), row);
            let (first, last) = (EventTime(first_times.value(row)), EventTime(last_times.value(row)));
            let stands_for = usize::try_from(count.value(row)).unwrap_or(0);
            let Some(slice) = spec.slice_of(first) else { continue };
            if last + self.gap < watermark && !self.joins_open(key, first, last) {
                let missed = Window { start: first, end: last + self.gap };
                taken.late.extend(std::iter::repeat_n((last, Some(missed)), stands_for));
                continue;
            }
            taken.used += stands_for;
            kept += 1;
            *is_live = true;
            self.place(key, slice.start, first, last, (piece, as_row(row)));
        }
        if kept > 0 {
            let (first, last) = (first_times.clone(), last_times.clone());
            self.add_piece(Piece { columns, first, last, live, live_rows: kept, slot: Slot::default(), bytes: 0 });
        }
        Ok(taken)
    }

    pub(super) fn add_piece(&mut self, mut piece: Piece) {
        piece.bytes = piece.columns.iter().map(Array::get_array_memory_size).sum();
        self.live_rows += piece.live_rows;
        self.dead_rows += piece.live.len() - piece.live_rows;
        self.pieces.insert(self.next_piece, piece);
        self.next_piece += 1;
    }

    /// Puts a row into its cell.
    pub(super) fn place(&mut self, key: &[u8], cell: EventTime, first: EventTime, last: EventTime, at: (u32, u32)) {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => self.add(key),
        };
        self.arm(place, last + self.gap);
        let cells = &mut self.keys[place].cells;
        // The newest cell is the likeliest.
        let found = match cells.last() {
            Some(last) if last.start == cell => Ok(cells.len() - 1),
            Some(last) if last.start < cell => Err(cells.len()),
            _ => cells.binary_search_by_key(&cell, |cell| cell.start),
        };
        let place = found.unwrap_or_else(|place| {
            if cells.is_empty() {
                cells.reserve_exact(1);
            }
            cells.insert(place, Cell { start: cell, first, last, rows: Refs::new() });
            place
        });
        let cell = &mut cells[place];
        cell.first = cell.first.min(first);
        cell.last = cell.last.max(last);
        cell.rows.push(at);
    }

    pub(super) fn add(&mut self, key: &[u8]) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.keys.push(Key::default());
            self.keys.len() - 1
        });
        self.keys[place].bytes = key.into();
        self.places.insert(key.into(), place);
        place
    }

    /// The key of each row; all have the same where there are no key columns.
    pub(super) fn keys_of(&self, columns: &[ArrayRef]) -> Result<Option<Rows>> {
        if self.key_columns.is_empty() {
            return Ok(None);
        }
        let keys: Vec<ArrayRef> = self.key_columns.iter().map(|key| Arc::clone(&columns[*key])).collect();
        Ok(Some(self.converter.convert_columns(&keys)?))
    }

    /// Rows of closed sessions are of no use any more.
    pub(super) fn bury(&mut self, rows: &[(u32, u32)]) {
        for (piece, row) in rows {
            if let Some(piece) = self.pieces.get_mut(piece)
                && std::mem::replace(&mut piece.live[*row as usize], false)
            {
                piece.live_rows -= 1;
            }
        }
        self.live_rows -= rows.len();
        self.dead_rows += rows.len();
    }

    /// Whether rows from `first` to `last` belong to a session that is still open.
    pub(super) fn joins_open(&self, key: &[u8], first: EventTime, last: EventTime) -> bool {
        let Some(place) = self.places.get(key) else { return false };
        let cells = &self.keys[*place].cells;
        // No cell further away than two gaps has a row within one.
        let near = Duration(self.gap.0.saturating_mul(2));
        let from = cells.partition_point(|cell| cell.start < first - near);
        let mut near = cells[from..].iter().take_while(|cell| cell.start <= last + near);
        near.any(|cell| cell.first - last <= self.gap && first - cell.last <= self.gap)
    }

    /// Looks at a key when this time has passed, or earlier.
    pub(super) fn arm(&mut self, place: usize, end: EventTime) {
        let due = &mut self.keys[place].due;
        match *due {
            Some(earlier) if earlier <= end => return,
            Some(later) => {
                self.due.remove(&(later, place));
            }
            None => {}
        }
        *due = Some(end);
        self.due.insert((end, place));
    }

    /// Takes out the sessions that no row can join any more.
    pub(super) fn close(&mut self, watermark: EventTime) -> Vec<Session> {
        let is_over = |end: EventTime| end < watermark || watermark == EventTime::MAX;
        let mut closed = Vec::new();
        while let Some((_, place)) = self.due.first().copied().filter(|(end, _)| is_over(*end)) {
            self.due.pop_first();
            let Key { cells, due, .. } = &mut self.keys[place];
            *due = None;
            let (mut first, mut next) = (0, None::<EventTime>);
            while let Some((window, length)) = session_at(cells, first, self.gap) {
                if is_over(window.end) {
                    let of_session = cells.drain(first..first + length);
                    closed.push(Session { window, rows: of_session.flat_map(|cell| cell.rows).collect() });
                } else {
                    next = Some(next.map_or(window.end, |end| end.min(window.end)));
                    first += length;
                }
            }
            match next {
                Some(end) => self.arm(place, end),
                None => {
                    let Key { bytes, .. } = std::mem::take(&mut self.keys[place]);
                    self.places.remove(&bytes);
                    self.free.push(place);
                }
            }
        }
        for session in &closed {
            self.bury(&session.rows);
        }
        closed
    }

    pub(super) fn open(&self) -> Vec<Session> {
        let mut open = Vec::new();
        for Key { cells, .. } in &self.keys {
            let mut first = 0;
            while let Some((window, length)) = session_at(cells, first, self.gap) {
                let rows = cells[first..first + length].iter().flat_map(|cell| cell.rows.iter().copied());
                open.push(Session { window, rows: rows.collect() });
                first += length;
            }
        }
        open
    }

    /// What CLOSE sees of sessions.
    pub(super) fn batch(&self, sessions: &[Session]) -> Result<RecordBatch> {
        let (mut refs, mut windows) = (Vec::new(), Vec::new());
        for session in sessions {
            refs.extend_from_slice(&session.rows);
            windows.extend(std::iter::repeat_n(session.window, session.rows.len()));
        }
        let columns = self.gather(&refs)?;
        match &self.of.holds {
            Holds::Rows(_) => leaf_batch(&self.of.leaf, columns, Vec::new(), refs.len(), Bounds::Each(&windows)),
            Holds::Groups(_) if refs.is_empty() => {
                leaf_batch(&self.of.leaf, Vec::new(), Vec::new(), 0, Bounds::Each(&windows))
            }
            // The groups of a session are its key's alone, or those of more keys within it.
            Holds::Groups(layout) if layout.keys.fields().len() == self.key_columns.len() => {
                self.whole(layout, columns, sessions)
            }
            Holds::Groups(layout) => self.merged(layout, columns, &windows),
        }
    }

    /// Merges the rows of each session, which is one group: no key is looked up.
    pub(super) fn whole(
        &self,
        layout: &PaneLayout,
        mut columns: Vec<ArrayRef>,
        sessions: &[Session],
    ) -> Result<RecordBatch> {
        let states = columns.split_off(layout.keys.fields().len());
        let (mut of_row, mut firsts) = (Vec::new(), Vec::with_capacity(sessions.len()));
        for (number, session) in sessions.iter().enumerate() {
            firsts.push(as_row(of_row.len()));
            of_row.extend(std::iter::repeat_n(number, session.rows.len()));
        }
        let keys = take_rows(&columns, &UInt32Array::from(firsts))?;
        let values = layout.values_of(&states, &of_row, sessions.len())?;
        let windows: Vec<Window> = sessions.iter().map(|session| session.window).collect();
        leaf_batch(&self.of.leaf, keys, values, sessions.len(), Bounds::Each(&windows))
    }

    /// Merges the groups of each session.
    pub(super) fn merged(
        &self,
        layout: &PaneLayout,
        mut columns: Vec<ArrayRef>,
        windows: &[Window],
    ) -> Result<RecordBatch> {
        let bound = |name| Arc::new(Field::new(name, DataType::Int64, false));
        let by_window = layout.with_keys([bound("__start"), bound("__end")]);
        let mut states = columns.split_off(layout.keys.fields().len()).into_iter();
        let times = |of: fn(&Window) -> i64| Arc::new(windows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
        columns.extend([times(|window| window.start.0), times(|window| window.end.0)]);
        let states = layout.functions.iter().map(|function| {
            let fields = function.state_fields()?;
            Ok(states.by_ref().take(fields.len()).collect::<Vec<_>>())
        });
        let delta = Delta::new(columns, states.collect::<Result<_>>()?, windows.len());
        let (mut keys, values, rows) = by_window.merged(&[delta])?.finish()?;
        let ends = keys.pop();
        let starts = keys.pop();
        let (Some(starts), Some(ends)) = (starts, ends) else {
            return Err(DataFusionError::Internal("a session has no bounds".to_owned()));
        };
        let (starts, ends) = (starts.as_primitive::<Int64Type>(), ends.as_primitive::<Int64Type>());
        let windows: Vec<Window> = (starts.values().iter().zip(ends.values()))
            .map(|(start, end)| Window { start: EventTime(*start), end: EventTime(*end) })
            .collect();
        leaf_batch(&self.of.leaf, keys, values, rows, Bounds::Each(&windows))
    }

    /// The rows at these places, as columns.
    pub(super) fn gather(&self, refs: &[(u32, u32)]) -> Result<Vec<ArrayRef>> {
        let mut numbers: HashMap<u32, usize> = HashMap::default();
        let mut pieces = Vec::new();
        let places: Vec<(usize, usize)> = (refs.iter())
            .map(|(piece, row)| {
                let number = *numbers.entry(*piece).or_insert_with(|| {
                    pieces.push(&self.pieces[piece].columns);
                    pieces.len() - 1
                });
                (number, *row as usize)
            })
            .collect();
        let columns = pieces.first().map_or(0, |piece| piece.len());
        let column = |index: usize| {
            let parts: Vec<&dyn Array> = pieces.iter().map(|piece| piece[index].as_ref()).collect();
            Ok(interleave(&parts, &places)?)
        };
        (0..columns).map(column).collect()
    }

    /// Lets go of rows of closed sessions: of whole pieces at once, of others when those rows are the larger part.
    pub(super) fn compact(&mut self) -> Result<()> {
        let dead = self.pieces.extract_if(.., |_, piece| piece.live_rows == 0);
        self.dead_rows -= dead.map(|(_, piece)| piece.live.len()).sum::<usize>();
        if self.dead_rows < MIN_DEAD_ROWS.max(self.live_rows) {
            return Ok(());
        }
        let every: Vec<u32> = self.pieces.keys().copied().collect();
        self.rewrite(&every)
    }

    /// Brings the open sessions' rows of some pieces together in one.
    pub(super) fn rewrite(&mut self, old: &[u32]) -> Result<()> {
        let is_old = |piece: &u32| old.binary_search(piece).is_ok();
        let (piece, mut refs) = (self.next_piece, Vec::new());
        for cell in self.keys.iter_mut().flat_map(|key| &mut key.cells) {
            for place in cell.rows.iter_mut().filter(|(piece, _)| is_old(piece)) {
                let row = as_row(refs.len());
                refs.push(*place);
                *place = (piece, row);
            }
        }
        let columns = self.gather(&refs)?;
        let times = |of: fn(&Piece) -> &Int64Array| -> Int64Array {
            refs.iter().map(|(piece, row)| of(&self.pieces[piece]).value(*row as usize)).collect()
        };
        let (first, last) = (times(|piece| &piece.first), times(|piece| &piece.last));
        for old in old {
            let Some(piece) = self.pieces.remove(old) else { continue };
            self.live_rows -= piece.live_rows;
            self.dead_rows -= piece.live.len() - piece.live_rows;
        }
        let live = vec![true; refs.len()];
        if !refs.is_empty() {
            self.add_piece(Piece {
                columns,
                first,
                last,
                live,
                live_rows: refs.len(),
                slot: Slot::default(),
                bytes: 0,
            });
        }
        Ok(())
    }

    /// Each piece, and which of its rows are of open sessions.
    pub(super) fn save(&mut self, saver: &mut Saver, number: usize) -> Result<()> {
        let new: Vec<u32> =
            self.pieces.iter().filter(|(_, piece)| piece.slot == Slot::default()).map(|(id, _)| *id).collect();
        if self.pieces.len() > MAX_SAVED_PIECES {
            let every: Vec<u32> = self.pieces.keys().copied().collect();
            self.rewrite(&every)?;
        } else if new.len() > 1 {
            self.rewrite(&new)?;
        }
        for piece in self.pieces.values_mut() {
            let Piece { columns, first, last, live, live_rows, slot, .. } = piece;
            let rows = live.len();
            saver.chunk(slot, "pieces", &number, || {
                let times = [Arc::new(first.clone()) as ArrayRef, Arc::new(last.clone())];
                columns_batch(times.into_iter().chain(columns.iter().cloned()).collect(), rows)
            })?;
            // The same order as the pieces; all are alive where there is no column.
            saver.chunk(&mut Slot::default(), "live", &number, || {
                let live: ArrayRef = Arc::new(BooleanArray::from(live.clone()));
                columns_batch(if *live_rows == rows { Vec::new() } else { vec![live] }, rows)
            })?;
        }
        Ok(())
    }

    pub(super) fn load(&mut self, chunk: SavedChunk, live: &RecordBatch) -> Result<()> {
        let rows = chunk.rows.num_rows();
        let spec = WindowSpec::Session { gap: self.gap };
        let columns = chunk.rows.columns();
        let [first, last, columns @ ..] = columns else { return Err(damaged()) };
        let time = |column: &ArrayRef| column.as_primitive_opt::<Int64Type>().cloned().ok_or_else(damaged);
        let (first, last) = (time(first)?, time(last)?);
        let live: Vec<bool> = match live.columns() {
            [] => vec![true; rows],
            [live, ..] => live.as_boolean_opt().ok_or_else(damaged)?.values().iter().collect(),
        };
        let keys = self.keys_of(columns)?;
        let piece = self.next_piece;
        for row in (0..rows).filter(|row| live.get(*row) == Some(&true)) {
            let (first, last) = (EventTime(first.value(row)), EventTime(last.value(row)));
            let slice = spec.slice_of(first).ok_or_else(damaged)?;
            self.place(key_of(keys.as_ref(), row), slice.start, first, last, (piece, as_row(row)));
        }
        let live_rows = live.iter().filter(|live| **live).count();
        self.add_piece(Piece { columns: columns.to_vec(), first, last, live, live_rows, slot: chunk.slot, bytes: 0 });
        Ok(())
    }
}

pub(super) fn damaged() -> DataFusionError {
    DataFusionError::Execution("the checkpoint's sessions are not of this query".to_owned())
}

/// The session that begins with a cell, and how many cells it has.
pub(super) fn session_at(cells: &[Cell], first: usize, gap: Duration) -> Option<(Window, usize)> {
    let Cell { first: start, .. } = cells.get(first)?;
    let rest = &cells[first..];
    // A gap exactly as long as allowed still holds a session together.
    let joins = rest.windows(2).take_while(|pair| pair[1].first - pair[0].last <= gap).count();
    Some((Window { start: *start, end: rest[joins].last + gap }, joins + 1))
}

pub(super) fn key_of(keys: Option<&Rows>, row: usize) -> &[u8] {
    keys.map_or(&[], |keys| keys.row(row).data())
}

/// A row's number in its piece, which has fewer than 2^32.
pub(super) fn as_row(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
