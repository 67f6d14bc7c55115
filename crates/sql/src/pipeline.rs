//! What the engine runs: a query cut into HOT, PANE and CLOSE, in DataFusion's logical terms.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan};
use millstream_core::{Duration, WindowSpec};

use crate::catalog::Table;
use crate::{Code, Position};

/// A continuous query, planned.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// What runs.
    pub stage: Stage,
    /// The columns of the result.
    pub schema: SchemaRef,
    /// Indexes of the columns that identify a row of the result; within its window when the query is windowed and no
    /// window column is among them. Empty: rows have no identity.
    pub key: Vec<usize>,
    /// The analyzed plan, for batch runs: same query, finite input.
    pub batch: LogicalPlan,
    /// What deserves a warning.
    pub warnings: Vec<Warning>,
}

/// The operator between HOT and the output.
#[derive(Clone, Debug)]
pub enum Stage {
    /// No state: rows go out as they come.
    Rows(Vec<Rows>),
    /// One or more window aggregates, and CLOSE over the rows of each closed window.
    Windowed { leaves: Vec<Leaf>, window: WindowSpec, close: LogicalPlan },
    /// An aggregate without a window: one updating row per key. CLOSE filters and projects changed rows.
    Updating { leaf: Leaf, close: LogicalPlan, ttl: Option<Duration> },
}

/// HOT: what is done to each row before state. Expressions are over the table's full schema.
#[derive(Clone, Debug)]
pub struct Hot {
    pub table: Arc<Table>,
    /// `table.schema` qualified by the name the expressions use.
    pub schema: DFSchemaRef,
    /// Rows for which one of these is not true are dropped.
    pub filters: Vec<Expr>,
}

/// A stateless branch: filter and project.
#[derive(Clone, Debug)]
pub struct Rows {
    pub hot: Hot,
    pub projection: Vec<Expr>,
}

/// One aggregate, with what feeds it.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub hot: Hot,
    pub keys: Vec<GroupKey>,
    /// Aggregate expressions as the plan has them, aliases included.
    pub aggregates: Vec<Expr>,
    /// The aggregate's output: keys, then aggregates.
    pub schema: DFSchemaRef,
    /// The aggregate and what is below it, as a plan over finite input.
    pub batch: LogicalPlan,
}

/// One GROUP BY expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupKey {
    /// Computed for each row.
    Row(Expr),
    /// A bound of the row's window: constant within a pane.
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

impl Pipeline {
    /// The HOT parts.
    pub fn hots(&self) -> Vec<&Hot> {
        match &self.stage {
            Stage::Rows(branches) => branches.iter().map(|branch| &branch.hot).collect(),
            Stage::Windowed { leaves, .. } => leaves.iter().map(|leaf| &leaf.hot).collect(),
            Stage::Updating { leaf, .. } => vec![&leaf.hot],
        }
    }

    /// The window of the result, if the query is windowed.
    #[must_use]
    pub fn window(&self) -> Option<WindowSpec> {
        match &self.stage {
            Stage::Windowed { window, .. } => Some(*window),
            _ => None,
        }
    }

    /// Whether rows that were emitted may change.
    #[must_use]
    pub fn is_updating(&self) -> bool {
        matches!(self.stage, Stage::Updating { .. })
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
        }
    }
}
