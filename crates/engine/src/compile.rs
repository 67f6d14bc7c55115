//! Everything that can fail about a query, before anything of it runs.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use millstream_core::{Duration, WindowSpec};
use millstream_sql::{
    ContinuousQuery, Feed, Input, Leaf, LeafColumn, Operator as Plan, Pipeline, RowTime, SqlError, Stage, Target,
};

use crate::attached::{Into, Part};
use crate::close::{ClosePlan, FindReference};
use crate::engine::Inner;
use crate::hot::{CompiledFeed, CompiledGroups};
use crate::live_table::{Holds as TableHolds, LiveTable};
use crate::memory::Share;
use crate::message::LeafId;
use crate::operators::{
    Holds, InOrderOperator, IntervalJoinOperator, Operator, RowsOperator, Sessions, TopOperator, UpdatingTable,
    WindowLeaf, Windows, over,
};
use crate::pane::PaneLayout;
use crate::stages::{InnerFeed, RunningStage, Stages};
use crate::stats::QueryStats;

/// A query that is compiled and not yet started.
pub(crate) struct Prepared {
    pub(crate) plan: ContinuousQuery,
    pub(crate) parts: Vec<(String, Arc<Part>)>,
    pub(crate) stages: Stages,
    /// The source that feeds a leaf.
    pub(crate) sources: HashMap<LeafId, Arc<str>>,
    /// Sessions: workers hand over all they have.
    pub(crate) takes_all: bool,
    pub(crate) table: Option<Arc<LiveTable>>,
    pub(crate) sink: Option<Box<dyn millstream_core::Sink>>,
    pub(crate) stats: Arc<QueryStats>,
    pub(crate) memory: Arc<Share>,
}

impl Inner {
    /// Compiles a planned query.
    pub(crate) fn compile(&self, plan: ContinuousQuery, find: &FindReference<'_>) -> Result<Prepared, SqlError> {
        let pipeline = &plan.pipeline;
        let lateness = match &plan.target {
            Target::LiveTable { settings, .. } => settings.lateness,
            Target::Sink(_) | Target::Client { .. } => Duration(0),
        };
        let stats = Arc::<QueryStats>::default();
        let memory = Arc::new(self.memory.share(&stats));
        let mut parts = Vec::new();
        let mut stages = Vec::new();
        for (number, stage) in pipeline.stages.iter().enumerate() {
            // Windows of earlier stages are given once: what reads them could not take them back.
            let is_last = number + 1 == pipeline.stages.len();
            let lateness = if is_last { lateness } else { Duration(0) };
            stages.push(self.compile_stage(number, stage, lateness, find, &memory, &mut parts)?);
        }
        let sources = parts.iter().map(|(source, part)| (part.leaf, Arc::from(source.as_str()))).collect();
        let takes_all =
            pipeline.stages.iter().any(|stage| matches!(stage.operator, Plan::Windows(WindowSpec::Session { .. })));
        let (table, sink) = match &plan.target {
            Target::LiveTable { schema, settings } => {
                let holds = table_holds(pipeline);
                let table = LiveTable::new(&plan.name, Arc::clone(schema), pipeline.key.clone(), holds, *settings)?;
                table.counted_in(memory.account());
                (Some(Arc::new(table)), None)
            }
            Target::Sink(table) => {
                let sink = self.connectors.sink(&table.decl, &plan.name);
                (None, Some(sink.map_err(|error| SqlError::new(error.to_string()))?))
            }
            Target::Client { .. } => (None, None),
        };
        let stages = Stages::new(stages, pipeline.key.clone());
        Ok(Prepared { plan, parts, stages, sources, takes_all, table, sink, stats, memory })
    }

