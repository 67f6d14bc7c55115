//! What the engine runs: a query cut into stages, each HOT, state and CLOSE, in DataFusion's logical terms.
//!
//! A stage takes rows of tables or of earlier stages, keeps state by its operator, and runs a bounded plan, CLOSE, over
//! what the operator gives. Most queries have one stage; a window over windows has two.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};
use millstream_core::{Duration, WindowSpec};

use crate::catalog::Table;
use crate::in_order::InOrderFunction;
use crate::plan::Sharded;
use crate::{Code, Position};

/// A continuous query, planned.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// What runs: a stage reads tables and earlier stages. The last one gives the result.
    pub stages: Vec<Stage>,
    /// The columns of the result.
    pub schema: SchemaRef,
    /// Indexes of the columns that identify a row of the result; within its window when the query is windowed and no
    /// window column is among them. Empty: rows have no identity.
    pub key: Vec<usize>,
    /// The analyzed plan, for batch runs: same query, finite input.
    pub batch: LogicalPlan,
    /// What deserves a warning.
    pub warnings: Vec<Warning>,
    /// How it is computed shard by shard, where processes share what it reads.
    pub sharded: Option<Sharded>,
}

/// An operator with what feeds it and what is done to what it gives.
#[derive(Clone, Debug)]
pub struct Stage {
    pub operator: Operator,
    /// What feeds the operator.
    pub leaves: Vec<Leaf>,
    /// What is done to the operator's rows, over [`crate::LeafNode`]s; `None`: nothing.
    pub close: Option<LogicalPlan>,
}

/// How rows become results.
#[derive(Clone, Debug)]
pub enum Operator {
    /// No state: rows go on as they come.
    Rows,
    /// Groups or rows of each window, when it closes.
    Windows(WindowSpec),
    /// One updating row per key; of a key that has not changed for `ttl` nothing is kept.
    Updating { ttl: Option<Duration> },
    /// Functions over the rows before and after each row of its partition, in the order of time.
    Over(Over),
    /// Pairs of rows whose times are within bounds of each other.
    IntervalJoin(IntervalJoin),
    /// The first rows of each partition in some order; they change as better ones come.
    Top(Top),
    /// A function over rows in the order of time.
    InOrder(InOrderStage),
}

/// OVER on a stream. Its one leaf gives the columns of the input; the functions' columns come behind them.
#[derive(Clone, Debug)]
pub struct Over {
    /// Window function expressions over the leaf's schema.
    pub functions: Vec<Expr>,
    /// PARTITION BY: the same for all of them.
    pub partition_by: Vec<Expr>,
    /// The leaf's schema with a column for each function behind it.
    pub schema: DFSchemaRef,
    /// Running values of partitions that got no row for so long go, and begin anew; `None`: they stay, or there are none.
    pub ttl: Option<Duration>,
}

/// A join of two streams: a left row at `t` meets right rows from `t + lower` to `t + upper`.
#[derive(Clone, Debug)]
pub struct IntervalJoin {
    pub join_type: JoinType,
    /// Pairs of expressions that must be equal, over the left and the right leaf.
    pub on: Vec<(Expr, Expr)>,
    /// A condition over both leaves' columns, bounds of time included.
    pub filter: Option<Expr>,
    pub lower: Duration,
    pub upper: Duration,
    /// The columns of the result.
    pub schema: DFSchemaRef,
    pub null_equals_null: bool,
}

/// `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) <= limit`.
#[derive(Clone, Debug)]
pub struct Top {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<datafusion::logical_expr::SortExpr>,
    pub limit: usize,
    /// Of rows that are equal in the order the later ones come first: the order is from the newest to the oldest.
    pub later_first: bool,
    /// The leaf's schema with the row number behind it.
    pub schema: DFSchemaRef,
    /// Partitions that have not changed for so long go.
    pub ttl: Option<Duration>,
}

/// A function over rows in the order of time. Its one leaf gives the columns of the input.
#[derive(Clone, Debug)]
pub struct InOrderStage {
    pub function: InOrderFunction,
    /// The columns of the leaf that the function was given; the first is the time.
    pub columns: Vec<usize>,
    /// The time is not the time attribute of the input, but said to be one: no row has it before what the input's
    /// results have come to. NULLs are possible.
    pub trusts: bool,
    /// The columns of the result.
    pub schema: DFSchemaRef,
}

