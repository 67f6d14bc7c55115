//! What has been created: tables, views and materialized views by name, and functions by theirs.
//!
//! A catalog is a value. Applying a script works on a copy, which replaces the original when every statement took
//! effect; so a script takes effect whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast;
use millstream_core::{Duration, IdlePolicy, Metadata, Roles, TableDecl};

use crate::functions::defined::Function;
use crate::pipeline::Pipeline;
use crate::{SqlError, parse};

/// A declared table: a source, a sink, or both.
#[derive(Clone, Debug)]
pub struct Table {
    /// What the connector knows: physical columns and options.
    pub decl: TableDecl,
    /// All columns, in the declared order.
    pub columns: Vec<Column>,
    /// The schema that queries see.
    pub schema: SchemaRef,
    /// The time attribute, if a watermark was declared.
    pub time: Option<TimeAttribute>,
    /// How its time advances when shards are silent or clocks are wrong.
    pub progress: Progress,
    /// What the connector says it can be.
    pub roles: Roles,
    /// Processes share its shards.
    pub shared: Option<SharedTable>,
}

/// What is known of a table whose shards processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedTable {
    /// The column that holds the records' partition key, as an index into [`Table::columns`].
    pub partition_key: Option<usize>,
}

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    pub field: FieldRef,
    pub kind: ColumnKind,
}

/// Where a column's values come from.
#[derive(Clone, Debug)]
pub enum ColumnKind {
    /// The payload: the column of `decl.schema` with this index.
    Physical(usize),
    /// The record's envelope.
    Metadata(Metadata),
    /// An expression over [`Table::input_schema`].
    Computed(Box<Expr>),
}

/// Event time of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAttribute {
    /// Index into [`Table::columns`].
    pub column: usize,
    /// How far rows may be out of order.
    pub delay: Duration,
}

/// How a table's event time advances, from its `scan.watermark.*` options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `None`: shards never become idle.
    pub idle_timeout: Option<Duration>,
    pub idle_policy: IdlePolicy,
    /// A timestamp further than this after its record's arrival does not move the watermark further.
    pub max_future_skew: Duration,
    /// A shard further ahead of the slowest than this waits for it. `None`: only while memory is short.
    pub max_drift: Option<Duration>,
}

impl Table {
    /// What computed columns are computed from: the physical and metadata columns, in declared order.
    #[must_use]
    pub fn input_schema(&self) -> SchemaRef {
        input_schema(&self.columns)
    }

    /// The column of the time attribute.
    #[must_use]
    pub fn time_column(&self) -> Option<&Column> {
        self.time.map(|time| &self.columns[time.column])
    }

    /// Whether the time attribute is the arrival time, which is never out of order.
    #[must_use]
    pub fn runs_on_arrival_time(&self) -> bool {
        self.time_column().is_some_and(|column| matches!(column.kind, ColumnKind::Metadata(Metadata::ArrivalTimestamp)))
    }
}

pub(crate) fn input_schema(columns: &[Column]) -> SchemaRef {
    let inputs = columns.iter().filter(|column| !matches!(column.kind, ColumnKind::Computed(_)));
    Arc::new(Schema::new(inputs.map(|column| column.field.clone()).collect::<Vec<FieldRef>>()))
}

/// A view: a query with a name, inlined where it is used.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    pub query: Box<ast::Query>,
}

/// A materialized view: a continuous query and the live table of its results.
#[derive(Clone, Debug)]
pub struct MaterializedView {
    pub name: String,
    /// The defining query, inlined where another continuous query reads the view.
    pub query: Box<ast::Query>,
    /// The query's plan.
    pub pipeline: Arc<Pipeline>,
    /// The columns of the live table: the query's, and `is_final` when it is windowed.
    pub schema: SchemaRef,
}

/// A table that the service fills itself, such as `error_stream`.
#[derive(Clone, Debug)]
pub struct SystemTable {
    pub name: String,
    pub schema: SchemaRef,
    /// What continuous queries read of it: its rows as they come. `None`: it can only be asked for what it holds.
    pub stream: Option<Arc<Table>>,
}

/// Anything that FROM can name.
#[derive(Clone, Debug)]
pub enum Relation {
    Table(Arc<Table>),
    View(Arc<View>),
    MaterializedView(Arc<MaterializedView>),
    System(Arc<SystemTable>),
}

impl Relation {
    /// The word for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::View(_) => "view",
            Self::MaterializedView(_) => "materialized view",
            Self::System(_) => "system table",
        }
    }
}

/// Every relation, and which queries and views read which.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    relations: BTreeMap<String, Relation>,
    functions: BTreeMap<String, Arc<Function>>,
    /// For each view or query the relations it reads, so that nothing in use is dropped. Functions stand in it under
    /// [`Function::key`].
    readers: BTreeMap<String, Vec<String>>,
}

