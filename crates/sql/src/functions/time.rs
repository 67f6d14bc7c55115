//! Flink's arithmetic of time: `TIMESTAMPDIFF`, `TIMESTAMPADD`, `TO_TIMESTAMP_LTZ`. The parser has made a text of the
//! unit; other names of Flink's it turns into DataFusion's (`parse::calls`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, PrimitiveArray};
use arrow::compute::kernels::numeric::add;
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, Int32Type, Int64Type, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::type_name;

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [Operation::Difference, Operation::Sum, Operation::Instant]
        .map(|operation| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::from(TimeFunction { operation, signature }))
        })
        .to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    /// `timestampdiff('minute', from, to)`: whole units, cut off towards zero.
    Difference,
    /// `timestampadd('minute', count, time)`.
    Sum,
    /// `to_timestamp_ltz(number, precision)`: 0 for seconds since 1970, 3 for milliseconds.
    Instant,
}

/// A unit of time: of months, or of a fixed number of microseconds.
#[derive(Clone, Copy)]
enum Unit {
    Months(i32),
    Micros(i64),
}

impl Unit {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().trim_start_matches("sql_tsi_").trim_end_matches('s') {
            "microsecond" => Self::Micros(1),
            "millisecond" => Self::Micros(1000),
            "second" => Self::Micros(1_000_000),
            "minute" => Self::Micros(60_000_000),
            "hour" => Self::Micros(3_600_000_000),
            "day" => Self::Micros(86_400_000_000),
            "week" => Self::Micros(604_800_000_000),
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            _ => {
                return exec_err!(
                    "`{name}` is no unit of time: there are SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER and YEAR"
                );
            }
        })
    }

    fn times(self, count: i64) -> Result<IntervalMonthDayNano> {
        let too_long = || exec_datafusion_err!("{count} units of time are too many");
        Ok(match self {
            Self::Months(months) => {
                let months = i32::try_from(count).ok().and_then(|count| count.checked_mul(months));
                IntervalMonthDayNano::new(months.ok_or_else(too_long)?, 0, 0)
            }
            Self::Micros(micros) => {
                let nanos = count.checked_mul(micros).and_then(|micros| micros.checked_mul(1000));
                IntervalMonthDayNano::new(0, 0, nanos.ok_or_else(too_long)?)
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeFunction {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for TimeFunction {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::Difference => "timestampdiff",
            Operation::Sum => "timestampadd",
            Operation::Instant => "to_timestamp_ltz",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match (self.operation, given) {
            (Operation::Difference, [_, from, to]) => {
                point_in_time(from)?;
                point_in_time(to)?;
                Ok(vec![DataType::Utf8, MICROS, MICROS])
            }
            (Operation::Sum, [_, _, time]) => Ok(vec![DataType::Utf8, DataType::Int64, point_in_time(time)?]),
            (Operation::Instant, [_]) => Ok(vec![DataType::Int64]),
            (Operation::Instant, [_, _]) => Ok(vec![DataType::Int64, DataType::Int64]),
            (Operation::Difference, _) => plan_err!("write TIMESTAMPDIFF(unit, from, to), for instance with MINUTE"),
            (Operation::Sum, _) => plan_err!("write TIMESTAMPADD(unit, count, time), for instance with MINUTE"),
            (Operation::Instant, _) => plan_err!("write TO_TIMESTAMP_LTZ(number, 0) for seconds, 3 for milliseconds"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match (self.operation, types) {
            (Operation::Difference, _) => DataType::Int64,
            (Operation::Sum, [_, _, time]) => point_in_time(time)?,
            _ => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let column = |index: usize| args.args[index].to_array(args.number_rows);
        let unit = || match &args.args[0] {
            ColumnarValue::Scalar(unit) => Unit::parse(unit.try_as_str().flatten().unwrap_or("NULL")),
            ColumnarValue::Array(_) => exec_err!("the unit of {} is a word such as MINUTE", self.name()),
        };
        let answer = match self.operation {
            Operation::Difference => difference(unit()?, &cast(&column(1)?, &MICROS)?, &cast(&column(2)?, &MICROS)?)?,
            Operation::Sum => {
                let unit = unit()?;
                let counts = column(1)?;
                let lengths = counts.as_primitive::<Int64Type>().iter();
                let lengths = lengths.map(|count| count.map(|count| unit.times(count)).transpose());
                add(&column(2)?, &lengths.collect::<Result<IntervalMonthDayNanoArray>>()?)?
            }
            Operation::Instant => {
                let factor = match args.args.get(1) {
                    None => 1000,
                    Some(ColumnarValue::Scalar(precision)) if precision.to_string() == "0" => 1000,
                    Some(ColumnarValue::Scalar(precision)) if precision.to_string() == "3" => 1,
                    Some(_) => {
                        return exec_err!("the precision of {} is 0 for seconds or 3 for milliseconds", self.name());
                    }
                };
                let numbers = column(0)?;
                let scaled = numbers.as_primitive::<Int64Type>().try_unary::<_, Int64Type, _>(|number| {
                    number.checked_mul(factor).ok_or_else(|| exec_datafusion_err!("{number} is out of range"))
                })?;
                cast(&scaled, &self.return_type(&[])?)?
            }
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// The type in which points in time are added up. A date is its midnight.
fn point_in_time(data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Timestamp(..) => Ok(data_type.clone()),
        DataType::Date32 | DataType::Date64 | DataType::Null => Ok(DataType::Timestamp(TimeUnit::Millisecond, None)),
        other => plan_err!("expected a TIMESTAMP or DATE, found {}", type_name(other)),
    }
}

/// Whole units from one time to another.
fn difference(unit: Unit, from: &ArrayRef, to: &ArrayRef) -> Result<ArrayRef> {
    let (starts, ends) =
        (from.as_primitive::<TimestampMicrosecondType>(), to.as_primitive::<TimestampMicrosecondType>());
    let months = match unit {
        Unit::Micros(size) => {
            let between = |(start, end): (Option<i64>, Option<i64>)| match start.zip(end) {
                None => Ok(None),
                Some((start, end)) => match end.checked_sub(start) {
                    Some(micros) => Ok(Some(micros / size)),
                    None => exec_err!("the times are too far apart"),
                },
            };
            return Ok(Arc::new(starts.iter().zip(ends).map(between).collect::<Result<Int64Array>>()?));
        }
        Unit::Months(months) => months,
    };
    // Months by the calendar, less one when the last of them is not full.
    let by_calendar =
        months_of(to)?.iter().zip(&months_of(from)?).map(|(to, from)| Some(to? - from?)).collect::<Vec<_>>();
    let steps = by_calendar.iter().map(|count| count.map(|count| IntervalMonthDayNano::new(count, 0, 0)));
    let reached = add(from, &steps.collect::<IntervalMonthDayNanoArray>())?;
    let reached = reached.as_primitive::<TimestampMicrosecondType>();
    let full = (0..by_calendar.len()).map(|row| {
        let count = by_calendar[row]?;
        let too_far = match count {
            0 => 0,
            _ if count > 0 => i32::from(reached.value(row) > ends.value(row)),
            _ => -i32::from(reached.value(row) < ends.value(row)),
        };
        Some(i64::from((count - too_far) / months))
    });
    Ok(Arc::new(full.collect::<Int64Array>()))
}

/// Months since the year 0.
fn months_of(times: &dyn Array) -> Result<PrimitiveArray<Int32Type>> {
    let (years, months) = (date_part(times, DatePart::Year)?, date_part(times, DatePart::Month)?);
    let (years, months) = (years.as_primitive::<Int32Type>(), months.as_primitive::<Int32Type>());
    Ok(years.iter().zip(months).map(|(year, month)| Some(year? * 12 + month?)).collect())
}
