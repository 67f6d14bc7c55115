//! What a statement does, worked out against a catalog: the one place where parsed statements meet names.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast;
use millstream_core::{Connectors, Duration, Options};

use crate::catalog::{Catalog, ColumnKind, MaterializedView, Relation, Table, View, is_final_field};
use crate::create_table::{self, option_error};
use crate::explain::explain;
use crate::functions::defined::{Function, define};
use crate::parse::{CreateFunction, DropKind, Name, QueryAction, ShowKind, Statement, StatementKind, WithOption};
use crate::pipeline::Pipeline;
use crate::plan::{Purpose, SinkColumn, plan_query, reads_stream};
use crate::session::{Reading, Session};
use crate::{SqlError, type_name};

/// What a statement asks of those who run things.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The catalog has changed; nothing is to be run.
    Created { kind: &'static str, name: String },
    /// It was there already, and IF NOT EXISTS was said.
    Existed { kind: &'static str, name: String },
    /// Run this query until it is dropped.
    Query(ContinuousQuery),
    /// Stop the query, if there is one by this name, and drop its table.
    Dropped { kind: &'static str, name: String },
    /// Answer these rows once.
    Rows(Lookup),
    /// Text for a person, and the tables that the query would read.
    Explained { text: String, sources: Vec<String> },
    /// Columns of a relation: name, type, remark.
    Described { name: String, columns: Vec<[String; 3]> },
    /// List what there is.
    Show(ShowKind),
    /// A setting, for whoever knows it.
    Set { key: String, value: String },
    /// Pause or resume a query.
    Alter { query: String, action: QueryAction },
}

/// A query that runs on.
#[derive(Clone, Debug)]
pub struct ContinuousQuery {
    pub name: String,
    /// The statement as it was written.
    pub sql: String,
    pub pipeline: Arc<Pipeline>,
    pub target: Target,
    /// Every relation it reads, views included.
    pub reads: Vec<String>,
}

/// Where a query's rows go.
#[derive(Clone, Debug)]
pub enum Target {
    /// A live table with the query's name.
    LiveTable { schema: SchemaRef, settings: LiveTableSettings },
    /// A sink table.
    Sink(Arc<Table>),
    /// Whoever asked, until `limit` rows were sent.
    Client { limit: Option<u64> },
}

/// The options of a materialized view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTableSettings {
    /// Rows of windows that ended this long before the watermark, or append-only rows this old, go. `None`: never.
    pub retention: Option<Duration>,
    /// The oldest rows go beyond this many.
    pub max_rows: usize,
    /// How often open windows are shown; `None`: final rows only.
    pub refresh: Option<Duration>,
    /// Keys of an updating table that have not changed for this long go.
    pub ttl: Option<Duration>,
    /// Rows this late for a window still change its result.
    pub lateness: Duration,
}

/// A live table keeps at most this many rows unless `max-rows` says otherwise.
const DEFAULT_MAX_ROWS: usize = 1_000_000;
/// How often open windows are shown at the most, unless `refresh-interval` says otherwise.
const DEFAULT_REFRESH: Duration = Duration(20);

/// A SELECT that is answered once.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Analyzed; its scans are of [`crate::CatalogSource`]s.
    pub plan: LogicalPlan,
}

/// Works out what a statement does and records it in `catalog`.
pub fn apply(
    session: &Session,
    connectors: &dyn Connectors,
    catalog: &mut Catalog,
    statement: &Statement,
) -> Result<Effect, SqlError> {
    Applier { session, connectors, catalog, statement }.apply().map_err(|error| error.at(statement.at))
}

struct Applier<'a> {
    session: &'a Session,
    connectors: &'a dyn Connectors,
    catalog: &'a mut Catalog,
    statement: &'a Statement,
}

