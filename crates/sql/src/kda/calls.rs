//! Calls of functions: scalar ones, aggregates with OVER and without, and the marks of the grammar that look like calls.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, NullTreatment,
};

use super::columns::{Class, Mono, Value, quote, text};
use super::dialect::PERIOD;
use super::expr::{Exprs, common, unnested};
use super::functions::{Call, function, nearest, never_was, result_type};
use super::interval;
use super::literal::clock;
use super::over::frame_of;
use super::statements::fold;
use super::tokens::{DIFFERENCE, NTH_FROM_LAST, STAGGER, WITHIN};
use crate::SqlError;

impl Exprs<'_> {
    pub(super) fn call(&mut self, call: &Function) -> Result<Value, SqlError> {
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

/// The unit of `(a - b) UNIT`, if the expression is one.
pub(super) fn difference(expr: &Expr) -> Option<String> {
    match unnested(expr) {
        Expr::Function(call) => difference_parts(call).map(|(_, unit)| unit),
        _ => None,
    }
}

pub(super) fn difference_parts(call: &Function) -> Option<(&Expr, String)> {
    if call.name.to_string() != DIFFERENCE {
        return None;
    }
    match arguments(call).ok()?[..] {
        [of, Expr::Value(unit)] => Some((unnested(of), unit.value.clone().into_string()?)),
        _ => None,
    }
}
