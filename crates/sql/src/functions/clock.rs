//! Functions that read the clock: the time at which a row is processed, in UTC. DataFusion's own are one time for a
//! whole query, and a continuous query has no such time.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use millstream_core::Clock;

const DAY_MS: i64 = 86_400_000;

pub(super) fn all(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    // The planner knows these names (`plan::is_clock_function`): a new one is to be added there, too.
    let functions: [(&'static str, &[&str], Reading); 5] = [
        ("now", &["current_timestamp", "proctime"], Reading::Instant),
        ("localtimestamp", &[], Reading::LocalTime),
        ("current_date", &["today"], Reading::Date),
        ("current_time", &[], Reading::TimeOfDay),
        ("localtime", &[], Reading::TimeOfDay),
    ];
    let function = |(name, aliases, reading): (&'static str, &[&str], Reading)| {
        Arc::new(ScalarUDF::from(ClockFunction {
            name,
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            reading,
            clock: Arc::clone(clock),
            signature: Signature::nullary(Volatility::Volatile),
        }))
    };
    functions.map(function).to_vec()
}

/// What of the time is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reading {
    Instant,
    LocalTime,
    Date,
    TimeOfDay,
}

struct ClockFunction {
    name: &'static str,
    aliases: Vec<String>,
    reading: Reading,
    clock: Arc<dyn Clock>,
    signature: Signature,
}

impl ScalarUDFImpl for ClockFunction {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.reading {
            Reading::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Reading::LocalTime => DataType::Timestamp(TimeUnit::Millisecond, None),
            Reading::Date => DataType::Date32,
            Reading::TimeOfDay => DataType::Time64(TimeUnit::Nanosecond),
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let now = self.clock.now().0;
        Ok(ColumnarValue::Scalar(match self.reading {
            Reading::Instant => ScalarValue::TimestampMillisecond(Some(now), Some("UTC".into())),
            Reading::LocalTime => ScalarValue::TimestampMillisecond(Some(now), None),
            Reading::Date => ScalarValue::Date32(i32::try_from(now.div_euclid(DAY_MS)).ok()),
            Reading::TimeOfDay => ScalarValue::Time64Nanosecond(Some(now.rem_euclid(DAY_MS) * 1_000_000)),
        }))
    }
}

impl fmt::Debug for ClockFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for ClockFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.clock, &other.clock)
    }
}

impl Eq for ClockFunction {}

impl Hash for ClockFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
