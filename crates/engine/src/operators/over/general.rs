//! OVER by DataFusion's window expressions.
//!
//! Rows of a partition are kept as far back as frames reach. What begins with the partition runs along as one value, so
//! that nothing is kept of it but that. The rest is computed over the rows at hand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, partition, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, WindowFrameBound, WindowFunctionDefinition};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_planner::create_window_expr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{Leaf, Over, in_arrival_order, window_function};

use super::super::computable::Computable;
use super::super::saved_keys::{SavedKeys, keys_batch, lists};
use super::super::waiting::{OrderBy, Waiting, order_columns, timed_schema, with_times, without_times};
use super::super::{Given, Operator, Taken};
use super::arrival::ArrivalFunction;
use super::frame::{FrameEnd, Needs, Reach};
use super::running::{Along, Running, RunningFunction};
use crate::checkpoint::{KeyedLog, Saved, Saver};
use crate::physical::physical_expr;

/// Partitions that have been silent are looked at this often at the most, to let go of rows no frame reaches.
const SWEEP: Duration = Duration::from_secs(60);

/// What a partition takes beside its rows, and each running value.
const PARTITION_BYTES: usize = 200;
const RUNNING_BYTES: usize = 100;

/// The state of OVER.
pub(crate) struct GeneralOver {
    functions: Vec<Function>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    order_by: Vec<OrderBy>,
    /// How far back rows are kept, in rows and in time.
    rows_before: usize,
    time_before: Duration,
    /// Rows of one time come one after another, as they arrived: none is the peer of another.
    in_arrival_order: bool,
    converter: RowConverter,
    partitions: HashMap<OwnedRow, Partition>,
    /// Bytes of all partitions.
    partition_bytes: usize,
    /// Running values of a partition that got no row for so long go.
    ttl: Option<Duration>,
    waiting: Waiting,
    /// Partitions with rows that wait for what follows them.
    unfinished: BTreeSet<OwnedRow>,
    log: KeyedLog,
    input: SchemaRef,
    output: SchemaRef,
    swept: EventTime,
}

struct Function {
    way: Way,
    needs: Needs,
    value_type: DataType,
}

enum Way {
    /// Over the rows at hand.
    AtHand(Arc<dyn WindowExpr>),
    /// Along the partition from its beginning.
    Along(RunningFunction, FrameEnd),
    /// Over the rows at hand as they arrived.
    Arrival(ArrivalFunction),
}

struct Partition {
    rows: Option<RecordBatch>,
    times: Vec<EventTime>,
    /// How many of the rows have been given.
    given: usize,
    /// For each function that runs along its value, and how many of the rows it has taken in.
    running: Vec<(Running, usize)>,
    /// The time of its newest row that was given.
    last: EventTime,
    /// When it was last measured.
    bytes: usize,
}

impl Default for Partition {
    fn default() -> Self {
        Self { rows: None, times: Vec::new(), given: 0, running: Vec::new(), last: EventTime::MAX, bytes: 0 }
    }
}

impl Partition {
    /// Bytes of memory, as they are counted from now on.
    fn measure(&mut self) -> usize {
        let rows = self.rows.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        let times = self.times.capacity() * size_of::<EventTime>();
        self.bytes = PARTITION_BYTES + rows + times + self.running.len() * RUNNING_BYTES;
        self.bytes
    }
}

