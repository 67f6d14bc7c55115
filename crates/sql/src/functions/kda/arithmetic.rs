//! `+ - * /` and MOD as KDA computes them. Whole numbers stay whole and overflow into an error of their row; decimals
//! follow the reference's rules of digits; division by zero, of floats too, is an error. What DataFusion does alike,
//! such as a TIMESTAMP and an INTERVAL, becomes its operator.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoArray, Time32MillisecondArray};
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time32MillisecondType,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Operator, binary_expr};

use super::calendar::MS_PER_DAY;
use super::definition::{Arguments, Definition, Given, INTERVAL, as_decimal, wider};
use super::exact::{divide_rounding, power};
use super::interval::total_nanos;
use super::value::{Value, Values};
use crate::kda::types::MAX_DECIMAL_DIGITS;
use crate::{SqlError, type_name};

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_add",
        alias: None,
        usage: "a + b, of numbers, or of a time and an INTERVAL",
        takes,
        gives: |given| gives(Operator::Plus, given),
        compute: |arguments| compute(Operator::Plus, arguments),
        simplify: |args, context| simplify(Operator::Plus, args, context),
    },
    Definition {
        name: "kda_subtract",
        alias: None,
        usage: "a - b, of numbers, or of a time and an INTERVAL",
        takes,
        gives: |given| gives(Operator::Minus, given),
        compute: |arguments| compute(Operator::Minus, arguments),
        simplify: |args, context| simplify(Operator::Minus, args, context),
    },
    Definition {
        name: "kda_multiply",
        alias: None,
        usage: "a * b, of numbers, or of an INTERVAL and a number",
        takes,
        gives: |given| gives(Operator::Multiply, given),
        compute: |arguments| compute(Operator::Multiply, arguments),
        simplify: |args, context| simplify(Operator::Multiply, args, context),
    },
    Definition {
        name: "kda_divide",
        alias: None,
        usage: "a / b, of numbers, or of an INTERVAL and a number",
        takes,
        gives: |given| gives(Operator::Divide, given),
        compute: |arguments| compute(Operator::Divide, arguments),
        simplify: |args, context| simplify(Operator::Divide, args, context),
    },
    Definition {
        name: "kda_mod",
        alias: None,
        usage: "MOD(a, b), of numbers",
        takes,
        gives: |given| gives(Operator::Modulo, given),
        compute: |arguments| compute(Operator::Modulo, arguments),
        simplify: |args, context| simplify(Operator::Modulo, args, context),
    },
];

/// Numbers in one type, times and intervals as they are.
fn takes(given: &[DataType]) -> Option<Vec<DataType>> {
    use DataType::{Decimal128, Float32, Float64, Int64, Null};
    let [one, other] = given else { return None };
    Some(match (one, other) {
        (Null, Null) => vec![Int64, Int64],
        (Null, other) => vec![beside(other), other.clone()],
        (one, Null) => vec![one.clone(), beside(one)],
        (one, other) if is_time(one) || is_time(other) => given.to_vec(),
        (DataType::Interval(_), DataType::Interval(_)) => given.to_vec(),
        (DataType::Interval(_), number) if number.is_numeric() => vec![INTERVAL, factor(number)],
        (number, DataType::Interval(_)) if number.is_numeric() => vec![factor(number), INTERVAL],
        (one, other) if !one.is_numeric() || !other.is_numeric() => return None,
        (Decimal128(..), Float32 | Float64) | (Float32 | Float64, Decimal128(..)) => vec![Float64, Float64],
        (Decimal128(..), _) | (_, Decimal128(..)) => vec![as_decimal(one), as_decimal(other)],
        _ => vec![wider(one, other), wider(one, other)],
    })
}

/// The type of a NULL beside another operand.
fn beside(other: &DataType) -> DataType {
    if is_time(other) { INTERVAL } else { other.clone() }
}

/// The type of what multiplies or divides an interval.
fn factor(number: &DataType) -> DataType {
    if number.is_integer() { DataType::Int64 } else { DataType::Float64 }
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_))
}

fn gives(operator: Operator, given: &Given<'_>) -> Result<DataType> {
    let [one, other] = given.types.as_slice() else { return plan_err!("an operator has two sides") };
    match (one, other) {
        (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) => {
            let (precision, scale) = decimal_of(operator, (*p1, *s1), (*p2, *s2));
            Ok(DataType::Decimal128(precision, scale))
        }
        (one, other) if is_time(one) && is_time(other) => {
            let error = SqlError::new(format!("{} and {} have no {operator}", type_name(one), type_name(other)));
            Err(error.hint("write (a - b) SECOND, or another unit, for the time between them").into())
        }
        (time, DataType::Interval(_)) if is_time(time) && matches!(operator, Operator::Plus | Operator::Minus) => {
            Ok((*time).clone())
        }
        (DataType::Interval(_), time) if is_time(time) && operator == Operator::Plus => Ok((*time).clone()),
        (DataType::Interval(_), DataType::Interval(_)) if matches!(operator, Operator::Plus | Operator::Minus) => {
            Ok(INTERVAL)
        }
        (DataType::Interval(_), number)
            if number.is_numeric() && matches!(operator, Operator::Multiply | Operator::Divide) =>
        {
            Ok(INTERVAL)
        }
        (number, DataType::Interval(_)) if number.is_numeric() && operator == Operator::Multiply => Ok(INTERVAL),
        (one, other) if one.is_numeric() && one == other => Ok((*one).clone()),
        _ => plan_err!("{} and {} have no {operator}", type_name(one), type_name(other)),
    }
}

