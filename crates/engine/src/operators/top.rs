//! The first rows of each partition in some order: `ROW_NUMBER() OVER (…) <= n` along a stream, which only adds rows.
//! Only the rows that are among the first are kept, and partitions that changed are given again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{Leaf, Top};

use super::computable::{Computable, Computed};
use super::saved_keys::{SavedKeys, keys_batch, lists};
use super::{Given, Operator, Taken};
use crate::checkpoint::{KeyedLog, Saved, Saver};
use crate::physical::physical_expr;

/// What a partition takes beside its rows.
const PARTITION_BYTES: usize = 160;

/// The state of a top-N.
pub(crate) struct TopOperator {
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    order_by: Vec<Arc<dyn PhysicalExpr>>,
    computable: Computable,
    limit: usize,
    later_first: bool,
    ttl: Option<Duration>,
    keys: RowConverter,
    order: RowConverter,
    rows: RowConverter,
    partitions: HashMap<OwnedRow, Partition>,
    /// Bytes of the rows that are kept.
    row_bytes: usize,
    changed: BTreeSet<OwnedRow>,
    log: KeyedLog,
    input: SchemaRef,
    output: SchemaRef,
    now: EventTime,
    watermark: EventTime,
}

struct Partition {
    /// The first rows, in order.
    first: Vec<(OwnedRow, OwnedRow)>,
    changed_at: EventTime,
    /// How many of its rows have been given.
    given: usize,
}

impl TopOperator {
    pub(crate) fn new(top: &Top, leaf: &Leaf) -> Result<Self> {
        let schema: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
        let compile = |expr| physical_expr(expr, &leaf.schema);
        let partition_by = top.partition_by.iter().map(compile).collect::<Result<Vec<_>>>()?;
        let order_by = top.order_by.iter().map(|sort| compile(&sort.expr)).collect::<Result<Vec<_>>>()?;
        let key_fields = partition_by.iter().map(|key| Ok(SortField::new(key.data_type(&schema)?)));
        let order_fields = order_by.iter().zip(&top.order_by).map(|(expr, sort)| {
            let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
            Ok(SortField::new_with_options(expr.data_type(&schema)?, options))
        });
        let row_fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Self {
            keys: RowConverter::new(key_fields.collect::<Result<_>>()?)?,
            order: RowConverter::new(order_fields.collect::<Result<_>>()?)?,
            rows: RowConverter::new(row_fields)?,
            computable: Computable::new(partition_by.iter().chain(&order_by).cloned()),
            partition_by,
            order_by,
            limit: top.limit,
            later_first: top.later_first,
            ttl: top.ttl,
            partitions: HashMap::new(),
            row_bytes: 0,
            changed: BTreeSet::new(),
            log: KeyedLog::default(),
            input: schema,
            output: Arc::new(top.schema.as_arrow().clone()),
            now: EventTime::MIN,
            watermark: EventTime::MIN,
        })
    }

    /// The keys by which rows of these partitions are found, one for each row.
    fn found_by(&self, partitions: &[&OwnedRow], numbers: &[u64]) -> Result<Vec<ArrayRef>> {
        let mut keys = if self.partition_by.is_empty() {
            Vec::new()
        } else {
            self.keys.convert_rows(partitions.iter().map(|key| key.row()))?
        };
        if self.limit > 1 {
            keys.push(Arc::new(UInt64Array::from(numbers.to_vec())));
        }
        Ok(keys)
    }

    fn expired(&mut self) -> Result<Option<Given>> {
        let Some(ttl) = self.ttl else { return Ok(None) };
        let over = self.partitions.iter().filter(|(_, partition)| partition.changed_at + ttl < self.now);
        let over: Vec<OwnedRow> = over.map(|(key, _)| key.clone()).collect();
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        for key in &over {
            let Some(partition) = self.partitions.remove(key) else { continue };
            self.row_bytes -= partition.first.iter().map(bytes_of).sum::<usize>();
            self.log.touch(key);
            for number in 1..=partition.given as u64 {
                keys.push(key);
                numbers.push(number);
            }
        }
        if keys.is_empty() { Ok(None) } else { Ok(Some(Given::Gone(self.found_by(&keys, &numbers)?))) }
    }
}

/// A row with its order.
fn bytes_of((order, row): &(OwnedRow, OwnedRow)) -> usize {
    size_of::<(OwnedRow, OwnedRow)>() + order.as_ref().len() + row.as_ref().len()
}

fn rows_of(converter: &RowConverter, exprs: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<OwnedRow>> {
    if exprs.is_empty() {
        return Ok(vec![converter.parser().parse(&[]).owned(); rows.num_rows()]);
    }
    let columns = exprs.iter().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows()));
    Ok(converter.convert_columns(&columns.collect::<Result<Vec<_>>>()?)?.iter().map(|row| row.owned()).collect())
}

