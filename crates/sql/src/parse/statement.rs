//! The statements Millstream knows, as parsed: names and spans, nothing looked up yet.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, Query};
use millstream_core::EventTime;

use super::settings::InForce;
use crate::{Position, Warning};

/// One statement of a script.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) kind: StatementKind,
    /// The text, without the closing semicolon.
    pub text: String,
    /// Where it starts in the script.
    pub at: Option<Position>,
    /// What the SETs before it in its script say for it.
    pub(crate) settings: InForce,
    /// What may surprise in it, found before it is planned.
    pub warnings: Vec<Warning>,
}

impl Statement {
    /// The table or view that it creates.
    #[must_use]
    pub fn creates(&self) -> Option<&str> {
        match &self.kind {
            StatementKind::CreateTable(CreateTable { name, .. })
            | StatementKind::CreateView { name, .. }
            | StatementKind::CreateMaterializedView(CreateMaterializedView { name, .. }) => Some(&name.text),
            _ => None,
        }
    }
}

/// A name with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub text: String,
    pub at: Option<Position>,
}

/// What a statement asks for.
#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    CreateTable(CreateTable),
    CreateFunction(CreateFunction),
    CreateView {
        name: Name,
        query: Box<Query>,
        or_replace: bool,
        if_not_exists: bool,
    },
    CreateMaterializedView(CreateMaterializedView),
    Insert {
        table: Name,
        columns: Vec<Name>,
        start: Option<StartFrom>,
        query: Box<Query>,
    },
    Drop {
        what: DropKind,
        name: Name,
        if_exists: bool,
    },
    Show(ShowKind),
    ShowFunctions,
    Describe(Name),
    Explain(Box<Query>),
    /// `None`: RESET.
    Set {
        key: String,
        value: Option<String>,
    },
    AlterQuery {
        name: Name,
        action: QueryAction,
        if_exists: bool,
    },
    Select(Box<Query>),
}

/// What DROP removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropKind {
    Table,
    View,
    MaterializedView,
    Query,
    Function,
}

/// What SHOW lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowKind {
    Tables,
    Queries,
    Streams,
}

/// What ALTER QUERY does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryAction {
    Pause,
    Resume,
    /// Keep the state under this name: letters, digits, `_`, `-` and `.`, not first.
    Savepoint(String),
}

/// Where a query begins, if its statement says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// The newest checkpoint of the query of this name.
    Checkpoint,
    /// The oldest record there is, without state.
    Beginning,
    /// The first record that arrives from now on, without state.
    Latest,
    /// The first record that arrived at this time or later, without state.
    At(EventTime),
    /// The savepoint of this name or at this place.
    Savepoint(String),
}

/// `'key' = 'value'` in WITH.
#[derive(Clone, Debug)]
pub(crate) struct WithOption {
    pub key: String,
    pub value: String,
    pub at: Option<Position>,
}

/// `CREATE TABLE name (columns) WITH (options)`.
#[derive(Clone, Debug)]
pub(crate) struct CreateTable {
    pub name: Name,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    pub watermark: Option<WatermarkDef>,
    pub primary_key: Vec<Name>,
    pub options: Vec<WithOption>,
}

/// `CREATE MATERIALIZED VIEW name WITH (options) START FROM … AS query`.
#[derive(Clone, Debug)]
pub(crate) struct CreateMaterializedView {
    pub name: Name,
    pub options: Vec<WithOption>,
    pub start: Option<StartFrom>,
    pub query: Box<Query>,
    pub or_replace: bool,
    pub if_not_exists: bool,
}

/// One column of CREATE TABLE.
#[derive(Clone, Debug)]
pub(crate) struct ColumnDef {
    pub name: Name,
    pub kind: ColumnKind,
}

/// Where a column's values come from.
#[derive(Clone, Debug)]
pub(crate) enum ColumnKind {
    /// The payload.
    Physical { data_type: DataType, nullable: bool },
    /// The record's envelope; the key is the column's name unless FROM gives another.
    Metadata { data_type: DataType, key: Option<String> },
    /// An expression over the other columns.
    Computed(Box<Expr>),
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkDef {
    pub column: Name,
    pub expression: Box<Expr>,
    pub at: Option<Position>,
}

/// `CREATE FUNCTION name(parameters) RETURNS type RETURN body`.
#[derive(Clone, Debug)]
pub(crate) struct CreateFunction {
    pub name: Name,
    pub if_not_exists: bool,
    pub parameters: Vec<Parameter>,
    /// `None`: that of the body.
    pub returns: Option<DataType>,
    pub body: Box<Expr>,
}

/// One parameter of CREATE FUNCTION.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub name: Name,
    pub data_type: DataType,
}
