//! The functions of Kinesis Data Analytics, with its results: `kda_substring` is its SUBSTRING, where that differs from
//! DataFusion's or where DataFusion has none. Each file defines a family of them as [`Definition`]s; an error is of one
//! row, which then goes to `error_stream`. `docs/kda-functions.md` lists them all.

mod any_every;
mod arithmetic;
mod average;
mod calendar;
mod cast;
mod char_time;
mod datetime;
mod definition;
mod exact;
mod exp_avg;
mod interval;
mod java_time;
mod logs;
mod number;
mod period;
mod regex;
mod similar;
mod strings;
#[cfg(test)]
mod tests;
mod unit;
mod value;
mod variance;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;

pub(super) fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    let families = [
        cast::ALL,
        arithmetic::ALL,
        number::ALL,
        datetime::ALL,
        interval::ALL,
        char_time::ALL,
        period::ALL,
        strings::ALL,
        logs::ALL,
    ];
    for definition in families.into_iter().flatten() {
        registry.register_udf(Arc::new(ScalarUDF::from(definition.function())))?;
    }
    let aggregates = [average::function(), exp_avg::function(), any_every::any(), any_every::every()];
    for aggregate in aggregates.into_iter().chain(variance::functions()) {
        registry.register_udaf(Arc::new(aggregate))?;
    }
    Ok(())
}
