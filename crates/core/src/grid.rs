//! Grids: the time axis cut into cells side by side, of one length or of calendar days and months in a time zone.
//!
//! Calendar cells differ in length: a day has 23 to 25 hours where clocks change, a month 28 to 31 days. Their
//! boundaries are local midnights; one that does not exist, because clocks jumped over it, is the first moment after.

use std::fmt;

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::{Duration, EventTime};

/// The length of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Fixed(Duration),
    /// Calendar days, counted from 1970-01-01.
    Days {
        count: i32,
        zone: Tz,
    },
    /// Calendar months, counted from January 1970.
    Months {
        count: i32,
        zone: Tz,
    },
}

/// Cells side by side; one of them starts at `offset` after the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    pub step: Step,
    /// Shifts all boundaries.
    pub offset: Duration,
}

impl Step {
    /// About how long it is: exact when fixed, 30 days for a month.
    #[must_use]
    pub fn approximate(self) -> Duration {
        const DAY_MS: i64 = 86_400_000;
        match self {
            Self::Fixed(length) => length,
            Self::Days { count, .. } => Duration(i64::from(count) * DAY_MS),
            Self::Months { count, .. } => Duration(i64::from(count) * 30 * DAY_MS),
        }
    }

    /// How many times `part` goes into it; `None` when that is not a whole number or differs from cell to cell.
    #[must_use]
    pub fn divided_by(self, part: Self) -> Option<i64> {
        let whole = |a: i64, b: i64| (b > 0 && a % b == 0).then(|| a / b);
        match (self, part) {
            (Self::Fixed(a), Self::Fixed(b)) => whole(a.0, b.0),
            (Self::Days { count: a, zone: z }, Self::Days { count: b, zone: y })
            | (Self::Months { count: a, zone: z }, Self::Months { count: b, zone: y })
                if z == y =>
            {
                whole(i64::from(a), i64::from(b))
            }
            _ => None,
        }
    }
}

impl Grid {
    /// The start of the cell that holds `at`; a boundary belongs to the cell it starts.
    #[must_use]
    pub fn floor(self, at: EventTime) -> EventTime {
        match self.step {
            _ if matches!(at, EventTime::MIN | EventTime::MAX) => at,
            Step::Fixed(size) => EventTime(at.0 - (at.0 - self.offset.0).rem_euclid(size.0)),
            Step::Days { zone, .. } | Step::Months { zone, .. } => {
                let local = to_local(at - self.offset, zone);
                let index = self.cell_of(local.date());
                let start = self.boundary(index);
                // Around a change of clocks the local date may be one that begins after `at`.
                if start > at { self.boundary(index - 1) } else { start }
            }
        }
    }

    /// The boundary `cells` after this one, which must be a boundary; before it when negative.
    #[must_use]
    pub fn shift(self, boundary: EventTime, cells: i64) -> EventTime {
        match self.step {
            Step::Fixed(size) => boundary + Duration(size.0.saturating_mul(cells)),
            Step::Days { zone, .. } | Step::Months { zone, .. } => {
                let mut index = self.cell_of(to_local(boundary - self.offset, zone).date());
                let mut at = boundary;
                for _ in 0..cells.unsigned_abs() {
                    let before = at;
                    // A day that a zone skipped, as Samoa did in 2011, is an empty cell: no cell.
                    while at == before && !matches!(at, EventTime::MIN | EventTime::MAX) {
                        index += cells.signum();
                        at = self.boundary(index);
                    }
                }
                at
            }
        }
    }

    /// The number of the calendar cell with this date.
    fn cell_of(self, date: NaiveDate) -> i64 {
        let epoch = NaiveDate::default();
        match self.step {
            Step::Fixed(_) => 0,
            Step::Days { count, .. } => (date - epoch).num_days().div_euclid(i64::from(count)),
            Step::Months { count, .. } => {
                let months = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0());
                months.div_euclid(i64::from(count))
            }
        }
    }

    /// The start of a calendar cell.
    fn boundary(self, cell: i64) -> EventTime {
        let (date, zone) = match self.step {
            Step::Fixed(size) => return EventTime(self.offset.0.saturating_add(size.0.saturating_mul(cell))),
            Step::Days { count, zone } => {
                let days = Days::new(cell.unsigned_abs().saturating_mul(u64::from(count.unsigned_abs())));
                let epoch = NaiveDate::default();
                (if cell < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) }, zone)
            }
            Step::Months { count, zone } => {
                let months = cell * i64::from(count);
                let year = i32::try_from(1970 + months.div_euclid(12)).ok();
                let month = u32::try_from(months.rem_euclid(12) + 1).ok();
                (year.zip(month).and_then(|(year, month)| NaiveDate::from_ymd_opt(year, month, 1)), zone)
            }
        };
        match date {
            Some(date) => from_local(date.and_time(NaiveTime::MIN), zone) + self.offset,
            None if cell < 0 => EventTime::MIN,
            None => EventTime::MAX,
        }
    }
}

fn to_local(at: EventTime, zone: Tz) -> NaiveDateTime {
    let utc = DateTime::from_timestamp_millis(at.0);
    let utc = utc.unwrap_or(if at.0 < 0 { DateTime::<chrono::Utc>::MIN_UTC } else { DateTime::<chrono::Utc>::MAX_UTC });
    // The ends of the calendar have no local time in zones ahead of or behind UTC; they stay what they are.
    utc.naive_utc().checked_add_signed(offset_at(&utc.naive_utc(), zone)).unwrap_or(utc.naive_utc())
}

