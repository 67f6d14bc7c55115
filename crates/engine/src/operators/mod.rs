//! Operators: what happens between HOT and CLOSE. One file each; the closer of a query runs them.

mod computable;
mod in_order;
mod interval_join;
mod over;
mod parts;
mod rows;
mod saved_keys;
mod sessions;
mod suffixes;
mod top;
mod updating;
mod waiting;
mod windows;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{EventTime, Window};

use crate::checkpoint::{Saved, Saver};
use crate::pane::Delta;

pub(crate) use computable::compute;
pub(crate) use in_order::{InOrderExec, InOrderOperator};
pub(crate) use interval_join::IntervalJoinOperator;
pub(crate) use over::over;
pub(crate) use parts::Parts;
pub(crate) use rows::RowsOperator;
pub(crate) use sessions::Sessions;
pub(crate) use top::TopOperator;
pub(crate) use updating::{UpdatingTable, missing_keys};
pub(crate) use windows::{Holds, WindowLeaf, Windows};

/// The state of one stage. Fed with rows and groups in any order; asked for results as event time goes on.
pub(crate) trait Operator: Send {
    /// Takes rows; `times` has their event times where the operator goes by time.
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken>;

    /// Takes groups, of a slice of time where there are windows.
    fn take_groups(&mut self, _leaf: usize, _slice: Option<Window>, _groups: Delta) -> Result<Taken> {
        Err(DataFusionError::Internal("this operator takes no groups".to_owned()))
    }

    /// What is taken from now on happens at this time.
    fn set_now(&mut self, _now: EventTime) {}

    /// The last window that would have taken rows of a slice, when it is too late for them.
    fn misses(&self, _slice: Window) -> Option<Window> {
        None
    }

    /// Gives what is due now that event time has come to `watermark` and the clock to `now`.
    fn advance(&mut self, watermark: EventTime, now: EventTime) -> Result<Vec<Given>>;

    /// No row that is given later is older than this.
    fn watermark(&self) -> EventTime;

    /// No row that is given later is older than this in the latest of its times: of a pair of rows that of the later
    /// one, of a row without a partner that at which none could come any more.
    fn latest_watermark(&self) -> EventTime {
        self.watermark()
    }

    /// What was found wrong since this was last asked, as it gave rows.
    fn take_faults(&mut self) -> Faults {
        Faults::default()
    }

    /// Whether something can close at `watermark`, and so workers must hand over what they have.
    fn is_due(&self, _watermark: EventTime) -> bool {
        false
    }

    /// Whether open windows have changed since they were last looked at.
    fn has_news(&self) -> bool {
        false
    }

    /// The windows that are open, as they are now.
    fn look(&mut self) -> Result<Vec<Given>> {
        Ok(Vec::new())
    }

    /// How many windows are open, and how many groups or rows are kept.
    fn size(&self) -> (usize, usize);

    /// How many groups or rows there may be at the most: a group may be kept in several pieces.
    fn groups_at_most(&self) -> usize {
        self.size().1
    }

    /// How many there are.
    fn count_groups(&self) -> Result<usize> {
        Ok(self.size().1)
    }

    /// Bytes of memory that the state takes, about.
    fn bytes(&self) -> usize;

    /// Moves cold state to disk until memory takes at least so many bytes less; answers how many. 0: there is nothing
    /// to move, or no place for it.
    fn spill(&mut self, _wanted: u64) -> Result<u64> {
        Ok(0)
    }

    /// Checkpoints are going to be taken: changes are to be remembered.
    fn remember(&mut self) {}

    /// Says what its state is. Comes right after [`Self::advance`], so that nothing waits to be given.
    fn save(&mut self, saver: &mut Saver) -> Result<()>;

    /// Takes a saved state on. Comes before anything else.
    fn load(&mut self, saved: &mut Saved) -> Result<()>;
}

/// What became of rows that were handed in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) used: usize,
    /// Rows that no window holds.
    pub(crate) outside: usize,
    /// The times of rows that came too late, and the window they missed.
    pub(crate) late: Vec<(EventTime, Option<Window>)>,
    /// Rows that an expression failed on, as text, and why.
    pub(crate) rejected: Vec<(String, String)>,
    /// What else failed and is told: pairs of rows that are no pairs therefore.
    pub(crate) told: Vec<(String, String)>,
}

impl Taken {
    pub(crate) fn all(rows: usize) -> Self {
        Self { used: rows, ..Self::default() }
    }
}

/// Rows that an operator left out as it came to them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The times of those that came too late.
    pub(crate) late: Vec<EventTime>,
    /// Others, as text, and why.
    pub(crate) told: Vec<(String, String)>,
}

/// What an operator gives to CLOSE.
pub(crate) enum Given {
    /// The rows of a window, a batch for each leaf. `is_final`: it has closed.
    Window { window: Window, leaves: Vec<RecordBatch>, is_final: bool },
    /// The rows of a window that is too large to be given at once.
    Parts { window: Window, parts: Box<Parts>, is_final: bool },
    /// Rows that will not change, a batch for each leaf.
    Rows(Vec<RecordBatch>),
    /// Sets of rows that will not change; what groups them tells one from another.
    Sets(Vec<RecordBatch>),
    /// Rows that are new or changed, and the keys by which they are found.
    Changed { rows: RecordBatch, keys: Vec<ArrayRef> },
    /// The keys of rows that are gone.
    Gone(Vec<ArrayRef>),
}
