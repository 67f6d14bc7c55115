//! The tokens of one JSON text, read strictly (RFC 8259) and in place.
//!
//! Not a tree builder: a column asks for the kind of value it needs.

use super::plain;

/// How deep objects and arrays may nest in values that no column asked for: a bound on hostile input.
const DEPTH_MAX: usize = 128;

/// A place in one JSON text.
pub(in crate::formats) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A value that is not an object or array, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// The digits, checked against JSON's grammar.
    Number(&'a str),
    /// Without its quotes, escapes resolved.
    Text(&'a str),
}

/// Text between quotes: as it stands, or to be unescaped.
enum Quoted<'a> {
    Plain(&'a str),
    Escaped { head: &'a str },
}

impl<'a> Cursor<'a> {
    pub(in crate::formats) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    /// A cursor that starts later in the text.
    pub(super) fn starting_at(text: &'a str, at: usize) -> Self {
        Self { at, ..Self::new(text) }
    }

    /// All of the text.
    #[inline]
    pub(super) fn whole(&self) -> &'a str {
        self.text
    }

    /// Where it stands.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes where a token begins or ends.
    #[inline]
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// The bytes taken since `start`.
    pub(super) fn bytes_since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Whether exactly the bytes before `end` have been taken, but for white space.
    #[inline]
    pub(super) fn ends_at(&self, end: usize) -> bool {
        self.at == end || self.bytes.get(self.at..end).is_some_and(|rest| rest.iter().all(|byte| is_space(*byte)))
    }

    /// The next byte, not taken.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over white space and answers the next byte, not taken.
    #[inline]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !is_space(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.next_token() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes what a pattern says if it stands exactly here.
    pub(super) fn take_pattern(&mut self, pattern: &plain::Pattern) -> bool {
        let end = pattern.end_at(self.bytes, self.at);
        self.at = end.unwrap_or(self.at);
        end.is_some()
    }

    /// Takes `text` if it stands exactly here.
    #[inline]
    pub(super) fn take_exactly(&mut self, text: &[u8]) -> bool {
        let found = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes `byte`, or says what stands there instead.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, place: &str) -> Result<(), String> {
        if self.take(byte) { Ok(()) } else { Err(self.missing(byte, place)) }
    }

    #[cold]
    fn missing(&self, byte: u8, place: &str) -> String {
        self.unexpected(&format!("`{}` {place}", char::from(byte)))
    }

    /// An error about what stands here.
    #[cold]
    pub(super) fn unexpected(&self, expected: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("expected {expected}, found `{}` at byte {}", found.escape_debug(), self.at),
            None => format!("expected {expected}, found the end of the record"),
        }
    }

    /// Checks that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("nothing after the record's object")),
        }
    }

    /// Takes a text value, escapes resolved (in `scratch` where there are any).
    #[inline]
    pub(super) fn text<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, String>
    where
        'a: 's,
    {
        if !self.take(b'"') {
            return Err(self.unexpected("a text in quotes"));
        }
        match self.quoted()? {
            Quoted::Plain(plain) => Ok(plain),
            Quoted::Escaped { head } => {
                scratch.clear();
                scratch.push_str(head);
                self.unescape(scratch)?;
                Ok(scratch)
            }
        }
    }

    /// Takes a scalar; an object or array is refused and not taken.
    pub(super) fn scalar<'s>(&mut self, scratch: &'s mut String) -> Result<Scalar<'s>, String>
    where
        'a: 's,
    {
        match self.next_token() {
            Some(b'"') => self.text(scratch).map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b'n') if self.take_exactly(b"null") => Ok(Scalar::Null),
            Some(b't') if self.take_exactly(b"true") => Ok(Scalar::Bool(true)),
            Some(b'f') if self.take_exactly(b"false") => Ok(Scalar::Bool(false)),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Takes `null` if it comes next.
    #[inline]
    pub(super) fn null(&mut self) -> bool {
        self.next_token() == Some(b'n') && self.take_exactly(b"null")
    }

    /// Takes a whole number in its common form.
    pub(super) fn short_integer(&mut self) -> Option<i64> {
        self.next_token();
        let (value, end) = plain::integer(self.bytes, self.at)?;
        self.at = end;
        Some(value)
    }

    /// Takes a number by JSON's grammar, as text.
    pub(super) fn number(&mut self) -> Result<&'a str, String> {
        self.next_token();
        let start = self.at;
        self.take_exactly(b"-");
        if !self.take_exactly(b"0") {
            self.digits()?;
        }
        if self.take_exactly(b".") {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    /// Takes any value that nobody asks for.
    #[inline]
    pub(super) fn skip_value(&mut self, scratch: &mut String) -> Result<(), String> {
        match plain::text(self.text, self.at) {
            Some((_, end)) => {
                self.at = end;
                Ok(())
            }
            None => self.skip(scratch).map(drop),
        }
    }

    /// Takes any value and answers its text as it stands.
    pub(super) fn skip(&mut self, scratch: &mut String) -> Result<&'a str, String> {
        self.next_token();
        let start = self.at;
        // One bit a level: whether it is an object.
        let (mut objects, mut depth) = (0u128, 0usize);
        loop {
            match self.next_token() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    let close = if open == b'{' { b'}' } else { b']' };
                    if !self.take(close) {
                        if depth == DEPTH_MAX {
                            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
                        }
                        objects = objects << 1 | u128::from(open == b'{');
                        depth += 1;
                        if open == b'{' {
                            self.skip_key(scratch)?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.scalar(scratch)?;
                }
            }
            // A value has ended: close what closes, and go on after a comma.
            loop {
                if depth == 0 {
                    return Ok(self.since(start));
                }
                let in_object = objects & 1 == 1;
                if self.take(b',') {
                    if in_object {
                        self.skip_key(scratch)?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' }, "or `,`")?;
                objects >>= 1;
                depth -= 1;
            }
        }
    }

    fn skip_key(&mut self, scratch: &mut String) -> Result<(), String> {
        self.text(scratch)?;
        self.expect(b':', "after a key")
    }

    fn digits(&mut self) -> Result<(), String> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    /// Finds the end of a text whose opening quote has been taken.
    #[inline]
    fn quoted(&mut self) -> Result<Quoted<'a>, String> {
        let start = self.at;
        self.at += plain::length(&self.bytes[start..]);
        let plain = self.since(start);
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Quoted::Plain(plain))
            }
            Some(b'\\') => Ok(Quoted::Escaped { head: plain }),
            Some(_) => Err(self.unexpected("no raw control character in a text")),
            None => Err(self.unexpected("the closing quote of a text")),
        }
    }

    /// Resolves escapes up to and including the closing quote.
    fn unescape(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            if self.take_exactly(b"\\") {
                let resolved = self.escape()?;
                out.push(resolved);
            }
            match self.quoted()? {
                Quoted::Plain(tail) => {
                    out.push_str(tail);
                    return Ok(());
                }
                Quoted::Escaped { head } => out.push_str(head),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let Some(byte) = self.peek() else { return Err(self.unexpected("an escape")) };
        let resolved = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("one of \" \\ / b f n r t u after a backslash")),
        };
        self.at += 1;
        Ok(resolved)
    }

    fn unicode_escape(&mut self) -> Result<char, String> {
        let high = self.hex4()?;
        let code = match high {
            0xD800..=0xDBFF if self.take_exactly(b"\\u") => {
                let low = self.hex4()?;
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(format!("\\u{high:04x} must be followed by a low surrogate, found \\u{low:04x}"));
                }
                0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
            }
            _ => high,
        };
        char::from_u32(code).ok_or_else(|| format!("\\u{high:04x} is half of a character"))
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return Err(self.unexpected("four hexadecimal digits")) };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| code << 4 | char::from(*digit).to_digit(16).unwrap_or(0)))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What was taken since `start`: tokens begin and end at ASCII bytes.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }
}

