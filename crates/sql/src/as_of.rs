//! `t FOR SYSTEM_TIME AS OF PROCTIME()` in FROM: the table as it is when a row meets it. A live table is read as it
//! stands, not as the query that makes it; a reference table is read as it was last loaded.
//!
//! Any other time would need the table's history, which nobody keeps: that is refused.

use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{Expr, Spanned, TableFactor, TableVersion};

use crate::catalog::Relation;
use crate::plan::is_clock_function;
use crate::session::relation_of;
use crate::{Code, Position, SqlError};

/// The schema in which a name means the relation as it is now.
pub(crate) const NOW_SCHEMA: &str = "__as_of_now";

/// Plans relations with a version.
#[derive(Debug)]
pub(crate) struct AsOf;

impl RelationPlanner for AsOf {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, version: Some(version), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let at = Position::of(name.span());
        if !matches!(version, TableVersion::ForSystemTimeAsOf(time) if is_now(time)) {
            let message = format!("`{name}` {version} asks for the past, and only the present is kept");
            let error = SqlError::coded(Code::E13, message, "write FOR SYSTEM_TIME AS OF PROCTIME()");
            return Err(error.at(at).into());
        }
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(crate::parse::fold).collect();
        let table = parts.join(".");
        let source = context
            .context_provider()
            .get_table_source(TableReference::partial(NOW_SCHEMA, table.as_str()))
            .map_err(|error| SqlError::from(error).at(at))?;
        if let Some(Relation::System(system)) = relation_of(source.as_ref()) {
            let message = format!("`{}` cannot be joined as it is now", system.name);
            return Err(SqlError::coded(Code::E13, message, "SELECT from it by itself").at(at).into());
        }
        let plan = LogicalPlanBuilder::scan(TableReference::bare(table), source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// Whether an expression is a call for the current time.
fn is_now(time: &Expr) -> bool {
    match time {
        Expr::Nested(inner) => is_now(inner),
        Expr::Function(function) => is_clock_function(&function.name.to_string().to_lowercase()),
        _ => false,
    }
}
