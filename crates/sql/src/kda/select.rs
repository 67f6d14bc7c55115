//! A SELECT of KDA as a native query.
//!
//! What comes out always has the columns of the SELECT, and `ROWTIME` as the last one, which is the time attribute of
//! the native stream. Around the rows come, in this order: a ROWTIME of their own, DISTINCT, ORDER BY.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, NamedWindowDefinition, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
};
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};

use super::Findings;
use super::calls::arguments;
use super::columns::{Class, Column, Mono, ROWTIME, Value, items, quote, text};
use super::expr::{Exprs, names_rowtime, unnested};
use super::graph::World;
use super::group::Grouped;
use super::interval;
use super::join::Source;
use super::over::Overs;
use super::scope::{Relation, Scope};
use super::statements::fold;
use super::tokens::WITHIN;
use crate::{Position, SqlError};

/// The column of a ROWTIME that a SELECT sets itself, until it is the rows' ROWTIME.
pub(super) const OWN_ROWTIME: &str = "__rowtime";

/// The translation of the queries of one statement.
pub(super) struct Selects<'a> {
    pub(super) world: &'a World,
    pub(super) findings: &'a mut Findings,
    pub(super) windows: &'a HashMap<Location, Vec<TokenWithSpan>>,
    pub(super) named_windows: Vec<NamedWindowDefinition>,
    pub(super) made: usize,
}

/// A native query and its columns; those of a stream have `ROWTIME` behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
    /// Columns that are there and not in `*`.
    pub(super) hidden: Vec<Column>,
    pub(super) is_stream: bool,
    /// The same rows where nothing goes by their time: as windows give them.
    pub(super) untimed: Option<String>,
}

/// The rows of a SELECT before what is around them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) items: Vec<(Value, String)>,
    pub(super) rowtime: Option<String>,
    /// `FROM … WHERE … GROUP BY …`.
    pub(super) tail: String,
    /// Whether they are results of windows, which a stage of their own makes a stream again.
    pub(super) is_grouped: bool,
    /// Where names in ORDER BY are looked up.
    pub(super) scope: Scope,
    pub(super) keys: Vec<(String, Value)>,
}

