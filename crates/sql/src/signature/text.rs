//! Expressions as text that says what is computed, and not what it was called: columns by names that are given here,
//! without the aliases of tables and of columns.

use datafusion::common::Column;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
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
