//! What of a query can be computed shard by shard, each in a process of its own: rows by themselves, and state by the
//! partition key. All rows of such a key are in one shard, or in its descendants.

use datafusion::common::Column as Name;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan};
use millstream_core::WindowSpec;

use super::Purpose;
use crate::catalog::Table;
use crate::pipeline::{Column, Feed, Gives, Input, Leaf, Operator, Stage};
use crate::{Code, SqlError};

/// A query over a table that processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharded {
    /// The table.
    pub table: String,
    /// Which of the columns that its state keeps is the partition key; `None`: it keeps nothing.
    pub partition_key: Option<usize>,
}

/// How a query that reads a shared table is split; `None`: it reads none.
pub(super) fn shards(stages: &[Stage], purpose: &Purpose) -> Result<Option<Sharded>, SqlError> {
    let feeds = || stages.iter().flat_map(|stage| &stage.leaves).flat_map(|leaf| &leaf.feeds);
    let tables = || feeds().filter_map(|feed| feed.hot.input.table());
    let Some(shared) = tables().find(|table| table.shared.is_some()) else { return Ok(None) };
    let name = &shared.decl.name;
    match purpose {
        Purpose::Sink { .. } | Purpose::Explained => {}
        Purpose::LiveTable { .. } | Purpose::Client => {
            return Err(needs_all(
                name,
                "its result here would be that of this process's shards",
                "write INSERT INTO a sink table that all processes write to",
            ));
        }
    }
    if let Some(other) = tables().find(|table| table.decl.name != *name) {
        let part = format!("each process would read all of `{}` beside its shards", other.decl.name);
        return Err(needs_all(name, &part, "join it as a lookup table, or write one INSERT INTO for each stream"));
    }
    let [stage] = stages else {
        let hint = "write the inner windows to a stream, and read that in another query";
        return Err(needs_all(name, "a second stage gathers the results of the first", hint));
    };
    if matches!(stage.operator, Operator::Rows) {
        return Ok(Some(Sharded { table: name.clone(), partition_key: None }));
    }
    let [leaf] = stage.leaves.as_slice() else {
        return Err(several_leaves(name, stage)?);
    };
    refuse_close(name, stage)?;
    let keys: Vec<usize> = match &stage.operator {
        Operator::Windows(WindowSpec::Session { .. }) => leaf.session_keys.clone(),
        Operator::Windows(_) if leaf.gives == Gives::Groups => (0..leaf.feed().columns.len()).collect(),
        Operator::Windows(_) => Vec::new(),
        Operator::Over(_) => {
            let hint = "compute it in one process, without leases";
            return Err(needs_all(name, "OVER keeps rows that cannot be handed to the children of a shard yet", hint));
        }
        Operator::InOrder(in_order) => {
            let part = format!("{} takes the rows of all shards in the order of time", in_order.function.name());
            return Err(needs_all(name, &part, "compute it in one process, without leases"));
        }
        Operator::Rows | Operator::Updating { .. } | Operator::IntervalJoin(_) | Operator::Top(_) => {
            return Err(needs_all(
                name,
                "its state is of all shards together",
                "group by the partition key in windows",
            ));
        }
    };
    let partition_key = keys.into_iter().find(|key| leaf.feeds.iter().all(|feed| is_partition_key(feed, *key)));
    let Some(key) = partition_key else {
        let part = "its groups hold rows of several shards: the partition key is not among GROUP BY's columns";
        let hint = match shared.shared.and_then(|shared| shared.partition_key) {
            Some(column) => format!("group by {} too", shared.columns[column].field.name()),
            None => "declare which column it is: METADATA FROM 'partition-key', or 'source.partition-key' = 'column' \
                     where producers take it from the payload; then group by it too"
                .to_owned(),
        };
        return Err(needs_all(name, part, &hint));
    };
    Ok(Some(Sharded { table: name.clone(), partition_key: Some(kept_at(leaf, key)) }))
}

/// Where the operator keeps a column of the leaf: windows' bounds are not kept.
fn kept_at(leaf: &Leaf, column: usize) -> usize {
    leaf.feed().columns[..column].iter().filter(|column| matches!(column, Column::Row(_))).count()
}

/// Whether a column of what a feed gives is its table's partition key, as it is.
fn is_partition_key(feed: &Feed, column: usize) -> bool {
    let (Input::Table(table), Some(Column::Row(expr))) = (&feed.hot.input, feed.columns.get(column)) else {
        return false;
    };
    let Expr::Column(name) = expr.clone().unalias() else { return false };
    partition_key(table).is_some_and(|key| is_column(&name, key))
        && feed.hot.schema.maybe_index_of_column(&name).is_some()
}

fn partition_key(table: &Table) -> Option<&str> {
    let column = table.shared?.partition_key?;
    Some(table.columns[column].field.name())
}

fn is_column(name: &Name, column: &str) -> bool {
    name.name == column
}

/// After the groups only what is done to each row by itself.
fn refuse_close(table: &str, stage: &Stage) -> Result<(), SqlError> {
    let Some(close) = &stage.close else { return Ok(()) };
    let mut what = None;
    close.exists(|node| {
        what = what.or(match node {
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                Some("ORDER BY and LIMIT choose among the rows of all shards")
            }
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
                Some("a second GROUP BY gathers groups of all shards")
            }
            LogicalPlan::Window(_) => Some("OVER ranks the rows of all shards"),
            LogicalPlan::Union(_) => Some("UNION ALL brings together groups of all shards"),
            _ => None,
        });
        Ok(what.is_some())
    })?;
    match what {
        Some(part) => Err(needs_all(table, part, "leave it to whoever reads the sink")),
        None => Ok(()),
    }
}

/// Inputs that are joined, or aggregates beside each other.
fn several_leaves(table: &str, stage: &Stage) -> Result<SqlError, SqlError> {
    let is_join = |node: &LogicalPlan| Ok(matches!(node, LogicalPlan::Join(_)));
    let joins = match (&stage.operator, &stage.close) {
        (Operator::Windows(_), Some(close)) => close.exists(is_join)?,
        _ => true,
    };
    if joins {
        let part = "a join of streams meets rows of all shards";
        return Ok(needs_all(table, part, "join in one process, without leases"));
    }
    let part = "its rows come from several aggregates: of grouping sets, or of UNION ALL";
    Ok(needs_all(table, part, "write one INSERT INTO for each set that has the partition key"))
}

fn needs_all(table: &str, part: &str, hint: &str) -> SqlError {
    SqlError::coded(Code::E14, format!("processes share the shards of `{table}` by leases, and {part}"), hint)
}
