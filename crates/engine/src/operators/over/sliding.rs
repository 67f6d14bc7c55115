//! OVER by values that slide: each row is added to the frames of its partition when it comes and taken out when it
//! leaves them, so that a row costs the same however many rows its frame has.
//!
//! For sums, counts, averages, least and greatest values of numbers and times, over frames that begin a number of rows or
//! a length of time back and end at the row itself.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{DFSchema, HashMap, Result};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::{Duration, EventTime};
use millstream_sql::{Leaf, Over, window_function};

use super::super::computable::Computable;
use super::super::saved_keys::{SavedKeys, damaged, keys_batch, lists};
use super::super::{Given, Operator, Taken};
use super::frame::{Reach, integer, longest};
use super::waiting::Waiting;
use crate::checkpoint::{KeyedLog, Saved, Saver};
use crate::physical::physical_expr;

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

struct Function {
    kind: Kind,
    /// Which argument it is of; `count(*)` has none.
    argument: Option<usize>,
    before: Reach,
    value_type: DataType,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Sum,
    Average,
    Least,
    Greatest,
}

struct Argument {
    expr: Arc<dyn PhysicalExpr>,
    is_float: bool,
}

/// Rows of a key as far back as frames reach, and the frames of its newest row.
#[derive(Default)]
struct Partition {
    key: Box<[u8]>,
    /// The number of the first row that is kept; rows of a partition are numbered as they come.
    first: u64,
    times: VecDeque<i64>,
    /// For each argument the values of those rows, floats by their bits.
    values: Vec<VecDeque<Option<i64>>>,
    frames: Vec<Frame>,
    is_touched: bool,
}

