//! Window table functions: `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))` as a node of the logical plan.
//! How calls become nodes is in `call`.
//!
//! The node passes every row on with `window_start`, `window_end` and `window_time` behind its own columns. On a stream
//! it is never run: the cut turns it into the panes' window. In a batch run it expands rows.

mod bound;
mod call;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use millstream_core::WindowSpec;

use crate::SqlError;
pub(crate) use bound::bound_of;
pub(crate) use call::{WindowFunctions, interval_ms, interval_step, partition_keys};

/// The names of the columns a window function adds, in order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Assigns rows to windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowAssign {
    pub input: LogicalPlan,
    /// A column of the input.
    pub time: Expr,
    pub spec: WindowSpec,
    /// The keys of sessions; other windows have none.
    pub partition_by: Vec<Expr>,
    schema: DFSchemaRef,
}

impl WindowAssign {
    /// The node over `input`; `time` must be a timestamp column of it.
    pub fn try_new(input: LogicalPlan, time: Expr, spec: WindowSpec, partition_by: Vec<Expr>) -> Result<Self> {
        use datafusion::logical_expr::ExprSchemable;
        let zone = match time.get_type(input.schema())? {
            DataType::Timestamp(_, zone) => zone,
            other => {
                let message = format!("the time column of a window must be a TIMESTAMP, but {time} is {other}");
                return Err(SqlError::new(message).into());
            }
        };
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, zone);
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for name in WINDOW_COLUMNS {
            if fields.iter().any(|(_, field)| field.name() == name) {
                let message = format!("the input of a window function has a column `{name}` already");
                return Err(SqlError::new(message).hint("give it another name with AS in a subquery").into());
            }
            fields.push((None, Arc::new(Field::new(name, data_type.clone(), false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, time, spec, partition_by, schema })
    }
}

impl PartialOrd for WindowAssign {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.spec.to_string().cmp(&other.spec.to_string()) {
            Ordering::Equal => self.input.partial_cmp(&other.input),
            unequal => Some(unequal),
        }
    }
}

impl UserDefinedLogicalNodeCore for WindowAssign {
    fn name(&self) -> &'static str {
        "WindowAssign"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.partition_by).cloned().collect()
    }

    /// A condition on a window column cannot be tested before there is one. Rows make sessions what they are, so they
    /// are there whatever is asked of them; a condition on the keys takes whole sessions away.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let mut columns: HashSet<String> = WINDOW_COLUMNS.iter().map(ToString::to_string).collect();
        if matches!(self.spec, WindowSpec::Session { .. }) {
            let names = self.input.schema().fields().iter().map(|field| field.name().clone());
            let is_key = |name: &String| {
                self.partition_by.iter().any(|key| matches!(key, Expr::Column(column) if column.name == *name))
            };
            columns.extend(names.filter(|name| !is_key(name)));
        }
        columns
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.spec, self.time)?;
        self.partition_by.iter().try_for_each(|key| write!(f, " by {key}"))
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (false, Some(input)) = (exprs.is_empty(), inputs.pop()) else {
            return Err(DataFusionError::Internal("a window node has a time and one input".to_owned()));
        };
        let partition_by = exprs.split_off(1);
        Self::try_new(input, exprs.remove(0), self.spec, partition_by)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < inputs).collect()])
    }
}
