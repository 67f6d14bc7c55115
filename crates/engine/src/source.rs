//! Chunks to rows: decode once per source, add metadata and computed columns, read the event time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Chunk, Decoder, Duration, EventTime, FormatError, Metadata};
use millstream_sql::{ColumnKind, Table};

use crate::errors::Fault;
use crate::feed::row_text;
use crate::hot::isolate;
use crate::physical::physical_expr;

/// A source table, compiled: shared by all workers.
pub(crate) struct SourceSpec {
    pub(crate) table: Arc<Table>,
    inputs: SchemaRef,
    /// For each column of the table what fills it.
    fill: Vec<Fill>,
}

enum Fill {
    /// The input column with this index.
    Input(usize),
    Computed(Arc<dyn PhysicalExpr>),
}

impl SourceSpec {
    pub(crate) fn compile(table: Arc<Table>) -> Result<Self> {
        let inputs = table.input_schema();
        let schema = DFSchema::try_from(inputs.as_ref().clone())?;
        let mut next_input = 0;
        let mut fill = Vec::new();
        for column in &table.columns {
            fill.push(match &column.kind {
                ColumnKind::Computed(expr) => Fill::Computed(physical_expr(expr, &schema)?),
                ColumnKind::Physical(_) | ColumnKind::Metadata(_) => {
                    next_input += 1;
                    Fill::Input(next_input - 1)
                }
            });
        }
        Ok(Self { table, inputs, fill })
    }
}

/// The rows of one chunk, with all columns of their table.
pub(crate) struct SourceRows {
    pub(crate) rows: RecordBatch,
    /// Event times in milliseconds, none null; `None` for a table without one.
    pub(crate) times: Option<Int64Array>,
    /// The watermark that these rows justify, before the delay.
    pub(crate) latest: Option<EventTime>,
    /// Records that became no row.
    pub(crate) faults: Vec<Fault>,
    /// Rows whose time is too far after their arrival to move event time: they count, and are reported.
    pub(crate) future: Vec<Fault>,
}

/// Decodes the chunks of one source on one worker.
pub(crate) struct SourceDecoder {
    spec: Arc<SourceSpec>,
    decoder: Box<dyn Decoder>,
}

impl SourceDecoder {
    pub(crate) fn new(spec: Arc<SourceSpec>, decoder: Box<dyn Decoder>) -> Self {
        Self { spec, decoder }
    }

    pub(crate) fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    /// Decodes a chunk. `watermark` is its shard's: arrival time never falls behind it.
    pub(crate) fn decode(&mut self, chunk: &Chunk, watermark: EventTime) -> Result<SourceRows, FormatError> {
        let decoded = self.decoder.decode(chunk)?;
        let fault = |record: u32, reason: &str| Fault::of_record(&self.spec.table.decl.name, chunk, record, reason);
        let mut faults: Vec<Fault> = decoded
            .rejected
            .iter()
            .map(|rejected| fault(rejected.record, &rejected.reason).named("coercion"))
            .collect();
        let records = decoded.records.map(UInt32Array::from);
        let inputs = self.inputs(chunk, &decoded.rows, records.as_ref()).map_err(into_format)?;
        let (mut rows, mut kept) = (Vec::new(), Vec::new());
        isolate(
            &inputs,
            0,
            &mut |part, first| {
                rows.push(self.compute(part)?);
                kept.push(first..first + part.num_rows());
                Ok(())
            },
            &mut |row, reason| {
                let record = records.as_ref().map_or_else(|| u32::try_from(row).unwrap_or(0), |r| r.value(row));
                faults.push(fault(record, &reason).named("computed column"));
            },
        );
        let rows = match rows.len() {
            1 => rows.remove(0),
            _ => arrow::compute::concat_batches(&self.spec.table.schema, &rows)?,
        };
        let Some(time) = self.spec.table.time else {
            return Ok(SourceRows { rows, times: None, latest: None, faults, future: Vec::new() });
        };
        let times = millis(rows.column(time.column)).map_err(into_format)?;
        let (rows, times, arrivals) = self.with_times(chunk, rows, times, records.as_ref(), &kept, &mut faults)?;
        let (rows, times) = if self.spec.table.runs_on_arrival_time() {
            monotone(&rows, &times, time.column, watermark)?
        } else {
            (rows, times)
        };
        let skew = self.spec.table.progress.max_future_skew;
        let latest = latest(&times, &arrivals, skew);
        let future = self.future(chunk, &rows, &times, &arrivals, skew);
        Ok(SourceRows { rows, times: Some(times), latest, faults, future })
    }