/// The reference's rules of digits: whole digits are kept, decimals give way.
fn decimal_of(operator: Operator, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8) {
    let max = i32::from(MAX_DECIMAL_DIGITS);
    // A sum has more digits here than KDA knows of.
    let (p1, s1, p2, s2) = (i32::from(p1).min(max), i32::from(s1), i32::from(p2).min(max), i32::from(s2));
    let (precision, scale) = match operator {
        Operator::Multiply => (p1 + p2, (s1 + s2).min(max)),
        Operator::Divide => {
            let whole = (p1 - s1 + s2).min(max);
            let scale = (s1 + p2 + 1).max(6).min(max - whole);
            (whole + scale, scale)
        }
        Operator::Modulo => ((p1 - s1).min(p2 - s2) + s1.max(s2), s1.max(s2)),
        _ => ((p1 - s1).max(p2 - s2) + 1 + s1.max(s2), s1.max(s2)),
    };
    let precision = precision.clamp(scale.max(1), max);
    (u8::try_from(precision).unwrap_or(MAX_DECIMAL_DIGITS), i8::try_from(scale).unwrap_or_default())
}

fn simplify(operator: Operator, args: &[Expr], context: &SimplifyContext) -> Result<Option<Expr>> {
    let [left, right] = args else { return Ok(None) };
    let (one, other) = (context.get_data_type(left)?, context.get_data_type(right)?);
    let is_native = match (&one, &other) {
        (DataType::Float32 | DataType::Float64, DataType::Float32 | DataType::Float64) => match operator {
            Operator::Divide | Operator::Modulo => is_number_but_zero(right),
            _ => true,
        },
        (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64, _) if other.is_signed_integer() => {
            matches!(operator, Operator::Divide | Operator::Modulo) && is_number_but_zero(right)
        }
        (DataType::Timestamp(..) | DataType::Date32, DataType::Interval(_))
        | (DataType::Interval(_), DataType::Timestamp(..) | DataType::Date32 | DataType::Interval(_)) => true,
        _ => false,
    };
    Ok(is_native.then(|| binary_expr(left.clone(), operator, right.clone())))
}

fn is_number_but_zero(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    matches!(value.cast_to(&DataType::Float64), Ok(ScalarValue::Float64(Some(number))) if number != 0.0)
}

fn compute(operator: Operator, arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (left, right) = (arguments.column(0)?, arguments.column(1)?);
    match (left.data_type(), right.data_type()) {
        (DataType::Decimal128(..), DataType::Decimal128(..)) => decimals(operator, &left, &right, arguments.gives),
        (DataType::Time32(_), DataType::Interval(_)) => Ok(moved(operator, &left, &right)),
        (DataType::Interval(_), DataType::Time32(_)) => Ok(moved(operator, &right, &left)),
        (DataType::Interval(_), number) if number.is_numeric() => scaled(operator, &left, &right),
        (number, DataType::Interval(_)) if number.is_numeric() => scaled(operator, &right, &left),
        _ => numbers(operator, &left, &right),
    }
}

/// Numbers of one type.
fn numbers(operator: Operator, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let is_float = left.data_type().is_floating();
    if is_float && matches!(operator, Operator::Divide | Operator::Modulo) {
        let divisors = arrow::compute::cast(right, &DataType::Float64)?;
        if let Some(row) = divisors.as_primitive::<Float64Type>().iter().position(|divisor| divisor == Some(0.0)) {
            return divided_by_zero(left, row);
        }
    }
    let computed = match operator {
        Operator::Plus => add(left, right),
        Operator::Minus => sub(left, right),
        Operator::Multiply => mul(left, right),
        Operator::Modulo => rem(left, right),
        _ => div(left, right),
    };
    computed.map_err(|error| match error {
        ArrowError::DivideByZero => exec_datafusion_err!("division by zero; write a / NULLIF(b, 0) for NULL instead"),
        ArrowError::ArithmeticOverflow(_) => {
            exec_datafusion_err!(
                "a result does not fit into {}; cast an operand to a wider type",
                type_name(left.data_type())
            )
        }
        error => error.into(),
    })
}

