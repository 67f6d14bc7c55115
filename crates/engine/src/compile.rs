//! Everything that can fail about a query, before anything of it runs.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use millstream_sql::{ContinuousQuery, GroupKey, Leaf, SqlError, Stage, Table, Target};

use crate::attached::{Part, Work};
use crate::close::ClosePlan;
use crate::closer::Operator;
use crate::engine::Inner;
use crate::hot::{CompiledHot, CompiledLeaf};
use crate::live_table::{Holds, LiveTable};
use crate::pane::PaneLayout;
use crate::updating::UpdatingTable;

/// A query that is compiled and not yet started.
pub(crate) struct Prepared {
    pub(crate) plan: ContinuousQuery,
    pub(crate) parts: Vec<(String, Arc<Part>)>,
    pub(crate) operator: Operator,
    pub(crate) table: Option<Arc<LiveTable>>,
    pub(crate) sink: Option<Box<dyn millstream_core::Sink>>,
}

impl Inner {
    /// Compiles a planned query.
    pub(crate) fn compile(&self, plan: ContinuousQuery) -> Result<Prepared, SqlError> {
        let pipeline = &plan.pipeline;
        let source = |table: &Table| table.decl.name.clone();
        let (parts, operator) = match &pipeline.stage {
            Stage::Rows(branches) => {
                let mut parts = Vec::new();
                for rows in branches {
                    let work = Work::Rows { hot: CompiledHot::of_rows(rows)?, schema: Arc::clone(&pipeline.schema) };
                    let name = source(&rows.hot.table);
                    parts.push((name.clone(), Arc::new(Part { source: name, work })));
                }
                (parts, Operator::Rows)
            }
            Stage::Windowed { leaves, window, close } => {
                let mut parts = Vec::new();
                let mut layouts = Vec::new();
                for (index, leaf) in leaves.iter().enumerate() {
                    let (part, layout) = compile_leaf(index, leaf, Some(*window))?;
                    parts.push((source(&leaf.hot.table), Arc::new(part)));
                    layouts.push((leaf.clone(), layout));
                }
                let close = ClosePlan::compile(&self.session, self.runtime.clone(), close, leaves.len())?;
                (parts, Operator::Windowed { spec: *window, leaves: layouts, close })
            }
            Stage::Updating { leaf, close, ttl } => {
                let (part, layout) = compile_leaf(0, leaf, None)?;
                let table = UpdatingTable::new(leaf.clone(), layout, *ttl)?;
                let close = ClosePlan::compile(&self.session, self.runtime.clone(), close, 1)?;
                let operator = Operator::Updating { table: Box::new(table), close, key: pipeline.key.clone() };
                (vec![(source(&leaf.hot.table), Arc::new(part))], operator)
            }
        };
        let (table, sink) = match &plan.target {
            Target::LiveTable { schema, settings } => {
                let holds = match &pipeline.stage {
                    Stage::Rows(_) => Holds::Appended,
                    Stage::Windowed { .. } => Holds::Windows,
                    Stage::Updating { .. } => Holds::Keys,
                };
                let table = LiveTable::new(&plan.name, Arc::clone(schema), pipeline.key.clone(), holds, *settings)?;
                (Some(Arc::new(table)), None)
            }
            Target::Sink(table) => {
                let sink = self.connectors.sink(&table.decl, &plan.name);
                (None, Some(sink.map_err(|error| SqlError::new(error.to_string()))?))
            }
            Target::Client { .. } => (None, None),
        };
        Ok(Prepared { plan, parts, operator, table, sink })
    }
}

fn compile_leaf(
    index: usize,
    leaf: &Leaf,
    window: Option<millstream_core::WindowSpec>,
) -> Result<(Part, PaneLayout), SqlError> {
    let compiled = CompiledLeaf::compile(leaf)?;
    let keys = leaf.keys.iter().zip(leaf.schema.fields().iter()).filter_map(|(key, field): (_, &FieldRef)| match key {
        GroupKey::Row(_) => Some(Arc::clone(field)),
        GroupKey::Window(_) => None,
    });
    let functions = compiled.aggregates.iter().map(|aggregate| Arc::clone(&aggregate.function)).collect();
    let layout = PaneLayout::new(keys, functions, window.is_none());
    let source = leaf.hot.table.decl.name.clone();
    let work = Work::Aggregate { leaf: index, compiled, layout: layout.clone(), window };
    Ok((Part { source, work }, layout))
}
