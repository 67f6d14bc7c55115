//! `CREATE TABLE` in Flink's grammar: physical, metadata and computed columns, a watermark, a primary key, options.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::types::parse_type;
use super::{ColumnDef, ColumnKind, CreateTable, Name, WatermarkDef, WithOption, parse_expression, parse_name};
use crate::{Position, SqlError};

/// Reads from the table's name on.
pub(super) fn parse(parser: &mut Parser<'_>, if_not_exists: bool) -> Result<CreateTable, SqlError> {
    let name = parse_name(parser)?;
    let mut table = CreateTable {
        name,
        if_not_exists,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        options: Vec::new(),
    };
    parser.expect_token(&Token::LParen)?;
    loop {
        parse_element(parser, &mut table)?;
        if parser.consume_token(&Token::RParen) {
            break;
        }
        parser.expect_token(&Token::Comma)?;
    }
    table.options = parse_with(parser)?;
    Ok(table)
}

fn parse_element(parser: &mut Parser<'_>, table: &mut CreateTable) -> Result<(), SqlError> {
    let at = Position::of(parser.peek_token().span);
    if is_watermark(parser) {
        parser.next_token();
        parser.next_token();
        let column = parse_name(parser)?;
        parser.expect_keyword(Keyword::AS)?;
        let expression = parse_expression(parser)?;
        if table.watermark.is_some() {
            return Err(SqlError::new("a table has at most one WATERMARK").at(at));
        }
        table.watermark = Some(WatermarkDef { column, expression, at });
        return Ok(());
    }
    if parser.parse_keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
        parser.expect_token(&Token::LParen)?;
        loop {
            table.primary_key.push(parse_name(parser)?);
            if parser.consume_token(&Token::RParen) {
                break;
            }
            parser.expect_token(&Token::Comma)?;
        }
        parse_not_enforced(parser)?;
        return Ok(());
    }
    let name = parse_name(parser)?;
    let kind = parse_column(parser, &name, &mut table.primary_key)?;
    table.columns.push(ColumnDef { name, kind });
    Ok(())
}

fn parse_column(parser: &mut Parser<'_>, name: &Name, primary_key: &mut Vec<Name>) -> Result<ColumnKind, SqlError> {
    if parser.parse_keyword(Keyword::AS) {
        return Ok(ColumnKind::Computed(parse_expression(parser)?));
    }
    let data_type = parse_type(parser)?;
    let mut nullable = true;
    loop {
        let next = parser.peek_token();
        let Token::Word(word) = &next.token else { break };
        match word.value.to_uppercase().as_str() {
            "METADATA" => {
                parser.next_token();
                let key = if parser.parse_keyword(Keyword::FROM) { Some(parser.parse_literal_string()?) } else { None };
                if matches!(parser.peek_token().token, Token::Word(word) if word.value.eq_ignore_ascii_case("VIRTUAL"))
                {
                    parser.next_token();
                }
                return Ok(ColumnKind::Metadata { data_type, key });
            }
            "NOT" => {
                parser.expect_keywords(&[Keyword::NOT, Keyword::NULL])?;
                nullable = false;
            }
            "NULL" => {
                parser.next_token();
            }
            "PRIMARY" => {
                parser.expect_keywords(&[Keyword::PRIMARY, Keyword::KEY])?;
                parse_not_enforced(parser)?;
                primary_key.push(name.clone());
            }
            "COMMENT" => {
                parser.next_token();
                parser.parse_literal_string()?;
            }
            _ => break,
        }
    }
    Ok(ColumnKind::Physical { data_type, nullable })
}

/// `WATERMARK FOR`: two words, so that a column may be called `watermark`.
fn is_watermark(parser: &Parser<'_>) -> bool {
    matches!(parser.peek_tokens::<2>(), [Token::Word(first), Token::Word(second)]
        if first.value.eq_ignore_ascii_case("WATERMARK") && second.keyword == Keyword::FOR)
}

fn parse_not_enforced(parser: &mut Parser<'_>) -> Result<(), SqlError> {
    if parser.parse_keyword(Keyword::NOT) {
        parser.expect_keyword(Keyword::ENFORCED)?;
    }
    Ok(())
}

/// `WITH ('key' = 'value', …)`, or nothing.
pub(super) fn parse_with(parser: &mut Parser<'_>) -> Result<Vec<WithOption>, SqlError> {
    let mut options = Vec::new();
    if !parser.parse_keyword(Keyword::WITH) {
        return Ok(options);
    }
    parser.expect_token(&Token::LParen)?;
    while !parser.consume_token(&Token::RParen) {
        if !options.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        let at = Position::of(parser.peek_token().span);
        let key = parser.parse_literal_string()?;
        parser.expect_token(&Token::Eq)?;
        let value = parser.parse_literal_string()?;
        if options.iter().any(|option: &WithOption| option.key == key) {
            return Err(SqlError::new(format!("option '{key}' is given twice")).at(at));
        }
        options.push(WithOption { key, value, at });
    }
    Ok(options)
}
