//! Windows whose bounds do not depend on rows: TUMBLE, HOP and CUMULATE.
//!
//! State is kept once per slice of time. When event time passes a window's end, the slices of the window are merged and
//! given to CLOSE; a slice goes when the last window that holds it has closed, and the lateness that is allowed is over.
//! When memory is short, pieces of slices go to disk, and a window that holds such is given in parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{Duration, EventTime, Window, WindowSpec};
use millstream_sql::Leaf;

use super::suffixes::Suffixes;
use super::{Given, Operator, Parts, Taken};
use crate::checkpoint::{ChunkRows, Saved, Saver, Slot};
use crate::close::{leaf_rows, window_rows};
use crate::memory::{Share, readable};
use crate::pane::{Delta, PaneLayout};
use crate::slices::{Slices, by_slice};
use crate::spill::Spilled;

/// Pieces of a slice beyond this many are merged into one when it is looked at.
const MAX_PIECES: usize = 8;
/// From so many slices a window on, they are merged by suffixes (docs/adr/0004).
const MIN_SLICES_FOR_SUFFIXES: usize = 12;
/// So many open windows are shown at the most, those that close next.
const MAX_SHOWN_WINDOWS: usize = 64;

/// Smaller pieces are not worth a file.
const MIN_SPILLED_BYTES: usize = 4096;
/// What is kept in memory of a piece on disk: its places.
const SPILLED_BYTES: usize = 2048;
/// Merging takes about this many times what is merged: the table, and its rows.
const MERGE_COST: u64 = 2;

/// One leaf of the windows.
pub(crate) struct WindowLeaf {
    pub(crate) leaf: Leaf,
    pub(crate) holds: Holds,
}

/// What a leaf keeps.
pub(crate) enum Holds {
    Groups(PaneLayout),
    /// Rows with this schema.
    Rows(SchemaRef),
}

/// A part of a slice, as it was handed over.
struct Piece {
    content: Content,
    /// Where a checkpoint has it.
    slot: Slot,
    /// Bytes of memory.
    bytes: usize,
}

#[derive(Clone)]
pub(super) enum Content {
    Groups(Delta),
    Rows(RecordBatch),
    /// Either, on disk.
    Spilled(Arc<Spilled>),
}

/// The state of windows.
pub(crate) struct Windows {
    spec: WindowSpec,
    /// How long after its end a window still takes rows and is given again.
    lateness: Duration,
    leaves: Vec<WindowLeaf>,
    /// Whether CLOSE may be given a window in parts.
    splits: bool,
    memory: Arc<Share>,
    suffixes: Vec<Suffixes>,
    slices: BTreeMap<Window, Vec<Vec<Piece>>>,
    /// Windows that end by this have closed.
    closed: EventTime,
    watermark: EventTime,
    /// Slices with rows that have not been shown.
    unseen: BTreeSet<Window>,
    /// Closed windows that got rows since.
    revised: BTreeSet<Window>,
}

impl Windows {
    /// `is_row_wise`: CLOSE computes each row from one row alone.
    pub(crate) fn new(
        spec: WindowSpec,
        lateness: Duration,
        leaves: Vec<WindowLeaf>,
        is_row_wise: bool,
        memory: Arc<Share>,
    ) -> Self {
        // Rows are kept only where CLOSE looks at several of them together.
        let has_keys = |leaf: &WindowLeaf| match &leaf.holds {
            Holds::Groups(layout) => !layout.keys.fields().is_empty(),
            Holds::Rows(_) => false,
        };
        Self {
            spec,
            lateness,
            splits: is_row_wise && leaves.len() == 1 && leaves.iter().all(has_keys),
            memory,
            suffixes: leaves.iter().map(|_| Suffixes::default()).collect(),
            leaves,
            slices: BTreeMap::new(),
            closed: EventTime::MIN,
            watermark: EventTime::MIN,
            unseen: BTreeSet::new(),
            revised: BTreeSet::new(),
        }
    }

    /// Whether at this time no window takes rows of a slice any more.
    fn is_over(&self, slice: Window, at: EventTime) -> bool {
        self.spec.last_end(slice) + self.lateness <= at
    }

    /// Lets go of slices that are over.
    fn forget(&mut self, at: EventTime) {
        let ended = self.slices.keys().copied().take_while(|slice| slice.end <= at);
        for slice in ended.filter(|slice| self.is_over(*slice, at)).collect::<Vec<_>>() {
            self.slices.remove(&slice);
            self.unseen.remove(&slice);
        }
    }