impl Operator for TopOperator {
    fn take_rows(&mut self, _: usize, rows: &RecordBatch, _: Option<&Int64Array>) -> Result<Taken> {
        let Computed { rows, rejected, .. } = self.computable.check(rows, None)?;
        let keys = rows_of(&self.keys, &self.partition_by, &rows)?;
        let order = rows_of(&self.order, &self.order_by, &rows)?;
        let whole = self.rows.convert_columns(rows.columns())?;
        for (row, (key, order)) in keys.into_iter().zip(order).enumerate() {
            let partition = self.partitions.entry(key.clone()).or_insert_with(|| Partition {
                first: Vec::new(),
                changed_at: self.now,
                given: 0,
            });
            // A partition that came after its time begins anew.
            if self.ttl.is_some_and(|ttl| partition.changed_at + ttl < self.now) {
                self.row_bytes -= partition.first.drain(..).map(|row| bytes_of(&row)).sum::<usize>();
            }
            partition.changed_at = self.now;
            let comes_before = |other: &OwnedRow| if self.later_first { *other < order } else { *other <= order };
            let place = partition.first.partition_point(|(other, _)| comes_before(other));
            if place < self.limit {
                let row = (order, whole.row(row).owned());
                self.row_bytes += bytes_of(&row);
                partition.first.insert(place, row);
                let over = partition.first.drain(self.limit.min(partition.first.len())..);
                self.row_bytes -= over.map(|row| bytes_of(&row)).sum::<usize>();
                self.changed.insert(key);
            }
        }
        Ok(Taken { rejected, ..Taken::all(rows.num_rows()) })
    }

    fn set_now(&mut self, now: EventTime) {
        self.now = self.now.max(now);
    }

    fn advance(&mut self, watermark: EventTime, now: EventTime) -> Result<Vec<Given>> {
        self.watermark = self.watermark.max(watermark);
        self.now = self.now.max(now);
        let changed = std::mem::take(&mut self.changed);
        let (mut keys, mut numbers, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for key in &changed {
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            partition.given = partition.first.len();
            self.log.touch(key);
        }
        for key in &changed {
            for (number, (_, row)) in (1_u64..).zip(self.partitions.get(key).into_iter().flat_map(|of| &of.first)) {
                keys.push(key);
                numbers.push(number);
                rows.push(row.row());
            }
        }
        let mut given = Vec::new();
        if !rows.is_empty() {
            let mut columns = self.rows.convert_rows(rows)?;
            columns.push(Arc::new(UInt64Array::from(numbers.clone())));
            let fields = self.output.fields();
            let fitted = columns.into_iter().zip(fields).map(|(column, field)| cast(&column, field.data_type()));
            let rows = RecordBatch::try_new(Arc::clone(&self.output), fitted.collect::<std::result::Result<_, _>>()?)?;
            given.push(Given::Changed { rows, keys: self.found_by(&keys, &numbers)? });
        }
        given.extend(self.expired()?);
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn size(&self) -> (usize, usize) {
        (0, self.partitions.values().map(|partition| partition.first.len()).sum())
    }

    fn bytes(&self) -> usize {
        self.row_bytes + self.partitions.len() * PARTITION_BYTES
    }

    fn remember(&mut self) {
        self.log.enable();
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        saver.value("now", &self.now.0)?;
        let partitions = &self.partitions;
        let keys = self.log.changed(partitions.len(), || partitions.keys().cloned().collect());
        let kept: Vec<Option<&Partition>> = keys.iter().map(|key| partitions.get(key)).collect();
        let gone = kept.iter().map(Option::is_none).collect();
        let changed_at = kept.iter().map(|kept| kept.map_or(0, |partition| partition.changed_at.0));
        let changed_at: ArrayRef = Arc::new(changed_at.collect::<Int64Array>());
        let rows = kept.iter().flatten().flat_map(|partition| &partition.first).map(|(_, row)| row.row());
        let rows = RecordBatch::try_new(Arc::clone(&self.input), self.rows.convert_rows(rows)?)?;
        let rows = lists(&rows, kept.iter().map(|kept| kept.map_or(0, |partition| partition.first.len())))?;
        let batch = keys_batch(&self.keys, !self.partition_by.is_empty(), &keys, gone, [changed_at, rows])?;
        self.log.save(saver, "partitions", batch)
    }

    /// Every row is given anew: the table that shows them is not part of the checkpoint.
    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        self.now = EventTime(saved.value("now")?);
        for rows in self.log.load(saved, "partitions") {
            let saved = SavedKeys::read(&rows, &self.keys, self.partition_by.len())?;
            for (row, key) in saved.keys.iter().enumerate() {
                if saved.is_gone(row) {
                    let gone = self.partitions.remove(key);
                    self.row_bytes -= gone.iter().flat_map(|gone| &gone.first).map(bytes_of).sum::<usize>();
                    continue;
                }
                let rows = saved.rows(1, row, &self.input)?;
                let order = rows_of(&self.order, &self.order_by, &rows)?;
                let whole = self.rows.convert_columns(rows.columns())?;
                let first: Vec<_> = order.into_iter().zip(whole.iter().map(|row| row.owned())).collect();
                let partition = Partition { given: first.len(), first, changed_at: EventTime(saved.number(0, row)?) };
                self.row_bytes += partition.first.iter().map(bytes_of).sum::<usize>();
                let former = self.partitions.insert(key.clone(), partition);
                self.row_bytes -= former.iter().flat_map(|former| &former.first).map(bytes_of).sum::<usize>();
            }
        }
        self.changed = self.partitions.keys().cloned().collect();
        Ok(())
    }
}
