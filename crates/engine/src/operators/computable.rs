//! Rows whose expressions can be computed: an operator that keeps rows finds out before it keeps them.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use crate::feed::row_text;
use crate::hot::isolate;

/// Expressions that may fail for a row: not those that are columns or constants.
pub(super) struct Computable(Vec<Arc<dyn PhysicalExpr>>);

/// Rows that were kept, and the text of each other one with its reason.
pub(crate) struct Computed {
    pub(crate) rows: RecordBatch,
    pub(crate) times: Option<Int64Array>,
    pub(crate) rejected: Vec<(String, String)>,
}

impl Computable {
    pub(super) fn new(exprs: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>) -> Self {
        let can_fail = |expr: &Arc<dyn PhysicalExpr>| {
            let expr = expr.as_ref() as &dyn std::any::Any;
            !expr.is::<Column>() && !expr.is::<Literal>()
        };
        Self(exprs.into_iter().filter(can_fail).collect())
    }

    /// Leaves out rows for which an expression fails.
    pub(super) fn check(&self, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Computed> {
        compute(rows, times, |part| {
            self.0.iter().try_for_each(|expr| expr.evaluate(part)?.into_array(part.num_rows()).map(|_| ()))
        })
    }
}

/// Leaves out rows on which `run` fails.
pub(crate) fn compute(
    rows: &RecordBatch,
    times: Option<&Int64Array>,
    mut run: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<Computed> {
    let (mut kept, mut rejected) = (Vec::new(), Vec::new());
    isolate(
        rows,
        0,
        &mut |part, first| {
            run(part)?;
            kept.push((first, part.num_rows()));
            Ok(())
        },
        &mut |row, reason| rejected.push((row_text(rows, row), reason)),
    );
    if rejected.is_empty() {
        return Ok(Computed { rows: rows.clone(), times: times.cloned(), rejected });
    }
    let indices = kept.into_iter().flat_map(|(first, length)| first..first + length);
    let indices: UInt32Array = indices.filter_map(|row| u32::try_from(row).ok()).collect::<Vec<_>>().into();
    let times = times.map(|times| indices.values().iter().map(|row| times.value(*row as usize)).collect());
    Ok(Computed { rows: take_record_batch(rows, &indices)?, times, rejected })
}
