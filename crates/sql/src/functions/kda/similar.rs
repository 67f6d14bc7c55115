//! Patterns of SIMILAR TO: `%` and `_` as in LIKE, with `|`, `*`, `+`, `?`, `{n,m}`, `( )` and `[ ]` of regular expressions.

use datafusion::common::{Result, exec_err};
use regex::Regex;

use super::regex::build;

/// A pattern for whole texts.
pub(super) fn compile(pattern: &str, escape: &str) -> Result<Regex> {
    build(pattern, &format!(r"(?s)\A(?:{})\z", translate(pattern, escape_letter(escape)?)?))
}

/// `before#"part#"after`: the group `part` of the expression is what is between the marks.
pub(super) fn compile_parts(pattern: &str, escape: &str) -> Result<Regex> {
    let Some(letter) = escape_letter(escape)? else { return exec_err!("SUBSTRING … SIMILAR needs an ESCAPE letter") };
    let mark = format!("{letter}\"");
    let parts: Vec<&str> = pattern.split(mark.as_str()).collect();
    let [before, part, after] = parts.as_slice() else {
        return exec_err!("the pattern `{pattern}` of SUBSTRING has no two marks {mark} around the part to take");
    };
    let translated = |text| translate(text, Some(letter));
    // What is before the part is as short as can be, as SQL has it.
    let expression = format!(
        r"(?s)\A(?U:(?:{}))(?<part>{})(?U:(?:{}))\z",
        translated(before)?,
        translated(part)?,
        translated(after)?
    );
    build(pattern, &expression)
}

fn escape_letter(escape: &str) -> Result<Option<char>> {
    let mut letters = escape.chars();
    match (letters.next(), letters.next()) {
        (letter, None) => Ok(letter),
        _ => exec_err!("ESCAPE takes one letter, found '{escape}'"),
    }
}

fn translate(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = String::new();
    let mut letters = pattern.chars();
    let mut is_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => match letters.next() {
                Some(plain) => out.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
                None => return exec_err!("the pattern `{pattern}` ends with its escape letter"),
            },
            '[' if is_class && letters.as_str().starts_with(':') => {
                let Some((name, rest)) = letters.as_str()[1..].split_once(":]") else {
                    return exec_err!("`[:` of the pattern `{pattern}` has no end");
                };
                out.push_str(&class(name, pattern)?);
                letters = rest.chars();
            }
            '[' if !is_class => {
                is_class = true;
                out.push('[');
            }
            ']' if is_class => {
                is_class = false;
                out.push(']');
            }
            '^' | '-' if is_class => out.push(letter),
            '%' if !is_class => out.push_str(".*"),
            '_' if !is_class => out.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' if !is_class => out.push(letter),
            letter => out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(out)
}

fn class(name: &str, pattern: &str) -> Result<String> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "ALPHA" => "[:alpha:]",
        "UPPER" => "[:upper:]",
        "LOWER" => "[:lower:]",
        "DIGIT" => "[:digit:]",
        "ALNUM" => "[:alnum:]",
        "SPACE" => " ",
        "WHITESPACE" => r"\s",
        _ => return exec_err!("`[:{name}:]` of the pattern `{pattern}` is no class of letters"),
    }
    .to_owned())
}
