//! `START FROM …`: where a query begins, after WITH of a materialized view and after the columns of an INSERT.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono_tz::Tz;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Word};
use millstream_core::EventTime;

use super::settings::savepoint;
use super::{StartFrom, parse_word};
use crate::{Position, SqlError};

const FORMS: &str =
    "write START FROM CHECKPOINT, BEGINNING, LATEST, TIMESTAMP '2026-01-01 00:00:00' or SAVEPOINT 'name'";

/// Reads the clause if there is one.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Option<StartFrom>, SqlError> {
    if !is_word(&parser.peek_token().token, "START") {
        return Ok(None);
    }
    parser.next_token();
    if !parser.parse_keyword(Keyword::FROM) {
        let found = parser.peek_token();
        let error = SqlError::new(format!("expected FROM after START, found {found}"));
        return Err(error.at(Position::of(found.span)).hint(FORMS));
    }
    let word = parse_word(parser).map_err(|error| error.hint(FORMS))?;
    let start = match word.text.to_uppercase().as_str() {
        "CHECKPOINT" => StartFrom::Checkpoint,
        "BEGINNING" => StartFrom::Beginning,
        "LATEST" => StartFrom::Latest,
        "TIMESTAMP" => {
            let (text, at) = quoted(parser, "TIMESTAMP")?;
            StartFrom::At(point_in_time(&text).ok_or_else(|| {
                SqlError::new(format!("'{text}' is no point in time"))
                    .at(at)
                    .hint("write for example TIMESTAMP '2026-01-01 00:00:00', which is in UTC, or '2026-01-01 00:00:00+02:00'")
            })?)
        }
        "SAVEPOINT" => {
            let (text, at) = quoted(parser, "SAVEPOINT")?;
            StartFrom::Savepoint(savepoint(&text, at)?.text)
        }
        other => return Err(SqlError::new(format!("START FROM {other} is unknown")).at(word.at).hint(FORMS)),
    };
    let next = parser.peek_token();
    if is_word(&next.token, "START") || is_word(&next.token, "WITH") && is_options(parser) {
        let message = if is_word(&next.token, "WITH") {
            "WITH (…) stands before START FROM"
        } else {
            "START FROM is given twice"
        };
        return Err(SqlError::new(message).at(Position::of(next.span)));
    }
    Ok(Some(start))
}

/// What to say where a statement should have ended, and a START FROM follows that is not read there.
pub(super) fn misplaced(found: &Token) -> Option<&'static str> {
    is_word(found, "START")
        .then_some("START FROM … is for CREATE MATERIALIZED VIEW, before AS, and for INSERT INTO, before SELECT")
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// `WITH (` begins options; `WITH name AS (` begins a query.
fn is_options(parser: &Parser<'_>) -> bool {
    matches!(parser.peek_tokens::<2>(), [_, Token::LParen])
}

fn quoted(parser: &mut Parser<'_>, after: &str) -> Result<(String, Option<Position>), SqlError> {
    let token = parser.next_token();
    let at = Position::of(token.span);
    match token.token {
        Token::SingleQuotedString(text) => Ok((text, at)),
        other => {
            Err(SqlError::new(format!("expected a text in quotes after {after}, found {other}")).at(at).hint(FORMS))
        }
    }
}

fn point_in_time(text: &str) -> Option<EventTime> {
    string_to_datetime(&Tz::UTC, text.trim()).ok().map(|at| EventTime(at.timestamp_millis()))
}
