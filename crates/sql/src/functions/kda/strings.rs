//! Texts: SUBSTRING by position and by pattern, OVERLAY, SIMILAR TO and `REGEX_REPLACE`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use regex::Regex;

use super::definition::{Arguments, Definition, Given, as_it_is};
use super::similar;

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_substring",
        alias: None,
        usage: "SUBSTRING(text FROM start FOR length), or SUBSTRING(text SIMILAR pattern ESCAPE letter)",
        takes: |given| match given {
            [text, start] if is_text(text) && is_whole(start) => Some(vec![DataType::Utf8, DataType::Int64]),
            [text, start, length] if is_text(text) && is_whole(start) && is_whole(length) => {
                Some(vec![DataType::Utf8, DataType::Int64, DataType::Int64])
            }
            [text, pattern, escape] if is_text(text) && is_text(pattern) && is_text(escape) => {
                Some(vec![DataType::Utf8, DataType::Utf8, DataType::Utf8])
            }
            _ => None,
        },
        gives: |_| Ok(DataType::Utf8),
        compute: |arguments| match arguments.column(1)?.data_type() {
            DataType::Utf8 => substring_similar(arguments),
            _ => substring(arguments),
        },
        simplify: as_it_is,
    },
    Definition {
        name: "kda_overlay",
        alias: None,
        usage: "OVERLAY(text PLACING replacement FROM start FOR length)",
        takes: |given| match given {
            [text, replacement, numbers @ ..]
                if is_text(text)
                    && is_text(replacement)
                    && (1..=2).contains(&numbers.len())
                    && numbers.iter().all(is_whole) =>
            {
                let mut types = vec![DataType::Utf8, DataType::Utf8];
                types.resize(given.len(), DataType::Int64);
                Some(types)
            }
            _ => None,
        },
        gives: |_| Ok(DataType::Utf8),
        compute: overlay,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_similar",
        alias: None,
        usage: "text SIMILAR TO pattern ESCAPE letter",
        takes: |given| {
            let is_call = (2..=3).contains(&given.len()) && given.iter().all(is_text);
            is_call.then(|| vec![DataType::Utf8; given.len()])
        },
        gives: |_| Ok(DataType::Boolean),
        compute: is_similar,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_regex_replace",
        alias: Some("regex_replace"),
        usage: "REGEX_REPLACE(text, pattern, replacement, start position, occurrence)",
        takes: |given| match given {
            [texts @ .., start, occurrence]
                if texts.len() == 3 && texts.iter().all(is_text) && is_whole(start) && is_whole(occurrence) =>
            {
                let text = DataType::Utf8;
                Some(vec![text.clone(), text.clone(), text, DataType::Int64, DataType::Int64])
            }
            _ => None,
        },
        gives: |given| checked_pattern(given, 1, DataType::Utf8),
        compute: regex_replace,
        simplify: as_it_is,
    },
];

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Null)
}

fn is_whole(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_null()
}

/// Refuses a pattern that is none when the query is planned.
pub(super) fn checked_pattern(given: &Given<'_>, index: usize, gives: DataType) -> Result<DataType> {
    match given.text(index).map(super::regex::compile) {
        Some(Err(error)) => plan_err!("{}", error.strip_backtrace().trim_start_matches("Execution error: ")),
        _ => Ok(gives),
    }
}

fn whole(arguments: &Arguments<'_>, index: usize) -> Result<Int64Array> {
    Ok(arguments.column(index)?.as_primitive::<Int64Type>().clone())
}

/// The part of a text from a letter, counted from 1, to another that is not in it. Both may be outside.
fn part(text: &str, start: i64, end: i64) -> &str {
    let byte = |letter: i64| {
        let letters = usize::try_from((letter - 1).max(0)).unwrap_or(usize::MAX);
        if text.is_ascii() {
            return letters.min(text.len());
        }
        text.char_indices().nth(letters).map_or(text.len(), |(byte, _)| byte)
    };
    &text[byte(start)..byte(end.max(start))]
}

/// Where the start is before the text, the length counts from there.
fn substring(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, starts) = (arguments.texts(0)?, whole(arguments, 1)?);
    let lengths = if arguments.len() == 3 { Some(whole(arguments, 2)?) } else { None };
    let one = |row: usize| -> Result<Option<&str>> {
        let length = lengths.as_ref().map(|lengths| lengths.is_valid(row).then(|| lengths.value(row)));
        if texts.is_null(row) || starts.is_null(row) || length == Some(None) {
            return Ok(None);
        }
        let (text, start) = (texts.value(row), starts.value(row));
        match length.flatten() {
            None => Ok(Some(part(text, start, i64::MAX))),
            Some(length) if length < 0 => exec_err!("SUBSTRING … FOR {length}: a length is not below 0"),
            Some(length) => Ok(Some(part(text, start, start.saturating_add(length)))),
        }
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<Result<StringArray>>()?))
}

/// Without a length, as many letters are replaced as the replacement has.
fn overlay(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, replacements, starts) = (arguments.texts(0)?, arguments.texts(1)?, whole(arguments, 2)?);
    let lengths = if arguments.len() == 4 { Some(whole(arguments, 3)?) } else { None };
    let one = |row: usize| -> Result<Option<String>> {
        let length = lengths.as_ref().map(|lengths| lengths.is_valid(row).then(|| lengths.value(row)));
        if texts.is_null(row) || replacements.is_null(row) || starts.is_null(row) || length == Some(None) {
            return Ok(None);
        }
        let (text, replacement, start) = (texts.value(row), replacements.value(row), starts.value(row));
        let length = length.flatten().unwrap_or_else(|| i64::try_from(replacement.chars().count()).unwrap_or(i64::MAX));
        if length < 0 {
            return exec_err!("OVERLAY … FOR {length}: a length is not below 0");
        }
        let (before, after) = (part(text, 1, start), part(text, start.saturating_add(length), i64::MAX));
        Ok(Some(format!("{before}{replacement}{after}")))
    };
    Ok(Arc::new((0..arguments.rows).map(one).collect::<Result<StringArray>>()?))
}

