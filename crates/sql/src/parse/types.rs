//! SQL types of column declarations, to Arrow. The grammar is Flink's.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::{Position, SqlError};

/// The zone of `TIMESTAMP_LTZ` columns: instants are kept in UTC.
const UTC: &str = "UTC";
/// Flink's default precision of TIMESTAMP.
const DEFAULT_TIMESTAMP_PRECISION: u64 = 6;
/// `ROW<a ROW<…>>` deeper than this is refused, so that a hostile text cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Reads a type at the parser's position.
pub(crate) fn parse_type(parser: &mut Parser<'_>) -> Result<DataType, SqlError> {
    let mut nesting = Nesting::default();
    let data_type = parse_nested(parser, &mut nesting)?;
    if nesting.closed {
        return Err(SqlError::new("a type is closed once too often: there is a > without its <")
            .at(Position::of(parser.peek_token().span)));
    }
    Ok(data_type)
}

/// Where in a nested type the reader is.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// `>>` is one token: it has closed the enclosing type, too.
    closed: bool,
}

impl Nesting {
    fn close(&mut self, parser: &mut Parser<'_>, bracket: &Token) -> bool {
        if *bracket != Token::Gt {
            return parser.consume_token(bracket);
        }
        if std::mem::take(&mut self.closed) || parser.consume_token(bracket) {
            return true;
        }
        self.closed = parser.consume_token(&Token::ShiftRight);
        self.closed
    }
}

fn parse_nested(parser: &mut Parser<'_>, nesting: &mut Nesting) -> Result<DataType, SqlError> {
    let token = parser.next_token();
    let at = Position::of(token.span);
    if nesting.depth > MAX_DEPTH {
        return Err(SqlError::new(format!("a type is nested deeper than {MAX_DEPTH} levels")).at(at));
    }
    let Token::Word(word) = &token.token else {
        return Err(SqlError::new(format!("expected a type, found {}", token.token)).at(at));
    };
    let data_type = match word.value.to_ascii_uppercase().as_str() {
        "STRING" | "TEXT" => DataType::Utf8,
        "VARCHAR" | "CHAR" | "CHARACTER" => {
            parse_numbers(parser)?;
            DataType::Utf8
        }
        "BOOLEAN" | "BOOL" => DataType::Boolean,
        "TINYINT" => DataType::Int8,
        "SMALLINT" => DataType::Int16,
        "INT" | "INTEGER" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "FLOAT" | "REAL" => DataType::Float32,
        "DOUBLE" => {
            let _ = parser.parse_keyword(Keyword::PRECISION);
            DataType::Float64
        }
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(&parse_numbers(parser)?).map_err(|error| error.at(at))?,
        "BYTES" | "VARBINARY" | "BINARY" => {
            parse_numbers(parser)?;
            DataType::Binary
        }
        "DATE" => DataType::Date32,
        // The TIME of KDA's tables, which its formats and functions have.
        "TIME_MILLIS" => DataType::Time32(TimeUnit::Millisecond),
        "TIME" => {
            parse_numbers(parser)?;
            // The type of TIME literals and of casts to TIME: others are not compared with them.
            DataType::Time64(TimeUnit::Nanosecond)
        }
        "TIMESTAMP" => {
            let precision = parse_numbers(parser)?.first().copied().unwrap_or(DEFAULT_TIMESTAMP_PRECISION);
            let zoned = parse_zone(parser)?;
            timestamp(precision, zoned).map_err(|error| error.at(at))?
        }
        "TIMESTAMP_LTZ" | "TIMESTAMPTZ" => {
            let precision = parse_numbers(parser)?.first().copied().unwrap_or(DEFAULT_TIMESTAMP_PRECISION);
            timestamp(precision, true).map_err(|error| error.at(at))?
        }
        "ROW" | "STRUCT" => {
            let fields = parse_bracketed(parser, nesting, |parser, nesting| {
                let name = parser.parse_identifier()?;
                Ok(Field::new(crate::parse::fold(&name), parse_nested(parser, nesting)?, true))
            })?;
            DataType::Struct(Fields::from(fields))
        }
        "ARRAY" => {
            let mut items = parse_bracketed(parser, nesting, parse_nested)?;
            match (items.pop(), items.is_empty()) {
                (Some(item), true) => DataType::List(Arc::new(Field::new("item", item, true))),
                _ => return Err(SqlError::new("ARRAY takes one type: ARRAY<STRING>").at(at)),
            }
        }
        "MAP" => {
            let items = parse_bracketed(parser, nesting, parse_nested)?;
            match <[DataType; 2]>::try_from(items) {
                Ok([DataType::Utf8, value]) => map(value),
                _ => return Err(SqlError::new("MAP takes a STRING key and a type: MAP<STRING, DOUBLE>").at(at)),
            }
        }
        other => {
            return Err(SqlError::new(format!("unknown type {other}")).at(at).hint(
                "known types: STRING, VARCHAR(n), BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), \
                 DATE, TIME, TIMESTAMP(p), TIMESTAMP_LTZ(p), BYTES, ROW<…>, ARRAY<…>, MAP<STRING, …>",
            ));
        }
    };
    Ok(data_type)
}

