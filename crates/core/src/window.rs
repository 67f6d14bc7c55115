//! Windows: intervals of event time, the rules that assign rows to them, and the slices that state is kept by.
//!
//! A slice is a stretch of time in which every row belongs to the same windows. State is kept once per slice and merged
//! when a window closes, so that windows that overlap share it. No two windows of one specification end at the same
//! time, except sessions, whose windows depend on the rows.

use std::fmt;

use crate::{Duration, EventTime, Grid, Step};

/// One window, or one slice: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    // `end` first: windows order by when they close.
    pub end: EventTime,
    pub start: EventTime,
}

/// Which windows a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowSpec {
    /// Windows side by side.
    Tumble(Grid),
    /// Windows of one size that start at every boundary of a grid. Larger than its cells, they overlap; smaller, rows
    /// between them belong to none. A calendar size is a multiple of the grid's step.
    Hop { slide: Grid, size: Step },
    /// Windows that all start with a cell of `max` and end one `step` after another, the last with the cell.
    Cumulate { max: Grid, step: Step },
    /// Per key, rows that are at most `gap` apart; the window ends `gap` after its last row. Its slices are cells of one
    /// gap: two rows of a key in one cell are always in one session.
    Session { gap: Duration },
}

impl WindowSpec {
    /// The slice that holds `at`; `None` where no window is.
    #[must_use]
    pub fn slice_of(self, at: EventTime) -> Option<Window> {
        match self {
            Self::Tumble(grid) => {
                let start = grid.floor(at);
                Some(Window { start, end: grid.shift(start, 1) })
            }
            Self::Hop { slide, size } => {
                let start = slide.floor(at);
                let end = slide.shift(start, 1);
                let (Step::Fixed(step), Step::Fixed(size)) = (slide.step, size) else {
                    return Some(Window { start, end });
                };
                // Inside a cell windows end at one point only, unless they end at its start.
                let split = start + if size < step { size } else { Duration(size.0 % step.0) };
                if at < split {
                    Some(Window { start, end: split })
                } else {
                    (size >= step).then_some(Window { start: split, end })
                }
            }
            Self::Cumulate { max, step } => {
                let start = step_floor(max, step, at);
                Some(Window { start, end: step_end(max, step, start) })
            }
            Self::Session { gap } => Self::Tumble(Grid { step: Step::Fixed(gap), offset: Duration(0) }).slice_of(at),
        }
    }

    /// The end of the next window to end after `at`.
    #[must_use]
    pub fn next_end(self, at: EventTime) -> EventTime {
        match (self, at) {
            (_, EventTime::MIN | EventTime::MAX) => at,
            (Self::Tumble(grid), _) => grid.shift(grid.floor(at), 1),
            (Self::Hop { slide, size: Step::Fixed(size) }, _) => slide.shift(slide.floor(at - size), 1) + size,
            // A calendar size is a multiple of the slide: windows end where they start.
            (Self::Hop { slide, .. }, _) => slide.shift(slide.floor(at), 1),
            (Self::Cumulate { max, step }, _) => step_end(max, step, step_floor(max, step, at)),
            (Self::Session { .. }, _) => EventTime(at.0 + 1),
        }
    }

    /// The window that ends at `end`, which must be such an end.
    #[must_use]
    pub fn window_ending(self, end: EventTime) -> Window {
        let start = match self {
            Self::Tumble(grid) => grid.shift(end, -1),
            Self::Hop { size: Step::Fixed(size), .. } | Self::Session { gap: size } => end - size,
            Self::Hop { slide, size } => slide.shift(end, -size.divided_by(slide.step).unwrap_or(1)),
            Self::Cumulate { max, .. } => max.floor(EventTime(end.0 - 1)),
        };
        Window { start, end }
    }

    /// The window that starts at `start` and is the first of those to end.
    #[must_use]
    pub fn window_starting(self, start: EventTime) -> Window {
        let end = match self {
            Self::Tumble(grid) => grid.shift(start, 1),
            Self::Hop { size: Step::Fixed(size), .. } | Self::Session { gap: size } => start + size,
            Self::Hop { slide, size } => slide.shift(start, size.divided_by(slide.step).unwrap_or(1)),
            Self::Cumulate { max, step } => step_end(max, step, start),
        };
        Window { start, end }
    }

