//! Times printed by a pattern.

use std::fmt::Write;

use super::super::calendar::{Date, MS_PER_DAY, day_of_year, weekday};
use super::names::{DAYS, ERAS, HALVES, MONTHS};
use super::pattern::{Part, Pattern};

impl Pattern {
    /// A point in time, given in milliseconds since 1970.
    pub(in super::super) fn format(&self, ms: i64) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Field(letter, count) => field(&mut text, *letter, *count, ms),
            }
        }
        text
    }
}

fn field(text: &mut String, letter: char, count: usize, ms: i64) {
    let (day, within) = (ms.div_euclid(MS_PER_DAY), ms.rem_euclid(MS_PER_DAY));
    let date = Date::of_day(day);
    let hour = within / 3_600_000;
    let number = match letter {
        'y' => return year(text, if date.year > 0 { date.year } else { 1 - date.year }, count),
        'Y' => return year(text, week_year(day).0, count),
        'M' | 'L' => match count {
            1 | 2 => date.month,
            _ => return name(text, &MONTHS, date.month - 1, count),
        },
        'G' => return name(text, &ERAS, i64::from(date.year > 0), 4),
        'E' => return name(text, &DAYS, weekday(day), count),
        'a' => return name(text, &HALVES, hour / 12, 4),
        'z' => return text.push_str(if count > 3 { "Coordinated Universal Time" } else { "UTC" }),
        'Z' => return text.push_str("+0000"),
        'X' => return text.push('Z'),
        'd' => date.day,
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => within / 60_000 % 60,
        's' => within / 1000 % 60,
        'S' => within % 1000,
        'D' => day_of_year(day),
        'F' => (date.day - 1) / 7 + 1,
        'w' => week_year(day).1,
        'W' => (date.day - 1 + weekday(day - date.day + 1)) / 7 + 1,
        // The last is `u`: 1 is Monday.
        _ => (weekday(day) + 6) % 7 + 1,
    };
    padded(text, number, count);
}

fn padded(text: &mut String, number: i64, width: usize) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{number:0width$}");
}

/// Two letters are two digits.
fn year(text: &mut String, year: i64, count: usize) {
    match count {
        2 => padded(text, year % 100, 2),
        _ => padded(text, year, count),
    }
}

/// Up to three letters are its first three.
fn name(text: &mut String, names: &[&str], index: i64, count: usize) {
    let full = usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default();
    text.push_str(if count > 3 { full } else { full.get(..3).unwrap_or(full) });
}

/// The year that a week belongs to, and its number: the week of 1 January is the first, and Sunday its first day.
fn week_year(day: i64) -> (i64, i64) {
    let sunday = day - weekday(day);
    let year = Date::of_day(sunday + 6).year;
    let new_year = Date { year, month: 1, day: 1 }.day_number();
    (year, (sunday - (new_year - weekday(new_year))) / 7 + 1)
}