impl Applier<'_> {
    fn apply(mut self) -> Result<Effect, SqlError> {
        match &self.statement.kind {
            StatementKind::CreateTable(declaration) => {
                if declaration.if_not_exists && self.catalog.get(&declaration.name.text).is_some() {
                    return Ok(Effect::Existed { kind: "table", name: declaration.name.text.clone() });
                }
                let (table, uses) = create_table::resolve(self.session, self.connectors, self.catalog, declaration)?;
                self.catalog.insert(&declaration.name, Relation::Table(Arc::new(table)))?;
                if !uses.is_empty() {
                    self.catalog.set_reads(&declaration.name.text, uses);
                }
                Ok(Effect::Created { kind: "table", name: declaration.name.text.clone() })
            }
            StatementKind::CreateView { name, query, or_replace, if_not_exists } => {
                self.create_view(name, query, *or_replace, *if_not_exists)
            }
            StatementKind::CreateMaterializedView { name, options, query, if_not_exists } => {
                self.create_materialized_view(name, options, query, *if_not_exists)
            }
            StatementKind::CreateFunction(declaration) => self.create_function(declaration),
            StatementKind::ShowFunctions => self.show_functions(),
            StatementKind::Insert { table, columns, query } => self.insert(table, columns, query),
            StatementKind::Drop { what, name, if_exists } => self.drop(*what, name, *if_exists),
            StatementKind::Show(kind) => Ok(Effect::Show(*kind)),
            StatementKind::Describe(name) => {
                let relation = self.catalog.require(&name.text).map_err(|error| error.at(name.at))?;
                Ok(Effect::Described { name: name.text.clone(), columns: self.describe(relation)? })
            }
            StatementKind::Explain(query) => {
                let purpose = Purpose::LiveTable { ttl: Some(Duration::from_secs(1)) };
                let (plan, _) = self.session.bind(self.catalog, Reading::Continuous, (**query).clone())?;
                if !reads_stream(&plan)? {
                    return Ok(Effect::Explained { text: plan.display_indent().to_string(), sources: Vec::new() });
                }
                let (pipeline, _) = plan_query(self.session, self.catalog, query, &purpose)?;
                let mut sources: Vec<String> = pipeline.tables().map(|table| table.decl.name.clone()).collect();
                sources.dedup();
                Ok(Effect::Explained { text: explain(&pipeline), sources })
            }
            StatementKind::Set { key, value } => Ok(Effect::Set { key: key.clone(), value: value.clone() }),
            StatementKind::AlterQuery { name, action } => {
                Ok(Effect::Alter { query: name.text.clone(), action: *action })
            }
            StatementKind::Select(query) => self.select(query),
        }
    }

    fn create_view(
        &mut self,
        name: &Name,
        query: &ast::Query,
        or_replace: bool,
        if_not_exists: bool,
    ) -> Result<Effect, SqlError> {
        let (_, reads) = self.session.bind(self.catalog, Reading::Continuous, query.clone())?;
        let view = Relation::View(Arc::new(View { name: name.text.clone(), query: Box::new(query.clone()) }));
        match self.catalog.get(&name.text) {
            Some(Relation::View(_)) if if_not_exists => {
                return Ok(Effect::Existed { kind: "view", name: name.text.clone() });
            }
            // A replaced view changes what is planned from now on; running queries keep the plan they have.
            Some(Relation::View(_)) if or_replace => self.catalog.replace(&name.text, view),
            _ => self.catalog.insert(name, view)?,
        }
        self.catalog.set_reads(&name.text, reads);
        Ok(Effect::Created { kind: "view", name: name.text.clone() })
    }

    fn create_function(&mut self, declaration: &CreateFunction) -> Result<Effect, SqlError> {
        let name = &declaration.name;
        // With its brackets: a table may have the same name, and is something else.
        let shown = Function::key(&name.text);
        if self.catalog.function(&name.text).is_some() {
            if declaration.if_not_exists {
                return Ok(Effect::Existed { kind: "function", name: shown });
            }
            return Err(SqlError::new(format!("a function named `{}` exists already", name.text))
                .at(name.at)
                .hint("choose another name, or DROP FUNCTION it first"));
        }
        let (function, uses) = define(self.session, self.catalog, declaration)?;
        self.catalog.insert_function(function, uses);
        Ok(Effect::Created { kind: "function", name: shown })
    }

    fn drop_function(&mut self, name: &Name, if_exists: bool) -> Result<Effect, SqlError> {
        if self.catalog.function(&name.text).is_none() && !if_exists {
            let names: Vec<&str> = self.catalog.functions().map(|function| function.name.as_str()).collect();
            let error = SqlError::new(format!("function `{}` does not exist", name.text)).at(name.at);
            return Err(if names.is_empty() { error } else { error.hint(format!("there are: {}", names.join(", "))) });
        }
        self.catalog.remove_function(&name.text).map_err(|error| error.at(name.at))?;
        Ok(Effect::Dropped { kind: "function", name: Function::key(&name.text) })
    }

    /// The defined functions, as rows.
    fn show_functions(&self) -> Result<Effect, SqlError> {
        let row = |function: &Arc<Function>| {
            let returns = type_name(&function.returns);
            vec![lit(&function.name), lit(function.parameter_list()), lit(returns), lit(&function.text)]
        };
        let mut rows: Vec<Vec<Expr>> = self.catalog.functions().map(row).collect();
        let none = rows.is_empty();
        if none {
            rows.push(vec![lit(""); 4]);
        }
        let names = ["name", "parameters", "returns", "body"];
        let columns = (1..).zip(names).map(|(index, name)| col(format!("column{index}")).alias(name));
        let plan = LogicalPlanBuilder::values(rows)?.filter(lit(!none))?.project(columns)?.build()?;
        Ok(Effect::Rows(Lookup { plan: self.session.analyze(plan)? }))
    }

    fn create_materialized_view(
        &mut self,
        name: &Name,
        options: &[WithOption],
        query: &ast::Query,
        if_not_exists: bool,
    ) -> Result<Effect, SqlError> {
        if if_not_exists && matches!(self.catalog.get(&name.text), Some(Relation::MaterializedView(_))) {
            return Ok(Effect::Existed { kind: "query", name: name.text.clone() });
        }
        let settings = live_table_settings(options).map_err(|error| option_error(&error, options, name.at))?;
        let purpose = Purpose::LiveTable { ttl: settings.ttl };
        let (pipeline, reads) = plan_query(self.session, self.catalog, query, &purpose)?;
        let pipeline = Arc::new(pipeline);
        refuse_idle_options(options, &pipeline)?;
        let mut fields: Vec<FieldRef> = pipeline.schema.fields().iter().cloned().collect();
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|earlier| earlier.name() == field.name()) {
                return Err(SqlError::new(format!("the query has two columns named `{}`", field.name()))
                    .at(name.at)
                    .hint("give one of them another name with AS"));
            }
        }
        if pipeline.window().is_some() {
            fields.push(Arc::new(is_final_field()));
        }
        let schema = Arc::new(Schema::new(fields));
        let view = MaterializedView {
            name: name.text.clone(),
            query: Box::new(query.clone()),
            pipeline: Arc::clone(&pipeline),
            schema: Arc::clone(&schema),
        };
        self.catalog.insert(name, Relation::MaterializedView(Arc::new(view)))?;
        self.catalog.set_reads(&name.text, reads.clone());
        Ok(Effect::Query(ContinuousQuery {
            name: name.text.clone(),
            sql: self.statement.text.clone(),
            pipeline,
            target: Target::LiveTable { schema, settings },
            reads,
        }))
    }

    fn insert(&mut self, name: &Name, listed: &[Name], query: &ast::Query) -> Result<Effect, SqlError> {
        let relation = self.catalog.require(&name.text).map_err(|error| error.at(name.at))?;
        let table =
            match relation {
                Relation::Table(table) if table.roles.sink => Arc::clone(table),
                Relation::Table(_) => {
                    return Err(SqlError::new(format!("`{}` can only be read: its connector is a source", name.text))
                        .at(name.at));
                }
                other => {
                    return Err(SqlError::new(format!("`{}` is a {} and cannot be written", name.text, other.kind()))
                        .at(name.at));
                }
            };
        let (plan, _) = self.session.bind(self.catalog, Reading::Continuous, query.clone())?;
        let columns = sink_columns(&table, listed, plan.schema().fields().len()).map_err(|error| error.at(name.at))?;
        let purpose = Purpose::Sink { name: name.text.clone(), columns };
        let (pipeline, mut reads) = plan_query(self.session, self.catalog, query, &purpose)?;
        reads.push(name.text.clone());
        let query_name = self.catalog.free_query_name(&format!("insert_into_{}", name.text.replace('.', "_")));
        self.catalog.set_reads(&query_name, reads.clone());
        reads.pop();
        Ok(Effect::Query(ContinuousQuery {
            name: query_name,
            sql: self.statement.text.clone(),
            pipeline: Arc::new(pipeline),
            target: Target::Sink(table),
            reads,
        }))
    }

    fn drop(&mut self, what: DropKind, name: &Name, if_exists: bool) -> Result<Effect, SqlError> {
        let kind = match what {
            DropKind::Table => "table",
            DropKind::View => "view",
            DropKind::MaterializedView => "materialized view",
            DropKind::Function => return self.drop_function(name, if_exists),
            DropKind::Query => {
                // A query that feeds a live table goes with its table, and only when nothing reads that.
                if matches!(self.catalog.get(&name.text), Some(Relation::MaterializedView(_))) {
                    self.catalog.remove(&name.text).map_err(|error| error.at(name.at))?;
                }
                self.catalog.forget_query(&name.text);
                return Ok(Effect::Dropped { kind: "query", name: name.text.clone() });
            }
        };
        match self.catalog.get(&name.text) {
            None if if_exists => return Ok(Effect::Dropped { kind, name: name.text.clone() }),
            None => {
                self.catalog.require(&name.text).map_err(|error| error.at(name.at))?;
            }
            Some(relation) if relation.kind() != kind => {
                let message = format!("`{}` is a {}, not a {kind}", name.text, relation.kind());
                return Err(SqlError::new(message).at(name.at));
            }
            Some(_) => {}
        }
        self.catalog.remove(&name.text).map_err(|error| error.at(name.at))?;
        Ok(Effect::Dropped { kind, name: name.text.clone() })
    }

    fn describe(&self, relation: &Relation) -> Result<Vec<[String; 3]>, SqlError> {
        let plain = |schema: &Schema| {
            let row = |field: &FieldRef| [field.name().clone(), type_name(field.data_type()), String::new()];
            schema.fields().iter().map(row).collect()
        };
        Ok(match relation {
            Relation::Table(table) => {
                let remark = |index: usize, kind: &ColumnKind| match (kind, table.time) {
                    (_, Some(time)) if time.column == index => {
                        format!("event time, watermark {} ms behind", time.delay.0)
                    }
                    (ColumnKind::Metadata(_), _) => "metadata".to_owned(),
                    (ColumnKind::Computed(expr), _) => format!("computed: {expr}"),
                    (ColumnKind::Physical(_), _) => String::new(),
                };
                (table.columns.iter().enumerate())
                    .map(|(index, column)| {
                        let field = &column.field;
                        [field.name().clone(), type_name(field.data_type()), remark(index, &column.kind)]
                    })
                    .collect()
            }
            Relation::View(view) => {
                let (plan, _) = self.session.bind(self.catalog, Reading::Continuous, (*view.query).clone())?;
                plain(plan.schema().as_arrow())
            }
            Relation::MaterializedView(view) => plain(&view.schema),
            Relation::System(table) => plain(&table.schema),
        })
    }

    fn select(&self, query: &ast::Query) -> Result<Effect, SqlError> {
        let (plan, _) = self.session.bind(self.catalog, Reading::Once, query.clone())?;
        if !reads_stream(&plan)? {
            return Ok(Effect::Rows(Lookup { plan: self.session.analyze(plan)? }));
        }
        let (query, limit) = without_limit(query)?;
        let (pipeline, reads) = plan_query(self.session, self.catalog, &query, &Purpose::Client)?;
        Ok(Effect::Query(ContinuousQuery {
            name: String::new(),
            sql: self.statement.text.clone(),
            pipeline: Arc::new(pipeline),
            target: Target::Client { limit },
            reads,
        }))
    }
}