fn offset_at(utc: &NaiveDateTime, zone: Tz) -> TimeDelta {
    use chrono::Offset;
    TimeDelta::seconds(i64::from(zone.offset_from_utc_datetime(utc).fix().local_minus_utc()))
}

/// The first moment with this local time, or after it where clocks jumped over it.
fn from_local(local: NaiveDateTime, zone: Tz) -> EventTime {
    // The longest jump on record is a day (Samoa, 2011); clocks otherwise jump by quarters of an hour.
    const QUARTER_HOURS_A_DAY: i32 = 96;
    for quarters in 0..=QUARTER_HOURS_A_DAY {
        let Some(moved) = local.checked_add_signed(TimeDelta::minutes(15 * i64::from(quarters))) else { break };
        match zone.from_local_datetime(&moved) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return EventTime(at.timestamp_millis()),
            LocalResult::None => {}
        }
    }
    EventTime(local.and_utc().timestamp_millis())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{} ms", length.0),
            Self::Days { count, zone } => write!(f, "{count} day in {zone}"),
            Self::Months { count, zone } => write!(f, "{count} month in {zone}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> EventTime {
        EventTime(text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis())
    }

    fn cell(grid: Grid, time: &str) -> (String, String) {
        let start = grid.floor(at(time));
        (start.to_string(), grid.shift(start, 1).to_string())
    }

    fn days(zone: Tz) -> Grid {
        Grid { step: Step::Days { count: 1, zone }, offset: Duration(0) }
    }

    #[test]
    fn a_boundary_belongs_to_the_cell_it_starts() {
        let grid = |offset| Grid { step: Step::Fixed(Duration(10)), offset: Duration(offset) };
        let start = |at, offset| grid(offset).floor(EventTime(at)).0;
        assert_eq!([start(0, 0), start(9, 0), start(10, 0)], [0, 0, 10]);
        assert_eq!([start(-1, 0), start(-10, 0), start(-11, 0)], [-10, -10, -20]);
        assert_eq!([start(2, 3), start(3, 3), start(12, -7)], [-7, 3, 3]);
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        let seoul = days(Tz::Asia__Seoul);
        let expected = ("2026-01-31T15:00:00.000".to_owned(), "2026-02-01T15:00:00.000".to_owned());
        assert_eq!(cell(seoul, "2026-01-31T15:00:00Z"), expected);
        assert_eq!(cell(seoul, "2026-02-01T14:59:59.999Z"), expected);
        assert_eq!(cell(seoul, "1969-12-31T15:00:00Z").0, "1969-12-31T15:00:00.000");
    }

    #[test]
    fn days_with_a_change_of_clocks_are_longer_or_shorter() {
        let york = days(Tz::America__New_York);
        let length = |time| {
            let start = york.floor(at(time));
            (york.shift(start, 1) - start).0 / 3_600_000
        };
        assert_eq!(length("2026-03-08T12:00:00Z"), 23);
        assert_eq!(length("2026-03-09T12:00:00Z"), 24);
        assert_eq!(length("2026-11-01T12:00:00Z"), 25);
    }

    #[test]
    fn a_midnight_that_clocks_jump_over_is_the_first_moment_after() {
        // Beirut's clocks went from 2022-03-27 00:00 to 01:00, which was 22:00 UTC the evening before.
        let beirut = days(Tz::Asia__Beirut);
        let expected = ("2022-03-26T22:00:00.000".to_owned(), "2022-03-27T21:00:00.000".to_owned());
        assert_eq!(cell(beirut, "2022-03-26T22:00:00Z"), expected);
        assert_eq!(cell(beirut, "2022-03-26T21:59:59Z").0, "2022-03-25T22:00:00.000");
    }

    #[test]
    fn months_and_quarters_follow_the_calendar() {
        let months = |count| Grid { step: Step::Months { count, zone: Tz::UTC }, offset: Duration(0) };
        let february = ("2028-02-01T00:00:00.000".to_owned(), "2028-03-01T00:00:00.000".to_owned());
        assert_eq!(cell(months(1), "2028-02-29T23:59:59Z"), february);
        assert_eq!(cell(months(3), "2026-05-05T00:00:00Z").0, "2026-04-01T00:00:00.000");
        assert_eq!(cell(months(1), "1969-12-31T23:59:59Z").0, "1969-12-01T00:00:00.000");
    }

    #[test]
    fn every_moment_is_in_its_cell_and_cells_touch() {
        let zones = [Tz::UTC, Tz::Asia__Kolkata, Tz::America__Sao_Paulo, Tz::Pacific__Apia, Tz::Australia__Lord_Howe];
        for zone in zones {
            for step in [Step::Days { count: 1, zone }, Step::Days { count: 7, zone }, Step::Months { count: 1, zone }]
            {
                for offset in [0, 3_600_000, -7_200_000] {
                    let grid = Grid { step, offset: Duration(offset) };
                    for hours in -200..900 {
                        let time = EventTime(1_293_840_000_000 + hours * 11 * 3_600_000 + 17);
                        let start = grid.floor(time);
                        let end = grid.shift(start, 1);
                        assert!(start <= time && time < end, "{grid:?} {time}: [{start}, {end})");
                        assert_eq!(grid.floor(start), start, "{grid:?} {time}");
                        assert_eq!(grid.floor(EventTime(end.0 - 1)), start, "{grid:?} {time}");
                        assert_eq!(grid.shift(end, -1), start, "{grid:?} {time}");
                    }
                }
            }
        }
    }
}
