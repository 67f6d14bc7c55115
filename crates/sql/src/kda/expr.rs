//! Expressions of KDA in native SQL.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CeilFloorKind, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, NamedWindowDefinition, NullTreatment, Spanned,
    TrimWhereField, TypedString, UnaryOperator, Value as Literal,
};

use super::Findings;
use super::columns::{Class, Mono, ROWTIME, Value, quote, text};
use super::dialect::PERIOD;
use super::functions::{Call, function, nearest, never_was, result_type};
use super::graph::World;
use super::interval::{self, Length};
use super::over::{Overs, frame_of};
use super::scope::{Scope, is_rowtime};
use super::statements::fold;
use super::tokens::{DIFFERENCE, NTH_FROM_LAST, STAGGER, WITHIN};
use super::types::KdaType;
use crate::{Position, SqlError};

/// The translation of the expressions of one SELECT.
pub(super) struct Exprs<'a> {
    pub(super) world: &'a World,
    pub(super) scope: &'a Scope,
    pub(super) findings: &'a mut Findings,
    /// What bare ROWTIME is outside of the steps that groups are made by: the ROWTIME of the result.
    pub(super) rowtime: Option<Value>,
    /// Expressions that stand for a bound of the row's window.
    pub(super) keys: Vec<(String, Value)>,
    /// Where calls with OVER are collected; `None`: there may be none.
    pub(super) overs: Option<&'a mut Overs>,
    pub(super) windows: &'a [NamedWindowDefinition],
    /// Inside of STEP, FLOOR and CEIL bare ROWTIME is the row's own.
    pub(super) in_step: bool,
}