    /// When the last window that contains a slice ends: from then on its rows are late.
    #[must_use]
    pub fn last_end(self, slice: Window) -> EventTime {
        match self {
            Self::Tumble(_) | Self::Session { .. } => slice.end,
            Self::Hop { slide, .. } => self.window_starting(slide.floor(slice.start)).end,
            Self::Cumulate { max, .. } => max.shift(max.floor(slice.start), 1),
        }
    }

    /// The windows that contain a moment, the first to end first. Sessions have none before their rows are known.
    pub fn windows_at(self, at: EventTime) -> impl Iterator<Item = Window> {
        let mut end = at;
        let session = matches!(self, Self::Session { .. });
        std::iter::from_fn(move || {
            if session {
                return None;
            }
            end = self.next_end(end);
            let window = self.window_ending(end);
            (window.start <= at && at < window.end).then_some(window)
        })
    }

    /// The end of the last window that ends by `watermark`; state up to there can be asked for.
    #[must_use]
    pub fn closed_by(self, watermark: EventTime) -> EventTime {
        match (self, watermark) {
            (_, EventTime::MIN | EventTime::MAX) | (Self::Session { .. }, _) => watermark,
            (Self::Tumble(grid), at) => grid.floor(at),
            (Self::Hop { slide, size: Step::Fixed(size) }, at) => slide.floor(at - size) + size,
            (Self::Hop { slide, .. }, at) => slide.floor(at),
            (Self::Cumulate { max, step }, at) => step_floor(max, step, at),
        }
    }

    /// About how long a window is.
    #[must_use]
    pub fn approximate_size(self) -> Duration {
        match self {
            Self::Tumble(grid) | Self::Cumulate { max: grid, .. } => grid.step.approximate(),
            Self::Hop { size, .. } => size.approximate(),
            Self::Session { gap } => gap,
        }
    }

    /// In how many windows a row is at the most.
    #[must_use]
    pub fn windows_per_row_max(self) -> usize {
        let parts = |whole: Step, part: Step| {
            let (whole, part) = (whole.approximate().0, part.approximate().0.max(1));
            // Days with a change of clocks and long months have a part more.
            let longest = if part == whole { whole } else { whole + whole / 24 };
            usize::try_from(longest.div_euclid(part) + i64::from(longest % part != 0)).unwrap_or(usize::MAX)
        };
        match self {
            Self::Tumble(_) | Self::Session { .. } => 1,
            Self::Hop { slide, size } => match (size, slide.step) {
                (Step::Fixed(size), Step::Fixed(slide)) => {
                    usize::try_from((size.0 + slide.0 - 1) / slide.0).unwrap_or(1)
                }
                (size, slide) => usize::try_from(size.divided_by(slide).unwrap_or(1)).unwrap_or(1),
            },
            Self::Cumulate { max, step } => parts(max.step, step),
        }
    }
}

/// The last boundary by `at` of the steps into which a cell of `max` is cut.
fn step_floor(max: Grid, step: Step, at: EventTime) -> EventTime {
    let cell = max.floor(at);
    match step {
        Step::Fixed(step) => EventTime(at.0 - (at.0 - cell.0).rem_euclid(step.0)),
        Step::Days { .. } | Step::Months { .. } => {
            let mut start = cell;
            loop {
                let next = step_end(max, step, start);
                if next > at {
                    return start;
                }
                start = next;
            }
        }
    }
}