/// `(3)`, `(10, 2)` or nothing.
fn parse_numbers(parser: &mut Parser<'_>) -> Result<Vec<u64>, SqlError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let numbers = parser.parse_comma_separated(Parser::parse_literal_uint)?;
    parser.expect_token(&Token::RParen)?;
    Ok(numbers)
}

/// `WITH [LOCAL] TIME ZONE`, `WITHOUT TIME ZONE` or nothing.
fn parse_zone(parser: &mut Parser<'_>) -> Result<bool, SqlError> {
    if parser.parse_keyword(Keyword::WITHOUT) {
        parser.expect_keywords(&[Keyword::TIME, Keyword::ZONE])?;
        return Ok(false);
    }
    if !parser.parse_keyword(Keyword::WITH) {
        return Ok(false);
    }
    let _ = parser.parse_keyword(Keyword::LOCAL);
    parser.expect_keywords(&[Keyword::TIME, Keyword::ZONE])?;
    Ok(true)
}

/// `<a, b>` or `(a, b)`.
fn parse_bracketed<T>(
    parser: &mut Parser<'_>,
    nesting: &mut Nesting,
    mut item: impl FnMut(&mut Parser<'_>, &mut Nesting) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    let close = match parser.next_token() {
        token if token.token == Token::Lt => Token::Gt,
        token if token.token == Token::LParen => Token::RParen,
        token => {
            return Err(SqlError::new(format!("expected < after ROW, ARRAY or MAP, found {}", token.token))
                .at(Position::of(token.span)));
        }
    };
    let mut items = Vec::new();
    nesting.depth += 1;
    loop {
        items.push(item(parser, nesting)?);
        if nesting.close(parser, &close) {
            nesting.depth -= 1;
            return Ok(items);
        }
        parser.expect_token(&Token::Comma)?;
    }
}

/// A map with the names Arrow gives its entries.
fn map(value: DataType) -> DataType {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(Fields::from(fields)), false)), false)
}

fn decimal(numbers: &[u64]) -> Result<DataType, SqlError> {
    let precision = numbers.first().copied().unwrap_or(10);
    let scale = numbers.get(1).copied().unwrap_or(0);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if i16::from(scale) <= i16::from(precision) => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(SqlError::new(format!(
            "DECIMAL({precision}, {scale}) is out of range: precision 1 to 38, scale 0 to the precision"
        ))),
    }
}

fn timestamp(precision: u64, zoned: bool) -> Result<DataType, SqlError> {
    let unit = match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        7..=9 => TimeUnit::Nanosecond,
        _ => return Err(SqlError::new(format!("TIMESTAMP({precision}) is out of range: precision 0 to 9"))),
    };
    Ok(DataType::Timestamp(unit, zoned.then(|| UTC.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::dialect::NativeDialect;
    use millstream_core::type_name;

    #[test]
    fn nested_types_close_one_by_one() {
        let read = |text: &str| {
            let dialect = NativeDialect::default();
            let mut parser = Parser::new(&dialect).try_with_sql(text).unwrap();
            let data_type = parse_type(&mut parser).map_err(|error| error.message)?;
            if parser.peek_token().token == Token::EOF { Ok(type_name(&data_type)) } else { Err("more".to_owned()) }
        };
        for text in [
            "ARRAY<ARRAY<BIGINT>>",
            "ARRAY<ARRAY<ARRAY<BIGINT>>>",
            "ROW<a ARRAY<ROW<b INT>>, c MAP<STRING, ARRAY<ARRAY<DOUBLE>>>>",
            "MAP<STRING, DECIMAL(10, 2)>",
        ] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        for text in ["ARRAY<BIGINT>>", "ARRAY<ARRAY<BIGINT>", "ARRAY<BIGINT, INT>", "MAP<INT, INT>", "MAP<STRING>"] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
    }
}
