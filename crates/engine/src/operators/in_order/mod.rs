//! Functions over the rows of a stream in the order of event time, rows of one time in the order of their arrival.
//!
//! The operator keeps rows until the watermark has passed them and hands them to its function, an [`InOrderLogic`]. One
//! file each; to add one, write its file, a line in [`logic`], and its variant of `InOrderFunction` in
//! `sql/src/in_order/function.rs`, with how it is called in `call.rs` beside it.
//!
//! A function sees rows in portions that depend on how the input was cut: what it gives must not. A set that is grouped
//! in CLOSE must be given whole, by one call of [`Output::give`].

mod batch;
mod count_distinct_items;
mod distinct_in_order;
mod group_rank;
mod hotspots;
mod in_time;
mod kept;
mod lead;
mod pairs;
mod points;
mod random_cut_forest;
mod sets;
mod sort_in_order;
mod sort_within;
mod stagger;
mod state_bytes;
mod top_k_items;
mod tumbling;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use millstream_analytics::DistinctCount;
use millstream_core::EventTime;
use millstream_sql::{InOrderFunction, InOrderStage, Leaf};

use super::computable::Computable;
use super::waiting::Waiting;
use super::{Faults, Given, Operator, Taken};
use crate::checkpoint::{Saved, Saver};

pub(crate) use batch::InOrderExec;

/// A function over rows in order.
pub(super) trait InOrderLogic: Send {
    /// Takes the next rows, which are in order, with their times in milliseconds.
    fn push(&mut self, rows: &RecordBatch, times: &[i64], output: &mut Output) -> Result<()>;

    /// No row before `watermark` comes any more; `MAX`: none at all. Comes after the rows before it.
    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()>;

    /// No row that is given later is older than this, when the input has come to `input`.
    fn watermark(&self, input: EventTime) -> EventTime;

    /// How many rows are kept.
    fn len(&self) -> usize;

    /// Bytes of memory that they take, about.
    fn bytes(&self) -> usize;

    /// Says what its state is.
    fn save(&mut self, saver: &mut Saver) -> Result<()>;

    /// Takes a saved state on. Comes before anything else.
    fn load(&mut self, saved: &mut Saved) -> Result<()>;
}

/// The function, over rows of `input`.
fn logic(function: &InOrderFunction, columns: &[usize], input: &SchemaRef) -> Result<Box<dyn InOrderLogic>> {
    let input = Arc::clone(input);
    Ok(match function {
        InOrderFunction::InTime => Box::new(in_time::InTime::new(columns.get(1).copied())),
        InOrderFunction::SortWithin { slack } => Box::new(sort_within::SortWithin::new(input, columns[1], *slack)),
        InOrderFunction::SortInOrder { descending, step } => {
            let by = columns[2..].iter().copied().zip(descending.iter().copied()).collect();
            Box::new(sort_in_order::SortInOrder::new(input, columns[1], by, *step))
        }
        InOrderFunction::DistinctInOrder => {
            Box::new(distinct_in_order::DistinctInOrder::new(&input, columns[1], columns[2..].to_vec())?)
        }
        InOrderFunction::Pairs { windows } => Box::new(pairs::Pairs::new(input, columns, *windows)),
        InOrderFunction::Stagger { length } => Box::new(stagger::Stagger::new(input, columns[1..].to_vec(), *length)?),
        InOrderFunction::Sets => Box::new(sets::Sets::new(input, columns[1..].to_vec())),
        InOrderFunction::RandomCutForest { parameters, explained } => {
            let columns = columns[1..].to_vec();
            Box::new(random_cut_forest::Forest::new(&input, columns, parameters.clone(), *explained)?)
        }
        InOrderFunction::Hotspots { parameters } => {
            Box::new(hotspots::HotspotsOfRows::new(columns[1..].to_vec(), parameters.clone())?)
        }
        InOrderFunction::TopKItems { k, length } => {
            let data_type = input.field(columns[1]).data_type().clone();
            let none = top_k_items::TopItems::new(*k as usize, data_type);
            Box::new(tumbling::Tumbling::new(columns[1], *length, none))
        }
        InOrderFunction::CountDistinctItems { length } => {
            Box::new(tumbling::Tumbling::new(columns[1], *length, DistinctCount::default()))
        }
        InOrderFunction::GroupRank { is_descending, is_last_first, output_max, .. } => {
            let (is_descending, is_last_first) = (*is_descending, *is_last_first);
            let output_max = *output_max as usize;
            Box::new(group_rank::GroupRank { by: columns[1], is_descending, is_last_first, output_max })
        }
    })
}

