//! Joins of two streams within bounds of time: each row waits for its partners as long as one may still come.
//!
//! Pairs are given as soon as both rows are there. A row without a partner is given, where the join asks for it, once
//! event time has passed the last moment at which one could have come.

mod due;
mod keys;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::{Int64Type, SchemaRef, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{IntervalJoin, Leaf};

use self::due::Due;
use self::keys::{Keys, Place};
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

/// What a row takes beside its columns: itself, its places by key and by when it is due, and its share of a key.
const ROW_BYTES: usize = 200;

/// The state of an interval join.
pub(crate) struct IntervalJoinOperator {
    join_type: JoinType,
    sides: [Side; 2],
    keys: Keys,
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
    /// By their numbers, of which the first is `first`. Some have gone before others.
    rows: VecDeque<Option<Kept>>,
    first: u64,
    /// How many there are.
    count: usize,
    /// Batches that a checkpoint has, by their numbers.
    saved: BTreeMap<u64, Slot>,
    next_batch: u64,
    batch_bytes: Arc<AtomicUsize>,
    due: Due,
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
    key: Place,
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
            keys: Keys::default(),
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
    fn meet(&mut self, side: usize, new: Range<u64>) -> Result<()> {
        let mut pairs: Vec<(u64, u64)> = Vec::new();
        for number in new {
            let Some(kept) = self.sides[side].row(number) else { continue };
            if kept.has_null && !self.null_equals_null {
                continue;
            }
            // A partner of a left row is at most `upper` later, one of a right row at most `-lower` later.
            let other = &self.sides[1 - side];
            let (from, to) = (kept.time - other.waits, kept.time + self.sides[side].waits);
            for partner in self.keys.between(1 - side, kept.key, from, to) {
                pairs.push(if side == 0 { (number, partner) } else { (partner, number) });
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
        let new = self.sides[leaf].keep(&mut self.keys, leaf, &rows, &times, &kept)?;
        self.meet(leaf, new)?;
        taken.told = std::mem::take(&mut self.failed);
        Ok(taken)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark > self.watermark {
            self.watermark = watermark;
            for side in 0..2 {
                let over = self.sides[side].expire(&mut self.keys, side, watermark);
                let alone: Vec<Kept> = over.into_iter().filter(|kept| !kept.has_partner).collect();
                self.give_alone(side, &alone)?;
            }
        }
        Ok(self.ready.drain(..).map(|rows| Given::Rows(vec![rows])).collect())
    }

    fn watermark(&self) -> EventTime {
        let oldest = self.sides.iter().filter_map(|side| side.due.first().map(|due| due - side.waits));
        oldest.fold(self.watermark, EventTime::min)
    }

    /// A pair is given when its later row comes, and a row without a partner when event time passes the end of its wait.
    fn latest_watermark(&self) -> EventTime {
        self.watermark
    }

    fn size(&self) -> (usize, usize) {
        (0, self.sides.iter().map(|side| side.count).sum())
    }

    fn bytes(&self) -> usize {
        let of_side = |side: &Side| side.batch_bytes.load(Ordering::Relaxed) + side.count * ROW_BYTES;
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
            side.next_batch = next_batch;
            side.load(&mut self.keys, number, &batches[number], &chunk.rows)?;
            side.number_from(next);
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
            rows: VecDeque::new(),
            first: 0,
            count: 0,
            saved: BTreeMap::new(),
            next_batch: 0,
            batch_bytes: Arc::default(),
            due: Due::default(),
            gives_alone,
        })
    }

    fn row(&self, number: u64) -> Option<&Kept> {
        self.rows.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?.as_ref()
    }

