//! Expressions as text that says what is computed, and not what it was called: columns by names that are given here,
//! without the aliases of tables and of columns.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction;

use crate::SqlError;

/// The columns of a schema, and what each is called in texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) schema: &'a DFSchema,
    pub(crate) names: &'a [String],
}

impl Named<'_> {
    /// The text of an expression over the columns.
    pub(crate) fn text(&self, expr: &Expr) -> Result<String, SqlError> {
        let plain = expr.clone().unalias_nested().data;
        let named = plain.transform(|part| match &part {
            Expr::Column(column) => {
                let name = self.schema.maybe_index_of_column(column).and_then(|index| self.names.get(index));
                let name = name.cloned().unwrap_or_else(|| column.name.clone());
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
            }
            Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(interval_text(*interval)))))
            }
            _ => Ok(Transformed::no(part)),
        })?;
        Ok(named.data.to_string())
    }

    /// The texts of several expressions.
    pub(crate) fn texts<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<String>, SqlError> {
        exprs.into_iter().map(|expr| self.text(expr)).collect()
    }

    /// Conditions that hold together, in an order of their own.
    pub(crate) fn conditions<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<String, SqlError> {
        let mut texts = self.texts(exprs.into_iter().flat_map(split_conjunction))?;
        texts.sort_unstable();
        texts.dedup();
        Ok(listed(&texts, " AND "))
    }
}

/// An interval as people write it.
fn interval_text(interval: IntervalMonthDayNano) -> String {
    let (ms, ns) = (interval.nanoseconds / 1_000_000, interval.nanoseconds % 1_000_000);
    let parts = [(i64::from(interval.months), "months"), (i64::from(interval.days), "days"), (ms, "ms"), (ns, "ns")];
    let parts = parts.iter().filter(|(count, _)| *count != 0).map(|(count, unit)| format!("{count} {unit}"));
    format!("INTERVAL '{}'", parts.collect::<Vec<_>>().join(" "))
}

/// A list as text; `none` when there is nothing in it.
pub(crate) fn listed(texts: &[String], separator: &str) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(separator) }
}

/// Names that tell columns apart: of several with one name each gets its number.
pub(crate) fn distinct_names(names: Vec<String>) -> Vec<String> {
    let numbered = names.iter().enumerate().map(|(index, name)| {
        let is_shared = names.iter().filter(|other| *other == name).count() > 1;
        if is_shared { format!("{name} #{}", index + 1) } else { name.clone() }
    });
    numbered.collect()
}

/// Names by position alone, such that their order is that of the columns.
pub(crate) fn positions(schema: &DFSchema) -> Vec<String> {
    (0..schema.fields().len()).map(|index| format!("#{index:05}")).collect()
}
