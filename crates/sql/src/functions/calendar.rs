//! Parts of a point in time by Flink's names: `YEAR(t)` is `EXTRACT(YEAR FROM t)`, and so on.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::type_name;

const PARTS: [(&str, DatePart); 10] = [
    ("year", DatePart::Year),
    ("quarter", DatePart::Quarter),
    ("month", DatePart::Month),
    ("week", DatePart::WeekISO),
    ("dayofyear", DatePart::DayOfYear),
    ("dayofmonth", DatePart::Day),
    // From 1, which is Sunday, to 7.
    ("dayofweek", DatePart::DayOfWeekSunday1),
    ("hour", DatePart::Hour),
    ("minute", DatePart::Minute),
    ("second", DatePart::Second),
];

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    PARTS
        .map(|(name, part)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::from(PartOfTime { name, part, signature }))
        })
        .to_vec()
}

#[derive(Debug, PartialEq, Eq)]
struct PartOfTime {
    name: &'static str,
    part: DatePart,
    signature: Signature,
}

impl Hash for PartOfTime {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for PartOfTime {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [time @ DataType::Timestamp(..)] => Ok(vec![time.clone()]),
            [DataType::Date32 | DataType::Date64 | DataType::Null] => {
                Ok(vec![DataType::Timestamp(TimeUnit::Millisecond, None)])
            }
            [other] => plan_err!("{} takes a TIMESTAMP or DATE, found {}", self.name, type_name(other)),
            _ => plan_err!("write {}(time)", self.name.to_uppercase()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(cast(&date_part(&times, self.part)?, &DataType::Int64)?))
    }
}
