//! The text before it becomes tokens: `//` comments, a comment that nobody closed, and which dialect a script is in.

/// What a file says that is KDA without any statement of KDA.
const MARK: &str = "-- dialect: kda";

/// A script with comments as sqlparser knows them. Places stay what they are: nothing before them gets longer.
pub(super) fn clean(script: &str) -> String {
    let mut cleaned = String::with_capacity(script.len() + 2);
    let mut rest = script;
    while let Some(first) = rest.chars().next() {
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
