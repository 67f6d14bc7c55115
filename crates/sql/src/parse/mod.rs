//! Text to statements. Expressions and queries are sqlparser's; the statements around them are read here, because
//! their grammar is Flink's.

mod calls;
mod create_function;
mod create_table;
mod dialect;
mod floor;
mod pattern;
mod statement;
mod types;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use crate::{Position, SqlError};
use dialect::NativeDialect;

pub(crate) use statement::{
    ColumnDef, ColumnKind, CreateFunction, CreateTable, DropKind, Name, Parameter, StatementKind, WatermarkDef,
    WithOption,
};
pub use statement::{QueryAction, ShowKind, Statement};

/// A script longer than this is refused; KDA allowed 100 KB of SQL.
const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// A statement that could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub error: SqlError,
    /// What it would have created, if that much could be read.
    pub creates: Option<String>,
}

/// Reads a script: statements separated by semicolons, the last one's optional.
pub fn parse(script: &str) -> Result<Vec<Statement>, SqlError> {
    parse_each(script)?.into_iter().map(|statement| statement.map_err(|unreadable| unreadable.error)).collect()
}

/// Reads a script, statement by statement: one that cannot be read does not keep the others from it.
pub fn parse_each(script: &str) -> Result<Vec<Result<Statement, Unreadable>>, SqlError> {
    if script.len() > MAX_SCRIPT_BYTES {
        return Err(SqlError::new(format!("the script has {} bytes, the limit is {MAX_SCRIPT_BYTES}", script.len())));
    }
    let dialect = NativeDialect::default();
    let tokens = Tokenizer::new(&dialect, script)
        .tokenize_with_location()
        .map_err(|error| SqlError::new(error.message).at(Position::of_location(error.location)))?;
    let lines = Lines::of(script);
    let statements = split(tokens).into_iter().map(|tokens| {
        let creates = created_name(&dialect, &tokens);
        parse_one(&dialect, tokens, &lines).map_err(|error| Unreadable { error, creates })
    });
    Ok(statements.collect())
}

/// The name after `CREATE TABLE`, `CREATE VIEW` or `CREATE MATERIALIZED VIEW`.
fn created_name(dialect: &NativeDialect, tokens: &[TokenWithSpan]) -> Option<String> {
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.to_vec());
    if !parser.parse_keyword(Keyword::CREATE) {
        return None;
    }
    let _ = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    let _ = parser.parse_keyword(Keyword::TEMPORARY);
    let _ = parser.parse_keyword(Keyword::MATERIALIZED);
    parser.parse_one_of_keywords(&[Keyword::TABLE, Keyword::VIEW])?;
    parse_if_not_exists(&mut parser);
    parse_name(&mut parser).ok().map(|name| name.text)
}

/// An identifier as the catalog knows it: unquoted ones fold to lower case.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The byte offsets at which lines start, to cut a statement's text out of its script.
struct Lines<'a> {
    script: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(script: &'a str) -> Self {
        let starts = std::iter::once(0).chain(script.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { script, starts }
    }

    fn offset(&self, line: u64, column: u64) -> usize {
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let start = self.starts.get(index(line).saturating_sub(1)).copied().unwrap_or(self.script.len());
        let rest = &self.script[start..];
        let within = rest.char_indices().nth(index(column).saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        start + within
    }

    fn cut(&self, tokens: &[TokenWithSpan]) -> &'a str {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return "" };
        let from = self.offset(first.span.start.line, first.span.start.column);
        let to = self.offset(last.span.end.line, last.span.end.column);
        self.script.get(from..to).unwrap_or("").trim()
    }
}

/// Cuts the tokens at semicolons; `BEGIN STATEMENT SET; … END` is only a bracket around its statements.
fn split(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let mut statements = vec![Vec::new()];
    for token in tokens {
        match (&token.token, statements.last_mut()) {
            (Token::SemiColon, _) => statements.push(Vec::new()),
            (Token::Whitespace(_), Some(current)) if current.is_empty() => {}
            (_, Some(current)) => current.push(token),
            (_, None) => {}
        }
    }
    for statement in &mut statements {
        while statement.last().is_some_and(|token| matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
            statement.pop();
        }
    }
    statements.retain(|statement| !statement.is_empty() && !is_statement_set_bracket(statement));
    statements
}

fn is_statement_set_bracket(tokens: &[TokenWithSpan]) -> bool {
    let words: Vec<String> = (tokens.iter())
        .filter_map(|token| match &token.token {
            Token::Word(word) => Some(word.value.to_uppercase()),
            Token::Whitespace(_) => None,
            _ => Some(String::new()),
        })
        .take(4)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words[..], ["BEGIN" | "EXECUTE", "STATEMENT", "SET"] | ["END"])
}