impl Exprs<'_> {
    /// The value of an expression.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value, SqlError> {
        let value = self.inner(expr).map_err(|error| error.at(Position::of(expr.span())))?;
        match self.keys.iter().find(|(sql, _)| *sql == value.sql) {
            Some((_, key)) => Ok(key.clone()),
            None => Ok(value),
        }
    }

    /// The value of an expression; what is wrong with it is told, so that what is wrong elsewhere is told too.
    pub(super) fn value_or_told(&mut self, expr: &Expr) -> Value {
        self.value(expr).unwrap_or_else(|error| {
            self.findings.errors.push(error);
            Value::new("NULL", Class::Unknown)
        })
    }

    fn sql(&mut self, expr: &Expr) -> Result<String, SqlError> {
        Ok(self.value(expr)?.sql)
    }

    fn inner(&mut self, expr: &Expr) -> Result<Value, SqlError> {
        let boolean = |sql: String| Ok(Value::new(sql, Class::Boolean));
        match expr {
            Expr::Identifier(ident) => self.name(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(parts) => self.name(parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                use datafusion::sql::sqlparser::ast::AccessExpr;
                let mut value = self.value(root)?;
                for access in access_chain {
                    let AccessExpr::Dot(Expr::Identifier(member)) = access else {
                        return Err(SqlError::new(format!("{expr} is no member of a record")));
                    };
                    value = Value::new(format!("get_field({}, {})", value.sql, text(&fold(member))), Class::Text);
                }
                Ok(value)
            }
            Expr::Nested(inner) => {
                let value = self.value(inner)?;
                let sql = format!("({})", value.sql);
                Ok(Value { sql, ..value })
            }
            Expr::Value(literal) => self::literal(&literal.value),
            Expr::TypedString(typed) => typed_literal(typed),
            Expr::Interval(literal) => {
                let length = interval::read(literal)?;
                Ok(Value::new(length.sql(), Class::Interval).with_mono(Some(Mono::Constant)))
            }
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(inner) => boolean(format!("{} IS NULL", self.sql(inner)?)),
            Expr::IsNotNull(inner) => boolean(format!("{} IS NOT NULL", self.sql(inner)?)),
            Expr::IsTrue(inner) => boolean(format!("{} IS TRUE", self.sql(inner)?)),
            Expr::IsNotTrue(inner) => boolean(format!("{} IS NOT TRUE", self.sql(inner)?)),
            Expr::IsFalse(inner) => boolean(format!("{} IS FALSE", self.sql(inner)?)),
            Expr::IsNotFalse(inner) => boolean(format!("{} IS NOT FALSE", self.sql(inner)?)),
            Expr::IsUnknown(inner) => boolean(format!("{} IS UNKNOWN", self.sql(inner)?)),
            Expr::IsNotUnknown(inner) => boolean(format!("{} IS NOT UNKNOWN", self.sql(inner)?)),
            Expr::IsDistinctFrom(a, b) => boolean(format!("{} IS DISTINCT FROM {}", self.sql(a)?, self.sql(b)?)),
            Expr::IsNotDistinctFrom(a, b) => boolean(format!("{} IS NOT DISTINCT FROM {}", self.sql(a)?, self.sql(b)?)),
            Expr::Between { expr, negated, low, high } => {
                let not = if *negated { "NOT " } else { "" };
                boolean(format!("{} {not}BETWEEN {} AND {}", self.sql(expr)?, self.sql(low)?, self.sql(high)?))
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Like { negated, expr, pattern, escape_char, any: false } => {
                let not = if *negated { "NOT " } else { "" };
                let pattern = match escape_char {
                    Some(escape) => escaped(pattern, &escape.value)?,
                    None => self.pattern(pattern)?,
                };
                boolean(format!("{} {not}LIKE {pattern}", self.sql(expr)?))
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                let escape = escape_char.as_ref().map(|escape| format!(", {escape}")).unwrap_or_default();
                let similar = format!("kda_similar({}, {}{escape})", self.sql(expr)?, self.pattern(pattern)?);
                boolean(if *negated { format!("NOT {similar}") } else { similar })
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { expr, data_type, .. } => {
                let to = KdaType::parse(&data_type.to_string())?;
                self.cast(expr, to)
            }
            Expr::Extract { field, expr, .. } => {
                let unit = field.to_string().to_uppercase();
                Ok(Value::new(format!("kda_extract({}, {})", text(&unit), self.sql(expr)?), Class::Integer))
            }
            Expr::Floor { expr, field } => self.floor(expr, field, false),
            Expr::Ceil { expr, field } => self.floor(expr, field, true),
            Expr::Position { expr, r#in } => {
                Ok(Value::new(format!("strpos({}, {})", self.sql(r#in)?, self.sql(expr)?), Class::Integer))
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let value = self.value(expr)?;
                let from = substring_from.as_deref().and_then(number);
                // The beginnings of texts that rise rise too.
                let mono = value.mono.filter(|mono| rises(*mono) && matches!(from, Some(0 | 1)));
                let mut arguments = vec![value.sql];
                for argument in [substring_from, substring_for].into_iter().flatten() {
                    arguments.push(self.sql(argument)?);
                }
                Ok(Value::new(format!("kda_substring({})", arguments.join(", ")), Class::Text).with_mono(mono))
            }
            Expr::Trim { trim_where, trim_what, expr, .. } => {
                let side = match trim_where {
                    Some(TrimWhereField::Leading) => "LEADING",
                    Some(TrimWhereField::Trailing) => "TRAILING",
                    _ => "BOTH",
                };
                let what = match trim_what {
                    Some(what) => self.sql(what)?,
                    None => text(" "),
                };
                Ok(Value::new(format!("trim({side} {what} FROM {})", self.sql(expr)?), Class::Text))
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let parts = [expr, overlay_what, overlay_from].into_iter().chain(overlay_for);
                let parts = parts.map(|part| self.sql(part)).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::new(format!("kda_overlay({})", parts.join(", ")), Class::Text))
            }
            Expr::Function(function) => self.call(function),
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                let error = SqlError::new("subqueries in expressions are not for streams");
                Err(error.hint("join the other relation in FROM"))
            }
            other => Err(SqlError::new(format!("{other} is not in the SQL of Kinesis Data Analytics"))),
        }
    }

    fn name(&mut self, parts: &[Ident]) -> Result<Value, SqlError> {
        if let [name] = parts
            && is_rowtime(name)
            && let Some(rowtime) = &self.scope.rowtime
        {
            return Ok(match &self.rowtime {
                Some(of_result) if !self.in_step => of_result.clone(),
                _ => Value::time(rowtime.clone(), Some(Mono::RowTime)),
            });
        }
        if let [name] = parts
            && name.quote_style.is_none()
            && self.scope.resolve(parts, &mut Findings::default()).is_err()
            && let Some((Call::Scalar(native), class)) = function(&name.value.to_uppercase())
            && class == Class::Time
        {
            return Ok(clock(native, &name.value.to_uppercase()));
        }
        self.scope.resolve(parts, self.findings)
    }

    fn unary(&mut self, op: UnaryOperator, expr: &Expr) -> Result<Value, SqlError> {
        let value = self.value(expr)?;
        Ok(match op {
            UnaryOperator::Plus => value,
            UnaryOperator::Minus => {
                let mono = value.mono.map(reversed);
                Value { sql: format!("-{}", value.sql), mono, declared: None, class: value.class }
            }
            UnaryOperator::Not => Value::new(format!("NOT {}", value.sql), Class::Boolean),
            other => {
                return Err(SqlError::new(format!("the operator {other} is not in the SQL of Kinesis Data Analytics")));
            }
        })
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Value, SqlError> {
        use BinaryOperator::{
            And, Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or, Plus, StringConcat,
        };
        if let (Expr::Tuple(a), Expr::Tuple(b)) = (unnested(left), unnested(right)) {
            return self.rows(a, op, b);
        }
        match op {
            Plus | Minus | Multiply | Divide => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                arithmetic(&left, op, &right)
            }
            And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq => {
                Ok(Value::new(format!("{} {op} {}", self.sql(left)?, self.sql(right)?), Class::Boolean))
            }
            StringConcat => Ok(Value::new(format!("{} || {}", self.sql(left)?, self.sql(right)?), Class::Text)),
            Modulo => Err(SqlError::new("% is not in the SQL of Kinesis Data Analytics").hint("write MOD(a, b)")),
            other => Err(SqlError::new(format!("the operator {other} is not in the SQL of Kinesis Data Analytics"))),
        }
    }

    /// `(a, b) < (c, d)`: the first difference decides.
    fn rows(&mut self, left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Value, SqlError> {
        if left.len() != right.len() {
            let message = format!("a row of {} values is compared with one of {}", left.len(), right.len());
            return Err(SqlError::new(message));
        }
        let left = left.iter().map(|expr| self.sql(expr)).collect::<Result<Vec<_>, _>>()?;
        let right = right.iter().map(|expr| self.sql(expr)).collect::<Result<Vec<_>, _>>()?;
        let equal = |upto: usize| left.iter().zip(&right).take(upto).map(|(a, b)| format!("{a} = {b}"));
        let sql = match op {
            BinaryOperator::Eq => equal(left.len()).collect::<Vec<_>>().join(" AND "),
            BinaryOperator::NotEq => format!("NOT ({})", equal(left.len()).collect::<Vec<_>>().join(" AND ")),
            BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
                let strict = if matches!(op, BinaryOperator::Lt | BinaryOperator::LtEq) { "<" } else { ">" };
                let ways = (0..left.len()).map(|place| {
                    let last = place + 1 == left.len();
                    let own = if last { op.to_string() } else { strict.to_owned() };
                    let parts = equal(place).chain([format!("{} {own} {}", left[place], right[place])]);
                    format!("({})", parts.collect::<Vec<_>>().join(" AND "))
                });
                ways.collect::<Vec<_>>().join(" OR ")
            }
            other => return Err(SqlError::new(format!("rows cannot be compared by {other}"))),
        };
        Ok(Value::new(format!("({sql})"), Class::Boolean))
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr], negated: bool) -> Result<Value, SqlError> {
        let not = if negated { "NOT " } else { "" };
        if let Expr::Tuple(row) = unnested(expr) {
            let mut ways = Vec::new();
            for other in list {
                let Expr::Tuple(other) = unnested(other) else {
                    return Err(SqlError::new(format!("{other} is no row of {} values", row.len())));
                };
                ways.push(self.rows(row, &BinaryOperator::Eq, other)?.sql);
            }
            return Ok(Value::new(format!("{not}({})", ways.join(" OR ")), Class::Boolean));
        }
        let values = list.iter().map(|value| self.sql(value)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::new(format!("{} {not}IN ({})", self.sql(expr)?, values.join(", ")), Class::Boolean))
    }

    fn pattern(&mut self, pattern: &Expr) -> Result<String, SqlError> {
        if let Expr::Identifier(name) = pattern
            && name.quote_style.is_some()
            && self.scope.resolve(std::slice::from_ref(name), &mut Findings::default()).is_err()
        {
            let error = SqlError::new(format!("{name} is a column's name, and there is no such column"));
            return Err(error.hint(format!("texts stand in single quotes: {}", text(&name.value))));
        }
        self.sql(pattern)
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Result<Value, SqlError> {
        let mut sql = "CASE".to_owned();
        if let Some(operand) = operand {
            sql = format!("{sql} {}", self.sql(operand)?);
        }
        let mut results = Vec::new();
        for CaseWhen { condition, result } in conditions {
            let (condition, result) = (self.sql(condition)?, self.value(result)?);
            sql = format!("{sql} WHEN {condition} THEN {}", result.sql);
            results.push(result);
        }
        if let Some(otherwise) = otherwise {
            let result = self.value(otherwise)?;
            sql = format!("{sql} ELSE {}", result.sql);
            results.push(result);
        }
        Ok(Value::new(format!("{sql} END"), common(&results)))
    }

    fn cast(&mut self, expr: &Expr, to: KdaType) -> Result<Value, SqlError> {
        let class = Class::of(&to.arrow());
        let number = matches!(class, Class::Integer | Class::Decimal | Class::Float);
        let value = match (number, difference(expr)) {
            // The number of units of an interval, which only its qualifier tells.
            (true, Some(unit)) => {
                let value = self.value(expr)?;
                Value::new(format!("kda_interval_count({}, {})", value.sql, text(&unit)), Class::Integer)
            }
            _ => self.value(expr)?,
        };
        if value.declared.as_ref() == Some(&to) {
            return Ok(value);
        }
        let mono = match value.mono {
            // The text of a time is in the order of the times.
            Some(mono) if class == Class::Text && value.class == Class::Time && rises(mono) => Some(Mono::Ascending),
            mono => mono.filter(|_| class == value.class || number),
        };
        let sql = format!("kda_cast({}, {})", value.sql, text(&to.to_string()));
        Ok(Value { sql, class, declared: Some(to), mono })
    }

    /// `FLOOR(x)`, `FLOOR(t TO MINUTE)`, and the same of CEIL.
    fn floor(&mut self, expr: &Expr, field: &CeilFloorKind, ceil: bool) -> Result<Value, SqlError> {
        let name = if ceil { "kda_ceil" } else { "kda_floor" };
        let unit = match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                let value = self.value(expr)?;
                let sql = format!("{name}({})", value.sql);
                return Ok(Value { sql, ..value });
            }
            CeilFloorKind::DateTimeField(unit) => unit.to_string().to_uppercase(),
            CeilFloorKind::Scale(_) => {
                return Err(SqlError::new("FLOOR and CEIL take one value, or a time TO a unit"));
            }
        };
        let length = Length::of_unit(&unit).ok_or_else(|| {
            SqlError::new(format!("{unit} is no unit to round to"))
                .hint("units are SECOND, MINUTE, HOUR, DAY, MONTH and YEAR")
        })?;
        let value = self.stepped(|exprs| exprs.value(expr))?;
        if value.class == Class::Interval {
            let mono = self.console_step(expr, &unit)?;
            let sql = format!("kda_floor_interval({}, {})", value.sql, text(&unit));
            return Ok(Value::new(sql, Class::Interval).with_mono(mono));
        }
        let mono = match value.mono {
            Some(Mono::RowTime) => Some(Mono::Step { length, ceil }),
            other => other,
        };
        let sql = format!("{name}({}, {})", value.sql, text(&unit));
        Ok(Value { sql, class: Class::Time, declared: value.declared, mono })
    }

    /// The step of `FLOOR((ROWTIME - TIMESTAMP '1970-01-01 00:00:00') SECOND / 10 TO SECOND)`, as the console made it.
    fn console_step(&mut self, expr: &Expr, unit: &str) -> Result<Option<Mono>, SqlError> {
        let (interval, count) = match unnested(expr) {
            Expr::BinaryOp { left, op: BinaryOperator::Divide, right } => match number(right) {
                Some(count) => (left.as_ref(), count),
                None => return Ok(None),
            },
            other => (other, 1),
        };
        let Expr::Function(call) = unnested(interval) else { return Ok(None) };
        let Some((Expr::BinaryOp { left, op: BinaryOperator::Minus, right }, _)) = difference_parts(call) else {
            return Ok(None);
        };
        let time = self.stepped(|exprs| exprs.value(left))?;
        let is_epoch = matches!(unnested(right), Expr::TypedString(typed)
            if typed.value.value.clone().into_string().is_some_and(|text| text.starts_with("1970-01-01 00:00:00")));
        let length = Length::of_unit(unit).and_then(|length| length.times(count));
        Ok(match (time.mono, length) {
            (Some(Mono::RowTime), Some(length)) if is_epoch && length.is_positive() => {
                Some(Mono::Step { length, ceil: false })
            }
            (Some(Mono::RowTime), _) => Some(Mono::Ascending),
            _ => None,
        })
    }

    /// Bare ROWTIME is the row's own while this runs.
    fn stepped<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.in_step, true);
        let result = run(self);
        self.in_step = before;
        result
    }

    fn call(&mut self, call: &Function) -> Result<Value, SqlError> {
        let name = match call.name.0.as_slice() {
            [part] => part.as_ident().map(fold).unwrap_or_default(),
            _ => call.name.to_string().to_uppercase(),
        };
        match name.as_str() {
            "STEP" => return self.step(call),
            "MONOTONIC" => {
                let [argument] = arguments(call)?[..] else { return Err(counted("MONOTONIC", "one value")) };
                let value = self.stepped(|exprs| exprs.value(argument))?;
                let mono = value.mono.or(Some(Mono::Ascending));
                return Ok(value.with_mono(mono));
            }
            DIFFERENCE => return self.difference(call),
            PERIOD => return self.period(call),
            STAGGER => {
                let message = "WINDOWED BY STAGGER stands in GROUP BY's place, and nowhere else";
                return Err(SqlError::new(message));
            }
            WITHIN => {
                let message = "WITHIN INTERVAL follows the expression of ORDER BY, and nothing else";
                return Err(SqlError::new(message));
            }
            _ => {}
        }
        if let Some(defined) = self.world.functions.iter().find(|function| function.name.text == name) {
            let values = self.values(&arguments(call)?)?;
            if values.len() != defined.parameters.len() {
                return Err(counted(&name, &format!("{} values", defined.parameters.len())));
            }
            let sql = format!(
                "{}({})",
                quote(&name),
                values.iter().map(|value| value.sql.as_str()).collect::<Vec<_>>().join(", ")
            );
            return Ok(Value {
                sql,
                class: Class::of(&defined.returns.arrow()),
                declared: Some(defined.returns),
                mono: None,
            });
        }
        let Some((kind, class)) = function(&name) else {
            let error = SqlError::new(format!("there is no function {name}"));
            return Err(match (never_was(&name), nearest(&name)) {
                (Some(form), _) => error.hint(form),
                (None, Some(near)) => error.hint(format!("do you mean {near}?")),
                (None, None) => error.hint("docs/kda.md lists the functions; CREATE FUNCTION makes others"),
            });
        };
        match kind {
            Call::Scalar(native) => {
                if matches!(call.args, FunctionArguments::None) && class == Class::Time {
                    return Ok(clock(native, &name));
                }
                let given = arguments(call)?;
                if given.is_empty() && class == Class::Time {
                    return Ok(clock(native, &name));
                }
                let values = self.values(&given)?;
                let class = if class == Class::Unknown { common(&values) } else { class };
                let list: Vec<&str> = values.iter().map(|value| value.sql.as_str()).collect();
                let sql = format!("{native}({})", list.join(", "));
                Ok(Value { sql, class, declared: result_type(native), mono: None })
            }
            Call::Aggregate(native) => self.aggregate(&name, native, class, call),
            Call::Analytic(native) if call.over.is_some() => self.aggregate(&name, native, class, call),
            Call::Analytic(_) => {
                let example = format!("write {name}(x) OVER (PARTITION BY k RANGE INTERVAL '1' MINUTE PRECEDING)");
                Err(SqlError::new(format!("{name} needs OVER")).hint(example))
            }
        }
    }

    fn values(&mut self, given: &[&Expr]) -> Result<Vec<Value>, SqlError> {
        given.iter().map(|argument| self.value(argument)).collect()
    }

    fn aggregate(&mut self, name: &str, native: &str, class: Class, call: &Function) -> Result<Value, SqlError> {
        if let FunctionArguments::List(list) = &call.args
            && list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        {
            let message = format!("{name}(DISTINCT …) is not for streams");
            return Err(SqlError::new(message).hint(
                "SELECT STREAM DISTINCT with a step of time in a subquery, and COUNT(*) over it; or TABLE(COUNT_DISTINCT_ITEMS_TUMBLING(…))",
            ));
        }
        let is_star = matches!(&call.args, FunctionArguments::List(list)
            if matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]));
        let mut values = if is_star { Vec::new() } else { self.stepped(|exprs| exprs.values(&arguments(call)?))? };
        if name == "EXP_AVG" {
            let [_, _] = values[..] else { return Err(counted(name, "a number and an interval")) };
            let rowtime = self.scope.rowtime.clone().ok_or_else(|| SqlError::new("EXP_AVG needs a stream"))?;
            values.insert(1, Value::new(rowtime, Class::Time));
        }
        if name == NTH_FROM_LAST
            && let Some(place) = values.get_mut(1)
        {
            place.sql = format!("-{}", place.sql);
        }
        let first = values.first().cloned().unwrap_or_default();
        // Of floats it is the same.
        let native = if native == "kda_avg" && first.class == Class::Float { "avg" } else { native };
        let (class, declared) = match native {
            "min" | "max" | "first_value" | "last_value" | "lag" | "nth_value" => (first.class, first.declared),
            "sum" | "kda_avg" | "avg" => (first.class, None),
            _ => (class, result_type(native)),
        };
        let list: Vec<&str> = values.iter().map(|value| value.sql.as_str()).collect();
        let list = if is_star { "*".to_owned() } else { list.join(", ") };
        let nulls = match null_treatment(call) {
            Some(NullTreatment::IgnoreNulls) => " IGNORE NULLS",
            _ => "",
        };
        // Along a stream the rows of each frame are looked at, whatever came before them.
        let native = match (&call.over, native) {
            (Some(_), "stddev_pop") => "kda_stddev_pop",
            (Some(_), "stddev_samp") => "kda_stddev_samp",
            (Some(_), "var_pop") => "kda_var_pop",
            (Some(_), "var_samp") => "kda_var_samp",
            (_, native) => native,
        };
        let Some(over) = &call.over else {
            return Ok(Value { sql: format!("{native}({list}){nulls}"), class, declared, mono: None });
        };
        let frame = frame_of(over, self.windows)?;
        let partition = frame.partition_by.iter().map(|expr| self.stepped(|exprs| exprs.sql(expr)));
        let partition = partition.collect::<Result<Vec<_>, _>>()?;
        let bounds = frame.bounds(name)?;
        let alias = self.scope.alias.clone();
        let Some(overs) = self.overs.as_deref_mut() else {
            let message = format!("{name} with OVER may stand in the SELECT list only");
            return Err(SqlError::new(message).hint("compute it in a subquery, and use its column"));
        };
        let column = overs.add(format!("{native}({list}){nulls}"), partition, bounds);
        Ok(Value { sql: format!("{}.{}", quote(&alias), quote(&column)), class, declared, mono: None })
    }

    /// `STEP(t BY INTERVAL '10' SECOND)`.
    fn step(&mut self, call: &Function) -> Result<Value, SqlError> {
        let [time, by] = arguments(call)?[..] else { return Err(counted("STEP", "a value, BY, and a length")) };
        let value = self.stepped(|exprs| exprs.value(time))?;
        let by_sql = self.value(by)?;
        let mono = match (value.mono, unnested(by)) {
            (Some(Mono::RowTime), Expr::Interval(literal)) => {
                let length = interval::read(literal)?;
                if !length.is_positive() {
                    return Err(SqlError::new(format!("a step of {literal} is not positive")));
                }
                Some(Mono::Step { length, ceil: false })
            }
            (mono, _) => mono,
        };
        let is_time = by_sql.class == Class::Interval;
        let class = if is_time { Class::Time } else { value.class };
        let declared = value.declared.filter(|_| is_time);
        Ok(Value { sql: format!("kda_step({}, {})", value.sql, by_sql.sql), class, declared, mono })
    }

    /// `(a - b) SECOND`.
    fn difference(&mut self, call: &Function) -> Result<Value, SqlError> {
        let Some((Expr::BinaryOp { left, op: BinaryOperator::Minus, right }, unit)) = difference_parts(call) else {
            let error = SqlError::new("a unit after brackets is for the difference of two times");
            return Err(error.hint("write (a - b) SECOND"));
        };
        let (a, b) = (self.value(left)?, self.value(right)?);
        let mono = match (a.mono, b.mono) {
            (Some(Mono::RowTime | Mono::Ascending | Mono::Step { .. }), Some(Mono::Constant)) => Some(Mono::Ascending),
            _ => None,
        };
        let sql = format!("kda_difference({}, {}, {})", a.sql, b.sql, text(&unit));
        Ok(Value::new(sql, Class::Interval).with_mono(mono))
    }

    /// A predicate on periods, which are pairs; of a chain each pair of neighbours.
    fn period(&mut self, call: &Function) -> Result<Value, SqlError> {
        let [predicate, left, right] = arguments(call)?[..] else { return Err(counted("a period", "two times")) };
        let Expr::Value(predicate) = predicate else { return Err(counted("a period", "two times")) };
        let predicate = predicate.value.clone().into_string().unwrap_or_default();
        let (chain, left) = match unnested(left) {
            Expr::Function(inner) if inner.name.to_string() == PERIOD => {
                let before = self.period(inner)?.sql;
                let [_, _, middle] = arguments(inner)?[..] else { return Err(counted("a period", "two times")) };
                (format!("{before} AND "), middle)
            }
            other => (String::new(), other),
        };
        let mut bounds = Vec::new();
        for side in [left, right] {
            let Expr::Tuple(pair) = unnested(side) else {
                // A period contains a point in time, or does not.
                if predicate == "CONTAINS" && bounds.len() == 2 {
                    let point = self.sql(side)?;
                    bounds.push(point);
                    continue;
                }
                let error = SqlError::new(format!("{side} is no period"));
                return Err(error.hint(format!("write (begin, end) {predicate} (begin, end)")));
            };
            let [begin, end] = pair.as_slice() else {
                return Err(SqlError::new(format!("a period is a begin and an end, not {} values", pair.len())));
            };
            bounds.push(self.sql(begin)?);
            bounds.push(self.sql(end)?);
        }
        let sql = format!("{chain}kda_period({}, {})", text(&predicate), bounds.join(", "));
        Ok(Value::new(sql, Class::Boolean))
    }
}

