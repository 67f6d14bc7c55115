//! Dates and times from text and from numbers, and timestamps to text. ISO 8601 and the SQL form alike.

use arrow::datatypes::TimeUnit;

use super::number;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// How many of `unit` make a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => NANOS_PER_SECOND,
    }
}

/// Days since 1970-01-01 of `2026-01-31`.
pub(crate) fn date(text: &str) -> Result<i32, String> {
    let mut reader = Reader::new(text);
    let days = reader.date().filter(|_| reader.is_at_end());
    let days = days.ok_or_else(|| format!("expected a date such as 2026-01-31, found `{text}`"))?;
    i32::try_from(days).map_err(|_| format!("`{text}` is out of range"))
}

/// Nanoseconds since midnight of `12:30:00` or `12:30:00.123456789`.
pub(crate) fn time_of_day(text: &str) -> Result<i64, String> {
    let mut reader = Reader::new(text);
    let time = reader.time_of_day().filter(|_| reader.is_at_end());
    let (seconds, nanos) = time.ok_or_else(|| format!("expected a time such as 12:30:00.123, found `{text}`"))?;
    Ok(seconds * NANOS_PER_SECOND + nanos)
}

/// `2026-01-31T12:30:00.123Z`, `2026-01-31 12:30:00` and the like as a count of `unit` since the epoch. A zone is
/// converted to UTC; without one the text is taken as UTC. Digits beyond the unit are cut off.
pub(crate) fn timestamp(text: &str, unit: TimeUnit) -> Result<i64, String> {
    let mut reader = Reader::new(text);
    let (seconds, nanos) = reader
        .timestamp()
        .filter(|_| reader.is_at_end())
        .ok_or_else(|| format!("expected a timestamp such as 2026-01-31T12:30:00.123Z, found `{text}`"))?;
    let per_second = per_second(unit);
    let whole = seconds.checked_mul(per_second);
    let count = whole.and_then(|whole| whole.checked_add(nanos / (NANOS_PER_SECOND / per_second)));
    count.ok_or_else(|| format!("`{text}` is out of range"))
}

/// Reads timestamps that mostly lie in the same minute as the one before: `2026-01-31T12:30` is read once, and only
/// `:15.123Z` of each. Whatever it does not know is left to [`timestamp`].
pub(crate) struct Minute {
    text: [u8; 16],
    /// Since the epoch, in seconds.
    start: i64,
    per_second: i64,
}

impl Minute {
    pub(crate) fn new(unit: TimeUnit) -> Self {
        Self { text: [0; 16], start: 0, per_second: per_second(unit) }
    }

