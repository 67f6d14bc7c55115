//! DataFusion as Millstream uses it: its functions, its SQL-to-plan step over our catalog, its optimizer without the
//! rules that would change what a stream means.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::OptimizerContext;
use datafusion::optimizer::analyzer::Analyzer;
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast;

use crate::as_of::{AsOf, NOW_SCHEMA};
use crate::catalog::{Catalog, Relation, Table};
use crate::functions::defined::{self, Function};
use crate::in_order::InOrderFunctions;
use crate::plan::unknown_relation;
use crate::window::WindowFunctions;
use crate::{SqlError, functions};
use millstream_core::Clock;

/// Optimizer rules that are left out: the first would hide distinct aggregates from the panes, the second would stop
/// reading a stream that has no end, the third would hide functions of time in GROUP BY; HOT evaluates equal expressions
/// once by itself.
const LEFT_OUT: [&str; 3] =
    ["single_distinct_aggregation_to_group_by", "push_down_limit", "common_sub_expression_eliminate"];
/// Optimizer rules without which a join cannot be told from another.
const PREPARING: [&str; 5] = [
    "decorrelate_predicate_subquery",
    "scalar_subquery_to_join",
    "push_down_filter",
    "eliminate_cross_join",
    "extract_equijoin_predicate",
];
/// Views may be nested this deeply; deeper nesting is a cycle or a mistake.
const MAX_VIEW_DEPTH: usize = 32;

/// The functions and the configuration with which SQL is planned.
#[derive(Clone, Debug)]
pub struct Session {
    state: Arc<SessionState>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
}

impl Session {
    /// Plans with DataFusion's functions; `now()` reads the clock.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, SqlError> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.optimizer.enable_dynamic_filter_pushdown = false;
        let mut state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        functions::register(&mut state, &clock)?;
        Ok(Self {
            state: Arc::new(state),
            relation_planners: vec![Arc::new(InOrderFunctions), Arc::new(WindowFunctions), Arc::new(AsOf)],
        })
    }
}

/// How materialized views are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A continuous query: a materialized view is its defining query.
    Continuous,
    /// One answer: a materialized view is its live table.
    Once,
}

/// A leaf of a logical plan: a relation of the catalog.
#[derive(Clone, Debug)]
pub struct CatalogSource {
    pub relation: Relation,
    schema: SchemaRef,
    /// The plan of a view, for DataFusion to put in its place.
    inlined: Option<Box<LogicalPlan>>,
}

impl TableSource for CatalogSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.inlined.as_deref().map(Cow::Borrowed)
    }
}

/// The relation behind a scan of one of our plans.
#[must_use]
pub fn relation_of(source: &dyn TableSource) -> Option<&Relation> {
    (source as &dyn std::any::Any).downcast_ref::<CatalogSource>().map(|source| &source.relation)
}

impl Session {
    /// The state with DataFusion's functions, for those who run plans.
    #[must_use]
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// Plans a query and answers the names of all relations it reads, views included.
    pub(crate) fn bind(
        &self,
        catalog: &Catalog,
        reading: Reading,
        query: ast::Query,
    ) -> Result<(LogicalPlan, Vec<String>), SqlError> {
        let names = Names { session: self, catalog, reading, depth: 0, read: Mutex::default() };
        let plan = names.plan(query.clone()).map_err(|error| match SqlError::from(error) {
            error @ SqlError { at: Some(_), .. } => error,
            error => {
                let call = defined::place_of(&query, catalog, &error);
                error.at(unknown_relation(&query, catalog)).at(call)
            }
        })?;
        let read = names.read.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((plan, read.into_iter().collect()))
    }

    /// Whether there is such a function without anybody having defined it.
    pub(crate) fn has_function(&self, name: &str) -> bool {
        let state = &self.state;
        state.scalar_functions().contains_key(name)
            || state.higher_order_functions().contains_key(name)
            || state.aggregate_functions().contains_key(name)
            || state.window_functions().contains_key(name)
    }

    /// Plans an expression over a schema and answers the functions it uses.
    pub(crate) fn bind_expr(
        &self,
        catalog: &Catalog,
        expr: ast::Expr,
        schema: &DFSchema,
    ) -> Result<(Expr, Vec<String>), SqlError> {
        let names = Names { session: self, catalog, reading: Reading::Continuous, depth: 0, read: Mutex::default() };
        let planner = SqlToRel::new_with_options(&names, parser_options());
        let place = |error: SqlError| match error {
            SqlError { at: Some(_), .. } => error,
            error => {
                let call = defined::place_of(&expr, catalog, &error);
                error.at(call)
            }
        };
        let bound = planner
            .sql_to_expr(expr.clone(), schema, &mut datafusion::sql::planner::PlannerContext::new())
            .and_then(|bound| defined::inline_expr(bound, schema))
            .map_err(|error| place(error.into()))?;
        let read = names.read.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((bound, read.into_iter().collect()))
    }

    /// Resolves the types of an expression over a schema.
    pub(crate) fn coerce(expr: Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
        let mut rewriter = datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter::new(schema);
        Ok(expr.rewrite(&mut rewriter)?.data)
    }

