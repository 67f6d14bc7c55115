//! Texts read by a pattern: from their start, as far as the pattern goes.

use super::fields::{Field, Fields};
use super::names::{DAYS, ERAS, HALVES, MONTHS, longest, zone};
use super::pattern::{Part, Pattern};

/// Years of two digits are from 1946 to 2045. Java's are from 80 years before today, which would make results change.
const FIRST_SHORT_YEAR: i64 = 1946;

impl Pattern {
    /// Milliseconds since 1970; `None` if the text does not begin as the pattern says.
    pub(in super::super) fn parse(&self, text: &str) -> Option<i64> {
        let mut fields = Fields::default();
        let mut at = 0;
        for (index, part) in self.parts.iter().enumerate() {
            at += match part {
                Part::Text(literal) => text[at..].starts_with(literal.as_str()).then_some(literal.len())?,
                Part::Field(letter, count) => {
                    let is_cut =
                        matches!(self.parts.get(index + 1), Some(Part::Field(next, count)) if is_number(*next, *count));
                    field(&text[at..], *letter, *count, is_cut.then_some(*count), &mut fields)?
                }
            };
        }
        fields.point()
    }
}

/// Fields in digits: before one of them, a field has just as many digits as letters.
fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'M' | 'L' => count <= 2,
        _ => "ydkHmsSDFwWhKYu".contains(letter),
    }
}

/// Sets a field, and answers how long it is.
fn field(text: &str, letter: char, count: usize, digits: Option<usize>, fields: &mut Fields) -> Option<usize> {
    let rest = text.trim_start_matches([' ', '\t']);
    let blanks = text.len() - rest.len();
    let mut named = |field: Field, found: Option<(usize, usize)>| {
        let (index, length) = found?;
        fields.set(field, i64::try_from(index).ok()?);
        Some(blanks + length)
    };
    match letter {
        'G' => return named(Field::Era, longest(rest, ERAS.into_iter())),
        'a' => return named(Field::Half, longest(rest, HALVES.into_iter())),
        'E' => return named(Field::DayOfWeek, short_or_long(rest, &DAYS)),
        'M' | 'L' if count > 2 => return named(Field::Month, short_or_long(rest, &MONTHS)),
        'z' | 'Z' | 'X' => {
            let (minutes, length) = if letter == 'X' { iso_zone(rest, count)? } else { any_zone(rest)? };
            fields.set(Field::Zone, minutes);
            return Some(blanks + length);
        }
        _ => {}
    }
    let window = match digits {
        // Blanks count as digits here.
        Some(width) => rest.get(..width.checked_sub(blanks)?)?,
        None => rest,
    };
    let (value, length) = number(window)?;
    let (field, value) = match letter {
        'y' | 'Y' => {
            let is_short = count <= 2 && length == 2 && value >= 0;
            let field = if letter == 'y' { Field::Year } else { Field::WeekYear };
            (field, if is_short { full_year(value) } else { value })
        }
        'M' | 'L' => (Field::Month, value - 1),
        'd' => (Field::DayOfMonth, value),
        'k' => (Field::HourOfDay, if value == 24 { 0 } else { value }),
        'H' => (Field::HourOfDay, value),
        'h' => (Field::Hour, if value == 12 { 0 } else { value }),
        'K' => (Field::Hour, value),
        'm' => (Field::Minute, value),
        's' => (Field::Second, value),
        'S' => (Field::Millisecond, value),
        'D' => (Field::DayOfYear, value),
        'F' => (Field::DayOfWeekInMonth, value),
        'w' => (Field::WeekOfYear, value),
        'W' => (Field::WeekOfMonth, value),
        // The last is `u`: 7 is Sunday.
        _ => (Field::DayOfWeek, value.rem_euclid(7)),
    };
    fields.set(field, value);
    Some(blanks + length)
}

fn full_year(short: i64) -> i64 {
    let century = FIRST_SHORT_YEAR / 100 * 100;
    let year = century + short;
    if year < FIRST_SHORT_YEAR { year + 100 } else { year }
}

/// Digits with or without a minus, up to what Java's int holds.
fn number(text: &str) -> Option<(i64, usize)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let length = text.len() - digits.len() + count;
    let value = text[..length].parse::<i32>().ok()?;
    Some((value.into(), length))
}

fn short_or_long(text: &str, names: &[&'static str]) -> Option<(usize, usize)> {
    longest(text, names.iter().copied()).or_else(|| longest(text, names.iter().map(|name| &name[..3])))
}

/// `+0100`, `GMT`, `GMT+1:00`, or a name.
fn any_zone(text: &str) -> Option<(i64, usize)> {
    if let Some((minutes, length)) = signed(text, 2, false) {
        return Some((minutes, length));
    }
    if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("GMT")) {
        let rest = &text[3..];
        if !rest.starts_with(['+', '-']) {
            return Some((0, 3));
        }
        return signed(rest, 0, true).map(|(minutes, length)| (minutes, 3 + length));
    }
    zone(text)
}

/// `Z`, or as many parts of `+01:00` as there are letters.
fn iso_zone(text: &str, count: usize) -> Option<(i64, usize)> {
    if text.starts_with('Z') {
        return Some((0, 1));
    }
    signed(text, count, count == 3)
}

/// Hours and minutes east of UTC. `parts`: 1 is hours alone; 0 lets hours have one digit.
fn signed(text: &str, parts: usize, colon: bool) -> Option<(i64, usize)> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text.as_bytes()[1..];
    let digit = |index: usize| rest.get(index).filter(|byte| byte.is_ascii_digit()).map(|byte| i64::from(byte - b'0'));
    let (hours, mut at) = match digit(1) {
        Some(second) => (digit(0)? * 10 + second, 2),
        None if parts == 0 => (digit(0)?, 1),
        None => return None,
    };
    let mut minutes = 0;
    if parts != 1 {
        if colon {
            (rest.get(at) == Some(&b':')).then_some(())?;
            at += 1;
        }
        minutes = digit(at)? * 10 + digit(at + 1)?;
        at += 2;
    }
    (hours < 24 && minutes < 60).then_some((sign * (hours * 60 + minutes), at + 1))
}