impl Selects<'_> {
    /// A name that nothing else has.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", self.made)
    }

    /// Expressions over a scope; bare ROWTIME is the row's.
    pub(super) fn exprs<'b>(&'b mut self, scope: &'b Scope) -> Exprs<'b> {
        Exprs {
            world: self.world,
            scope,
            findings: self.findings,
            rowtime: None,
            keys: Vec::new(),
            overs: None,
            windows: &self.named_windows,
            in_step: false,
        }
    }

    pub(super) fn block(&mut self, query: &Query) -> Result<Block, SqlError> {
        let at = Position::of(query.span());
        if query.with.is_some() {
            let error = SqlError::new("WITH is not in the SQL of Kinesis Data Analytics").at(at);
            return Err(error.hint("write the query as a subquery in FROM, or as a stream with a pump of its own"));
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            let error = SqlError::new("LIMIT is not in the SQL of Kinesis Data Analytics").at(at);
            let hint = "TABLE(TOP_K_ITEMS_TUMBLING(…)) and TABLE(GROUP_RANK(…)) give the first rows of a window";
            self.findings.errors.push(error.hint(hint));
        }
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref()),
            SetExpr::Query(inner) => self.block(inner),
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
                self.union(left, right)
            }
            SetExpr::SetOperation { op, .. } => {
                let error = SqlError::new(format!("{op} is for relations, not for streams")).at(at);
                Err(error.hint("UNION ALL brings streams together"))
            }
            _ => Err(SqlError::new("a stream needs SELECT … FROM").at(at)),
        }
    }

    fn union(&mut self, left: &SetExpr, right: &SetExpr) -> Result<Block, SqlError> {
        let mut side = |set: &SetExpr| match set {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.block(query),
            SetExpr::SetOperation {
                op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right, ..
            } => self.union(left, right),
            other => Err(SqlError::new(format!("{other} cannot be a part of UNION ALL"))),
        };
        let (left, right) = (side(left)?, side(right)?);
        if left.columns.len() != right.columns.len() {
            let message =
                format!("the sides of UNION ALL have {} and {} columns", left.columns.len(), right.columns.len());
            return Err(SqlError::new(message));
        }
        if left.is_stream != right.is_stream {
            return Err(SqlError::new("UNION ALL of a stream and a table").hint("join the table to the stream"));
        }
        let columns = left.columns.into_iter().zip(right.columns).map(|(mine, theirs)| Column {
            class: if mine.class == theirs.class { mine.class } else { Class::Unknown },
            declared: mine.declared.filter(|declared| theirs.declared.as_ref() == Some(declared)),
            mono: mine.mono.filter(|mono| theirs.mono == Some(*mono)),
            name: mine.name,
        });
        Ok(Block {
            sql: format!("{} UNION ALL {}", left.sql, right.sql),
            columns: columns.collect(),
            hidden: Vec::new(),
            is_stream: left.is_stream,
            untimed: None,
        })
    }

    fn select(&mut self, select: &Select, order_by: Option<&OrderBy>) -> Result<Block, SqlError> {
        let outer = std::mem::replace(&mut self.named_windows, select.named_window.clone());
        let block = self.select_rows(select).and_then(|rows| self.around(select, rows, order_by));
        self.named_windows = outer;
        block
    }

    fn select_rows(&mut self, select: &Select) -> Result<Rows, SqlError> {
        let source = self.from(&select.from, select.selection.as_ref())?;
        let filter = match &select.selection {
            Some(condition) if !source.is_filtered => {
                format!(" WHERE {}", self.exprs(&source.scope).value_or_told(condition).sql)
            }
            _ => String::new(),
        };
        let keys: &[Expr] = match &select.group_by {
            GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => keys,
            other => return Err(SqlError::new(format!("{other} is not in the SQL of Kinesis Data Analytics"))),
        };
        let exprs = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        if !keys.is_empty() || select.having.is_some() || exprs.into_iter().any(super::group::is_aggregate) {
            return self.grouped(select, source, &filter, keys);
        }
        let Source { from, scope, .. } = source;
        let mut overs = Overs::default();
        let items = {
            let mut exprs = self.exprs(&scope);
            exprs.overs = Some(&mut overs);
            select_items(&mut exprs, &select.projection, &scope)?
        };
        let tail = if overs.is_empty() {
            format!("{from}{filter}")
        } else {
            let rowtime = scope.rowtime.clone().ok_or_else(|| SqlError::new("OVER needs a stream"))?;
            overs.around(&from, &filter, &scope.alias, &rowtime)
        };
        Ok(Rows { items, rowtime: scope.rowtime.clone(), tail, is_grouped: false, scope, keys: Vec::new() })
    }

    fn grouped(&mut self, select: &Select, source: Source, filter: &str, keys: &[Expr]) -> Result<Rows, SqlError> {
        let Grouped { from, rowtime, keys: replaced, group_by } = self.group(&source, filter, keys)?;
        let scope = source.scope;
        let mut exprs = self.exprs(&scope);
        exprs.rowtime = Some(Value::time(&rowtime, Some(Mono::RowTime)));
        exprs.keys.clone_from(&replaced);
        let items = select_items(&mut exprs, &select.projection, &scope)?;
        let having = match &select.having {
            Some(condition) => format!(" HAVING {}", exprs.value_or_told(condition).sql),
            None => String::new(),
        };
        let tail = format!("{from} GROUP BY {}{having}", group_by.join(", "));
        Ok(Rows { items, rowtime: Some(rowtime), tail, is_grouped: true, scope, keys: replaced })
    }

    /// The rows with their ROWTIME, and with what comes around them.
    fn around(&mut self, select: &Select, rows: Rows, order_by: Option<&OrderBy>) -> Result<Block, SqlError> {
        let Rows { items: values, rowtime, tail, is_grouped, scope, keys } = rows;
        let own = values.iter().find(|(_, name)| name == ROWTIME).map(|(value, _)| value.clone());
        let own = own.filter(|value| value.mono != Some(Mono::RowTime) && rowtime.as_ref() != Some(&value.sql));
        let columns: Vec<Column> = values.iter().map(|(value, name)| value.column(name.clone())).collect();
        let Some(rowtime) = rowtime else {
            let items = items(values.iter().map(|(value, name)| (value.sql.as_str(), name.as_str())));
            return Ok(Block {
                sql: format!("SELECT {items} FROM {tail}"),
                columns,
                hidden: Vec::new(),
                is_stream: false,
                untimed: None,
            });
        };
        let mut inner: Vec<(String, String)> = values
            .iter()
            .filter(|(_, name)| name != ROWTIME)
            .map(|(value, name)| (value.sql.clone(), name.clone()))
            .collect();
        let visible: Vec<String> = inner.iter().map(|(_, name)| name.clone()).collect();
        inner.push((rowtime.clone(), ROWTIME.to_owned()));
        let orders = order_expressions(order_by)?;
        let within = orders.first().and_then(|order| within(&order.expr));
        if let Some(own) = &own {
            inner.push((own.sql.clone(), OWN_ROWTIME.to_owned()));
        }
        // What rows are sorted by goes along in columns of its own.
        let mut sorted = Vec::new();
        if within.is_none() {
            for (place, order) in orders.iter().enumerate() {
                let value = self.order_value(order, &scope, &keys, &columns, &values, &rowtime, is_grouped)?;
                let name = format!("__order_{}", place + 1);
                inner.push((value.sql.clone(), name.clone()));
                sorted.push((name, value, order.options.asc == Some(false)));
            }
        }
        let listed = items(inner.iter().map(|(sql, name)| (sql.as_str(), name.as_str())));
        let mut sql = format!("SELECT {listed} FROM {tail}");
        let untimed = sql.clone();
        let time = quote(ROWTIME);
        let mut passed: Vec<String> = visible.iter().map(|name| quote(name)).collect();
        passed.push(time.clone());
        passed.extend(sorted.iter().map(|(name, ..)| quote(name)));
        let restated = |passed: &[String]| {
            let mut restated: Vec<String> = passed.to_vec();
            restated.iter_mut().filter(|name| **name == time).for_each(|name| {
                *name = format!("{} AS {time}", quote(OWN_ROWTIME));
            });
            restated.join(", ")
        };
        if let Some((expr, slack)) = within {
            if own.is_none() {
                let error =
                    SqlError::new(format!("ORDER BY {expr} WITHIN … needs {expr} AS ROWTIME in the SELECT list"));
                return Err(error.at(Position::of(expr.span())));
            }
            sql = format!(
                "SELECT {} FROM TABLE(sort_within(({sql}), DESCRIPTOR({time}), DESCRIPTOR({}), {}))",
                restated(&passed),
                quote(OWN_ROWTIME),
                slack.sql()
            );
        } else if own.is_some() {
            sql = format!(
                "SELECT {} FROM TABLE(in_time(({sql}), DESCRIPTOR({time}), DESCRIPTOR({})))",
                restated(&passed),
                quote(OWN_ROWTIME)
            );
        } else if is_grouped {
            sql = format!("SELECT {} FROM TABLE(in_time(({sql}), DESCRIPTOR({time})))", passed.join(", "));
        }
        let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
        let untimed = (is_grouped && own.is_none() && !is_distinct && sorted.is_empty()).then_some(untimed);
        if is_distinct {
            sql = Self::distinct(&sql, &columns, &passed)?;
        }
        if !sorted.is_empty() {
            sql = in_order(&sql, &sorted, &visible)?;
        }
        Ok(Block { sql, columns, hidden: Vec::new(), is_stream: true, untimed })
    }

    /// Within the current value of what rises with time each row once, as soon as it is seen.
    fn distinct(sql: &str, columns: &[Column], passed: &[String]) -> Result<String, SqlError> {
        let rises = |column: &&Column| {
            matches!(column.mono, Some(Mono::Step { .. } | Mono::Ascending | Mono::RowTime | Mono::Descending))
        };
        let lead = (columns.iter().filter(rises)).min_by_key(|column| column.name == ROWTIME).ok_or_else(|| {
            SqlError::new("SELECT DISTINCT needs a column that rises with ROWTIME, or it would keep every row for ever")
                .hint("add STEP(s.ROWTIME BY INTERVAL '1' MINUTE) to the list")
        })?;
        let compared: Vec<String> =
            columns.iter().filter(|column| column.name != ROWTIME).map(|column| quote(&column.name)).collect();
        let time = quote(ROWTIME);
        let compared = if compared.is_empty() { time.clone() } else { compared.join(", ") };
        Ok(format!(
            "SELECT {} FROM TABLE(distinct_in_order(({sql}), DESCRIPTOR({time}), DESCRIPTOR({}), DESCRIPTOR({compared})))",
            passed.join(", "),
            quote(&lead.name)
        ))
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are the one SELECT that the expression is looked up in")]
    fn order_value(
        &mut self,
        order: &OrderByExpr,
        scope: &Scope,
        keys: &[(String, Value)],
        columns: &[Column],
        values: &[(Value, String)],
        rowtime: &str,
        is_grouped: bool,
    ) -> Result<Value, SqlError> {
        if let Expr::Identifier(name) = &order.expr
            && let Some(place) = columns.iter().position(|column| column.name == fold(name))
        {
            return Ok(values[place].0.clone());
        }
        let mut exprs = self.exprs(scope);
        if is_grouped {
            exprs.rowtime = Some(Value::time(rowtime, Some(Mono::RowTime)));
            exprs.keys = keys.to_vec();
        }
        exprs.value(&order.expr)
    }
}

