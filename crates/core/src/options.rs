//! The options of a table: the `WITH ('key' = 'value', …)` list, read once, with nothing left over.
//!
//! A connector takes the options it knows through an [`OptionReader`]; its `finish` then refuses the rest by name, and
//! names the nearest one that was asked for. That makes a misspelt option an error instead of a silent default.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::Duration;

/// The options of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

/// One reading of a table's options. Remembers which keys were asked for.
///
/// ```
/// use millstream_core::Options;
/// let options: Options = [("path", "/tmp/in"), ("formt", "json")].into_iter().collect();
/// let reader = options.reader();
/// assert_eq!(reader.require("path"), Ok("/tmp/in"));
/// assert_eq!(reader.get("format"), None);
/// assert!(reader.finish().is_err()); // 'formt' is unknown; the nearest known option is 'format'
/// ```
pub struct OptionReader<'a> {
    options: &'a Options,
    /// Every key somebody asked for: what `finish` compares with and what it suggests.
    asked: RefCell<BTreeSet<String>>,
}

/// An option that is missing, unknown or has a value that does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("option '{key}': {message}")]
pub struct OptionError {
    /// The option's key; may be a table's `connector` when none was given.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl OptionError {
    /// An error about the option `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into() }
    }
}

impl Options {
    /// Starts a reading that will refuse what it did not ask for.
    pub fn reader(&self) -> OptionReader<'_> {
        OptionReader { options: self, asked: RefCell::default() }
    }

    /// The value of one option, outside any reading.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Every key and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<'a> OptionReader<'a> {
    /// The value of an option, if given.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.options.get(key)
    }

    /// The value of an option that must be given.
    pub fn require(&self, key: &str) -> Result<&'a str, OptionError> {
        self.get(key).ok_or_else(|| OptionError::new(key, "is required and was not given"))
    }

    /// A number, or the default. `expected` completes «expected …».
    pub fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, OptionError> {
        self.get(key)
            .map(|text| {
                text.trim().parse().map_err(|_| OptionError::new(key, format!("`{text}` given, expected {expected}")))
            })
            .transpose()
    }

    /// `true` or `false`, or the default.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, OptionError> {
        Ok(self.parse(key, "true or false")?.unwrap_or(default))
    }

    /// A length of time such as `500 ms`, `5 s`, `1 min`, `2 h`, `7 d`, or the default.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, OptionError> {
        self.get(key)
            .map(|text| {
                parse_duration(text).ok_or_else(|| {
                    OptionError::new(
                        key,
                        format!("`{text}` is no duration; write for example '500 ms', '5 s', '1 min', '2 h' or '7 d'"),
                    )
                })
            })
            .transpose()
    }

    /// A size such as `64 kb`, `128 MB` or a number of bytes, or the default. Units are powers of 1,024, as in Flink.
    pub fn bytes(&self, key: &str) -> Result<Option<u64>, OptionError> {
        self.get(key)
            .map(|text| {
                parse_bytes(text).ok_or_else(|| {
                    OptionError::new(key, format!("`{text}` is no size; write for example '64 kb', '128 mb' or '1 gb'"))
                })
            })
            .transpose()
    }

    /// One of a fixed set of words, compared without case; answers the word as it stands in `words`.
    pub fn one_of<'w>(&self, key: &str, words: &[&'w str]) -> Result<Option<&'w str>, OptionError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Ok(Some(word)),
            None => Err(OptionError::new(key, format!("`{text}` given, expected one of {}", words.join(", ")))),
        }
    }

    /// The options whose keys start with `prefix`, without it: `fields.` gives `user_id.min` for `fields.user_id.min`.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let named = self.options.iter().filter_map(|(key, value)| {
            let rest = key.strip_prefix(prefix)?;
            self.asked.borrow_mut().insert(key.to_owned());
            Some((rest, value))
        });
        named.collect()
    }

    /// Refuses what nobody asked for.
    pub fn finish(&self) -> Result<(), OptionError> {
        let asked = self.asked.borrow();
        let Some(unknown) = self.options.0.keys().find(|key| !asked.contains(*key)) else { return Ok(()) };
        let nearest = asked.iter().min_by_key(|key| edit_distance(key, unknown));
        let message = match nearest {
            Some(nearest) => format!("is unknown here; the nearest known option is '{nearest}'"),
            None => "is unknown here; this table takes no options".to_owned(),
        };
        Err(OptionError::new(unknown, message))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (count, unit) = split_unit(text)?;
    let unit_ms = match unit.as_str() {
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    i64::try_from(count).ok()?.checked_mul(unit_ms).map(Duration)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (count, unit) = split_unit(text)?;
    let unit_bytes = match unit.as_str() {
        "" | "b" | "bytes" => 1,
        "k" | "kb" | "kib" | "kibibytes" => 1 << 10,
        "m" | "mb" | "mib" | "mebibytes" => 1 << 20,
        "g" | "gb" | "gib" | "gibibytes" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(unit_bytes)
}

fn split_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    Some((count.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// Levenshtein's distance, for «the nearest known option».
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().copied().collect()
    }

    #[test]
    fn an_unknown_option_names_the_nearest_known_one() {
        let options = options(&[("formt", "json")]);
        let options = options.reader();
        assert_eq!(options.get("format"), None);
        assert_eq!(options.get("path"), None);
        let error = options.finish().unwrap_err();
        assert_eq!(error.to_string(), "option 'formt': is unknown here; the nearest known option is 'format'");
    }

    #[test]
    fn durations_and_sizes_read_as_flink_writes_them() {
        let options = options(&[("a", "5 s"), ("b", "1min"), ("c", "128 MB"), ("d", "5 parsecs"), ("e", "")]);
        let options = options.reader();
        assert_eq!(options.duration("a"), Ok(Some(Duration(5000))));
        assert_eq!(options.duration("b"), Ok(Some(Duration(60_000))));
        assert_eq!(options.bytes("c"), Ok(Some(128 << 20)));
        assert!(options.duration("d").is_err());
        assert!(options.duration("e").is_err());
        assert_eq!(options.duration("absent"), Ok(None));
    }

    #[test]
    fn words_compare_without_case_and_list_what_is_expected() {
        let options = options(&[("position", "latest"), ("other", "newest")]);
        let options = options.reader();
        assert_eq!(options.one_of("position", &["LATEST", "TRIM_HORIZON"]), Ok(Some("LATEST")));
        let error = options.one_of("other", &["LATEST", "TRIM_HORIZON"]).unwrap_err();
        assert_eq!(error.message, "`newest` given, expected one of LATEST, TRIM_HORIZON");
    }

    #[test]
    fn distances() {
        for (a, b, distance) in [("", "", 0), ("abc", "abc", 0), ("formt", "format", 1), ("path", "", 4)] {
            assert_eq!(edit_distance(a, b), distance);
        }
    }
}