impl GeneralOver {
    pub(crate) fn new(over: &Over, leaf: &Leaf) -> Result<Self> {
        let schema = leaf.schema.as_ref();
        let compile = |expr: &Expr| physical_expr(expr, schema);
        let mut functions = Vec::new();
        let mut arguments = Vec::new();
        let mut order_by = Vec::new();
        let output: SchemaRef = Arc::new(over.schema.as_arrow().clone());
        let types = output.fields().iter().skip(schema.fields().len()).map(|field| field.data_type().clone());
        for (expr, value_type) in over.functions.iter().zip(types) {
            let function = window_function(expr)
                .ok_or_else(|| DataFusionError::Internal(format!("{expr} is not a window function")))?;
            if order_by.is_empty() {
                for sort in &function.params.order_by {
                    let options = arrow::compute::SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
                    order_by.push((compile(&sort.expr)?, options));
                }
            }
            let inputs = function.params.args.iter().chain(function.params.filter.as_deref());
            arguments.extend(inputs.map(compile).collect::<Result<Vec<_>>>()?);
            functions.push(Function::compile(expr, function, schema, value_type)?);
        }
        let partition_by = over.partition_by.iter().map(compile).collect::<Result<Vec<_>>>()?;
        let input: SchemaRef = Arc::new(schema.as_arrow().clone());
        let fields = partition_by.iter().map(|key| Ok(SortField::new(key.data_type(&input)?)));
        let in_arrival_order = over.functions.iter().filter_map(window_function).any(in_arrival_order);
        let (mut rows_before, mut time_before) = (0, Duration(0));
        for needs in functions.iter().map(|function| function.needs) {
            match needs.before {
                Reach::Rows(rows) => rows_before = rows_before.max(rows),
                // Rows of one time that were not given together are in a frame of no length.
                Reach::Time(length) => time_before = time_before.max(length).max(Duration(1)),
            }
        }
        let computable = Computable::new(arguments.into_iter().chain(partition_by.iter().cloned()));
        Ok(Self {
            converter: RowConverter::new(fields.collect::<Result<Vec<_>>>()?)?,
            functions,
            partition_by,
            waiting: Waiting::new(Arc::clone(&input), order_by.clone(), computable),
            order_by,
            rows_before,
            time_before,
            in_arrival_order,
            partitions: HashMap::new(),
            partition_bytes: 0,
            ttl: over.ttl,
            unfinished: BTreeSet::new(),
            log: KeyedLog::default(),
            input,
            output,
            swept: EventTime::MIN,
        })
    }