/// Where the step that starts at `start` ends: with the cell at the latest.
fn step_end(max: Grid, step: Step, start: EventTime) -> EventTime {
    let unit = |step| Grid { step, offset: max.offset };
    let end = match step {
        Step::Fixed(step) => start + step,
        Step::Days { count, zone } => unit(Step::Days { count: 1, zone }).shift(start, i64::from(count)),
        Step::Months { count, zone } => unit(Step::Months { count: 1, zone }).shift(start, i64::from(count)),
    };
    end.min(max.shift(max.floor(start), 1))
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = match self {
            Self::Tumble(grid) => {
                write!(f, "TUMBLE(size={}", grid.step)?;
                grid.offset
            }
            Self::Hop { slide, size } => {
                write!(f, "HOP(slide={}, size={size}", slide.step)?;
                slide.offset
            }
            Self::Cumulate { max, step } => {
                write!(f, "CUMULATE(step={step}, max={}", max.step)?;
                max.offset
            }
            Self::Session { gap } => return write!(f, "SESSION(gap={} ms)", gap.0),
        };
        if offset.0 == 0 { write!(f, ")") } else { write!(f, ", offset={} ms)", offset.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(step: i64, offset: i64) -> Grid {
        Grid { step: Step::Fixed(Duration(step)), offset: Duration(offset) }
    }

    fn hop(slide: i64, size: i64, offset: i64) -> WindowSpec {
        WindowSpec::Hop { slide: fixed(slide, offset), size: Step::Fixed(Duration(size)) }
    }

    fn cumulate(step: i64, max: i64, offset: i64) -> WindowSpec {
        WindowSpec::Cumulate { max: fixed(max, offset), step: Step::Fixed(Duration(step)) }
    }

    fn windows(spec: WindowSpec, at: i64) -> Vec<(i64, i64)> {
        spec.windows_at(EventTime(at)).map(|window| (window.start.0, window.end.0)).collect()
    }

    fn specs() -> Vec<WindowSpec> {
        let zone = chrono_tz::Tz::America__New_York;
        let day = Grid { step: Step::Days { count: 1, zone }, offset: Duration(3) };
        let month = Grid { step: Step::Months { count: 1, zone }, offset: Duration(0) };
        let mut specs = vec![
            WindowSpec::Tumble(day),
            WindowSpec::Hop { slide: day, size: Step::Days { count: 3, zone } },
            WindowSpec::Cumulate { max: month, step: Step::Days { count: 1, zone } },
            WindowSpec::Cumulate { max: month, step: Step::Days { count: 4, zone } },
        ];
        for offset in [0, 2, -3] {
            specs.push(WindowSpec::Tumble(fixed(10, offset)));
            specs.extend([(3, 10), (10, 10), (4, 12), (10, 3), (7, 8), (1, 5)].map(|(s, z)| hop(s, z, offset)));
            specs.extend([(2, 10), (3, 10), (10, 10)].map(|(s, m)| cumulate(s, m, offset)));
        }
        specs
    }

    #[test]
    fn windows_order_by_their_end() {
        let window = |start, end| Window { start: EventTime(start), end: EventTime(end) };
        assert!(window(5, 10) < window(0, 11));
    }

    #[test]
    fn a_row_is_in_every_window_around_it() {
        assert_eq!(windows(WindowSpec::Tumble(fixed(10, 0)), -1), [(-10, 0)]);
        assert_eq!(windows(hop(3, 10, 0), 9), [(0, 10), (3, 13), (6, 16), (9, 19)]);
        assert_eq!(windows(hop(3, 10, 0), 10), [(3, 13), (6, 16), (9, 19)]);
        assert_eq!(windows(hop(10, 3, 0), 12), [(10, 13)]);
        assert_eq!(windows(hop(10, 3, 0), 13), [], "between two windows");
        assert_eq!(windows(cumulate(2, 6, 0), 3), [(0, 4), (0, 6)]);
        assert_eq!(windows(cumulate(4, 6, 0), 5), [(0, 6)], "the last step ends with the cell");
    }

    #[test]
    fn all_moments_of_a_slice_are_in_the_same_windows_and_windows_are_made_of_slices() {
        for spec in specs() {
            let calendar = spec.approximate_size().0 > 1000;
            let (from, stride) = if calendar { (1_772_000_000_000, 2_399_999) } else { (-60, 1) };
            for at in (0..600).map(|n| EventTime(from + n * stride)) {
                let of_row: Vec<Window> = spec.windows_at(at).collect();
                let Some(slice) = spec.slice_of(at) else {
                    assert_eq!(of_row, [], "{spec} {at}");
                    continue;
                };
                assert!(slice.start <= at && at < slice.end, "{spec} {at}: {slice:?}");
                for edge in [slice.start, EventTime(slice.end.0 - 1)] {
                    assert_eq!(spec.windows_at(edge).collect::<Vec<_>>(), of_row, "{spec} {at} {edge}");
                }
                assert!(of_row.len() <= spec.windows_per_row_max(), "{spec} {at}");
                assert_eq!(of_row.last().map(|last| last.end), Some(spec.last_end(slice)), "{spec} {at}");
                for window in of_row {
                    assert!(window.start <= slice.start && slice.end <= window.end, "{spec} {at}");
                    assert_eq!(spec.window_ending(window.end), window, "{spec} {at}");
                    assert_eq!(spec.closed_by(window.end), window.end, "{spec} {at}");
                    assert!(spec.closed_by(EventTime(window.end.0 - 1)) < window.end, "{spec} {at}");
                    assert_eq!(spec.next_end(EventTime(window.end.0 - 1)), window.end, "{spec} {at}");
                }
            }
        }
    }
}
