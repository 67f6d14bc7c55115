//! What a window function needs of the rows around it, from its frame.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};
use millstream_core::Duration;

/// How far a function looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Rows(usize),
    Time(Duration),
}

/// How far a function looks back and ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) before: Reach,
    pub(super) after: Reach,
}

/// The end of a frame, exclusive, as an index into the rows of a partition.
pub(super) struct FrameEnd {
    units: WindowFrameUnits,
    bound: WindowFrameBound,
}

impl Needs {
    const NONE: Self = Self { before: Reach::Rows(0), after: Reach::Rows(0) };

    /// Of a function over a frame. What reaches back without bound is kept as running values, not as rows.
    /// `in_frame`: also of those that look at a distance whatever their frame says.
    pub(super) fn of(name: &str, arguments: &[Expr], frame: &WindowFrame, in_frame: bool) -> Result<Self> {
        match name {
            _ if in_frame => Ok(Self { before: start_of(frame)?.unwrap_or(Reach::Rows(0)), ..Self::NONE }),
            "lag" | "lead" => {
                let distance = match arguments.get(1) {
                    None => 1,
                    Some(Expr::Literal(value, _)) => integer(value)?,
                    Some(other) => return Err(not_literal(name, other)),
                };
                let ahead = if name == "lead" { distance } else { -distance };
                let reach = Reach::Rows(usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX));
                Ok(if ahead > 0 { Self { after: reach, ..Self::NONE } } else { Self { before: reach, ..Self::NONE } })
            }
            // The row before tells whether this one has the same rank.
            "rank" | "dense_rank" => Ok(Self { before: Reach::Rows(1), ..Self::NONE }),
            "row_number" => Ok(Self::NONE),
            _ => Ok(Self { before: back(frame)?, after: ahead(frame)? }),
        }
    }
}

fn not_literal(name: &str, found: &Expr) -> DataFusionError {
    DataFusionError::Plan(format!("the distance of {name} must be a number, found {found}"))
}

pub(super) fn integer(value: &ScalarValue) -> Result<i64> {
    match value.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(Some(value)) => Ok(value),
        other => Err(DataFusionError::Plan(format!("expected a number of rows, found {other}"))),
    }
}

fn reach(units: WindowFrameUnits, bound: &ScalarValue) -> Result<Reach> {
    match units {
        WindowFrameUnits::Rows => Ok(Reach::Rows(usize::try_from(integer(bound)?).unwrap_or(usize::MAX))),
        WindowFrameUnits::Range | WindowFrameUnits::Groups => Ok(Reach::Time(longest(bound)?)),
    }
}

/// How far before the row a frame begins; `None`: with the partition, or after the row.
pub(super) fn start_of(frame: &WindowFrame) -> Result<Option<Reach>> {
    match &frame.start_bound {
        WindowFrameBound::Preceding(bound) if !bound.is_null() => reach(frame.units, bound).map(Some),
        WindowFrameBound::CurrentRow if frame.units == WindowFrameUnits::Rows => Ok(Some(Reach::Rows(0))),
        WindowFrameBound::CurrentRow => Ok(Some(Reach::Time(Duration(0)))),
        WindowFrameBound::Preceding(_) | WindowFrameBound::Following(_) => Ok(None),
    }
}

fn back(frame: &WindowFrame) -> Result<Reach> {
    // With an end before the row itself rows wait to come into the frame.
    let of_end = match &frame.end_bound {
        WindowFrameBound::Preceding(bound) if !bound.is_null() => reach(frame.units, bound)?,
        _ => Reach::Rows(0),
    };
    match &frame.start_bound {
        WindowFrameBound::Preceding(bound) if bound.is_null() => Ok(of_end),
        WindowFrameBound::Preceding(bound) => reach(frame.units, bound),
        WindowFrameBound::CurrentRow | WindowFrameBound::Following(_) => Ok(Reach::Rows(0)),
    }
}

fn ahead(frame: &WindowFrame) -> Result<Reach> {
    match &frame.end_bound {
        WindowFrameBound::Following(bound) => reach(frame.units, bound),
        WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(_) => Ok(Reach::Rows(0)),
    }
}

/// The length of an interval, at its longest where it has months.
pub(super) fn longest(bound: &ScalarValue) -> Result<Duration> {
    const DAY_MS: i64 = 86_400_000;
    let millis = match bound {
        ScalarValue::IntervalMonthDayNano(Some(interval)) => {
            let days = i64::from(interval.months) * 31 + i64::from(interval.days);
            days * DAY_MS + (interval.nanoseconds + 999_999).div_euclid(1_000_000)
        }
        ScalarValue::IntervalDayTime(Some(interval)) => {
            i64::from(interval.days) * DAY_MS + i64::from(interval.milliseconds)
        }
        ScalarValue::IntervalYearMonth(Some(months)) => i64::from(*months) * 31 * DAY_MS,
        other => {
            let message = format!("a RANGE frame over time is bounded by an interval, found {other}");
            return Err(DataFusionError::Plan(message));
        }
    };
    Ok(Duration(millis))
}

impl FrameEnd {
    pub(super) fn of(frame: &WindowFrame) -> Self {
        Self { units: frame.units, bound: frame.end_bound.clone() }
    }

    /// For each of the rows the end of its frame. `order` are the ORDER BY columns, `peers` the end of each row's peers.
    pub(super) fn all(&self, rows: usize, time: &ArrayRef, peers: &[usize]) -> Result<Vec<usize>> {
        let by_rows = |distance: &ScalarValue, ahead: bool| -> Result<Vec<usize>> {
            let distance = usize::try_from(integer(distance)?).unwrap_or(usize::MAX);
            let end = |row: usize| {
                if ahead { (row + 1).saturating_add(distance) } else { (row + 1).saturating_sub(distance) }
            };
            Ok((0..rows).map(|row| end(row).min(rows)).collect())
        };
        match (self.units, &self.bound) {
            (WindowFrameUnits::Rows, WindowFrameBound::CurrentRow) => Ok((1..=rows).collect()),
            (WindowFrameUnits::Rows, WindowFrameBound::Following(distance)) => by_rows(distance, true),
            (WindowFrameUnits::Rows, WindowFrameBound::Preceding(distance)) => by_rows(distance, false),
            (_, WindowFrameBound::CurrentRow) => Ok(peers.to_vec()),
            (_, WindowFrameBound::Following(distance)) => by_time(time, distance, true),
            (_, WindowFrameBound::Preceding(distance)) => by_time(time, distance, false),
        }
    }
}

/// For each row how many rows are at most `distance` later, or at least so much earlier.
fn by_time(time: &ArrayRef, distance: &ScalarValue, ahead: bool) -> Result<Vec<usize>> {
    let per_milli = match time.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000,
        _ => 1,
    };
    let times = arrow::compute::cast(time, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>().values();
    let distance = longest(distance)?.0.saturating_mul(per_milli);
    let distance = if ahead { distance } else { -distance };
    Ok(times.iter().map(|at| times.partition_point(|other| *other <= at.saturating_add(distance))).collect())
}