/// The current time, by the name that asks for it.
fn clock(native: &str, name: &str) -> Value {
    let sql = match name {
        "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIME" => format!("{native}()"),
        _ => "CAST(now() AS TIMESTAMP(3))".to_owned(),
    };
    Value::new(sql, Class::Time).with_mono(Some(Mono::Ascending))
}

fn counted(name: &str, takes: &str) -> SqlError {
    SqlError::new(format!("{name} takes {takes}"))
}

/// The positional arguments of a call.
pub(super) fn arguments(call: &Function) -> Result<Vec<&Expr>, SqlError> {
    let list = match &call.args {
        FunctionArguments::None => return Ok(Vec::new()),
        FunctionArguments::List(list) => list,
        FunctionArguments::Subquery(_) => return Err(SqlError::new("a subquery cannot be an argument here")),
    };
    list.args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
            other => Err(SqlError::new(format!("{other} cannot be an argument"))),
        })
        .collect()
}

fn null_treatment(call: &Function) -> Option<NullTreatment> {
    let of_list = match &call.args {
        FunctionArguments::List(list) => list.clauses.iter().find_map(|clause| match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
            _ => None,
        }),
        _ => None,
    };
    call.null_treatment.or(of_list)
}

/// An expression without its brackets.
pub(super) fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// The unit of `(a - b) UNIT`, if the expression is one.
fn difference(expr: &Expr) -> Option<String> {
    match unnested(expr) {
        Expr::Function(call) => difference_parts(call).map(|(_, unit)| unit),
        _ => None,
    }
}

