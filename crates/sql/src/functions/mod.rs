//! Functions of our own, found by name like DataFusion's. One file a family; users' own are in `defined`.

pub(crate) mod arrival;
pub(crate) mod defined;

mod calendar;
mod clock;
mod geography;
mod json;
mod json_operators;
mod json_path;
mod kda;
mod polygon;
mod text;
mod time;
mod within_polygon;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use millstream_core::Clock;

/// Adds ours to DataFusion's functions, or puts them in the place of one.
pub(crate) fn register(registry: &mut dyn FunctionRegistry, clock: &Arc<dyn Clock>) -> Result<()> {
    for function in all(clock) {
        registry.register_udf(function)?;
    }
    kda::register(registry)?;
    registry.register_expr_planner(Arc::new(json_operators::JsonOperators))
}

fn all(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    [arrival::all(), calendar::all(), clock::all(clock), geography::all(), json::all(), text::all(), time::all()]
        .concat()
}
