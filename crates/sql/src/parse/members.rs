//! Names of members: `SELECT device.os` gives a column `os`, as in Flink, and not one that is named after the whole
//! path. Where two columns of a list would have the same name, none of them is named here.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Query, Select, SelectItem, TableFactor, VisitMut, VisitorMut,
};

use super::fold;

/// Names the members in every list of a query.
pub(super) fn rewrite(query: &mut Query) {
    let ControlFlow::Continue(()) = query.visit(&mut Members);
}

struct Members;

impl VisitorMut for Members {
    /// Nothing breaks the visit off.
    type Break = Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Infallible> {
        let relations = relations(select);
        let names: Vec<Option<String>> = select.projection.iter().map(name).collect();
        for (index, item) in select.projection.iter_mut().enumerate() {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let is_taken = names.iter().filter(|name| **name == names[index]).count() > 1;
            if let Some(member) = member(expr, &relations).filter(|_| !is_taken) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: member };
            }
        }
        ControlFlow::Continue(())
    }
}

/// The names by which columns of the relations in FROM are qualified.
fn relations(select: &Select) -> Vec<Vec<String>> {
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let name = |factor: &TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. } => Some(vec![fold(&alias.name)]),
        TableFactor::Table { name, alias: None, .. } => {
            Some(name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect())
        }
        _ => None,
    };
    factors.filter_map(name).collect()
}

/// The last part of a path that leads into a column; none of a column itself.
fn member(expr: &Expr, relations: &[Vec<String>]) -> Option<Ident> {
    match expr {
        Expr::CompoundIdentifier(path) => {
            let (last, before) = path.split_last()?;
            let before: Vec<_> = before.iter().map(fold).collect();
            let is_column = relations.iter().any(|relation| relation.ends_with(&before));
            (!is_column).then(|| last.clone())
        }
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(last)) => Some(last.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The name that a column of the list has or could have.
fn name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => Some(fold(column)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => path.last().map(fold),
        SelectItem::UnnamedExpr(expr) => member(expr, &[]).as_ref().map(fold),
        _ => None,
    }
}