    /// The number of the next row.
    fn next(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// The next row has this number, or a later one if there are such rows.
    fn number_from(&mut self, number: u64) {
        if self.rows.is_empty() {
            self.first = self.first.max(number);
        }
        while self.next() < number {
            self.rows.push_back(None);
        }
    }

    /// Keeps rows until no partner can come; answers their numbers.
    fn keep(
        &mut self,
        keys: &mut Keys,
        side: usize,
        rows: &RecordBatch,
        times: &Int64Array,
        kept: &[usize],
    ) -> Result<Range<u64>> {
        let of_rows = self.keys_of(rows)?;
        let batch = self.batch(rows.clone());
        let first = self.next();
        for row in kept {
            let (time, number) = (EventTime(times.value(*row)), self.next());
            let (key, has_null) = of_rows.of(*row);
            let key = keys.insert(side, key, time, number);
            self.put(Kept { batch: Arc::clone(&batch), row: *row, time, key, has_null, has_partner: false });
        }
        Ok(first..self.next())
    }

    fn batch(&mut self, rows: RecordBatch) -> Arc<Batch> {
        self.next_batch += 1;
        Batch::new(self.next_batch, rows, &self.batch_bytes)
    }

    fn keys_of(&self, rows: &RecordBatch) -> Result<RowKeys> {
        let columns = self.on.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let keys = if columns.is_empty() { None } else { Some(self.converter.convert_columns(&columns)?) };
        Ok(RowKeys { columns, keys })
    }

    /// Adds the next row.
    fn put(&mut self, kept: Kept) {
        self.due.push(kept.time + self.waits, self.next());
        self.rows.push_back(Some(kept));
        self.count += 1;
    }

    /// Rows as they came, and what became of each so far.
    fn save(&mut self, saver: &mut Saver, side: usize) -> Result<()> {
        let needed: BTreeSet<u64> = self.rows.iter().flatten().map(|kept| kept.batch.number).collect();
        self.saved.retain(|batch, _| needed.contains(batch));
        if self.saved.len() >= MAX_SAVED_BATCHES {
            self.saved.clear();
        }
        // All that no checkpoint has becomes one batch.
        let mut new_rows = None;
        let rows = self.rows.iter_mut().flatten();
        let mut new: Vec<&mut Kept> = rows.filter(|kept| !self.saved.contains_key(&kept.batch.number)).collect();
        if !new.is_empty() {
            let columns = gather(&self.schema, new.iter().map(|kept| &**kept))?;
            let options = RecordBatchOptions::new().with_row_count(Some(new.len()));
            let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
            self.next_batch += 1;
            let batch = Batch::new(self.next_batch, rows, &self.batch_bytes);
            for (row, kept) in new.iter_mut().enumerate() {
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
        let kept = || self.rows.iter().flatten();
        let numbered = (self.first..).zip(&self.rows).filter(|(_, kept)| kept.is_some());
        let numbers: ArrayRef = Arc::new(numbered.map(|(number, _)| number).collect::<UInt64Array>());
        let batches: ArrayRef = Arc::new(kept().map(|kept| kept.batch.number).collect::<UInt64Array>());
        let rows: ArrayRef = Arc::new(kept().map(|kept| kept.row as u64).collect::<UInt64Array>());
        let times: ArrayRef = Arc::new(kept().map(|kept| kept.time.0).collect::<Int64Array>());
        let partners: ArrayRef = Arc::new(kept().map(|kept| Some(kept.has_partner)).collect::<BooleanArray>());
        saver.chunk(&mut Slot::default(), "kept", &(side, self.next(), self.next_batch), || {
            columns_batch(vec![numbers, batches, rows, times, partners], self.count)
        })
    }

    fn load(
        &mut self,
        keys: &mut Keys,
        side: usize,
        batches: &HashMap<u64, (Slot, RecordBatch)>,
        kept: &RecordBatch,
    ) -> Result<()> {
        let mut loaded = HashMap::new();
        for (number, (slot, rows)) in batches {
            let rows = fitted(rows, &self.schema)?;
            let of_rows = self.keys_of(&rows)?;
            loaded.insert(*number, (Batch::new(*number, rows, &self.batch_bytes), of_rows));
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
            let of = loaded.get(&of_batch.value(index)).filter(|(batch, _)| row < batch.rows.num_rows());
            let (batch, of_rows) = of.ok_or_else(|| damaged("a row of a join is missing"))?;
            let ((key, has_null), batch) = (of_rows.of(row), Arc::clone(batch));
            let (time, has_partner) = (EventTime(times.value(index)), partners.value(index));
            if numbers.value(index) < self.next() {
                return Err(damaged("rows of a join are out of order"));
            }
            self.number_from(numbers.value(index));
            let key = keys.insert(side, key, time, self.next());
            self.put(Kept { batch, row, time, key, has_null, has_partner });
        }
        Ok(())
    }

    /// Marks a row; answers whether this is its first partner.
    fn found_partner(&mut self, number: u64) -> bool {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let kept = index.and_then(|index| self.rows.get_mut(index)?.as_mut());
        kept.is_some_and(|kept| !std::mem::replace(&mut kept.has_partner, true))
    }

    /// Takes out the rows for which no partner can come any more, in the order of time.
    fn expire(&mut self, keys: &mut Keys, side: usize, watermark: EventTime) -> Vec<Kept> {
        let mut over = Vec::new();
        for (_, number) in self.due.take_before(watermark) {
            let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            let Some(kept) = self.rows.get_mut(index).and_then(Option::take) else { continue };
            keys.remove(side, kept.key, kept.time, number);
            self.count -= 1;
            over.push(kept);
        }
        while self.rows.pop_front_if(|kept| kept.is_none()).is_some() {
            self.first += 1;
        }
        over
    }

    fn gather(&self, numbers: impl Iterator<Item = u64>) -> Result<Vec<ArrayRef>> {
        gather(&self.schema, numbers.filter_map(|number| self.row(number)))
    }
}

/// The keys of some rows.
struct RowKeys {
    columns: Vec<ArrayRef>,
    /// `None`: a join without equal columns.
    keys: Option<Rows>,
}

impl RowKeys {
    /// A row's key, and whether there is a NULL in it.
    fn of(&self, row: usize) -> (&[u8], bool) {
        let key = self.keys.as_ref().map_or(&[][..], |keys| keys.row(row).data());
        (key, self.columns.iter().any(|column| column.is_null(row)))
    }
}

/// Rows from wherever they are, as columns.
fn gather<'a>(schema: &SchemaRef, kept: impl Iterator<Item = &'a Kept>) -> Result<Vec<ArrayRef>> {
    let mut numbers: datafusion::common::HashMap<u64, usize> = datafusion::common::HashMap::default();
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
