//! Functions over rows in order in batch runs: all rows, sorted by time, at once.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, is_not_null, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::UserDefinedLogicalNodeCore;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use futures::TryStreamExt;
use millstream_core::EventTime;
use millstream_sql::{InOrder, InOrderFunction};

use super::{Output, logic};
use crate::source::millis;

/// The physical form of [`InOrder`].
#[derive(Clone, Debug)]
pub(crate) struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    function: InOrderFunction,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    pub(crate) fn new(node: &InOrder, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let schema: SchemaRef = Arc::new(node.schema().as_arrow().clone());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let (function, columns) = (node.function.clone(), node.places()?);
        Ok(Self { input, function, columns, properties: Arc::new(properties) })
    }

    fn run(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let schema = self.schema();
        let rows = filter_record_batch(rows, &is_not_null(rows.column(self.columns[0]))?)?;
        let times = millis(rows.column(self.columns[0]))?;
        let mut order: Vec<(i64, u32)> = times.values().iter().copied().zip(0..).collect();
        order.sort_unstable();
        let (times, numbers): (Vec<i64>, Vec<u32>) = order.into_iter().unzip();
        let rows = take_record_batch(&rows, &UInt32Array::from(numbers))?;
        let mut logic = logic(&self.function, &self.columns, &rows.schema())?;
        let mut output = Output::new(schema);
        logic.push(&rows, &times, &mut output)?;
        logic.advance(EventTime::MAX, &mut output)?;
        Ok(output.rows)
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrderExec: {}", self.function)
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self { input, ..self.as_ref().clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (exec, schema, input_schema) = (self.clone(), self.schema(), self.input.schema());
        let rows = futures::stream::once(async move {
            let rows: Vec<RecordBatch> = input.try_collect().await?;
            let given = exec.run(&concat_batches(&input_schema, &rows)?)?;
            Ok(concat_batches(&exec.schema(), &given)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