fn parse_one(dialect: &NativeDialect, tokens: Vec<TokenWithSpan>, lines: &Lines<'_>) -> Result<Statement, SqlError> {
    let text = lines.cut(&tokens).to_owned();
    let at = tokens.first().and_then(|token| Position::of(token.span));
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens);
    let kind = parse_kind(&mut parser).map_err(|error| error.at(at))?;
    let rest = parser.next_token();
    if rest.token != Token::EOF {
        return Err(SqlError::new(format!("expected the end of the statement or `;`, found {}", rest.token))
            .at(Position::of(rest.span)));
    }
    Ok(Statement { kind, text, at })
}

fn parse_kind(parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let first = parser.peek_token();
    let Token::Word(Word { keyword, value, .. }) = &first.token else {
        return Ok(StatementKind::Select(parse_query(parser)?));
    };
    match keyword {
        Keyword::SELECT | Keyword::WITH | Keyword::VALUES => return Ok(StatementKind::Select(parse_query(parser)?)),
        Keyword::EXPLAIN => {
            parser.next_token();
            return Ok(StatementKind::Explain(parse_query(parser)?));
        }
        _ => {}
    }
    parser.next_token();
    match value.to_uppercase().as_str() {
        "CREATE" => parse_create(parser),
        "INSERT" => parse_insert(parser),
        "DROP" => parse_drop(parser),
        "SHOW" => {
            let word = parse_word(parser)?;
            match word.text.to_uppercase().as_str() {
                "TABLES" => Ok(StatementKind::Show(ShowKind::Tables)),
                "QUERIES" => Ok(StatementKind::Show(ShowKind::Queries)),
                "STREAMS" => Ok(StatementKind::Show(ShowKind::Streams)),
                "FUNCTIONS" => Ok(StatementKind::ShowFunctions),
                other => Err(SqlError::new(format!("SHOW {other} is unknown"))
                    .at(word.at)
                    .hint("there are SHOW TABLES, SHOW QUERIES, SHOW STREAMS and SHOW FUNCTIONS")),
            }
        }
        "DESCRIBE" | "DESC" => Ok(StatementKind::Describe(parse_name(parser)?)),
        "SET" => parse_set(parser),
        "ALTER" => {
            expect_words(parser, &["QUERY"])?;
            let name = parse_name(parser)?;
            let word = parse_word(parser)?;
            let action = match word.text.to_uppercase().as_str() {
                "PAUSE" => QueryAction::Pause,
                "RESUME" => QueryAction::Resume,
                other => {
                    return Err(SqlError::new(format!("ALTER QUERY … {other} is unknown"))
                        .at(word.at)
                        .hint("there are PAUSE and RESUME"));
                }
            };
            Ok(StatementKind::AlterQuery { name, action })
        }
        other => {
            Err(SqlError::new(format!("a statement cannot start with {other}")).at(Position::of(first.span)).hint(
                "statements start with CREATE, INSERT INTO, SELECT, DROP, SHOW, DESCRIBE, EXPLAIN, SET or ALTER QUERY",
            ))
        }
    }
}

fn parse_query(parser: &mut Parser<'_>) -> Result<Box<Query>, SqlError> {
    let mut query = parser.parse_query()?;
    floor::rewrite(query.as_mut())?;
    calls::rewrite(query.as_mut())?;
    Ok(query)
}

/// An expression outside of a query: a computed column, the body of a function.
fn parse_expression(parser: &mut Parser<'_>) -> Result<Box<Expr>, SqlError> {
    let mut expr = parser.parse_expr()?;
    floor::rewrite(&mut expr)?;
    calls::rewrite(&mut expr)?;
    Ok(Box::new(expr))
}