/// The items of a SELECT list with the names of their columns.
fn select_items(
    exprs: &mut Exprs<'_>,
    projection: &[SelectItem],
    scope: &Scope,
) -> Result<Vec<(Value, String)>, SqlError> {
    let mut found: Vec<(Value, String)> = Vec::new();
    for item in projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let value = exprs.value_or_told(expr);
                let name = match unnested(expr) {
                    Expr::Identifier(name) if names_rowtime(name) => ROWTIME.to_owned(),
                    // The time of one side of a join is a value like any other.
                    Expr::CompoundIdentifier(parts) if parts.last().is_some_and(names_rowtime) => {
                        let is_time = exprs.rowtime.is_none() && value.mono == Some(Mono::RowTime);
                        if is_time { ROWTIME.to_owned() } else { format!("EXPR${}", found.len()) }
                    }
                    Expr::Identifier(name) => stored_name(scope, name),
                    Expr::CompoundIdentifier(parts) => {
                        parts.last().map(|name| stored_name(scope, name)).unwrap_or_default()
                    }
                    _ => format!("EXPR${}", found.len()),
                };
                found.push((value, name));
            }
            SelectItem::ExprWithAlias { expr, alias } => found.push((exprs.value_or_told(expr), fold(alias))),
            SelectItem::Wildcard(_) => {
                found.extend(
                    scope
                        .relations
                        .iter()
                        .flat_map(Relation::visible)
                        .map(|known| (known.value(), known.column.name.clone())),
                );
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let at = Position::of(name.span());
                let relation = name.0.last().and_then(|part| part.as_ident()).and_then(|name| scope.relation(name));
                let relation = relation.ok_or_else(|| SqlError::new(format!("FROM has no {name}")).at(at))?;
                found.extend(relation.visible().map(|known| (known.value(), known.column.name.clone())));
            }
            other => {
                let at = Position::of(other.span());
                return Err(SqlError::new(format!("{other} is not in the SQL of Kinesis Data Analytics")).at(at));
            }
        }
    }
    // Two columns of one name cannot be told apart: the later one gets a number.
    for place in 1..found.len() {
        let base = found[place].1.clone();
        let mut number = 0;
        while found[..place].iter().any(|(_, name)| *name == found[place].1) {
            found[place].1 = format!("{base}{number}");
            number += 1;
        }
    }
    Ok(found)
}

