//! KDA's SQL as a dialect of sqlparser: the generic one, with the predicates on periods and `BETWEEN SYMMETRIC`.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The call that a predicate on periods becomes: its name, then both periods.
pub(super) const PERIOD: &str = "KDA_PERIOD";

const PREDICATES: [&str; 7] = ["CONTAINS", "OVERLAPS", "EQUALS", "PRECEDES", "SUCCEEDS", "LEADS", "LAGS"];
const PREFIXES: [&str; 2] = ["STRICTLY", "IMMEDIATELY"];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct KdaDialect {
    generic: GenericDialect,
}

impl Dialect for KdaDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.generic.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.generic.is_identifier_part(ch)
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        true
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let tokens = parser.peek_tokens::<3>();
        let starts = predicate(&tokens).is_some() || is_symmetric(&tokens);
        starts.then(|| Ok(self.prec_value(Precedence::Between)))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        let tokens = parser.peek_tokens::<3>();
        if let Some((predicate, words)) = predicate(&tokens) {
            let at = parser.peek_token().span;
            (0..words).for_each(|_| {
                parser.next_token();
            });
            let right = parser.parse_subexpr(self.prec_value(Precedence::Between));
            return Some(right.map(|right| {
                let name = Expr::Value(Value::SingleQuotedString(predicate).with_span(at));
                call(name, expr.clone(), right, at)
            }));
        }
        is_symmetric(&tokens).then(|| self.between_symmetric(parser, expr))
    }
}

impl KdaDialect {
    /// `x BETWEEN SYMMETRIC a AND b` is one of `x BETWEEN a AND b` and `x BETWEEN b AND a`.
    fn between_symmetric(&self, parser: &mut Parser<'_>, expr: &Expr) -> Result<Expr, ParserError> {
        let negated = parser.parse_keyword(Keyword::NOT);
        parser.expect_keyword(Keyword::BETWEEN)?;
        parser.next_token();
        let first = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        parser.expect_keyword(Keyword::AND)?;
        let second = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        let between = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(expr.clone()),
            negated: false,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        let either = Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(between(&first, &second)),
            op: BinaryOperator::Or,
            right: Box::new(between(&second, &first)),
        }));
        Ok(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(either) } } else { either })
    }
}

/// The predicate that the next tokens are, and how many words it has.
fn predicate(tokens: &[Token; 3]) -> Option<(String, usize)> {
    let word = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    };
    let (first, second) = (word(&tokens[0])?, word(&tokens[1]));
    if PREDICATES.contains(&first.as_str()) {
        // A period follows, or a point in time; otherwise the word is an alias.
        let is_operand = match &tokens[1] {
            Token::LParen => true,
            Token::Word(word) => word.keyword == Keyword::NoKeyword,
            _ => false,
        };
        return is_operand.then_some((first, 1));
    }
    let second = second.filter(|second| PREDICATES.contains(&second.as_str()))?;
    PREFIXES.contains(&first.as_str()).then(|| (format!("{first} {second}"), 2))
}

fn is_symmetric(tokens: &[Token; 3]) -> bool {
    let is = |token: &Token, text: &str| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(text));
    (is(&tokens[0], "BETWEEN") && is(&tokens[1], "SYMMETRIC"))
        || (is(&tokens[0], "NOT") && is(&tokens[1], "BETWEEN") && is(&tokens[2], "SYMMETRIC"))
}

fn call(name: Expr, left: Expr, right: Expr, at: datafusion::sql::sqlparser::tokenizer::Span) -> Expr {
    let args = [name, left, right].map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).into();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_span(at, PERIOD)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