    fn keys(&self, rows: &RecordBatch) -> Result<Vec<OwnedRow>> {
        if self.partition_by.is_empty() {
            return Ok(vec![self.converter.parser().parse(&[]).owned(); rows.num_rows()]);
        }
        let keys = self.partition_by.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows()));
        Ok(self.converter.convert_columns(&keys.collect::<Result<Vec<_>>>()?)?.iter().map(|row| row.owned()).collect())
    }

    /// What a partition can give now.
    fn give(&self, partition: &mut Partition) -> Result<Option<(RecordBatch, Vec<EventTime>)>> {
        let Some(rows) = &partition.rows else { return Ok(None) };
        let from = partition.given;
        let to = (from..rows.num_rows())
            .find(|row| !self.is_finished(*row, rows.num_rows(), partition.times[*row]))
            .unwrap_or(rows.num_rows());
        if to == from {
            return Ok(None);
        }
        if partition.running.is_empty() {
            for function in &self.functions {
                if let Way::Along(running, _) = &function.way {
                    partition.running.push((running.start(&function.value_type)?, from));
                }
            }
        }
        let fresh = self.fresh_starts(partition, to);
        let order = order_columns(&self.order_by, rows)?;
        let peers = if self.in_arrival_order {
            (1..=rows.num_rows()).collect()
        } else {
            ends_of_peers(&order, rows.num_rows())?
        };
        let mut running = partition.running.iter_mut();
        let mut columns: Vec<ArrayRef> = rows.slice(from, to - from).columns().to_vec();
        for function in &self.functions {
            let values = match &function.way {
                Way::AtHand(expr) => expr.evaluate(rows)?.slice(from, to - from),
                Way::Arrival(function) => function.values(rows, &partition.times, from, to)?,
                Way::Along(along, end) => {
                    let (value, consumed) = running
                        .next()
                        .ok_or_else(|| DataFusionError::Internal("a running value is missing".to_owned()))?;
                    let time = order.first().map(|column| Arc::clone(&column.values));
                    let time = time.ok_or_else(|| DataFusionError::Internal("OVER has no order".to_owned()))?;
                    let ends = end.all(rows.num_rows(), &time, &peers)?;
                    let mut parts = Vec::with_capacity(fresh.len() + 1);
                    let begins = [from].into_iter().chain(fresh.iter().copied().filter(|row| *row > from));
                    let begins: Vec<usize> = begins.collect();
                    for (number, begin) in begins.iter().copied().enumerate() {
                        if fresh.binary_search(&begin).is_ok() {
                            (*value, *consumed) = (along.start(&function.value_type)?, begin);
                        }
                        let end = begins.get(number + 1).copied().unwrap_or(to);
                        let part =
                            Along { rows, from: begin, to: end, consumed: &mut *consumed, ends: &ends, peers: &peers };
                        parts.push(along.values(value, part)?);
                    }
                    match parts.as_slice() {
                        [only] => Arc::clone(only),
                        parts => arrow::compute::concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
                    }
                }
            };
            let fits = *values.data_type() == function.value_type;
            columns.push(if fits { values } else { arrow::compute::cast(&values, &function.value_type)? });
        }
        let times = partition.times[from..to].to_vec();
        partition.given = to;
        partition.last = times.last().copied().unwrap_or(partition.last);
        Ok(Some((RecordBatch::try_new(Arc::clone(&self.output), columns)?, times)))
    }

    /// The rows up to `to` with which running values begin anew, because the one before them is too long ago.
    fn fresh_starts(&self, partition: &Partition, to: usize) -> Vec<usize> {
        let Some(ttl) = self.ttl else { return Vec::new() };
        let times = &partition.times;
        let before = |row: usize| if row == partition.given { partition.last } else { times[row - 1] };
        (partition.given..to).filter(|row| before(*row) + ttl < times[*row]).collect()
    }

    /// Whether all that a row's functions look ahead to is there.
    fn is_finished(&self, row: usize, rows: usize, time: EventTime) -> bool {
        self.waiting.watermark == EventTime::MAX
            || self.functions.iter().all(|function| match function.needs.after {
                Reach::Rows(ahead) => row.saturating_add(ahead) < rows,
                Reach::Time(ahead) => time + ahead < self.waiting.watermark,
            })
    }

    /// Lets go of rows that no frame reaches any more. Answers whether nothing is left.
    fn trim(&self, partition: &mut Partition) -> bool {
        let Some(rows) = &partition.rows else { return partition.running.is_empty() };
        // The next row is one that was not given yet, or one that is still to come.
        let next = partition.times.get(partition.given).copied().unwrap_or(self.waiting.watermark);
        let reached = next - self.time_before;
        let by_rows = partition.given.saturating_sub(self.rows_before);
        let by_time =
            if self.time_before.0 == 0 { usize::MAX } else { partition.times.partition_point(|time| *time < reached) };
        let along = self.functions.iter().filter(|function| matches!(function.way, Way::Along(..)));
        let counted = partition.running.iter().zip(along).filter(|(_, function)| function.is_counted());
        let taken_in = counted.map(|((_, consumed), _)| *consumed).min().unwrap_or(usize::MAX);
        let drop = by_rows.min(by_time).min(partition.given).min(taken_in);
        if drop > 0 {
            let left = rows.num_rows() - drop;
            // A slice would keep all of what it is a slice of in memory.
            partition.rows = (left > 0).then(|| {
                let kept =
                    UInt32Array::from_iter_values((drop..rows.num_rows()).filter_map(|row| u32::try_from(row).ok()));
                take_record_batch(rows, &kept).unwrap_or_else(|_| rows.slice(drop, left))
            });
            partition.times.drain(..drop);
            partition.given -= drop;
            partition.running.iter_mut().for_each(|(_, consumed)| *consumed = consumed.saturating_sub(drop));
        }
        partition.rows.is_none() && partition.running.is_empty()
    }

    /// Whether its running values are to be forgotten: all of its rows were given, the last one too long ago.
    fn is_expired(&self, partition: &Partition) -> bool {
        let is_silent = |ttl| partition.given == partition.times.len() && partition.last + ttl < self.waiting.watermark;
        !partition.running.is_empty() && self.ttl.is_some_and(is_silent)
    }

    /// Looks at partitions that have been silent.
    fn sweep(&mut self) {
        let every = SWEEP.max(self.time_before).min(self.ttl.map_or(Duration(i64::MAX), |ttl| ttl.max(Duration(1000))));
        if self.swept != EventTime::MIN && self.waiting.watermark < self.swept + every {
            return;
        }
        self.swept = self.waiting.watermark;
        let mut partitions = std::mem::take(&mut self.partitions);
        let mut log = std::mem::take(&mut self.log);
        let mut bytes = 0;
        partitions.retain(|key, partition| {
            let rows = partition.times.len();
            let is_expired = self.is_expired(partition);
            if is_expired {
                partition.running.clear();
            }
            let is_over = self.trim(partition);
            if partition.times.len() < rows || is_over || is_expired {
                log.touch(key);
            }
            bytes += if is_over { 0 } else { partition.measure() };
            !is_over
        });
        (self.partitions, self.log, self.partition_bytes) = (partitions, log, bytes);
    }
}

