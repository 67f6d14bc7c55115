//! From logical to physical: bare expressions for HOT, and bounded plans for CLOSE, lookups and batch runs.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session as DataFusionSession;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, collect, reset_plan_states};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use millstream_sql::Session;

/// Rows of a leaf are fed to CLOSE in slices of this many: filters and sorts run twice as fast on them as on one batch.
const LEAF_SLICE_ROWS: usize = 8192;

/// An expression over a schema, ready to be evaluated.
pub(crate) fn physical_expr(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    datafusion::physical_expr::create_physical_expr(
        expr,
        schema,
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )
}

/// Batches that a plan reads: filled before each run.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    rows: Mutex<Vec<RecordBatch>>,
    /// The columns that are read; all when unset.
    projection: OnceLock<Vec<usize>>,
}

impl Slot {
    /// Replaces what the next run reads.
    pub(crate) fn fill(&self, rows: Vec<RecordBatch>) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Reads these columns only.
    pub(crate) fn project(&self, columns: Option<Vec<usize>>) {
        if let Some(columns) = columns {
            // A slot has one scan, which says it once.
            let _ = self.projection.set(columns);
        }
    }

    fn read(&self) -> Result<Vec<RecordBatch>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.projection.get() {
            Some(columns) => rows.iter().map(|rows| Ok(rows.project(columns)?)).collect(),
            None => Ok(rows),
        }
    }
}

/// A leaf that reads a [`Slot`].
#[derive(Debug)]
pub(crate) struct SlotExec {
    slot: Arc<Slot>,
    properties: Arc<PlanProperties>,
}

impl SlotExec {
    pub(crate) fn new(slot: Arc<Slot>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { slot, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SlotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotExec")
    }
}

impl ExecutionPlan for SlotExec {
    fn name(&self) -> &'static str {
        "SlotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut slices = Vec::new();
        for rows in self.slot.read()? {
            for start in (0..rows.num_rows()).step_by(LEAF_SLICE_ROWS) {
                slices.push(rows.slice(start, LEAF_SLICE_ROWS.min(rows.num_rows() - start)));
            }
        }
        Ok(Box::pin(MemoryStream::try_new(slices, ExecutionPlan::schema(self), None)?))
    }
}

/// Makes the physical leaves of one plan.
pub(crate) trait Leaves: Send + Sync {
    /// A node of our own; `inputs` are planned already. `None`: not one of ours.
    fn node(
        &self,
        node: &dyn UserDefinedLogicalNode,
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>>;

    /// A scan of a relation of the catalog.
    fn scan(&self, scan: &TableScan) -> Result<Option<Arc<dyn ExecutionPlan>>>;
}

struct LeafPlanner<L>(L);

#[async_trait]
impl<L: Leaves> ExtensionPlanner for LeafPlanner<L> {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn DataFusionSession,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.0.node(node, inputs)
    }

    async fn plan_table_scan(
        &self,
        _: &dyn PhysicalPlanner,
        scan: &TableScan,
        _: &dyn DataFusionSession,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.0.scan(scan)
    }
}

/// Plans an optimized logical plan. Nothing awaits I/O, so the future is ready when it is first asked.
pub(crate) fn physical_plan<L: Leaves + 'static>(
    session: &Session,
    plan: &LogicalPlan,
    leaves: L,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(LeafPlanner(leaves))]);
    futures::executor::block_on(planner.create_physical_plan(plan, session.state().as_ref()))
}

/// Runs a bounded plan from a thread of ours.
pub(crate) fn run(
    session: &Session,
    runtime: &tokio::runtime::Handle,
    plan: &Arc<dyn ExecutionPlan>,
) -> Result<Vec<RecordBatch>> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    runtime.block_on(collect(plan, session.state().task_ctx()))
}
