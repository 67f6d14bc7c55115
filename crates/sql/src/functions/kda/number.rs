//! Numbers: FLOOR, CEIL and STEP in the type of their argument, ABS, and the functions of DOUBLE that fail where there is
//! no result.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};

use super::definition::{Arguments, Definition, as_it_is};
use super::exact::power;
use crate::type_name;

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_abs",
        alias: None,
        usage: "ABS(number)",
        takes: |given| match given {
            [number] if number.is_numeric() => Some(given.to_vec()),
            [DataType::Null] => Some(vec![DataType::Int64]),
            _ => None,
        },
        gives: |given| match given.types.first() {
            Some(kind) => Ok((*kind).clone()),
            None => plan_err!("ABS needs a number"),
        },
        compute: absolute,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_ln",
        alias: None,
        usage: "LN(number)",
        takes: one_double,
        gives: |_| Ok(DataType::Float64),
        compute: |arguments| of_doubles("LN", arguments, |x| (x > 0.0).then(|| x.ln())),
        simplify: as_it_is,
    },
    Definition {
        name: "kda_log10",
        alias: None,
        usage: "LOG10(number)",
        takes: one_double,
        gives: |_| Ok(DataType::Float64),
        compute: |arguments| of_doubles("LOG10", arguments, |x| (x > 0.0).then(|| x.log10())),
        simplify: as_it_is,
    },
    Definition {
        name: "kda_sqrt",
        alias: None,
        usage: "SQRT(number)",
        takes: one_double,
        gives: |_| Ok(DataType::Float64),
        compute: |arguments| of_doubles("SQRT", arguments, |x| (x >= 0.0).then(|| x.sqrt())),
        simplify: as_it_is,
    },
    Definition {
        name: "kda_exp",
        alias: None,
        usage: "EXP(number)",
        takes: one_double,
        gives: |_| Ok(DataType::Float64),
        compute: |arguments| of_doubles("EXP", arguments, |x| Some(x.exp()).filter(|y| y.is_finite())),
        simplify: as_it_is,
    },
    Definition {
        name: "kda_power",
        alias: None,
        usage: "POWER(base, exponent)",
        takes: |given| match given {
            [base, exponent] if is_number(base) && is_number(exponent) => {
                Some(vec![DataType::Float64, DataType::Float64])
            }
            _ => None,
        },
        gives: |_| Ok(DataType::Float64),
        compute: powers,
        simplify: as_it_is,
    },
];

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_null()
}

fn one_double(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [number] if is_number(number) => Some(vec![DataType::Float64]),
        _ => None,
    }
}

fn absolute(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let values = arguments.column(0)?;
    Ok(match values.data_type() {
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::abs)),
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs)),
        DataType::Decimal128(..) => {
            let exact = values.as_primitive::<Decimal128Type>();
            let kind = values.data_type().clone();
            Arc::new(exact.unary::<_, Decimal128Type>(i128::abs).with_data_type(kind))
        }
        kind => {
            let whole = cast(&values, &DataType::Int64)?;
            let whole = whole.as_primitive::<Int64Type>();
            let absolute = whole.try_unary::<_, Int64Type, _>(|value| {
                value.checked_abs().ok_or_else(|| exec_datafusion_err!("ABS({value}) does not fit into BIGINT"))
            })?;
            back(&absolute, kind)?
        }
    })
}

/// Whole numbers in their own type again.
fn back(values: &Int64Array, kind: &DataType) -> Result<ArrayRef> {
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(values, kind, &options)
        .map_err(|_| exec_datafusion_err!("a result does not fit into {}; cast to a wider type", type_name(kind)))
}

fn of_doubles(name: &str, arguments: &Arguments<'_>, function: fn(f64) -> Option<f64>) -> Result<ArrayRef> {
    let values = arguments.column(0)?;
    let computed = values.as_primitive::<Float64Type>().try_unary::<_, Float64Type, _>(|x| match function(x) {
        Some(y) => Ok(y),
        None if x.is_nan() => Ok(x),
        None => exec_err!("{name}({x}) has no value"),
    })?;
    Ok(Arc::new(computed))
}