    fn keep(&mut self, leaf: usize, slice: Window, content: Content) {
        let leaves = self.leaves.len();
        let pieces = self.slices.entry(slice).or_insert_with(|| (0..leaves).map(|_| Vec::new()).collect());
        pieces[leaf].push(Piece::new(content));
        self.unseen.insert(slice);
        if self.suffixes[leaf].covers(slice) {
            self.suffixes[leaf].reset();
        }
        if self.lateness.0 > 0 {
            let closed = self.closed;
            // Of a window that is over some slices may be gone.
            let (lateness, watermark) = (self.lateness, self.watermark);
            let closed = self.spec.windows_at(slice.start).take_while(|window| window.end <= closed);
            self.revised.extend(closed.filter(|window| window.end + lateness > watermark));
        }
    }

    /// The next window to close that has rows.
    fn next_window(&self) -> Option<Window> {
        self.slices.keys().find_map(|slice| {
            let end = self.spec.next_end(self.closed.max(EventTime(slice.end.0 - 1)));
            let window = self.spec.window_ending(end);
            (window.start <= slice.start).then_some(window)
        })
    }

    fn slices_of(&self, window: Window) -> impl Iterator<Item = (&Window, &Vec<Vec<Piece>>)> {
        let from = Window { end: window.start, start: EventTime::MAX };
        let to = Window { end: window.end, start: EventTime::MAX };
        self.slices.range(from..=to).filter(move |(slice, _)| slice.start >= window.start)
    }

    /// The rows of a window. `in_order`: windows are closing one after another. `None`: it is open, and not to be shown
    /// because it is partly on disk.
    fn give(&mut self, window: Window, in_order: bool, is_final: bool) -> Result<Option<Given>> {
        let (mut bytes, mut spilled) = (0, 0);
        for piece in self.slices_of(window).flat_map(|(_, pieces)| pieces.iter().flatten()) {
            match &piece.content {
                Content::Spilled(on_disk) => spilled += on_disk.memory() as u64,
                Content::Groups(_) | Content::Rows(_) => bytes += piece.bytes as u64,
            }
        }
        if spilled > 0 && !is_final {
            return Ok(None);
        }
        let needed = (bytes + spilled) * MERGE_COST;
        let is_large = spilled > 0 || needed > self.memory.pool().left();
        if is_large
            && self.splits
            && is_final
            && let [WindowLeaf { leaf, holds: Holds::Groups(layout) }] = self.leaves.as_slice()
        {
            let pieces = self.slices_of(window).flat_map(|(_, pieces)| pieces[0].iter());
            let pieces = pieces.map(|piece| piece.content.clone()).collect();
            let parts = Box::new(Parts::new(window, leaf, layout, pieces));
            return Ok(Some(Given::Parts { window, parts, is_final }));
        }
        if spilled > 0 && needed > self.memory.pool().left() {
            return Err(self.too_large(window, needed));
        }
        let leaves = self.result(window, in_order && spilled == 0)?;
        Ok(Some(Given::Window { window, leaves, is_final }))
    }

    fn too_large(&self, window: Window, needed: u64) -> DataFusionError {
        let Window { start, end } = window;
        let (needed, limit) = (readable(needed), readable(self.memory.pool().limit()));
        DataFusionError::Execution(format!(
            "the window [{start}, {end}) needs about {needed} of memory to be put together, and memory.limit is {limit} \
             for all queries: its ORDER BY, LIMIT, join or second aggregate looks at all of it at once. Raise \
             memory.limit and restart: the query goes on from its last checkpoint. Or bound it with shorter windows, \
             fewer keys or 'max-groups'"
        ))
    }