/// HOT: what is done to each row before state. Expressions are over `schema`.
#[derive(Clone, Debug)]
pub struct Hot {
    pub input: Input,
    /// The input's columns, qualified by the name the expressions use.
    pub schema: DFSchemaRef,
    /// The event time that the operator goes by.
    pub time: RowTime,
    /// Rows for which one of these is not true are dropped.
    pub filters: Vec<Expr>,
}

/// The event time of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowTime {
    /// The operator needs none.
    None,
    /// The column of the input with this index.
    Column(usize),
    /// The millisecond before the value of this column, which is the end of a window.
    End(usize),
    /// The last millisecond of the window whose result the row is.
    Window,
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum Input {
    Table(Arc<Table>),
    /// The stage with this index.
    Stage(usize),
}

/// One input of a stage: as many feeds as UNION ALL brings together.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub feeds: Vec<Feed>,
    pub gives: Gives,
    /// Which columns are the keys of sessions.
    pub session_keys: Vec<usize>,
    /// What CLOSE sees of it. What feeds give beyond these columns is the operator's own.
    pub schema: DFSchemaRef,
    /// The same as a plan over finite input.
    pub batch: LogicalPlan,
}

/// What a leaf gives to its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Groups: the columns are keys, aggregates come behind them.
    Groups,
    Rows,
}

/// Rows of one input on their way into a leaf.
#[derive(Clone, Debug)]
pub struct Feed {
    pub hot: Hot,
    /// Keys, or all columns.
    pub columns: Vec<Column>,
    /// Aggregate expressions as the plan has them, aliases included; none where rows are given.
    pub aggregates: Vec<Expr>,
}

/// A column of a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Computed for each row.
    Row(Expr),
    /// A bound of the row's window: constant within a window.
    Window(WindowBound),
}

/// A column that a window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowBound {
    Start,
    End,
    /// The last millisecond of the window.
    Time,
}

/// Something that works and may surprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `W1`, `W2`.
    pub code: &'static str,
    pub message: String,
    pub at: Option<Position>,
}

impl Input {
    /// The table, if it is one.
    #[must_use]
    pub fn table(&self) -> Option<&Arc<Table>> {
        match self {
            Self::Table(table) => Some(table),
            Self::Stage(_) => None,
        }
    }
}

impl Leaf {
    /// The first feed; what all have in common can be read from it.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        self.feeds.first().expect("planning makes no leaf without a feed")
    }
}

impl Pipeline {
    /// The stage that gives the result.
    #[must_use]
    pub fn last(&self) -> &Stage {
        self.stages.last().expect("planning makes at least one stage")
    }

    /// Every feed of every stage.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.stages.iter().flat_map(|stage| &stage.leaves).flat_map(|leaf| &leaf.feeds)
    }

    /// The tables that are read, once for each feed that reads one.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.feeds().filter_map(|feed| feed.hot.input.table())
    }

    /// The window of the result, if the query is windowed.
    #[must_use]
    pub fn window(&self) -> Option<WindowSpec> {
        match self.last().operator {
            Operator::Windows(window) => Some(window),
            _ => None,
        }
    }

    /// Whether rows that were emitted may change.
    #[must_use]
    pub fn is_updating(&self) -> bool {
        matches!(self.last().operator, Operator::Updating { .. } | Operator::Top(_))
    }
}

impl Code {
    /// One line for the documentation and for `check`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::E01 => "GROUP BY on a stream without a window",
            Self::E02 => "DISTINCT without a window",
            Self::E03 => "an expression lost the time attribute",
            Self::E04 => "the window is missing from GROUP BY",
            Self::E05 => "stream join without a time bound",
            Self::E06 => "different windows on the sides of a join",
            Self::E07 => "ORDER BY or LIMIT on an unbounded stream",
            Self::E08 => "aggregate over an updating query",
            Self::E09 => "the sink cannot take updates",
            Self::E10 => "the current time decides a window",
            Self::E11 => "no watermark declared",
            Self::E12 => "unbounded keys without a time-to-live",
            Self::E13 => "no streaming form of this",
            Self::E14 => "needs all shards of a stream that processes share",
        }
    }
}
