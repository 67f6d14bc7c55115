//! Chunks to rows: decode once per source, add metadata and computed columns, read the event time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use millstream_core::{
    Chunk, Decoded, Decoder, Duration, EventTime, FormatError, Metadata, Rejected, ShardId, Verdict,
};
use millstream_sql::{ColumnKind, Table};

use crate::errors::Fault;
use crate::feed::columns_text;
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

    /// The columns, of those of the table, that are needed whoever reads it: its event time, and what computed columns
    /// are computed from.
    pub(crate) fn always_wanted(&self) -> Vec<bool> {
        let mut inputs = vec![false; self.inputs.fields().len()];
        for fill in &self.fill {
            if let Fill::Computed(expr) = fill {
                collect_columns(expr).iter().for_each(|column| inputs[column.index()] = true);
            }
        }
        let time = self.table.time.map(|time| time.column);
        (self.fill.iter().enumerate())
            .map(|(column, fill)| match fill {
                Fill::Input(input) => inputs[*input] || time == Some(column),
                Fill::Computed(_) => true,
            })
            .collect()
    }

    /// Places decoded rows in time. `watermark` is their shard's: arrival time never falls behind it.
    pub(crate) fn in_time(&self, decoded: SourceRows, shard: &ShardId, watermark: EventTime) -> Result<SourceRows> {
        let (Some(time), Some(times)) = (self.table.time, &decoded.times) else { return Ok(decoded) };
        let arrivals = &decoded.arrivals;
        let (rows, times) = if self.table.runs_on_arrival_time() {
            monotone(&decoded.rows, times, time.column, watermark)?
        } else {
            (decoded.rows.clone(), times.clone())
        };
        let skew = self.table.progress.max_future_skew;
        let latest = latest(&times, arrivals, skew);
        let future = self.future(shard, &decoded, &times, skew);
        Ok(SourceRows { rows, times: Some(times), latest, future, ..decoded })
    }

    fn future(&self, shard: &ShardId, decoded: &SourceRows, times: &Int64Array, skew: Duration) -> Vec<Fault> {
        let ahead = times
            .values()
            .iter()
            .zip(decoded.arrivals.iter())
            .enumerate()
            .filter(|(_, (time, arrival))| EventTime(**time) - EventTime(**arrival) > skew);
        ahead
            .map(|(row, (time, arrival))| {
                let ahead = (EventTime(*time) - EventTime(*arrival)).0;
                let reason = format!(
                    "its time is {ahead} ms after its arrival; event time follows it no further than {} ms (scan.watermark.max-future-skew)",
                    skew.0
                );
                let text = decoded.text(row);
                let name = &self.table.decl.name;
                Fault::of_source_row(name, shard.as_str(), Some(EventTime(*time)), text, reason)
            })
            .collect()
    }
}

/// The rows of one chunk. They have all columns of their table, but only those that were wanted have their values.
pub(crate) struct SourceRows {
    pub(crate) rows: RecordBatch,
    columns: Arc<[bool]>,
    /// Event times in milliseconds, none null; `None` for a table without one.
    pub(crate) times: Option<Int64Array>,
    /// When the record of each arrived.
    arrivals: ScalarBuffer<i64>,
    /// The watermark that these rows justify, before the delay. Known once they are placed in time.
    pub(crate) latest: Option<EventTime>,
    /// Records that became no row.
    pub(crate) faults: Vec<Fault>,
    /// Records that a transform has dropped: they count as filtered.
    pub(crate) dropped: u64,
    /// Rows whose time is too far after their arrival to move event time: they count, and are reported.
    pub(crate) future: Vec<Fault>,
}

impl SourceRows {
    /// Whether all of these columns have their values.
    pub(crate) fn have(&self, wanted: &[bool]) -> bool {
        self.columns.iter().zip(wanted).all(|(has, wanted)| *has || !wanted)
    }

    /// A row as text, for `error_stream`: the columns that have values.
    pub(crate) fn text(&self, row: usize) -> String {
        columns_text(&self.rows, (0..self.columns.len()).filter(|column| self.columns[*column]), row)
    }
}

/// Decodes the chunks of one source on one worker.
pub(crate) struct SourceDecoder {
    spec: Arc<SourceSpec>,
    decoder: Box<dyn Decoder>,
    columns: Arc<[bool]>,
}

impl SourceDecoder {
    pub(crate) fn new(spec: Arc<SourceSpec>, decoder: Box<dyn Decoder>) -> Self {
        let columns = vec![true; spec.fill.len()].into();
        Self { spec, decoder, columns }
    }

