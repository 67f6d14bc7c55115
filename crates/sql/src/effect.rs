//! What a statement does, worked out against a catalog: the one place where parsed statements meet names.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast;
use millstream_core::Connectors;

use crate::catalog::{Catalog, ColumnKind, Relation, View};
use crate::continuous_query::{ContinuousQuery, QuerySettings, Target};
use crate::create_table;
use crate::explain::explain;
use crate::functions::defined::{Function, define};
use crate::parse::{CreateFunction, DropKind, Name, QueryAction, ShowKind, Statement, StatementKind};
use crate::plan::{Purpose, plan_query, reads_stream};
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
    /// A setting was made (`None`: taken back) for the rest of its script; what follows has it in its own effect.
    Set { key: String, value: Option<String> },
    /// Pause or resume a query, or keep its state.
    /// With `if_exists` it is no error if there is no such query.
    Alter { query: String, action: QueryAction, if_exists: bool },
}

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

pub(crate) struct Applier<'a> {
    pub(crate) session: &'a Session,
    pub(crate) connectors: &'a dyn Connectors,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) statement: &'a Statement,
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
            StatementKind::CreateMaterializedView(declaration) => self.create_materialized_view(declaration),
            StatementKind::CreateFunction(declaration) => self.create_function(declaration),
            StatementKind::ShowFunctions => self.show_functions(),
            StatementKind::Insert { table, columns, start, query } => {
                self.insert(table, columns, start.as_ref(), query)
            }
            StatementKind::Drop { what, name, if_exists } => self.drop(*what, name, *if_exists),
            StatementKind::Show(kind) => Ok(Effect::Show(*kind)),
            StatementKind::Describe(name) => {
                let relation = self.catalog.require(&name.text).map_err(|error| error.at(name.at))?;
                Ok(Effect::Described { name: name.text.clone(), columns: self.describe(relation)? })
            }
            StatementKind::Explain(query) => {
                let (plan, _) = self.session.bind(self.catalog, Reading::Continuous, (**query).clone())?;
                if !reads_stream(&plan)? {
                    return Ok(Effect::Explained { text: plan.display_indent().to_string(), sources: Vec::new() });
                }
                let (pipeline, _) = plan_query(self.session, self.catalog, query, &Purpose::Explained)?;
                let mut sources: Vec<String> = pipeline.tables().map(|table| table.decl.name.clone()).collect();
                sources.dedup();
                Ok(Effect::Explained { text: explain(&pipeline), sources })
            }
            StatementKind::Set { key, value } => Ok(Effect::Set { key: key.clone(), value: value.clone() }),
            StatementKind::AlterQuery { name, action, if_exists } => {
                Ok(Effect::Alter { query: name.text.clone(), action: action.clone(), if_exists: *if_exists })
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
        if or_replace {
            refuse_itself(name, &reads)?;
        }
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
            definition: self.statement.text.clone(),
            start: None,
            replaces: false,
            settings: QuerySettings::default(),
            pipeline: Arc::new(pipeline),
            target: Target::Client { limit },
            reads,
        }))
    }
}

/// What replaces a view cannot be made of it: the former one is gone then.
pub(crate) fn refuse_itself(name: &Name, reads: &[String]) -> Result<(), SqlError> {
    if !reads.contains(&name.text) {
        return Ok(());
    }
    let error = SqlError::new(format!("the query reads `{}`, which it is to replace", name.text)).at(name.at);
    Err(error.hint("choose another name, or put the former query in its place"))
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
