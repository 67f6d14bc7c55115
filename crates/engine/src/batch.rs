//! Batch runs: the same query over the same finite input, as one ordinary DataFusion plan. The oracle that the stream is
//! compared with, and the speed it is measured against.
//!
//! A LIMIT above a window means «within each window» on a stream. So such a query runs its aggregates as one batch
//! plan, and CLOSE once per window over their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use millstream_core::{
    BoxFuture, Clock, Connectors, EventTime, Resume, SourceError, SourceEvent, SourceOutput, Stopped, Window,
    WindowSpec,
};
use millstream_sql::{
    Catalog, ContinuousQuery, Effect, InOrder, Leaf, LeafColumn, Operator, Relation, Session, SqlError, SystemTable,
    Table, Target, WindowAssign, WindowBound, apply, in_arrival_order, is_reference_scan, parse, relation_of,
    window_function,
};

use crate::close::ClosePlan;
use crate::lookup::scan_rows;
use crate::operators::InOrderExec;
use crate::physical::{Leaves, physical_plan, run};
use crate::source::millis;
use crate::source::{SourceDecoder, SourceSpec};
use crate::window_assign::WindowAssignExec;

/// The result of one query of a script.
#[derive(Debug)]
pub struct BatchResult {
    /// The live table or sink that it would have gone to.
    pub table: String,
    /// The connector of that sink; `None` for a live table.
    pub connector: Option<String>,
    pub rows: Vec<RecordBatch>,
}

/// What a batch run read, and what it gave.
#[derive(Debug, Default)]
pub struct BatchRun {
    pub results: Vec<BatchResult>,
    pub records: u64,
    pub bytes: u64,
    pub rejected: u64,
}

