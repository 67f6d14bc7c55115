//! SELECT over what is there now: live tables and tables of the service, answered once by DataFusion.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use millstream_sql::{Relation, Session, SqlError, relation_of};

use crate::physical::{Leaves, Slot, SlotExec, physical_plan, run};

/// The rows of every relation a lookup reads, by name.
pub(crate) type Contents = HashMap<String, (SchemaRef, Vec<RecordBatch>)>;

/// Runs an analyzed plan over the contents. Called from a thread that may wait.
pub(crate) fn look_up(
    session: &Session,
    runtime: &tokio::runtime::Handle,
    plan: LogicalPlan,
    contents: Contents,
) -> Result<(SchemaRef, Vec<RecordBatch>), SqlError> {
    let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
    let optimized = session.optimize(plan)?;
    let physical = physical_plan(session, &optimized, TableLeaves { contents })?;
    Ok((schema, run(session, runtime, &physical)?))
}

/// The names of the relations a plan scans.
pub(crate) fn scanned(plan: &LogicalPlan) -> Result<Vec<String>, SqlError> {
    use datafusion::common::tree_node::TreeNodeRecursion;
    let mut names = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(name) = relation_of(scan.source.as_ref()).and_then(name_of)
        {
            names.push(name.to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}

fn name_of(relation: &Relation) -> Option<&str> {
    match relation {
        Relation::MaterializedView(view) => Some(&view.name),
        Relation::System(table) => Some(&table.name),
        Relation::Table(table) => Some(&table.decl.name),
        Relation::View(_) => None,
    }
}

struct TableLeaves {
    contents: Contents,
}

impl Leaves for TableLeaves {
    fn node(
        &self,
        _: &dyn UserDefinedLogicalNode,
        _: &[Arc<dyn ExecutionPlan>],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(None)
    }

    fn scan(&self, scan: &TableScan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let name = relation_of(scan.source.as_ref()).and_then(name_of).unwrap_or_default();
        let (_, rows) = self
            .contents
            .get(name)
            .ok_or_else(|| DataFusionError::Internal(format!("`{name}` was not read before the lookup")))?;
        Ok(Some(scan_rows(scan, rows)?))
    }
}

/// A scan over rows that are there, with the scan's projection.
pub(crate) fn scan_rows(scan: &TableScan, rows: &[RecordBatch]) -> Result<Arc<dyn ExecutionPlan>> {
    let project = |rows: &RecordBatch| match &scan.projection {
        Some(columns) => rows.project(columns),
        None => Ok(rows.clone()),
    };
    let slot = Slot::default();
    slot.fill(rows.iter().map(project).collect::<Result<Vec<_>, _>>()?);
    let schema = Arc::new(scan.projected_schema.as_arrow().clone());
    Ok(Arc::new(SlotExec::new(Arc::new(slot), schema)))
}
