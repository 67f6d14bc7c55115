//! The fields that a text has set, and the point in time they mean. Where they contradict each other the later one wins;
//! where they are beyond their range they run on. Both are as in `java.util.GregorianCalendar`.

use super::super::calendar::{Date, MS_PER_DAY, weekday};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Era,
    Year,
    WeekYear,
    /// From 0.
    Month,
    DayOfMonth,
    DayOfYear,
    WeekOfYear,
    WeekOfMonth,
    DayOfWeekInMonth,
    /// From 0, which is Sunday.
    DayOfWeek,
    /// 0 is the morning.
    Half,
    /// Of twelve.
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    /// Minutes east of UTC.
    Zone,
}

const COUNT: usize = Field::Zone as usize + 1;

/// Each field's value, and when it was set: 0 is never.
#[derive(Default)]
pub(super) struct Fields {
    values: [i64; COUNT],
    stamps: [u32; COUNT],
    next: u32,
}

impl Fields {
    pub(super) fn set(&mut self, field: Field, value: i64) {
        self.next += 1;
        (self.values[field as usize], self.stamps[field as usize]) = (value, self.next);
    }

    fn stamp(&self, field: Field) -> u32 {
        self.stamps[field as usize]
    }

    fn get(&self, field: Field) -> Option<i64> {
        (self.stamp(field) > 0).then(|| self.values[field as usize])
    }

    fn or(&self, field: Field, default: i64) -> i64 {
        self.get(field).unwrap_or(default)
    }

    /// When the later of two was set, if both were.
    fn both(&self, one: Field, other: Field) -> u32 {
        match (self.stamp(one), self.stamp(other)) {
            (0, _) | (_, 0) => 0,
            (one, other) => one.max(other),
        }
    }

    /// Milliseconds since 1970 in UTC; `None` beyond all calendars.
    pub(super) fn point(&self) -> Option<i64> {
        let hour = match self.both(Field::Hour, Field::Half).cmp(&self.stamp(Field::HourOfDay)) {
            std::cmp::Ordering::Less => self.or(Field::HourOfDay, 0),
            _ => self.or(Field::Hour, 0) + 12 * self.or(Field::Half, 0),
        };
        let minutes = hour * 60 + self.or(Field::Minute, 0) - self.or(Field::Zone, 0);
        let ms = minutes * 60_000 + self.or(Field::Second, 0) * 1000 + self.or(Field::Millisecond, 0);
        self.day().checked_mul(MS_PER_DAY)?.checked_add(ms)
    }

    fn year(&self) -> i64 {
        let year = self.or(Field::Year, 1970);
        if self.get(Field::Era) == Some(0) { 1 - year } else { year }
    }

    fn day(&self) -> i64 {
        if self.stamp(Field::WeekYear) > self.stamp(Field::Year) {
            let first = week_of(self.or(Field::WeekYear, 1970), 0);
            return first + 7 * (self.or(Field::WeekOfYear, 1) - 1) + self.or(Field::DayOfWeek, 0);
        }
        let month = self.or(Field::Month, 0);
        match self.chosen() {
            Field::DayOfMonth => {
                Date { year: self.year(), month: month + 1, day: self.or(Field::DayOfMonth, 1) }.day_number()
            }
            Field::WeekOfMonth => {
                let first = week_of(self.year(), month);
                first + 7 * (self.or(Field::WeekOfMonth, 1) - 1) + self.or(Field::DayOfWeek, 0)
            }
            Field::DayOfWeekInMonth => {
                let start = Date { year: self.year(), month: month + 1, day: 1 }.day_number();
                let nth = self.or(Field::DayOfWeekInMonth, 1);
                let latest = match nth {
                    0.. => start + 7 * nth - 1,
                    _ => Date { year: self.year(), month: month + 2, day: 0 }.day_number() + 7 * (nth + 1),
                };
                latest - (weekday(latest) - self.or(Field::DayOfWeek, 0)).rem_euclid(7)
            }
            Field::DayOfYear => Date { year: self.year(), month: 1, day: self.or(Field::DayOfYear, 1) }.day_number(),
            _ => week_of(self.year(), 0) + 7 * (self.or(Field::WeekOfYear, 1) - 1) + self.or(Field::DayOfWeek, 0),
        }
    }

    /// Which field says the day: of those that are complete the one set last, else what there is.
    fn chosen(&self) -> Field {
        use Field::{DayOfMonth, DayOfWeek, DayOfWeekInMonth, DayOfYear, WeekOfMonth, WeekOfYear};
        let complete = [
            (DayOfMonth, self.stamp(DayOfMonth)),
            (WeekOfMonth, self.both(WeekOfMonth, DayOfWeek)),
            (DayOfWeekInMonth, self.both(DayOfWeekInMonth, DayOfWeek)),
            (DayOfYear, self.stamp(DayOfYear)),
            (WeekOfYear, self.both(WeekOfYear, DayOfWeek)),
        ];
        let alone = [
            (DayOfMonth, 0),
            (WeekOfMonth, self.stamp(WeekOfMonth)),
            (DayOfWeekInMonth, self.stamp(DayOfWeekInMonth).max(self.stamp(DayOfWeek))),
            (WeekOfYear, self.stamp(WeekOfYear)),
        ];
        let is_any = complete.iter().any(|(_, stamp)| *stamp > 0);
        let candidates: &[(Field, u32)] = if is_any { &complete } else { &alone };
        let best = candidates.iter().map(|(_, stamp)| *stamp).max().unwrap_or_default();
        // A day of the week that was set last completes several: then the one whose own number is later.
        let best = candidates.iter().filter(|(_, stamp)| best > 0 && *stamp == best);
        best.max_by_key(|(field, _)| self.stamp(*field)).map_or(DayOfMonth, |(field, _)| *field)
    }
}

/// The Sunday that begins the week with the first day of a month.
fn week_of(year: i64, month: i64) -> i64 {
    let first = Date { year, month: month + 1, day: 1 }.day_number();
    first - weekday(first)
}