fn difference_parts(call: &Function) -> Option<(&Expr, String)> {
    if call.name.to_string() != DIFFERENCE {
        return None;
    }
    match arguments(call).ok()?[..] {
        [of, Expr::Value(unit)] => Some((unnested(of), unit.value.clone().into_string()?)),
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<i64> {
    match unnested(expr) {
        Expr::Value(value) => match &value.value {
            Literal::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn literal(literal: &Literal) -> Result<Value, SqlError> {
    let value = match literal {
        Literal::Number(digits, _) => {
            let class = if digits.contains(['e', 'E']) {
                Class::Float
            } else if digits.contains('.') {
                Class::Decimal
            } else {
                Class::Integer
            };
            Value::new(digits.clone(), class)
        }
        Literal::SingleQuotedString(value) | Literal::UnicodeStringLiteral(value) => {
            Value::new(text(value), Class::Text)
        }
        Literal::HexStringLiteral(digits) => Value::new(format!("X'{digits}'"), Class::Unknown),
        Literal::Boolean(value) => Value::new(if *value { "TRUE" } else { "FALSE" }, Class::Boolean),
        Literal::Null => Value::new("NULL", Class::Unknown),
        other => return Err(SqlError::new(format!("{other} is no literal of Kinesis Data Analytics"))),
    };
    Ok(value.with_mono(Some(Mono::Constant)))
}

fn typed_literal(typed: &TypedString) -> Result<Value, SqlError> {
    let to = KdaType::parse(&typed.data_type.to_string())?;
    let value = typed.value.value.clone().into_string().unwrap_or_default();
    let sql = match to {
        KdaType::Date => format!("CAST({} AS DATE)", text(&value)),
        KdaType::Time => format!("kda_cast({}, 'TIME')", text(&value)),
        KdaType::Timestamp => format!("CAST({} AS TIMESTAMP(3))", text(&value)),
        _ => return Err(SqlError::new(format!("{typed} is no literal of Kinesis Data Analytics"))),
    };
    Ok(Value { sql, class: Class::Time, declared: Some(to), mono: Some(Mono::Constant) })
}

/// The class that all values have.
fn common(values: &[Value]) -> Class {
    let mut classes = values.iter().filter(|value| value.sql != "NULL").map(|value| value.class);
    let first = classes.next().unwrap_or_default();
    if classes.all(|class| class == first) { first } else { Class::Unknown }
}

fn reversed(mono: Mono) -> Mono {
    match mono {
        Mono::Constant => Mono::Constant,
        Mono::Descending => Mono::Ascending,
        Mono::RowTime | Mono::Step { .. } | Mono::Ascending => Mono::Descending,
    }
}

fn arithmetic(left: &Value, op: &BinaryOperator, right: &Value) -> Result<Value, SqlError> {
    use Class::{Decimal, Float, Integer, Interval, Time, Unknown};
    let classes = (left.class, right.class);
    if classes == (Time, Time) && *op == BinaryOperator::Minus {
        let message = format!("{} - {} needs a unit", left.sql, right.sql);
        return Err(SqlError::new(message).hint("write (a - b) SECOND, or TSDIFF(b, a) for milliseconds"));
    }
    let mono = combined(left, op, right);
    let class = match classes {
        (Time, _) | (_, Time) => Time,
        (Interval, _) | (_, Interval) => Interval,
        (Float, _) | (_, Float) => Float,
        (Unknown, _) | (_, Unknown) => Unknown,
        (Decimal, _) | (_, Decimal) => Decimal,
        _ => Integer,
    };
    // Floats and times are computed alike by both; the others may not fit, and a division by zero is an error.
    let is_plain = |value: &Value| matches!(value.class, Integer | Float);
    let is_literal = |value: &Value| value.class == Decimal && digits_of(&value.sql).is_some();
    let float_with = |a: &Value, b: &Value| a.class == Float && (is_plain(b) || is_literal(b));
    let is_divisor = |value: &Value| value.sql.parse().is_ok_and(|number: f64| number != 0.0);
    let native = match op {
        BinaryOperator::Divide => float_with(left, right) && is_divisor(right),
        _ => float_with(left, right) || float_with(right, left),
    } || matches!((classes, op), ((Time, Interval), BinaryOperator::Plus | BinaryOperator::Minus))
        || matches!((classes, op), ((Interval, Time), BinaryOperator::Plus));
    let sql = if native {
        format!("{} {op} {}", left.sql, right.sql)
    } else {
        let name = match op {
            BinaryOperator::Plus => "kda_add",
            BinaryOperator::Minus => "kda_subtract",
            BinaryOperator::Multiply => "kda_multiply",
            _ => "kda_divide",
        };
        let exact = |value: &Value| match digits_of(&value.sql) {
            Some((precision, scale)) => format!("CAST({} AS DECIMAL({precision}, {scale}))", value.sql),
            None => value.sql.clone(),
        };
        format!("{name}({}, {})", exact(left), exact(right))
    };
    Ok(Value::new(sql, class).with_mono(mono))
}

/// The digits of a literal such as `1.25`, and how many are behind the point.
fn digits_of(sql: &str) -> Option<(usize, usize)> {
    let (whole, fraction) = sql.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some(((whole.len() + fraction.len()).max(1), fraction.len()))
}

/// A pattern of LIKE whose escape is a backslash.
fn escaped(pattern: &Expr, escape: &Literal) -> Result<String, SqlError> {
    let literal = match pattern {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    let (Some(pattern), Some(escape)) = (literal, escape.clone().into_string()) else {
        let error = SqlError::new("LIKE … ESCAPE takes a pattern that stands in the query");
        return Err(error.hint("write the pattern in quotes, or leave ESCAPE out"));
    };
    let mut letters = pattern.chars();
    let mut native = String::new();
    while let Some(letter) = letters.next() {
        let is_escape = escape.starts_with(letter);
        if is_escape || letter == '\\' {
            native.push('\\');
        }
        native.extend(if is_escape { letters.next() } else { Some(letter) });
    }
    Ok(text(&native))
}

fn rises(mono: Mono) -> bool {
    matches!(mono, Mono::RowTime | Mono::Step { .. } | Mono::Ascending)
}

/// How the result goes with time, where both sides do.
fn combined(left: &Value, op: &BinaryOperator, right: &Value) -> Option<Mono> {
    let right_mono = match op {
        BinaryOperator::Minus => right.mono.map(reversed),
        _ => right.mono,
    };
    match (op, left.mono?, right_mono?) {
        (_, Mono::Constant, Mono::Constant) => Some(Mono::Constant),
        (BinaryOperator::Plus | BinaryOperator::Minus, mono, Mono::Constant)
        | (BinaryOperator::Plus | BinaryOperator::Minus, Mono::Constant, mono) => {
            Some(if rises(mono) { Mono::Ascending } else { Mono::Descending })
        }
        (BinaryOperator::Plus | BinaryOperator::Minus, a, b) if rises(a) == rises(b) => {
            Some(if rises(a) { Mono::Ascending } else { Mono::Descending })
        }
        (BinaryOperator::Multiply | BinaryOperator::Divide, mono, Mono::Constant)
        | (BinaryOperator::Multiply, Mono::Constant, mono) => {
            let constant = if left.mono == Some(Mono::Constant) { left } else { right };
            let falls = constant.sql.starts_with('-');
            Some(if rises(mono) == falls { Mono::Descending } else { Mono::Ascending })
        }
        _ => None,
    }
}

/// Bare `ROWTIME` as a SELECT item or an alias.
pub(super) fn names_rowtime(ident: &Ident) -> bool {
    fold(ident) == ROWTIME || is_rowtime(ident)
}
