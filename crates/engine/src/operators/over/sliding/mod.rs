//! OVER by values that slide: each row is added to the frames of its partition when it comes and taken out when it
//! leaves them, so that a row costs the same however many rows its frame has.
//!
//! For sums, counts, averages, least and greatest values of numbers and times, over frames that begin a number of rows or
//! a length of time back and end at the row itself.

mod function;
mod partition;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{HashMap, Result};
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{Leaf, Over, in_arrival_order, window_function};

use super::frame::Reach;
use crate::checkpoint::{KeyedLog, Saved, Saver};
use crate::operators::computable::Computable;
use crate::operators::saved_keys::{SavedKeys, damaged, keys_batch, lists};
use crate::operators::waiting::Waiting;
use crate::operators::{Given, Operator, Taken};
use crate::physical::physical_expr;

use function::{Argument, Function, float};
use partition::{Frame, Partition};

/// Partitions that have been silent are looked at this often at the most, to let go of those no frame reaches.
const SWEEP: Duration = Duration::from_secs(60);
/// What a partition takes beside its rows and frames.
const PARTITION_BYTES: usize = 250;

/// The state of OVER.
pub(crate) struct SlidingOver {
    functions: Vec<Function>,
    /// What the functions are of, each once.
    arguments: Vec<Argument>,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    converter: RowConverter,
    waiting: Waiting,
    /// Rows of one time come one after another, as they arrived: none is the peer of another.
    in_arrival_order: bool,
    /// The places of partitions, by their keys as bytes.
    places: HashMap<Box<[u8]>, usize>,
    partitions: Vec<Partition>,
    /// Places that are free again.
    free: Vec<usize>,
    /// How many rows all partitions keep.
    rows: usize,
    /// How far back the furthest frame reaches in time; `None`: a frame counts rows, so that none of them ever goes.
    time_before: Option<Duration>,
    log: KeyedLog,
    /// Partitions that changed since the last checkpoint.
    touched: Vec<usize>,
    output: SchemaRef,
    swept: EventTime,
}

impl SlidingOver {
    /// `None`: some function does something else.
    pub(crate) fn new(over: &Over, leaf: &Leaf) -> Result<Option<Self>> {
        let schema = leaf.schema.as_ref();
        let output: SchemaRef = Arc::new(over.schema.as_arrow().clone());
        let types = output.fields().iter().skip(schema.fields().len()).map(|field| field.data_type().clone());
        let (mut functions, mut arguments, mut order_by) = (Vec::new(), Vec::new(), Vec::new());
        for (expr, value_type) in over.functions.iter().zip(types) {
            let Some(function) = window_function(expr) else { return Ok(None) };
            let Some(compiled) = Function::compile(function, schema, value_type, &mut arguments)? else {
                return Ok(None);
            };
            if order_by.is_empty() {
                for sort in &function.params.order_by {
                    let options = arrow::compute::SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
                    order_by.push((physical_expr(&sort.expr, schema)?, options));
                }
            }
            // The peers of a row, which a frame of time ends with, are those of its time.
            let has_other_peers = order_by.len() != 1 || order_by.iter().any(|(_, options)| options.descending);
            if matches!(compiled.before, Reach::Time(_)) && has_other_peers {
                return Ok(None);
            }
            functions.push(compiled);
        }
        let partition_by = over.partition_by.iter().map(|expr| physical_expr(expr, schema));
        let partition_by = partition_by.collect::<Result<Vec<_>>>()?;
        let input: SchemaRef = Arc::new(schema.as_arrow().clone());
        let fields = partition_by.iter().map(|key| Ok(SortField::new(key.data_type(&input)?)));
        let converter = RowConverter::new(fields.collect::<Result<Vec<_>>>()?)?;
        let computed = arguments.iter().map(|argument| Arc::clone(&argument.expr)).chain(partition_by.iter().cloned());
        let computable = Computable::new(computed);
        let time_before = functions.iter().try_fold(Duration(0), |longest, function| match function.before {
            Reach::Time(before) => Some(longest.max(before)),
            Reach::Rows(_) => None,
        });
        Ok(Some(Self {
            functions,
            arguments,
            partition_by,
            converter,
            waiting: Waiting::new(input, order_by, computable),
            in_arrival_order: over.functions.iter().filter_map(window_function).any(in_arrival_order),
            places: HashMap::default(),
            partitions: Vec::new(),
            free: Vec::new(),
            rows: 0,
            time_before,
            log: KeyedLog::default(),
            touched: Vec::new(),
            output,
            swept: EventTime::MIN,
        }))
    }

