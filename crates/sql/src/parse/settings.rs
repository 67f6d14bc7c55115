//! `SET 'key' = 'value'` and `RESET 'key'`: what they say is for the statements that follow in the same script, and is
//! found here, while it is read. A script leaves no setting behind.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use millstream_core::{Duration, OptionError, OptionReader, Options};

use super::dialect::NativeDialect;
use super::{Name, StatementKind, parse_name};
use crate::{Position, SqlError};

/// Names the next INSERT.
pub(crate) const NAME: &str = "pipeline.name";
/// How often checkpoints are taken.
pub(crate) const CHECKPOINT_INTERVAL: &str = "execution.checkpointing.interval";
/// The savepoint that the next query starts from.
pub(crate) const SAVEPOINT: &str = "execution.state-recovery.path";
/// How many groups, keys or rows a query may keep; as in WITH of materialized views.
pub(crate) const MAX_GROUPS: &str = "max-groups";

/// The settings that hold for one query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InForce {
    pub name: Option<Name>,
    pub checkpoint_interval: Option<Duration>,
    pub savepoint: Option<Name>,
    pub max_groups: Option<u64>,
}

/// The settings of a script, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Settings {
    now: InForce,
    /// The index of the statement that set a key which no query has used yet.
    unused: Vec<(&'static str, usize)>,
}

impl Settings {
    /// Goes past a statement; answers what is in force for it.
    pub(super) fn pass(
        &mut self,
        kind: &StatementKind,
        index: usize,
        at: Option<Position>,
    ) -> Result<InForce, SqlError> {
        match kind {
            StatementKind::Set { key, value } => {
                let key = known(key, value.as_deref()).map_err(|error| error.at(at))?;
                self.unused.retain(|(unused, _)| *unused != key);
                self.now.set(key, value.as_deref(), at).map_err(|error| error.at(at))?;
                if value.is_some() {
                    self.unused.push((key, index));
                }
                Ok(InForce::default())
            }
            StatementKind::Insert { .. } => {
                self.unused.clear();
                Ok(InForce { name: self.now.name.take(), savepoint: self.now.savepoint.take(), ..self.now.clone() })
            }
            StatementKind::CreateMaterializedView(_) => {
                self.unused.retain(|(key, _)| *key == NAME);
                Ok(InForce { name: None, savepoint: self.now.savepoint.take(), ..self.now.clone() })
            }
            _ => Ok(InForce::default()),
        }
    }

    /// What was set and means nothing, because no query follows: with the index of its statement.
    pub(super) fn idle(self) -> Option<(usize, SqlError)> {
        let (key, index) = self.unused.into_iter().next()?;
        let what = if key == NAME { "no INSERT" } else { "no INSERT and no CREATE MATERIALIZED VIEW" };
        let error = SqlError::new(format!("SET '{key}' has no effect: {what} follows in this script"));
        Some((index, error.hint("settings live for one script: send it together with the query, and before it")))
    }
}

impl InForce {
    fn set(&mut self, key: &'static str, value: Option<&str>, at: Option<Position>) -> Result<(), SqlError> {
        let options: Options = value.map(|value| (key, value)).into_iter().collect();
        let read = |error: OptionError| SqlError::new(format!("setting '{key}': {}", error.message));
        match key {
            NAME => self.name = value.map(|value| query_name(value, at)).transpose()?,
            CHECKPOINT_INTERVAL => {
                self.checkpoint_interval = checkpoint_interval(&options.reader(), key).map_err(read)?;
            }
            MAX_GROUPS => self.max_groups = max_groups(&options.reader(), key).map_err(read)?,
            _ => self.savepoint = value.map(|value| savepoint(value, at)).transpose()?,
        }
        Ok(())
    }
}

/// The key as it is known, or an error that names the nearest one.
fn known(key: &str, value: Option<&str>) -> Result<&'static str, SqlError> {
    const KEYS: [&str; 4] = [NAME, CHECKPOINT_INTERVAL, SAVEPOINT, MAX_GROUPS];
    if let Some(known) = KEYS.into_iter().find(|known| *known == key) {
        return Ok(known);
    }
    let options: Options = [(key, value.unwrap_or_default())].into_iter().collect();
    let reader = options.reader();
    for key in KEYS {
        let _ = reader.get(key);
    }
    let message = reader.finish().err().map_or_else(|| "is unknown".to_owned(), |error| error.message);
    let hint = "options of tables and materialized views are given in their WITH (…)";
    Err(SqlError::new(format!("setting '{key}' {}", message.replace("option", "setting"))).hint(hint))
}

/// How often checkpoints are to be taken: an option of materialized views, too.
pub(crate) fn checkpoint_interval(options: &OptionReader<'_>, key: &str) -> Result<Option<Duration>, OptionError> {
    match options.duration(key)? {
        Some(Duration(..=0)) => Err(OptionError::new(key, "must be longer than 0 s")),
        interval => Ok(interval),
    }
}

/// How much state there may be: an option of materialized views, too.
pub(crate) fn max_groups(options: &OptionReader<'_>, key: &str) -> Result<Option<u64>, OptionError> {
    match options.parse(key, "a number of groups")? {
        Some(0) => Err(OptionError::new(key, "must be at least 1")),
        most => Ok(most),
    }
}

/// The name or location of a savepoint.
pub(super) fn savepoint(text: &str, at: Option<Position>) -> Result<Name, SqlError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SqlError::new("a savepoint is given by its name or location, and this is empty").at(at));
    }
    Ok(Name { text: text.to_owned(), at })
}

/// A name as it is written in SQL: it folds to lower case, unless it stands in `"…"`.
fn query_name(text: &str, at: Option<Position>) -> Result<Name, SqlError> {
    let wrong = || {
        let hint = "write a name as of a table: letters, digits and _; any other in double quotes, '\"…\"'";
        SqlError::new(format!("setting '{NAME}': `{text}` is no name")).hint(hint).at(at)
    };
    let dialect = NativeDialect::default();
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|_| wrong())?;
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let name = parse_name(&mut parser).map_err(|_| wrong())?;
    if parser.next_token().token != Token::EOF || name.text.is_empty() {
        return Err(wrong());
    }
    Ok(Name { at, ..name })
}

/// `SET 'key' = 'value'`, such that it is read as what it was.
pub(crate) fn set_statement(key: &str, value: &str) -> String {
    format!("SET '{key}' = '{}'", value.replace('\'', "''"))
}

/// `RESET 'key'`.
pub(crate) fn reset_statement(key: &str) -> String {
    format!("RESET '{key}'")
}

/// A name as [`set_statement`] takes it.
pub(crate) fn written(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}