/// What a function gives, and what it leaves out.
pub(super) struct Output {
    schema: SchemaRef,
    rows: Vec<RecordBatch>,
    faults: Faults,
}

impl Output {
    fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: Vec::new(), faults: Faults::default() }
    }

    /// Gives rows of the input with what the function adds behind them.
    fn give(&mut self, rows: &RecordBatch, added: impl IntoIterator<Item = ArrayRef>) -> Result<()> {
        if rows.num_rows() > 0 {
            let columns = rows.columns().iter().cloned().chain(added).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            self.rows.push(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        }
        Ok(())
    }

    /// Times, in milliseconds, as the column in this place of what is given.
    fn times(&self, times: impl Iterator<Item = i64>, column: usize) -> ArrayRef {
        let zone = match self.schema.field(column).data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone_opt(zone))
    }

    /// A row is left out, and why.
    fn tell(&mut self, rows: &RecordBatch, row: usize, reason: impl Into<String>) {
        self.faults.told.push((crate::feed::row_text(rows, row), reason.into()));
    }

    /// A row is left out because others have gone on that it comes before.
    fn late(&mut self, time: i64) {
        self.faults.late.push(EventTime(time));
    }
}

/// The state of a function over rows in order.
pub(crate) struct InOrderOperator {
    waiting: Waiting,
    logic: Box<dyn InOrderLogic>,
    gives_sets: bool,
    output: SchemaRef,
    faults: Faults,
}

impl InOrderOperator {
    pub(crate) fn new(stage: &InOrderStage, leaf: &Leaf) -> Result<Self> {
        let input: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
        let output: SchemaRef = Arc::new(stage.schema.as_arrow().clone());
        Ok(Self {
            logic: logic(&stage.function, &stage.columns, &input)?,
            gives_sets: stage.function.gives_sets(),
            waiting: Waiting::new(input, Vec::new(), Computable::new([])),
            output,
            faults: Faults::default(),
        })
    }
}

impl Operator for InOrderOperator {
    fn take_rows(&mut self, _: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        self.waiting.take(rows, times)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark <= self.waiting.watermark {
            return Ok(Vec::new());
        }
        self.waiting.watermark = watermark;
        let mut output = Output::new(Arc::clone(&self.output));
        if let Some((rows, times)) = self.waiting.ready()? {
            self.logic.push(&rows, times.values(), &mut output)?;
        }
        self.logic.advance(watermark, &mut output)?;
        self.faults = output.faults;
        if self.gives_sets && !output.rows.is_empty() {
            return Ok(vec![Given::Sets(output.rows)]);
        }
        Ok(output.rows.into_iter().map(|rows| Given::Rows(vec![rows])).collect())
    }

    fn watermark(&self) -> EventTime {
        self.logic.watermark(self.waiting.watermark)
    }

    fn take_faults(&mut self) -> Faults {
        std::mem::take(&mut self.faults)
    }

    fn size(&self) -> (usize, usize) {
        (0, self.waiting.len() + self.logic.len())
    }

    fn bytes(&self) -> usize {
        self.waiting.bytes() + self.logic.bytes()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.waiting.save(saver)?;
        self.logic.save(saver)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.waiting.load(saved)?;
        self.logic.load(saved)
    }
}
