//! The units of time that KDA names: SECOND to YEAR, and what a time is cut off to by them.

use datafusion::common::{Result, exec_err};

use super::calendar::{Date, MS_PER_DAY, weekday};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub(super) fn parse(word: &str) -> Result<Self> {
        Ok(match word.trim().to_ascii_uppercase().trim_end_matches('S') {
            "MILLISECOND" => Self::Millisecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            _ => return exec_err!("{word} is no unit of time: there are SECOND, MINUTE, HOUR, DAY, MONTH and YEAR"),
        })
    }

    /// Its length; `None` for those that the calendar makes longer and shorter.
    pub(super) fn ms(self) -> Option<i64> {
        Some(match self {
            Self::Millisecond => 1,
            Self::Second => 1000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => MS_PER_DAY,
            Self::Week => 7 * MS_PER_DAY,
            Self::Month | Self::Quarter | Self::Year => return None,
        })
    }

    fn months(self) -> i64 {
        match self {
            Self::Quarter => 3,
            Self::Year => 12,
            _ => 1,
        }
    }

    /// The start of the unit that a point in time is in. Weeks begin on Sunday.
    pub(super) fn floor(self, ms: i64) -> i64 {
        match (self, self.ms()) {
            (Self::Week, _) => {
                let day = ms.div_euclid(MS_PER_DAY);
                (day - weekday(day)) * MS_PER_DAY
            }
            (_, Some(length)) => ms - ms.rem_euclid(length),
            _ => {
                let Date { year, month, .. } = Date::of_day(ms.div_euclid(MS_PER_DAY));
                let month = (month - 1) / self.months() * self.months() + 1;
                Date { year, month, day: 1 }.day_number() * MS_PER_DAY
            }
        }
    }

    /// The start of the next unit, unless the time is the start of one.
    pub(super) fn ceil(self, ms: i64) -> i64 {
        let start = self.floor(ms);
        if start == ms {
            return ms;
        }
        match self.ms() {
            Some(length) => start + length,
            None => {
                let Date { year, month, .. } = Date::of_day(start.div_euclid(MS_PER_DAY));
                Date { year, month: month + self.months(), day: 1 }.day_number() * MS_PER_DAY
            }
        }
    }
}
