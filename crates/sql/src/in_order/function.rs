//! What each function over rows in order takes, adds and gives.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use millstream_analytics::{ForestParameters, HotspotParameters};
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
    /// Time, the side a row is of, and the columns of the left side: each row with those in the window of the other side.
    Pairs { windows: [Reach; 2] },
    /// Time, and leads: rows are given together when one of the leads changes.
    Sets,
    /// Time, and numbers: each row with its anomaly score by the numbers.
    RandomCutForest { parameters: ForestParameters, explained: Explained },
    /// Time, and numbers: each row with the dense regions of the numbers of the last rows.
    Hotspots { parameters: HotspotParameters },
    /// Time, and a column: of each window of that length its most frequent values, at the window's end.
    TopKItems { k: u32, length: Duration },
    /// Time, and a column: of each window of that length how many different values it has, at the window's end.
    CountDistinctItems { length: Duration },
    /// Time, and a column: the rows of one time, ranked by it, at most `output_max` of them unless that is 0.
    GroupRank { rank: String, is_descending: bool, is_last_first: bool, output_max: u32 },
}

/// What is told of an anomaly score beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Explained {
    No,
    /// How much of it comes from each column.
    ByColumns,
    /// And whether the column's value is too high or too low.
    WithDirections,
}

/// How far back a window goes from the row that is looked at, that row included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Rows at most so much older.
    Time(Duration),
    /// So many rows before.
    Rows(usize),
}

impl Reach {
    /// `10 rows`, `60000 ms`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.trim().split_once(' ')?;
        match unit.trim() {
            "rows" => Some(Self::Rows(count.parse().ok()?)),
            "ms" => Some(Self::Time(Duration(count.parse().ok().filter(|length| *length >= 0)?))),
            _ => None,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(length) => write!(f, "{} ms", length.0),
            Self::Rows(rows) => write!(f, "{rows} rows"),
        }
    }
}

/// A column that a function adds behind those of its input, never NULL. A timestamp has the zone of the time.
pub(crate) struct Added {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// What it is of the set that a row is in.
    pub(crate) bound: Option<WindowBound>,
}

/// What the event time of the rows that a function gives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultTime {
    /// One of the columns that it was given.
    Column(usize),
    /// One of the columns that it adds.
    Added(usize),
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
            Self::Pairs { .. } => "pairs",
            Self::Sets => "sets",
            Self::RandomCutForest { explained: Explained::No, .. } => "random_cut_forest",
            Self::RandomCutForest { .. } => "random_cut_forest_with_explanation",
            Self::Hotspots { .. } => "hotspots",
            Self::TopKItems { .. } => "top_k_items_tumbling",
            Self::CountDistinctItems { .. } => "count_distinct_items_tumbling",
            Self::GroupRank { .. } => "group_rank",
        }
    }

    /// Which of the columns it was given it gives again, where that is not the whole row.
    #[must_use]
    pub fn passes(&self) -> Option<&'static [usize]> {
        match self {
            Self::TopKItems { .. } => Some(&[1]),
            Self::CountDistinctItems { .. } => Some(&[]),
            _ => None,
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

    /// The columns that it adds, when the time it goes by has this name.
    pub(crate) fn adds(&self, time: &str) -> Vec<Added> {
        let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
        let bound = |name: &str, bound| {
            let data_type = timestamp.clone();
            Added { name: name.to_owned(), data_type, bound: Some(bound) }
        };
        let column = |name: &str, data_type| Added { name: name.to_owned(), data_type, bound: None };
        match self {
            Self::Stagger { .. } => vec![
                bound("window_start", WindowBound::Start),
                bound("window_end", WindowBound::End),
                bound("window_time", WindowBound::Time),
            ],
            Self::Sets => vec![bound("window_end", WindowBound::End)],
            Self::RandomCutForest { explained: Explained::No, .. } => vec![column("anomaly_score", DataType::Float64)],
            Self::RandomCutForest { .. } => {
                vec![column("anomaly_score", DataType::Float64), column("anomaly_explanation", DataType::Utf8)]
            }
            Self::Hotspots { .. } => vec![column("hotspots_result", DataType::Utf8)],
            Self::TopKItems { .. } => vec![column("most_frequent_values", DataType::Int64), column(time, timestamp)],
            Self::CountDistinctItems { .. } => {
                vec![column("number_of_distinct_items", DataType::Int64), column(time, timestamp)]
            }
            Self::GroupRank { rank, .. } => vec![column(rank, DataType::Int32)],
            Self::InTime
            | Self::SortWithin { .. }
            | Self::SortInOrder { .. }
            | Self::DistinctInOrder
            | Self::Pairs { .. } => Vec::new(),
        }
    }

    /// What the time of its rows is, when it was given so many columns.
    pub(crate) fn result_time(&self, columns: usize) -> ResultTime {
        match self {
            Self::Stagger { .. } | Self::Sets => ResultTime::Sets,
            Self::InTime if columns > 1 => ResultTime::Column(1),
            Self::SortWithin { .. } => ResultTime::Column(1),
            Self::TopKItems { .. } | Self::CountDistinctItems { .. } => ResultTime::Added(1),
            Self::InTime
            | Self::SortInOrder { .. }
            | Self::DistinctInOrder
            | Self::Pairs { .. }
            | Self::RandomCutForest { .. }
            | Self::Hotspots { .. }
            | Self::GroupRank { .. } => ResultTime::Column(0),
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
            Self::InTime | Self::GroupRank { .. } => "rows until the watermark has passed them".to_owned(),
            Self::SortWithin { slack } => format!("rows until one is {} ms later", slack.0),
            Self::SortInOrder { .. } => "the rows of one value of the lead".to_owned(),
            Self::DistinctInOrder => "the different rows of one value of the lead".to_owned(),
            Self::Stagger { length } => format!("every row for {} ms and the watermark's delay", length.0),
            Self::Pairs { windows: [left, right] } => format!("{left} of the left side, {right} of the right one"),
            Self::Sets => "the rows of one value of the leads".to_owned(),
            Self::RandomCutForest { parameters, .. } => {
                let ForestParameters { trees, sample_size, .. } = parameters;
                format!("{trees} trees of {sample_size} points")
            }
            Self::Hotspots { parameters } => format!("the last {} points", parameters.window_size),
            Self::TopKItems { length, .. } => format!("counts of items for {} ms", length.0),
            Self::CountDistinctItems { length } => format!("hashes of items, or registers, for {} ms", length.0),
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
            Self::Stagger { length } | Self::CountDistinctItems { length } => write!(f, " {} ms", length.0),
            Self::RandomCutForest { parameters, explained } => {
                let ForestParameters { trees, sample_size, time_decay, shingle, .. } = parameters;
                write!(f, " {trees} {sample_size} {time_decay} {shingle}")?;
                if *explained == Explained::WithDirections { write!(f, " with directions") } else { Ok(()) }
            }
            Self::Hotspots { parameters: HotspotParameters { window_size, scan_radius, min_points, .. } } => {
                write!(f, " {window_size} {scan_radius} {min_points}")
            }
            Self::TopKItems { k, length } => write!(f, " {k} {} ms", length.0),
            Self::GroupRank { rank, is_descending, is_last_first, output_max } => {
                let order = |is_descending| if is_descending { "desc" } else { "asc" };
                write!(f, " as {rank} {} {} {output_max}", order(*is_descending), order(*is_last_first))
            }
            Self::Pairs { windows: [left, right] } => write!(f, " of {left} and {right}"),
        }
    }
}
