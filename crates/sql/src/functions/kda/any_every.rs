//! `kda_any(b)`, whether b is true in any row, and `kda_every(b)`, whether in all. NULLs do not count; of none it is NULL.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::type_name;

pub(super) fn any() -> AggregateUDF {
    quantifier(Quantifier::Any, &["any"])
}

pub(super) fn every() -> AggregateUDF {
    quantifier(Quantifier::Every, &["every"])
}

fn quantifier(quantifier: Quantifier, aliases: &[&str]) -> AggregateUDF {
    let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
    AggregateUDF::from(Quantified { quantifier, aliases, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Quantifier {
    Any,
    Every,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantified {
    quantifier: Quantifier,
    aliases: Vec<String>,
    signature: Signature,
}

impl AggregateUDFImpl for Quantified {
    fn name(&self) -> &'static str {
        match self.quantifier {
            Quantifier::Any => "kda_any",
            Quantifier::Every => "kda_every",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Boolean | DataType::Null] => Ok(vec![DataType::Boolean]),
            [other] => plan_err!("{:?} takes a condition, found {}", self.quantifier, type_name(other)),
            _ => plan_err!("write {:?}(condition)", self.quantifier),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str| Arc::new(Field::new(format!("{}[{name}]", args.name), DataType::Int64, true));
        Ok(vec![field("true"), field("false")])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counts { quantifier: self.quantifier, truths: 0, untruths: 0 }))
    }
}

/// Counted, so that rows can leave a sliding window.
#[derive(Debug)]
struct Counts {
    quantifier: Quantifier,
    truths: i64,
    untruths: i64,
}

impl Counts {
    fn add(&mut self, values: &[ArrayRef], sign: i64) {
        let values = values[0].as_boolean();
        let truths = i64::try_from(values.true_count()).unwrap_or(i64::MAX);
        let all = i64::try_from(values.len() - values.null_count()).unwrap_or(i64::MAX);
        self.truths += sign * truths;
        self.untruths += sign * (all - truths);
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let answer = match self.quantifier {
            Quantifier::Any => self.truths > 0,
            Quantifier::Every => self.untruths == 0,
        };
        Ok(ScalarValue::Boolean((self.truths + self.untruths > 0).then_some(answer)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.truths)), ScalarValue::Int64(Some(self.untruths))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let total = |counts: &ArrayRef| counts.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        self.truths += total(&states[0]);
        self.untruths += total(&states[1]);
        Ok(())
    }
}
