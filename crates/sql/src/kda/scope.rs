//! What the names in a SELECT mean: relations of its FROM by alias, their columns by name.
//!
//! Names are matched as they are stored. Unquoted ones are stored in upper case; many applications read columns that
//! their configuration spells otherwise, so a name that matches nothing is looked for without regard to case, with a
//! warning.

use datafusion::sql::sqlparser::ast::Ident;

use super::Findings;
use super::columns::{Class, Column, ENVELOPE, Mono, ROWTIME, Value, text};
use super::statements::fold;
use super::types::KdaType;
use crate::{Position, SqlError};

/// The relations of a FROM, behind one alias of the native query.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The native alias of the whole input.
    pub(super) alias: String,
    pub(super) relations: Vec<Relation>,
    /// The native expression of the rows' ROWTIME; `None`: no stream is read.
    pub(super) rowtime: Option<String>,
}

/// One relation.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) name: String,
    /// Visible columns first.
    pub(super) columns: Vec<Known>,
}

/// A column and how the native query calls it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) column: Column,
    pub(super) sql: String,
    pub(super) hidden: bool,
}

impl Relation {
    pub(super) fn visible(&self) -> impl Iterator<Item = &Known> {
        self.columns.iter().filter(|known| !known.hidden)
    }
}

impl Known {
    pub(super) fn value(&self) -> Value {
        Value {
            sql: self.sql.clone(),
            class: self.column.class,
            declared: self.column.declared,
            mono: self.column.mono,
        }
    }
}

/// Whether a name is `ROWTIME`, quoted or not.
pub(super) fn is_rowtime(ident: &Ident) -> bool {
    fold(ident) == ROWTIME || (ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case(ROWTIME))
}

impl Scope {
    /// What a name with these parts is: a column, a relation's column, or a member of a record.
    pub(super) fn resolve(&self, parts: &[Ident], findings: &mut Findings) -> Result<Value, SqlError> {
        let Some(first) = parts.first() else { return Err(SqlError::new("an empty name")) };
        let at = Position::of(first.span);
        let found = match parts {
            [column] => self.column(column, findings),
            [relation, column] => match self.relation(relation) {
                Some(relation) => Ok(column_of(relation, column, findings)),
                None => self.column(relation, findings).map(|record| record.map(|record| member(&record, column))),
            },
            [relation, record, column] => match self.relation(relation) {
                Some(relation) => Ok(column_of(relation, record, findings).map(|record| member(&record, column))),
                None => Ok(None),
            },
            _ => Ok(None),
        };
        if let Some(value) = found.map_err(|error| error.at(at))? {
            return Ok(value);
        }
        let name = parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        let error = SqlError::new(format!("there is no column {name}")).at(at);
        Err(if parts.len() > 1 && self.relation(first).is_none() {
            let names: Vec<&str> = self.relations.iter().map(|relation| relation.name.as_str()).collect();
            error.hint(format!("FROM has {}", names.join(", ")))
        } else {
            let columns = self.relations.iter().flat_map(Relation::visible);
            let names: Vec<&str> = columns.map(|known| known.column.name.as_str()).collect();
            error.hint(format!("there are {}, and the hidden ROWTIME", names.join(", ")))
        })
    }

    /// The relation of this alias.
    pub(super) fn relation(&self, name: &Ident) -> Option<&Relation> {
        let exact = fold(name);
        let relations = || self.relations.iter();
        relations()
            .find(|relation| relation.name == exact)
            .or_else(|| relations().find(|relation| relation.name.eq_ignore_ascii_case(&exact)))
    }

    fn column(&self, name: &Ident, findings: &mut Findings) -> Result<Option<Value>, SqlError> {
        let columns = || self.relations.iter().flat_map(|relation| &relation.columns);
        let found = find(columns, name, findings);
        // Streams that are joined all have hidden columns: only visible ones can be meant twice by mistake.
        let same = |known: &&Known| !known.hidden && known.column.name == fold(name);
        if found.as_ref().is_some() && columns().filter(same).count() > 1 {
            let message = format!("column {name} is in more than one relation");
            return Err(SqlError::new(message).hint("write the relation's name before it"));
        }
        Ok(found)
    }
}

fn column_of(relation: &Relation, name: &Ident, findings: &mut Findings) -> Option<Value> {
    find(|| relation.columns.iter(), name, findings)
}

/// The column of this name: as it is stored, visible before hidden; else without regard to case.
fn find<'a, I>(columns: impl Fn() -> I, name: &Ident, findings: &mut Findings) -> Option<Value>
where
    I: Iterator<Item = &'a Known>,
{
    let stored = fold(name);
    let of = |hidden: bool, exact: bool| {
        columns().find(|known| {
            let own = known.column.name.as_str();
            known.hidden == hidden && if exact { own == stored } else { own.eq_ignore_ascii_case(&stored) }
        })
    };
    if let Some(known) = of(false, true).or_else(|| of(true, true)) {
        return Some(known.value());
    }
    let known = of(false, false).or_else(|| of(true, false))?;
    if !known.hidden {
        let at = Position::of(name.span);
        let message =
            format!("{name} is read as \"{}\": on Kinesis Data Analytics it would be no column", known.column.name);
        findings.warnings.push(SqlError::new(message).at(at));
    }
    Some(known.value())
}

/// A member of a record.
fn member(record: &Value, name: &Ident) -> Value {
    Value::new(format!("get_field({}, {})", record.sql, text(&fold(name))), Class::Text)
}

/// The columns of a stream as a relation: those that are declared, ROWTIME, and the envelope of an input stream.
pub(super) fn stream_columns(columns: &[Column], is_input: bool) -> Vec<(Column, bool)> {
    let time = |name: &str| Column {
        name: name.to_owned(),
        class: Class::Time,
        declared: Some(KdaType::Timestamp),
        mono: None,
    };
    let mut known: Vec<(Column, bool)> = columns.iter().map(|column| (column.clone(), false)).collect();
    known.push((Column { mono: Some(Mono::RowTime), ..time(ROWTIME) }, true));
    if is_input {
        for (name, _) in ENVELOPE {
            let text = || Column { name: name.to_owned(), class: Class::Text, ..Column::default() };
            known.push((if name == "APPROXIMATE_ARRIVAL_TIME" { time(name) } else { text() }, true));
        }
    }
    known
}
