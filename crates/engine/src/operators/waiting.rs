//! Rows that event time has not passed yet, and their order once it has.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::EventTime;

use super::Taken;
use super::computable::{Computable, Computed};
use super::saved_keys::damaged;
use crate::checkpoint::{Saved, Saver, Slot};

/// One ORDER BY expression.
pub(in crate::operators) type OrderBy = (Arc<dyn PhysicalExpr>, SortOptions);

/// See the module.
pub(in crate::operators) struct Waiting {
    schema: SchemaRef,
    /// The first is the event time. None: that alone.
    order_by: Vec<OrderBy>,
    computable: Computable,
    /// In the order of time within each batch, and of arrival from batch to batch and among what is equal.
    batches: Vec<(RecordBatch, Int64Array)>,
    pub(in crate::operators) watermark: EventTime,
}

impl Waiting {
    pub(in crate::operators) fn new(schema: SchemaRef, order_by: Vec<OrderBy>, computable: Computable) -> Self {
        Self { schema, order_by, computable, batches: Vec::new(), watermark: EventTime::MIN }
    }

    /// Takes rows whose expressions can be computed and that are not late.
    pub(in crate::operators) fn take(&mut self, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        let Computed { rows, times: Some(times), rejected } = self.computable.check(rows, times)? else {
            return Ok(Taken::default());
        };
        let mut order: Vec<(i64, u32)> = times.values().iter().copied().zip(0..).collect();
        let late = order.extract_if(.., |(time, _)| *time < self.watermark.0);
        let late: Vec<_> = late.map(|(time, _)| (EventTime(time), None)).collect();
        let used = order.len();
        if used > 0 {
            let is_as_it_came = late.is_empty() && order.is_sorted();
            let batch = if is_as_it_came {
                (rows, times)
            } else {
                // Rows of one time stay in the order in which they came: their numbers go up.
                order.sort_unstable();
                let (times, numbers): (Vec<i64>, Vec<u32>) = order.into_iter().unzip();
                (take_record_batch(&rows, &UInt32Array::from(numbers))?, Int64Array::from(times))
            };
            self.batches.push(batch);
        }
        Ok(Taken { used, late, rejected, ..Taken::default() })
    }

    /// Takes out the rows that event time has passed, in the order of ORDER BY; what is equal in it stays in the order
    /// in which it came.
    pub(in crate::operators) fn ready(&mut self) -> Result<Option<(RecordBatch, Int64Array)>> {
        let (mut ready, mut still) = (Vec::new(), Vec::new());
        for (rows, times) in self.batches.drain(..) {
            let passed = match self.watermark {
                EventTime::MAX => times.len(),
                EventTime(watermark) => times.values().partition_point(|time| *time < watermark),
            };
            let left = times.len() - passed;
            if passed > 0 {
                ready.push((rows.slice(0, passed), times.slice(0, passed)));
            }
            if left > 0 {
                still.push((rows.slice(passed, left), times.slice(passed, left)));
            }
        }
        self.batches = still;
        if ready.is_empty() {
            return Ok(None);
        }
        let rows = concat_batches(&self.schema, ready.iter().map(|(rows, _)| rows))?;
        let times: Vec<i64> = ready.iter().flat_map(|(_, times)| times.values().iter().copied()).collect();
        let is_by_time = match self.order_by.as_slice() {
            [] => true,
            [(_, options)] => !options.descending,
            _ => false,
        };
        let order = if is_by_time {
            let mut order: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
            order.sort_unstable();
            order.into_iter().map(|(_, row)| row).collect()
        } else {
            let mut columns = order_columns(&self.order_by, &rows)?;
            let arrival = UInt32Array::from_iter_values(0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
            columns.push(SortColumn { values: Arc::new(arrival), options: None });
            lexsort_to_indices(&columns, None)?
        };
        let rows = take_record_batch(&rows, &order)?;
        let times = order.values().iter().map(|row| times[*row as usize]).collect();
        Ok(Some((rows, times)))
    }

    pub(in crate::operators) fn len(&self) -> usize {
        self.batches.iter().map(|(_, times)| times.len()).sum()
    }

    /// Bytes of memory. A batch of which a part has gone is there as a whole.
    pub(in crate::operators) fn bytes(&self) -> usize {
        self.batches.iter().map(|(rows, _)| rows.get_array_memory_size()).sum()
    }

    pub(in crate::operators) fn save(&self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        let rows = concat_batches(&self.schema, self.batches.iter().map(|(rows, _)| rows))?;
        let times: Int64Array = self.batches.iter().flat_map(|(_, times)| times.values().iter().copied()).collect();
        if rows.num_rows() > 0 {
            saver.chunk(&mut Slot::default(), "waiting", &(), || with_times(&rows, times))?;
        }
        Ok(())
    }

    pub(in crate::operators) fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let watermark = EventTime(saved.value("watermark")?);
        for chunk in saved.chunks("waiting") {
            let (rows, times) = without_times(&chunk.rows, &self.schema)?;
            self.take(&rows, Some(&times))?;
        }
        self.watermark = watermark;
        Ok(())
    }
}

/// The ORDER BY columns of some rows.
pub(in crate::operators) fn order_columns(order_by: &[OrderBy], rows: &RecordBatch) -> Result<Vec<SortColumn>> {
    let column = |(expr, options): &OrderBy| {
        let values = expr.evaluate(rows)?.into_array(rows.num_rows())?;
        Ok(SortColumn { values, options: Some(*options) })
    };
    order_by.iter().map(column).collect()
}

/// Rows with their times as a column behind them.
pub(in crate::operators) fn with_times(rows: &RecordBatch, times: Int64Array) -> Result<RecordBatch> {
    let columns = rows.columns().iter().cloned().chain([Arc::new(times) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(timed_schema(&rows.schema()), columns)?)
}

pub(in crate::operators) fn timed_schema(schema: &SchemaRef) -> SchemaRef {
    let time = Arc::new(Field::new("time", DataType::Int64, false));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([time]).collect::<Vec<_>>()))
}

pub(in crate::operators) fn without_times(rows: &RecordBatch, schema: &SchemaRef) -> Result<(RecordBatch, Int64Array)> {
    let (times, columns) = rows.columns().split_last().ok_or_else(|| damaged("rows have no times"))?;
    let times = times.as_primitive_opt::<Int64Type>().ok_or_else(|| damaged("rows have no times"))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns.to_vec(), &options)?;
    Ok((rows, times.clone()))
}