    /// The same as [`timestamp`] gives, or nothing.
    #[inline]
    pub(crate) fn read(&mut self, text: &str) -> Option<i64> {
        let (minute, rest) = text.as_bytes().split_first_chunk::<16>()?;
        if *minute != self.text {
            self.turn_to(minute)?;
        }
        let [b':', tens @ b'0'..=b'5', ones @ b'0'..=b'9', rest @ ..] = rest else { return None };
        let millis = match rest {
            [] | [b'Z'] => 0,
            [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
            | [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'Z'] => {
                i64::from(a - b'0') * 100 + i64::from(b - b'0') * 10 + i64::from(c - b'0')
            }
            _ => return None,
        };
        let seconds = self.start + i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        seconds.checked_mul(self.per_second)?.checked_add(millis * self.per_second / 1000)
    }

    #[inline(never)]
    fn turn_to(&mut self, minute: &[u8; 16]) -> Option<()> {
        let mut reader = Reader { rest: minute };
        let (start, _) = reader.timestamp().filter(|_| reader.is_at_end())?;
        (self.text, self.start) = (*minute, start);
        Some(())
    }
}

/// A number of `from` units since the epoch, as a count of `to`; fractions count as far as `to` goes.
pub(crate) fn epoch(text: &str, from: TimeUnit, to: TimeUnit) -> Result<i64, String> {
    let wrong = || format!("expected a timestamp, found the number `{text}`, which is out of range");
    if let Ok(count) = text.parse::<i64>() {
        let (from, to) = (per_second(from), per_second(to));
        let count = if to >= from { count.checked_mul(to / from) } else { Some(count.div_euclid(from / to)) };
        return count.ok_or_else(wrong);
    }
    // Exactly: as a decimal of nine digits more than its unit.
    let units = number::decimal(text, 38, 9).ok_or_else(wrong)?;
    let divisor = i128::from(per_second(from)) * i128::from(NANOS_PER_SECOND);
    let scaled = units.checked_mul(i128::from(per_second(to))).ok_or_else(wrong)?;
    i64::try_from(scaled.div_euclid(divisor)).map_err(|_| wrong())
}

/// Writes milliseconds since the epoch as `2026-01-01T00:00:00.000`, with `separator` in the place of the T. Years beyond 0000..9999 get a sign and more digits.
pub(crate) fn write_timestamp(millis: i64, separator: u8, out: &mut Vec<u8>) {
    let (seconds, millis) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    let (days, of_day) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        digits(year, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        out.extend_from_slice(format!("{:05}", year.unsigned_abs()).as_bytes());
    }
    for (mark, value, width) in [
        (b'-', month, 2),
        (b'-', day, 2),
        (separator, of_day / 3600, 2),
        (b':', of_day / 60 % 60, 2),
        (b':', of_day % 60, 2),
        (b'.', millis, 3),
    ] {
        out.push(mark);
        digits(value, width, out);
    }
}

/// Appends the last `width` digits of a number that is not negative.
fn digits(value: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = value / 10i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse (Hinnant's `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Reads fixed-width fields.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn mark(&mut self, mark: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == mark).then(|| self.rest = rest)
    }

    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(width)?;
        let mut value = 0;
        for digit in digits {
            value = value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.rest = rest;
        Some(value)
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.number(4)?;
        self.mark(b'-')?;
        let month = self.number(2)?;
        self.mark(b'-')?;
        let day = self.number(2)?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        (1..=length).contains(&day).then(|| days_from_civil(year, month, day))
    }

    /// Seconds and nanoseconds; the seconds may be left out.
    fn time_of_day(&mut self) -> Option<(i64, i64)> {
        let hour = self.number(2)?;
        self.mark(b':')?;
        let minute = self.number(2)?;
        let (mut second, mut nanos) = (0, 0);
        if self.mark(b':').is_some() {
            second = self.number(2)?;
            if self.mark(b'.').or_else(|| self.mark(b',')).is_some() {
                nanos = self.fraction()?;
            }
        }
        // A leap second counts as the second before it ends, as in most engines: 23:59:60 is refused.
        (hour < 24 && minute < 60 && second < 60).then_some((hour * 3600 + minute * 60 + second, nanos))
    }

    /// Digits of any number; those beyond nanoseconds are cut off.
    fn fraction(&mut self) -> Option<i64> {
        let (mut nanos, mut unit, mut any) = (0, NANOS_PER_SECOND / 10, false);
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            nanos += i64::from(digit - b'0') * unit;
            (unit, any, self.rest) = (unit / 10, true, rest);
        }
        any.then_some(nanos)
    }

    fn timestamp(&mut self) -> Option<(i64, i64)> {
        let days = self.date()?;
        if self.is_at_end() {
            return Some((days * SECONDS_PER_DAY, 0));
        }
        self.mark(b'T').or_else(|| self.mark(b' ')).or_else(|| self.mark(b't'))?;
        let (seconds, nanos) = self.time_of_day()?;
        Some((days * SECONDS_PER_DAY + seconds - self.zone_seconds()?, nanos))
    }

