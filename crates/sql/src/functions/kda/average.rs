//! `kda_avg`: the average of whole numbers is a whole number, cut off towards zero; of decimals, one with the same
//! decimals. Averages of floats are DataFusion's.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::exact::divide_rounding;
use crate::type_name;

pub(super) fn function() -> AggregateUDF {
    AggregateUDF::from(Average { signature: Signature::user_defined(Volatility::Immutable) })
}

/// Sums may be twenty digits longer than what they sum up.
const SUM: DataType = DataType::Decimal128(38, 0);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    signature: Signature,
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &'static str {
        "kda_avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Null] => Ok(vec![DataType::Int64]),
            [number] if number.is_unsigned_integer() => Ok(vec![DataType::Int64]),
            [DataType::Float16 | DataType::Float32] => Ok(vec![DataType::Float64]),
            [number] if number.is_numeric() => Ok(vec![number.clone()]),
            [other] => plan_err!("AVG takes a number, found {}", type_name(other)),
            _ => plan_err!("write AVG(number)"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [kind] => Ok(kind.clone()),
            _ => plan_err!("write AVG(number)"),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if *args.return_field.data_type() == DataType::Float64 {
            return avg_udaf().state_fields(args);
        }
        let field = |name: &str, kind| Arc::new(Field::new(format!("{}[{name}]", args.name), kind, true));
        Ok(vec![field("count", DataType::Int64), field("sum", SUM)])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if *args.return_type() == DataType::Float64 {
            return avg_udaf().accumulator(args);
        }
        if args.is_distinct {
            return exec_err!("AVG(DISTINCT …) of whole numbers is not there; take it of a subquery with DISTINCT");
        }
        Ok(Box::new(Sum { count: 0, total: 0, gives: args.return_type().clone() }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if *args.return_type() == DataType::Float64 {
            return avg_udaf().create_sliding_accumulator(args);
        }
        self.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if *args.return_type() == DataType::Float64 {
            return avg_udaf().create_groups_accumulator(args);
        }
        Ok(Box::new(Sums { counts: Vec::new(), totals: Vec::new(), gives: args.return_type().clone() }))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|call, context| {
            let is_float = match call.params.args.as_slice() {
                [number] => context.get_data_type(number)? == DataType::Float64,
                _ => false,
            };
            let func = if is_float { avg_udaf() } else { call.func };
            Ok(Expr::AggregateFunction(AggregateFunction { func, params: call.params }))
        }))
    }
}

/// The digits of whole numbers or decimals.
fn digits(column: &ArrayRef) -> Result<Decimal128Array> {
    Ok(match column.data_type() {
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().clone(),
        kind if kind.is_integer() => {
            let whole = cast(column, &DataType::Int64)?;
            whole.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from)
        }
        other => return exec_err!("AVG takes a number, found {}", type_name(other)),
    })
}

/// Whole numbers are cut off, decimals rounded.
fn average(sum: i128, count: i64, gives: &DataType) -> Option<i128> {
    match (count, gives) {
        (0, _) => None,
        (_, DataType::Decimal128(..)) => Some(divide_rounding(sum, count.into())),
        _ => Some(sum / i128::from(count)),
    }
}

fn averages(values: Vec<Option<i128>>, gives: &DataType) -> Result<ArrayRef> {
    match gives {
        DataType::Decimal128(precision, scale) => {
            Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(*precision, *scale)?))
        }
        other => {
            let whole: Int64Array = values.into_iter().map(|value| i64::try_from(value?).ok()).collect();
            Ok(cast(&whole, other)?)
        }
    }
}

fn too_large<T>() -> Result<T> {
    exec_err!("the sum of an AVG is out of range; take it of DOUBLE")
}

#[derive(Debug)]
struct Sum {
    count: i64,
    total: i128,
    gives: DataType,
}

impl Sum {
    fn add(&mut self, column: &ArrayRef, sign: i128) -> Result<()> {
        let values = digits(column)?;
        for value in values.iter().flatten() {
            match self.total.checked_add(sign * value) {
                Some(total) => self.total = total,
                None => return too_large(),
            }
        }
        let count = i64::try_from(values.len() - values.null_count()).unwrap_or(i64::MAX);
        self.count += if sign < 0 { -count } else { count };
        Ok(())
    }
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let answer = averages(vec![average(self.total, self.count, &self.gives)], &self.gives)?;
        ScalarValue::try_from_array(&answer, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.total), 38, 0);
        Ok(vec![ScalarValue::Int64(Some(self.count)), sum])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (count, sum) in states[0].as_primitive::<Int64Type>().iter().zip(states[1].as_primitive::<Decimal128Type>())
        {
            self.count += count.unwrap_or_default();
            match self.total.checked_add(sum.unwrap_or_default()) {
                Some(total) => self.total = total,
                None => return too_large(),
            }
        }
        Ok(())
    }
}

/// Sums of many groups.
struct Sums {
    counts: Vec<i64>,
    totals: Vec<i128>,
    gives: DataType,
}

impl Sums {
    fn add(&mut self, group: usize, count: i64, value: i128) -> Result<()> {
        self.counts[group] += count;
        match self.totals[group].checked_add(value) {
            Some(total) => self.totals[group] = total,
            None => return too_large(),
        }
        Ok(())
    }

    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.totals.resize(groups, 0);
    }

    fn sums_array(sums: Vec<i128>) -> Result<ArrayRef> {
        Ok(Arc::new(PrimitiveArray::<Decimal128Type>::from_iter_values(sums).with_precision_and_scale(38, 0)?))
    }
}

impl GroupsAccumulator for Sums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.grow(count);
        let values = digits(&values[0])?;
        for (row, (value, &group)) in values.iter().zip(groups).enumerate() {
            let is_taken = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let Some(value) = value.filter(|_| is_taken) {
                self.add(group, 1, value)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = (emit_to.take_needed(&mut self.totals), emit_to.take_needed(&mut self.counts));
        let all = sums.into_iter().zip(counts).map(|(sum, count)| average(sum, count, &self.gives));
        averages(all.collect(), &self.gives)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = Int64Array::from(emit_to.take_needed(&mut self.counts));
        Ok(vec![Arc::new(counts), Self::sums_array(emit_to.take_needed(&mut self.totals))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.grow(count);
        let (counts, sums) = (states[0].as_primitive::<Int64Type>(), states[1].as_primitive::<Decimal128Type>());
        for ((count, sum), &group) in counts.iter().zip(sums).zip(groups) {
            self.add(group, count.unwrap_or_default(), sum.unwrap_or_default())?;
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = digits(&values[0])?;
        let taken = (0..values.len())
            .map(|row| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) && values.is_valid(row));
        let counts: Int64Array = taken.clone().map(|taken| Some(i64::from(taken))).collect();
        let sums = taken.enumerate().map(|(row, taken)| if taken { values.value(row) } else { 0 }).collect();
        Ok(vec![Arc::new(counts), Self::sums_array(sums)?])
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<i64>() + self.totals.capacity() * size_of::<i128>()
    }
}