    /// The physical and metadata columns.
    fn inputs(&self, chunk: &Chunk, physical: &RecordBatch, records: Option<&UInt32Array>) -> Result<RecordBatch> {
        let rows = physical.num_rows();
        let pick = |all: ArrayRef| -> Result<ArrayRef> {
            match records {
                Some(records) => Ok(take(&all, records, None)?),
                None => Ok(all),
            }
        };
        let text = |all: Option<&StringArray>| match all {
            Some(all) => pick(Arc::new(all.clone())),
            None => Ok(Arc::new(StringArray::new_null(rows)) as ArrayRef),
        };
        let columns = self.spec.table.columns.iter().filter_map(|column| match &column.kind {
            ColumnKind::Physical(index) => Some(Ok(Arc::clone(physical.column(*index)))),
            ColumnKind::Computed(_) => None,
            ColumnKind::Metadata(metadata) => Some(match metadata {
                Metadata::ShardId => {
                    Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(chunk.shard.as_str(), rows)))
                        as ArrayRef)
                }
                Metadata::PartitionKey => text(chunk.keys.as_ref()),
                Metadata::SequenceNumber => text(chunk.sequence_numbers.as_ref()),
                Metadata::SubSequenceNumber => Ok(Arc::new(Int64Array::from(vec![0; rows])) as ArrayRef),
                Metadata::ArrivalTimestamp => pick(Arc::new(chunk.arrivals.clone())),
            }),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.spec.inputs), columns, &options)?)
    }

    /// All columns of the table, in declared order.
    fn compute(&self, inputs: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.spec.fill.iter().map(|fill| match fill {
            Fill::Input(index) => Ok(Arc::clone(inputs.column(*index))),
            Fill::Computed(expr) => expr.evaluate(inputs)?.into_array(inputs.num_rows()),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(inputs.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.spec.table.schema), columns, &options)?)
    }

    fn future(
        &self,
        chunk: &Chunk,
        rows: &RecordBatch,
        times: &Int64Array,
        arrivals: &[i64],
        skew: Duration,
    ) -> Vec<Fault> {
        let ahead = times
            .values()
            .iter()
            .zip(arrivals)
            .enumerate()
            .filter(|(_, (time, arrival))| EventTime(**time) - EventTime(**arrival) > skew);
        ahead
            .map(|(row, (time, arrival))| {
                let ahead = (EventTime(*time) - EventTime(*arrival)).0;
                let reason = format!(
                    "its time is {ahead} ms after its arrival; event time follows it no further than {} ms (scan.watermark.max-future-skew)",
                    skew.0
                );
                let text = row_text(rows, row);
                let name = &self.spec.table.decl.name;
                Fault::of_source_row(name, chunk.shard.as_str(), Some(EventTime(*time)), text, reason)
            })
            .collect()
    }

    /// Drops rows without an event time, and finds each row's arrival.
    fn with_times(
        &self,
        chunk: &Chunk,
        rows: RecordBatch,
        times: Int64Array,
        records: Option<&UInt32Array>,
        kept: &[std::ops::Range<usize>],
        faults: &mut Vec<Fault>,
    ) -> Result<(RecordBatch, Int64Array, Vec<i64>), FormatError> {
        let record_of = |row: usize| records.map_or(row, |records| records.value(row) as usize);
        let record_rows: Vec<usize> = kept.iter().cloned().flatten().map(record_of).collect();
        let arrivals: Vec<i64> = record_rows.iter().map(|record| chunk.arrivals.value(*record)).collect();
        if times.null_count() == 0 {
            return Ok((rows, times, arrivals));
        }
        let name = self.spec.table.time_column().map_or("", |column| column.field.name().as_str());
        for (row, record) in record_rows.iter().enumerate() {
            if times.is_null(row) {
                let record = u32::try_from(*record).unwrap_or(0);
                let reason = format!("the event time `{name}` is null");
                faults
                    .push(Fault::of_record(&self.spec.table.decl.name, chunk, record, &reason).named("no event time"));
            }
        }
        let present = BooleanArray::new(
            times
                .nulls()
                .map_or_else(|| arrow::buffer::BooleanBuffer::new_set(times.len()), |nulls| nulls.inner().clone()),
            None,
        );
        let rows = filter_record_batch(&rows, &present)?;
        let times = arrow::compute::filter(&times, &present)?;
        let arrivals = arrivals.into_iter().zip(present.values().iter()).filter_map(|(at, kept)| kept.then_some(at));
        Ok((rows, times.as_primitive::<Int64Type>().clone(), arrivals.collect()))
    }
}

fn into_format(error: DataFusionError) -> FormatError {
    match error {
        DataFusionError::ArrowError(error, _) => FormatError::Arrow(*error),
        other => FormatError::Arrow(arrow::error::ArrowError::ComputeError(other.strip_backtrace())),
    }
}

/// A timestamp column of any unit and zone as milliseconds: the instant stays the same.
pub(crate) fn millis(column: &ArrayRef) -> Result<Int64Array> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let millis = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
    Ok(cast(&millis, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Arrival time that never goes back, within the batch and behind the shard's watermark.
fn monotone(
    rows: &RecordBatch,
    times: &Int64Array,
    column: usize,
    watermark: EventTime,
) -> Result<(RecordBatch, Int64Array), FormatError> {
    let mut latest = watermark.0;
    let times: Int64Array = times
        .values()
        .iter()
        .map(|time| {
            latest = latest.max(*time);
            Some(latest)
        })
        .collect();
    let mut columns = rows.columns().to_vec();
    let as_time: TimestampMillisecondArray = times.reinterpret_cast();
    columns[column] = cast(&as_time, rows.schema().field(column).data_type())?;
    Ok((RecordBatch::try_new(rows.schema(), columns)?, times))
}

/// The furthest event time, where a time far after its record's arrival is taken for a wrong clock.
fn latest(times: &Int64Array, arrivals: &[i64], skew: Duration) -> Option<EventTime> {
    let clamped =
        times.values().iter().zip(arrivals).map(|(time, arrival)| (*time).min(arrival.saturating_add(skew.0)));
    clamped.max().map(EventTime)
}
