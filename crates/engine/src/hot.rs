//! HOT: what is done to each micro-batch of a source for one query. Filter, then evaluate keys, arguments or output
//! columns, as bare expressions compiled once.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use millstream_sql::{Feed, Gives, Hot, Leaf, LeafColumn};

use crate::physical::physical_expr;

/// The compiled row-by-row part of one query on one source.
pub(crate) struct CompiledHot {
    /// The source columns it reads; expressions are over these.
    columns: Vec<usize>,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    outputs: Vec<Arc<dyn PhysicalExpr>>,
}

/// An aggregate, compiled: where its arguments are among the HOT outputs.
pub(crate) struct CompiledAggregate {
    pub(crate) function: Arc<AggregateFunctionExpr>,
    /// Positions of its arguments, then of its ORDER BY expressions.
    pub(crate) arguments: Vec<usize>,
    /// The position of its FILTER.
    pub(crate) filter: Option<usize>,
}

/// One feed of a leaf, compiled.
pub(crate) enum CompiledFeed {
    /// Into groups.
    Groups(CompiledGroups),
    /// Into rows with this schema: the columns that are not of a window.
    Rows { hot: CompiledHot, schema: SchemaRef },
}

impl CompiledFeed {
    pub(crate) fn compile(leaf: &Leaf, feed: &Feed) -> Result<Self> {
        match leaf.gives {
            Gives::Groups => CompiledGroups::compile(leaf, feed).map(Self::Groups),
            Gives::Rows => {
                let (mut outputs, mut fields) = (Vec::new(), Vec::new());
                for (index, column) in feed.columns.iter().enumerate() {
                    let LeafColumn::Row(expr) = column else { continue };
                    // What the operator keeps for itself has no name in CLOSE.
                    fields.push(match leaf.schema.fields().get(index) {
                        Some(field) => Arc::clone(field),
                        None => Arc::new(Field::new(format!("__{index}"), expr.get_type(&feed.hot.schema)?, true)),
                    });
                    outputs.push(expr.clone());
                }
                let hot = CompiledHot::compile(&feed.hot, &outputs)?;
                Ok(Self::Rows { hot, schema: Arc::new(Schema::new(fields)) })
            }
        }
    }

    /// What is done to each row.
    pub(crate) fn hot(&self) -> &CompiledHot {
        match self {
            Self::Groups(groups) => &groups.hot,
            Self::Rows { hot, .. } => hot,
        }
    }
}

/// The compiled part of a query below one aggregate.
pub(crate) struct CompiledGroups {
    pub(crate) hot: CompiledHot,
    /// Positions of the row keys among the HOT outputs.
    pub(crate) keys: Vec<usize>,
    pub(crate) aggregates: Vec<CompiledAggregate>,
}

/// Rows that passed, with their evaluated columns.
pub(crate) struct HotRows {
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) rows: usize,
    /// For each row its index in the source batch; `None`: all rows passed.
    pub(crate) selected: Option<BooleanArray>,
}

impl CompiledHot {
    fn compile(hot: &Hot, outputs: &[Expr]) -> Result<Self> {
        let mut columns = BTreeSet::new();
        for expr in hot.filters.iter().chain(outputs) {
            for column in expr.column_refs() {
                columns.insert(hot.schema.index_of_column(column)?);
            }
        }
        let columns: Vec<usize> = columns.into_iter().collect();
        let fields = columns.iter().map(|index| {
            let (qualifier, field) = hot.schema.qualified_field(*index);
            (qualifier.cloned(), Arc::clone(field))
        });
        let schema = DFSchema::new_with_metadata(fields.collect(), std::collections::HashMap::default())?;
        let compile = |expr: &Expr| physical_expr(expr, &schema);
        Ok(Self {
            filters: hot.filters.iter().map(compile).collect::<Result<_>>()?,
            outputs: outputs.iter().map(compile).collect::<Result<_>>()?,
            columns,
        })
    }