/// A SELECT over a stream may be cut short by LIMIT: that is about the answer, not about the stream.
fn without_limit(query: &ast::Query) -> Result<(ast::Query, Option<u64>), SqlError> {
    let Some(ast::LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by }) = &query.limit_clause else {
        return Ok((query.clone(), None));
    };
    if !limit_by.is_empty() || query.order_by.is_some() {
        return Ok((query.clone(), None));
    }
    let rows = limit.to_string().parse().map_err(|_| SqlError::new(format!("LIMIT {limit} is not a number")))?;
    Ok((ast::Query { limit_clause: None, ..query.clone() }, Some(rows)))
}

fn live_table_settings(options: &[WithOption]) -> Result<LiveTableSettings, millstream_core::OptionError> {
    let options: Options = options.iter().map(|option| (option.key.as_str(), option.value.as_str())).collect();
    let reader = options.reader();
    let retention = reader.duration("retention")?;
    let max_rows = reader.parse("max-rows", "a number of rows")?.unwrap_or(DEFAULT_MAX_ROWS);
    let ttl = reader.duration("ttl")?;
    let refresh = reader.duration("refresh-interval")?.unwrap_or(DEFAULT_REFRESH);
    let lateness = reader.duration("allowed-lateness")?.unwrap_or_default();
    let only_final = reader.one_of("emit", &["final", "live"])? == Some("final");
    reader.finish()?;
    Ok(LiveTableSettings { retention, max_rows, refresh: (!only_final).then_some(refresh), ttl, lateness })
}

