//! FROM: one relation, or several joined into one.
//!
//! Streams meet within windows: a row finds those rows of the other side that are in that side's window when it comes,
//! and a side without a window has only the rows of the same ROWTIME. In terms of times, with windows of `n` and `m`
//! before the rows of `a` and `b`: `b.ROWTIME BETWEEN a.ROWTIME - m AND a.ROWTIME + n`. A row without a partner goes out
//! when it leaves its window.

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, Spanned, TableAlias, TableFactor, TableWithJoins, WindowSpec,
    WindowType,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::columns::{Mono, ROWTIME, Value, dotted, quote, text};
use super::dialect::KdaDialect;
use super::interval::Length;
use super::over::{Back, frame_of, reach};
use super::scope::{Known, Relation, Scope, stream_columns};
use super::select::{Block, Selects};
use super::statements::fold;
use crate::{Position, SqlError};

/// What a SELECT reads: the native FROM, and the names in it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) from: String,
    pub(super) scope: Scope,
    /// The window of its rows where they are joined.
    window: Option<Back>,
    /// The WHERE of the SELECT is in its joins already.
    pub(super) is_filtered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Self::Inner => "JOIN",
            Self::Left => "LEFT JOIN",
            Self::Right => "RIGHT JOIN",
            Self::Full => "FULL JOIN",
        }
    }
}

