//! Joins of two streams within bounds of time: each row waits for its partners as long as one may still come.
//!
//! Pairs are given as soon as both rows are there. A row without a partner is given, where the join asks for it, once
//! event time has passed the last moment at which one could have come.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::{Int64Type, SchemaRef, UInt64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{IntervalJoin, Leaf};

use super::computable::{Computable, Computed};
use super::saved_keys::damaged;
use super::windows::fitted;
use super::{Given, Operator, Taken};
use crate::checkpoint::{Saved, Saver, Slot};
use crate::feed::row_text;
use crate::hot::{isolate, passing};
use crate::pane::columns_batch;
use crate::physical::physical_expr;

/// Candidate pairs are looked at in portions of this many: a popular key must not need all memory at once.
const PAIRS: usize = 65_536;

/// Beyond so many batches a checkpoint brings them together.
const MAX_SAVED_BATCHES: usize = 16;

/// What a row takes beside its columns: its place, and its key in two maps.
const ROW_BYTES: usize = 300;

/// The state of an interval join.
pub(crate) struct IntervalJoinOperator {
    join_type: JoinType,
    sides: [Side; 2],
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of both sides, over which the filter is.
    both: SchemaRef,
    output: SchemaRef,
    null_equals_null: bool,
    ready: Vec<RecordBatch>,
    /// Pairs that the condition failed on, as text, and why.
    failed: Vec<(String, String)>,
    watermark: EventTime,
}

struct Side {
    schema: SchemaRef,
    on: Vec<Arc<dyn PhysicalExpr>>,
    computable: Computable,
    converter: RowConverter,
    /// How long after a row's time a partner may have its.
    waits: Duration,
    /// Rows by key, in the order of time; the numbers are those of `rows`.
    keys: HashMap<OwnedRow, BTreeSet<(EventTime, u64)>>,
    rows: BTreeMap<u64, Kept>,
    /// Batches that a checkpoint has, by their numbers.
    saved: BTreeMap<u64, Slot>,
    next_batch: u64,
    batch_bytes: Arc<AtomicUsize>,
    /// Rows by the time at which they have waited long enough.
    due: BTreeMap<EventTime, Vec<u64>>,
    next: u64,
    /// Rows without a partner are given.
    gives_alone: bool,
}

/// Rows that came together, or were brought together.
struct Batch {
    number: u64,
    rows: RecordBatch,
    /// Bytes of all batches of a side that are kept.
    total: Arc<AtomicUsize>,
}

impl Batch {
    fn new(number: u64, rows: RecordBatch, total: &Arc<AtomicUsize>) -> Arc<Self> {
        total.fetch_add(rows.get_array_memory_size(), Ordering::Relaxed);
        Arc::new(Self { number, rows, total: Arc::clone(total) })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.total.fetch_sub(self.rows.get_array_memory_size(), Ordering::Relaxed);
    }
}

/// A row that waits.
struct Kept {
    batch: Arc<Batch>,
    row: usize,
    time: EventTime,
    key: OwnedRow,
    /// NULL equals nothing.
    has_null: bool,
    has_partner: bool,
}