    /// For each row the place of its partition, made where it is new.
    fn places_of(&mut self, rows: &RecordBatch) -> Result<Vec<usize>> {
        if self.partition_by.is_empty() {
            let place = self.place(&[]);
            return Ok(vec![place; rows.num_rows()]);
        }
        let keys = self.partition_by.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows()));
        let keys = self.converter.convert_columns(&keys.collect::<Result<Vec<_>>>()?)?;
        Ok(keys.iter().map(|key| self.place(key.data())).collect())
    }

    fn place(&mut self, key: &[u8]) -> usize {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let partition = Partition {
            key: key.into(),
            values: vec![VecDeque::new(); self.arguments.len()],
            frames: vec![Frame::default(); self.functions.len()],
            ..Partition::default()
        };
        let place = self.put(partition);
        self.places.insert(key.into(), place);
        place
    }

    fn put(&mut self, partition: Partition) -> usize {
        if let Some(place) = self.free.pop() {
            self.partitions[place] = partition;
            return place;
        }
        self.partitions.push(partition);
        self.partitions.len() - 1
    }

    /// The functions' values for rows in their order.
    fn slide(&mut self, rows: &RecordBatch, times: &[i64]) -> Result<Vec<ArrayRef>> {
        let places = self.places_of(rows)?;
        let arguments = self.arguments.iter().map(|argument| argument.of(rows)).collect::<Result<Vec<_>>>()?;
        let mut results: Vec<Vec<Option<i64>>> = vec![Vec::with_capacity(times.len()); self.functions.len()];
        let mut first = 0;
        while first < times.len() {
            let time = times[first];
            let peers = first..first + times[first..].iter().take_while(|other| **other == time).count();
            // A frame of rows ends with the row, one of time with its last peer, if there are peers.
            for row in peers.clone() {
                let partition = &mut self.partitions[places[row]];
                if !partition.is_touched {
                    partition.is_touched = true;
                    self.touched.push(places[row]);
                }
                let number = partition.push(time, arguments.iter().map(|argument| argument.value(row)));
                self.rows += 1;
                for (index, function) in self.functions.iter().enumerate() {
                    partition.add(index, function, &self.arguments, number);
                    match function.before {
                        Reach::Rows(before) => {
                            partition.leave_rows(index, function, &self.arguments, number, before);
                        }
                        Reach::Time(before) if self.in_arrival_order => {
                            partition.leave_time(index, function, &self.arguments, time.saturating_sub(before.0));
                        }
                        Reach::Time(_) => continue,
                    }
                    results[index].push(partition.value(index, function, &self.arguments));
                }
            }
            for row in peers.clone() {
                let partition = &mut self.partitions[places[row]];
                for (index, function) in self.functions.iter().enumerate() {
                    if let Reach::Time(before) = function.before
                        && !self.in_arrival_order
                    {
                        partition.leave_time(index, function, &self.arguments, time.saturating_sub(before.0));
                        results[index].push(partition.value(index, function, &self.arguments));
                    }
                }
                self.rows -= partition.trim();
            }
            first = peers.end;
        }
        let columns = self.functions.iter().zip(results).map(|(function, values)| {
            let column: ArrayRef = if function.gives_floats(&self.arguments) {
                Arc::new(values.into_iter().map(|bits| bits.map(float)).collect::<Float64Array>())
            } else {
                Arc::new(Int64Array::from(values))
            };
            let fits = *column.data_type() == function.value_type;
            Ok(if fits { column } else { cast(&column, &function.value_type)? })
        });
        columns.collect()
    }

    /// Lets go of partitions whose rows no frame reaches any more.
    fn sweep(&mut self) {
        let Some(before) = self.time_before else { return };
        let watermark = self.waiting.watermark;
        if self.swept != EventTime::MIN && watermark < self.swept + SWEEP.max(before) {
            return;
        }
        self.swept = watermark;
        let reached = (watermark - before).0;
        let Self { places, partitions, free, log, rows, converter, .. } = self;
        let parser = converter.parser();
        places.retain(|key, place| {
            let partition = &mut partitions[*place];
            let is_reached = partition.times.back().is_some_and(|last| *last >= reached);
            if !is_reached {
                log.touch(&parser.parse(key).owned());
                *rows -= partition.times.len();
                *partition = Partition { is_touched: partition.is_touched, ..Partition::default() };
                free.push(*place);
            }
            is_reached
        });
    }

    /// The columns of a row that is kept: its time, and each argument.
    fn kept_schema(&self) -> SchemaRef {
        let values = (0..self.arguments.len()).map(|number| Field::new(number.to_string(), DataType::Int64, true));
        Arc::new(Schema::new(
            [Field::new("time", DataType::Int64, false)].into_iter().chain(values).collect::<Vec<_>>(),
        ))
    }
}

impl Operator for SlidingOver {
    fn take_rows(&mut self, _: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        self.waiting.take(rows, times)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark <= self.waiting.watermark {
            return Ok(Vec::new());
        }
        self.waiting.watermark = watermark;
        let ready = self.waiting.ready()?;
        let Some((rows, times)) = ready else {
            self.sweep();
            return Ok(Vec::new());
        };
        let values = self.slide(&rows, times.values())?;
        self.sweep();
        let columns = rows.columns().iter().cloned().chain(values).collect();
        Ok(vec![Given::Rows(vec![RecordBatch::try_new(Arc::clone(&self.output), columns)?])])
    }

    fn watermark(&self) -> EventTime {
        self.waiting.watermark
    }

    fn size(&self) -> (usize, usize) {
        (0, self.rows.max(self.places.len()) + self.waiting.len())
    }

