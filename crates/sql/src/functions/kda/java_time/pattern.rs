//! A pattern of `SimpleDateFormat`, taken apart.

use datafusion::common::{Result, exec_err};

/// The letters that mean a field. `L` is the month on its own, which is the same in English.
const LETTERS: &str = "GyMLdkHmsSEDFwWahKzZYuX";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(in super::super) struct Pattern {
    pub(super) parts: Vec<Part>,
}

impl Pattern {
    pub(in super::super) fn compile(pattern: &str) -> Result<Self> {
        let mut parts: Vec<Part> = Vec::new();
        let mut letters = pattern.chars().peekable();
        let literal = |parts: &mut Vec<Part>, letter: char| match parts.last_mut() {
            Some(Part::Text(text)) => text.push(letter),
            _ => parts.push(Part::Text(letter.to_string())),
        };
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if letters.next_if_eq(&'\'').is_some() => literal(&mut parts, '\''),
                '\'' => loop {
                    match letters.next() {
                        None => {
                            return exec_err!("the format `{pattern}` has a quote without end; write '' for a quote");
                        }
                        Some('\'') if letters.next_if_eq(&'\'').is_some() => literal(&mut parts, '\''),
                        Some('\'') => break,
                        Some(quoted) => literal(&mut parts, quoted),
                    }
                },
                letter if letter.is_ascii_alphabetic() => {
                    if !LETTERS.contains(letter) {
                        return exec_err!(
                            "the letter `{letter}` of the format `{pattern}` means nothing; put text in quotes, as in yyyy-MM-dd'T'HH:mm:ss"
                        );
                    }
                    let mut count = 1;
                    while letters.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    if letter == 'X' && count > 3 {
                        return exec_err!("the format `{pattern}` has {count} letters X, the limit is 3");
                    }
                    parts.push(Part::Field(letter, count));
                }
                letter => literal(&mut parts, letter),
            }
        }
        Ok(Self { parts })
    }
}