impl Function {
    fn compile(expr: &Expr, function: &WindowFunction, schema: &DFSchema, value_type: DataType) -> Result<Self> {
        let params = &function.params;
        let name = function.fun.name();
        let arrival = if in_arrival_order(function) { ArrivalFunction::compile(function, schema)? } else { None };
        let needs = Needs::of(name, &params.args, &params.window_frame, arrival.is_some())?;
        if let Some(arrival) = arrival {
            return Ok(Self { way: Way::Arrival(arrival), needs, value_type });
        }
        let from_start =
            matches!(&params.window_frame.start_bound, WindowFrameBound::Preceding(bound) if bound.is_null());
        let argument = |index: usize| match params.args.get(index) {
            Some(argument) => physical_expr(argument, schema),
            None => Err(DataFusionError::Plan(format!("{name} needs an argument"))),
        };
        let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
        let running = match (&function.fun, name) {
            (_, "row_number") => Some(RunningFunction::RowNumber),
            (_, "rank") => Some(RunningFunction::Rank),
            (_, "dense_rank") => Some(RunningFunction::DenseRank),
            (WindowFunctionDefinition::AggregateUDF(aggregate), _) if from_start => {
                let arguments = params.args.iter().map(|argument| physical_expr(argument, schema));
                let function = AggregateExprBuilder::new(Arc::clone(aggregate), arguments.collect::<Result<_>>()?)
                    .schema(Arc::new(schema.as_arrow().clone()))
                    .alias(name)
                    .with_ignore_nulls(ignore_nulls)
                    .with_distinct(params.distinct)
                    .build()?;
                let filter = params.filter.as_ref().map(|filter| physical_expr(filter, schema)).transpose()?;
                Some(RunningFunction::Aggregate { function: Arc::new(function), filter })
            }
            (_, "first_value") if from_start => {
                Some(RunningFunction::Nth { value: argument(0)?, place: 1, ignore_nulls })
            }
            (_, "last_value") if from_start => Some(RunningFunction::Last { value: argument(0)?, ignore_nulls }),
            (_, "nth_value") if from_start => {
                let place = match params.args.get(1) {
                    Some(Expr::Literal(value, _)) => value.cast_to(&DataType::UInt64)?,
                    _ => return Err(DataFusionError::Plan("nth_value needs the number of a row".to_owned())),
                };
                let datafusion::common::ScalarValue::UInt64(Some(place)) = place else {
                    return Err(DataFusionError::Plan("nth_value counts from 1".to_owned()));
                };
                Some(RunningFunction::Nth { value: argument(0)?, place, ignore_nulls })
            }
            _ => None,
        };
        let way = match running {
            Some(running) => Way::Along(running, FrameEnd::of(&params.window_frame)),
            None => {
                let props = ExecutionProps::new();
                let compiled = create_window_expr(expr, schema, &props, &PhysicalPlanningContext::default())?;
                if let WindowFunctionDefinition::AggregateUDF(aggregate) = &function.fun {
                    let arguments = params.args.iter().map(|argument| physical_expr(argument, schema));
                    // An error says that the aggregate cannot forget rows that leave the frame.
                    AggregateExprBuilder::new(Arc::clone(aggregate), arguments.collect::<Result<_>>()?)
                        .schema(Arc::new(schema.as_arrow().clone()))
                        .alias(name)
                        .build()?
                        .create_sliding_accumulator()?;
                }
                Way::AtHand(compiled)
            }
        };
        Ok(Self { way, needs, value_type })
    }

    /// Whether it takes rows in one by one, and so must have had each before it goes.
    fn is_counted(&self) -> bool {
        !matches!(
            self.way,
            Way::AtHand(_)
                | Way::Arrival(_)
                | Way::Along(RunningFunction::RowNumber | RunningFunction::Rank | RunningFunction::DenseRank, _)
        )
    }
}

