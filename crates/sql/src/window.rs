//! Window table functions: `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))` as a node of the logical plan.
//!
//! The node passes every row on with `window_start`, `window_end` and `window_time` behind its own columns. On a stream
//! it is never run: the cut turns it into the panes' window. In a batch run it expands rows.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, TableFactor};
use millstream_core::{Duration, WindowSpec};

use crate::{Position, SqlError};

/// The names of the columns a window function adds, in order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Assigns rows to windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowAssign {
    pub input: LogicalPlan,
    /// A column of the input.
    pub time: Expr,
    pub spec: WindowSpec,
    schema: DFSchemaRef,
}

impl WindowAssign {
    /// The node over `input`; `time` must be a timestamp column of it.
    pub fn try_new(input: LogicalPlan, time: Expr, spec: WindowSpec) -> Result<Self> {
        use datafusion::logical_expr::ExprSchemable;
        let zone = match time.get_type(input.schema())? {
            DataType::Timestamp(_, zone) => zone,
            other => {
                let message = format!("the time column of a window must be a TIMESTAMP, but {time} is {other}");
                return Err(SqlError::new(message).into());
            }
        };
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, zone);
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for name in WINDOW_COLUMNS {
            if fields.iter().any(|(_, field)| field.name() == name) {
                let message = format!("the input of a window function has a column `{name}` already");
                return Err(SqlError::new(message).hint("give it another name with AS in a subquery").into());
            }
            fields.push((None, Arc::new(Field::new(name, data_type.clone(), false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, time, spec, schema })
    }
}

impl PartialOrd for WindowAssign {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.spec.partial_cmp(&other.spec) {
            Some(Ordering::Equal) => self.input.partial_cmp(&other.input),
            unequal => unequal,
        }
    }
}

impl UserDefinedLogicalNodeCore for WindowAssign {
    fn name(&self) -> &'static str {
        "WindowAssign"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.time.clone()]
    }

    /// A condition on a window column cannot be tested before there is one.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        WINDOW_COLUMNS.iter().map(ToString::to_string).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.spec, self.time)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (exprs.pop(), inputs.pop()) {
            (Some(time), Some(input)) => Self::try_new(input, time, self.spec),
            _ => Err(DataFusionError::Internal("a window node has one expression and one input".to_owned())),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < inputs).collect()])
    }
}

/// Plans window functions in FROM, and refuses what would otherwise be ignored there.
#[derive(Debug)]
pub(crate) struct WindowFunctions;

impl RelationPlanner for WindowFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (name, arguments, alias) = match &relation {
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias } => {
                let FunctionArguments::List(list) = &function.args else {
                    return Ok(RelationPlanning::Original(Box::new(relation)));
                };
                (&function.name, &list.args, alias)
            }
            TableFactor::Table { name, args: Some(arguments), alias, .. } => (name, &arguments.args, alias),
            TableFactor::Table { version: Some(_), name, .. } => {
                return Err(SqlError::new("FOR SYSTEM_TIME AS OF is not available here")
                    .at(Position::of(name.span()))
                    .hint("join the live table as it is now, without FOR SYSTEM_TIME")
                    .into());
            }
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let function = name.to_string().to_uppercase();
        let at = Position::of(name.span());
        let plan = match function.as_str() {
            "TUMBLE" => plan_tumble(arguments, context).map_err(|error| place(error, at))?,
            "HOP" | "CUMULATE" | "SESSION" => {
                return Err(SqlError::new(format!("{function} windows are not available yet"))
                    .at(at)
                    .hint("TUMBLE is")
                    .into());
            }
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// Gives an error without a place the place of the function.
fn place(error: DataFusionError, at: Option<Position>) -> DataFusionError {
    SqlError::from(error).at(at).into()
}

const TUMBLE_FORM: &str = "write TABLE(TUMBLE(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))";

fn plan_tumble(arguments: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let [data, time, size, offset] = bind_arguments(arguments, ["DATA", "TIMECOL", "SIZE", "OFFSET"])?;
    let missing = |what: &str| DataFusionError::from(SqlError::new(format!("TUMBLE needs {what}")).hint(TUMBLE_FORM));
    let input = match data {
        Some(ast::Expr::Subquery(subquery)) => {
            context.plan(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })?
        }
        _ => return Err(missing("a table as its first argument")),
    };
    let time = plan_descriptor(time.ok_or_else(|| missing("DESCRIPTOR(time column)"))?, &input, context)?;
    let size = plan_interval(size.ok_or_else(|| missing("a size"))?, &input, context)?;
    if size.0 <= 0 {
        return Err(SqlError::new(format!("a window's size must be positive, got {} ms", size.0)).into());
    }
    let offset = offset.map(|offset| plan_interval(offset, &input, context)).transpose()?.unwrap_or_default();
    let offset = Duration(offset.0.rem_euclid(size.0));
    let node = WindowAssign::try_new(input, time, WindowSpec::Tumble { size, offset })?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Arguments by position or by name, as Flink takes them.
fn bind_arguments<const N: usize>(arguments: &[FunctionArg], names: [&str; N]) -> Result<[Option<ast::Expr>; N]> {
    let mut bound = [const { None }; N];
    for (position, argument) in arguments.iter().enumerate() {
        let (slot, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(position), value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value)
            }
            other => return Err(SqlError::new(format!("a window function cannot take the argument {other}")).into()),
        };
        match slot.and_then(|slot| bound.get_mut(slot)) {
            Some(place @ None) => *place = Some(value.clone()),
            _ => {
                let error = SqlError::new(format!("unexpected argument {argument}")).at(Position::of(argument.span()));
                return Err(error.hint(format!("the arguments are {}", names.join(", "))).into());
            }
        }
    }
    Ok(bound)
}

/// `DESCRIPTOR(ts)`: a column of the input.
fn plan_descriptor(argument: ast::Expr, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    let at = Position::of(argument.span());
    if let ast::Expr::Function(function) = &argument
        && function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR")
        && let FunctionArguments::List(list) = &function.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] = list.args.as_slice()
        && let ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) = column
    {
        return context.sql_to_expr(column.clone(), input.schema());
    }
    Err(SqlError::new(format!("expected DESCRIPTOR(column), found {argument}")).at(at).hint(TUMBLE_FORM).into())
}

fn plan_interval(
    argument: ast::Expr,
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<Duration> {
    let at = Position::of(argument.span());
    let text = argument.to_string();
    let value = context.sql_to_expr(argument, input.schema())?;
    interval_ms(&value).ok_or_else(|| {
        SqlError::new(format!("expected an interval of fixed length, found {text}"))
            .at(at)
            .hint("write for example INTERVAL '1' MINUTE; months and years have no fixed length")
            .into()
    })
}

/// The length of an interval literal; `None` for months, fractions of milliseconds and everything else.
pub(crate) fn interval_ms(value: &Expr) -> Option<Duration> {
    const DAY_MS: i64 = 86_400_000;
    match value {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _)
            if interval.months == 0 && interval.nanoseconds % 1_000_000 == 0 =>
        {
            Some(Duration(i64::from(interval.days) * DAY_MS + interval.nanoseconds / 1_000_000))
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => {
            Some(Duration(i64::from(interval.days) * DAY_MS + i64::from(interval.milliseconds)))
        }
        Expr::Negative(inner) => interval_ms(inner).map(|length| Duration(-length.0)),
        _ => None,
    }
}
