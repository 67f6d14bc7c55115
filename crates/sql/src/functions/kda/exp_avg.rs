//! `kda_exp_avg(value, time, INTERVAL half_life)`: an average in which a value that is one half-life older than the newest
//! counts half as much: Σ wᵢ xᵢ / Σ wᵢ with wᵢ = 2^(−age / half-life). Rows are kept by their time, so that one that leaves
//! a sliding window is gone exactly.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, IntervalMonthDayNanoType, TimestampMillisecondType,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::calendar::MS_PER_DAY;
use super::definition::{INTERVAL, TIMESTAMP};
use crate::type_name;

pub(super) fn function() -> AggregateUDF {
    let aliases = vec!["exp_avg".to_owned()];
    AggregateUDF::from(ExponentialAverage { aliases, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExponentialAverage {
    aliases: Vec<String>,
    signature: Signature,
}

impl AggregateUDFImpl for ExponentialAverage {
    fn name(&self) -> &'static str {
        "kda_exp_avg"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [value, DataType::Timestamp(..), DataType::Interval(_) | DataType::Duration(_)]
                if value.is_numeric() || value.is_null() =>
            {
                Ok(vec![DataType::Float64, TIMESTAMP, INTERVAL])
            }
            _ => {
                let given: Vec<_> = given.iter().map(type_name).collect();
                plan_err!("write EXP_AVG(number, time, INTERVAL '10' SECOND), found {}", given.join(", "))
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    /// The half-life, and per instant: its time, the sum of its values, and how many they are.
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |name: &str, kind| {
            Arc::new(Field::new_list(format!("{}[{name}]", args.name), Field::new_list_field(kind, true), true))
        };
        Ok(vec![
            Arc::new(Field::new(format!("{}[half_life_ms]", args.name), DataType::Int64, true)),
            list("times", DataType::Int64),
            list("sums", DataType::Float64),
            list("counts", DataType::Int64),
        ])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Decaying { half_life_ms: 0, instants: BTreeMap::new() }))
    }
}

#[derive(Debug)]
struct Decaying {
    /// 0 until the first row has told it.
    half_life_ms: i64,
    /// By time: the sum of its values, and how many they are.
    instants: BTreeMap<i64, (f64, i64)>,
}

impl Decaying {
    fn each(&mut self, columns: &[ArrayRef], mut apply: impl FnMut(&mut Self, i64, f64)) -> Result<()> {
        let [values, times, half_lives] = columns else { return exec_err!("EXP_AVG has three arguments") };
        let (values, times) = (values.as_primitive::<Float64Type>(), times.as_primitive::<TimestampMillisecondType>());
        let half_lives = half_lives.as_primitive::<IntervalMonthDayNanoType>();
        for row in 0..values.len() {
            if values.is_null(row) || times.is_null(row) || half_lives.is_null(row) {
                continue;
            }
            let half_life = half_lives.value(row);
            let ms = i64::from(half_life.days) * MS_PER_DAY + half_life.nanoseconds / 1_000_000;
            if half_life.months != 0 || ms <= 0 {
                return exec_err!("the half-life of EXP_AVG is longer than nothing, and not in months");
            }
            self.half_life_ms = ms;
            apply(self, times.value(row), values.value(row));
        }
        Ok(())
    }

    fn add(&mut self, time: i64, sum: f64, count: i64) {
        let instant = self.instants.entry(time).or_default();
        *instant = (instant.0 + sum, instant.1 + count);
    }
}

impl Accumulator for Decaying {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, |this, time, value| this.add(time, value, 1))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.each(values, |this, time, value| {
            if let Some((sum, count)) = this.instants.get_mut(&time) {
                (*sum, *count) = (*sum - value, *count - 1);
                if *count == 0 {
                    this.instants.remove(&time);
                }
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "ages and counts are below 2^53")]
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some((&newest, _)) = self.instants.last_key_value() else { return Ok(ScalarValue::Float64(None)) };
        let (mut weighted, mut weights) = (0.0, 0.0);
        for (&time, &(sum, count)) in self.instants.iter().rev() {
            let weight = (-((newest - time) as f64) / self.half_life_ms as f64).exp2();
            if weight == 0.0 {
                break;
            }
            weighted += weight * sum;
            weights += weight * count as f64;
        }
        Ok(ScalarValue::Float64(Some(weighted / weights)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.instants.len() * size_of::<(i64, (f64, i64))>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let times: Int64Array = self.instants.keys().map(|&time| Some(time)).collect();
        let sums: Float64Array = self.instants.values().map(|&(sum, _)| Some(sum)).collect();
        let counts: Int64Array = self.instants.values().map(|&(_, count)| Some(count)).collect();
        let list = |values: ArrayRef| {
            ScalarValue::List(Arc::new(
                datafusion::common::utils::SingleRowListArrayBuilder::new(values).build_list_array(),
            ))
        };
        Ok(vec![
            ScalarValue::Int64(Some(self.half_life_ms)),
            list(Arc::new(times)),
            list(Arc::new(sums)),
            list(Arc::new(counts)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [half_lives, times, sums, counts] = states else { return exec_err!("EXP_AVG has four columns of state") };
        let half_lives = half_lives.as_primitive::<Int64Type>();
        for row in 0..half_lives.len() {
            if times.is_null(row) {
                continue;
            }
            self.half_life_ms = self.half_life_ms.max(half_lives.value(row));
            let part = |lists: &ArrayRef, kind: &DataType| cast(&lists.as_list::<i32>().value(row), kind);
            let (times, counts) = (part(times, &DataType::Int64)?, part(counts, &DataType::Int64)?);
            let sums = part(sums, &DataType::Float64)?;
            let (times, counts) = (times.as_primitive::<Int64Type>(), counts.as_primitive::<Int64Type>());
            for ((time, sum), count) in
                times.values().iter().zip(sums.as_primitive::<Float64Type>().values()).zip(counts.values())
            {
                self.add(*time, *sum, *count);
            }
        }
        Ok(())
    }
}
