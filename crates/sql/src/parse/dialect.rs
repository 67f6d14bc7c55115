//! Millstream's SQL as a dialect of sqlparser: the generic one, with `TABLE t` as an argument of window functions.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The native dialect.
#[derive(Debug, Default)]
pub(crate) struct NativeDialect {
    generic: GenericDialect,
}

/// Forwards yes-or-no questions to the generic dialect.
macro_rules! as_generic {
    ($($question:ident),+ $(,)?) => { $(fn $question(&self) -> bool { self.generic.$question() })+ };
}

impl Dialect for NativeDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.generic.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.generic.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.generic.is_identifier_part(ch)
    }

    as_generic!(
        supports_unicode_string_literal,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        supports_window_clause_named_window_reference,
        supports_select_wildcard_except,
        support_map_literal_syntax,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_limit_comma,
        supports_try_convert,
        supports_bitwise_shift_operators,
        supports_struct_literal,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_array_typedef_with_brackets,
        supports_filter_during_aggregation,
        supports_select_wildcard_exclude,
        supports_interval_options,
        supports_select_wildcard_replace,
        supports_select_wildcard_rename,
        supports_comma_separated_trim,
    );

    /// `FOR SYSTEM_TIME AS OF` must parse, so that it can be refused in words instead of ignored.
    fn supports_table_versioning(&self) -> bool {
        true
    }

    /// `a ->> 'b' = 'c'` compares, as in Postgres: JSON operators bind before comparisons.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Arrow | Token::LongArrow => Some(Ok(self.prec_value(Precedence::Ampersand))),
            _ => None,
        }
    }

    /// `TABLE events` where an expression is expected: `TUMBLE(TABLE events, …)` reads the whole table.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let [first, second] = parser.peek_tokens::<2>();
        let (Token::Word(table), Token::Word(_)) = (first, second) else { return None };
        if table.keyword != Keyword::TABLE {
            return None;
        }
        parser.next_token();
        Some(parse_table(parser))
    }
}

/// What follows `TABLE`: a name, and for sessions `PARTITION BY k` or `PARTITION BY (k, l)`. The keys are kept as the
/// CLUSTER BY of the subquery, a clause that nothing else here has.
fn parse_table(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let name = parser.parse_object_name(false)?;
    let mut table = table_as_subquery(&name.to_string())?;
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        let mut keys = Vec::new();
        if parser.consume_token(&Token::LParen) {
            keys = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
        } else {
            // The list ends where the next argument begins: a comma alone does not tell.
            loop {
                keys.push(parser.parse_expr()?);
                let [comma, next, then] = parser.peek_tokens::<3>();
                let begins_argument = matches!(&next, Token::Word(word) if word.value.eq_ignore_ascii_case("DESCRIPTOR"))
                    || then == Token::RArrow;
                if comma != Token::Comma || begins_argument {
                    break;
                }
                parser.next_token();
            }
        }
        if let Expr::Subquery(query) = &mut table
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            select.cluster_by = keys;
        }
    }
    Ok(table)
}

/// `(SELECT * FROM name)`: the form in which a relation fits where an expression is expected.
fn table_as_subquery(name: &str) -> Result<Expr, ParserError> {
    let dialect = NativeDialect::default();
    let tokens = Tokenizer::new(&dialect, &format!("SELECT * FROM {name}")).tokenize()?;
    match Parser::new(&dialect).with_tokens(tokens).parse_statement()? {
        Statement::Query(query) if matches!(*query.body, SetExpr::Select(_)) => Ok(Expr::Subquery(query)),
        other => Err(ParserError::ParserError(format!("expected a table name after TABLE, found {other}"))),
    }
}
