//! Calls of window functions in FROM, as Flink writes them, by position or by name.
//!
//! | function | arguments after `TABLE t, DESCRIPTOR(ts)` |
//! |---|---|
//! | `TUMBLE` | size, offset |
//! | `HOP` | slide, size, offset |
//! | `CUMULATE` | step, size, offset |
//! | `SESSION` | gap; its table may be followed by `PARTITION BY k` |
//!
//! All take `TIMEZONE => 'Asia/Seoul'`, which makes days the calendar days of that place.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr, Spanned, TableFactor,
};
use millstream_core::{Duration, Grid, Step, WindowSpec};

use super::WindowAssign;
use crate::{Position, SqlError};

/// A window function: its name, the names of its arguments in order, and how to write it.
struct WindowFunction {
    name: &'static str,
    arguments: &'static [&'static str],
    form: &'static str,
}

const ZONE: &str = "TIMEZONE";

const FUNCTIONS: [WindowFunction; 4] = [
    WindowFunction {
        name: "TUMBLE",
        arguments: &["DATA", "TIMECOL", "SIZE", "OFFSET", ZONE],
        form: "write TABLE(TUMBLE(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))",
    },
    WindowFunction {
        name: "HOP",
        arguments: &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET", ZONE],
        form: "write TABLE(HOP(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)): slide, then size",
    },
    WindowFunction {
        name: "CUMULATE",
        arguments: &["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET", ZONE],
        form: "write TABLE(CUMULATE(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' HOUR, INTERVAL '1' DAY)): step, then size",
    },
    WindowFunction {
        name: "SESSION",
        arguments: &["DATA", "TIMECOL", "GAP"],
        form: "write TABLE(SESSION(TABLE events PARTITION BY user_id, DESCRIPTOR(event_time), INTERVAL '30' MINUTE))",
    },
];

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
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let at = Position::of(name.span());
        let called = name.to_string();
        let Some(function) = FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(&called)) else {
            let names: Vec<&str> =
                FUNCTIONS.iter().map(|function| function.name).chain(crate::in_order::names()).collect();
            let error = SqlError::new(format!("there is no table function `{called}`")).at(at);
            return Err(error.hint(format!("there are {}", names.join(", "))).into());
        };
        let plan = Call::bind(function, arguments)
            .and_then(|call| call.plan(context))
            .map_err(|error| DataFusionError::from(SqlError::from(error).at(at)))?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

/// A call with its arguments in their places.
struct Call {
    function: &'static WindowFunction,
    arguments: Vec<Option<ast::Expr>>,
}