/// Runs the continuous queries of a script as batch queries over their whole, finite input. Call it where waiting is
/// allowed, not in a task.
pub fn run_batch(
    connectors: &dyn Connectors,
    clock: Arc<dyn Clock>,
    script: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<BatchRun, SqlError> {
    let session = Session::new(clock)?;
    let mut catalog = Catalog::new(std::iter::empty::<SystemTable>());
    let mut queries = Vec::new();
    for statement in parse(script)? {
        match apply(&session, connectors, &mut catalog, &statement)? {
            Effect::Query(query) => queries.push(query),
            Effect::Created { .. }
            | Effect::Existed { .. }
            | Effect::Explained { .. }
            | Effect::Described { .. }
            | Effect::Set { .. } => {}
            _ => {
                return Err(SqlError::new("a batch run takes CREATE and INSERT INTO only").at(statement.at));
            }
        }
    }
    let mut batch = BatchRun::default();
    let mut sources = Sources::new();
    for table in queries.iter().flat_map(|query| query.pipeline.tables()) {
        let name = &table.decl.name;
        if sources.contains_key(name) {
            continue;
        }
        let read = runtime.block_on(read_all(connectors, table))?;
        batch.records += read.records;
        batch.bytes += read.bytes;
        batch.rejected += read.rejected;
        sources.insert(name.clone(), read.rows);
    }
    for table in references(&queries)? {
        let option = |error: millstream_core::OptionError| SqlError::new(error.to_string());
        let mut reference = connectors.reference(&table.decl).map_err(option)?;
        let loaded = runtime.block_on(reference.load(None)).map_err(|error| SqlError::new(error.to_string()))?;
        let loaded = loaded.ok_or_else(|| SqlError::new(format!("`{}` gave nothing", table.decl.name)))?;
        batch.rejected += loaded.rejected_count;
        sources.entry(table.decl.name.clone()).or_insert(loaded.rows);
    }
    for query in &queries {
        let rows = run_query(&session, runtime, query, &sources)?;
        let (table, connector) = match &query.target {
            Target::Sink(table) => (table.decl.name.clone(), table.decl.options.get("connector").map(str::to_owned)),
            Target::LiveTable { .. } | Target::Client { .. } => (query.name.clone(), None),
        };
        batch.results.push(BatchResult { table, connector, rows });
    }
    Ok(batch)
}

/// The tables that queries join as a whole.
fn references(queries: &[ContinuousQuery]) -> Result<Vec<Arc<Table>>, SqlError> {
    let mut tables = Vec::new();
    for query in queries {
        query.pipeline.batch.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::TableScan(scan) if is_reference_scan(scan) => match relation_of(scan.source.as_ref()) {
                    Some(Relation::Table(table)) => tables.push(Arc::clone(table)),
                    _ => {
                        let error = SqlError::new("a live table as it is at some time is not part of a batch run");
                        return Err(error.hint("run it without --batch").into());
                    }
                },
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(tables)
}

/// Reads a bounded source to its end and decodes it.
async fn read_all(connectors: &dyn Connectors, table: &Arc<Table>) -> Result<Read, SqlError> {
    let option = |error: millstream_core::OptionError| SqlError::new(error.to_string());
    let spec = Arc::new(SourceSpec::compile(Arc::clone(table))?);
    let decoder = SourceDecoder::new(spec, connectors.decoder(&table.decl).map_err(option)?);
    let collector = Collector { state: Mutex::new(Collected { decoder, read: Read::default(), broken: None }) };
    let source = connectors.source(&table.decl).map_err(option)?;
    source.run(Resume::default(), &collector).await.map_err(|error: SourceError| SqlError::new(error.to_string()))?;
    let collected = collector.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match collected.broken {
        Some(reason) => Err(SqlError::new(reason)),
        None => Ok(collected.read),
    }
}

/// What was read of a source.
#[derive(Default)]
struct Read {
    rows: Vec<RecordBatch>,
    records: u64,
    bytes: u64,
    rejected: u64,
}

struct Collector {
    state: Mutex<Collected>,
}

struct Collected {
    decoder: SourceDecoder,
    read: Read,
    broken: Option<String>,
}

impl Collector {
    fn take(&self, event: SourceEvent) -> Result<(), Stopped> {
        let SourceEvent::Chunk(chunk) = event else { return Ok(()) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.read.records += chunk.len() as u64;
        state.read.bytes += chunk.payload_bytes() as u64;
        let decoded = state.decoder.decode(&chunk).map_err(|error| error.to_string()).and_then(|decoded| {
            let placed = state.decoder.spec().in_time(decoded, &chunk.shard, EventTime::MIN);
            placed.map_err(|error| error.to_string())
        });
        match decoded {
            Ok(decoded) => {
                state.read.rejected += decoded.faults.len() as u64;
                state.read.rows.push(decoded.rows);
                Ok(())
            }
            Err(error) => {
                state.broken = Some(error);
                Err(Stopped)
            }
        }
    }
}

impl SourceOutput for Collector {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        let taken = self.take(event);
        Box::pin(async move { taken })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async { Ok(()) })
    }
}

/// The rows of every source, by table name.
type Sources = BTreeMap<String, Vec<RecordBatch>>;

/// The whole result of a query over the rows of its sources.
fn run_query(
    session: &Session,
    runtime: &tokio::runtime::Handle,
    query: &ContinuousQuery,
    sources: &Sources,
) -> Result<Vec<RecordBatch>, SqlError> {
    let last = query.pipeline.last();
    if let (Operator::Windows(window), Some(close)) = (&last.operator, &last.close)
        && contains_limit(close)?
    {
        let rows = last.leaves.iter().map(|leaf| {
            let rows = run_plan(session, runtime, leaf.batch.clone(), sources)?;
            by_window(leaf, *window, &rows)
        });
        let rows = rows.collect::<Result<Vec<_>, SqlError>>()?;
        let seen: Vec<SchemaRef> = last.leaves.iter().map(|leaf| Arc::new(leaf.schema.as_arrow().clone())).collect();
        let none = |relation: &Relation| {
            let message = format!("a batch run does not join a {} within windows that are cut short", relation.kind());
            Err(DataFusionError::Plan(message))
        };
        let close = ClosePlan::compile(session, runtime.clone(), Some(close), &seen, &none)?;
        let windows: BTreeSet<Window> = rows.iter().flat_map(BTreeMap::keys).copied().collect();
        let results = windows.into_iter().map(|window| {
            let of_leaf = |(leaf, rows): (&Leaf, &BTreeMap<Window, RecordBatch>)| {
                let none = || RecordBatch::new_empty(Arc::new(leaf.schema.as_arrow().clone()));
                rows.get(&window).cloned().unwrap_or_else(none)
            };
            close.run(last.leaves.iter().zip(&rows).map(of_leaf).collect())
        });
        return Ok(results.collect::<Result<Vec<_>>>()?);
    }
    run_plan(session, runtime, query.pipeline.batch.clone(), sources)
}

fn run_plan(
    session: &Session,
    runtime: &tokio::runtime::Handle,
    plan: LogicalPlan,
    sources: &Sources,
) -> Result<Vec<RecordBatch>, SqlError> {
    let in_arrival = |node: &LogicalPlan| match node {
        LogicalPlan::Window(window) => window.window_expr.iter().filter_map(window_function).any(in_arrival_order),
        _ => false,
    };
    if plan.exists(|node| Ok(in_arrival(node)))? {
        let error = SqlError::new("a batch run has no order of arrival, and an OVER is in_arrival_order");
        return Err(error.hint("run it without --batch"));
    }
    let optimized = session.optimize(plan)?;
    let physical = physical_plan(session, &optimized, BatchLeaves { sources: sources.clone() })?;
    Ok(run(session, runtime, &physical)?)
}

fn contains_limit(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let sorted_short = matches!(node, LogicalPlan::Sort(sort) if sort.fetch.is_some());
        Ok(sorted_short || matches!(node, LogicalPlan::Limit(_)))
    })
}