    fn compile_stage(
        &self,
        number: usize,
        stage: &Stage,
        lateness: Duration,
        find: &FindReference<'_>,
        memory: &Arc<Share>,
        parts: &mut Vec<(String, Arc<Part>)>,
    ) -> Result<RunningStage, SqlError> {
        let window = match stage.operator {
            Plan::Windows(spec) => Some(spec),
            _ => None,
        };
        let (mut feeds, mut has_panes, mut reads_tables) = (Vec::new(), false, false);
        let mut layouts = Vec::new();
        for (leaf_number, leaf) in stage.leaves.iter().enumerate() {
            let id = LeafId { stage: number, leaf: leaf_number };
            let mut layout = None;
            for feed in &leaf.feeds {
                let compiled = CompiledFeed::compile(leaf, feed)?;
                if let CompiledFeed::Groups(groups) = &compiled {
                    layout = Some(pane_layout(leaf, feed, groups, window.is_none()));
                }
                match &feed.hot.input {
                    Input::Table(table) => {
                        reads_tables = true;
                        let into = match (&layout, window) {
                            (Some(layout), Some(spec)) => {
                                has_panes = true;
                                Into::Panes { layout: layout.clone(), spec, lateness }
                            }
                            (Some(layout), None) => Into::Table(layout.clone()),
                            (None, _) => Into::Closer { timed: feed.hot.time != RowTime::None },
                        };
                        let source = table.decl.name.clone();
                        let part = Part { source: source.clone(), leaf: id, feed: compiled, into };
                        parts.push((source, Arc::new(part)));
                    }
                    Input::Stage(from) => feeds.push(InnerFeed {
                        from: *from,
                        leaf: leaf_number,
                        feed: compiled,
                        time: feed.hot.time,
                        is_trusted: matches!(&stage.operator, Plan::InOrder(in_order) if in_order.trusts),
                        groups: layout.clone().map(|layout| (layout, window)),
                    }),
                }
            }
            layouts.push(layout);
        }
        let seen: Vec<SchemaRef> = match &stage.operator {
            Plan::Over(over) => vec![Arc::new(over.schema.as_arrow().clone())],
            Plan::IntervalJoin(join) => vec![Arc::new(join.schema.as_arrow().clone())],
            Plan::Top(top) => vec![Arc::new(top.schema.as_arrow().clone())],
            Plan::InOrder(in_order) => vec![Arc::new(in_order.schema.as_arrow().clone())],
            Plan::Rows | Plan::Windows(_) | Plan::Updating { .. } => {
                stage.leaves.iter().map(|leaf| Arc::new(leaf.schema.as_arrow().clone())).collect()
            }
        };
        let close = ClosePlan::compile(&self.session, self.runtime.clone(), stage.close.as_ref(), &seen, find)?;
        let operator = operator(stage, layouts, &seen, lateness, &close, memory)?;
        Ok(RunningStage { operator, close, feeds, reads_tables, has_panes })
    }
}

fn operator(
    stage: &Stage,
    layouts: Vec<Option<PaneLayout>>,
    seen: &[SchemaRef],
    lateness: Duration,
    close: &ClosePlan,
    memory: &Arc<Share>,
) -> Result<Box<dyn Operator>, SqlError> {
    let missing = || SqlError::new("a stage has too few inputs");
    let first = || stage.leaves.first().ok_or_else(missing);
    Ok(match &stage.operator {
        Plan::Rows => {
            Box::new(RowsOperator::new(seen.iter().map(|schema| RecordBatch::new_empty(Arc::clone(schema))).collect()))
        }
        Plan::Windows(spec) => {
            let leaves = stage.leaves.iter().zip(layouts).map(|(leaf, layout)| {
                let holds = match layout {
                    Some(layout) => Holds::Groups(layout),
                    None => Holds::Rows(row_schema(leaf)?),
                };
                Ok(WindowLeaf { leaf: leaf.clone(), holds })
            });
            let leaves = leaves.collect::<Result<Vec<_>, SqlError>>()?;
            match spec {
                WindowSpec::Session { gap } => Box::new(Sessions::new(*gap, leaves, close.is_per_window)?),
                _ => Box::new(Windows::new(*spec, lateness, leaves, close.is_row_wise, Arc::clone(memory))),
            }
        }
        Plan::Updating { ttl } => {
            let layout = layouts.into_iter().next().flatten().ok_or_else(missing)?;
            Box::new(UpdatingTable::new(first()?.clone(), layout, *ttl)?)
        }
        Plan::Over(functions) => over(functions, first()?)?,
        Plan::IntervalJoin(join) => match stage.leaves.as_slice() {
            [left, right] => Box::new(IntervalJoinOperator::new(join, left, right)?),
            _ => return Err(missing()),
        },
        Plan::Top(top) => Box::new(TopOperator::new(top, first()?)?),
        Plan::InOrder(in_order) => Box::new(InOrderOperator::new(in_order, first()?)?),
    })
}

/// The columns that rows of a leaf have before they get those of their window.
fn row_schema(leaf: &Leaf) -> Result<SchemaRef, SqlError> {
    match CompiledFeed::compile(leaf, leaf.feed())? {
        CompiledFeed::Rows { schema, .. } => Ok(schema),
        CompiledFeed::Groups(_) => Err(SqlError::new("a leaf of groups has no rows")),
    }
}

fn pane_layout(leaf: &Leaf, feed: &Feed, groups: &CompiledGroups, for_row_accumulators: bool) -> PaneLayout {
    let columns = feed.columns.iter().zip(leaf.schema.fields().iter());
    let keys = columns.filter_map(|(key, field): (_, &FieldRef)| match key {
        LeafColumn::Row(_) => Some(Arc::clone(field)),
        LeafColumn::Window(_) => None,
    });
    let functions = groups.aggregates.iter().map(|aggregate| Arc::clone(&aggregate.function)).collect();
    PaneLayout::new(keys, functions, for_row_accumulators)
}

fn table_holds(pipeline: &Pipeline) -> TableHolds {
    match pipeline.last().operator {
        Plan::Rows | Plan::Over(_) | Plan::IntervalJoin(_) | Plan::InOrder(_) => TableHolds::Appended,
        Plan::Windows(_) => TableHolds::Windows,
        Plan::Updating { .. } | Plan::Top(_) => TableHolds::Keys,
    }
}