/// The name of a column as it is stored, which an unquoted one that was found without regard to case differs from.
fn stored_name(scope: &Scope, name: &datafusion::sql::sqlparser::ast::Ident) -> String {
    let wanted = fold(name);
    let columns = || scope.relations.iter().flat_map(|relation| &relation.columns).map(|known| &known.column.name);
    let exact = columns().find(|known| **known == wanted);
    exact.or_else(|| columns().find(|known| known.eq_ignore_ascii_case(&wanted))).cloned().unwrap_or(wanted)
}

fn order_expressions(order_by: Option<&OrderBy>) -> Result<Vec<&OrderByExpr>, SqlError> {
    match order_by.map(|order_by| &order_by.kind) {
        None => Ok(Vec::new()),
        Some(OrderByKind::Expressions(exprs)) => Ok(exprs.iter().collect()),
        Some(OrderByKind::All(_)) => Err(SqlError::new("ORDER BY ALL is not in the SQL of Kinesis Data Analytics")),
    }
}

/// The expression and the slack of `ORDER BY t WITHIN INTERVAL '5' MINUTE`.
fn within(expr: &Expr) -> Option<(&Expr, interval::Length)> {
    let Expr::Function(call) = expr else { return None };
    match arguments(call).ok()?[..] {
        [time, Expr::Interval(slack)] if call.name.to_string() == WITHIN => Some((time, interval::read(slack).ok()?)),
        _ => None,
    }
}

