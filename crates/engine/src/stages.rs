//! The stages of one query, run by its closer: rows and groups come in from workers, results of one stage go into the
//! next, and the last gives what the query emits.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{EventTime, Window, WindowSpec};
use millstream_sql::RowTime;
use std::sync::Arc;

use crate::close::ClosePlan;
use crate::feed::update;
use crate::hot::CompiledFeed;
use crate::message::LeafId;
use crate::operators::{Given, Operator, Taken, missing_keys};
use crate::pane::{Delta, PaneLayout, take_rows};
use crate::slices::{Slices, by_slice};

/// What a query emits.
pub(crate) enum Emitted {
    Window {
        window: Window,
        rows: RecordBatch,
        is_final: bool,
    },
    Append(RecordBatch),
    /// Changed rows, and the keys of rows that are gone.
    Update {
        rows: RecordBatch,
        gone: Option<Vec<ArrayRef>>,
    },
}

/// An operator, what feeds it from earlier stages, and CLOSE.
pub(crate) struct RunningStage {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) close: ClosePlan,
    pub(crate) feeds: Vec<InnerFeed>,
    /// Whether it reads tables too, not only earlier stages.
    pub(crate) reads_tables: bool,
    /// Whether workers keep state of it.
    pub(crate) has_panes: bool,
}

/// Rows of an earlier stage on their way into a leaf.
pub(crate) struct InnerFeed {
    pub(crate) from: usize,
    pub(crate) leaf: usize,
    pub(crate) feed: CompiledFeed,
    pub(crate) time: RowTime,
    /// Groups are made of rows before they go in, by slice where there are windows.
    pub(crate) groups: Option<(PaneLayout, Option<WindowSpec>)>,
}

/// All stages of a query.
pub(crate) struct Stages {
    stages: Vec<RunningStage>,
    /// The columns of the result by which changed rows are found.
    key: Vec<usize>,
    /// How far the stages have run.
    reached: EventTime,
}

impl Stages {
    pub(crate) fn new(stages: Vec<RunningStage>, key: Vec<usize>) -> Self {
        Self { stages, key, reached: EventTime::MIN }
    }

    pub(crate) fn take_rows(&mut self, id: LeafId, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        self.stages[id.stage].operator.take_rows(id.leaf, rows, times)
    }

    pub(crate) fn take_groups(&mut self, id: LeafId, slice: Option<Window>, groups: Delta) -> Result<Taken> {
        self.stages[id.stage].operator.take_groups(id.leaf, slice, groups)
    }

    /// What is taken from now on happens at this time.
    pub(crate) fn set_now(&mut self, now: EventTime) {
        self.stages.iter_mut().for_each(|stage| stage.operator.set_now(now));
    }

    /// Whether workers keep state that is to be asked for.
    pub(crate) fn has_panes(&self) -> bool {
        self.stages.iter().any(|stage| stage.has_panes)
    }

    /// Whether something can close at `watermark`. A stage over others may be behind it, and stays so until it moves.
    pub(crate) fn is_due(&self, watermark: EventTime) -> bool {
        let has_moved = watermark > self.reached;
        self.stages.iter().any(|stage| (has_moved || stage.feeds.is_empty()) && stage.operator.is_due(watermark))
    }

    /// Whether open windows have changed since the last look.
    pub(crate) fn has_news(&self) -> bool {
        self.stages.last().is_some_and(|stage| stage.operator.has_news())
    }

    /// Windows that are open and groups or rows that are kept, over all stages.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.stages.iter().map(|stage| stage.operator.size());
        sizes.fold((0, 0), |(windows, groups), (more, others)| (windows + more, groups + others))
    }

    /// Runs every stage up to `watermark`.
    pub(crate) fn advance(&mut self, watermark: EventTime, now: EventTime) -> Result<Vec<Emitted>> {
        self.reached = self.reached.max(watermark);
        let mut emitted = Vec::new();
        for index in 0..self.stages.len() {
            let stage = &self.stages[index];
            let earlier = stage.feeds.iter().map(|feed| self.stages[feed.from].operator.watermark());
            let own = stage.reads_tables.then_some(watermark);
            let reached = earlier.chain(own).min().unwrap_or(watermark);
            let stage = &mut self.stages[index];
            let given = stage.operator.advance(reached, now)?;
            emitted = stage.close_all(given, &self.key)?;
            for later in index + 1..self.stages.len() {
                let RunningStage { feeds, operator, .. } = &mut self.stages[later];
                for feed in feeds.iter().filter(|feed| feed.from == index) {
                    emitted.iter().try_for_each(|rows| feed.push(rows, operator.as_mut()))?;
                }
            }
        }
        Ok(emitted)
    }

    /// The open windows of the last stage.
    pub(crate) fn look(&mut self) -> Result<Vec<Emitted>> {
        let Some(stage) = self.stages.last_mut() else { return Ok(Vec::new()) };
        let given = stage.operator.look()?;
        stage.close_all(given, &self.key)
    }
}