    /// Simplifies an expression whose types are resolved: some functions are only there to be replaced by others.
    pub(crate) fn simplify(&self, expr: Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_config_options(Arc::clone(self.state.config_options()))
            .build();
        Ok(ExprSimplifier::new(context).simplify(expr)?)
    }

    /// Resolves types: what a batch engine calls analysis.
    pub(crate) fn analyze(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        Ok(Analyzer::new().execute_and_check(plan, self.state.config_options(), |_, _| {})?)
    }

    /// Brings conditions of joins to their joins, and makes joins of subqueries, so that they can be checked. Other plans
    /// stay as they are written, which makes better messages.
    pub(crate) fn prepare(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        use datafusion::common::tree_node::TreeNode;
        let needs = plan.exists(|node| {
            let joins = matches!(node, LogicalPlan::Join(_));
            Ok(joins || node.expressions().iter().any(|expr| expr.exists(|part| Ok(is_subquery(part))).unwrap_or(true)))
        })?;
        if !needs {
            return Ok(plan);
        }
        let rules = Optimizer::new().rules.into_iter().filter(|rule| PREPARING.contains(&rule.name())).collect();
        let context = OptimizerContext::new_with_config_options(Arc::clone(self.state.config_options()))
            .without_query_execution_start_time();
        Ok(Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})?)
    }

    /// Optimizes an analyzed plan. The current time stays a function: a stream has no one «now».
    pub fn optimize(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        let rules = Optimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name())).collect();
        let context = OptimizerContext::new_with_config_options(Arc::clone(self.state.config_options()))
            .without_query_execution_start_time();
        Ok(Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})?)
    }
}

fn parser_options() -> ParserOptions {
    ParserOptions { collect_spans: true, map_string_types_to_utf8view: false, ..ParserOptions::new() }
}

fn is_subquery(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::logical_expr::Expr;
    matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
}

/// Names as one query sees them.
struct Names<'a> {
    session: &'a Session,
    catalog: &'a Catalog,
    reading: Reading,
    depth: usize,
    read: Mutex<BTreeSet<String>>,
}

impl Names<'_> {
    fn plan(&self, query: ast::Query) -> Result<LogicalPlan> {
        let planner = SqlToRel::new_with_options(self, parser_options());
        let plan = planner.sql_statement_to_plan(ast::Statement::Query(Box::new(query)))?;
        defined::inline(plan, self.session.state.config_options())
    }

    fn inline(&self, query: &ast::Query) -> Result<Box<LogicalPlan>> {
        if self.depth >= MAX_VIEW_DEPTH {
            return Err(SqlError::new(format!("views are nested deeper than {MAX_VIEW_DEPTH} levels")).into());
        }
        let inner = Names { depth: self.depth + 1, read: Mutex::default(), ..*self };
        let plan = inner.plan(query.clone())?;
        let inner_read = inner.read.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.note(inner_read);
        Ok(Box::new(plan))
    }

    fn note(&self, names: impl IntoIterator<Item = String>) {
        self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(names);
    }

    fn source(&self, relation: &Relation, reading: Reading) -> Result<CatalogSource> {
        let (schema, inlined) = match (relation, reading) {
            (Relation::Table(table), _) => (Arc::clone(&table.schema), None),
            (Relation::System(table), _) => (Arc::clone(&table.schema), None),
            (Relation::MaterializedView(view), Reading::Once) => (Arc::clone(&view.schema), None),
            (Relation::MaterializedView(view), Reading::Continuous) => {
                let plan = self.inline(&view.query)?;
                (Arc::new(plan.schema().as_arrow().clone()), Some(plan))
            }
            (Relation::View(view), _) => {
                let plan = self.inline(&view.query)?;
                (Arc::new(plan.schema().as_arrow().clone()), Some(plan))
            }
        };
        Ok(CatalogSource { relation: relation.clone(), schema, inlined })
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let (name, reading) = match &name {
            TableReference::Partial { schema, table } if schema.as_ref() == NOW_SCHEMA => {
                (TableReference::bare(Arc::clone(table)), Reading::Once)
            }
            _ => (name, self.reading),
        };
        let name = match &name {
            TableReference::Bare { table } => table.to_string(),
            TableReference::Partial { schema, table } => format!("{schema}.{table}"),
            TableReference::Full { catalog, schema, table } => format!("{catalog}.{schema}.{table}"),
        };
        let relation = self.catalog.require(&name)?;
        self.note([name]);
        Ok(Arc::new(self.source(relation, reading)?))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.session.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.session.relation_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(function) = self.catalog.function(name) {
            self.note([Function::key(name)]);
            return Some(function.callable());
        }
        self.session.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.session.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.session.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.session.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        let defined = self.catalog.functions().map(|function| function.name.clone());
        self.session.state.scalar_functions().keys().cloned().chain(defined).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.session.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.session.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.session.state.window_functions().keys().cloned().collect()
    }
}

/// The declared table behind a scan.
pub(crate) fn table_of(source: &dyn TableSource) -> Result<Arc<Table>, SqlError> {
    match relation_of(source) {
        Some(Relation::Table(table)) => Ok(Arc::clone(table)),
        Some(other) => Err(SqlError::new(format!("a continuous query cannot read a {}", other.kind()))),
        None => Err(SqlError::from(DataFusionError::Internal("a scan of a foreign table".to_owned()))),
    }
}
