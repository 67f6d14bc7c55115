//! The statements of a KDA script: streams, pumps, functions, views, and the tables that stand for the application's
//! configuration.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::Findings;
use super::dialect::KdaDialect;
use super::text::clean;
use super::tokens::{self, Tokens};
use super::types::KdaType;
use crate::{Position, SqlError};

/// A statement and where it begins.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) at: Option<Position>,
    pub(super) kind: Kind,
    /// Windows of relations in FROM: see [`Tokens::windows`].
    pub(super) windows: HashMap<Location, Vec<TokenWithSpan>>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Table(Table),
    Stream(Stream),
    Pump(Pump),
    View {
        name: Name,
        query: Box<Query>,
    },
    Function(Function),
    /// Rows of a stream to a table of the script.
    Insert {
        into: Name,
        columns: Vec<Name>,
        query: Box<Query>,
    },
    Select(Box<Query>),
    /// What both dialects have, as it is written: SET, SHOW, DESCRIBE.
    Native(String),
}

/// A name as the dialect stores it: unquoted ones in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: Option<Position>,
}

/// A source, a reference table, or what a stream goes to.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: Name,
    /// None: it takes the rows of the stream of its name, or of the stream after LIKE.
    pub(super) columns: Vec<Declared>,
    pub(super) like: Option<Name>,
    pub(super) options: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: Name,
    pub(super) columns: Vec<Declared>,
}

/// A column with its type.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) data_type: KdaType,
    pub(super) not_null: bool,
}

#[derive(Debug)]
pub(super) struct Pump {
    pub(super) name: Name,
    pub(super) stopped: bool,
    pub(super) into: Name,
    pub(super) columns: Vec<Name>,
    pub(super) query: Box<Query>,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: Name,
    pub(super) parameters: Vec<(Name, KdaType)>,
    pub(super) returns: KdaType,
    /// NULL in, NULL out, without looking.
    pub(super) null_on_null: bool,
    pub(super) body: Box<Expr>,
}

/// Reads a script; what cannot be read is told and left out.
pub(super) fn read(script: &str, findings: &mut Findings) -> Vec<Statement> {
    let cleaned = clean(script);
    let dialect = KdaDialect::default();
    let tokens = match Tokenizer::new(&dialect, &cleaned).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            let at = Position::of_location(error.location);
            findings.errors.push(SqlError::new(error.message).at(at));
            return Vec::new();
        }
    };
    let mut statements = Vec::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        let text: String = tokens.iter().map(|token| token.token.to_string()).collect();
        let Tokens { tokens, windows } = tokens::rewrite(tokens.to_vec());
        let Some(first) = tokens.first() else { continue };
        let at = Position::of(first.span);
        if let Some((place, unit)) = tokens::divided_unit(&tokens) {
            let error = SqlError::new(format!("FLOOR(x TO {unit} / n) never was in the SQL of Kinesis Data Analytics"));
            let error = error.hint(format!("write STEP(x BY INTERVAL '5' {unit})"));
            findings.errors.push(error.at(Position::of(place.span)));
            continue;
        }
        match parse(&dialect, tokens, &text) {
            Ok(kind) => statements.push(Statement { at, kind, windows }),
            Err(error) => findings.errors.push(error.at(at)),
        }
    }
    statements
}

fn parse(dialect: &KdaDialect, tokens: Vec<TokenWithSpan>, text: &str) -> Result<Kind, SqlError> {
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens);
    let kind = Statements { parser: &mut parser }.statement(text)?;
    let rest = parser.next_token();
    match &rest.token {
        Token::EOF => Ok(kind),
        Token::Word(word) if matches!(word.keyword, Keyword::CREATE | Keyword::INSERT | Keyword::SELECT) => {
            Err(SqlError::new(format!("a `;` is missing before {}", rest.token)).at(Position::of(rest.span)))
        }
        other => Err(SqlError::new(format!("expected the end of the statement or `;`, found {other}"))
            .at(Position::of(rest.span))),
    }
}

struct Statements<'a, 'b> {
    parser: &'a mut Parser<'b>,
}

