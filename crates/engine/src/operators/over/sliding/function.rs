//! The functions that slide, and what they are of.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use datafusion::physical_expr::PhysicalExpr;

use super::super::frame::{Reach, integer, longest};
use crate::physical::physical_expr;

pub(super) struct Function {
    pub(super) kind: Kind,
    /// Which argument it is of; `count(*)` has none.
    pub(super) argument: Option<usize>,
    pub(super) before: Reach,
    pub(super) value_type: DataType,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Sum,
    Average,
    Least,
    Greatest,
}

pub(super) struct Argument {
    pub(super) expr: Arc<dyn PhysicalExpr>,
    pub(super) is_float: bool,
}

impl Function {
    /// `None`: it does something else.
    pub(super) fn compile(
        function: &WindowFunction,
        schema: &DFSchema,
        value_type: DataType,
        arguments: &mut Vec<Argument>,
    ) -> Result<Option<Self>> {
        let WindowFunctionParams { args, window_frame, filter, distinct, .. } = &function.params;
        let WindowFunctionDefinition::AggregateUDF(aggregate) = &function.fun else { return Ok(None) };
        let kind = match aggregate.name() {
            "count" => Kind::Count,
            "sum" => Kind::Sum,
            "avg" => Kind::Average,
            "min" => Kind::Least,
            "max" => Kind::Greatest,
            _ => return Ok(None),
        };
        let before = match (&window_frame.start_bound, &window_frame.end_bound) {
            (WindowFrameBound::Preceding(before), WindowFrameBound::CurrentRow) if !before.is_null() => {
                match window_frame.units {
                    WindowFrameUnits::Rows => Reach::Rows(usize::try_from(integer(before)?).unwrap_or(usize::MAX)),
                    WindowFrameUnits::Range => Reach::Time(longest(before)?),
                    WindowFrameUnits::Groups => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let [argument] = args.as_slice() else { return Ok(None) };
        if filter.is_some() || *distinct {
            return Ok(None);
        }
        let expr = physical_expr(argument, schema)?;
        let data_type = expr.data_type(schema.as_arrow())?;
        let is_float = matches!(data_type, DataType::Float64 | DataType::Float32);
        let is_exact = data_type.is_signed_integer() || matches!(data_type, DataType::Timestamp(..));
        let fits = match kind {
            Kind::Count => true,
            Kind::Sum => matches!(data_type, DataType::Int64 | DataType::Float64),
            Kind::Average => data_type == DataType::Float64,
            Kind::Least | Kind::Greatest => is_float || is_exact,
        };
        if !fits {
            return Ok(None);
        }
        let is_constant = (expr.as_ref() as &dyn std::any::Any)
            .downcast_ref::<datafusion::physical_expr::expressions::Literal>()
            .is_some_and(|literal| !literal.value().is_null());
        let argument = if kind == Kind::Count && is_constant {
            None
        } else if kind == Kind::Count && !is_float && !is_exact {
            return Ok(None);
        } else {
            let known = arguments.iter().position(|known| known.expr.eq(&expr));
            Some(known.unwrap_or_else(|| {
                arguments.push(Argument { expr, is_float });
                arguments.len() - 1
            }))
        };
        Ok(Some(Self { kind, argument, before, value_type }))
    }

    pub(super) fn is_of_floats(&self, arguments: &[Argument]) -> bool {
        self.argument.is_some_and(|argument| arguments[argument].is_float)
    }

    pub(super) fn gives_floats(&self, arguments: &[Argument]) -> bool {
        self.kind != Kind::Count && self.is_of_floats(arguments)
    }
}

/// An argument's values of some rows.
pub(super) enum Values {
    Whole(Int64Array),
    Floats(Float64Array),
}

impl Argument {
    pub(super) fn of(&self, rows: &RecordBatch) -> Result<Values> {
        let values = self.expr.evaluate(rows)?.into_array(rows.num_rows())?;
        Ok(if self.is_float {
            Values::Floats(cast(&values, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        } else {
            Values::Whole(cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        })
    }
}

impl Values {
    pub(super) fn value(&self, row: usize) -> Option<i64> {
        match self {
            Self::Whole(values) => values.is_valid(row).then(|| values.value(row)),
            Self::Floats(values) => values.is_valid(row).then(|| bits(values.value(row))),
        }
    }
}

pub(super) fn bits(value: f64) -> i64 {
    value.to_bits().cast_signed()
}

pub(super) fn float(bits: i64) -> f64 {
    f64::from_bits(bits.cast_unsigned())
}