/// JSON's white space.
#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(text: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(text);
        cursor.skip(&mut String::new())?;
        cursor.end()
    }

    #[test]
    fn takes_what_json_allows_and_nothing_else() {
        let good = [
            "{}",
            "[]",
            "[1,2]",
            r#"{"a":{"b":[{},[],null,true,false]}}"#,
            "-0",
            "1.5e-3",
            " 1 ",
            r#""a\"\\\u00e9""#,
            r#""😀 long enough for words""#,
            "0.0",
            "1E+9",
        ];
        for text in good {
            assert_eq!(skips(text), Ok(()), "{text}");
        }
        let bad = [
            "",
            "{",
            "[",
            "}",
            "[1,]",
            "[,1]",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "1-2",
            "nul",
            "True",
            r#""a"#,
            "\"a\nb\"",
            r#""\x""#,
            r#""\ud800""#,
            r#""\u12""#,
            "1 2",
            "{}{}",
            "[1}",
            r#"{"a":1]"#,
            "'a'",
            "NaN",
            "{a:1}",
        ];
        for text in bad {
            assert!(skips(text).is_err(), "{text}");
        }
        assert!(skips(&"[".repeat(100_000)).is_err());
        assert!(skips(&format!("{}1{}", "[".repeat(128), "]".repeat(128))).is_ok());
    }
}