impl RunningStage {
    fn close_all(&self, given: Vec<Given>, key: &[usize]) -> Result<Vec<Emitted>> {
        given.into_iter().map(|given| self.close_one(given, key)).collect()
    }

    fn close_one(&self, given: Given, key: &[usize]) -> Result<Emitted> {
        Ok(match given {
            Given::Window { window, leaves, is_final } => {
                Emitted::Window { window, rows: self.close.run(leaves)?, is_final }
            }
            Given::Rows(leaves) => Emitted::Append(self.close.run(leaves)?),
            Given::Changed { rows, keys } => {
                let rows = self.close.run(vec![rows])?;
                let kept: Vec<ArrayRef> = key.iter().map(|column| Arc::clone(rows.column(*column))).collect();
                let gone = missing_keys(&keys, &kept)?;
                Emitted::Update { rows, gone }
            }
            Given::Gone(keys) => {
                Emitted::Update { rows: RecordBatch::new_empty(self.close.schema()), gone: Some(keys) }
            }
        })
    }
}

impl InnerFeed {
    /// Takes what the earlier stage gave through HOT and into an operator.
    fn push(&self, emitted: &Emitted, operator: &mut dyn Operator) -> Result<()> {
        let (rows, window) = match emitted {
            Emitted::Window { rows, window, is_final: true } => (rows, Some(*window)),
            Emitted::Append(rows) => (rows, None),
            Emitted::Window { .. } | Emitted::Update { .. } => return Ok(()),
        };
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let (rows, times) = match (self.time, window) {
            (RowTime::None, _) => (rows.clone(), None),
            (RowTime::Window, Some(window)) => {
                (rows.clone(), Some(Int64Array::from(vec![window.end.0 - 1; rows.num_rows()])))
            }
            (RowTime::Window, None) => return Err(DataFusionError::Internal("rows of windows without one".to_owned())),
            (RowTime::Column(column), _) => {
                // An outer join may have made up a NULL: such a row has no place in time.
                let present = is_not_null(rows.column(column))?;
                let rows = filter_record_batch(rows, &present)?;
                let times = millis(rows.column(column))?;
                (rows, Some(times))
            }
        };
        let passed = self.feed.hot().run(&rows)?;
        let times = match (times, &passed.selected) {
            (Some(times), Some(mask)) => Some(arrow::compute::filter(&times, mask)?.as_primitive().clone()),
            (times, _) => times,
        };
        if passed.rows == 0 {
            return Ok(());
        }
        match (&self.feed, &self.groups) {
            (CompiledFeed::Rows { schema, .. }, _) => {
                let options = RecordBatchOptions::new().with_row_count(Some(passed.rows));
                let rows = RecordBatch::try_new_with_options(Arc::clone(schema), passed.columns, &options)?;
                operator.take_rows(self.leaf, &rows, times.as_ref())?;
            }
            (CompiledFeed::Groups(groups), Some((layout, spec))) => {
                let mut take = |slice, rows: usize, columns: &[ArrayRef]| {
                    let mut table = layout.table()?;
                    update(&mut table, groups, rows, columns)?;
                    operator.take_groups(self.leaf, slice, table.freeze()?).map(|_| ())
                };
                match (spec, times) {
                    (Some(spec), Some(times)) => match by_slice(*spec, times.values()) {
                        Slices::One(slice) => take(Some(slice), passed.rows, &passed.columns)?,
                        Slices::Many { parts, .. } => {
                            for (slice, indices) in parts {
                                take(Some(slice), indices.len(), &take_rows(&passed.columns, &indices)?)?;
                            }
                        }
                    },
                    _ => take(None, passed.rows, &passed.columns)?,
                }
            }
            (CompiledFeed::Groups(_), None) => {
                return Err(DataFusionError::Internal("groups without a layout".to_owned()));
            }
        }
        Ok(())
    }
}

/// A column of timestamps as milliseconds.
pub(crate) fn millis(column: &ArrayRef) -> Result<Int64Array> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let millis = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
    Ok(cast(&millis, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