fn powers(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (bases, exponents) = (arguments.column(0)?, arguments.column(1)?);
    let rows = bases.as_primitive::<Float64Type>().iter().zip(exponents.as_primitive::<Float64Type>());
    let power = |(base, exponent): (Option<f64>, Option<f64>)| {
        let (Some(base), Some(exponent)) = (base, exponent) else { return Ok(None) };
        let power = base.powf(exponent);
        if power.is_finite() || !base.is_finite() || !exponent.is_finite() {
            Ok(Some(power))
        } else {
            exec_err!("POWER({base}, {exponent}) has no value")
        }
    };
    Ok(Arc::new(rows.map(power).collect::<Result<Float64Array>>()?))
}

pub(super) fn floor_number(values: &ArrayRef) -> ArrayRef {
    round(values, f64::floor, |digits, unit| digits - digits.rem_euclid(unit))
}

pub(super) fn ceil_number(values: &ArrayRef) -> ArrayRef {
    round(values, f64::ceil, |digits, unit| digits + (-digits).rem_euclid(unit))
}

#[expect(clippy::cast_possible_truncation, reason = "the floor of a REAL is a REAL")]
fn round(values: &ArrayRef, of_float: fn(f64) -> f64, of_digits: fn(i128, i128) -> i128) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(|value| of_float(f64::from(value)) as f32))
        }
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(of_float)),
        DataType::Decimal128(_, scale) => {
            let unit = power(u32::from(scale.unsigned_abs())).unwrap_or(1);
            let digits =
                values.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|digits| of_digits(digits, unit));
            Arc::new(digits.with_data_type(values.data_type().clone()))
        }
        _ => Arc::clone(values),
    }
}

/// Down to a multiple of a step, below zero too.
pub(super) fn step_number(values: &ArrayRef, steps: &ArrayRef) -> Result<ArrayRef> {
    fn no_step<T>() -> Result<T> {
        exec_err!("STEP goes by a number above 0")
    }
    match values.data_type() {
        DataType::Float32 | DataType::Float64 => {
            let kind = values.data_type();
            let (values, steps) = (cast(values, &DataType::Float64)?, cast(steps, &DataType::Float64)?);
            let rows = values.as_primitive::<Float64Type>().iter().zip(steps.as_primitive::<Float64Type>());
            let one = |(value, step): (Option<f64>, Option<f64>)| match (value, step) {
                (Some(value), Some(step)) if step > 0.0 => Ok(Some((value / step).floor() * step)),
                (Some(_), Some(_)) => no_step(),
                _ => Ok(None),
            };
            Ok(cast(&rows.map(one).collect::<Result<Float64Array>>()?, kind)?)
        }
        DataType::Decimal128(precision, scale) => {
            let rows = values.as_primitive::<Decimal128Type>().iter().zip(steps.as_primitive::<Decimal128Type>());
            let one = |(value, step): (Option<i128>, Option<i128>)| match (value, step) {
                (Some(value), Some(step)) if step > 0 => Ok(Some(value - value.rem_euclid(step))),
                (Some(_), Some(_)) => no_step(),
                _ => Ok(None),
            };
            let stepped = rows.map(one).collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(stepped.with_precision_and_scale(*precision, *scale)?))
        }
        kind => {
            let (values, steps) = (cast(values, &DataType::Int64)?, cast(steps, &DataType::Int64)?);
            let rows = values.as_primitive::<Int64Type>().iter().zip(steps.as_primitive::<Int64Type>());
            let one = |(value, step): (Option<i64>, Option<i64>)| match (value, step) {
                (Some(value), Some(step)) if step > 0 => {
                    let stepped = value.checked_sub(value.rem_euclid(step));
                    stepped.map(Some).ok_or_else(|| exec_datafusion_err!("STEP({value} BY {step}) is out of range"))
                }
                (Some(_), Some(_)) => no_step(),
                _ => Ok(None),
            };
            back(&rows.map(one).collect::<Result<PrimitiveArray<Int64Type>>>()?, kind)
        }
    }
}
