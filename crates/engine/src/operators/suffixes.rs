//! Windows that overlap, merged in a few steps each: two stacks.
//!
//! A window is a run of slices. The older ones are kept as suffixes, each merged with all that follow it up to a
//! boundary; the newer ones as one running merge behind the boundary. The next window drops a suffix and adds to the
//! running merge; once no suffix is left, the boundary moves up and suffixes are made anew. So a slice is merged about
//! three times however many windows it is in.
//!
//! A suffix is made only where the slices since the next one have at least half of its groups: where each slice has keys
//! of its own, suffixes at every slice would take the square of what the slices take. So they take at most three times
//! as much, and the slices in front of the first suffix are merged with it each time, which is at most half as much again.

use datafusion::common::Result;
use millstream_core::{EventTime, Window};

use crate::pane::{Delta, PaneLayout};

/// Merged slices of one leaf. Windows must be asked for in the order of their ends, none starting before an earlier one.
#[derive(Default)]
pub(super) struct Suffixes {
    /// Slices up to here are in `front`.
    boundary: Option<EventTime>,
    /// By the start of their first slice, the latest first: the merge of all from there to the boundary.
    front: Vec<(EventTime, Delta)>,
    /// The merge of all from the boundary to `end`.
    back: Option<Delta>,
    end: Option<EventTime>,
}

impl Suffixes {
    /// Forgets everything: an old slice has changed.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.front.iter().map(|(_, suffix)| suffix).chain(&self.back).map(Delta::bytes).sum()
    }

    /// Whether a slice is merged already.
    pub(super) fn covers(&self, slice: Window) -> bool {
        self.end.is_some_and(|end| slice.end <= end)
    }

    /// What a window holds. `slices` are those of the window, in order, with what each holds.
    pub(super) fn window(
        &mut self,
        layout: &PaneLayout,
        window: Window,
        slices: &[(Window, Vec<&Delta>)],
    ) -> Result<Vec<Delta>> {
        if self.boundary.is_none_or(|boundary| window.start >= boundary) {
            self.front.clear();
            self.back = None;
            let (mut since, mut groups) = (Vec::new(), 0);
            for (slice, deltas) in slices.iter().rev() {
                since.extend(deltas.iter().copied());
                groups += deltas.iter().map(|delta| delta.groups()).sum::<usize>();
                let next = self.front.last().map(|(_, suffix)| suffix);
                if 2 * groups >= next.map_or(0, Delta::groups) {
                    let merged = merge(layout, since.drain(..).chain(next))?;
                    self.front.push((slice.start, merged));
                    groups = 0;
                }
            }
            self.boundary = Some(window.end);
        } else {
            let new = slices.iter().filter(|(slice, _)| !self.covers(*slice)).flat_map(|(_, deltas)| deltas.iter());
            let new: Vec<&Delta> = new.copied().collect();
            if !new.is_empty() {
                self.back = Some(merge(layout, new.into_iter().chain(&self.back))?);
            }
            while self.front.last().is_some_and(|(start, _)| *start < window.start) {
                self.front.pop();
            }
        }
        self.end = Some(window.end);
        // What is in no suffix and not behind the boundary.
        let first = self.front.last().map(|(start, _)| *start).or(self.boundary).unwrap_or(EventTime::MIN);
        let single =
            slices.iter().take_while(|(slice, _)| slice.start < first).flat_map(|(_, deltas)| deltas.iter().copied());
        let suffix = self.front.last().map(|(_, suffix)| suffix);
        Ok(single.chain(suffix).chain(&self.back).cloned().collect())
    }
}

fn merge<'a>(layout: &PaneLayout, deltas: impl Iterator<Item = &'a Delta>) -> Result<Delta> {
    let mut table = layout.table()?;
    for delta in deltas {
        table.merge(delta)?;
    }
    table.freeze()
}
