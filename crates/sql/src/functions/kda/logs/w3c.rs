//! `W3C_LOG_PARSE(text, format)`: lines of web servers, by the name of a format or by Apache's specifiers, of which each is a
//! column. Times keep their brackets, as Apache's %t prints them; texts in quotes lose theirs.

use datafusion::common::{Result, exec_err};
use regex::Regex;

use super::super::definition::{Definition, as_it_is};
use super::super::regex::build;
use super::record::{groups, numbered, planned, row_type, rows, written_out};
use super::regex_log::two_texts;

pub(super) const DEFINITION: Definition = Definition {
    name: "kda_w3c_log_parse",
    alias: Some("w3c_log_parse"),
    usage: "W3C_LOG_PARSE(text, 'COMMON'), or another format",
    takes: two_texts,
    gives: |given| {
        let regex = planned(compile(written_out(given, "W3C_LOG_PARSE")?))?;
        Ok(row_type(&numbered(regex.captures_len() - 1)))
    },
    compute: |arguments| {
        let regex = compile(arguments.word(1)?)?;
        rows(arguments, &numbered(regex.captures_len() - 1), |text| Ok(groups(&regex, text.trim_end())))
    },
    simplify: as_it_is,
};

/// Microsoft's own format: fields with commas behind them.
const IIS_FIELDS: usize = 15;

fn compile(format: &str) -> Result<Regex> {
    let format = match format.trim().to_ascii_uppercase().as_str() {
        "COMMON" => "%h %l %u %t \"%r\" %>s %b",
        "COMMON WITH VHOST" => "%v %h %l %u %t \"%r\" %>s %b",
        "NCSA EXTENDED" => "%h %l %u %t \"%r\" %>s %b \"%[Referer]i\" \"%[User-agent]i\"",
        "REFERER" => "%[Referer]i ---> %U",
        "AGENT" => "%[User-agent]i",
        "IIS" => {
            let field = r"\s*([^,]*)";
            return build("IIS", &format!(r"\A{},?\s*\z", vec![field; IIS_FIELDS].join(",")));
        }
        _ => format,
    };
    let mut expression = String::from(r"(?s)\A");
    let mut rest = format;
    while let Some((before, specifier)) = rest.split_once('%') {
        expression += &regex::escape(before);
        if let Some(after) = specifier.strip_prefix('%') {
            expression.push('%');
            rest = after;
            continue;
        }
        let (letter, after) = read(specifier, format)?;
        let is_quoted = before.ends_with('"') && after.starts_with('"');
        expression += match letter {
            't' => r"(\[[^\]]*\])",
            // A quote in a text is escaped.
            _ if is_quoted => r#"((?:[^"\\]|\\.)*)"#,
            _ if after.is_empty() => "(.*)",
            _ => r"(\S+)",
        };
        rest = after;
    }
    expression += &regex::escape(rest);
    build(format, &(expression + r"\z"))
}

/// The letter of a specifier such as `%>s`, `%!200,304[Referer]i` or `%{Referer}i`, and what is behind it.
fn read<'a>(specifier: &'a str, format: &str) -> Result<(char, &'a str)> {
    let rest = specifier.trim_start_matches(|letter: char| letter.is_ascii_digit() || "!<>,".contains(letter));
    let close = match rest.chars().next() {
        Some('[') => Some(']'),
        Some('{') => Some('}'),
        _ => None,
    };
    let rest = match close.map(|close| rest.split_once(close)) {
        None => rest,
        Some(Some((_, after))) => after,
        Some(None) => return exec_err!("a bracket of the format `{format}` has no end"),
    };
    match rest.chars().next() {
        Some(letter) if letter.is_ascii_alphabetic() => Ok((letter, &rest[1..])),
        _ => exec_err!(
            "`%{specifier}` of the format `{format}` is no specifier; formats are COMMON, COMMON WITH VHOST, NCSA EXTENDED, REFERER, AGENT, IIS, or specifiers such as %h"
        ),
    }
}
