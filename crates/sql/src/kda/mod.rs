//! Scripts in the dialect of Kinesis Data Analytics for SQL, put into Millstream's own SQL.
//!
//! A KDA application is a graph: the configuration makes input streams, `CREATE STREAM` names streams between, and pumps
//! copy rows from one to the next, each row with its ROWTIME. Here input streams are tables, the streams between are
//! views with a column `ROWTIME`, and what is written or shown is a query that begins at the views. The translation is
//! text to text, one native statement for each thing that exists afterwards, so that what runs can be read, kept and
//! started again without the application.
//!
//! text ([`text`]) → tokens ([`tokens`]) → statements ([`statements`]) → the graph ([`graph`]) → each SELECT
//! ([`select`], with [`scope`] for names and [`expr`] for expressions) → what its pump inserts ([`pump`]).

mod arithmetic;
mod calls;
mod columns;
mod dialect;
mod expr;
mod functions;
mod graph;
mod group;
mod interval;
mod join;
mod literal;
mod over;
mod pump;
mod scope;
mod select;
mod statements;
mod table_function;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
pub(crate) mod types;

use crate::{Position, SqlError};

pub(crate) use text::is_kda;

/// A native statement and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) sql: String,
    pub(crate) at: Option<Position>,
}

/// What a translation found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What cannot run. All of it is told at once.
    pub(crate) errors: Vec<SqlError>,
    /// What works and may surprise.
    pub(crate) warnings: Vec<SqlError>,
}

/// Puts a script into native statements, or says everything that is wrong with it, in the order of places.
pub(crate) fn translate(script: &str) -> Result<(Vec<Translated>, Vec<SqlError>), Vec<SqlError>> {
    let mut findings = Findings::default();
    let statements = statements::read(script, &mut findings);
    let translated = graph::translate(statements, &mut findings);
    let Findings { mut errors, mut warnings } = findings;
    for found in [&mut errors, &mut warnings] {
        found.sort_by_key(|error| error.at.map_or((u64::MAX, 0), |at| (at.line, at.column)));
        found.dedup();
    }
    if errors.is_empty() { Ok((translated, warnings)) } else { Err(errors) }
}

/// Several errors as one.
pub(crate) fn all_of(errors: Vec<SqlError>) -> SqlError {
    let mut errors = errors.into_iter();
    let Some(mut first) = errors.next() else { return SqlError::new("nothing is wrong") };
    let others: Vec<String> = errors
        .map(|other| {
            let at = other.at.map(|at| format!("line {}, column {}: ", at.line, at.column)).unwrap_or_default();
            let hint = other.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("\n  {at}{}{hint}", other.message)
        })
        .collect();
    if !others.is_empty() {
        let remedy = first.hint.take().map(|hint| format!(" ({hint})")).unwrap_or_default();
        first.message = format!("{}{remedy}\nand {} more:{}", first.message, others.len(), others.concat());
    }
    first
}