    fn bytes(&self) -> usize {
        let of_row = size_of::<i64>() + self.arguments.len() * size_of::<Option<i64>>();
        let of_partition = PARTITION_BYTES + self.functions.len() * size_of::<Frame>();
        self.rows * of_row + self.places.len() * of_partition + self.waiting.bytes()
    }

    fn remember(&mut self) {
        self.log.enable();
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.waiting.save(saver)?;
        saver.value("swept", &self.swept.0)?;
        let parser = self.converter.parser();
        for place in self.touched.drain(..) {
            let partition = &mut self.partitions[place];
            if std::mem::take(&mut partition.is_touched) && !partition.times.is_empty() {
                self.log.touch(&parser.parse(&partition.key).owned());
            }
        }
        let places = &self.places;
        let all = || places.keys().map(|key| parser.parse(key).owned()).collect();
        let keys: Vec<OwnedRow> = self.log.changed(places.len(), all);
        let find = |key: &OwnedRow| places.get(key.as_ref()).map(|place| &self.partitions[*place]);
        let kept: Vec<Option<&Partition>> = keys.iter().map(find).collect();
        let gone = kept.iter().map(Option::is_none).collect();
        let rows = || kept.iter().flatten();
        let mut of_rows: Vec<ArrayRef> =
            vec![Arc::new(rows().flat_map(|kept| kept.times.iter().copied()).collect::<Int64Array>())];
        for argument in 0..self.arguments.len() {
            let values = rows().flat_map(|kept| kept.values[argument].iter().copied());
            of_rows.push(Arc::new(values.collect::<Int64Array>()));
        }
        let of_rows = RecordBatch::try_new(self.kept_schema(), of_rows)?;
        let mut columns = vec![lists(&of_rows, kept.iter().map(|kept| kept.map_or(0, |kept| kept.times.len())))?];
        for index in 0..self.functions.len() {
            let mut number = |of: &dyn Fn(&Partition, &Frame) -> i64| {
                let numbers = kept.iter().map(|kept| kept.map_or(0, |kept| of(kept, &kept.frames[index])));
                columns.push(Arc::new(numbers.collect::<Int64Array>()) as ArrayRef);
            };
            number(&|kept, frame| i64::try_from(kept.index(frame.start)).unwrap_or(i64::MAX));
            number(&|_, frame| frame.count);
            number(&|_, frame| frame.sum);
        }
        let batch = keys_batch(&self.converter, !self.partition_by.is_empty(), &keys, gone, columns)?;
        self.log.save(saver, "sliding", batch)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.waiting.load(saved)?;
        self.swept = EventTime(saved.value("swept")?);
        if !saved.chunks("partitions").is_empty() {
            return Err(damaged(
                "its OVER was computed in another way; start the query anew with START FROM BEGINNING",
            ));
        }
        let schema = self.kept_schema();
        for rows in self.log.load(saved, "sliding") {
            let saved = SavedKeys::read(&rows, &self.converter, self.partition_by.len())?;
            for (row, key) in saved.keys.iter().enumerate() {
                if let Some(place) = self.places.remove(key.as_ref()) {
                    self.rows -= std::mem::take(&mut self.partitions[place]).times.len();
                    self.free.push(place);
                }
                if !saved.is_gone(row) {
                    let partition = self.loaded(key, &saved, row, &schema)?;
                    self.rows += partition.times.len();
                    let place = self.put(partition);
                    self.places.insert(key.as_ref().into(), place);
                }
            }
        }
        Ok(())
    }
}

impl SlidingOver {
    /// A partition that was saved.
    fn loaded(&self, key: &OwnedRow, saved: &SavedKeys, row: usize, schema: &SchemaRef) -> Result<Partition> {
        let rows = saved.rows(0, row, schema)?;
        let numbers = |column: usize| {
            let column = rows.column(column).as_primitive_opt::<Int64Type>();
            column.ok_or_else(|| damaged("a kept row has no numbers"))
        };
        let mut partition = Partition {
            key: key.as_ref().into(),
            times: numbers(0)?.values().iter().copied().collect(),
            values: (0..self.arguments.len())
                .map(|argument| Ok(numbers(argument + 1)?.iter().collect()))
                .collect::<Result<_>>()?,
            frames: vec![Frame::default(); self.functions.len()],
            ..Partition::default()
        };
        for (index, function) in self.functions.iter().enumerate() {
            let start = u64::try_from(saved.number(3 * index + 1, row)?).unwrap_or(u64::MAX);
            if start > partition.times.len() as u64 {
                return Err(damaged("a frame begins after its rows"));
            }
            partition.frames[index].start = start;
            // The extremes are found again from the rows; sums are taken as they were, to the last bit.
            for number in start..partition.times.len() as u64 {
                partition.add(index, function, &self.arguments, number);
            }
            let frame = &mut partition.frames[index];
            (frame.count, frame.sum) = (saved.number(3 * index + 2, row)?, saved.number(3 * index + 3, row)?);
        }
        Ok(partition)
    }
}