/// The frame of one function.
#[derive(Clone, Default)]
struct Frame {
    /// The number of its first row.
    start: u64,
    /// How many of its values are not null.
    count: i64,
    /// Their sum; of floats the bits.
    sum: i64,
    /// Values that may still become the least or greatest, with the numbers of their rows: each better than those after
    /// it.
    best: VecDeque<(u64, i64)>,
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
            // A frame of rows ends with the row, one of time with its last peer.
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
                    if let Reach::Rows(before) = function.before {
                        partition.leave_rows(index, function, &self.arguments, number, before);
                        results[index].push(partition.value(index, function, &self.arguments));
                    }
                }
            }
            for row in peers.clone() {
                let partition = &mut self.partitions[places[row]];
                for (index, function) in self.functions.iter().enumerate() {
                    if let Reach::Time(before) = function.before {
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

impl Function {
    /// `None`: it does something else.
    fn compile(
        function: &WindowFunction,
        schema: &DFSchema,
        value_type: DataType,
        arguments: &mut Vec<Argument>,
    ) -> Result<Option<Self>> {
        let WindowFunctionParams { args, window_frame, filter, distinct, .. } = &function.params;
        let WindowFunctionDefinition::AggregateUDF(aggregate) = &function.fun else { return Ok(None) };
        let kind = match aggregate.name() {
            "count" => Kind::Count,
            "sum" => Kind::Sum,
            "avg" => Kind::Average,
            "min" => Kind::Least,
            "max" => Kind::Greatest,
            _ => return Ok(None),
        };
        let before = match (&window_frame.start_bound, &window_frame.end_bound) {
            (WindowFrameBound::Preceding(before), WindowFrameBound::CurrentRow) if !before.is_null() => {
                match window_frame.units {
                    WindowFrameUnits::Rows => Reach::Rows(usize::try_from(integer(before)?).unwrap_or(usize::MAX)),
                    WindowFrameUnits::Range => Reach::Time(longest(before)?),
                    WindowFrameUnits::Groups => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let [argument] = args.as_slice() else { return Ok(None) };
        if filter.is_some() || *distinct {
            return Ok(None);
        }
        let expr = physical_expr(argument, schema)?;
        let data_type = expr.data_type(schema.as_arrow())?;
        let is_float = matches!(data_type, DataType::Float64 | DataType::Float32);
        let is_exact = data_type.is_signed_integer() || matches!(data_type, DataType::Timestamp(..));
        let fits = match kind {
            Kind::Count => true,
            Kind::Sum => matches!(data_type, DataType::Int64 | DataType::Float64),
            Kind::Average => data_type == DataType::Float64,
            Kind::Least | Kind::Greatest => is_float || is_exact,
        };
        if !fits {
            return Ok(None);
        }
        let is_constant = (expr.as_ref() as &dyn std::any::Any)
            .downcast_ref::<datafusion::physical_expr::expressions::Literal>()
            .is_some_and(|literal| !literal.value().is_null());
        let argument = if kind == Kind::Count && is_constant {
            None
        } else if kind == Kind::Count && !is_float && !is_exact {
            return Ok(None);
        } else {
            let known = arguments.iter().position(|known| known.expr.eq(&expr));
            Some(known.unwrap_or_else(|| {
                arguments.push(Argument { expr, is_float });
                arguments.len() - 1
            }))
        };
        Ok(Some(Self { kind, argument, before, value_type }))
    }

    fn is_of_floats(&self, arguments: &[Argument]) -> bool {
        self.argument.is_some_and(|argument| arguments[argument].is_float)
    }

    fn gives_floats(&self, arguments: &[Argument]) -> bool {
        self.kind != Kind::Count && self.is_of_floats(arguments)
    }
}

/// An argument's values of some rows.
enum Values {
    Whole(Int64Array),
    Floats(Float64Array),
}

impl Argument {
    fn of(&self, rows: &RecordBatch) -> Result<Values> {
        let values = self.expr.evaluate(rows)?.into_array(rows.num_rows())?;
        Ok(if self.is_float {
            Values::Floats(cast(&values, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        } else {
            Values::Whole(cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        })
    }
}

impl Values {
    fn value(&self, row: usize) -> Option<i64> {
        match self {
            Self::Whole(values) => values.is_valid(row).then(|| values.value(row)),
            Self::Floats(values) => values.is_valid(row).then(|| bits(values.value(row))),
        }
    }
}

fn bits(value: f64) -> i64 {
    value.to_bits().cast_signed()
}

fn float(bits: i64) -> f64 {
    f64::from_bits(bits.cast_unsigned())
}

impl Partition {
    /// Keeps a row; answers its number.
    fn push(&mut self, time: i64, values: impl Iterator<Item = Option<i64>>) -> u64 {
        let number = self.first + self.times.len() as u64;
        self.times.push_back(time);
        self.values.iter_mut().zip(values).for_each(|(kept, value)| kept.push_back(value));
        number
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.first).unwrap_or(usize::MAX)
    }

    fn value_of(&self, function: &Function, number: u64) -> Option<i64> {
        match function.argument {
            Some(argument) => self.values[argument][self.index(number)],
            None => Some(1),
        }
    }

    /// A row comes into a frame.
    fn add(&mut self, index: usize, function: &Function, arguments: &[Argument], number: u64) {
        let Some(value) = self.value_of(function, number) else { return };
        let frame = &mut self.frames[index];
        frame.count += 1;
        match function.kind {
            Kind::Count => {}
            Kind::Sum | Kind::Average if function.is_of_floats(arguments) => {
                frame.sum = bits(float(frame.sum) + float(value));
            }
            Kind::Sum | Kind::Average => frame.sum = frame.sum.wrapping_add(value),
            Kind::Least | Kind::Greatest => {
                let is_float = function.is_of_floats(arguments);
                let is_beaten = |other: i64| {
                    let order = if is_float { float(other).total_cmp(&float(value)) } else { other.cmp(&value) };
                    if function.kind == Kind::Least { order.is_ge() } else { order.is_le() }
                };
                while frame.best.pop_back_if(|(_, other)| is_beaten(*other)).is_some() {}
                frame.best.push_back((number, value));
            }
        }
    }

    /// The first row of a frame leaves it.
    fn leave(&mut self, index: usize, function: &Function, arguments: &[Argument]) {
        let number = self.frames[index].start;
        let value = self.value_of(function, number);
        let frame = &mut self.frames[index];
        frame.start += 1;
        let Some(value) = value else { return };
        frame.count -= 1;
        match function.kind {
            Kind::Count => {}
            // What rounding left behind goes with the last value.
            Kind::Sum | Kind::Average if frame.count == 0 => frame.sum = 0,
            Kind::Sum | Kind::Average if function.is_of_floats(arguments) => {
                frame.sum = bits(float(frame.sum) - float(value));
            }
            Kind::Sum | Kind::Average => frame.sum = frame.sum.wrapping_sub(value),
            Kind::Least | Kind::Greatest => drop(frame.best.pop_front_if(|(first, _)| *first == number)),
        }
    }

    /// Lets rows leave a frame of so many rows before the newest.
    fn leave_rows(&mut self, index: usize, function: &Function, arguments: &[Argument], newest: u64, before: usize) {
        while newest - self.frames[index].start > before as u64 {
            self.leave(index, function, arguments);
        }
    }

    /// Lets rows leave a frame that begins at a time.
    fn leave_time(&mut self, index: usize, function: &Function, arguments: &[Argument], from: i64) {
        while self.times.get(self.index(self.frames[index].start)).is_some_and(|time| *time < from) {
            self.leave(index, function, arguments);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an average is a float")]
    fn value(&self, index: usize, function: &Function, arguments: &[Argument]) -> Option<i64> {
        let frame = &self.frames[index];
        match function.kind {
            Kind::Count => Some(frame.count),
            Kind::Least | Kind::Greatest => frame.best.front().map(|(_, value)| *value),
            Kind::Sum | Kind::Average if frame.count == 0 => None,
            Kind::Average if function.is_of_floats(arguments) => Some(bits(float(frame.sum) / frame.count as f64)),
            Kind::Sum | Kind::Average => Some(frame.sum),
        }
    }

    /// Lets go of rows that are in no frame; answers how many.
    fn trim(&mut self) -> usize {
        let reached = self.frames.iter().map(|frame| frame.start).min().unwrap_or(self.first);
        let gone = self.index(reached).min(self.times.len());
        if gone > 0 {
            self.times.drain(..gone);
            self.values.iter_mut().for_each(|values| drop(values.drain(..gone)));
            self.first = reached;
        }
        gone
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