/// An option that this kind of query would ignore is a misunderstanding.
fn refuse_idle_options(options: &[WithOption], pipeline: &Pipeline) -> Result<(), SqlError> {
    let late = options.iter().find(|option| option.key == "allowed-lateness");
    if let (Some(option), Some(millstream_core::WindowSpec::Session { .. })) = (late, pipeline.window()) {
        let error =
            SqlError::new("a session that has closed takes no more rows: 'allowed-lateness' is for other windows");
        return Err(error.at(option.at).hint("raise the watermark's delay, or the gap"));
    }
    let (idle, what, hint): (&[&str], _, _) = match (pipeline.is_updating(), pipeline.window().is_some()) {
        (true, _) => {
            (&["retention", "max-rows", "emit", "allowed-lateness"], "an updating table", "'ttl' bounds its keys")
        }
        (_, true) => (&["ttl"], "a windowed table", "'retention' and 'max-rows' bound its rows"),
        _ => (
            &["ttl", "emit", "refresh-interval", "allowed-lateness"],
            "an append-only table",
            "'retention' and 'max-rows' bound its rows",
        ),
    };
    match options.iter().find(|option| idle.contains(&option.key.as_str())) {
        None => Ok(()),
        Some(option) => {
            Err(SqlError::new(format!("option '{}' means nothing for {what}", option.key)).at(option.at).hint(hint))
        }
    }
}

/// Which query column fills which column of the sink: by position, or as listed.
fn sink_columns(table: &Table, listed: &[Name], given: usize) -> Result<Vec<SinkColumn>, SqlError> {
    let physical: Vec<&FieldRef> = table.decl.schema.fields().iter().collect();
    let names = || physical.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    let expected = if listed.is_empty() { physical.len() } else { listed.len() };
    if given != expected {
        return Err(SqlError::new(format!("the query has {given} columns, `{}` takes {expected}", table.decl.name))
            .hint(format!("the columns are: {}", names())));
    }
    for name in listed {
        if !physical.iter().any(|field| field.name() == &name.text) {
            return Err(SqlError::new(format!("`{}` has no column `{}`", table.decl.name, name.text))
                .at(name.at)
                .hint(format!("the columns are: {}", names())));
        }
    }
    let from = |index: usize, field: &FieldRef| {
        if listed.is_empty() { Some(index) } else { listed.iter().position(|name| &name.text == field.name()) }
    };
    Ok((physical.iter().enumerate())
        .map(|(index, field)| SinkColumn { field: Arc::clone(field), from: from(index, field) })
        .collect())
}