impl Statements<'_, '_> {
    fn statement(&mut self, text: &str) -> Result<Kind, SqlError> {
        let first = self.parser.peek_token();
        let word = first.token.to_string().to_uppercase();
        let at = Position::of(first.span);
        match word.as_str() {
            "CREATE" => {
                self.parser.next_token();
                self.create()
            }
            "INSERT" => {
                let (into, columns, query) = self.insert()?;
                Ok(Kind::Insert { into, columns, query })
            }
            "SELECT" | "(" => Ok(Kind::Select(self.query()?)),
            "SET" | "RESET" | "SHOW" | "DESCRIBE" => {
                while self.parser.next_token().token != Token::EOF {}
                Ok(Kind::Native(text.trim().to_owned()))
            }
            "DROP" | "ALTER" => Err(SqlError::new(format!("{word} is not for the code of an application"))
                .at(at)
                .hint("leave it out: an application's streams and pumps begin and end with it; to stop one, DROP QUERY or ALTER QUERY … PAUSE over HTTP")),
            _ => Err(SqlError::new(format!("a statement cannot start with {}", first.token))
                .at(at)
                .hint("statements are CREATE STREAM, CREATE PUMP, CREATE FUNCTION, CREATE VIEW, and CREATE TABLE for sources and outputs")),
        }
    }

    fn create(&mut self) -> Result<Kind, SqlError> {
        let _ = self.parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
        let what = self.parser.next_token();
        match what.token.to_string().to_uppercase().as_str() {
            "STREAM" => self.stream(),
            "PUMP" => self.pump(),
            "FUNCTION" => self.function(),
            "VIEW" => {
                let name = self.name()?;
                self.description()?;
                self.parser.expect_keyword(Keyword::AS)?;
                Ok(Kind::View { name, query: self.query()? })
            }
            "TABLE" => self.table(),
            other => Err(SqlError::new(format!("CREATE {other} is unknown"))
                .at(Position::of(what.span))
                .hint("there are CREATE STREAM, CREATE PUMP, CREATE FUNCTION, CREATE VIEW, and CREATE TABLE for sources and outputs")),
        }
    }

    fn stream(&mut self) -> Result<Kind, SqlError> {
        let name = self.name()?;
        let columns = self.columns()?;
        self.description()?;
        Ok(Kind::Stream(Stream { name, columns }))
    }

    fn pump(&mut self) -> Result<Kind, SqlError> {
        let name = self.name()?;
        let stopped = self.word("STOPPED");
        if !stopped {
            let _ = self.word("STARTED");
        }
        self.description()?;
        self.parser.expect_keyword(Keyword::AS)?;
        let (into, columns, query) = self.insert()?;
        Ok(Kind::Pump(Pump { name, stopped, into, columns, query }))
    }

    fn insert(&mut self) -> Result<(Name, Vec<Name>, Box<Query>), SqlError> {
        self.parser.expect_keyword(Keyword::INSERT)?;
        self.parser.expect_keyword(Keyword::INTO)?;
        let into = self.name()?;
        let mut columns = Vec::new();
        let [bracket, select] = self.parser.peek_tokens::<2>();
        if bracket == Token::LParen && !matches!(&select, Token::Word(word) if word.keyword == Keyword::SELECT) {
            self.parser.next_token();
            loop {
                columns.push(self.name()?);
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
                self.parser.expect_token(&Token::Comma)?;
            }
        }
        Ok((into, columns, self.query()?))
    }