fn parse_create(parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let or_replace = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    let _ = parser.parse_keyword(Keyword::TEMPORARY);
    let word = parse_word(parser)?;
    match word.text.to_uppercase().as_str() {
        "TABLE" => {
            if or_replace {
                return Err(SqlError::new("CREATE OR REPLACE TABLE is not supported")
                    .at(word.at)
                    .hint("DROP TABLE first: the queries that read it have to be dropped too"));
            }
            let if_not_exists = parse_if_not_exists(parser);
            Ok(StatementKind::CreateTable(create_table::parse(parser, if_not_exists)?))
        }
        "VIEW" => {
            let if_not_exists = parse_if_not_exists(parser);
            let name = parse_name(parser)?;
            parser.expect_keyword(Keyword::AS)?;
            Ok(StatementKind::CreateView { name, query: parse_query(parser)?, or_replace, if_not_exists })
        }
        "MATERIALIZED" => {
            expect_words(parser, &["VIEW"])?;
            let if_not_exists = parse_if_not_exists(parser);
            let name = parse_name(parser)?;
            let options = create_table::parse_with(parser)?;
            parser.expect_keyword(Keyword::AS)?;
            Ok(StatementKind::CreateMaterializedView { name, options, query: parse_query(parser)?, if_not_exists })
        }
        "FUNCTION" => {
            if or_replace {
                return Err(SqlError::new("CREATE OR REPLACE FUNCTION is not supported")
                    .at(word.at)
                    .hint("DROP FUNCTION first: what uses it has to be dropped too"));
            }
            let if_not_exists = parse_if_not_exists(parser);
            Ok(StatementKind::CreateFunction(create_function::parse(parser, if_not_exists)?))
        }
        other => Err(SqlError::new(format!("CREATE {other} is unknown"))
            .at(word.at)
            .hint("there are CREATE TABLE, CREATE VIEW, CREATE MATERIALIZED VIEW and CREATE FUNCTION")),
    }
}

fn parse_insert(parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    parser.expect_keyword(Keyword::INTO)?;
    let _ = parser.parse_keyword(Keyword::TABLE);
    let table = parse_name(parser)?;
    let mut columns = Vec::new();
    // `INSERT INTO t (a, b) SELECT …`, but `INSERT INTO t (SELECT …)` is a query in brackets.
    if parser.peek_token().token == Token::LParen
        && !matches!(parser.peek_tokens::<2>()[1], Token::Word(Word { keyword: Keyword::SELECT | Keyword::WITH, .. }))
    {
        parser.next_token();
        loop {
            columns.push(parse_name(parser)?);
            if parser.consume_token(&Token::RParen) {
                break;
            }
            parser.expect_token(&Token::Comma)?;
        }
    }
    Ok(StatementKind::Insert { table, columns, query: parse_query(parser)? })
}

fn parse_drop(parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let word = parse_word(parser)?;
    let what = match word.text.to_uppercase().as_str() {
        "TABLE" => DropKind::Table,
        "VIEW" => DropKind::View,
        "QUERY" => DropKind::Query,
        "FUNCTION" => DropKind::Function,
        "MATERIALIZED" => {
            expect_words(parser, &["VIEW"])?;
            DropKind::MaterializedView
        }
        other => {
            return Err(SqlError::new(format!("DROP {other} is unknown"))
                .at(word.at)
                .hint("there are DROP TABLE, DROP VIEW, DROP MATERIALIZED VIEW, DROP FUNCTION and DROP QUERY"));
        }
    };
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    Ok(StatementKind::Drop { what, name: parse_name(parser)?, if_exists })
}

fn parse_set(parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let key = match parser.peek_token().token {
        Token::SingleQuotedString(_) => parser.parse_literal_string()?,
        _ => parser.parse_object_name(false)?.to_string(),
    };
    parser.expect_token(&Token::Eq)?;
    let value = match parser.next_token().token {
        Token::SingleQuotedString(text) => text,
        other => other.to_string(),
    };
    Ok(StatementKind::Set { key, value })
}

fn parse_if_not_exists(parser: &mut Parser<'_>) -> bool {
    parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
}

/// A name of the catalog; `a.b` is one name with a dot, for `millstream.queries`.
pub(crate) fn parse_name(parser: &mut Parser<'_>) -> Result<Name, SqlError> {
    let at = Position::of(parser.peek_token().span);
    let mut text = fold(&parser.parse_identifier()?);
    while parser.consume_token(&Token::Period) {
        text = format!("{text}.{}", fold(&parser.parse_identifier()?));
    }
    Ok(Name { text, at })
}

fn parse_word(parser: &mut Parser<'_>) -> Result<Name, SqlError> {
    let token = parser.next_token();
    let at = Position::of(token.span);
    match token.token {
        Token::Word(word) => Ok(Name { text: word.value, at }),
        other => Err(SqlError::new(format!("expected a word, found {other}")).at(at)),
    }
}

fn expect_words(parser: &mut Parser<'_>, words: &[&str]) -> Result<(), SqlError> {
    for expected in words {
        let word = parse_word(parser)?;
        if !word.text.eq_ignore_ascii_case(expected) {
            return Err(SqlError::new(format!("expected {expected}, found {}", word.text)).at(word.at));
        }
    }
    Ok(())
}
