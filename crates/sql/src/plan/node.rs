//! The place in CLOSE where the rows of a leaf, or of the operator, come in.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// A leaf of CLOSE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeafNode {
    /// Index into the stage's leaves; operators other than windows give one set of rows, number 0.
    pub leaf: usize,
    schema: DFSchemaRef,
}

impl LeafNode {
    pub(crate) fn plan(leaf: usize, schema: DFSchemaRef) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(Self { leaf, schema }) })
    }
}

impl PartialOrd for LeafNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.leaf.partial_cmp(&other.leaf)
    }
}

impl UserDefinedLogicalNodeCore for LeafNode {
    fn name(&self) -> &'static str {
        "Leaf"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf {}", self.leaf)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> datafusion::error::Result<Self> {
        Ok(self.clone())
    }
}
