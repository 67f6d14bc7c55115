//! The text before it becomes tokens: `//` comments, a comment that nobody closed, and which dialect a script is in.

/// What a file says that is KDA without any statement of KDA.
const MARK: &str = "-- dialect: kda";

/// A script with comments as sqlparser knows them. Places stay what they are: nothing before them gets longer.
pub(super) fn clean(script: &str) -> String {
    let mut cleaned = String::with_capacity(script.len() + 2);
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
        if let Some((literal, taken)) = unicode(rest).filter(|_| !cleaned.ends_with(is_of_word)) {
            cleaned.push_str(&literal);
            rest = &rest[taken..];
            continue;
        }
        let taken = match first {
            '\'' | '"' => quoted(rest, first),
            '/' if rest.starts_with("//") => {
                cleaned.push_str("--");
                let line = rest.find('\n').unwrap_or(rest.len());
                cleaned.push_str(&rest[2..line]);
                rest = &rest[line..];
                continue;
            }
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => end + 2,
                None => {
                    cleaned.push_str(rest);
                    cleaned.push_str("*/");
                    return cleaned;
                }
            },
            _ => first.len_utf8(),
        };
        cleaned.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    cleaned
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// `u&'\\0041'` and `u&'!0041' UESCAPE '!'` at the beginning of a text: as a plain literal, filled up with blanks so
/// that places stay, and how long it was. `None`: there is none, or it is not well formed.
fn unicode(text: &str) -> Option<(String, usize)> {
    let body = text.strip_prefix(['u', 'U'])?.strip_prefix('&').filter(|body| body.starts_with('\''))?;
    let mut length = quoted(body, '\'');
    while body[length..].starts_with('\'') {
        length += quoted(&body[length..], '\'');
    }
    let inner = body[1..length].strip_suffix('\'')?;
    let mut taken = 2 + length;
    let mut escape = '\\';
    let after = text[taken..].trim_start();
    if after.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("UESCAPE")) {
        let mark = after[7..].trim_start();
        let mut letters = mark.strip_prefix('\'')?.chars();
        escape = letters.next()?;
        let rest = letters.as_str().strip_prefix('\'')?;
        taken = text.len() - rest.len();
    }
    let mut decoded = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != escape {
            decoded.push(letter);
            continue;
        }
        let rest = letters.as_str();
        if let Some(rest) = rest.strip_prefix(escape) {
            decoded.push(escape);
            letters = rest.chars();
            continue;
        }
        let (skipped, digits) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let code = u32::from_str_radix(rest.get(skipped..skipped + digits)?, 16).ok()?;
        decoded.push(char::from_u32(code)?);
        letters = rest[skipped + digits..].chars();
    }
    let literal = format!("'{decoded}'");
    let blanks = text[..taken].chars().count().saturating_sub(literal.chars().count());
    Some((literal + &" ".repeat(blanks), taken))
}

/// The length of what stands in quotes, both included; a doubled quote ends and begins again.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

/// Whether a script is in KDA's dialect: it says so, or has `CREATE … STREAM` or `CREATE … PUMP`.
pub(crate) fn is_kda(script: &str) -> bool {
    if script.lines().any(|line| line.trim().eq_ignore_ascii_case(MARK)) {
        return true;
    }
    let cleaned = without_comments(&clean(script)).to_uppercase();
    cleaned.split(';').any(|statement| {
        let mut words = statement.split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        next() == "CREATE" && {
            let mut word = next();
            if word == "OR" && next() == "REPLACE" {
                word = next();
            }
            matches!(word, "STREAM" | "PUMP")
        }
    })
}

/// Comments and what stands in quotes left out.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '\'' | '"' => quoted(rest, first),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            other => {
                kept.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        kept.push(' ');
        rest = &rest[skipped..];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_all_kinds_are_comments() {
        assert_eq!(
            clean("SELECT 1 // one\n, 'http://x' -- a // b\n/* open"),
            "SELECT 1 -- one\n, 'http://x' -- a // b\n/* open*/"
        );
        assert_eq!(clean("SELECT '//' // it''s"), "SELECT '//' -- it''s");
    }

    #[test]
    fn unicode_literals_are_decoded_and_places_stay() {
        assert_eq!(clean(r"a, u&'\0041\0009' 'B'"), "a, 'A\t'           'B'");
        assert_eq!(clean("U&'!00e9t!!' uescape '!'||x"), "'ét!'                   ||x");
        assert_eq!(clean("menu&'x'"), "menu&'x'");
    }

    #[test]
    fn a_script_with_a_stream_or_a_pump_is_kda() {
        for kda in [
            "CREATE OR REPLACE STREAM s (a INT);",
            "-- x\ncreate pump p AS INSERT INTO s SELECT STREAM a FROM t",
            "-- dialect: KDA\nCREATE TABLE t (a INT)",
            "CREATE TABLE t (a INT); // and\n CREATE STREAM s (a INT)",
        ] {
            assert!(is_kda(kda), "{kda}");
        }
        for native in [
            "CREATE TABLE t (a INT)",
            "SELECT 'CREATE STREAM s'",
            "-- CREATE PUMP\nSELECT 1; SELECT 2",
            "CREATE VIEW stream AS SELECT 1",
        ] {
            assert!(!is_kda(native), "{native}");
        }
    }
}
