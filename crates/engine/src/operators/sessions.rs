//! SESSION windows: rows of a key that are at most a gap apart belong together.
//!
//! Slices are cells of one gap, so two rows of a key in one cell are always in one session, and a cell needs only its
//! first and last time. What is handed in stays as it came, in columns; sessions refer to its rows. When event time is
//! past the end of a session no row can join it any more, and its rows are brought together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{Duration, EventTime, Window, WindowSpec};

use super::windows::{Holds, WindowLeaf};
use super::{Given, Operator, Taken};
use crate::checkpoint::{Saved, SavedChunk, Saver, Slot};
use crate::close::{Bounds, leaf_batch};
use crate::pane::{Delta, PaneLayout, columns_batch};
use crate::source::millis;

/// The window in which open sessions are shown: it closes after all others.
const OPEN: Window = Window { end: EventTime::MAX, start: EventTime::MIN };
/// Columns are rewritten without the rows of closed sessions when those are more than the others and than this.
const MIN_DEAD_ROWS: usize = 10_000;

/// What a key takes: itself twice, a cell, and its places in two maps.
const KEY_BYTES: usize = 330;
/// What a row takes beside its columns.
const ROW_BYTES: usize = 33;

/// Beyond so many pieces a checkpoint brings them together.
const MAX_SAVED_PIECES: usize = 16;

/// Sessions of every leaf.
pub(crate) struct Sessions {
    leaves: Vec<SessionLeaf>,
    watermark: EventTime,
    /// Rows came since the last look.
    has_news: bool,
    is_shown: bool,
    /// CLOSE must see each window by itself.
    one_by_one: bool,
}

struct SessionLeaf {
    of: WindowLeaf,
    gap: Duration,
    /// Which of the columns are the keys of sessions.
    key_columns: Vec<usize>,
    converter: RowConverter,
    keys: HashMap<OwnedRow, Key>,
    /// When the first session of a key may end; looked at again when it is due.
    due: BTreeSet<(EventTime, OwnedRow)>,
    pieces: BTreeMap<u64, Piece>,
    next_piece: u64,
    live_rows: usize,
    dead_rows: usize,
}

/// Rows as they came, with the first and last time of what each stands for.
struct Piece {
    columns: Vec<ArrayRef>,
    first: Int64Array,
    last: Int64Array,
    /// Which rows are of open sessions.
    live: Vec<bool>,
    live_rows: usize,
    /// Where a checkpoint has the rows.
    slot: Slot,
    /// Bytes of the columns.
    bytes: usize,
}

/// A key with open sessions.
#[derive(Default)]
struct Key {
    /// Its cells, in order. Most keys have one: a tree of them would take ten times as much.
    cells: Vec<Cell>,
    /// When it is looked at.
    due: Option<EventTime>,
}

/// The rows of a key in one cell: where they are, by piece and row.
struct Cell {
    start: EventTime,
    first: EventTime,
    last: EventTime,
    rows: Vec<(u64, usize)>,
}

/// One session on its way out.
struct Session {
    window: Window,
    rows: Vec<(u64, usize)>,
}

impl Sessions {
    pub(crate) fn new(gap: Duration, leaves: Vec<WindowLeaf>, one_by_one: bool) -> Result<Self> {
        let leaves = leaves.into_iter().map(|leaf| SessionLeaf::new(gap, leaf)).collect::<Result<_>>()?;
        Ok(Self { leaves, watermark: EventTime::MIN, has_news: false, is_shown: false, one_by_one })
    }

    /// Closed or open sessions as CLOSE takes them.
    fn give(&mut self, sessions: Vec<Vec<Session>>, window: Window, is_final: bool) -> Result<Vec<Given>> {
        if !self.one_by_one {
            let leaves = self.leaves.iter().zip(&sessions).map(|(leaf, sessions)| leaf.batch(sessions));
            return Ok(vec![Given::Window { window, leaves: leaves.collect::<Result<_>>()?, is_final }]);
        }
        let mut windows: BTreeMap<Window, Vec<Vec<Session>>> = BTreeMap::new();
        for (leaf, sessions) in sessions.into_iter().enumerate() {
            for session in sessions {
                let of_window = windows.entry(session.window);
                of_window.or_insert_with(|| self.leaves.iter().map(|_| Vec::new()).collect())[leaf].push(session);
            }
        }
        let given = windows.into_iter().map(|(window, sessions)| {
            let leaves = self.leaves.iter().zip(&sessions).map(|(leaf, sessions)| leaf.batch(sessions));
            Ok(Given::Window { window, leaves: leaves.collect::<Result<_>>()?, is_final })
        });
        given.collect()
    }
}

