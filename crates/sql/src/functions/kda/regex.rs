//! Java's regular expressions in the syntax of the regex crate. What that has no words for is refused when the query is
//! planned: looking around, references to groups, possessive quantifiers.

use datafusion::common::{Result, exec_err};
use regex::Regex;

/// Compiles a pattern of `java.util.regex`.
pub(super) fn compile(pattern: &str) -> Result<Regex> {
    build(pattern, &translate(pattern)?)
}

/// The same, for texts that match as a whole.
pub(super) fn compile_whole(pattern: &str) -> Result<Regex> {
    build(pattern, &format!(r"\A(?:{})\z", translate(pattern)?))
}

/// Compiles what was translated from a pattern.
pub(super) fn build(pattern: &str, translated: &str) -> Result<Regex> {
    Regex::new(translated).or_else(|wrong| {
        let reason = wrong.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        exec_err!("the pattern `{pattern}` is not understood: {reason}")
    })
}

fn translate(pattern: &str) -> Result<String> {
    let mut translation = Translation { pattern, rest: pattern, out: String::new(), depth: 0, quantified: false };
    while let Some(letter) = translation.next() {
        translation.letter(letter)?;
    }
    Ok(translation.out)
}

struct Translation<'a> {
    pattern: &'a str,
    rest: &'a str,
    out: String,
    /// How many classes are open: `[a[b]]` has two.
    depth: usize,
    /// Whether a quantifier has just ended: a `+` behind it is Java's for no backtracking.
    quantified: bool,
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn push(&mut self, part: String) {
        self.out.push_str(&part);
    }

    fn take(&mut self, start: &str) -> bool {
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn refuse<T>(&self, what: &str) -> Result<T> {
        exec_err!("the pattern `{}` has {what}, which is not available here; write it in another way", self.pattern)
    }

    fn letter(&mut self, letter: char) -> Result<()> {
        let was_quantified = std::mem::take(&mut self.quantified);
        match letter {
            '\\' => self.escape(),
            '[' => {
                self.depth += 1;
                self.out.push('[');
                if self.take("^") {
                    self.out.push('^');
                }
                // A bracket here is a letter in Java too.
                if self.take("]") {
                    self.out.push_str(r"\]");
                }
                Ok(())
            }
            ']' if self.depth > 0 => {
                self.depth -= 1;
                self.out.push(']');
                Ok(())
            }
            // Set operations that Java does not have.
            '~' | '-' if self.depth > 0 && self.rest.starts_with(letter) => {
                self.out.push('\\');
                self.out.push(letter);
                Ok(())
            }
            '(' if self.depth == 0 => {
                let wrong = ["?=", "?!", "?<=", "?<!"].into_iter().any(|start| self.rest.starts_with(start));
                if wrong {
                    return self.refuse("a look ahead or behind");
                }
                if self.rest.starts_with("?>") {
                    return self.refuse("a group without backtracking");
                }
                self.out.push('(');
                Ok(())
            }
            '+' if self.depth == 0 && was_quantified => self.refuse("a possessive quantifier"),
            '*' | '+' | '?' if self.depth == 0 => {
                self.out.push(letter);
                self.quantified = !was_quantified;
                Ok(())
            }
            '{' if self.depth == 0 => {
                self.out.push('{');
                while let Some(inside) = self.next() {
                    self.out.push(inside);
                    if inside == '}' {
                        break;
                    }
                }
                self.quantified = true;
                Ok(())
            }
            letter => {
                self.out.push(letter);
                Ok(())
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(letter) = self.next() else {
            return exec_err!("the pattern `{}` ends with a backslash; write two for one", self.pattern);
        };
        let (inside, class) = match letter {
            'd' => (true, "0-9"),
            'D' => (false, "0-9"),
            'w' => (true, "a-zA-Z0-9_"),
            'W' => (false, "a-zA-Z0-9_"),
            's' => (true, r" \t\n\x0B\f\r"),
            'S' => (false, r" \t\n\x0B\f\r"),
            'h' => (true, r" \t\xA0\u1680\u180E\u2000-\u200A\u202F\u205F\u3000"),
            'H' => (false, r" \t\xA0\u1680\u180E\u2000-\u200A\u202F\u205F\u3000"),
            'v' => (true, r"\n\x0B\f\r\x85\u2028\u2029"),
            'V' => (false, r"\n\x0B\f\r\x85\u2028\u2029"),
            'Q' => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = rest;
                return Ok(());
            }
            'p' | 'P' => return self.property(letter),
            'Z' => {
                self.out.push_str(r"(?:\r?\n)?\z");
                return Ok(());
            }
            'R' => {
                self.out.push_str(r"(?:\r\n|[\n\x0B\f\r\x85\u2028\u2029])");
                return Ok(());
            }
            'e' => {
                self.out.push_str(r"\x1B");
                return Ok(());
            }
            '0' => return self.octal(),
            '1'..='9' | 'k' => return self.refuse("a reference to a group"),
            'G' | 'X' | 'c' | 'N' => return self.refuse(&format!(r"\{letter}")),
            'A' | 'z' | 'b' | 'B' | 'a' | 'f' | 'n' | 'r' | 't' | 'x' | 'u' => {
                self.out.push('\\');
                self.out.push(letter);
                return Ok(());
            }
            letter if letter.is_ascii_alphabetic() => {
                return exec_err!(r"`\{letter}` of the pattern `{}` means nothing", self.pattern);
            }
            letter => {
                self.out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
                return Ok(());
            }
        };
        match (inside, self.depth) {
            (true, 1..) => self.out.push_str(class),
            (true, 0) => self.push(format!("[{class}]")),
            (false, _) => self.push(format!("[^{class}]")),
        }
        Ok(())
    }

    fn octal(&mut self) -> Result<()> {
        let digits: String = self.rest.chars().take(3).take_while(|digit| ('0'..='7').contains(digit)).collect();
        self.rest = &self.rest[digits.len()..];
        match u32::from_str_radix(&digits, 8) {
            Ok(code) => self.push(format!(r"\x{{{code:X}}}")),
            Err(_) => return exec_err!(r"`\0` of the pattern `{}` needs an octal number", self.pattern),
        }
        Ok(())
    }

    /// `\p{Alpha}` and the like are of ASCII in Java; `\p{Lu}` and `\p{IsGreek}` are Unicode's.
    fn property(&mut self, letter: char) -> Result<()> {
        let name = if self.take("{") {
            let Some((name, rest)) = self.rest.split_once('}') else {
                return exec_err!(r"`\p{{` of the pattern `{}` has no end", self.pattern);
            };
            self.rest = rest;
            name.to_owned()
        } else {
            self.next().map(String::from).unwrap_or_default()
        };
        let of_ascii = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "a-zA-Z",
            "Digit" => "0-9",
            "Alnum" => "a-zA-Z0-9",
            "Punct" => r"!-/:-@\[-`{-\x7E",
            "Graph" => "!-\\x7E",
            "Print" => " -\\x7E",
            "Blank" => r" \t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9a-fA-F",
            "Space" => r" \t\n\x0B\f\r",
            name => {
                let name = name.trim_start_matches("Is");
                self.push(format!(r"\{letter}{{{name}}}"));
                return Ok(());
            }
        };
        let negation = if letter == 'P' { "^" } else { "" };
        self.push(format!("[{negation}{of_ascii}]"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_patterns_match_what_they_match_in_java() {
        for (pattern, text, whole) in [
            (r"(\w.+) (\d.+)", "a b 1c", true),
            (r"\d+", "٣", false),
            (r"[\d\s]+", "1 2", true),
            (r"[^\D]+", "12", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"[a-z&&[^b]]+", "ac", true),
            (r"[a-z&&[^b]]+", "abc", false),
            (r"[]a]+", "]a", true),
            (r"\p{Alpha}+\p{Punct}", "abc!", true),
            (r"\p{Lu}\p{IsGreek}", "Aα", true),
            (r"\<\-\/\ \>", "<-/ >", true),
            (r"\x41\u0042\0103", "ABC", true),
            (r"a{2,3}?b*?", "aab", true),
            (r"[--a]", "-", true),
        ] {
            assert_eq!(compile_whole(pattern).map(|regex| regex.is_match(text)).ok(), Some(whole), "{pattern}");
        }
    }

    #[test]
    fn what_has_no_words_here_is_refused_in_words() {
        for (pattern, words) in [
            (r"a*+", "a possessive quantifier"),
            (r"(?=a)", "a look ahead or behind"),
            (r"(a)\1", "a reference to a group"),
            (r"(?>a)", "a group without backtracking"),
            (r"a\", "ends with a backslash"),
            (r"(a", "unclosed group"),
        ] {
            let message = compile(pattern).map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(words), "{pattern}: {message}");
        }
    }
}
