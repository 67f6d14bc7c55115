//! Text to statements. Expressions and queries are sqlparser's; the statements around them are read here, because
//! their grammar is Flink's.

mod calls;
mod create_function;
mod create_table;
mod dialect;
mod floor;
mod members;
mod pattern;
pub(crate) mod settings;
mod start_from;
mod statement;
mod types;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use crate::{Position, SqlError, Warning, kda};
use dialect::NativeDialect;
use settings::{InForce, Settings};

pub(crate) use statement::{
    ColumnDef, ColumnKind, CreateFunction, CreateMaterializedView, CreateTable, DropKind, Name, Parameter,
    StatementKind, WatermarkDef, WithOption,
};
pub use statement::{QueryAction, ShowKind, StartFrom, Statement};

/// A script longer than this is refused; KDA allowed 100 KB of SQL.
const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// What a file's name may have on any system, and room for a suffix.
const MAX_SAVEPOINT_NAME_BYTES: usize = 200;

/// A statement that could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub error: SqlError,
    /// What it would have created, if that much could be read.
    pub creates: Option<String>,
}

/// Reads a script: statements separated by semicolons, the last one's optional.
pub fn parse(script: &str) -> Result<Vec<Statement>, SqlError> {
    let mut errors = Vec::new();
    let mut statements = Vec::new();
    for statement in parse_each(script)? {
        match statement {
            Ok(statement) => statements.push(statement),
            Err(Unreadable { error, .. }) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(statements);
    }
    // What is unavailable of an application is told at once, not one at each attempt.
    if !kda::is_kda(script) {
        errors.truncate(1);
    }
    Err(kda::all_of(errors))
}

/// Reads a script, statement by statement: one that cannot be read does not keep the others from it. A script in KDA's
/// dialect is read as a whole, and comes as the native statements that do the same.
pub fn parse_each(script: &str) -> Result<Vec<Result<Statement, Unreadable>>, SqlError> {
    if script.len() > MAX_SCRIPT_BYTES {
        return Err(SqlError::new(format!("the script has {} bytes, the limit is {MAX_SCRIPT_BYTES}", script.len())));
    }
    if !kda::is_kda(script) {
        return parse_native(script);
    }
    let (translated, warnings) = match kda::translate(script) {
        Ok(translated) => translated,
        Err(errors) => {
            let unreadable = |error| Err(Unreadable { error, creates: None });
            return Ok(errors.into_iter().map(unreadable).collect());
        }
    };
    let native: Vec<&str> = translated.iter().map(|translated| translated.sql.as_str()).collect();
    let mut statements = parse_native(&native.join(";\n"))?;
    for (statement, kda::Translated { at, .. }) in statements.iter_mut().zip(&translated) {
        match statement {
            Ok(statement) => statement.at = *at,
            Err(unreadable) => unreadable.error.at = *at,
        }
    }
    if let Some(Ok(first)) = statements.first_mut() {
        first.warnings =
            warnings.into_iter().map(|SqlError { message, at, .. }| Warning { code: "W3", message, at }).collect();
    }
    Ok(statements)
}

fn parse_native(script: &str) -> Result<Vec<Result<Statement, Unreadable>>, SqlError> {
    let dialect = NativeDialect::default();
    let tokens = Tokenizer::new(&dialect, script)
        .tokenize_with_location()
        .map_err(|error| SqlError::new(error.message).at(Position::of_location(error.location)))?;
    let lines = Lines::of(script);
    let mut settings = Settings::default();
    let statements = split(tokens).into_iter().enumerate().map(|(index, tokens)| {
        let creates = created_name(&dialect, &tokens);
        let statement = parse_one(&dialect, tokens, &lines).and_then(|statement| {
            Ok(Statement { settings: settings.pass(&statement.kind, index, statement.at)?, ..statement })
        });
        statement.map_err(|error| Unreadable { error, creates })
    });
    let mut statements: Vec<_> = statements.collect();
    // What cannot be read may be the query that a setting is for.
    if statements.iter().all(Result::is_ok)
        && let Some((index, error)) = settings.idle()
    {
        let at = statements[index].as_ref().ok().and_then(|statement| statement.at);
        statements[index] = Err(Unreadable { error: error.at(at), creates: None });
    }
    Ok(statements)
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
        let error = SqlError::new(format!("expected the end of the statement or `;`, found {}", rest.token))
            .at(Position::of(rest.span));
        return Err(match start_from::misplaced(&rest.token) {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    Ok(Statement { kind, text, at, settings: InForce::default(), warnings: Vec::new() })
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
        "RESET" => Ok(StatementKind::Set { key: parse_key(parser)?, value: None }),
        "ALTER" => {
            expect_words(parser, &["QUERY"])?;
            let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
            let name = parse_name(parser)?;
            let word = parse_word(parser)?;
            let action = match word.text.to_uppercase().as_str() {
                "PAUSE" => QueryAction::Pause,
                "RESUME" => QueryAction::Resume,
                "SAVEPOINT" => QueryAction::Savepoint(parse_savepoint_name(parser)?),
                other => {
                    return Err(SqlError::new(format!("ALTER QUERY … {other} is unknown"))
                        .at(word.at)
                        .hint("there are PAUSE, RESUME and SAVEPOINT 'name'"));
                }
            };
            Ok(StatementKind::AlterQuery { name, action, if_exists })
        }
        other => {
            Err(SqlError::new(format!("a statement cannot start with {other}")).at(Position::of(first.span)).hint(
                "statements start with CREATE, INSERT INTO, SELECT, DROP, SHOW, DESCRIBE, EXPLAIN, SET, RESET or ALTER QUERY",
            ))
        }
    }
}

fn parse_query(parser: &mut Parser<'_>) -> Result<Box<Query>, SqlError> {
    let mut query = parser.parse_query()?;
    members::rewrite(query.as_mut());
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
            refuse_start_from_of_view(parser)?;
            parser.expect_keyword(Keyword::AS)?;
            Ok(StatementKind::CreateView { name, query: parse_query(parser)?, or_replace, if_not_exists })
        }
        "MATERIALIZED" => {
            expect_words(parser, &["VIEW"])?;
            let if_not_exists = parse_if_not_exists(parser);
            if or_replace && if_not_exists {
                let error = SqlError::new("OR REPLACE and IF NOT EXISTS exclude each other").at(word.at);
                return Err(error.hint("leave one of them out"));
            }
            let name = parse_name(parser)?;
            let options = create_table::parse_with(parser)?;
            let start = start_from::parse(parser)?;
            parser.expect_keyword(Keyword::AS)?;
            let query = parse_query(parser)?;
            let view = CreateMaterializedView { name, options, start, query, or_replace, if_not_exists };
            Ok(StatementKind::CreateMaterializedView(view))
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
    let start = start_from::parse(parser)?;
    Ok(StatementKind::Insert { table, columns, start, query: parse_query(parser)? })
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
    let key = parse_key(parser)?;
    parser.expect_token(&Token::Eq)?;
    let token = parser.next_token();
    let value = match token.token {
        Token::SingleQuotedString(text) => text,
        Token::EOF => {
            let error = SqlError::new(format!("SET '{key}' = … has no value")).at(Position::of(token.span));
            return Err(error.hint(format!("write SET '{key}' = '…', or RESET '{key}'")));
        }
        other => other.to_string(),
    };
    Ok(StatementKind::Set { key, value: Some(value) })
}

/// The key of a setting, in quotes or without.
fn parse_key(parser: &mut Parser<'_>) -> Result<String, SqlError> {
    Ok(match parser.peek_token().token {
        Token::SingleQuotedString(_) => parser.parse_literal_string()?,
        _ => parser.parse_object_name(false)?.to_string(),
    })
}

/// What a savepoint is called: it becomes part of a path.
fn parse_savepoint_name(parser: &mut Parser<'_>) -> Result<String, SqlError> {
    let token = parser.next_token();
    let hint = "write ALTER QUERY q SAVEPOINT 'before-release', with letters, digits, `_`, `-` and `.`";
    let wrong = |message: String| Err(SqlError::new(message).at(Position::of(token.span)).hint(hint));
    let name = match &token.token {
        Token::SingleQuotedString(name) => name,
        other => return wrong(format!("expected the name of the savepoint in quotes, found {other}")),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return wrong(format!("'{name}' is no name of a savepoint"));
    }
    if name.len() > MAX_SAVEPOINT_NAME_BYTES {
        return wrong(format!("the name has {} letters, the limit is {MAX_SAVEPOINT_NAME_BYTES}", name.len()));
    }
    Ok(name.clone())
}

fn refuse_start_from_of_view(parser: &mut Parser<'_>) -> Result<(), SqlError> {
    let at = Position::of(parser.peek_token().span);
    match start_from::parse(parser)? {
        None => Ok(()),
        Some(_) => Err(SqlError::new("a view does not run, so it starts nowhere")
            .at(at)
            .hint("START FROM … is for CREATE MATERIALIZED VIEW and INSERT INTO")),
    }
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
