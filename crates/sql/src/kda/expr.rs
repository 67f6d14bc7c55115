//! Expressions of KDA in native SQL.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CeilFloorKind, DateTimeField, Expr, Ident, NamedWindowDefinition, Spanned,
    TrimWhereField, UnaryOperator,
};

use super::Findings;
use super::arithmetic::{arithmetic, reversed, rises};
use super::calls::{difference, difference_parts};
use super::columns::{Class, Mono, ROWTIME, Value, text};
use super::functions::{Call, function};
use super::graph::World;
use super::interval::{self, Length};
use super::literal::{clock, escaped, literal, number, typed_literal};
use super::over::Overs;
use super::scope::{Scope, is_rowtime};
use super::statements::fold;
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

    pub(super) fn sql(&mut self, expr: &Expr) -> Result<String, SqlError> {
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
            Expr::Value(value) => literal(&value.value),
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
    pub(super) fn stepped<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.in_step, true);
        let result = run(self);
        self.in_step = before;
        result
    }
}

/// An expression without its brackets.
pub(super) fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// The class that all values have.
pub(super) fn common(values: &[Value]) -> Class {
    let mut classes = values.iter().filter(|value| value.sql != "NULL").map(|value| value.class);
    let first = classes.next().unwrap_or_default();
    if classes.all(|class| class == first) { first } else { Class::Unknown }
}

/// Bare `ROWTIME` as a SELECT item or an alias.
pub(super) fn names_rowtime(ident: &Ident) -> bool {
    fold(ident) == ROWTIME || is_rowtime(ident)
}
