//! SESSION windows: rows of a key that are at most a gap apart belong together.
//!
//! Slices are cells of one gap, so two rows of a key in one cell are always in one session, and a cell needs only its
//! first and last time. What is handed in stays as it came, in columns; sessions refer to its rows. When event time is
//! past the end of a session no row can join it any more, and its rows are brought together.

mod leaf;

use std::collections::BTreeMap;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{Duration, EventTime, Window};

use super::windows::WindowLeaf;
use super::{Given, Operator, Taken};
use crate::checkpoint::{Saved, Saver};
use crate::pane::Delta;
use crate::source::millis;

use leaf::{Session, SessionLeaf, damaged};

/// The window in which open sessions are shown: it closes after all others.
const OPEN: Window = Window { end: EventTime::MAX, start: EventTime::MIN };
/// Sessions of every leaf.
pub(crate) struct Sessions {
    leaves: Vec<SessionLeaf>,
    watermark: EventTime,
    /// Rows came since the last look.
    has_news: bool,
    is_shown: bool,
    /// CLOSE must see each window by itself.
    one_by_one: bool,
}

impl Sessions {
    pub(crate) fn new(gap: Duration, leaves: Vec<WindowLeaf>, one_by_one: bool) -> Result<Self> {
        let leaves = leaves.into_iter().map(|leaf| SessionLeaf::new(gap, leaf)).collect::<Result<_>>()?;
        Ok(Self { leaves, watermark: EventTime::MIN, has_news: false, is_shown: false, one_by_one })
    }

    /// Closed or open sessions as CLOSE takes them.
    fn give(&mut self, sessions: Vec<Vec<Session>>, window: Window, is_final: bool) -> Result<Vec<Given>> {
        if !self.one_by_one {
            let leaves = self.leaves.iter().zip(&sessions).map(|(leaf, sessions)| leaf.batch(sessions));
            return Ok(vec![Given::Window { window, leaves: leaves.collect::<Result<_>>()?, is_final }]);
        }
        let mut windows: BTreeMap<Window, Vec<Vec<Session>>> = BTreeMap::new();
        for (leaf, sessions) in sessions.into_iter().enumerate() {
            for session in sessions {
                let of_window = windows.entry(session.window);
                of_window.or_insert_with(|| self.leaves.iter().map(|_| Vec::new()).collect())[leaf].push(session);
            }
        }
        let given = windows.into_iter().map(|(window, sessions)| {
            let leaves = self.leaves.iter().zip(&sessions).map(|(leaf, sessions)| leaf.batch(sessions));
            Ok(Given::Window { window, leaves: leaves.collect::<Result<_>>()?, is_final })
        });
        given.collect()
    }
}

impl Operator for Sessions {
    fn take_rows(&mut self, leaf: usize, rows: &RecordBatch, times: Option<&Int64Array>) -> Result<Taken> {
        let Some(times) = times else { return Ok(Taken::default()) };
        self.has_news |= rows.num_rows() > 0;
        let ones = Int64Array::from(vec![1; times.len()]);
        self.leaves[leaf].take(rows.columns().to_vec(), times, times, &ones, self.watermark)
    }

    fn take_groups(&mut self, leaf: usize, _: Option<Window>, groups: Delta) -> Result<Taken> {
        self.has_news |= groups.groups() > 0;
        let missing = || DataFusionError::Internal("a session has no times".to_owned());
        let state = |from_end: usize| {
            let states = groups.states();
            states.len().checked_sub(from_end).and_then(|index| states[index].first()).ok_or_else(missing)
        };
        let (first, last) = (millis(state(3)?)?, millis(state(2)?)?);
        let count = cast(state(1)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
        let columns = groups.keys().iter().chain(groups.states().iter().flatten()).cloned().collect();
        self.leaves[leaf].take(columns, &first, &last, &count, self.watermark)
    }

    fn advance(&mut self, watermark: EventTime, _: EventTime) -> Result<Vec<Given>> {
        if watermark <= self.watermark {
            return Ok(Vec::new());
        }
        let before = std::mem::replace(&mut self.watermark, watermark);
        let closed: Vec<Vec<Session>> = self.leaves.iter_mut().map(|leaf| leaf.close(watermark)).collect();
        let Some(last) = closed.iter().flatten().map(|session| session.window.end).max() else {
            return Ok(Vec::new());
        };
        // All that close together are one window of the result table.
        let together = Window { start: before, end: watermark.min(last + Duration(1)) };
        let mut given = self.give(closed, together, true)?;
        self.leaves.iter_mut().try_for_each(SessionLeaf::compact)?;
        if self.is_shown {
            given.extend(self.look()?);
        }
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        // A session that ends at the watermark is still open.
        if self.watermark == EventTime::MAX { self.watermark } else { self.watermark - Duration(1) }
    }

    fn is_due(&self, watermark: EventTime) -> bool {
        watermark > self.watermark
    }

    fn has_news(&self) -> bool {
        self.has_news
    }

    fn look(&mut self) -> Result<Vec<Given>> {
        self.has_news = false;
        self.is_shown = true;
        let open: Vec<Vec<Session>> = self.leaves.iter().map(SessionLeaf::open).collect();
        if self.one_by_one {
            // Open sessions are shown as one window; an order within each would mix them.
            return Ok(Vec::new());
        }
        self.give(open, OPEN, false)
    }

    fn size(&self) -> (usize, usize) {
        let open = self.leaves.iter().map(|leaf| leaf.keys.len()).sum();
        (open, self.leaves.iter().map(|leaf| leaf.live_rows).sum())
    }

    /// Keys: what their rows are merged into while they are open is no matter of theirs.
    fn groups_at_most(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.keys.len()).sum()
    }

    fn count_groups(&self) -> Result<usize> {
        Ok(self.groups_at_most())
    }

    fn bytes(&self) -> usize {
        self.leaves.iter().map(SessionLeaf::bytes).sum()
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        self.leaves.iter_mut().enumerate().try_for_each(|(number, leaf)| leaf.save(saver, number))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        for (chunk, live) in saved.chunks("pieces").into_iter().zip(saved.chunks("live")) {
            let leaf = self.leaves.get_mut(chunk.note::<usize>()?).ok_or_else(damaged)?;
            leaf.load(chunk, &live.rows)?;
            self.has_news = true;
        }
        Ok(())
    }
}