    pub(crate) fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    /// Gives only these columns their values from now on; records are checked as before.
    pub(crate) fn want(&mut self, columns: &Arc<[bool]>) {
        let table = &self.spec.table;
        let mut physical = vec![true; table.decl.schema.fields().len()];
        for (column, wanted) in table.columns.iter().zip(columns.iter()) {
            if let ColumnKind::Physical(index) = column.kind {
                physical[index] = *wanted;
            }
        }
        self.decoder.want(&physical);
        self.columns = Arc::clone(columns);
    }

    /// Decodes a chunk. What is decoded is still to be placed in time.
    pub(crate) fn decode(&mut self, chunk: &Chunk) -> Result<SourceRows, FormatError> {
        let (decoded, dropped, refused) = self.decode_used(chunk)?;
        let fault = |record: u32, reason: &str| Fault::of_record(&self.spec.table.decl.name, chunk, record, reason);
        let mut faults: Vec<Fault> = decoded
            .rejected
            .iter()
            .map(|rejected| fault(rejected.record, &rejected.reason).named("coercion"))
            .collect();
        faults.extend(refused.iter().map(|refused| fault(refused.record, &refused.reason).named("transform")));
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
        let columns = Arc::clone(&self.columns);
        let (rows, times, arrivals) = match self.spec.table.time {
            None => (rows, None, ScalarBuffer::default()),
            Some(time) => {
                let times = millis(rows.column(time.column)).map_err(into_format)?;
                let (rows, times, arrivals) =
                    self.with_times(chunk, rows, times, records.as_ref(), &kept, &mut faults)?;
                (rows, Some(times), arrivals)
            }
        };
        Ok(SourceRows { rows, columns, times, arrivals, latest: None, faults, dropped, future: Vec::new() })
    }

    /// Decodes the records that a transform has left; answers also how many it has dropped, and which it refuses.
    fn decode_used(&mut self, chunk: &Chunk) -> Result<(Decoded, u64, Vec<Rejected>), FormatError> {
        let (Some((used, places)), Some(verdicts)) = (chunk.used()?, &chunk.verdicts) else {
            return Ok((self.decoder.decode(chunk)?, 0, Vec::new()));
        };
        let Decoded { rows, records, mut rejected } = self.decoder.decode(&used)?;
        for rejected in &mut rejected {
            rejected.record = places[rejected.record as usize];
        }
        let records = match records {
            Some(records) => records.into_iter().map(|record| places[record as usize]).collect(),
            None => places,
        };
        let refused = |(record, verdict): (u32, &Verdict)| match verdict {
            Verdict::Reject(reason) => Some(Rejected { record, reason: reason.to_string() }),
            Verdict::Use | Verdict::Drop => None,
        };
        let dropped = verdicts.iter().filter(|verdict| **verdict == Verdict::Drop).count() as u64;
        let refused = (0..).zip(verdicts.iter()).filter_map(refused).collect();
        Ok((Decoded { rows, records: Some(records), rejected }, dropped, refused))
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
                Metadata::SubSequenceNumber => match &chunk.sub_sequence_numbers {
                    Some(numbers) => pick(Arc::new(numbers.clone())),
                    None => Ok(Arc::new(Int64Array::from(vec![0; rows])) as ArrayRef),
                },
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

    /// Drops rows without an event time, and finds each row's arrival.
    fn with_times(
        &self,
        chunk: &Chunk,
        rows: RecordBatch,
        times: Int64Array,
        records: Option<&UInt32Array>,
        kept: &[std::ops::Range<usize>],
        faults: &mut Vec<Fault>,
    ) -> Result<(RecordBatch, Int64Array, ScalarBuffer<i64>), FormatError> {
        if times.null_count() == 0 && rows.num_rows() == chunk.len() && records.is_none() {
            return Ok((rows, times, chunk.arrivals.values().clone()));
        }
        let record_of = |row: usize| records.map_or(row, |records| records.value(row) as usize);
        let record_rows: Vec<usize> = kept.iter().cloned().flatten().map(record_of).collect();
        let arrivals: Vec<i64> = record_rows.iter().map(|record| chunk.arrivals.value(*record)).collect();
        if times.null_count() == 0 {
            return Ok((rows, times, arrivals.into()));
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
        let arrivals: Vec<i64> = arrivals.collect();
        Ok((rows, times.as_primitive::<Int64Type>().clone(), arrivals.into()))
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
) -> Result<(RecordBatch, Int64Array)> {
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