impl Call {
    fn bind(function: &'static WindowFunction, given: &[FunctionArg]) -> Result<Self> {
        let names = function.arguments;
        let mut arguments = vec![None; names.len()];
        for (position, argument) in given.iter().enumerate() {
            let (slot, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(position), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    (names.iter().position(|known| name.value.eq_ignore_ascii_case(known)), value)
                }
                other => {
                    return Err(SqlError::new(format!("a window function cannot take the argument {other}")).into());
                }
            };
            match slot.and_then(|slot| arguments.get_mut(slot)) {
                Some(place @ None) => *place = Some(value.clone()),
                _ => {
                    let error = SqlError::new(format!("unexpected argument {argument}"));
                    let error = error.at(Position::of(argument.span()));
                    return Err(error.hint(format!("the arguments are {}", names.join(", "))).into());
                }
            }
        }
        Ok(Self { function, arguments })
    }

    fn plan(mut self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let Some(ast::Expr::Subquery(mut data)) = self.take("DATA") else {
            return Err(self.missing("a table as its first argument"));
        };
        let keys = partition_keys(&mut data);
        let input = context.plan(TableFactor::Derived { lateral: false, subquery: data, alias: None, sample: None })?;
        let time = self.take("TIMECOL").ok_or_else(|| self.missing("DESCRIPTOR(time column)"))?;
        let time = self.descriptor(time, &input, context)?;
        let spec = self.spec(&input, context)?;
        if let (Some(key), false) = (keys.first(), matches!(spec, WindowSpec::Session { .. })) {
            let error = SqlError::new(format!("{} windows are the same for all keys", self.function.name));
            let error = error.at(Position::of(key.span()));
            return Err(error.hint("leave PARTITION BY out, and put the key into GROUP BY").into());
        }
        let keys = keys.into_iter().map(|key| context.sql_to_expr(key, input.schema()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let node = WindowAssign::try_new(input, time, spec, keys)?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn spec(&mut self, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<WindowSpec> {
        let zone = self.take(ZONE).map(|zone| plan_zone(&zone)).transpose()?;
        let mut calendar = zone.is_none();
        let mut length = |call: &mut Self, name: &'static str| {
            let what = format!("a {}", name.to_lowercase());
            let argument = call.take(name).ok_or_else(|| call.missing(&what))?;
            let step = plan_step(argument, zone, input, context)?;
            calendar |= !matches!(step, Step::Fixed(_));
            Ok::<_, DataFusionError>(step)
        };
        let spec = match self.function.name {
            "SESSION" => match length(self, "GAP")? {
                Step::Fixed(gap) => WindowSpec::Session { gap },
                calendar => return Err(SqlError::new(format!("a gap has a fixed length, not {calendar}")).into()),
            },
            "TUMBLE" => WindowSpec::Tumble(Grid { step: length(self, "SIZE")?, offset: Duration(0) }),
            "HOP" => {
                let (slide, size) = (length(self, "SLIDE")?, length(self, "SIZE")?);
                let fixed = matches!((slide, size), (Step::Fixed(_), Step::Fixed(_)));
                if !fixed && size.divided_by(slide).is_none() {
                    let error = SqlError::new(format!("a size of {size} is no multiple of a slide of {slide}"));
                    return Err(error.hint("windows of calendar days or months slide by a part of their size").into());
                }
                WindowSpec::Hop { slide: Grid { step: slide, offset: Duration(0) }, size }
            }
            _ => {
                let (step, max) = (length(self, "STEP")?, length(self, "SIZE")?);
                let mixed = matches!(step, Step::Fixed(_)) && !matches!(max, Step::Fixed(_));
                let divides = max.divided_by(step).is_some();
                let days_of_months = matches!((step, max), (Step::Days { .. }, Step::Months { .. }));
                if step.approximate() > max.approximate() || !(divides || days_of_months || mixed) {
                    let error = SqlError::new(format!("a size of {max} is no multiple of a step of {step}"));
                    return Err(error.hint("choose a step that divides the size").into());
                }
                WindowSpec::Cumulate { max: Grid { step: max, offset: Duration(0) }, step }
            }
        };
        if !calendar {
            let error = SqlError::new(format!("{spec} is the same in every time zone"));
            return Err(error
                .hint("a time zone is for days, months and years; shift shorter windows by an offset")
                .into());
        }
        let Some(offset) = self.take("OFFSET") else { return Ok(spec) };
        let at = Position::of(offset.span());
        let value = context.sql_to_expr(offset, input.schema())?;
        let Some(offset) = interval_ms(&value) else {
            return Err(SqlError::new(format!("an offset is an interval of fixed length, found {value}"))
                .at(at)
                .into());
        };
        Ok(with_offset(spec, offset))
    }

    fn take(&mut self, name: &str) -> Option<ast::Expr> {
        let slot = self.function.arguments.iter().position(|known| *known == name)?;
        self.arguments.get_mut(slot)?.take()
    }

    fn missing(&self, what: &str) -> DataFusionError {
        SqlError::new(format!("{} needs {what}", self.function.name)).hint(self.function.form).into()
    }

    /// `DESCRIPTOR(ts)`: a column of the input.
    fn descriptor(
        &self,
        argument: ast::Expr,
        input: &LogicalPlan,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Expr> {
        let at = Position::of(argument.span());
        if let ast::Expr::Function(function) = &argument
            && function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR")
            && let FunctionArguments::List(list) = &function.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] = list.args.as_slice()
            && let ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) = column
        {
            return context.sql_to_expr(column.clone(), input.schema());
        }
        let error = SqlError::new(format!("expected DESCRIPTOR(column), found {argument}"));
        Err(error.at(at).hint(self.function.form).into())
    }
}

/// The parser keeps `TABLE t PARTITION BY k` as `(SELECT * FROM t CLUSTER BY k)`.
pub(crate) fn partition_keys(data: &mut ast::Query) -> Vec<ast::Expr> {
    match data.body.as_mut() {
        SetExpr::Select(select) => std::mem::take(&mut select.cluster_by),
        _ => Vec::new(),
    }
}

fn with_offset(spec: WindowSpec, offset: Duration) -> WindowSpec {
    let shifted = |grid: Grid| match grid.step {
        Step::Fixed(size) => Grid { offset: Duration(offset.0.rem_euclid(size.0)), ..grid },
        Step::Days { .. } | Step::Months { .. } => Grid { offset, ..grid },
    };
    match spec {
        WindowSpec::Tumble(grid) => WindowSpec::Tumble(shifted(grid)),
        WindowSpec::Hop { slide, size } => WindowSpec::Hop { slide: shifted(slide), size },
        WindowSpec::Cumulate { max, step } => WindowSpec::Cumulate { max: shifted(max), step },
        session @ WindowSpec::Session { .. } => session,
    }
}

fn plan_zone(argument: &ast::Expr) -> Result<Tz> {
    let at = Position::of(argument.span());
    let name = match argument {
        ast::Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    let zone = name.as_deref().and_then(|name| name.parse().ok());
    zone.ok_or_else(|| {
        SqlError::new(format!("{argument} is not the name of a time zone"))
            .at(at)
            .hint("write for example TIMEZONE => 'Asia/Seoul'")
            .into()
    })
}

fn plan_step(
    argument: ast::Expr,
    zone: Option<Tz>,
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<Step> {
    let at = Position::of(argument.span());
    let text = argument.to_string();
    let value = context.sql_to_expr(argument, input.schema())?;
    let wrong = |message: String, hint: &str| DataFusionError::from(SqlError::new(message).at(at).hint(hint));
    let example = "write for example INTERVAL '1' MINUTE";
    match interval_step(&value, zone) {
        Some(step) if step.approximate().0 <= 0 => Err(wrong(format!("{text} is not positive"), example)),
        Some(step) => Ok(step),
        None => {
            Err(wrong(format!("expected an interval of days or months, or of fixed length, found {text}"), example))
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// The step an interval literal means: months are the calendar's, days too when there is a zone.
pub(crate) fn interval_step(value: &Expr, zone: Option<Tz>) -> Option<Step> {
    let calendar = zone.unwrap_or(Tz::UTC);
    match (value, zone) {
        (Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _), _)
            if interval.months != 0 && interval.days == 0 && interval.nanoseconds == 0 =>
        {
            Some(Step::Months { count: interval.months, zone: calendar })
        }
        (Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _), _) => {
            Some(Step::Months { count: *months, zone: calendar })
        }
        (Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _), Some(zone))
            if interval.months == 0 && interval.days != 0 && interval.nanoseconds == 0 =>
        {
            Some(Step::Days { count: interval.days, zone })
        }
        _ => interval_ms(value).map(Step::Fixed),
    }
}

/// The length of an interval literal; `None` for months, fractions of milliseconds and everything else.
pub(crate) fn interval_ms(value: &Expr) -> Option<Duration> {
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
