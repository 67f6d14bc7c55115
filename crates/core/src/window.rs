//! Windows: intervals of event time, and the rules that assign rows to them.

use std::fmt;

use crate::{Duration, EventTime};

/// One window: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    // `end` first: windows order by when they close.
    pub end: EventTime,
    pub start: EventTime,
}

/// Which windows a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowSpec {
    /// Windows of one size, side by side, the one at `offset` after the epoch included.
    Tumble { size: Duration, offset: Duration },
}

impl WindowSpec {
    /// The window that holds `at`, by its start; windows before the epoch too.
    pub fn tumble_start(size: Duration, offset: Duration, at: EventTime) -> EventTime {
        EventTime(at.0 - (at.0 - offset.0).rem_euclid(size.0))
    }

    /// The window with this start.
    pub fn window_at(self, start: EventTime) -> Window {
        match self {
            Self::Tumble { size, .. } => Window { start, end: start + size },
        }
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tumble { size, offset: Duration(0) } => write!(f, "TUMBLE(size={} ms)", size.0),
            Self::Tumble { size, offset } => write!(f, "TUMBLE(size={} ms, offset={} ms)", size.0, offset.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_belongs_to_the_window_it_starts() {
        let start = |at, offset| WindowSpec::tumble_start(Duration(10), Duration(offset), EventTime(at)).0;
        assert_eq!([start(0, 0), start(9, 0), start(10, 0)], [0, 0, 10]);
        assert_eq!([start(-1, 0), start(-10, 0), start(-11, 0)], [-10, -10, -20]);
        assert_eq!([start(2, 3), start(3, 3), start(12, -7)], [-7, 3, 3]);
    }

    #[test]
    fn windows_order_by_their_end() {
        let window = |start, end| Window { start: EventTime(start), end: EventTime(end) };
        assert!(window(5, 10) < window(0, 11));
    }
}