impl Operator for Sessions {
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        let Some(times) = times else { return Ok(Taken::default()) };
        self.has_news |= rows.num_rows() > 0;
        let ones = Int64Array::from(vec![1; times.len()]);
        self.leaves[leaf].take(rows.columns().to_vec(), times, times, &ones, self.watermark)
    }

    fn take_groups(&mut self, leaf: usize, _: Option<Window>, groups: Delta) -> Result<Taken> {
        self.has_news |= groups.groups() > 0;
        let missing = || DataFusionError::Internal("a session has no times".to_owned());
        let state = |from_end: usize| {
            let states = groups.states();
            states.len().checked_sub(from_end).and_then(|index| states[index].first()).ok_or_else(missing)
        };
        let (first, last) = (millis(state(3)?)?, millis(state(2)?)?);
        let count = cast(state(1)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
        let columns = groups.keys().iter().chain(groups.states().iter().flatten()).cloned().collect();
        self.leaves[leaf].take(columns, &first, &last, &count, self.watermark)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark <= self.watermark {
            return Ok(Vec::new());
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        let closed: Vec<Vec<Session>> = self.leaves.iter_mut().map(|leaf| leaf.close(watermark)).collect();
        let Some(last) = closed.iter().flatten().map(|session| session.window.end).max() else {
            return Ok(Vec::new());
        };
        // All that close together are one window of the result table.
        let together = Window { start: before, end: watermark.min(last + Duration(1)) };
        let mut given = self.give(closed, together, true)?;
        self.leaves.iter_mut().try_for_each(SessionLeaf::compact)?;
        if self.is_shown {
            given.extend(self.look()?);
        }
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        // A session that ends at the watermark is still open.
        if self.watermark == EventTime::MAX { self.watermark } else { self.watermark - Duration(1) }
    }

    fn is_due(&self, watermark: EventTime) -> bool {
        watermark > self.watermark
    }

    fn has_news(&self) -> bool {
        self.has_news
    }

    fn look(&mut self) -> Result<Vec<Given>> {
        self.has_news = false;
        self.is_shown = true;
        let open: Vec<Vec<Session>> = self.leaves.iter().map(SessionLeaf::open).collect();
        if self.one_by_one {
            // Open sessions are shown as one window; an order within each would mix them.
            return Ok(Vec::new());
        }
        self.give(open, OPEN, false)
    }

    fn size(&self) -> (usize, usize) {
        let open = self.leaves.iter().map(|leaf| leaf.keys.len()).sum();
        (open, self.leaves.iter().map(|leaf| leaf.live_rows).sum())
    }

    /// Keys: what their rows are merged into while they are open is no matter of theirs.
    fn groups_at_most(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.keys.len()).sum()
    }

    fn count_groups(&self) -> Result<usize> {
        Ok(self.groups_at_most())
    }

    fn bytes(&self) -> usize {
        self.leaves.iter().map(SessionLeaf::bytes).sum()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        self.leaves.iter_mut().enumerate().try_for_each(|(number, leaf)| leaf.save(saver, number))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        for (chunk, live) in saved.chunks("pieces").into_iter().zip(saved.chunks("live")) {
            let leaf = self.leaves.get_mut(chunk.note::<usize>()?).ok_or_else(damaged)?;
            leaf.load(chunk, &live.rows)?;
            self.has_news = true;
        }
        Ok(())
    }
}

