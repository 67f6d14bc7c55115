//! The stages of one query, run by its closer: rows and groups come in from workers, results of one stage go into the
//! next, and the last gives what the query emits.

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, filter_record_batch, is_not_null};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{EventTime, Window, WindowSpec};
use millstream_sql::RowTime;
use std::sync::Arc;

use crate::checkpoint::{Saved, Saver};
use crate::close::ClosePlan;
use crate::feed::{row_text, update};
use crate::hot::{CompiledFeed, isolate};
use crate::message::LeafId;
use crate::operators::{Faults, Given, Operator, Taken, compute, missing_keys};
use crate::pane::{Delta, PaneLayout, take_rows};
use crate::slices::{Slices, by_slice};
use crate::source::millis;

/// What a query emits.
pub(crate) enum Emitted {
    Window {
        window: Window,
        rows: RecordBatch,
        is_final: bool,
        part: Part,
    },
    Append(RecordBatch),
    /// Changed rows, and the keys of rows that are gone.
    Update {
        rows: RecordBatch,
        gone: Option<Vec<ArrayRef>>,
    },
}

/// What the rows of a window are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    First,
    Later,
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
    /// The time is not known to be one: it is of the latest of a row's times, and may be missing.
    pub(crate) is_trusted: bool,
    /// Groups are made of rows before they go in, by slice where there are windows.
    pub(crate) groups: Option<(PaneLayout, Option<WindowSpec>)>,
}

/// All stages of a query.
pub(crate) struct Stages {
    chain: Vec<RunningStage>,
    /// The columns of the result by which changed rows are found.
    key: Vec<usize>,
    /// Rows of earlier stages that came too late for a later one.
    late: Vec<LateRow>,
    broken: Vec<Broken>,
}

/// Rows that CLOSE failed on, as text, and why.
pub(crate) type Broken = (String, String);

/// The time of a row that came too late, and the window it missed.
pub(crate) type LateRow = (EventTime, Option<Window>);

impl Stages {
    pub(crate) fn new(stages: Vec<RunningStage>, key: Vec<usize>) -> Self {
        Self { chain: stages, key, late: Vec::new(), broken: Vec::new() }
    }

    pub(crate) fn take_rows(&mut self, id: LeafId, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        self.chain[id.stage].operator.take_rows(id.leaf, rows, times)
    }

    pub(crate) fn take_groups(&mut self, id: LeafId, slice: Option<Window>, groups: Delta) -> Result<Taken> {
        self.chain[id.stage].operator.take_groups(id.leaf, slice, groups)
    }

    /// What is taken from now on happens at this time.
    pub(crate) fn set_now(&mut self, now: EventTime) {
        self.chain.iter_mut().for_each(|stage| stage.operator.set_now(now));
    }

    /// Whether workers keep state that is to be asked for.
    pub(crate) fn has_panes(&self) -> bool {
        self.chain.iter().any(|stage| stage.has_panes)
    }

    /// Whether something that workers keep can close at `watermark`.
    pub(crate) fn is_due(&self, watermark: EventTime) -> bool {
        self.chain.iter().any(|stage| stage.has_panes && stage.operator.is_due(watermark))
    }

    /// Whether open windows have changed since the last look.
    pub(crate) fn has_news(&self) -> bool {
        self.chain.last().is_some_and(|stage| stage.operator.has_news())
    }