impl IntervalJoinOperator {
    pub(crate) fn new(join: &IntervalJoin, left: &Leaf, right: &Leaf) -> Result<Self> {
        let both = DFSchema::join(&left.schema, &right.schema)?;
        let filter = join.filter.as_ref().map(|filter| physical_expr(filter, &both)).transpose()?;
        let (gives_left, gives_right) = match join.join_type {
            JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
            JoinType::Right | JoinType::RightAnti | JoinType::RightMark => (false, true),
            JoinType::Full => (true, true),
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => (false, false),
        };
        let lefts = join.on.iter().map(|(l, _)| physical_expr(l, &left.schema)).collect::<Result<Vec<_>>>()?;
        let rights = join.on.iter().map(|(_, r)| physical_expr(r, &right.schema)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            join_type: join.join_type,
            sides: [
                Side::new(left, lefts, join.upper, gives_left)?,
                Side::new(right, rights, Duration(-join.lower.0), gives_right)?,
            ],
            filter,
            both: Arc::new(both.as_arrow().clone()),
            output: Arc::new(join.schema.as_arrow().clone()),
            null_equals_null: join.null_equals_null,
            ready: Vec::new(),
            failed: Vec::new(),
            watermark: EventTime::MIN,
        })
    }

    /// Joins new rows of one side with what the other has kept.
    fn meet(&mut self, side: usize, new: &[u64]) -> Result<()> {
        let mut pairs: Vec<(u64, u64)> = Vec::new();
        for number in new {
            let Some(kept) = self.sides[side].rows.get(number) else { continue };
            if kept.has_null && !self.null_equals_null {
                continue;
            }
            // A partner of a left row is at most `upper` later, one of a right row at most `-lower` later.
            let other = &self.sides[1 - side];
            let from = (kept.time - other.waits, u64::MIN);
            let to = (kept.time + self.sides[side].waits, u64::MAX);
            if from > to {
                continue;
            }
            for (_, partner) in other.keys.get(&kept.key).into_iter().flat_map(|rows| rows.range(from..=to)) {
                pairs.push(if side == 0 { (*number, *partner) } else { (*partner, *number) });
            }
            if pairs.len() >= PAIRS {
                self.join_pairs(&std::mem::take(&mut pairs))?;
            }
        }
        self.join_pairs(&pairs)
    }

    fn join_pairs(&mut self, pairs: &[(u64, u64)]) -> Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        let left = self.sides[0].gather(pairs.iter().map(|(left, _)| *left))?;
        let right = self.sides[1].gather(pairs.iter().map(|(_, right)| *right))?;
        let columns: Vec<ArrayRef> = left.iter().chain(&right).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.len()));
        let joined = RecordBatch::try_new_with_options(Arc::clone(&self.both), columns, &options)?;
        let mask = match &self.filter {
            None => BooleanArray::from(vec![true; pairs.len()]),
            Some(filter) => {
                let (mut mask, mut failed) = (vec![false; pairs.len()], Vec::new());
                isolate(
                    &joined,
                    0,
                    &mut |part, first| {
                        let passed = filter.evaluate(part)?.into_array(part.num_rows())?;
                        let passed = passing(passed.as_boolean());
                        (0..part.num_rows()).for_each(|row| mask[first + row] = passed.value(row));
                        Ok(())
                    },
                    &mut |row, reason| failed.push((row_text(&joined, row), reason)),
                );
                self.failed.extend(failed);
                BooleanArray::from(mask)
            }
        };
        let mut first_left = vec![false; pairs.len()];
        let mut first_right = vec![false; pairs.len()];
        for (index, (left, right)) in pairs.iter().enumerate() {
            if mask.value(index) {
                first_left[index] = self.sides[0].found_partner(*left);
                first_right[index] = self.sides[1].found_partner(*right);
            }
        }
        match self.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let rows = arrow::compute::filter_record_batch(&joined, &mask)?;
                self.give(rows.columns().to_vec(), rows.num_rows())
            }
            // A row goes out once, however many partners it has.
            JoinType::LeftSemi => self.give_firsts(&left, first_left),
            JoinType::RightSemi => self.give_firsts(&right, first_right),
            JoinType::LeftMark => self.give_marked(&left, first_left, true),
            JoinType::RightMark => self.give_marked(&right, first_right, true),
            JoinType::LeftAnti | JoinType::RightAnti => Ok(()),
        }
    }

    fn give_firsts(&mut self, columns: &[ArrayRef], first: Vec<bool>) -> Result<()> {
        let mask = BooleanArray::from(first);
        let columns = columns.iter().map(|column| arrow::compute::filter(column, &mask));
        self.give(columns.collect::<std::result::Result<_, _>>()?, mask.true_count())
    }

    fn give_marked(&mut self, columns: &[ArrayRef], first: Vec<bool>, mark: bool) -> Result<()> {
        let mask = BooleanArray::from(first);
        let columns = columns.iter().map(|column| arrow::compute::filter(column, &mask));
        let mut columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        columns.push(Arc::new(BooleanArray::from(vec![mark; mask.true_count()])));
        self.give(columns, mask.true_count())
    }

    fn give(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        if rows > 0 {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            self.ready.push(RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?);
        }
        Ok(())
    }

    /// Gives a side's rows that found no partner.
    fn give_alone(&mut self, side: usize, alone: &[Kept]) -> Result<()> {
        if alone.is_empty() || !self.sides[side].gives_alone {
            return Ok(());
        }
        let own = gather(&self.sides[side].schema, alone.iter())?;
        let rows = alone.len();
        let nulls = |schema: &SchemaRef| -> Vec<ArrayRef> {
            schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), rows)).collect()
        };
        let columns = match self.join_type {
            JoinType::LeftAnti | JoinType::RightAnti => own,
            JoinType::LeftMark | JoinType::RightMark => {
                let mark: ArrayRef = Arc::new(BooleanArray::from(vec![false; rows]));
                own.into_iter().chain([mark]).collect()
            }
            _ if side == 0 => own.into_iter().chain(nulls(&self.sides[1].schema)).collect(),
            _ => nulls(&self.sides[0].schema).into_iter().chain(own).collect(),
        };
        self.give(columns, rows)
    }
}