impl Operator for GeneralOver {
    fn take_rows(&mut self, _: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        self.waiting.take(rows, times)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark <= self.waiting.watermark {
            return Ok(Vec::new());
        }
        self.waiting.watermark = watermark;
        let mut touched = std::mem::take(&mut self.unfinished);
        let mut places: HashMap<OwnedRow, Vec<u32>> = HashMap::new();
        if let Some((rows, times)) = self.waiting.ready()? {
            for (row, key) in (0_u32..).zip(self.keys(&rows)?) {
                places.entry(key).or_default().push(row);
            }
            for (key, places) in &places {
                let partition = self.partitions.entry(key.clone()).or_default();
                partition.times.extend(places.iter().map(|row| EventTime(times.value(*row as usize))));
                let new = take_record_batch(&rows, &UInt32Array::from(places.clone()))?;
                partition.rows = Some(match &partition.rows {
                    Some(before) => concat_batches(&self.input, [before, &new])?,
                    None => new,
                });
                touched.insert(key.clone());
            }
        }
        let mut given: Vec<(RecordBatch, Vec<EventTime>)> = Vec::new();
        // The order of arrival among rows of one time: those that waited for what follows them came before.
        let mut arrival: Vec<u32> = Vec::new();
        for key in touched {
            let Some(mut partition) = self.partitions.remove(&key) else { continue };
            self.partition_bytes -= partition.bytes;
            self.log.touch(&key);
            let (from, of_key) = (partition.given, places.get(&key).map_or(&[][..], Vec::as_slice));
            if let Some(rows) = self.give(&mut partition)? {
                let first_new = partition.times.len() - of_key.len();
                let number = |row: usize| row.checked_sub(first_new).map_or(0, |new| of_key[new] + 1);
                arrival.extend((from..partition.given).map(number));
                given.push(rows);
            }
            if partition.given < partition.times.len() {
                self.unfinished.insert(key.clone());
            }
            if !self.trim(&mut partition) {
                self.partition_bytes += partition.measure();
                self.partitions.insert(key, partition);
            }
        }
        self.sweep();
        if given.is_empty() {
            return Ok(Vec::new());
        }
        let rows = concat_batches(&self.output, given.iter().map(|(rows, _)| rows))?;
        let times = given.iter().flat_map(|(_, times)| times.iter().map(|time| time.0));
        let mut order: Vec<((i64, u32), u32)> = times.zip(arrival).zip(0..).collect();
        order.sort_unstable();
        let order: UInt32Array = order.into_iter().map(|(_, row)| row).collect::<Vec<_>>().into();
        Ok(vec![Given::Rows(vec![take_record_batch(&rows, &order)?])])
    }

    fn watermark(&self) -> EventTime {
        let unfinished = self.unfinished.iter().filter_map(|key| self.partitions.get(key));
        let oldest = unfinished.filter_map(|partition| partition.times.get(partition.given)).min();
        oldest.map_or(self.waiting.watermark, |oldest| self.waiting.watermark.min(*oldest))
    }

    fn size(&self) -> (usize, usize) {
        let rows: usize = self.partitions.values().map(|partition| partition.times.len().max(1)).sum();
        (0, rows + self.waiting.len())
    }

    fn bytes(&self) -> usize {
        self.partition_bytes + self.waiting.bytes()
    }

