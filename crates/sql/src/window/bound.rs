//! The bounds of a row's window as a function of its time, for queries that ask for them row by row.

use std::sync::Arc;

use arrow::array::{Array, AsArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use millstream_core::{EventTime, Window, WindowSpec};

use crate::pipeline::WindowBound;

/// `bound(time)`: of the windows that hold the time, in the order of their ends, a bound of the one with this number;
/// NULL where there are fewer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundOf {
    spec: WindowSpec,
    number: usize,
    bound: WindowBound,
    signature: Signature,
    name: String,
}

/// The function for one bound.
pub(crate) fn bound_of(spec: WindowSpec, number: usize, bound: WindowBound) -> ScalarUDF {
    let name = format!("window_{} of {spec}, number {number}", bound.word());
    ScalarUDF::from(BoundOf { spec, number, bound, signature: Signature::any(1, Volatility::Immutable), name })
}

impl WindowBound {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Time => "time",
        }
    }

    /// This bound of a window.
    #[must_use]
    pub fn of(self, window: Window) -> EventTime {
        match self {
            Self::Start => window.start,
            Self::End => window.end,
            Self::Time => EventTime(window.end.0 - 1),
        }
    }
}

fn millis(of: &DataType) -> DataType {
    match of {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

impl ScalarUDFImpl for BoundOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(millis(types.first().unwrap_or(&DataType::Null)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time] = arguments.args.as_slice() else {
            return Err(datafusion::error::DataFusionError::Internal("a window's bound is of one time".to_owned()));
        };
        let times = time.to_array(arguments.number_rows)?;
        let target = millis(times.data_type());
        let times = cast(&times, &target)?;
        let times = times.as_primitive::<TimestampMillisecondType>();
        // Neighbours are mostly of one slice: look its window up once.
        let mut known: Option<(Window, Option<i64>)> = None;
        let bounds: TimestampMillisecondArray = times
            .iter()
            .map(|time| {
                let time = EventTime(time?);
                if let Some((slice, bound)) = known
                    && slice.start <= time
                    && time < slice.end
                {
                    return bound;
                }
                let slice = self.spec.slice_of(time)?;
                let bound = self.spec.windows_at(time).nth(self.number).map(|window| self.bound.of(window).0);
                known = Some((slice, bound));
                bound
            })
            .collect();
        let zone = match &target {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Ok(ColumnarValue::Array(Arc::new(bounds.with_timezone_opt(zone))))
    }
}