impl SessionLeaf {
    fn new(gap: Duration, of: WindowLeaf) -> Result<Self> {
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
            keys: HashMap::new(),
            due: BTreeSet::new(),
            pieces: BTreeMap::new(),
            next_piece: 0,
            live_rows: 0,
            dead_rows: 0,
        })
    }

    fn bytes(&self) -> usize {
        let columns = self.pieces.values().map(|piece| piece.bytes).sum::<usize>();
        columns + self.keys.len() * KEY_BYTES + (self.live_rows + self.dead_rows) * ROW_BYTES
    }

    /// Takes rows, each of which stands for `count` rows from `first` to `last`.
    fn take(
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
        let keys = self.keys_of(&columns, rows)?;
        let piece = self.next_piece;
        let mut live = vec![false; rows];
        let mut kept = 0;
        for (row, key) in keys.into_iter().enumerate() {
            let (first, last) = (EventTime(first_times.value(row)), EventTime(last_times.value(row)));
            let stands_for = usize::try_from(count.value(row)).unwrap_or(0);
            let Some(slice) = spec.slice_of(first) else { continue };
            if last + self.gap < watermark && !self.joins_open(&key, first, last) {
                let missed = Window { start: first, end: last + self.gap };
                taken.late.extend(std::iter::repeat_n((last, Some(missed)), stands_for));
                continue;
            }
            taken.used += stands_for;
            kept += 1;
            live[row] = true;
            self.place(key, slice.start, first, last, (piece, row));
        }
        if kept > 0 {
            let (first, last) = (first_times.clone(), last_times.clone());
            self.add_piece(Piece { columns, first, last, live, live_rows: kept, slot: Slot::default(), bytes: 0 });
        }
        Ok(taken)
    }

    fn add_piece(&mut self, mut piece: Piece) {
        piece.bytes = piece.columns.iter().map(Array::get_array_memory_size).sum();
        self.live_rows += piece.live_rows;
        self.dead_rows += piece.live.len() - piece.live_rows;
        self.pieces.insert(self.next_piece, piece);
        self.next_piece += 1;
    }

    /// Puts a row into its cell.
    fn place(&mut self, key: OwnedRow, cell: EventTime, first: EventTime, last: EventTime, at: (u64, usize)) {
        self.arm(&key, last + self.gap);
        let cells = &mut self.keys.entry(key).or_default().cells;
        let found = cells.binary_search_by_key(&cell, |cell| cell.start);
        let place = found.unwrap_or_else(|place| {
            if cells.is_empty() {
                cells.reserve_exact(1);
            }
            cells.insert(place, Cell { start: cell, first, last, rows: Vec::with_capacity(1) });
            place
        });
        let cell = &mut cells[place];
        cell.first = cell.first.min(first);
        cell.last = cell.last.max(last);
        cell.rows.push(at);
    }

    /// The key of each row.
    fn keys_of(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<OwnedRow>> {
        if self.key_columns.is_empty() {
            return Ok(vec![self.converter.parser().parse(&[]).owned(); rows]);
        }
        let keys: Vec<ArrayRef> = self.key_columns.iter().map(|key| Arc::clone(&columns[*key])).collect();
        Ok(self.converter.convert_columns(&keys)?.iter().map(|row| row.owned()).collect())
    }

    /// Rows of closed sessions are of no use any more.
    fn bury(&mut self, rows: &[(u64, usize)]) {
        for (piece, row) in rows {
            if let Some(piece) = self.pieces.get_mut(piece)
                && std::mem::replace(&mut piece.live[*row], false)
            {
                piece.live_rows -= 1;
            }
        }
        self.live_rows -= rows.len();
        self.dead_rows += rows.len();
    }

    /// Whether rows from `first` to `last` belong to a session that is still open.
    fn joins_open(&self, key: &OwnedRow, first: EventTime, last: EventTime) -> bool {
        let Some(Key { cells, .. }) = self.keys.get(key) else { return false };
        // No cell further away than two gaps has a row within one.
        let near = Duration(self.gap.0.saturating_mul(2));
        let from = cells.partition_point(|cell| cell.start < first - near);
        let mut near = cells[from..].iter().take_while(|cell| cell.start <= last + near);
        near.any(|cell| cell.first - last <= self.gap && first - cell.last <= self.gap)
    }

    /// Looks at a key when this time has passed, or earlier.
    fn arm(&mut self, key: &OwnedRow, end: EventTime) {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Key::default());
        }
        let Some(Key { due, .. }) = self.keys.get_mut(key) else { return };
        match due.replace(end) {
            Some(earlier) if earlier <= end => {
                *due = Some(earlier);
                return;
            }
            Some(later) => {
                self.due.remove(&(later, key.clone()));
            }
            None => {}
        }
        self.due.insert((end, key.clone()));
    }

    /// Takes out the sessions that no row can join any more.
    fn close(&mut self, watermark: EventTime) -> Vec<Session> {
        let is_over = |end: EventTime| end < watermark || watermark == EventTime::MAX;
        let mut closed = Vec::new();
        while let Some((end, key)) = self.due.pop_first() {
            if !is_over(end) {
                self.due.insert((end, key));
                break;
            }
            let Some(Key { cells, due }) = self.keys.get_mut(&key) else { continue };
            *due = None;
            let mut next: Option<EventTime> = None;
            for (window, starts) in sessions(cells, self.gap) {
                if !is_over(window.end) {
                    next = Some(next.map_or(window.end, |end| end.min(window.end)));
                    continue;
                }
                let of_session = cells.extract_if(.., |cell| starts.binary_search(&cell.start).is_ok());
                let rows: Vec<(u64, usize)> = of_session.flat_map(|cell| cell.rows).collect();
                closed.push(Session { window, rows });
            }
            match next {
                Some(end) => self.arm(&key, end),
                None => {
                    self.keys.remove(&key);
                }
            }
        }
        for session in &closed {
            self.bury(&session.rows);
        }
        closed
    }

    fn open(&self) -> Vec<Session> {
        let of_key = |Key { cells, .. }: &Key| -> Vec<Session> {
            let rows = |starts: Vec<EventTime>| {
                let of_session = cells.iter().filter(|cell| starts.binary_search(&cell.start).is_ok());
                of_session.flat_map(|cell| cell.rows.iter().copied()).collect()
            };
            let found = sessions(cells, self.gap).into_iter();
            found.map(|(window, starts)| Session { window, rows: rows(starts) }).collect()
        };
        self.keys.values().flat_map(of_key).collect()
    }

    /// What CLOSE sees of sessions.
    fn batch(&self, sessions: &[Session]) -> Result<RecordBatch> {
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
            Holds::Groups(layout) => self.merged(layout, columns, &windows),
        }
    }

    /// Merges the groups of each session.
    fn merged(&self, layout: &PaneLayout, mut columns: Vec<ArrayRef>, windows: &[Window]) -> Result<RecordBatch> {
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
    fn gather(&self, refs: &[(u64, usize)]) -> Result<Vec<ArrayRef>> {
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        let mut pieces = Vec::new();
        let places: Vec<(usize, usize)> = (refs.iter())
            .map(|(piece, row)| {
                let number = *numbers.entry(*piece).or_insert_with(|| {
                    pieces.push(&self.pieces[piece].columns);
                    pieces.len() - 1
                });
                (number, *row)
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
    fn compact(&mut self) -> Result<()> {
        let dead = self.pieces.extract_if(.., |_, piece| piece.live_rows == 0);
        self.dead_rows -= dead.map(|(_, piece)| piece.live.len()).sum::<usize>();
        if self.dead_rows < MIN_DEAD_ROWS.max(self.live_rows) {
            return Ok(());
        }
        let every: Vec<u64> = self.pieces.keys().copied().collect();
        self.rewrite(&every)
    }

    /// Brings the open sessions' rows of some pieces together in one.
    fn rewrite(&mut self, old: &[u64]) -> Result<()> {
        let is_old = |piece: &u64| old.binary_search(piece).is_ok();
        let (piece, mut refs) = (self.next_piece, Vec::new());
        for cell in self.keys.values_mut().flat_map(|key| &mut key.cells) {
            for place in cell.rows.iter_mut().filter(|(piece, _)| is_old(piece)) {
                refs.push(*place);
                *place = (piece, refs.len() - 1);
            }
        }
        let columns = self.gather(&refs)?;
        let times = |of: fn(&Piece) -> &Int64Array| -> Int64Array {
            refs.iter().map(|(piece, row)| of(&self.pieces[piece]).value(*row)).collect()
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
    fn save(&mut self, saver: &mut Saver, number: usize) -> Result<()> {
        let new: Vec<u64> =
            self.pieces.iter().filter(|(_, piece)| piece.slot == Slot::default()).map(|(id, _)| *id).collect();
        if self.pieces.len() > MAX_SAVED_PIECES {
            let every: Vec<u64> = self.pieces.keys().copied().collect();
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

    fn load(&mut self, chunk: SavedChunk, live: &RecordBatch) -> Result<()> {
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
        let keys = self.keys_of(columns, rows)?;
        let piece = self.next_piece;
        for (row, key) in keys.into_iter().enumerate().filter(|(row, _)| live.get(*row) == Some(&true)) {
            let (first, last) = (EventTime(first.value(row)), EventTime(last.value(row)));
            let slice = spec.slice_of(first).ok_or_else(damaged)?;
            self.place(key, slice.start, first, last, (piece, row));
        }
        let live_rows = live.iter().filter(|live| **live).count();
        self.add_piece(Piece { columns: columns.to_vec(), first, last, live, live_rows, slot: chunk.slot, bytes: 0 });
        Ok(())
    }
}

fn damaged() -> DataFusionError {
    DataFusionError::Execution("the checkpoint's sessions are not of this query".to_owned())
}

/// The sessions that a key's cells make, each with the cells it is made of.
fn sessions(cells: &[Cell], gap: Duration) -> Vec<(Window, Vec<EventTime>)> {
    let mut sessions: Vec<(Window, Vec<EventTime>)> = Vec::new();
    let mut last: Option<EventTime> = None;
    for cell in cells {
        let end = cell.last + gap;
        match sessions.last_mut() {
            // A gap exactly as long as allowed still holds a session together.
            Some((window, starts)) if last.is_some_and(|last| cell.first - last <= gap) => {
                starts.push(cell.start);
                window.end = end;
            }
            _ => sessions.push((Window { start: cell.first, end }, vec![cell.start])),
        }
        last = Some(cell.last);
    }
    sessions
}