    fn remember(&mut self) {
        self.log.enable();
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.waiting.save(saver)?;
        saver.value("swept", &self.swept.0)?;
        let partitions = &self.partitions;
        let keys = self.log.changed(partitions.len(), || partitions.keys().cloned().collect());
        let kept: Vec<Option<&Partition>> = keys.iter().map(|key| partitions.get(key)).collect();
        let gone = kept.iter().map(Option::is_none).collect();
        let number = |of: &dyn Fn(&Partition) -> usize| -> ArrayRef {
            Arc::new(
                kept.iter()
                    .map(|kept| kept.map_or(0, |kept| i64::try_from(of(kept)).unwrap_or(i64::MAX)))
                    .collect::<Int64Array>(),
            )
        };
        let rows = concat_batches(&self.input, kept.iter().flatten().filter_map(|kept| kept.rows.as_ref()))?;
        let times = kept.iter().flatten().flat_map(|kept| kept.times.iter().map(|time| time.0)).collect();
        let lengths = kept.iter().map(|kept| kept.map_or(0, |kept| kept.times.len()));
        let rows = lists(&with_times(&rows, times)?, lengths)?;
        let along = self.functions.iter().filter(|function| matches!(function.way, Way::Along(..))).count();
        let last: ArrayRef =
            Arc::new(kept.iter().map(|kept| kept.map_or(0, |kept| kept.last.0)).collect::<Int64Array>());
        let mut columns = vec![number(&|kept| kept.given), number(&|kept| usize::from(!kept.running.is_empty())), last];
        for place in 0..along {
            columns.push(number(&|kept| kept.running.get(place).map_or(0, |(_, consumed)| *consumed)));
        }
        columns.push(rows);
        let running = self.functions.iter().filter_map(|function| match &function.way {
            Way::Along(running, _) => Some((running, &function.value_type)),
            Way::AtHand(_) | Way::Arrival(_) => None,
        });
        for (place, (function, value_type)) in running.enumerate() {
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                // Taken out and put back: reading an accumulator may change it.
                let value = self.partitions.get_mut(key).and_then(|partition| partition.running.get_mut(place));
                let value =
                    value.map(|(running, _)| std::mem::replace(running, Running::Count { rows: 0, rank: 0, dense: 0 }));
                values.push(value);
            }
            columns.extend(function.save(values.iter_mut().map(Option::as_mut).collect(), value_type)?);
            for (key, value) in keys.iter().zip(values) {
                let place = self.partitions.get_mut(key).and_then(|partition| partition.running.get_mut(place));
                if let (Some((running, _)), Some(value)) = (place, value) {
                    *running = value;
                }
            }
        }
        let batch = keys_batch(&self.converter, !self.partition_by.is_empty(), &keys, gone, columns)?;
        self.log.save(saver, "partitions", batch)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.waiting.load(saved)?;
        self.swept = EventTime(saved.value("swept")?);
        let along: Vec<(&RunningFunction, &DataType)> = (self.functions.iter())
            .filter_map(|function| match &function.way {
                Way::Along(running, _) => Some((running, &function.value_type)),
                Way::AtHand(_) | Way::Arrival(_) => None,
            })
            .collect();
        let timed: SchemaRef = timed_schema(&self.input);
        for rows in self.log.load(saved, "partitions") {
            let saved = SavedKeys::read(&rows, &self.converter, self.partition_by.len())?;
            for (row, key) in saved.keys.iter().enumerate() {
                self.unfinished.remove(key);
                if saved.is_gone(row) {
                    self.partition_bytes -= self.partitions.remove(key).map_or(0, |former| former.bytes);
                    continue;
                }
                let number =
                    |column: usize| Ok::<_, DataFusionError>(usize::try_from(saved.number(column, row)?).unwrap_or(0));
                let (rows, times) = without_times(&saved.rows(3 + along.len(), row, &timed)?, &self.input)?;
                let mut running = Vec::new();
                if number(1)? == 1 {
                    let mut columns = saved.kept.iter().skip(4 + along.len());
                    for (place, (function, value_type)) in along.iter().enumerate() {
                        running.push((function.load(&mut columns, row, value_type)?, number(3 + place)?));
                    }
                }
                let mut partition = Partition {
                    rows: (rows.num_rows() > 0).then_some(rows),
                    times: times.values().iter().map(|time| EventTime(*time)).collect(),
                    given: number(0)?,
                    running,
                    last: EventTime(saved.number(2, row)?),
                    bytes: 0,
                };
                if partition.given < partition.times.len() {
                    self.unfinished.insert(key.clone());
                }
                self.partition_bytes += partition.measure();
                self.partition_bytes -= self.partitions.insert(key.clone(), partition).map_or(0, |former| former.bytes);
            }
        }
        Ok(())
    }
}

/// For each row the index after the last that is equal to it in the order.
fn ends_of_peers(order: &[SortColumn], rows: usize) -> Result<Vec<usize>> {
    let columns: Vec<ArrayRef> = order.iter().map(|column| Arc::clone(&column.values)).collect();
    let mut ends = Vec::with_capacity(rows);
    for range in partition(&columns)?.ranges() {
        ends.extend(std::iter::repeat_n(range.end, range.len()));
    }
    Ok(ends)
}
