//! Where in the text a refused part of a plan was written. Plans keep no places, so the clauses of the parsed query are
//! listed and matched.

use std::ops::ControlFlow;

use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, GroupByExpr, Query, SetExpr, Spanned, TableFactor, Visit, Visitor};

use crate::Position;
use crate::catalog::Catalog;
use crate::parse::fold;

/// The places of a query's clauses, outermost query first.
#[derive(Debug, Default)]
pub(crate) struct Clauses {
    /// Each GROUP BY with the text of its expressions.
    group_by: Vec<(Vec<String>, Option<Position>)>,
    distinct: Vec<Option<Position>>,
    order_by: Vec<Option<Position>>,
    limit: Vec<Option<Position>>,
    joins: Vec<Option<Position>>,
    windows: Vec<Option<Position>>,
    clock: Vec<Option<Position>>,
    over: Vec<Option<Position>>,
}

impl Clauses {
    pub(crate) fn of(query: &Query) -> Self {
        let mut clauses = Self::default();
        let _ = query.visit(&mut clauses);
        clauses
    }

    /// The GROUP BY that has these expressions; the first one when none looks alike.
    pub(crate) fn group_by(&self, exprs: &[Expr]) -> Option<Position> {
        let names: Vec<String> = exprs.iter().map(|expr| expr.schema_name().to_string()).collect();
        let bare = |text: &str| text.rsplit('.').next().unwrap_or(text).to_lowercase();
        let alike = |texts: &[String]| {
            texts.len() == names.len()
                && texts.iter().zip(&names).filter(|(text, name)| bare(text) == bare(name)).count() > 0
        };
        (self.group_by.iter().find(|(texts, _)| alike(texts))).or(self.group_by.first()).and_then(|(_, at)| *at)
    }

    pub(crate) fn distinct(&self) -> Option<Position> {
        self.distinct.first().copied().flatten()
    }

    pub(crate) fn order_by(&self) -> Option<Position> {
        self.order_by.first().copied().flatten()
    }

    pub(crate) fn limit(&self) -> Option<Position> {
        self.limit.first().copied().flatten()
    }

    pub(crate) fn join(&self) -> Option<Position> {
        self.joins.first().copied().flatten()
    }

    /// A window function in FROM.
    pub(crate) fn window(&self) -> Option<Position> {
        self.windows.first().copied().flatten()
    }

    /// A function with OVER.
    pub(crate) fn over(&self) -> Option<Position> {
        self.over.first().copied().flatten()
    }

    /// A call for the current time.
    pub(crate) fn clock(&self) -> Option<Position> {
        self.clock.first().copied().flatten()
    }
}

/// The first relation of a query that neither the catalog nor a WITH of the query has. DataFusion reports such names
/// without a place.
pub(crate) fn unknown_relation(query: &Query, catalog: &Catalog) -> Option<Position> {
    let mut relations = Relations::default();
    let _ = query.visit(&mut relations);
    let known = |name: &String| catalog.get(name).is_some() || relations.with.contains(name);
    relations.named.iter().find(|(name, _)| !known(name)).and_then(|(_, at)| *at)
}

#[derive(Default)]
struct Relations {
    with: Vec<String>,
    named: Vec<(String, Option<Position>)>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with.extend(with.map(|cte| fold(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let parts = name.0.iter().filter_map(|part| part.as_ident()).map(fold);
            self.named.push((parts.collect::<Vec<_>>().join("."), Position::of(name.span())));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Clauses {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_ref() {
            if let GroupByExpr::Expressions(exprs, _) = &select.group_by
                && let Some(first) = exprs.first()
            {
                let texts = exprs.iter().map(ToString::to_string).collect();
                self.group_by.push((texts, Position::of(first.span())));
            }
            if select.distinct.is_some() {
                let first = select.projection.first().and_then(|item| Position::of(item.span()));
                self.distinct.push(first);
            }
            for join in select.from.iter().flat_map(|from| &from.joins) {
                self.joins.push(Position::of(join.relation.span()));
            }
        }
        if let Some(order_by) = &query.order_by {
            self.order_by.push(Position::of(order_by.span()));
        }
        if let Some(limit) = &query.limit_clause {
            self.limit.push(Position::of(limit.span()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::TableFunction { expr: ast::Expr::Function(function), .. } => {
                self.windows.push(Position::of(function.name.span()));
            }
            TableFactor::Table { name, args: Some(_), .. } => self.windows.push(Position::of(name.span())),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(function) = expr
            && function.over.is_some()
        {
            self.over.push(Position::of(function.name.span()));
        }
        if let ast::Expr::Function(function) = expr
            && super::is_clock_function(&function.name.to_string().to_lowercase())
        {
            self.clock.push(Position::of(function.name.span()));
        }
        ControlFlow::Continue(())
    }
}