impl Selects<'_> {
    pub(super) fn from(&mut self, from: &[TableWithJoins], filter: Option<&Expr>) -> Result<Source, SqlError> {
        let mut source: Option<Source> = None;
        // With two relations the WHERE of an inner join is its condition too, which keeps its pairs few.
        let mut filter = filter.filter(|_| from.iter().map(|tables| 1 + tables.joins.len()).sum::<usize>() == 2);
        for tables in from {
            let first = self.factor(&tables.relation)?;
            source = Some(match source {
                None => first,
                Some(before) => self.join(before, first, Kind::Inner, &JoinConstraint::None, filter.take())?,
            });
            for Join { relation, join_operator, .. } in &tables.joins {
                let right = self.factor(relation)?;
                let (kind, constraint) = kind_of(join_operator)?;
                let Some(left) = source.take() else { continue };
                let own = if kind == Kind::Inner { filter.take() } else { None };
                source = Some(self.join(left, right, kind, constraint, own)?);
            }
        }
        source.ok_or_else(|| SqlError::new("a SELECT of a stream needs FROM"))
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<Source, SqlError> {
        let at = Position::of(factor.span());
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.named(name, alias.as_ref()),
            TableFactor::Table { name, args: Some(_), .. } if name.to_string().to_uppercase() == "STEP" => {
                let error = SqlError::new("STEP is no relation: it never stood in FROM").at(at);
                Err(error.hint("write GROUP BY STEP(s.ROWTIME BY INTERVAL '1' MINUTE)"))
            }
            TableFactor::Table { name, .. } => {
                let error = SqlError::new(format!("{name}(…) never was in FROM on Kinesis Data Analytics")).at(at);
                Err(error.hint(
                    super::functions::never_was(&name.to_string().to_uppercase())
                        .unwrap_or("write FROM TABLE(f(CURSOR(SELECT STREAM … FROM s), …))"),
                ))
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let block = self.block(subquery)?;
                let window = self.window(alias.as_ref().map(|alias| &alias.name), None)?;
                Ok(self.derived(block, alias.as_ref(), window))
            }
            TableFactor::TableFunction { expr, alias } => {
                let block = self.table_function(expr).map_err(|error| error.at(at))?;
                Ok(self.derived(block, alias.as_ref(), None))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.from(std::slice::from_ref(table_with_joins.as_ref()), None)
            }
            other => Err(SqlError::new(format!("{other} cannot be in FROM")).at(at)),
        }
    }

    /// A stream, a view or a reference table by its name.
    fn named(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Source, SqlError> {
        let at = Position::of(name.span());
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else {
            return Err(SqlError::new(format!("{name} is no name of a stream")).at(at));
        };
        let (stored, is_exact) = self.world.find(&fold(ident)).ok_or_else(|| {
            let error = SqlError::new(format!("there is no stream {ident}")).at(at);
            error.hint(format!("there are {}", self.world.names().join(", ")))
        })?;
        if !is_exact {
            let message =
                format!("{ident} is read as \"{}\": on Kinesis Data Analytics it would be no stream", stored.name);
            self.findings.warnings.push(SqlError::new(message).at(at));
        }
        let shown = alias.map_or_else(|| stored.name.clone(), |alias| fold(&alias.name));
        let window = self.window(alias.map(|alias| &alias.name), Some(ident))?;
        let columns = if stored.is_stream {
            stream_columns(&stored.columns, stored.is_input)
        } else {
            stored.columns.iter().map(|column| (column.clone(), false)).collect()
        };
        let columns =
            columns.into_iter().map(|(column, hidden)| Known { sql: dotted(&shown, &column.name), column, hidden });
        let scope = Scope {
            alias: shown.clone(),
            relations: vec![Relation { name: shown.clone(), columns: columns.collect() }],
            rowtime: stored.is_stream.then(|| dotted(&shown, ROWTIME)),
        };
        let from =
            if shown == stored.view { quote(&shown) } else { format!("{} AS {}", quote(&stored.view), quote(&shown)) };
        Ok(Source { from, scope, window, is_filtered: false })
    }

    fn derived(&mut self, block: Block, alias: Option<&TableAlias>, window: Option<Back>) -> Source {
        let name = alias.map_or_else(|| self.fresh("q"), |alias| fold(&alias.name));
        let columns = if block.is_stream {
            stream_columns(&block.columns, false)
        } else {
            block.columns.iter().map(|column| (column.clone(), false)).collect()
        };
        let columns = columns.into_iter().chain(block.hidden.iter().map(|column| (column.clone(), true)));
        let columns = columns.map(|(column, hidden)| Known { sql: dotted(&name, &column.name), column, hidden });
        let scope = Scope {
            alias: name.clone(),
            relations: vec![Relation { name: name.clone(), columns: columns.collect() }],
            rowtime: block.is_stream.then(|| dotted(&name, ROWTIME)),
        };
        Source { from: format!("({}) AS {}", block.sql, quote(&name)), scope, window, is_filtered: false }
    }

    /// The window that stands behind a relation, found by the place of its alias or its name.
    fn window(
        &mut self,
        alias: Option<&datafusion::sql::sqlparser::ast::Ident>,
        name: Option<&datafusion::sql::sqlparser::ast::Ident>,
    ) -> Result<Option<Back>, SqlError> {
        let mut places = [alias, name].into_iter().flatten();
        let Some((relation, tokens)) =
            places.find_map(|ident| Some((ident.to_string(), self.windows.get(&ident.span.start)?)))
        else {
            return Ok(None);
        };
        let tokens = tokens.clone();
        let at = tokens.first().and_then(|token| Position::of(token.span));
        let dialect = KdaDialect::default();
        let is_spec = tokens.first().is_some_and(|token| token.token == Token::LParen);
        let inner = if is_spec { tokens[1..tokens.len() - 1].to_vec() } else { tokens };
        let mut parser = Parser::new(&dialect).with_tokens_with_locations(inner);
        let over = if is_spec {
            WindowType::WindowSpec(window_spec(&mut parser).map_err(|error| error.at(at))?)
        } else {
            WindowType::NamedWindow(parser.parse_identifier()?)
        };
        let frame = frame_of(&over, &self.named_windows).map_err(|error| error.at(at))?;
        reach(&frame, &relation).map(Some).map_err(|error| error.at(at))
    }

    fn join(
        &mut self,
        left: Source,
        mut right: Source,
        kind: Kind,
        constraint: &JoinConstraint,
        filter: Option<&Expr>,
    ) -> Result<Source, SqlError> {
        let mut conditions = Vec::new();
        let shared: Vec<String> = match constraint {
            JoinConstraint::Using(names) => {
                names.iter().filter_map(|name| name.0.last().and_then(|part| part.as_ident()).map(fold)).collect()
            }
            JoinConstraint::Natural => {
                let names = |scope: &Scope| -> Vec<String> {
                    scope.relations.iter().flat_map(Relation::visible).map(|known| known.column.name.clone()).collect()
                };
                let others = names(&right.scope);
                names(&left.scope).into_iter().filter(|name| others.contains(name)).collect()
            }
            JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
        };
        for name in &shared {
            let find = |scope: &Scope| {
                let mut columns = scope.relations.iter().flat_map(Relation::visible);
                columns.find(|known| known.column.name == *name).map(|known| known.sql.clone())
            };
            match (find(&left.scope), find(&right.scope)) {
                (Some(l), Some(r)) => conditions.push(format!("{l} = {r}")),
                _ => return Err(SqlError::new(format!("USING names {name}, which is not a column of both sides"))),
            }
            // It is one column from here on: the left one.
            for relation in &mut right.scope.relations {
                relation.columns.retain(|known| known.column.name != *name);
            }
        }
        let rowtimes = (left.scope.rowtime.clone(), right.scope.rowtime.clone());
        let both = Scope {
            alias: String::new(),
            relations: left.scope.relations.iter().chain(&right.scope.relations).cloned().collect(),
            rowtime: rowtimes.0.clone().or(rowtimes.1.clone()),
        };
        let own = match constraint {
            JoinConstraint::On(on) => Some(on),
            _ => None,
        };
        for condition in own.into_iter().chain(filter) {
            conditions.push(format!("({})", self.value(&both, condition)?.sql));
        }
        let none = Back::Time(Length::Millis(0));
        let windows = [left.window.unwrap_or(none), right.window.unwrap_or(none)];
        if let (Some(l), Some(r)) = (&rowtimes.0, &rowtimes.1)
            && windows.iter().any(|window| matches!(window, Back::Rows(_)))
        {
            if kind != Kind::Inner {
                let error =
                    SqlError::new("an outer join whose windows count ROWS never knows that a partner will not come");
                return Err(error.hint("write RANGE INTERVAL '1' MINUTE PRECEDING"));
            }
            let rowtimes = [l.clone(), r.clone()];
            return self.pairs([&left, &right], windows, &rowtimes, &conditions, filter.is_some());
        }
        let length = |window: Back| match window {
            Back::Time(length) => length,
            Back::Rows(_) => Length::Millis(0),
        };
        let (own, other) = (length(windows[0]), length(windows[1]));
        let mut times: Vec<String> = Vec::new();
        let rowtime = match (&rowtimes.0, &rowtimes.1) {
            (Some(l), Some(r)) => {
                times.push(match (own, other) {
                    (Length::Millis(0), Length::Millis(0)) => format!("{r} = {l}"),
                    _ => format!("{r} BETWEEN {} AND {}", moved(l, "-", other), moved(l, "+", own)),
                });
                Some(match kind {
                    Kind::Inner => format!("greatest({l}, {r})"),
                    _ => format!(
                        "CASE WHEN {l} IS NULL THEN {} WHEN {r} IS NULL THEN {} ELSE greatest({l}, {r}) END",
                        moved(r, "+", other),
                        moved(l, "+", own)
                    ),
                })
            }
            (Some(own), None) | (None, Some(own)) => Some(own.clone()),
            (None, None) => None,
        };
        times.extend(conditions);
        let on = if times.is_empty() { "TRUE".to_owned() } else { times.join(" AND ") };
        let alias = self.fresh("j");
        let mut columns = Vec::new();
        let mut relations = Vec::new();
        let is_later = |is_left: bool| match kind {
            // The side without a window is the one that finds the other: the pair has its time.
            Kind::Inner if is_left => own == Length::Millis(0),
            Kind::Inner => other == Length::Millis(0),
            _ => false,
        };
        let is_lookup = rowtimes.0.is_none() || rowtimes.1.is_none();
        for (is_left, relation) in
            both.relations.iter().enumerate().map(|(place, relation)| (place < left.scope.relations.len(), relation))
        {
            let mut known = Vec::new();
            for Known { column, sql, hidden } in &relation.columns {
                let name = format!("{}:{}", relation.name, column.name);
                columns.push(format!("{sql} AS {}", quote(&name)));
                let mono = column.mono.filter(|mono| *mono == Mono::Constant || is_lookup || is_later(is_left));
                // Where the pair's time is this side's, it is the time of the join.
                let is_time = mono == Some(Mono::RowTime) && column.name == ROWTIME;
                let sql = if is_time { dotted(&alias, ROWTIME) } else { dotted(&alias, &name) };
                known.push(Known { column: super::columns::Column { mono, ..column.clone() }, sql, hidden: *hidden });
            }
            relations.push(Relation { name: relation.name.clone(), columns: known });
        }
        if let Some(rowtime) = &rowtime {
            columns.push(format!("{rowtime} AS {}", quote(ROWTIME)));
        }
        let joined = format!("SELECT {} FROM {} {} {} ON {on}", columns.join(", "), left.from, kind.sql(), right.from);
        let from = if is_lookup {
            format!("({joined}) AS {}", quote(&alias))
        } else {
            format!("TABLE(in_time(({joined}), DESCRIPTOR({}))) AS {}", quote(ROWTIME), quote(&alias))
        };
        let scope = Scope { rowtime: rowtime.map(|_| dotted(&alias, ROWTIME)), alias, relations };
        Ok(Source { from, scope, window: None, is_filtered: filter.is_some() })
    }

    /// The join of two streams whose windows count rows: all pairs within them, and of those the ones that the
    /// conditions hold for.
    fn pairs(
        &mut self,
        sides: [&Source; 2],
        windows: [Back; 2],
        rowtimes: &[String; 2],
        conditions: &[String],
        is_filtered: bool,
    ) -> Result<Source, SqlError> {
        let alias = self.fresh("j");
        let mut parts = [Vec::new(), Vec::new()];
        let mut lefts = Vec::new();
        let mut relations = Vec::new();
        let mut conditions: Vec<String> = conditions.to_vec();
        for (side, source) in sides.iter().enumerate() {
            for relation in &source.scope.relations {
                let mut known = Vec::new();
                for Known { column, sql, hidden } in &relation.columns {
                    let name = format!("{}:{}", relation.name, column.name);
                    let made = dotted(&alias, &name);
                    for (part, items) in parts.iter_mut().enumerate() {
                        let value = if part == side { sql.as_str() } else { "NULL" };
                        items.push(format!("{value} AS {}", quote(&name)));
                    }
                    if side == 0 {
                        lefts.push(quote(&name));
                    }
                    for condition in &mut conditions {
                        *condition = condition.replace(sql, &made);
                    }
                    let column = super::columns::Column { mono: None, ..column.clone() };
                    known.push(Known { column, sql: made, hidden: *hidden });
                }
                relations.push(Relation { name: relation.name.clone(), columns: known });
            }
        }
        let selects = parts.iter().enumerate().map(|(side, items)| {
            let (rowtime, from) = (&rowtimes[side], &sides[side].from);
            format!("SELECT {}, {side} AS \"__side\", {rowtime} AS {} FROM {from}", items.join(", "), quote(ROWTIME))
        });
        let selects: Vec<String> = selects.collect();
        let shown = windows.map(|window| match window {
            Back::Rows(rows) => Ok(text(&format!("{rows} rows"))),
            Back::Time(Length::Millis(length)) => Ok(text(&format!("{length} ms"))),
            Back::Time(Length::Months(_)) => {
                Err(SqlError::new("a window beside one that counts rows cannot be of months").hint("write it in days"))
            }
        });
        let [left, right] = shown;
        let pairs = format!(
            "TABLE(pairs(({}), DESCRIPTOR({}), DESCRIPTOR(\"__side\"), DESCRIPTOR({}), {}, {})) AS {}",
            selects.join(" UNION ALL "),
            quote(ROWTIME),
            lefts.join(", "),
            left?,
            right?,
            quote(&alias)
        );
        let from = match conditions.as_slice() {
            [] => pairs,
            conditions => format!("(SELECT * FROM {pairs} WHERE {}) AS {}", conditions.join(" AND "), quote(&alias)),
        };
        let scope = Scope { rowtime: Some(dotted(&alias, ROWTIME)), alias, relations };
        Ok(Source { from, scope, window: None, is_filtered })
    }

    /// An expression over a scope, without OVER.
    pub(super) fn value(&mut self, scope: &Scope, expr: &Expr) -> Result<Value, SqlError> {
        self.exprs(scope).value(expr)
    }
}

fn moved(time: &str, sign: &str, by: Length) -> String {
    if by == Length::Millis(0) { time.to_owned() } else { format!("{time} {sign} {}", by.sql()) }
}

fn kind_of(operator: &JoinOperator) -> Result<(Kind, &JoinConstraint), SqlError> {
    Ok(match operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
            (Kind::Inner, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (Kind::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (Kind::Right, constraint),
        JoinOperator::FullOuter(constraint) => (Kind::Full, constraint),
        other => {
            let error = SqlError::new(format!("there is no join {other:?} on Kinesis Data Analytics"));
            return Err(error.hint("there are INNER, LEFT, RIGHT, FULL and CROSS joins"));
        }
    })
}

/// What stands between the brackets of OVER.
fn window_spec(parser: &mut Parser<'_>) -> Result<WindowSpec, SqlError> {
    use datafusion::sql::sqlparser::keywords::Keyword;
    let partition_by = if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        parser.parse_comma_separated(Parser::parse_expr)?
    } else {
        Vec::new()
    };
    let window_frame = match parser.peek_token().token {
        Token::EOF => None,
        _ => Some(parser.parse_window_frame()?),
    };
    Ok(WindowSpec { window_name: None, partition_by, order_by: Vec::new(), window_frame })
}