/// Rows are kept until the first expression has another value, and sorted by the others meanwhile.
fn in_order(sql: &str, sorted: &[(String, Value, bool)], visible: &[String]) -> Result<String, SqlError> {
    let Some(((lead, value, descending), rest)) = sorted.split_first() else { return Ok(sql.to_owned()) };
    let step = match value.mono {
        _ if *descending => None,
        Some(Mono::RowTime) => Some(format!(", {}", interval::Length::Millis(1).sql())),
        Some(Mono::Step { length, ceil: false }) => Some(format!(", {}", length.sql())),
        Some(Mono::Ascending | Mono::Step { .. }) => Some(String::new()),
        _ => None,
    };
    let step = step.ok_or_else(|| {
        SqlError::new("ORDER BY on a stream begins with a time that rises, or it would wait for ever")
            .hint("write ORDER BY FLOOR(s.ROWTIME TO SECOND), then what rows are sorted by within each second")
    })?;
    let mut columns: Vec<String> = visible.iter().map(|name| quote(name)).collect();
    columns.push(quote(ROWTIME));
    if rest.is_empty() {
        return Ok(format!("SELECT {} FROM ({sql})", columns.join(", ")));
    }
    let by: Vec<String> = rest.iter().map(|(name, ..)| quote(name)).collect();
    let ways: Vec<&str> = rest.iter().map(|(_, _, descending)| if *descending { "desc" } else { "asc" }).collect();
    Ok(format!(
        "SELECT {} FROM TABLE(sort_in_order(({sql}), DESCRIPTOR({}), DESCRIPTOR({}), DESCRIPTOR({}), {}{step}))",
        columns.join(", "),
        quote(ROWTIME),
        quote(lead),
        by.join(", "),
        text(&ways.join(","))
    ))
}