impl Operator for IntervalJoinOperator {
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        let Computed { rows, times: Some(times), rejected } = self.sides[leaf].computable.check(rows, times)? else {
            return Ok(Taken::default());
        };
        let watermark = self.watermark;
        let mut taken = Taken { rejected, ..Taken::default() };
        let kept = (0..rows.num_rows()).filter(|row| {
            let time = EventTime(times.value(*row));
            let is_late = time < watermark;
            if is_late {
                taken.late.push((time, None));
            }
            !is_late
        });
        let kept: Vec<usize> = kept.collect();
        taken.used = kept.len();
        let new = self.sides[leaf].keep(&rows, &times, &kept)?;
        self.meet(leaf, &new)?;
        taken.told = std::mem::take(&mut self.failed);
        Ok(taken)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark > self.watermark {
            self.watermark = watermark;
            for side in 0..2 {
                let over = self.sides[side].expire(watermark);
                let alone: Vec<Kept> = over.into_iter().filter(|kept| !kept.has_partner).collect();
                self.give_alone(side, &alone)?;
            }
        }
        Ok(self.ready.drain(..).map(|rows| Given::Rows(vec![rows])).collect())
    }

    fn watermark(&self) -> EventTime {
        let oldest = self.sides.iter().filter_map(|side| side.due.first_key_value().map(|(due, _)| *due - side.waits));
        oldest.fold(self.watermark, EventTime::min)
    }

    fn size(&self) -> (usize, usize) {
        (0, self.sides.iter().map(|side| side.rows.len()).sum())
    }

    fn bytes(&self) -> usize {
        let of_side = |side: &Side| side.batch_bytes.load(Ordering::Relaxed) + side.rows.len() * ROW_BYTES;
        self.sides.iter().map(of_side).sum()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        self.sides.iter_mut().enumerate().try_for_each(|(number, side)| side.save(saver, number))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        let mut batches = [HashMap::new(), HashMap::new()];
        for chunk in saved.chunks("rows") {
            let (side, batch): (usize, u64) = chunk.note()?;
            let of_side = batches.get_mut(side).ok_or_else(|| damaged("a join has two sides"))?;
            of_side.insert(batch, (chunk.slot, chunk.rows));
        }
        for chunk in saved.chunks("kept") {
            let (number, next, next_batch): (usize, u64, u64) = chunk.note()?;
            let side = self.sides.get_mut(number).ok_or_else(|| damaged("a join has two sides"))?;
            (side.next, side.next_batch) = (next, next_batch);
            side.load(&batches[number], &chunk.rows)?;
        }
        Ok(())
    }
}