    /// Windows that are open and groups or rows that are kept, over all stages.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.chain.iter().map(|stage| stage.operator.size());
        sizes.fold((0, 0), |(windows, groups), (more, others)| (windows + more, groups + others))
    }

    /// How many groups and rows there may be at the most.
    pub(crate) fn groups_at_most(&self) -> usize {
        self.chain.iter().map(|stage| stage.operator.groups_at_most()).sum()
    }

    /// How many groups and rows there are.
    pub(crate) fn count_groups(&self) -> Result<usize> {
        self.chain.iter().map(|stage| stage.operator.count_groups()).sum()
    }

    /// Bytes of memory that the state takes.
    pub(crate) fn bytes(&self) -> usize {
        self.chain.iter().map(|stage| stage.operator.bytes()).sum()
    }

    /// Moves cold state to disk until memory takes `wanted` bytes less; answers how many.
    pub(crate) fn spill(&mut self, wanted: u64) -> Result<u64> {
        self.chain.iter_mut().try_fold(0, |freed, stage| {
            let left = wanted.saturating_sub(freed);
            if left == 0 { Ok(freed) } else { Ok(freed + stage.operator.spill(left)?) }
        })
    }

    /// Runs every stage up to `watermark`. What the last one gives is emitted one after another: all together may be
    /// more than there is memory for.
    pub(crate) fn advance<E: From<DataFusionError>>(
        &mut self,
        watermark: EventTime,
        now: EventTime,
        emit: &mut dyn FnMut(Emitted) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        for index in 0..self.chain.len() {
            let stage = &self.chain[index];
            let earlier = stage.feeds.iter().map(|feed| {
                let operator = &self.chain[feed.from].operator;
                if feed.is_trusted { operator.latest_watermark() } else { operator.watermark() }
            });
            let own = stage.reads_tables.then_some(watermark);
            let reached = earlier.chain(own).min().unwrap_or(watermark);
            let stage = &mut self.chain[index];
            let given = stage.operator.advance(reached, now)?;
            let Faults { late, told } = stage.operator.take_faults();
            self.late.extend(late.into_iter().map(|time| (time, None)));
            self.broken.extend(told);
            for given in given {
                let mut given = Some(given);
                let mut part = Part::Whole;
                while let Some(emitted) =
                    self.chain[index].close_next(&mut given, &mut part, &self.key, &mut self.broken)?
                {
                    if index + 1 == self.chain.len() {
                        emit(emitted)?;
                        continue;
                    }
                    for RunningStage { feeds, operator, .. } in &mut self.chain[index + 1..] {
                        for feed in feeds.iter().filter(|feed| feed.from == index) {
                            self.late.extend(feed.push(&emitted, operator.as_mut(), &mut self.broken)?);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Checkpoints are going to be taken.
    pub(crate) fn remember(&mut self) {
        self.chain.iter_mut().for_each(|stage| stage.operator.remember());
    }

    /// The state of every stage. Comes right after [`Self::advance`].
    pub(crate) fn save(&mut self, saver: &mut Saver) -> Result<()> {
        self.chain.iter_mut().enumerate().try_for_each(|(number, stage)| {
            saver.scope(format_args!("stage {number}"));
            stage.operator.save(saver)
        })
    }

    /// Takes a saved state on.
    pub(crate) fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.chain.iter_mut().enumerate().try_for_each(|(number, stage)| {
            saved.scope(format_args!("stage {number}"));
            stage.operator.load(saved)
        })
    }

    /// The rows that came too late for a later stage since this was last asked.
    pub(crate) fn take_late(&mut self) -> Vec<LateRow> {
        std::mem::take(&mut self.late)
    }

    /// The open windows of the last stage.
    pub(crate) fn look(&mut self) -> Result<Vec<Emitted>> {
        let Some(stage) = self.chain.last_mut() else { return Ok(Vec::new()) };
        let given = stage.operator.look()?;
        given.into_iter().map(|given| stage.close_one(given, &self.key, &mut self.broken)).collect()
    }

    /// The rows that CLOSE failed on since this was last asked.
    pub(crate) fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.broken)
    }
}

impl RunningStage {
    /// CLOSE over what was given, or over the next part of it.
    fn close_next(
        &self,
        given: &mut Option<Given>,
        part: &mut Part,
        key: &[usize],
        broken: &mut Vec<Broken>,
    ) -> Result<Option<Emitted>> {
        let Some(Given::Parts { window, parts, is_final }) = given else {
            return given.take().map(|given| self.close_one(given, key, broken)).transpose();
        };
        let (window, is_final) = (*window, *is_final);
        let Some(rows) = parts.next()? else { return Ok(None) };
        *part = if *part == Part::Whole { Part::First } else { Part::Later };
        let mut closed = self.close_one(Given::Window { window, leaves: vec![rows], is_final }, key, broken)?;
        if let Emitted::Window { part: of_closed, .. } = &mut closed {
            *of_closed = *part;
        }
        Ok(Some(closed))
    }

    fn close_one(&self, given: Given, key: &[usize], broken: &mut Vec<Broken>) -> Result<Emitted> {
        Ok(match given {
            Given::Window { window, leaves, is_final } => {
                // What open windows fail on is told when they close.
                let mut unseen = Vec::new();
                let told = if is_final { &mut *broken } else { &mut unseen };
                let of_window = || format!("window [{}, {})", window.start, window.end);
                let rows = self.run_close(leaves, &of_window, told)?;
                Emitted::Window { window, rows, is_final, part: Part::Whole }
            }
            Given::Parts { .. } => return Err(DataFusionError::Internal("the parts of a window at once".to_owned())),
            Given::Rows(leaves) => Emitted::Append(self.run_close(leaves, &|| "rows".to_owned(), broken)?),
            Given::Sets(sets) => Emitted::Append(self.close_sets(&sets, broken)?),
            Given::Changed { rows, keys } => {
                let rows = self.run_close(vec![rows], &|| "changed rows".to_owned(), broken)?;
                let kept: Vec<ArrayRef> = key.iter().map(|column| Arc::clone(rows.column(*column))).collect();
                let gone = if keys.is_empty() {
                    // One row without a key: it is there, or it is not.
                    (rows.num_rows() == 0).then(Vec::new)
                } else {
                    missing_keys(&keys, &kept)?
                };
                Emitted::Update { rows, gone }
            }
            Given::Gone(keys) => {
                Emitted::Update { rows: RecordBatch::new_empty(self.close.schema()), gone: Some(keys) }
            }
        })
    }

    /// Runs CLOSE over all sets at once, or over each by itself: one that it fails on must not take others away.
    fn close_sets(&self, sets: &[RecordBatch], broken: &mut Vec<Broken>) -> Result<RecordBatch> {
        let what = || "rows of a set".to_owned();
        let Some(first) = sets.first() else { return Ok(RecordBatch::new_empty(self.close.schema())) };
        let mut failed = Vec::new();
        let rows = self.run_close(vec![concat_batches(&first.schema(), sets)?], &what, &mut failed)?;
        if failed.is_empty() {
            return Ok(rows);
        }
        let each = sets.iter().map(|set| self.run_close(vec![set.clone()], &what, broken));
        Ok(concat_batches(&self.close.schema(), &each.collect::<Result<Vec<_>>>()?)?)
    }

    /// Runs CLOSE. What a row's values make fail, such as a division by zero, takes that row away and no other; where
    /// CLOSE looks at several rows together, all of them.
    fn run_close(
        &self,
        leaves: Vec<RecordBatch>,
        what: &dyn Fn() -> String,
        broken: &mut Vec<Broken>,
    ) -> Result<RecordBatch> {
        let reason = match self.close.run(leaves.clone()) {
            Ok(rows) => return Ok(rows),
            // Not of a row's making: a broken invariant, or a table that is not there.
            Err(error @ (DataFusionError::Internal(_) | DataFusionError::External(_))) => return Err(error),
            Err(error) => error.strip_backtrace(),
        };
        let [leaf] = leaves.as_slice() else {
            broken.push((what(), reason));
            return Ok(RecordBatch::new_empty(self.close.schema()));
        };
        if !self.close.is_row_wise {
            broken.push((what(), reason));
            return Ok(RecordBatch::new_empty(self.close.schema()));
        }
        let mut rows = Vec::new();
        isolate(
            leaf,
            0,
            &mut |part, _| {
                rows.push(self.close.run(vec![part.clone()])?);
                Ok(())
            },
            &mut |row, reason| broken.push((row_text(leaf, row), reason)),
        );
        Ok(concat_batches(&self.close.schema(), &rows)?)
    }
}

impl InnerFeed {
    /// Takes what the earlier stage gave through HOT and into an operator. Answers the rows that came too late for it.
    fn push(&self, emitted: &Emitted, operator: &mut dyn Operator, broken: &mut Vec<Broken>) -> Result<Vec<LateRow>> {
        let (rows, window) = match emitted {
            Emitted::Window { rows, window, is_final: true, .. } => (rows, Some(*window)),
            Emitted::Append(rows) => (rows, None),
            Emitted::Window { .. } | Emitted::Update { .. } => return Ok(Vec::new()),
        };
        let mut late = Vec::new();
        if rows.num_rows() == 0 {
            return Ok(late);
        }
        let (rows, times) = match (self.time, window) {
            (RowTime::None, _) => (rows.clone(), None),
            (RowTime::Window, Some(window)) => {
                (rows.clone(), Some(Int64Array::from(vec![window.end.0 - 1; rows.num_rows()])))
            }
            (RowTime::Window, None) => return Err(DataFusionError::Internal("rows of windows without one".to_owned())),
            (RowTime::End(column), _) => {
                let ends = millis(rows.column(column))?;
                (rows.clone(), Some(ends.values().iter().map(|end| end - 1).collect()))
            }
            (RowTime::Column(column), _) => {
                // An outer join may have made up a NULL: such a row has no place in time.
                let present = is_not_null(rows.column(column))?;
                if self.is_trusted {
                    let absent = (0..rows.num_rows()).filter(|row| !present.value(*row));
                    broken.extend(absent.map(|row| (row_text(rows, row), "the row has no time".to_owned())));
                }
                let rows = filter_record_batch(rows, &present)?;
                let times = millis(rows.column(column))?;
                (rows, Some(times))
            }
        };
        // A row on which HOT fails is told and left out.
        let hot = self.feed.hot();
        let (passed, times) = match hot.run(&rows) {
            Ok(passed) => (passed, times),
            Err(_) => {
                let left = compute(&rows, times.as_ref(), |part| hot.run(part).map(|_| ()))?;
                broken.extend(left.rejected);
                (hot.run(&left.rows)?, left.times)
            }
        };
        let times = match (times, &passed.selected) {
            (Some(times), Some(mask)) => Some(arrow::compute::filter(&times, mask)?.as_primitive().clone()),
            (times, _) => times,
        };
        if passed.rows == 0 {
            return Ok(late);
        }
        match (&self.feed, &self.groups) {
            (CompiledFeed::Rows { schema, .. }, _) => {
                let options = RecordBatchOptions::new().with_row_count(Some(passed.rows));
                let rows = RecordBatch::try_new_with_options(Arc::clone(schema), passed.columns, &options)?;
                let taken = operator.take_rows(self.leaf, &rows, times.as_ref())?;
                late.extend(taken.late);
                broken.extend(taken.rejected.into_iter().chain(taken.told));
            }
            (CompiledFeed::Groups(groups), Some((layout, spec))) => {
                let mut take = |slice: Option<Window>, times: &[i64], rows: usize, columns: &[ArrayRef]| {
                    if let Some(missed) = slice.and_then(|slice| operator.misses(slice)) {
                        late.extend(times.iter().map(|time| (EventTime(*time), Some(missed))));
                        return Ok(());
                    }
                    let mut table = layout.table()?;
                    update(&mut table, groups, rows, columns)?;
                    late.extend(operator.take_groups(self.leaf, slice, table.freeze()?)?.late);
                    Ok::<_, DataFusionError>(())
                };
                match (spec, times) {
                    (Some(spec), Some(times)) => match by_slice(*spec, times.values()) {
                        Slices::One(slice) => take(Some(slice), times.values(), passed.rows, &passed.columns)?,
                        Slices::Many { parts, .. } => {
                            for (slice, rows) in parts {
                                let of_slice: Vec<i64> =
                                    rows.values().iter().map(|row| times.value(*row as usize)).collect();
                                let columns = take_rows(&passed.columns, &rows)?;
                                take(Some(slice), &of_slice, rows.len(), &columns)?;
                            }
                        }
                    },
                    _ => take(None, &[], passed.rows, &passed.columns)?,
                }
            }
            (CompiledFeed::Groups(_), None) => {
                return Err(DataFusionError::Internal("groups without a layout".to_owned()));
            }
        }
        Ok(late)
    }
}
