//! CLOSE: what is above the first aggregate, as a bounded DataFusion plan that is built once and run per window.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use millstream_core::Window;
use millstream_sql::{Leaf, LeafColumn, LeafNode, Relation, Session, WindowBound, relation_of};

use crate::pane::Results;
use crate::physical::{Leaves, Slot, SlotExec, physical_plan, run};

/// The compiled CLOSE of one stage.
pub(crate) struct ClosePlan {
    session: Session,
    runtime: tokio::runtime::Handle,
    /// `None`: rows go on as they are.
    plan: Option<Arc<dyn ExecutionPlan>>,
    slots: Vec<Arc<Slot>>,
    /// Tables that are read as they are now, and the scans that their rows go to.
    references: Vec<Read>,
    schema: SchemaRef,
    /// Whether it has an order or a limit, which hold within one window.
    pub(crate) is_per_window: bool,
    /// Whether every row is computed from one row alone.
    pub(crate) is_row_wise: bool,
}

/// A table, and the scans of it.
struct Read {
    table: Arc<dyn ReferenceRows>,
    scans: Vec<Arc<Slot>>,
}

/// A table that is there whole.
pub(crate) trait ReferenceRows: Send + Sync {
    /// Its rows as they are now.
    fn rows(&self) -> Result<Vec<RecordBatch>>;
}

/// Finds reference tables by name.
pub(crate) type FindReference<'a> = dyn Fn(&Relation) -> Result<Arc<dyn ReferenceRows>> + 'a;

impl ClosePlan {
    /// Compiles what is above `leaves` leaves; without a plan the rows of the one leaf with this schema go on.
    pub(crate) fn compile(
        session: &Session,
        runtime: tokio::runtime::Handle,
        close: Option<&LogicalPlan>,
        leaves: &[SchemaRef],
        find: &FindReference<'_>,
    ) -> Result<Self> {
        let slots: Vec<Arc<Slot>> = leaves.iter().map(|_| Arc::default()).collect();
        let empty = || Arc::new(Schema::empty());
        let mut compiled = Self {
            session: session.clone(),
            runtime,
            plan: None,
            slots: slots.clone(),
            references: Vec::new(),
            schema: leaves.first().cloned().unwrap_or_else(empty),
            is_per_window: false,
            is_row_wise: true,
        };
        let Some(close) = close else { return Ok(compiled) };
        let mut tables: BTreeMap<String, Arc<dyn ReferenceRows>> = BTreeMap::new();
        close.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let (name, relation) = scanned(scan)?;
                if let Entry::Vacant(place) = tables.entry(name) {
                    place.insert(find(relation)?);
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let scans = Arc::<Scans>::default();
        compiled.plan = Some(physical_plan(session, close, StageLeaves { slots, scans: Arc::clone(&scans) })?);
        let mut scans = std::mem::take(&mut *scans.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, table) in tables {
            compiled.references.push(Read { table, scans: scans.remove(&name).unwrap_or_default() });
        }
        compiled.schema = Arc::new(close.schema().as_arrow().clone());
        compiled.is_per_window = is_per_window(close)?;
        compiled.is_row_wise = !close.exists(|node| {
            let steps = matches!(
                node,
                LogicalPlan::Projection(_)
                    | LogicalPlan::Filter(_)
                    | LogicalPlan::SubqueryAlias(_)
                    | LogicalPlan::Extension(_)
            );
            Ok(!steps)
        })?;
        Ok(compiled)
    }

    /// The columns of the result.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The result over the leaves' rows.
    pub(crate) fn run(&self, mut leaves: Vec<RecordBatch>) -> Result<RecordBatch> {
        let Some(plan) = &self.plan else {
            let full = leaves.iter().position(|rows| rows.num_rows() > 0).unwrap_or(0);
            if leaves.is_empty() {
                return Err(DataFusionError::Internal("CLOSE without a leaf".to_owned()));
            }
            return Ok(leaves.swap_remove(full));
        };
        for Read { table, scans } in &self.references {
            let rows = table.rows()?;
            for slot in scans {
                slot.fill(rows.clone());
            }
        }
        for (slot, rows) in self.slots.iter().zip(leaves) {
            slot.fill(vec![rows]);
        }
        let rows = run(&self.session, &self.runtime, plan)?;
        let scans = self.references.iter().flat_map(|read| &read.scans);
        self.slots.iter().chain(scans).for_each(|slot| slot.fill(Vec::new()));
        Ok(arrow::compute::concat_batches(&self.schema, &rows)?)
    }
}

/// Whether a plan orders or cuts its rows.
pub(crate) fn is_per_window(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Sort(_) | LogicalPlan::Limit(_))))
}