impl Side {
    fn new(leaf: &Leaf, on: Vec<Arc<dyn PhysicalExpr>>, waits: Duration, gives_alone: bool) -> Result<Self> {
        let schema: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
        let fields = on.iter().map(|key| Ok(SortField::new(key.data_type(&schema)?))).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            schema,
            computable: Computable::new(on.iter().cloned()),
            on,
            converter: RowConverter::new(fields)?,
            waits,
            keys: HashMap::new(),
            rows: BTreeMap::new(),
            saved: BTreeMap::new(),
            next_batch: 0,
            batch_bytes: Arc::default(),
            due: BTreeMap::new(),
            next: 0,
            gives_alone,
        })
    }

    /// Keeps rows until no partner can come; answers their numbers.
    fn keep(&mut self, rows: &RecordBatch, times: &Int64Array, kept: &[usize]) -> Result<Vec<u64>> {
        let keys = self.keys_of(rows)?;
        let batch = self.batch(rows.clone());
        let mut new = Vec::with_capacity(kept.len());
        for row in kept {
            let (time, number) = (EventTime(times.value(*row)), self.next);
            self.next += 1;
            let (key, has_null) = keys[*row].clone();
            let batch = Arc::clone(&batch);
            self.put(number, Kept { batch, row: *row, time, key, has_null, has_partner: false });
            new.push(number);
        }
        Ok(new)
    }

    fn batch(&mut self, rows: RecordBatch) -> Arc<Batch> {
        self.next_batch += 1;
        Batch::new(self.next_batch, rows, &self.batch_bytes)
    }

    /// The key of each row, and whether there is a NULL in it.
    fn keys_of(&self, rows: &RecordBatch) -> Result<Vec<(OwnedRow, bool)>> {
        let columns = self.on.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Ok(vec![(self.converter.parser().parse(&[]).owned(), false); rows.num_rows()]);
        }
        let keys = self.converter.convert_columns(&columns)?;
        let has_null = |row: usize| columns.iter().any(|column| column.is_null(row));
        Ok(keys.iter().enumerate().map(|(row, key)| (key.owned(), has_null(row))).collect())
    }

    fn put(&mut self, number: u64, kept: Kept) {
        self.keys.entry(kept.key.clone()).or_default().insert((kept.time, number));
        self.due.entry(kept.time + self.waits).or_default().push(number);
        self.rows.insert(number, kept);
    }

    /// Rows as they came, and what became of each so far.
    fn save(&mut self, saver: &mut Saver, side: usize) -> Result<()> {
        let needed: BTreeSet<u64> = self.rows.values().map(|kept| kept.batch.number).collect();
        self.saved.retain(|batch, _| needed.contains(batch));
        if self.saved.len() >= MAX_SAVED_BATCHES {
            self.saved.clear();
        }
        // All that no checkpoint has becomes one batch.
        let mut new_rows = None;
        let mut new: Vec<(u64, &mut Kept)> = self
            .rows
            .iter_mut()
            .filter(|(_, kept)| !self.saved.contains_key(&kept.batch.number))
            .map(|(number, kept)| (*number, kept))
            .collect();
        if !new.is_empty() {
            let columns = gather(&self.schema, new.iter().map(|(_, kept)| &**kept))?;
            let options = RecordBatchOptions::new().with_row_count(Some(new.len()));
            let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
            self.next_batch += 1;
            let batch = Batch::new(self.next_batch, rows, &self.batch_bytes);
            for (row, (_, kept)) in new.iter_mut().enumerate() {
                (kept.batch, kept.row) = (Arc::clone(&batch), row);
            }
            self.saved.insert(batch.number, Slot::default());
            new_rows = Some(batch.rows.clone());
        }
        for (batch, slot) in &mut self.saved {
            // Of all of them only the new one is not saved yet.
            let rows = || new_rows.clone().ok_or_else(|| damaged("a batch of a join is missing"));
            saver.chunk(slot, "rows", &(side, *batch), rows)?;
        }
        let kept = || self.rows.values();
        let numbers: ArrayRef = Arc::new(self.rows.keys().copied().collect::<UInt64Array>());
        let batches: ArrayRef = Arc::new(kept().map(|kept| kept.batch.number).collect::<UInt64Array>());
        let rows: ArrayRef = Arc::new(kept().map(|kept| kept.row as u64).collect::<UInt64Array>());
        let times: ArrayRef = Arc::new(kept().map(|kept| kept.time.0).collect::<Int64Array>());
        let partners: ArrayRef = Arc::new(kept().map(|kept| Some(kept.has_partner)).collect::<BooleanArray>());
        saver.chunk(&mut Slot::default(), "kept", &(side, self.next, self.next_batch), || {
            columns_batch(vec![numbers, batches, rows, times, partners], self.rows.len())
        })
    }

    fn load(&mut self, batches: &HashMap<u64, (Slot, RecordBatch)>, kept: &RecordBatch) -> Result<()> {
        let mut loaded = HashMap::new();
        for (number, (slot, rows)) in batches {
            let rows = fitted(rows, &self.schema)?;
            let keys = self.keys_of(&rows)?;
            loaded.insert(*number, (Batch::new(*number, rows, &self.batch_bytes), keys));
            self.saved.insert(*number, *slot);
        }
        let [numbers, of_batch, rows, times, partners] = kept.columns() else { return Err(damaged("rows of a join")) };
        let unsigned = |column: &ArrayRef| column.as_primitive_opt::<UInt64Type>().cloned();
        let (Some(numbers), Some(of_batch), Some(rows)) = (unsigned(numbers), unsigned(of_batch), unsigned(rows))
        else {
            return Err(damaged("numbers of a join's rows"));
        };
        let (Some(times), Some(partners)) = (times.as_primitive_opt::<Int64Type>(), partners.as_boolean_opt()) else {
            return Err(damaged("times of a join's rows"));
        };
        for index in 0..kept.num_rows() {
            let row = usize::try_from(rows.value(index)).unwrap_or(usize::MAX);
            let of = loaded.get(&of_batch.value(index)).and_then(|(batch, keys)| Some((batch, keys.get(row)?)));
            let (batch, (key, has_null)) = of.ok_or_else(|| damaged("a row of a join is missing"))?;
            let (batch, key, has_null) = (Arc::clone(batch), key.clone(), *has_null);
            let (time, has_partner) = (EventTime(times.value(index)), partners.value(index));
            self.put(numbers.value(index), Kept { batch, row, time, key, has_null, has_partner });
        }
        Ok(())
    }

    /// Marks a row; answers whether this is its first partner.
    fn found_partner(&mut self, number: u64) -> bool {
        self.rows.get_mut(&number).is_some_and(|kept| !std::mem::replace(&mut kept.has_partner, true))
    }

    /// Takes out the rows for which no partner can come any more.
    fn expire(&mut self, watermark: EventTime) -> Vec<Kept> {
        let mut over = Vec::new();
        while let Some(due) = self.due.first_entry().filter(|due| *due.key() < watermark || watermark == EventTime::MAX)
        {
            for number in due.remove() {
                let Some(kept) = self.rows.remove(&number) else { continue };
                if let Some(numbers) = self.keys.get_mut(&kept.key) {
                    numbers.remove(&(kept.time, number));
                    if numbers.is_empty() {
                        self.keys.remove(&kept.key);
                    }
                }
                over.push(kept);
            }
        }
        over.sort_by_key(|kept| kept.time);
        over
    }

    fn gather(&self, numbers: impl Iterator<Item = u64>) -> Result<Vec<ArrayRef>> {
        gather(&self.schema, numbers.filter_map(|number| self.rows.get(&number)))
    }
}

/// Rows from wherever they are, as columns.
fn gather<'a>(schema: &SchemaRef, kept: impl Iterator<Item = &'a Kept>) -> Result<Vec<ArrayRef>> {
    let mut numbers: HashMap<u64, usize> = HashMap::new();
    let mut batches: Vec<&RecordBatch> = Vec::new();
    let places: Vec<(usize, usize)> = kept
        .map(|kept| {
            let number = *numbers.entry(kept.batch.number).or_insert_with(|| {
                batches.push(&kept.batch.rows);
                batches.len() - 1
            });
            (number, kept.row)
        })
        .collect();
    let column = |index: usize| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        Ok(interleave(&parts, &places)?)
    };
    (0..schema.fields().len()).map(column).collect()
}
