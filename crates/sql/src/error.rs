//! Errors that say what is wrong, where, and what to do.

use std::fmt;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};
use millstream_core::with_type_names;

/// A statement that was refused, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The code of a refused query; `None` for errors of syntax and names.
    pub code: Option<Code>,
    /// What is wrong, lower case, with the values that are.
    pub message: String,
    /// Where, counted from 1.
    pub at: Option<Position>,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in the submitted text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// Why a query cannot run on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// GROUP BY on a stream without a window, where the result cannot be updated.
    E01,
    /// DISTINCT without a window.
    E02,
    /// An expression lost the time attribute.
    E03,
    /// The window is missing from GROUP BY.
    E04,
    /// A join of streams without a time bound.
    E05,
    /// The sides of a join have different windows.
    E06,
    /// ORDER BY or LIMIT on an unbounded stream.
    E07,
    /// An aggregate over an updating query.
    E08,
    /// A sink that cannot take updates.
    E09,
    /// The current time decides a window.
    E10,
    /// No watermark is declared.
    E11,
    /// Keys without bound and no time-to-live.
    E12,
    /// There is no streaming form of this.
    E13,
    /// It needs all shards of a stream that processes share.
    E14,
}

impl SqlError {
    /// An error without a code.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), at: None, hint: None }
    }

    /// A refusal.
    pub fn coded(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: Some(code), message: message.into(), at: None, hint: Some(hint.into()) }
    }

    /// The same error with a place, unless it has one already.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.at = self.at.or(position);
        self
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{code:?}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, " (line {line}, column {column})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

impl Position {
    /// The start of a parsed thing; `None` where the parser kept no place.
    #[must_use]
    pub fn of(span: Span) -> Option<Self> {
        Self::of_location(span.start)
    }

    pub(crate) fn of_location(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }
}

impl From<ParserError> for SqlError {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => {
                "the statement is nested too deeply; the limit is 50 levels".to_owned()
            }
        };
        // The parser has its positions in its text only: `… at Line: 3, Column: 14`.
        let Some((message, place)) = text.rsplit_once(" at Line: ") else { return Self::new(text) };
        let mut numbers = place.split(", Column: ").map(|number| number.trim().parse());
        match (numbers.next(), numbers.next()) {
            (Some(Ok(line)), Some(Ok(column))) => Self::new(message).at(Some(Position { line, column })),
            _ => Self::new(text),
        }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        if let DataFusionError::External(inner) = error.find_root()
            && let Some(own) = inner.downcast_ref::<Self>()
        {
            return own.clone();
        }
        let (at, hint) = match error.diagnostic() {
            None => (None, None),
            Some(diagnostic) => {
                let at = diagnostic.span.and_then(|span| {
                    Some(Position { line: span.start.line, column: span.start.column }).filter(|at| at.line > 0)
                });
                let remarks: Vec<&str> = (diagnostic.notes.iter().map(|note| note.message.as_str()))
                    .chain(diagnostic.helps.iter().map(|help| help.message.as_str()))
                    .collect();
                (at, (!remarks.is_empty()).then(|| with_type_names(&remarks.join("; "))))
            }
        };
        let text = error.find_root().strip_backtrace();
        let message = ["Error during planning: ", "Schema error: ", "SQL error: ", "This feature is not implemented: "]
            .into_iter()
            .fold(text.as_str(), |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
        Self { code: None, message: with_type_names(&message.trim_end().replace('\n', " ")), at, hint }
    }
}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_place_is_taken_out_of_its_text() {
        let error = SqlError::from(ParserError::ParserError("Expected: ), found: ; at Line: 3, Column: 14".into()));
        assert_eq!(error.message, "Expected: ), found: ;");
        assert_eq!(error.at, Some(Position { line: 3, column: 14 }));
    }

    #[test]
    fn an_own_error_survives_a_trip_through_datafusion() {
        let own = SqlError::coded(Code::E11, "no watermark", "declare one");
        let wrapped = DataFusionError::from(own.clone()).context("somewhere");
        assert_eq!(SqlError::from(wrapped), own);
    }
}
