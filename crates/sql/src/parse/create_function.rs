//! `CREATE FUNCTION f(a DOUBLE, b DOUBLE) [RETURNS DOUBLE] RETURN a / b`: a function in SQL of scalars.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::types::parse_type;
use super::{CreateFunction, Parameter, parse_expression, parse_name};
use crate::{Position, SqlError};

/// Reads from the function's name on.
pub(super) fn parse(parser: &mut Parser<'_>, if_not_exists: bool) -> Result<CreateFunction, SqlError> {
    let name = parse_name(parser)?;
    let mut parameters: Vec<Parameter> = Vec::new();
    parser.expect_token(&Token::LParen)?;
    while !parser.consume_token(&Token::RParen) {
        if !parameters.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        let name = parse_name(parser)?;
        if parameters.iter().any(|earlier| earlier.name.text == name.text) {
            return Err(SqlError::new(format!("parameter `{}` is declared twice", name.text)).at(name.at));
        }
        parameters.push(Parameter { name, data_type: parse_type(parser)? });
    }
    let returns = if parser.parse_keyword(Keyword::RETURNS) { Some(parse_type(parser)?) } else { None };
    if !parser.parse_keyword(Keyword::RETURN) {
        let found = parser.peek_token();
        return Err(SqlError::new(format!("expected RETURN and an expression, found {found}"))
            .at(Position::of(found.span))
            .hint(
                "write CREATE FUNCTION half(a DOUBLE) RETURNS DOUBLE RETURN a / 2; there are functions in SQL only",
            ));
    }
    Ok(CreateFunction { name, if_not_exists, parameters, returns, body: parse_expression(parser)? })
}
