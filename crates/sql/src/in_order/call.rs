//! Calls of functions over rows in order in FROM. The first argument is `TABLE t`, which PARTITION BY may follow, or a
//! subquery in parentheses; the others are columns as `DESCRIPTOR(a, b)` and literals, by position.

use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, TableFactor, Value,
};
use millstream_core::Duration;

use super::{InOrder, InOrderFunction, Reach, analytics};
use crate::window::{interval_ms, partition_keys};
use crate::{Position, SqlError};

/// A function: its name, how to write it, and how its arguments are read.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
    pub(super) read: fn(&mut Arguments) -> Read,
}

/// The function, and its columns, of which the first is the time.
pub(super) type Read = Result<(InOrderFunction, Vec<Expr>), SqlError>;

const FORMS: [Form; 7] = [
    Form {
        name: "STAGGER",
        example: "write TABLE(STAGGER(TABLE events PARTITION BY user_id, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))",
        read: |arguments| {
            let (time, mut keys) = (arguments.column()?, arguments.take_keys());
            let length = arguments.interval("a length")?;
            // Keys of a subquery, which PARTITION BY cannot follow.
            if !arguments.is_empty() {
                keys.extend(arguments.columns()?);
            }
            Ok((InOrderFunction::Stagger { length }, [vec![time], keys].concat()))
        },
    },
    Form {
        name: "SORT_WITHIN",
        example: "write TABLE(SORT_WITHIN(TABLE events, DESCRIPTOR(arrival), DESCRIPTOR(event_time), INTERVAL '1' MINUTE))",
        read: |arguments| {
            let columns = vec![arguments.column()?, arguments.column()?];
            Ok((InOrderFunction::SortWithin { slack: arguments.interval("a slack")? }, columns))
        },
    },
    Form {
        name: "DISTINCT_IN_ORDER",
        example: "write TABLE(DISTINCT_IN_ORDER((SELECT *, date_trunc('hour', event_time) AS hour FROM events), \
               DESCRIPTOR(event_time), DESCRIPTOR(hour), DESCRIPTOR(user_id)))",
        read: |arguments| {
            let (time, lead) = (arguments.column()?, arguments.column()?);
            Ok((InOrderFunction::DistinctInOrder, [vec![time, lead], arguments.columns()?].concat()))
        },
    },
    Form {
        name: "SORT_IN_ORDER",
        example: "write TABLE(SORT_IN_ORDER((SELECT *, date_trunc('second', event_time) AS second FROM events), \
               DESCRIPTOR(event_time), DESCRIPTOR(second), DESCRIPTOR(score), 'desc', INTERVAL '1' SECOND))",
        read: |arguments| {
            let (time, lead, by) = (arguments.column()?, arguments.column()?, arguments.columns()?);
            let descending = directions(&arguments.text("a direction for each column")?, by.len())?;
            let step = if arguments.is_empty() { None } else { Some(arguments.interval("the lead's step of time")?) };
            Ok((InOrderFunction::SortInOrder { descending, step }, [vec![time, lead], by].concat()))
        },
    },
    Form {
        name: "IN_TIME",
        example: "write TABLE(IN_TIME((SELECT …), DESCRIPTOR(event_time)))",
        read: |arguments| {
            let mut columns = vec![arguments.column()?];
            if !arguments.is_empty() {
                columns.push(arguments.column()?);
                // Another name for the same time is the same time.
                columns.dedup();
            }
            Ok((InOrderFunction::InTime, columns))
        },
    },
    Form {
        name: "PAIRS",
        example: "write TABLE(PAIRS((SELECT … FROM a UNION ALL SELECT … FROM b), DESCRIPTOR(event_time), DESCRIPTOR(side), \
               DESCRIPTOR(a1, a2), '10 rows', '60000 ms'))",
        read: |arguments| {
            let (time, side) = (arguments.column()?, arguments.column()?);
            let columns = [vec![time, side], arguments.columns()?].concat();
            let mut window = || {
                let text = arguments.text("the windows of both sides")?;
                Reach::parse(&text).ok_or_else(|| {
                    let error = SqlError::new(format!("`{text}` is no window"));
                    error.hint("windows are so many rows, '10 rows', or so long, '60000 ms'")
                })
            };
            Ok((InOrderFunction::Pairs { windows: [window()?, window()?] }, columns))
        },
    },
    Form {
        name: "SETS",
        example: "write TABLE(SETS(TABLE events, DESCRIPTOR(event_time), DESCRIPTOR(batch)))",
        read: |arguments| {
            let time = arguments.column()?;
            Ok((InOrderFunction::Sets, [vec![time], arguments.columns()?].concat()))
        },
    },
];