impl Catalog {
    /// A catalog with the tables that the service fills itself.
    #[must_use]
    pub fn new(system: impl IntoIterator<Item = SystemTable>) -> Self {
        let relations =
            system.into_iter().map(|table| (table.name.clone(), Relation::System(Arc::new(table)))).collect();
        Self { relations, ..Self::default() }
    }

    /// The relation with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Relation> {
        self.relations.get(name)
    }

    /// The relation with this name, or an error that names the nearest one.
    pub fn require(&self, name: &str) -> Result<&Relation, SqlError> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.relations.keys().map(String::as_str).collect();
            let error = SqlError::new(no_table(name));
            if names.is_empty() { error } else { error.hint(format!("there are: {}", names.join(", "))) }
        })
    }

    /// Every relation by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Relation)> {
        self.relations.iter().map(|(name, relation)| (name.as_str(), relation))
    }

    /// Declared tables by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.relations.values().filter_map(|relation| match relation {
            Relation::Table(table) => Some(table),
            _ => None,
        })
    }

    /// What a continuous query reads under this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Arc<Table>> {
        match self.get(name)? {
            Relation::Table(table) => Some(table),
            Relation::System(table) => table.stream.as_ref(),
            Relation::View(_) | Relation::MaterializedView(_) => None,
        }
    }

    pub(crate) fn insert(&mut self, name: &parse::Name, relation: Relation) -> Result<(), SqlError> {
        if let Some(existing) = self.get(&name.text) {
            let message = format!("a {} named `{}` exists already", existing.kind(), name.text);
            return Err(SqlError::new(message).at(name.at).hint("choose another name, or DROP it first"));
        }
        self.relations.insert(name.text.clone(), relation);
        Ok(())
    }

    pub(crate) fn replace(&mut self, name: &str, relation: Relation) {
        self.relations.insert(name.to_owned(), relation);
    }

    pub(crate) fn set_reads(&mut self, reader: &str, reads: Vec<String>) {
        self.readers.insert(reader.to_owned(), reads);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), SqlError> {
        self.refuse_in_use(name, "read")?;
        self.relations.remove(name);
        self.readers.remove(name);
        Ok(())
    }

    /// The queries, views and functions that use what has this name.
    pub(crate) fn readers(&self, name: &str) -> Vec<&str> {
        (self.readers.iter())
            .filter(|(reader, reads)| *reader != name && reads.iter().any(|read| read == name))
            .map(|(reader, _)| reader.as_str())
            .collect()
    }

    fn refuse_in_use(&self, name: &str, how: &str) -> Result<(), SqlError> {
        let in_use = self.readers(name);
        if in_use.is_empty() {
            return Ok(());
        }
        Err(SqlError::new(format!("`{name}` is {how} by {}", in_use.join(", "))).hint("drop those first"))
    }

    /// The defined function with this name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(name)
    }

    /// Defined functions by name.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    pub(crate) fn insert_function(&mut self, function: Function, uses: Vec<String>) {
        self.readers.insert(Function::key(&function.name), uses);
        self.functions.insert(function.name.clone(), Arc::new(function));
    }

    pub(crate) fn remove_function(&mut self, name: &str) -> Result<(), SqlError> {
        let key = Function::key(name);
        self.refuse_in_use(&key, "used")?;
        self.functions.remove(name);
        self.readers.remove(&key);
        Ok(())
    }

    /// Whether a relation or a query has this name.
    #[must_use]
    pub fn is_taken(&self, name: &str) -> bool {
        self.readers.contains_key(name) || self.relations.contains_key(name)
    }

    /// `base`, or `base_2`, `base_3`, … when queries have those names.
    pub(crate) fn free_query_name(&self, base: &str) -> String {
        if !self.is_taken(base) {
            return base.to_owned();
        }
        let numbered = (2_u64..).map(|number| format!("{base}_{number}"));
        numbered.into_iter().find(|name| !self.is_taken(name)).unwrap_or_default()
    }

    /// A continuous query has ended: what it read may be dropped.
    pub(crate) fn forget_query(&mut self, query: &str) {
        self.readers.remove(query);
    }
}

fn no_table(name: &str) -> String {
    format!("table `{name}` does not exist")
}

impl SqlError {
    /// Whether it says that there is no such relation.
    #[must_use]
    pub fn is_no_table(&self, name: &str) -> bool {
        self.message == no_table(name)
    }
}

/// A schema with a table's name before every column.
pub(crate) fn qualified(table: &str, schema: &Schema) -> Result<DFSchema, SqlError> {
    Ok(DFSchema::try_from_qualified_schema(table, schema)?)
}

/// The column that live tables of windowed queries have beside those of their query.
pub(crate) fn is_final_field() -> Field {
    Field::new("is_final", arrow::datatypes::DataType::Boolean, false)
}
