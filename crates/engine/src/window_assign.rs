//! The window function of batch runs: passes rows on with their windows' columns behind them. Streams never run it; their
//! panes do its work.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMillisecondArray};
use arrow::compute::{cast, filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::UserDefinedLogicalNodeCore;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use millstream_core::{EventTime, WindowSpec};
use millstream_sql::WindowAssign;

use crate::physical::physical_expr;

/// The physical form of [`WindowAssign`].
#[derive(Debug)]
pub(crate) struct WindowAssignExec {
    input: Arc<dyn ExecutionPlan>,
    time: Arc<dyn PhysicalExpr>,
    spec: WindowSpec,
    properties: Arc<PlanProperties>,
}

impl WindowAssignExec {
    pub(crate) fn new(assign: &WindowAssign, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let time = physical_expr(&assign.time, assign.input.schema())?;
        let schema = Arc::new(assign.schema().as_arrow().clone());
        // Nothing is claimed about order: the panes of a stream keep none.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, time, spec: assign.spec, properties: Arc::new(properties) })
    }
}

impl DisplayAs for WindowAssignExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowAssignExec: {} on {}", self.spec, self.time)
    }
}

impl ExecutionPlan for WindowAssignExec {
    fn name(&self) -> &'static str {
        "WindowAssignExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.time)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        let (time, spec, properties) = (Arc::clone(&self.time), self.spec, Arc::clone(&self.properties));
        Ok(Arc::new(Self { input, time, spec, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (time, spec, schema) = (Arc::clone(&self.time), self.spec, self.schema());
        let output = Arc::clone(&schema);
        let rows = input.map(move |rows| expand(&rows?, &time, spec, &output));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

fn expand(
    rows: &RecordBatch,
    time: &Arc<dyn PhysicalExpr>,
    WindowSpec::Tumble { size, offset }: WindowSpec,
    schema: &arrow::datatypes::SchemaRef,
) -> Result<RecordBatch> {
    let times = time.evaluate(rows)?.into_array(rows.num_rows())?;
    let (rows, times) = match times.null_count() {
        0 => (rows.clone(), times),
        _ => {
            let present = is_not_null(&times)?;
            (filter_record_batch(rows, &present)?, arrow::compute::filter(&times, &present)?)
        }
    };
    let zone = match times.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let millis = cast(&times, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))?;
    let starts = millis.as_primitive::<TimestampMillisecondType>().values().iter();
    let starts: Vec<i64> = starts.map(|at| WindowSpec::tumble_start(size, offset, EventTime(*at)).0).collect();
    let bound = |after: i64| -> ArrayRef {
        let at = TimestampMillisecondArray::from_iter_values(starts.iter().map(|start| start + after));
        Arc::new(at.with_timezone_opt(zone.clone()))
    };
    let mut columns = rows.columns().to_vec();
    columns.extend([bound(0), bound(size.0), bound(size.0 - 1)]);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
