//! The window function of batch runs: passes rows on with their windows' columns behind them. Streams never run it; their
//! panes do its work.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{
    SortColumn, cast, concat_batches, filter_record_batch, is_not_null, lexsort_to_indices, partition, take,
    take_record_batch,
};
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
use futures::{StreamExt, TryStreamExt};
use millstream_core::{Duration, EventTime, Window, WindowSpec};
use millstream_sql::{WindowAssign, WindowBound};

use crate::physical::physical_expr;
use crate::source::millis;

/// The physical form of [`WindowAssign`].
#[derive(Debug)]
pub(crate) struct WindowAssignExec {
    input: Arc<dyn ExecutionPlan>,
    time: Arc<dyn PhysicalExpr>,
    spec: WindowSpec,
    partition_by: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
}

impl WindowAssignExec {
    pub(crate) fn new(assign: &WindowAssign, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let time = physical_expr(&assign.time, assign.input.schema())?;
        let keys = assign.partition_by.iter().map(|key| physical_expr(key, assign.input.schema()));
        let partition_by = keys.collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(assign.schema().as_arrow().clone());
        let properties = properties(&input, schema);
        Ok(Self { input, time, spec: assign.spec, partition_by, properties })
    }
}

/// Nothing is claimed about order: the panes of a stream keep none.
fn properties(input: &Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
        input.pipeline_behavior(),
        input.boundedness(),
    ))
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

    /// A session may have rows of every part of the input.
    fn required_input_distribution(&self) -> Vec<Distribution> {
        match self.spec {
            WindowSpec::Session { .. } => vec![Distribution::SinglePartition],
            _ => vec![Distribution::UnspecifiedDistribution],
        }
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        std::iter::once(&self.time).chain(&self.partition_by).try_fold(TreeNodeRecursion::Continue, |_, expr| f(expr))
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        let Self { time, spec, partition_by, .. } = self.as_ref();
        let (time, partition_by, properties) =
            (Arc::clone(time), partition_by.clone(), properties(&input, self.schema()));
        Ok(Arc::new(Self { input, time, spec: *spec, partition_by, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (time, spec, schema) = (Arc::clone(&self.time), self.spec, self.schema());
        let output = Arc::clone(&schema);
        if let WindowSpec::Session { gap } = spec {
            let (keys, input_schema) = (self.partition_by.clone(), self.input.schema());
            let rows = futures::stream::once(async move {
                let rows: Vec<RecordBatch> = input.try_collect().await?;
                expand_sessions(&concat_batches(&input_schema, &rows)?, &time, &keys, gap, &output)
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
        }
        let rows = input.map(move |rows| expand(&rows?, &time, spec, &output));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// A copy of each row for each of its windows.
fn expand(
    rows: &RecordBatch,
    time: &Arc<dyn PhysicalExpr>,
    spec: WindowSpec,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let (rows, times) = with_times(rows, time)?;
    let (mut indices, mut windows) = (Vec::new(), Vec::new());
    for (row, at) in (0_u32..).zip(times.values()) {
        for window in spec.windows_at(EventTime(*at)) {
            indices.push(row);
            windows.push(window);
        }
    }
    with_windows(&take_record_batch(&rows, &UInt32Array::from(indices))?, &windows, schema)
}

/// Each row with the session it is in: written as its definition reads, to check the operator against.
fn expand_sessions(
    rows: &RecordBatch,
    time: &Arc<dyn PhysicalExpr>,
    keys: &[Arc<dyn PhysicalExpr>],
    gap: Duration,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let (rows, times) = with_times(rows, time)?;
    let mut columns = keys
        .iter()
        .map(|key| Ok(SortColumn { values: key.evaluate(&rows)?.into_array(rows.num_rows())?, options: None }))
        .collect::<Result<Vec<_>>>()?;
    let key_ranges = columns.len();
    columns.push(SortColumn { values: Arc::new(times.clone()), options: None });
    let order = lexsort_to_indices(&columns, None)?;
    let rows = take_record_batch(&rows, &order)?;
    let times: Vec<i64> = order.values().iter().map(|row| times.value(*row as usize)).collect();
    let sorted = columns[..key_ranges].iter().map(|column| Ok(take(&column.values, &order, None)?));
    let sorted = sorted.collect::<Result<Vec<ArrayRef>>>()?;
    let whole = 0..times.len();
    let of_key = if sorted.is_empty() { vec![whole] } else { partition(&sorted)?.ranges() };
    let mut windows = Vec::with_capacity(times.len());
    for range in of_key {
        let mut start = range.start;
        for row in range.clone() {
            if row + 1 == range.end || times[row + 1] - times[row] > gap.0 {
                let window = Window { start: EventTime(times[start]), end: EventTime(times[row]) + gap };
                windows.extend(std::iter::repeat_n(window, row + 1 - start));
                start = row + 1;
            }
        }
    }
    with_windows(&rows, &windows, schema)
}

/// The rows that have a time, and their times in milliseconds.
fn with_times(rows: &RecordBatch, time: &Arc<dyn PhysicalExpr>) -> Result<(RecordBatch, Int64Array)> {
    let times = time.evaluate(rows)?.into_array(rows.num_rows())?;
    if times.null_count() == 0 {
        return Ok((rows.clone(), millis(&times)?));
    }
    let present = is_not_null(&times)?;
    Ok((filter_record_batch(rows, &present)?, millis(&arrow::compute::filter(&times, &present)?)?))
}

fn with_windows(rows: &RecordBatch, windows: &[Window], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    for (bound, field) in [WindowBound::Start, WindowBound::End, WindowBound::Time]
        .into_iter()
        .zip(schema.fields().iter().skip(rows.num_columns()))
    {
        let values = windows.iter().map(|window| bound.of(*window).0);
        columns.push(cast(&TimestampMillisecondArray::from_iter_values(values), field.data_type())?);
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