    /// The rows of a window, for each leaf.
    fn result(&mut self, window: Window, in_order: bool) -> Result<Vec<RecordBatch>> {
        let mut suffixes = std::mem::take(&mut self.suffixes);
        let leaves = self.leaves.iter().enumerate().map(|(index, leaf)| match &leaf.holds {
            Holds::Groups(layout) => {
                let slices: Vec<(Window, Vec<&Delta>)> = (self.slices_of(window))
                    .map(|(slice, pieces)| (*slice, pieces[index].iter().filter_map(Piece::groups).collect()))
                    .collect();
                let spilled =
                    self.slices_of(window).flat_map(|(_, pieces)| pieces[index].iter().filter_map(Piece::spilled));
                let in_memory = || slices.iter().flat_map(|(_, deltas)| deltas.iter().copied());
                let results = if in_order && slices.len() >= MIN_SLICES_FOR_SUFFIXES {
                    let merged = suffixes[index].window(layout, window, &slices)?;
                    layout.results(&merged.iter().collect::<Vec<_>>())?
                } else {
                    let spilled: Vec<&Arc<Spilled>> = spilled.collect();
                    if spilled.is_empty() {
                        layout.results(&in_memory().collect::<Vec<_>>())?
                    } else {
                        let mut table = layout.table()?;
                        in_memory().try_for_each(|delta| table.merge(delta))?;
                        for rows in spilled.into_iter().map(|spilled| spilled.read(None)) {
                            rows?.iter().try_for_each(|rows| table.merge(&layout.delta(rows)?))?;
                        }
                        table.finish()?
                    }
                };
                leaf_rows(&leaf.leaf, results, Some(window))
            }
            Holds::Rows(schema) => {
                let pieces = self.slices_of(window).flat_map(|(_, pieces)| &pieces[index]);
                let rows = pieces.map(|piece| piece.content.all_rows(schema)).collect::<Result<Vec<_>>>()?;
                window_rows(&leaf.leaf, &concat_batches(schema, &rows)?, window)
            }
        });
        let leaves = leaves.collect::<Result<Vec<_>>>();
        std::mem::swap(&mut self.suffixes, &mut suffixes);
        leaves
    }

    /// Keeps the number of pieces of a slice small.
    fn compact(&mut self, slice: Window) -> Result<()> {
        let Some(of_slice) = self.slices.get_mut(&slice) else { return Ok(()) };
        for (leaf, pieces) in self.leaves.iter().zip(of_slice) {
            // What a checkpoint has is left as it is: it would have to be written again.
            let new = first_unsaved(pieces);
            if pieces.len() - new > MAX_PIECES {
                leaf.holds.merge(pieces, new)?;
            }
        }
        Ok(())
    }
}

fn first_unsaved(pieces: &[Piece]) -> usize {
    pieces.iter().position(|piece| piece.slot == Slot::default()).unwrap_or(pieces.len())
}

impl Holds {
    /// How many groups or rows some pieces have together.
    fn count(&self, pieces: &[Piece]) -> Result<usize> {
        let Self::Groups(layout) = self else { return Ok(pieces.iter().map(Piece::len).sum()) };
        let [_, _, ..] = pieces else { return Ok(pieces.iter().map(Piece::len).sum()) };
        let mut table = layout.keys_only().table()?;
        for piece in pieces {
            match &piece.content {
                Content::Groups(delta) => table.merge(delta)?,
                Content::Rows(_) => {}
                Content::Spilled(spilled) => {
                    for rows in spilled.read(None)? {
                        table.merge(&layout.delta(&rows)?)?;
                    }
                }
            }
        }
        Ok(table.groups())
    }

    /// Makes one piece of all from `first` on, but for those that are on disk and what is before them.
    fn merge(&self, pieces: &mut Vec<Piece>, first: usize) -> Result<()> {
        let first =
            pieces.iter().rposition(|piece| piece.spilled().is_some()).map_or(first, |last| first.max(last + 1));
        if pieces.len() <= first + 1 {
            return Ok(());
        }
        let parts = &pieces[first..];
        let content = match self {
            Self::Groups(layout) => {
                let mut table = layout.table()?;
                parts.iter().filter_map(Piece::groups).try_for_each(|delta| table.merge(delta))?;
                Content::Groups(table.freeze()?)
            }
            Self::Rows(schema) => Content::Rows(concat_batches(schema, parts.iter().filter_map(Piece::rows))?),
        };
        pieces.truncate(first);
        pieces.push(Piece::new(content));
        Ok(())
    }
}

impl Piece {
    fn new(content: Content) -> Self {
        Self { bytes: content.bytes(), content, slot: Slot::default() }
    }

    fn groups(&self) -> Option<&Delta> {
        match &self.content {
            Content::Groups(delta) => Some(delta),
            Content::Rows(_) | Content::Spilled(_) => None,
        }
    }

    fn rows(&self) -> Option<&RecordBatch> {
        match &self.content {
            Content::Rows(rows) => Some(rows),
            Content::Groups(_) | Content::Spilled(_) => None,
        }
    }