    /// `Z`, `+02`, `+0200`, `+02:00` or nothing, also after a space.
    fn zone_seconds(&mut self) -> Option<i64> {
        if self.is_at_end() {
            return Some(0);
        }
        let _ = self.mark(b' ');
        if self.mark(b'Z').or_else(|| self.mark(b'z')).is_some() {
            return Some(0);
        }
        if self.rest == b"UTC" {
            self.rest = &[];
            return Some(0);
        }
        let sign = if self.mark(b'+').is_some() { 1 } else { self.mark(b'-').map(|()| -1)? };
        let hours = self.number(2)?;
        let _ = self.mark(b':');
        let minutes = if self.is_at_end() { 0 } else { self.number(2)? };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_in_every_spelling() {
        let at = 1_767_225_600_000; // 2026-01-01T00:00:00Z
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", Some(at)),
            ("2026-01-01 00:00:00", Some(at)),
            ("2026-01-01", Some(at)),
            ("2026-01-01T00:00", Some(at)),
            ("2026-01-01T00:00:00.1", Some(at + 100)),
            ("2026-01-01T00:00:00.123999999999Z", Some(at + 123)),
            ("2026-01-01T02:00:00+02:00", Some(at)),
            ("2025-12-31T19:30:00-0430", Some(at)),
            ("2026-01-01 01:00:00+01", Some(at)),
            ("2026-01-01 00:00:00 UTC", Some(at)),
            ("1969-12-31T23:59:59.999", Some(-1)),
            ("2024-02-29T00:00:00", Some(1_709_164_800_000)),
            ("2025-02-29T00:00:00", None),
            ("2026-13-01T00:00:00", None),
            ("2026-01-01T24:00:00", None),
            ("2026-01-01T00:00:00.", None),
            ("2026-01-01T", None),
            ("2026-01-01T00:00:00Zx", None),
            ("2026-01-01T00:00:00+", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text, TimeUnit::Millisecond).ok(), expected, "{text}");
        }
        assert!(timestamp("2400-01-01T00:00:00", TimeUnit::Nanosecond).is_err(), "nanoseconds end in 2262");
    }

    #[test]
    fn a_minute_reads_what_the_whole_text_reads() {
        let minutes =
            ["2026-01-01T00:00", "2026-01-01 23:59", "1969-12-31T23:59", "2024-02-29t12:30", "2025-02-29T12:30"];
        let rests = [
            "", ":00", ":59.999", ":59Z", ":07.120Z", ":60", ":0", ":00.", ":00.1", ":00.1234", ":00+01", "Z",
            ":00.12a", ":00ZZ",
        ];
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let mut reader = Minute::new(unit);
            let mut read = 0;
            for text in minutes.iter().chain(&minutes).flat_map(|minute| rests.map(|rest| format!("{minute}{rest}"))) {
                if let Some(found) = reader.read(&text) {
                    assert_eq!(timestamp(&text, unit), Ok(found), "{text}");
                    read += 1;
                }
            }
            assert_eq!(read, 4 * 4 * 2, "{unit:?}");
        }
        assert_eq!(Minute::new(TimeUnit::Nanosecond).read("2400-01-01T00:00:00"), None, "nanoseconds end in 2262");
    }

    #[test]
    fn numbers_since_the_epoch() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        for (text, from, to, expected) in [
            ("1700000000", Second, Millisecond, Some(1_700_000_000_000)),
            ("1700000000.1239", Second, Millisecond, Some(1_700_000_000_123)),
            ("1700000000123", Millisecond, Millisecond, Some(1_700_000_000_123)),
            ("1700000000123", Millisecond, Second, Some(1_700_000_000)),
            ("1.7e9", Second, Microsecond, Some(1_700_000_000_000_000)),
            ("-1", Millisecond, Second, Some(-1)),
            ("-0.5", Second, Millisecond, Some(-500)),
            ("9223372036854775807", Second, Nanosecond, None),
            ("1e300", Second, Millisecond, None),
        ] {
            assert_eq!(epoch(text, from, to).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for millis in [0, -1, 1_767_225_600_123, -62_167_219_200_000, 253_402_300_799_999, 951_782_400_000] {
            let mut out = Vec::new();
            write_timestamp(millis, b'T', &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(timestamp(&text, TimeUnit::Millisecond), Ok(millis), "{text}");
            assert_eq!(text, millstream_core::EventTime(millis).to_string());
        }
    }

    #[test]
    fn dates_and_times_of_day() {
        assert_eq!(date("1970-01-02"), Ok(1));
        assert!(date("1970-01-02T00:00").is_err());
        assert_eq!(time_of_day("00:00:01.5"), Ok(1_500_000_000));
        assert!(time_of_day("25:00:00").is_err());
    }
}