    /// The source columns it reads.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Runs over a batch of the source's full schema. An error is the fault of a row: `isolate` finds which.
    pub(crate) fn run(&self, source: &RecordBatch) -> Result<HotRows> {
        let mut batch = source.project(&self.columns)?;
        let mut selected: Option<BooleanArray> = None;
        for filter in &self.filters {
            let mask = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
            let mask = passing(mask.as_boolean());
            if mask.true_count() == mask.len() {
                continue;
            }
            batch = filter_record_batch(&batch, &mask)?;
            selected = Some(match selected {
                None => mask,
                Some(before) => combine(&before, &mask),
            });
        }
        let rows = batch.num_rows();
        let columns = self.outputs.iter().map(|output| output.evaluate(&batch)?.into_array(rows));
        Ok(HotRows { columns: columns.collect::<Result<_>>()?, rows, selected })
    }
}

/// A condition's result with NULL as not passing.
pub(crate) fn passing(mask: &BooleanArray) -> BooleanArray {
    if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() }
}

/// The mask over all rows, of a second mask over the rows that a first one let pass.
fn combine(before: &BooleanArray, then: &BooleanArray) -> BooleanArray {
    let mut passed = then.values().iter();
    before.values().iter().map(|kept| Some(kept && passed.next().unwrap_or(false))).collect()
}

impl CompiledGroups {
    fn compile(leaf: &Leaf, feed: &Feed) -> Result<Self> {
        let mut outputs: Vec<Expr> = Vec::new();
        // Equal expressions are evaluated once: inlining projections wrote common ones out again.
        let mut position = |expr: &Expr| {
            outputs.iter().position(|known| known == expr).unwrap_or_else(|| {
                outputs.push(expr.clone());
                outputs.len() - 1
            })
        };
        let keys = feed.columns.iter().filter_map(|key| match key {
            LeafColumn::Row(expr) => Some(position(expr)),
            LeafColumn::Window(_) => None,
        });
        let keys = keys.collect();
        let arrow_schema = feed.hot.schema.as_arrow();
        let mut names = leaf.schema.fields().iter().skip(feed.columns.len());
        let mut aggregates = Vec::new();
        for expr in &feed.aggregates {
            // What the operator keeps for itself has no name in CLOSE.
            let name = names.next().map_or_else(|| expr.schema_name().to_string(), |field| field.name().clone());
            let props = ExecutionProps::new();
            let context = PhysicalPlanningContext::default();
            let lowered = LoweredAggregateBuilder::new(expr, &feed.hot.schema, arrow_schema, &props, &context)
                .with_name(name)
                .build()?;
            let (arguments, filter) = argument_exprs(expr)?;
            aggregates.push(CompiledAggregate {
                function: lowered.aggregate,
                arguments: arguments.iter().map(&mut position).collect(),
                filter: filter.as_ref().map(&mut position),
            });
        }
        Ok(Self { hot: CompiledHot::compile(&feed.hot, &outputs)?, keys, aggregates })
    }
}

/// The arguments and ORDER BY expressions of an aggregate, and its FILTER.
fn argument_exprs(expr: &Expr) -> Result<(Vec<Expr>, Option<Expr>)> {
    let mut found = None;
    expr.apply(|part| {
        if let Expr::AggregateFunction(function) = part {
            let params = &function.params;
            let order_by = params.order_by.iter().map(|sort| sort.expr.clone());
            let arguments = params.args.iter().cloned().chain(order_by).collect();
            found = Some((arguments, params.filter.as_deref().cloned()));
            return Ok(datafusion::common::tree_node::TreeNodeRecursion::Stop);
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    found.ok_or_else(|| datafusion::error::DataFusionError::Internal(format!("{expr} is not an aggregate")))
}

/// Finds the rows whose own values make an expression fail, such as a division by zero, by halving. Calls `take` with
/// what works and `reject` with the index of each row that does not.
pub(crate) fn isolate(
    batch: &RecordBatch,
    first: usize,
    take: &mut dyn FnMut(&RecordBatch, usize) -> Result<()>,
    reject: &mut dyn FnMut(usize, String),
) {
    match take(batch, first) {
        Ok(()) => {}
        Err(error) if batch.num_rows() <= 1 => reject(first, error.strip_backtrace()),
        Err(_) => {
            let half = batch.num_rows() / 2;
            isolate(&batch.slice(0, half), first, take, reject);
            isolate(&batch.slice(half, batch.num_rows() - half), first + half, take, reject);
        }
    }
}
