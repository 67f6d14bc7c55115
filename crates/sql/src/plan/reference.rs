//! Tables that are joined as a whole: files and other lookup tables without event time, live tables as they are now, and
//! VALUES.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use crate::catalog::Relation;
use crate::session::relation_of;

/// Whether everything a plan reads is there whole.
pub(crate) fn is_reference(plan: &LogicalPlan) -> bool {
    let (mut scans, mut others) = (0, 0);
    let counted = plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) if is_reference_scan(scan) => scans += 1,
            LogicalPlan::Values(_) => scans += 1,
            LogicalPlan::TableScan(_) | LogicalPlan::Extension(_) => others += 1,
            _ => {}
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    counted.is_ok() && scans > 0 && others == 0
}

/// Whether a scan is of such a table. A live table is scanned only where it was named `FOR SYSTEM_TIME AS OF`.
pub fn is_reference_scan(scan: &TableScan) -> bool {
    match relation_of(scan.source.as_ref()) {
        Some(Relation::Table(table)) => table.roles.lookup && table.time.is_none(),
        Some(Relation::MaterializedView(_)) => true,
        _ => false,
    }
}
