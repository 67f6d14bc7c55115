//! Patterns of dates and times as Java and Flink write them, `yyyy-MM-dd HH:mm:ss`, in the letters of DataFusion,
//! `%Y-%m-%d %H:%M:%S`. A pattern with a `%` is one of DataFusion's already.

use crate::SqlError;

/// A pattern of Java's in DataFusion's letters.
pub(super) fn translate(pattern: &str) -> Result<String, SqlError> {
    if pattern.contains('%') {
        return Ok(pattern.to_owned());
    }
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if letter == '\'' {
            rest = quoted(rest, pattern, &mut out)?;
            continue;
        }
        let run = rest.find(|c| c != letter).unwrap_or(rest.len());
        let (field, after) = rest.split_at(run);
        match field_letters(field) {
            Some(letters) => out.push_str(letters),
            None if letter.is_ascii_alphabetic() => {
                return Err(SqlError::new(format!("the pattern '{pattern}' has `{field}`, which is not available"))
                    .hint("there are yyyy, MM, dd, HH, hh, mm, ss, SSS, a, MMM, EEE and text in '…'; or the letters of strftime: '%Y-%m-%d'"));
            }
            None => out.push_str(field),
        }
        rest = after;
    }
    Ok(out)
}

/// Text in quotes stands for itself; two quotes are one, within others too.
fn quoted<'a>(rest: &'a str, pattern: &str, out: &mut String) -> Result<&'a str, SqlError> {
    if let Some(after) = rest.strip_prefix("''") {
        out.push('\'');
        return Ok(after);
    }
    let mut rest = &rest[1..];
    loop {
        let Some((text, after)) = rest.split_once('\'') else {
            return Err(SqlError::new(format!("the pattern '{pattern}' has a quote without its end")));
        };
        out.push_str(text);
        match after.strip_prefix('\'') {
            None => return Ok(after),
            Some(more) => {
                out.push('\'');
                rest = more;
            }
        }
    }
}

fn field_letters(field: &str) -> Option<&'static str> {
    Some(match field {
        "yyyy" | "uuuu" | "y" | "u" => "%Y",
        "yy" | "uu" => "%y",
        "M" => "%-m",
        "MM" => "%m",
        "MMM" => "%b",
        "MMMM" => "%B",
        "d" => "%-d",
        "dd" => "%d",
        "DDD" => "%j",
        "E" | "EE" | "EEE" => "%a",
        "EEEE" => "%A",
        "H" => "%-H",
        "HH" => "%H",
        "h" => "%-I",
        "hh" => "%I",
        "m" => "%-M",
        "mm" => "%M",
        "s" => "%-S",
        "ss" => "%S",
        "SSS" => "%3f",
        "SSSSSS" => "%6f",
        "SSSSSSSSS" => "%9f",
        "a" => "%p",
        "XXX" | "xxx" => "%:z",
        "XX" | "xx" | "Z" => "%z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_in_other_letters() {
        for (java, expected) in [
            ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "%Y-%m-%dT%H:%M:%S.%3f"),
            ("h 'o''clock' a", "%-I o'clock %p"),
            ("dd/MM/yy", "%d/%m/%y"),
            ("EEEE, d MMMM yyyy", "%A, %-d %B %Y"),
            ("''yyyy''", "'%Y'"),
            ("%Y yyyy", "%Y yyyy"),
            ("", ""),
        ] {
            assert_eq!(translate(java).unwrap(), expected, "{java}");
        }
        for wrong in ["yyyyy", "SS", "ww", "'open", "yyyy-MM-ddTHH"] {
            assert!(translate(wrong).is_err(), "{wrong}");
        }
    }
}
