//! `kda_var_pop` and its like, for OVER: the variance of the rows of a frame, computed from the rows themselves. Sums that
//! are carried along as rows come and go would round differently wherever the stream is cut, and a variance next to zero
//! could be below it.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

pub(super) fn functions() -> [AggregateUDF; 4] {
    let function = |name, of_sample, is_root| {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::from(Variance { name, of_sample, is_root, signature })
    };
    [
        function("kda_var_pop", false, false),
        function("kda_var_samp", true, false),
        function("kda_stddev_pop", false, true),
        function("kda_stddev_samp", true, true),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Variance {
    name: &'static str,
    of_sample: bool,
    /// The standard deviation.
    is_root: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Variance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [number] if number.is_numeric() || number.is_null() => Ok(vec![DataType::Float64]),
            _ => plan_err!("write {}(number)", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        Ok(vec![Arc::new(Field::new(args.name, DataType::List(item), true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(InFrame { values: VecDeque::new(), of_sample: self.of_sample, is_root: self.is_root }))
    }
}

/// The values of the rows that are in the frame; NULL is none.
#[derive(Debug)]
struct InFrame {
    values: VecDeque<f64>,
    of_sample: bool,
    is_root: bool,
}

impl InFrame {
    #[expect(clippy::cast_precision_loss, reason = "a frame has fewer rows than 2^53")]
    fn variance(&self) -> Option<f64> {
        let count = self.values.len() as f64;
        let divisor = if self.of_sample { count - 1.0 } else { count };
        if divisor <= 0.0 {
            return None;
        }
        let mean = self.values.iter().sum::<f64>() / count;
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = squares / divisor;
        Some(if self.is_root { variance.sqrt() } else { variance })
    }
}

impl Accumulator for InFrame {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.values.extend(columns[0].as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let gone = columns[0].len() - columns[0].null_count();
        self.values.drain(..gone.min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.variance()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: ArrayRef = Arc::new(self.values.iter().copied().map(Some).collect::<Float64Array>());
        Ok(vec![SingleRowListArrayBuilder::new(values).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.values.extend(values.as_primitive::<Float64Type>().iter().flatten());
        }
        Ok(())
    }
}
