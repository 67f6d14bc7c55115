//! Columns as the parsers' second argument declares them: `NAME TYPE VARCHAR(16) NOT NULL START 0 FOR 8, …`.

use datafusion::common::{Result, plan_err};

use super::super::java_time::Pattern;
use super::record::Column;
use crate::kda::types::KdaType;

/// A declared column.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) column: Column,
    /// Java's format, of times that have one.
    pub(super) format: Option<Pattern>,
    /// Its first letter, from 0, and how many there are.
    pub(super) start: Option<usize>,
    pub(super) length: Option<usize>,
    pub(super) not_null: bool,
}

pub(super) fn declared(text: &str) -> Result<Vec<Declared>> {
    split(text).into_iter().map(one).collect()
}

/// By the commas outside of brackets and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, letter) in text.char_indices() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            (',', None) if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn one(text: &str) -> Result<Declared> {
    let usage = || {
        plan_err!("`{}` is no column: write NAME TYPE VARCHAR(16), with START 0 FOR 8 for fixed columns", text.trim())
    };
    let trimmed = text.trim();
    let (name, rest) = match trimmed.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((name, rest)) => (name.to_owned(), rest),
        None => match trimmed.split_once(char::is_whitespace) {
            Some((name, rest)) => (name.to_uppercase(), rest),
            None => return usage(),
        },
    };
    let rest = rest.trim_start();
    let Some(rest) = rest.get(..5).filter(|word| word.eq_ignore_ascii_case("TYPE ")).and(rest.get(5..)) else {
        return usage();
    };
    let (rest, format) = match rest.split_once('\'') {
        None => (rest.to_owned(), None),
        Some((before, quoted)) => match quoted.rsplit_once('\'') {
            Some((format, after)) => (format!("{before} {after}"), Some(format.replace("''", "'"))),
            None => return usage(),
        },
    };
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let length = number_after(&mut words, "FOR");
    let start = number_after(&mut words, "START");
    let not_null = words.len() > 2 && words[words.len() - 2..].join(" ").eq_ignore_ascii_case("NOT NULL");
    if not_null {
        words.truncate(words.len() - 2);
    }
    let kind = KdaType::parse(&words.join(" "))?;
    let is_time = matches!(kind, KdaType::Date | KdaType::Time | KdaType::Timestamp);
    if format.is_some() && !is_time {
        return plan_err!("column {name} has a format, and is no DATE, TIME or TIMESTAMP but {kind}");
    }
    let format = format.map(|format| super::record::planned(Pattern::compile(&format))).transpose()?;
    Ok(Declared { column: (name, kind), format, start, length, not_null })
}

/// Takes `START 12` off the end.
fn number_after(words: &mut Vec<&str>, keyword: &str) -> Option<usize> {
    let at = words.len().checked_sub(2)?;
    let number = words[at + 1].parse().ok()?;
    words[at].eq_ignore_ascii_case(keyword).then(|| {
        words.truncate(at);
        number
    })
}

impl Declared {
    /// A text of the column in the form that its type is cast from.
    pub(super) fn read(&self, text: &str) -> Option<String> {
        use super::super::calendar::{MS_PER_DAY, print_date, print_time, print_timestamp};
        let Some(format) = &self.format else { return Some(text.to_owned()) };
        let ms = format.parse(text)?;
        Some(match self.column.1 {
            KdaType::Date => print_date(ms.div_euclid(MS_PER_DAY)),
            KdaType::Time => print_time(ms.rem_euclid(MS_PER_DAY)),
            _ => print_timestamp(ms),
        })
    }

    /// Whether a row with this value of the column may be.
    pub(super) fn accepts(&self, value: Option<&String>) -> bool {
        value.is_some() || !self.not_null
    }
}
