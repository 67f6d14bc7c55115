//! Days and years: the Gregorian calendar, extended to before its time, over days since 1970-01-01.

pub(super) const MS_PER_DAY: i64 = 86_400_000;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

impl Date {
    /// Years begin in March here, so that the day of a leap year is the last of its year.
    pub(super) fn of_day(day: i64) -> Self {
        let shifted = day + DAYS_TO_1970;
        let era = shifted.div_euclid(DAYS_PER_ERA);
        let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day: day_of_year - (153 * from_march + 2) / 5 + 1 }
    }

    /// Days since 1970. Months and days beyond their ends run on into the next ones.
    pub(super) fn day_number(self) -> i64 {
        let year = self.year + (self.month - 1).div_euclid(12);
        let month = (self.month - 1).rem_euclid(12) + 1;
        let year = year - i64::from(month <= 2);
        let from_march = (month + 9) % 12;
        let day_of_era = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100
            + (153 * from_march + 2) / 5;
        year.div_euclid(400) * DAYS_PER_ERA + day_of_era - DAYS_TO_1970 + self.day - 1
    }

    /// A date that is in the calendar.
    pub(super) fn checked(year: i64, month: i64, day: i64) -> Option<Self> {
        let date = Self { year, month, day };
        (Self::of_day(date.day_number()) == date).then_some(date)
    }
}

/// 0 is Sunday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// From 1.
pub(super) fn day_of_year(day: i64) -> i64 {
    let year = Date::of_day(day).year;
    day - Date { year, month: 1, day: 1 }.day_number() + 1
}

/// `yyyy-MM-dd`.
pub(super) fn print_date(day: i64) -> String {
    let Date { year, month, day } = Date::of_day(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `HH:mm:ss`, of milliseconds since midnight.
pub(super) fn print_time(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `yyyy-MM-dd HH:mm:ss`.
pub(super) fn print_timestamp(ms: i64) -> String {
    format!("{} {}", print_date(ms.div_euclid(MS_PER_DAY)), print_time(ms.rem_euclid(MS_PER_DAY)))
}

/// Days since 1970 of exactly `yyyy-MM-dd`.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
    Date::checked(year, month, day).map(Date::day_number)
}

/// Milliseconds since midnight of exactly `HH:mm:ss`.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let [hours, minutes, seconds] = numbers(text, ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60 && seconds < 60).then_some(((hours * 60 + minutes) * 60 + seconds) * 1000)
}

/// Milliseconds since 1970 of exactly `yyyy-MM-dd HH:mm:ss`.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    Some(parse_date(date)? * MS_PER_DAY + parse_time(time)?)
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for day in (-1_000_000..1_000_000).step_by(97) {
            assert_eq!(Date::of_day(day).day_number(), day);
        }
        assert_eq!(print_date(0), "1970-01-01");
        assert_eq!(print_date(-1), "1969-12-31");
        assert_eq!(print_date(11016), "2000-02-29");
    }

    #[test]
    fn months_and_days_run_on() {
        let day = |year, month, day| print_date(Date { year, month, day }.day_number());
        assert_eq!(day(2008, 13, 1), "2009-01-01");
        assert_eq!(day(2008, 0, 0), "2007-11-30");
        assert_eq!(day(2008, 2, 30), "2008-03-01");
        assert_eq!(day(2008, -3, 1), "2007-09-01");
    }

    #[test]
    fn texts_are_read_exactly() {
        assert_eq!(parse_timestamp("2016-02-29 23:59:59").map(print_timestamp).as_deref(), Some("2016-02-29 23:59:59"));
        for wrong in
            ["2015-02-29 00:00:00", "2016-02-29", "2016-02-29 00:00:00.5", "2016-2-9 00:00:00", "2016-02-29 24:00:00"]
        {
            assert_eq!(parse_timestamp(wrong), None, "{wrong}");
        }
    }
}
