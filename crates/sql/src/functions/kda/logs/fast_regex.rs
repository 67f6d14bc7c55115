//! `FAST_REGEX_LOG_PARSE(text, pattern)`: a column for each group of a pattern of its own kind, in which every part takes
//! as little as it can, and all of the text must be taken. `@` is any text, `"…"` a text as it is, `<Digit>` a named class,
//! `<1-12>` a range of numbers.

use datafusion::common::{Result, exec_err};
use regex::Regex;

use super::super::definition::{Arguments, Definition, Given, as_it_is};
use super::super::regex::build;
use super::record::{groups, numbered, planned, row_type, rows, written_out};
use super::regex_log::two_texts;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

pub(super) const PARSE: Definition = Definition {
    name: "kda_fast_regex_log_parse",
    alias: Some("fast_regex_log_parse"),
    usage: "FAST_REGEX_LOG_PARSE(text, pattern)",
    takes: two_texts,
    gives,
    compute,
    simplify: as_it_is,
};

/// The reference has both names.
pub(super) const PARSER: Definition = Definition {
    name: "kda_fast_regex_log_parser",
    alias: Some("fast_regex_log_parser"),
    usage: "FAST_REGEX_LOG_PARSER(text, pattern)",
    takes: two_texts,
    gives,
    compute,
    simplify: as_it_is,
};

/// A range of numbers is written out, so it must not be long.
const MAX_NUMBERS: u32 = 1000;

fn gives(given: &Given<'_>) -> Result<DataType> {
    let regex = planned(compile(written_out(given, "FAST_REGEX_LOG_PARSE")?))?;
    Ok(row_type(&numbered(regex.captures_len() - 1)))
}

fn compute(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let regex = compile(arguments.word(1)?)?;
    rows(arguments, &numbered(regex.captures_len() - 1), |text| Ok(groups(&regex, text)))
}

/// Groups in groups are only for precedence: they are no columns.
fn compile(pattern: &str) -> Result<Regex> {
    let mut out = String::from(r"(?s)\A(?:");
    let (mut rest, mut depth) = (pattern, 0_usize);
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\\' => {
                let Some(plain) = rest.chars().next() else {
                    return exec_err!("the pattern `{pattern}` ends with a backslash; write two for one");
                };
                out += &regex::escape(plain.encode_utf8(&mut [0; 4]));
                rest = &rest[plain.len_utf8()..];
            }
            '"' => {
                let Some((text, after)) = rest.split_once('"') else {
                    return exec_err!("the pattern `{pattern}` has a quote without end; write \\\" for the letter");
                };
                out += &regex::escape(text);
                rest = after;
            }
            '<' => {
                let Some((name, after)) = rest.split_once('>') else {
                    return exec_err!("the pattern `{pattern}` has a < without >; write \\< for the letter");
                };
                out += &named(name, pattern)?;
                rest = after;
            }
            '[' => rest = class(rest, pattern, &mut out)?,
            '(' if rest.starts_with(')') => {
                out += "(?:)";
                rest = &rest[1..];
            }
            '(' => {
                out += if depth == 0 { "(" } else { "(?:" };
                depth += 1;
            }
            ')' => {
                depth = depth.saturating_sub(1);
                out.push(')');
            }
            '@' => out += ".*?",
            '*' | '+' | '?' => out.extend([letter, '?']),
            '{' => {
                let Some((count, after)) = rest.split_once('}') else {
                    return exec_err!("the pattern `{pattern}` has a {{ without }}; write \\{{ for the letter");
                };
                out.extend(["{", count, "}?"]);
                rest = after;
            }
            '.' | '|' => out.push(letter),
            '&' | '~' | '#' => {
                return exec_err!(
                    "the pattern `{pattern}` has the operator {letter}, which is not available; write \\{letter} for the letter"
                );
            }
            letter => out += &regex::escape(letter.encode_utf8(&mut [0; 4])),
        }
    }
    build(pattern, &(out + r")\z"))
}

/// `[a-z]` and `[^a-z]`; answers what is behind.
fn class<'a>(inside: &'a str, pattern: &str, out: &mut String) -> Result<&'a str> {
    out.push('[');
    let mut rest = inside;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            ']' => {
                out.push(']');
                return Ok(rest);
            }
            '-' => out.push('-'),
            '\\' => {
                let Some(plain) = rest.chars().next() else { break };
                *out += &regex::escape(plain.encode_utf8(&mut [0; 4]));
                rest = &rest[plain.len_utf8()..];
            }
            letter => *out += &regex::escape(letter.encode_utf8(&mut [0; 4])),
        }
    }
    exec_err!("the pattern `{pattern}` has a [ without ]; write \\[ for the letter")
}

fn named(name: &str, pattern: &str) -> Result<String> {
    let known = match name {
        "Digit" => r"\p{Nd}",
        "Letter" => r"\p{L}",
        "Char" => ".",
        "NewLine" | "Newline" => r"\r?\n",
        "whitespace" | "Space" => r"[ \t\r\n]",
        "Name" | "Nmtoken" | "NCName" => r"[\w.\-]+?",
        "integer" => r"[+-]?[0-9]+?",
        "decimal" => r"[+-]?[0-9]+?(?:\.[0-9]+?)?",
        "boolean" => "(?:true|false|1|0)",
        "date" => "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "time" => r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+?)?",
        "dateTime" => r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+?)?",
        _ => "",
    };
    if !known.is_empty() {
        return Ok(known.to_owned());
    }
    if let Some((first, last)) = name.split_once('-')
        && let (Ok(from), Ok(to)) = (first.parse::<u32>(), last.parse::<u32>())
    {
        if to < from || to - from > MAX_NUMBERS {
            return exec_err!("<{name}> of the pattern `{pattern}` is no range of up to {MAX_NUMBERS} numbers");
        }
        // Ends of equal length ask for as many digits.
        let width = if first.len() == last.len() { first.len() } else { 0 };
        let numbers: Vec<String> = (from..=to).rev().map(|number| format!("{number:0width$}")).collect();
        return Ok(format!("(?:{})", numbers.join("|")));
    }
    // Categories of Unicode, such as <Lu>.
    if matches!(name.len(), 1 | 2) && Regex::new(&format!(r"\p{{{name}}}")).is_ok() {
        return Ok(format!(r"\p{{{name}}}"));
    }
    exec_err!(
        "<{name}> of the pattern `{pattern}` is no class: there are Digit, Letter, Space, integer, decimal, date, time and Unicode's categories"
    )
}
