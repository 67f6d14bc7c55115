//! CLOSE: what is above the first aggregate, as a bounded DataFusion plan that is built once and run per window.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use millstream_core::{EventTime, Window};
use millstream_sql::{GroupKey, Leaf, LeafNode, Session, WindowBound};

use crate::pane::PaneTable;
use crate::physical::{Leaves, Slot, SlotExec, physical_plan, run};

/// The compiled CLOSE of one query.
pub(crate) struct ClosePlan {
    session: Session,
    runtime: tokio::runtime::Handle,
    /// `None`: CLOSE is the leaf itself.
    plan: Option<Arc<dyn ExecutionPlan>>,
    slots: Vec<Arc<Slot>>,
    schema: SchemaRef,
}

impl ClosePlan {
    pub(crate) fn compile(
        session: &Session,
        runtime: tokio::runtime::Handle,
        close: &LogicalPlan,
        leaves: usize,
    ) -> Result<Self> {
        let slots: Vec<Arc<Slot>> = (0..leaves).map(|_| Arc::default()).collect();
        let schema = Arc::new(close.schema().as_arrow().clone());
        let is_leaf = matches!(close, LogicalPlan::Extension(node) if node.node.as_any().is::<LeafNode>());
        let plan =
            if is_leaf { None } else { Some(physical_plan(session, close, PaneLeaves { slots: slots.clone() })?) };
        Ok(Self { session: session.clone(), runtime, plan, slots, schema })
    }

    /// The columns of the result.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The result over the leaves' rows.
    pub(crate) fn run(&self, mut leaves: Vec<RecordBatch>) -> Result<RecordBatch> {
        let Some(plan) = &self.plan else {
            let rows = leaves.pop().ok_or_else(|| DataFusionError::Internal("CLOSE without a leaf".to_owned()))?;
            return Ok(rows);
        };
        for (slot, rows) in self.slots.iter().zip(leaves) {
            slot.fill(vec![rows]);
        }
        let rows = run(&self.session, &self.runtime, plan)?;
        self.slots.iter().for_each(|slot| slot.fill(Vec::new()));
        Ok(arrow::compute::concat_batches(&self.schema, &rows)?)
    }
}

struct PaneLeaves {
    slots: Vec<Arc<Slot>>,
}

impl Leaves for PaneLeaves {
    fn node(
        &self,
        node: &dyn UserDefinedLogicalNode,
        _: &[Arc<dyn ExecutionPlan>],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(leaf) = node.as_any().downcast_ref::<LeafNode>() else { return Ok(None) };
        let schema = Arc::new(node.schema().as_arrow().clone());
        Ok(Some(Arc::new(SlotExec::new(Arc::clone(&self.slots[leaf.leaf]), schema))))
    }

    fn scan(&self, _: &TableScan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(None)
    }
}

/// The rows of an aggregate: row keys from the table, window columns from the window, then the values.
pub(crate) fn leaf_rows(leaf: &Leaf, table: PaneTable, window: Option<Window>) -> Result<RecordBatch> {
    let (keys, values, rows) = table.finish()?;
    leaf_batch(leaf, keys, values, rows, window)
}

/// The same from columns that are there already.
pub(crate) fn leaf_batch(
    leaf: &Leaf,
    keys: Vec<ArrayRef>,
    values: Vec<ArrayRef>,
    rows: usize,
    window: Option<Window>,
) -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
    let mut row_keys = keys.into_iter();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (index, key) in leaf.keys.iter().enumerate() {
        let target = schema.field(index).data_type();
        let column = match (key, window) {
            (GroupKey::Row(_), _) => row_keys.next(),
            (GroupKey::Window(bound), Some(window)) => Some(bound_column(*bound, window, rows)),
            (GroupKey::Window(_), None) => None,
        };
        let column = match column {
            Some(column) => column,
            None if rows == 0 => arrow::array::new_empty_array(target),
            None => return Err(DataFusionError::Internal("a group key has no column".to_owned())),
        };
        columns.push(if column.data_type() == target { column } else { cast(&column, target)? });
    }
    for (value, field) in values.into_iter().zip(schema.fields().iter().skip(leaf.keys.len())) {
        let fits = value.data_type() == field.data_type();
        columns.push(if fits { value } else { cast(&value, field.data_type())? });
    }
    if rows == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn bound_column(bound: WindowBound, window: Window, rows: usize) -> ArrayRef {
    let EventTime(at) = match bound {
        WindowBound::Start => window.start,
        WindowBound::End => window.end,
        WindowBound::Time => EventTime(window.end.0 - 1),
    };
    Arc::new(TimestampMillisecondArray::from(vec![at; rows]))
}
