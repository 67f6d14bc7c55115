//! What each function over rows in order takes, adds and gives.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use millstream_core::Duration;

use crate::pipeline::WindowBound;

/// A function over rows in order, with the values it was called with. Its columns are listed in the order in which the
/// node has them; the first is always the time that rows are in the order of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InOrderFunction {
    /// Time, and perhaps another one: rows go on as they are, and have that time from then on.
    InTime,
    /// Time, and the time to sort by: a row goes on once one was seen that is later by more than the slack.
    SortWithin { slack: Duration },
    /// Time, a lead, and columns: rows of one value of the lead are sorted by the columns, descending where it says so.
    /// With a step, the lead is the beginning of a step of time, and rows wait until it is over.
    SortInOrder { descending: Vec<bool>, step: Option<Duration> },
    /// Time, a lead, and columns: of the rows of one value of the lead that are equal in the columns, the first.
    DistinctInOrder,
    /// Time, and keys: a window of a key opens with a row of it that finds none open, and is so long.
    Stagger { length: Duration },
    /// Time, and leads: rows are given together when one of the leads changes.
    Sets,
}

/// A column that a function adds behind those of its input, never NULL. A timestamp has the zone of the time.
pub(crate) struct Added {
    pub(crate) name: &'static str,
    pub(crate) data_type: DataType,
    /// What it is of the set that a row is in.
    pub(crate) bound: Option<WindowBound>,
}

/// What the event time of the rows that a function gives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultTime {
    /// One of the columns that it was given.
    Column(usize),
    /// Rows are given as sets, to be grouped: by the columns behind the time, and by a bound of the set.
    Sets,
}

impl InOrderFunction {
    /// What it is called in SQL.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InTime => "in_time",
            Self::SortWithin { .. } => "sort_within",
            Self::SortInOrder { .. } => "sort_in_order",
            Self::DistinctInOrder => "distinct_in_order",
            Self::Stagger { .. } => "stagger",
            Self::Sets => "sets",
        }
    }

    /// Whether the column in this place of those it was given must be a timestamp.
    pub(crate) fn is_time(&self, column: usize) -> bool {
        match self {
            Self::InTime | Self::SortWithin { .. } => true,
            Self::SortInOrder { step: Some(_), .. } => column <= 1,
            _ => column == 0,
        }
    }

    /// The columns that it adds.
    pub(crate) fn adds(&self) -> Vec<Added> {
        let bound = |name, bound| {
            let data_type = DataType::Timestamp(TimeUnit::Millisecond, None);
            Added { name, data_type, bound: Some(bound) }
        };
        match self {
            Self::Stagger { .. } => vec![
                bound("window_start", WindowBound::Start),
                bound("window_end", WindowBound::End),
                bound("window_time", WindowBound::Time),
            ],
            Self::Sets => vec![bound("window_end", WindowBound::End)],
            Self::InTime | Self::SortWithin { .. } | Self::SortInOrder { .. } | Self::DistinctInOrder => Vec::new(),
        }
    }

    /// What the time of its rows is, when it was given so many columns.
    pub(crate) fn result_time(&self, columns: usize) -> ResultTime {
        match self {
            Self::Stagger { .. } | Self::Sets => ResultTime::Sets,
            Self::InTime if columns > 1 => ResultTime::Column(1),
            Self::SortWithin { .. } => ResultTime::Column(1),
            Self::InTime | Self::SortInOrder { .. } | Self::DistinctInOrder => ResultTime::Column(0),
        }
    }

    /// Whether its rows are sets, to be grouped.
    #[must_use]
    pub fn gives_sets(&self) -> bool {
        self.result_time(1) == ResultTime::Sets
    }

    /// What it keeps, and for how long.
    pub(crate) fn keeps(&self) -> String {
        match self {
            Self::InTime => "rows until the watermark has passed them".to_owned(),
            Self::SortWithin { slack } => format!("rows until one is {} ms later", slack.0),
            Self::SortInOrder { .. } => "the rows of one value of the lead".to_owned(),
            Self::DistinctInOrder => "the different rows of one value of the lead".to_owned(),
            Self::Stagger { length } => format!("every row for {} ms and the watermark's delay", length.0),
            Self::Sets => "the rows of one value of the leads".to_owned(),
        }
    }
}

/// The name with the values it was called with.
impl fmt::Display for InOrderFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Self::InTime | Self::DistinctInOrder | Self::Sets => Ok(()),
            Self::SortWithin { slack } => write!(f, " {} ms", slack.0),
            Self::SortInOrder { descending, step } => {
                let words: Vec<&str> = descending.iter().map(|is| if *is { "desc" } else { "asc" }).collect();
                write!(f, " {}", words.join(","))?;
                step.map_or(Ok(()), |step| write!(f, " in steps of {} ms", step.0))
            }
            Self::Stagger { length } => write!(f, " {} ms", length.0),
        }
    }
}