/// Splits a leaf's rows by the window that its window column names.
fn by_window(leaf: &Leaf, spec: WindowSpec, rows: &[RecordBatch]) -> Result<BTreeMap<Window, RecordBatch>, SqlError> {
    let schema: SchemaRef = Arc::new(leaf.schema.as_arrow().clone());
    let rows = concat_batches(&schema, rows).map_err(DataFusionError::from)?;
    // Sessions are known by both bounds; other windows by either.
    let column = |wanted: &[WindowBound]| {
        let mut columns = leaf.feed().columns.iter().enumerate();
        columns.find_map(|(index, column)| match column {
            LeafColumn::Window(bound) if wanted.contains(bound) => Some((index, *bound)),
            _ => None,
        })
    };
    let ends = column(&[WindowBound::End, WindowBound::Time]);
    let starts = column(&[WindowBound::Start]);
    let window_of = |row: usize, starts: Option<&Int64Array>, ends: Option<&Int64Array>| match (starts, ends) {
        (Some(starts), Some(ends)) => Window { start: EventTime(starts.value(row)), end: EventTime(ends.value(row)) },
        (_, Some(ends)) => spec.window_ending(EventTime(ends.value(row))),
        (Some(starts), None) => spec.window_starting(EventTime(starts.value(row))),
        (None, None) => Window { start: EventTime::MIN, end: EventTime::MAX },
    };
    let starts = starts.map(|(index, _)| millis(rows.column(index))).transpose()?;
    let ends = match ends {
        Some((index, WindowBound::Time)) => {
            Some(millis(rows.column(index))?.values().iter().map(|at| at + 1).collect::<Int64Array>())
        }
        Some((index, _)) => Some(millis(rows.column(index))?),
        None => None,
    };
    let mut rows_of: BTreeMap<Window, Vec<u32>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let window = window_of(row, starts.as_ref(), ends.as_ref());
        rows_of.entry(window).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    let take = |(window, rows_of)| Ok((window, take_record_batch(&rows, &UInt32Array::from(rows_of))?));
    rows_of.into_iter().map(take).collect::<Result<_>>().map_err(SqlError::from)
}

/// Scans are the rows that were read; a window function expands its input, one over rows in order gets it sorted.
struct BatchLeaves {
    sources: Sources,
}

impl Leaves for BatchLeaves {
    fn node(
        &self,
        node: &dyn UserDefinedLogicalNode,
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let [input] = inputs else { return Ok(None) };
        if let Some(assign) = node.as_any().downcast_ref::<WindowAssign>() {
            return Ok(Some(Arc::new(WindowAssignExec::new(assign, Arc::clone(input))?)));
        }
        match node.as_any().downcast_ref::<InOrder>() {
            Some(in_order) => Ok(Some(Arc::new(InOrderExec::new(in_order, Arc::clone(input))?))),
            None => Ok(None),
        }
    }

    fn scan(&self, scan: &TableScan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(Relation::Table(table)) = relation_of(scan.source.as_ref()) else { return Ok(None) };
        let none = Vec::new();
        scan_rows(scan, self.sources.get(&table.decl.name).unwrap_or(&none)).map(Some)
    }
}
