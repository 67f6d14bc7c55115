//! `in_arrival_order(ts)`: the same time, marked. In the ORDER BY of an OVER along a stream it says that rows of one time
//! come one after another, as they arrived, so that no frame which ends at a row has rows after it.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const NAME: &str = "in_arrival_order";

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(InArrivalOrder { signature: Signature::any(1, Volatility::Immutable) }))]
}

/// What is marked, if an expression is.
pub(crate) fn marked(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(function) if function.name() == NAME => function.args.first(),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InArrivalOrder {
    signature: Signature,
}

impl ScalarUDFImpl for InArrivalOrder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        arguments.args.pop().ok_or_else(|| DataFusionError::Internal(format!("{NAME} is of one time")))
    }
}