fn divided_by_zero<T>(dividends: &ArrayRef, row: usize) -> Result<T> {
    let values = Values::of(dividends)?;
    let dividend = values.get(row).map_or_else(|| "NULL".to_owned(), Value::print);
    exec_err!("{dividend} is divided by zero; write a / NULLIF(b, 0) for NULL instead")
}

fn decimals(operator: Operator, left: &ArrayRef, right: &ArrayRef, gives: &DataType) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = gives else { return exec_err!("decimals give a decimal") };
    let (lefts, rights) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let (s1, s2, scale32) = (lefts.scale(), rights.scale(), i32::from(*scale));
    let raise =
        |digits: i128, by: i32| u32::try_from(by).ok().and_then(power).and_then(|factor| digits.checked_mul(factor));
    let one = |a: i128, b: i128| -> Option<i128> {
        // Both with the decimals of the result.
        let alike = |digits: i128, s: i8| raise(digits, scale32 - i32::from(s));
        match operator {
            Operator::Plus => alike(a, s1)?.checked_add(alike(b, s2)?),
            Operator::Minus => alike(a, s1)?.checked_sub(alike(b, s2)?),
            Operator::Modulo => alike(a, s1)?.checked_rem(alike(b, s2)?),
            Operator::Multiply => {
                let over = i32::from(s1) + i32::from(s2) - scale32;
                Some(divide_rounding(a.checked_mul(b)?, raise(1, over)?))
            }
            _ => match scale32 + i32::from(s2) - i32::from(s1) {
                by @ 0.. => Some(divide_rounding(raise(a, by)?, b)),
                by => Some(divide_rounding(a, raise(b, -by)?)),
            },
        }
    };
    let limit = power((*precision).into()).unwrap_or(i128::MAX);
    let mut digits = Vec::with_capacity(lefts.len());
    for (row, (a, b)) in lefts.iter().zip(rights).enumerate() {
        let (Some(a), Some(b)) = (a, b) else {
            digits.push(None);
            continue;
        };
        if b == 0 && matches!(operator, Operator::Divide | Operator::Modulo) {
            return divided_by_zero(left, row);
        }
        match one(a, b).filter(|digits| digits.abs() < limit) {
            Some(result) => digits.push(Some(result)),
            None => {
                return exec_err!(
                    "a result does not fit into {}; cast an operand to DOUBLE, or to a DECIMAL with fewer digits",
                    type_name(gives)
                );
            }
        }
    }
    Ok(Arc::new(Decimal128Array::from(digits).with_precision_and_scale(*precision, *scale)?))
}

/// An interval times or by a number, cut off to whole months and nanoseconds.
fn scaled(operator: Operator, intervals: &ArrayRef, factors: &ArrayRef) -> Result<ArrayRef> {
    let factors = Values::of(factors)?;
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().enumerate();
    let one = |(row, interval): (usize, Option<IntervalMonthDayNano>)| {
        let (Some(interval), Some(factor)) = (interval, factors.get(row)) else { return Ok(None) };
        if operator == Operator::Divide && matches!(factor, Value::Whole(0) | Value::Double(0.0)) {
            return exec_err!("an INTERVAL is divided by zero; write a / NULLIF(b, 0) for NULL instead");
        }
        let months = times(interval.months.into(), operator, factor).and_then(|months| i32::try_from(months).ok());
        let nanos = times(total_nanos(interval), operator, factor).and_then(|nanos| i64::try_from(nanos).ok());
        match (months, nanos) {
            (Some(months), Some(nanos)) => Ok(Some(IntervalMonthDayNano::new(months, 0, nanos))),
            _ => exec_err!("an INTERVAL by {} is too long; intervals are up to 292 years", factor.print()),
        }
    };
    Ok(Arc::new(intervals.map(one).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "floats are inexact; ranges are checked"
)]
fn times(part: i128, operator: Operator, factor: Value<'_>) -> Option<i128> {
    match (factor, operator) {
        (Value::Whole(factor), Operator::Divide) => Some(part / i128::from(factor)),
        (Value::Whole(factor), _) => part.checked_mul(factor.into()),
        (Value::Double(factor), Operator::Divide) => Some((part as f64 / factor) as i128),
        (Value::Double(factor), _) => Some((part as f64 * factor) as i128),
        _ => None,
    }
}

/// A time of day, moved around midnight.
fn moved(operator: Operator, times: &ArrayRef, intervals: &ArrayRef) -> ArrayRef {
    let rows = times.as_primitive::<Time32MillisecondType>().iter();
    let moved = rows.zip(intervals.as_primitive::<IntervalMonthDayNanoType>()).map(|(time, interval)| {
        let ms = interval?.nanoseconds / 1_000_000;
        let ms = if operator == Operator::Minus { -ms } else { ms };
        i32::try_from((i64::from(time?) + ms).rem_euclid(MS_PER_DAY)).ok()
    });
    Arc::new(moved.collect::<Time32MillisecondArray>())
}