/// The scans of each table.
type Scans = Mutex<BTreeMap<String, Vec<Arc<Slot>>>>;

/// The table of a scan, and its name.
fn scanned(scan: &TableScan) -> Result<(String, &Relation)> {
    match relation_of(scan.source.as_ref()) {
        Some(relation @ Relation::Table(table)) => Ok((table.decl.name.clone(), relation)),
        Some(relation @ Relation::MaterializedView(view)) => Ok((view.name.clone(), relation)),
        _ => Err(DataFusionError::Plan(format!("`{}` cannot be joined as a whole", scan.table_name))),
    }
}

struct StageLeaves {
    slots: Vec<Arc<Slot>>,
    /// Filled as scans are planned.
    scans: Arc<Scans>,
}

impl Leaves for StageLeaves {
    fn node(
        &self,
        node: &dyn UserDefinedLogicalNode,
        _: &[Arc<dyn ExecutionPlan>],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(leaf) = node.as_any().downcast_ref::<LeafNode>() else { return Ok(None) };
        let schema = Arc::new(node.schema().as_arrow().clone());
        Ok(Some(Arc::new(SlotExec::new(Arc::clone(&self.slots[leaf.leaf]), schema))))
    }

    fn scan(&self, scan: &TableScan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (name, _) = scanned(scan)?;
        let slot = Arc::<Slot>::default();
        slot.project(scan.projection.clone());
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.entry(name).or_default().push(Arc::clone(&slot));
        let schema = Arc::new(scan.projected_schema.as_arrow().clone());
        Ok(Some(Arc::new(SlotExec::new(slot, schema))))
    }
}

/// Where the window columns of a leaf's rows come from.
#[derive(Clone, Copy)]
pub(crate) enum Bounds<'a> {
    None,
    /// All rows are of one window.
    One(Window),
    /// The start and end of each row's own.
    Each(&'a [Window]),
}

/// The rows of an aggregate: row keys from the table, window columns from the window, then the values.
pub(crate) fn leaf_rows(leaf: &Leaf, results: Results, window: Option<Window>) -> Result<RecordBatch> {
    let (keys, values, rows) = results;
    leaf_batch(leaf, keys, values, rows, window.map_or(Bounds::None, Bounds::One))
}

/// Rows that were kept, with the columns of their window.
pub(crate) fn window_rows(leaf: &Leaf, rows: &RecordBatch, window: Window) -> Result<RecordBatch> {
    leaf_batch(leaf, rows.columns().to_vec(), Vec::new(), rows.num_rows(), Bounds::One(window))
}

/// What CLOSE sees of a leaf, from its columns; what the operator kept for itself is left out.
pub(crate) fn leaf_batch(
    leaf: &Leaf,
    columns: Vec<ArrayRef>,
    values: Vec<ArrayRef>,
    rows: usize,
    bounds: Bounds<'_>,
) -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
    if rows == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    let mut of_rows = columns.into_iter();
    let mut given: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for column in &leaf.feed().columns {
        given.push(match (column, bounds) {
            (LeafColumn::Row(_), _) => of_rows.next().ok_or_else(|| missing(given.len()))?,
            (LeafColumn::Window(bound), Bounds::One(window)) => {
                bound_column(*bound, std::iter::repeat_n(&window, rows))
            }
            (LeafColumn::Window(bound), Bounds::Each(windows)) => bound_column(*bound, windows.iter()),
            (LeafColumn::Window(_), Bounds::None) => return Err(missing(given.len())),
        });
    }
    given.truncate(schema.fields().len());
    given.extend(values.into_iter().take(schema.fields().len() - given.len()));
    let fitted = given.into_iter().zip(schema.fields()).map(|(column, field)| {
        let fits = column.data_type() == field.data_type();
        if fits { Ok(column) } else { cast(&column, field.data_type()) }
    });
    let fitted = fitted.collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, fitted, &options)?)
}

fn missing(column: usize) -> DataFusionError {
    DataFusionError::Internal(format!("column {column} of a leaf is missing"))
}

fn bound_column<'a>(bound: WindowBound, windows: impl Iterator<Item = &'a Window>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(windows.map(|window| bound.of(*window).0)))
}