    fn spilled(&self) -> Option<&Arc<Spilled>> {
        match &self.content {
            Content::Spilled(spilled) => Some(spilled),
            Content::Groups(_) | Content::Rows(_) => None,
        }
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Groups(delta) => delta.groups(),
            Content::Rows(rows) => rows.num_rows(),
            Content::Spilled(spilled) => spilled.rows(),
        }
    }
}

impl Content {
    fn saved(&self) -> Result<ChunkRows> {
        Ok(match self {
            Self::Groups(delta) => delta.batch()?.into(),
            Self::Rows(rows) => rows.clone().into(),
            Self::Spilled(spilled) => ChunkRows::Spilled(Arc::clone(spilled)),
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Groups(delta) => delta.bytes(),
            Self::Rows(rows) => rows.get_array_memory_size(),
            Self::Spilled(_) => SPILLED_BYTES,
        }
    }

    /// Rows that were kept as rows.
    fn all_rows(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        match self {
            Self::Rows(rows) => Ok(rows.clone()),
            Self::Spilled(spilled) => {
                let rows = spilled.read(None)?.into_iter().map(|rows| fitted(&rows, schema));
                Ok(concat_batches(schema, &rows.collect::<Result<Vec<_>>>()?)?)
            }
            Self::Groups(_) => Err(DataFusionError::Internal("groups where rows are kept".to_owned())),
        }
    }
}

impl Operator for Windows {
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        let Some(times) = times.map(Int64Array::values) else { return Ok(Taken::default()) };
        let parts = match by_slice(self.spec, times) {
            Slices::One(slice) => {
                if self.is_over(slice, self.watermark) {
                    let missed = self.spec.window_ending(self.spec.last_end(slice));
                    let late = times.iter().map(|time| (EventTime(*time), Some(missed))).collect();
                    return Ok(Taken { late, ..Taken::default() });
                }
                self.keep(leaf, slice, Content::Rows(rows.clone()));
                return Ok(Taken::all(rows.num_rows()));
            }
            Slices::Many { parts, outside } => (parts, outside),
        };
        let mut taken = Taken { outside: parts.1, ..Taken::default() };
        for (slice, indices) in parts.0 {
            if self.is_over(slice, self.watermark) {
                let missed = self.spec.window_ending(self.spec.last_end(slice));
                let times = indices.values().iter().map(|row| (EventTime(times[*row as usize]), Some(missed)));
                taken.late.extend(times);
                continue;
            }
            taken.used += indices.len();
            self.keep(leaf, slice, Content::Rows(take_record_batch(rows, &indices)?));
        }
        Ok(taken)
    }