fn forms() -> impl Iterator<Item = &'static Form> {
    FORMS.iter().chain(&analytics::FORMS)
}

/// The names of the functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    forms().map(|form| form.name)
}

/// Plans these functions in FROM; leaves others to whoever knows them.
#[derive(Debug)]
pub(crate) struct InOrderFunctions;

impl RelationPlanner for InOrderFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (name, arguments, alias) = match &relation {
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias } => match &function.args {
                FunctionArguments::List(list) => (&function.name, &list.args, alias),
                _ => return Ok(RelationPlanning::Original(Box::new(relation))),
            },
            TableFactor::Table { name, args: Some(arguments), alias, .. } => (name, &arguments.args, alias),
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let called = name.to_string();
        let Some(form) = forms().find(|form| form.name.eq_ignore_ascii_case(&called)) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = plan(form, arguments, context).map_err(|error| {
            let error = SqlError::from(error).at(Position::of(name.span()));
            DataFusionError::from(if error.hint.is_some() { error } else { error.hint(form.example) })
        })?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

fn plan(form: &Form, given: &[FunctionArg], context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let mut values = Vec::new();
    for argument in given {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument else {
            return Err(SqlError::new(format!("{} takes its arguments by position, not {argument}", form.name)).into());
        };
        values.push(value.clone());
    }
    let mut values = values.into_iter();
    let Some(ast::Expr::Subquery(mut data)) = values.next() else {
        return Err(SqlError::new(format!("{} needs a table as its first argument", form.name)).into());
    };
    let keys = partition_keys(&mut data);
    let input = context.plan(TableFactor::Derived { lateral: false, subquery: data, alias: None, sample: None })?;
    let schema = Arc::clone(input.schema());
    let mut arguments = Arguments { name: form.name, schema, keys: Vec::new(), values: Vec::new() };
    for key in keys {
        let at = Position::of(key.span());
        let planned = context.sql_to_expr(key, input.schema())?;
        if !matches!(planned, Expr::Column(_)) {
            let error = SqlError::new(format!("PARTITION BY takes columns, not {planned}")).at(at);
            return Err(error.hint("compute it under a name in a subquery, and partition by that").into());
        }
        arguments.keys.push(planned);
    }
    for value in values {
        arguments.values.push(argument(value, &input, context)?);
    }
    arguments.values.reverse();
    let (function, columns) = (form.read)(&mut arguments)?;
    if let Some(key) = arguments.keys.first() {
        return Err(SqlError::new(format!("{} takes no PARTITION BY, found {key}", form.name)).into());
    }
    if !arguments.is_empty() {
        return Err(SqlError::new(format!("{} has too many arguments", form.name)).into());
    }
    let node = InOrder::try_new(input, function, columns)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// An argument behind the input.
enum Argument {
    Columns(Vec<Expr>),
    Interval(Duration),
    Text(String),
    /// As it was written.
    Number(String),
    Flag(bool),
}

fn argument(value: ast::Expr, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<Argument> {
    let (at, text) = (Position::of(value.span()), value.to_string());
    let wrong = |message: String| DataFusionError::from(SqlError::new(message).at(at));
    match value {
        ast::Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR") => {
            let FunctionArguments::List(list) = function.args else {
                return Err(wrong(format!("expected DESCRIPTOR(column), found {text}")));
            };
            let columns = list.args.into_iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(
                    column @ (ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)),
                )) => context.sql_to_expr(column, input.schema()),
                other => Err(wrong(format!("expected a column in DESCRIPTOR, found {other}"))),
            });
            Ok(Argument::Columns(columns.collect::<Result<_>>()?))
        }
        ast::Expr::Value(value) => match value.value {
            Value::SingleQuotedString(text) => Ok(Argument::Text(text)),
            Value::Number(..) => Ok(Argument::Number(text)),
            Value::Boolean(flag) => Ok(Argument::Flag(flag)),
            _ => Err(wrong(format!("expected DESCRIPTOR, an interval, a text or a number, found {text}"))),
        },
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } if matches!(*expr, ast::Expr::Value(_)) => {
            Ok(Argument::Number(text))
        }
        other => match interval_ms(&context.sql_to_expr(other, input.schema())?) {
            Some(length) if length.0 >= 0 => Ok(Argument::Interval(length)),
            Some(_) => Err(wrong(format!("{text} is negative"))),
            None => Err(wrong(format!("expected an interval of fixed length, found {text}"))),
        },
    }
}

