//! Windows from their definition, row by row: what the second engine is given instead of window functions.
//!
//! Nothing here is the product's: boundaries are counted from 1970, days from the calendar of `chrono-tz`, and sessions
//! come of sorting.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// How rows get their windows; lengths in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Tumble { size: i64, offset: i64 },
    Hop { slide: i64, size: i64, offset: i64 },
    Cumulate { step: i64, max: i64, offset: i64 },
    Session { gap: i64, by_key: bool },
    Day { zone: Tz },
    HopDays { days: u64, zone: Tz },
    CumulateDay { step: i64, zone: Tz },
}

impl Window {
    /// The windows, `[start, end)`, that hold a moment. Sessions depend on all rows: see [`sessions`].
    pub(super) fn around(self, at: i64) -> Vec<(i64, i64)> {
        match self {
            Self::Tumble { size, offset } => {
                let start = floor(at, size, offset);
                vec![(start, start + size)]
            }
            Self::Hop { slide, size, offset } => {
                let mut windows = Vec::new();
                let mut start = floor(at, slide, offset);
                while start + size > at {
                    windows.push((start, start + size));
                    start -= slide;
                }
                windows
            }
            Self::Cumulate { step, max, offset } => {
                let start = floor(at, max, offset);
                (1..=max / step).map(|part| (start, start + part * step)).filter(|window| window.1 > at).collect()
            }
            Self::Session { .. } => Vec::new(),
            Self::Day { zone } => vec![(midnight(at, zone, 0), midnight(at, zone, 1))],
            Self::HopDays { days, zone } => {
                let size = i64::try_from(days).expect("a few days");
                (0..size).map(|back| (midnight(at, zone, -back), midnight(at, zone, size - back))).collect()
            }
            Self::CumulateDay { step, zone } => {
                let (start, next) = (midnight(at, zone, 0), midnight(at, zone, 1));
                let parts = (next - start) / step + i64::from((next - start) % step > 0);
                let ends = (1..=parts).map(|part| next.min(start + part * step));
                ends.filter(|end| *end > at).map(|end| (start, end)).collect()
            }
        }
    }
}

fn floor(at: i64, size: i64, offset: i64) -> i64 {
    offset + (at - offset).div_euclid(size) * size
}

/// The local midnight `days` after the one by which a moment's day began.
fn midnight(at: i64, zone: Tz, days: i64) -> i64 {
    let local = DateTime::from_timestamp_millis(at).expect("within the calendar").with_timezone(&zone).date_naive();
    let day = if days < 0 { local - Days::new(days.unsigned_abs()) } else { local + Days::new(days.unsigned_abs()) };
    let midnight = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    midnight.expect("these zones have every midnight").timestamp_millis()
}

/// The session of each row, of which the key and the time are given.
pub(super) fn sessions<K: Ord + Clone>(rows: &[(K, i64)], gap: i64) -> Vec<(i64, i64)> {
    let mut by_key: BTreeMap<K, Vec<(i64, usize)>> = BTreeMap::new();
    for (index, (key, at)) in rows.iter().enumerate() {
        by_key.entry(key.clone()).or_default().push((*at, index));
    }
    let mut windows = vec![(0, 0); rows.len()];
    for mut of_key in by_key.into_values() {
        of_key.sort_unstable();
        for session in of_key.chunk_by(|one, next| next.0 - one.0 <= gap) {
            let (first, last) = (session[0].0, session[session.len() - 1].0);
            for (_, index) in session {
                windows[*index] = (first, last + gap);
            }
        }
    }
    windows
}