    fn take_groups(&mut self, leaf: usize, slice: Option<Window>, groups: Delta) -> Result<Taken> {
        // Workers have counted the rows, and told late ones apart.
        let slice = slice.ok_or_else(|| DataFusionError::Internal("groups of windows without a slice".to_owned()))?;
        self.keep(leaf, slice, Content::Groups(groups));
        Ok(Taken::default())
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        self.watermark = self.watermark.max(watermark);
        let mut given = Vec::new();
        for window in std::mem::take(&mut self.revised) {
            given.extend(self.give(window, false, true)?);
        }
        let due = self.spec.closed_by(self.watermark);
        while let Some(window) = self.next_window().filter(|window| window.end <= due) {
            given.extend(self.give(window, true, true)?);
            self.closed = window.end;
            self.forget(window.end);
        }
        self.closed = self.closed.max(due);
        self.forget(self.watermark);
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn misses(&self, slice: Window) -> Option<Window> {
        let is_over = self.is_over(slice, self.watermark);
        is_over.then(|| self.spec.window_ending(self.spec.last_end(slice)))
    }

    fn is_due(&self, watermark: EventTime) -> bool {
        self.spec.closed_by(watermark) > self.closed
    }

    fn has_news(&self) -> bool {
        !self.unseen.is_empty()
    }

    fn look(&mut self) -> Result<Vec<Given>> {
        let mut windows = BTreeSet::new();
        for slice in std::mem::take(&mut self.unseen) {
            self.compact(slice)?;
            let closed = self.closed;
            let open = self.spec.windows_at(slice.start).filter(|window| window.end > closed);
            windows.extend(open.take(MAX_SHOWN_WINDOWS));
        }
        let mut given = Vec::new();
        for window in windows.into_iter().take(MAX_SHOWN_WINDOWS) {
            given.extend(self.give(window, false, false)?);
        }
        Ok(given)
    }

    fn size(&self) -> (usize, usize) {
        let rows = |pieces: &Vec<Vec<Piece>>| {
            pieces.iter().map(|of_leaf| of_leaf.iter().map(Piece::len).max().unwrap_or(0)).max().unwrap_or(0)
        };
        (self.slices.len(), self.slices.values().map(rows).sum())
    }

    fn groups_at_most(&self) -> usize {
        self.slices.values().flatten().flatten().map(Piece::len).sum()
    }

    fn count_groups(&self) -> Result<usize> {
        let of_slices = self.slices.values().flat_map(|pieces| self.leaves.iter().zip(pieces));
        of_slices.map(|(leaf, pieces)| leaf.holds.count(pieces)).sum()
    }

    fn bytes(&self) -> usize {
        let pieces = self.slices.values().flatten().flatten().map(|piece| piece.bytes).sum::<usize>();
        pieces + self.suffixes.iter().map(Suffixes::bytes).sum::<usize>()
    }

    /// Merged slices go first: they can be made again. Then pieces, those of the oldest slices before others.
    fn spill(&mut self, wanted: u64) -> Result<u64> {
        let Some(folder) = self.memory.pool().spill() else { return Ok(0) };
        let mut freed = self.suffixes.iter().map(|suffixes| suffixes.bytes() as u64).sum::<u64>();
        self.suffixes.iter_mut().for_each(Suffixes::reset);
        for pieces in self.slices.values_mut() {
            for (leaf, pieces) in self.leaves.iter().zip(pieces) {
                let keys = match &leaf.holds {
                    Holds::Groups(layout) => layout.keys.fields().len(),
                    Holds::Rows(_) => 0,
                };
                // What comes in small pieces goes as one.
                let small = |piece: &&Piece| piece.spilled().is_none() && piece.bytes < MIN_SPILLED_BYTES;
                if pieces.iter().filter(small).count() > 1 {
                    let (first, before) =
                        (first_unsaved(pieces), pieces.iter().map(|piece| piece.bytes).sum::<usize>());
                    leaf.holds.merge(pieces, first)?;
                    freed += before.saturating_sub(pieces.iter().map(|piece| piece.bytes).sum()) as u64;
                }
                for piece in pieces {
                    if freed >= wanted {
                        return Ok(freed);
                    }
                    let rows = match &piece.content {
                        _ if piece.bytes < MIN_SPILLED_BYTES => continue,
                        Content::Groups(delta) => delta.batch()?,
                        Content::Rows(rows) => rows.clone(),
                        Content::Spilled(_) => continue,
                    };
                    piece.content = Content::Spilled(folder.write(&rows, keys)?);
                    freed += (std::mem::replace(&mut piece.bytes, SPILLED_BYTES) - SPILLED_BYTES) as u64;
                }
            }
        }
        Ok(freed)
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        saver.value("closed", &self.closed.0)?;
        for (slice, of_slice) in &mut self.slices {
            for (number, (leaf, pieces)) in self.leaves.iter().zip(of_slice).enumerate() {
                // What came since the last checkpoint is one piece, and all is when there are too many.
                let new = first_unsaved(pieces);
                leaf.holds.merge(pieces, if new >= MAX_PIECES { 0 } else { new })?;
                for Piece { content, slot, .. } in pieces {
                    saver.chunk(slot, "slices", &(slice.start.0, slice.end.0, number), || content.saved())?;
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        self.closed = EventTime(saved.value("closed")?);
        for chunk in saved.chunks("slices") {
            let (start, end, leaf): (i64, i64, usize) = chunk.note()?;
            let slice = Window { start: EventTime(start), end: EventTime(end) };
            let leaves = self.leaves.len();
            let holds = self.leaves.get(leaf).map(|leaf| &leaf.holds);
            let holds = holds.ok_or_else(|| DataFusionError::Execution(format!("the checkpoint has a leaf {leaf}")))?;
            let content = match holds {
                Holds::Groups(layout) => Content::Groups(layout.delta(&chunk.rows)?),
                Holds::Rows(schema) => Content::Rows(fitted(&chunk.rows, schema)?),
            };
            let pieces = self.slices.entry(slice).or_insert_with(|| (0..leaves).map(|_| Vec::new()).collect());
            pieces[leaf].push(Piece { slot: chunk.slot, ..Piece::new(content) });
            self.unseen.insert(slice);
        }
        Ok(())
    }
}

/// Rows that were kept, with the names that the query has for their columns now.
pub(super) fn fitted(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), rows.columns().to_vec(), &options)?)
}