/// The arguments that have not been read yet, the next one last.
pub(super) struct Arguments {
    name: &'static str,
    /// The columns of the input.
    pub(super) schema: DFSchemaRef,
    /// PARTITION BY.
    keys: Vec<Expr>,
    values: Vec<Argument>,
}

impl Arguments {
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn missing(&self, what: &str) -> SqlError {
        SqlError::new(format!("{} needs {what}", self.name))
    }

    pub(super) fn take_keys(&mut self) -> Vec<Expr> {
        std::mem::take(&mut self.keys)
    }

    /// `DESCRIPTOR(a)`.
    pub(super) fn column(&mut self) -> Result<Expr, SqlError> {
        match self.values.pop() {
            Some(Argument::Columns(mut columns)) if columns.len() == 1 => Ok(columns.remove(0)),
            _ => Err(self.missing("DESCRIPTOR(column)")),
        }
    }

    /// `DESCRIPTOR(a, b)`.
    pub(super) fn columns(&mut self) -> Result<Vec<Expr>, SqlError> {
        match self.values.pop() {
            Some(Argument::Columns(columns)) if !columns.is_empty() => Ok(columns),
            _ => Err(self.missing("DESCRIPTOR(columns)")),
        }
    }

    pub(super) fn interval(&mut self, what: &str) -> Result<Duration, SqlError> {
        match self.values.pop() {
            Some(Argument::Interval(length)) => Ok(length),
            _ => Err(self.missing(&format!("{what}, an interval"))),
        }
    }

    /// Whether DESCRIPTOR comes next.
    pub(super) fn has_columns(&self) -> bool {
        matches!(self.values.last(), Some(Argument::Columns(_)))
    }

    /// A number; the default, where there is one, when no argument is left.
    pub(super) fn number<T: FromStr>(&mut self, what: &str, default: Option<T>) -> Result<T, SqlError> {
        match (self.values.pop(), default) {
            (None, Some(default)) => Ok(default),
            (Some(Argument::Number(text)), _) => match text.parse() {
                Ok(number) => Ok(number),
                Err(_) => Err(SqlError::new(format!("{what} of {} cannot be {text}", self.name))),
            },
            _ => Err(self.missing(&format!("{what}, a number"))),
        }
    }

    /// TRUE or FALSE; FALSE when no argument is left.
    pub(super) fn flag(&mut self, what: &str) -> Result<bool, SqlError> {
        match self.values.pop() {
            None => Ok(false),
            Some(Argument::Flag(flag)) => Ok(flag),
            Some(_) => Err(self.missing(&format!("{what}, TRUE or FALSE"))),
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, SqlError> {
        match self.values.pop() {
            Some(Argument::Text(text)) => Ok(text),
            _ => Err(self.missing(&format!("{what}, a text"))),
        }
    }
}

/// `asc,desc`: for each column whether it is descending.
fn directions(text: &str, columns: usize) -> Result<Vec<bool>, SqlError> {
    let words = text.split(',').map(|word| match word.trim().to_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        other => Err(SqlError::new(format!("`{other}` is no direction")).hint("directions are asc and desc")),
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    if words.len() == columns {
        return Ok(words);
    }
    Err(SqlError::new(format!("{columns} columns have {} directions", words.len()))
        .hint("write one for each, such as 'desc,asc'"))
}