    fn function(&mut self) -> Result<Kind, SqlError> {
        let name = self.name()?;
        self.parser.expect_token(&Token::LParen)?;
        let mut parameters = Vec::new();
        while !self.parser.consume_token(&Token::RParen) {
            if !parameters.is_empty() {
                self.parser.expect_token(&Token::Comma)?;
            }
            let parameter = self.name()?;
            parameters.push((parameter, self.data_type()?));
        }
        if !self.word("RETURNS") {
            return Err(self.expected("RETURNS and the type of the result"));
        }
        let returns = self.data_type()?;
        let mut null_on_null = false;
        loop {
            if self.word("RETURN") {
                break;
            }
            let clauses: [&[&str]; 11] = [
                &["LANGUAGE", "SQL"],
                &["NOT", "DETERMINISTIC"],
                &["DETERMINISTIC"],
                &["CONTAINS", "SQL"],
                &["READS", "SQL", "DATA"],
                &["MODIFIES", "SQL", "DATA"],
                &["READS", "SQL"],
                &["MODIFIES", "SQL"],
                &["NO", "SQL"],
                &["RETURNS", "NULL", "ON", "NULL", "INPUT"],
                &["CALLED", "ON", "NULL", "INPUT"],
            ];
            let Some(clause) = clauses.into_iter().find(|clause| self.words(clause)) else {
                return Err(self.expected("RETURN and an expression"));
            };
            null_on_null |= clause[0] == "RETURNS";
        }
        let body = Box::new(self.parser.parse_expr()?);
        Ok(Kind::Function(Function { name, parameters, returns, null_on_null, body }))
    }

    fn table(&mut self) -> Result<Kind, SqlError> {
        let _ = self.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.name()?;
        let columns = if self.parser.peek_token().token == Token::LParen { self.columns()? } else { Vec::new() };
        let mut options = Vec::new();
        if self.parser.parse_keyword(Keyword::WITH) {
            self.parser.expect_token(&Token::LParen)?;
            while !self.parser.consume_token(&Token::RParen) {
                if !options.is_empty() {
                    self.parser.expect_token(&Token::Comma)?;
                }
                let key = self.parser.parse_literal_string()?;
                self.parser.expect_token(&Token::Eq)?;
                options.push((key, self.parser.parse_literal_string()?));
            }
        }
        let like = if self.parser.parse_keyword(Keyword::LIKE) { Some(self.name()?) } else { None };
        Ok(Kind::Table(Table { name, columns, like, options }))
    }

    /// `(name type [NOT NULL], …)`.
    fn columns(&mut self) -> Result<Vec<Declared>, SqlError> {
        self.parser.expect_token(&Token::LParen)?;
        let mut columns: Vec<Declared> = Vec::new();
        loop {
            let name = self.name()?;
            if columns.iter().any(|column| column.name == name.text) {
                return Err(SqlError::new(format!("column {} is declared twice", name.text)).at(name.at));
            }
            let data_type = self.data_type()?;
            let not_null = self.words(&["NOT", "NULL"]);
            if !not_null {
                let _ = self.word("NULL");
            }
            self.description()?;
            columns.push(Declared { name: name.text, data_type, not_null });
            if self.parser.consume_token(&Token::RParen) {
                return Ok(columns);
            }
            self.parser.expect_token(&Token::Comma)?;
        }
    }

    fn data_type(&mut self) -> Result<KdaType, SqlError> {
        let at = Position::of(self.parser.peek_token().span);
        let data_type = self.parser.parse_data_type()?;
        KdaType::parse(&data_type.to_string()).map_err(|error| error.at(at))
    }

    fn description(&mut self) -> Result<(), SqlError> {
        if self.word("DESCRIPTION") {
            self.parser.parse_literal_string()?;
        }
        Ok(())
    }

    fn query(&mut self) -> Result<Box<Query>, SqlError> {
        Ok(self.parser.parse_query()?)
    }

    fn name(&mut self) -> Result<Name, SqlError> {
        let at = Position::of(self.parser.peek_token().span);
        let ident = self.parser.parse_identifier()?;
        Ok(Name { text: fold(&ident), at })
    }

    /// Takes the word, if it comes next.
    fn word(&mut self, text: &str) -> bool {
        self.words(&[text])
    }

    fn words(&mut self, texts: &[&str]) -> bool {
        let next = self.parser.peek_tokens::<5>();
        let found = texts.iter().zip(&next).all(|(text, token)| {
            matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
        });
        if found {
            for _ in texts {
                self.parser.next_token();
            }
        }
        found
    }

    fn expected(&mut self, what: &str) -> SqlError {
        let found = self.parser.peek_token();
        let error: ParserError = ParserError::ParserError(format!("expected {what}, found {}", found.token));
        SqlError::from(error).at(Position::of(found.span))
    }
}

/// An identifier as the dialect stores it.
pub(super) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_uppercase() }
}