/// Patterns, each compiled when it changes.
pub(super) struct Patterns<T> {
    compile: fn(&str, &str) -> Result<T>,
    compiled: Option<(String, String, T)>,
}

impl<T> Patterns<T> {
    pub(super) fn new(compile: fn(&str, &str) -> Result<T>) -> Self {
        Self { compile, compiled: None }
    }

    /// A pattern with its escape letter, or another word that matters.
    pub(super) fn get(&mut self, pattern: &str, escape: &str) -> Result<&T> {
        let compiled = match self.compiled.take() {
            Some(known) if known.0 == pattern && known.1 == escape => known,
            _ => (pattern.to_owned(), escape.to_owned(), (self.compile)(pattern, escape)?),
        };
        Ok(&self.compiled.insert(compiled).2)
    }
}

fn is_similar(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (arguments.texts(0)?, arguments.texts(1)?);
    let escapes = if arguments.len() == 3 { Some(arguments.texts(2)?) } else { None };
    let mut compiled = Patterns::new(similar::compile);
    let mut one = |row: usize| -> Result<Option<bool>> {
        let escape = match &escapes {
            Some(escapes) if escapes.is_null(row) => return Ok(None),
            Some(escapes) => escapes.value(row),
            None => "",
        };
        if texts.is_null(row) || patterns.is_null(row) {
            return Ok(None);
        }
        Ok(Some(compiled.get(patterns.value(row), escape)?.is_match(texts.value(row))))
    };
    Ok(Arc::new((0..arguments.rows).map(&mut one).collect::<Result<BooleanArray>>()?))
}

/// `SUBSTRING(text SIMILAR 'before#"part#"after' ESCAPE '#')`: the part, or NULL where nothing matches.
fn substring_similar(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, patterns, escapes) = (arguments.texts(0)?, arguments.texts(1)?, arguments.texts(2)?);
    let mut compiled = Patterns::new(similar::compile_parts);
    let mut one = |row: usize| -> Result<Option<String>> {
        if texts.is_null(row) || patterns.is_null(row) || escapes.is_null(row) {
            return Ok(None);
        }
        let regex = compiled.get(patterns.value(row), escapes.value(row))?;
        let part = regex.captures(texts.value(row)).and_then(|parts| parts.name("part"));
        Ok(part.map(|part| part.as_str().to_owned()))
    };
    Ok(Arc::new((0..arguments.rows).map(&mut one).collect::<Result<StringArray>>()?))
}

fn regex_replace(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, patterns, replacements) = (arguments.texts(0)?, arguments.texts(1)?, arguments.texts(2)?);
    let (starts, occurrences) = (whole(arguments, 3)?, whole(arguments, 4)?);
    let mut compiled = Patterns::new(|pattern, _| super::regex::compile(pattern));
    let mut one = |row: usize| -> Result<Option<String>> {
        if [&texts, &patterns, &replacements].into_iter().any(|column| column.is_null(row))
            || starts.is_null(row)
            || occurrences.is_null(row)
        {
            return Ok(None);
        }
        let (start, occurrence) = (starts.value(row), occurrences.value(row));
        if start < 1 {
            return exec_err!("REGEX_REPLACE has start position {start}; the first letter has position 1");
        }
        let Ok(occurrence) = usize::try_from(occurrence) else {
            return exec_err!("REGEX_REPLACE has occurrence {occurrence}; write 0 for all, 1 for the first");
        };
        let text = texts.value(row);
        let tail = part(text, start, i64::MAX);
        let head = &text[..text.len() - tail.len()];
        if tail.is_empty() && start > 1 {
            return Ok(Some(text.to_owned()));
        }
        let regex = compiled.get(patterns.value(row), "")?;
        Ok(Some(format!("{head}{}", replaced(regex, tail, replacements.value(row), occurrence)?)))
    };
    Ok(Arc::new((0..arguments.rows).map(&mut one).collect::<Result<StringArray>>()?))
}

/// One occurrence of a pattern, or all with 0.
fn replaced(regex: &Regex, text: &str, replacement: &str, occurrence: usize) -> Result<String> {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for (index, groups) in regex.captures_iter(text).enumerate() {
        let Some(found) = groups.get(0).filter(|_| occurrence == 0 || occurrence == index + 1) else { continue };
        out.push_str(&text[from..found.start()]);
        expand(replacement, &groups, &mut out)?;
        from = found.end();
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// `$1` and `${name}` are groups, a backslash makes the next letter plain: as Java's `Matcher.replaceAll` reads it.
fn expand(replacement: &str, groups: &regex::Captures<'_>, out: &mut String) -> Result<()> {
    let mut rest = replacement;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let sign = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if sign == b'\\' {
            let Some(letter) = rest.chars().next() else {
                return exec_err!("the replacement `{replacement}` ends with a backslash; write two for one");
            };
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            out.push_str(groups.name(name).map_or("", |group| group.as_str()));
            rest = after;
        } else {
            // As many digits as there are groups.
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number = (1..=digits).rev().find_map(|count| {
                let number: usize = rest[..count].parse().ok()?;
                (number < groups.len()).then_some((number, count))
            });
            let Some((number, count)) = number else {
                return exec_err!("the replacement `{replacement}` has a $ without a group; write \\$ for the sign");
            };
            out.push_str(groups.get(number).map_or("", |group| group.as_str()));
            rest = &rest[count..];
        }
    }
    out.push_str(rest);
    Ok(())
}
