//! Paths to values within a JSON document, as Kinesis Data Analytics has them: names, and `[0:]` for all elements of an
//! array.
//!
//! `$.a.b`, or `a.b` without the root; `$['a']["b c"]` for names with marks in them; `$.list[0:]` is the whole array,
//! `$.list[0:].x` goes into each of its elements. Names are told by case.

/// More names than that are nobody's mapping: a bound on how deep a walk goes.
const NAMES_MAX: usize = 32;

/// A path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// From the outermost on.
    pub(super) names: Vec<String>,
    /// How many names lead to the array whose elements are meant.
    pub(super) array: Option<usize>,
}

impl Path {
    /// The path of a column that has no other: the member of its name.
    pub(super) fn of_member(name: &str) -> Self {
        Self { names: vec![name.to_owned()], array: None }
    }

    /// Reads a path; says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut path = Self::default();
        let text = text.trim();
        let mut rest = match text.strip_prefix('$') {
            Some(rest) => rest,
            // Without the root a name comes first.
            None => path.name(text).ok_or_else(|| wrong(text, "a name is empty"))?,
        };
        while let Some(mark) = rest.chars().next() {
            let after = &rest[mark.len_utf8()..];
            rest = match mark {
                '.' if after.starts_with(['"', '\'']) => {
                    path.quoted(after).ok_or_else(|| wrong(text, "a name in quotes does not end"))?
                }
                '.' => path.name(after).ok_or_else(|| wrong(text, "a name is empty, or a wildcard"))?,
                '[' if after.starts_with(['"', '\'']) => {
                    let end = path.quoted(after).and_then(|rest| rest.strip_prefix(']'));
                    end.ok_or_else(|| wrong(text, "a name in brackets does not end"))?
                }
                '[' => {
                    let rest = after.strip_prefix("0:]").ok_or_else(|| {
                        wrong(text, "the one index there is is `[0:]`, all elements; use it, or a name in quotes")
                    })?;
                    if path.array.replace(path.names.len()).is_some() {
                        return Err(wrong(text, "an array within an array cannot be gone into: leave out one `[0:]`"));
                    }
                    rest
                }
                _ => return Err(wrong(text, "expected `.` or `[` after `$`")),
            };
        }
        if path.names.len() > NAMES_MAX {
            return Err(wrong(text, &format!("it has more than {NAMES_MAX} names")));
        }
        Ok(path)
    }

    /// Takes a name up to the next mark.
    fn name<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        if name.is_empty() || name == "*" {
            return None;
        }
        self.names.push(name.to_owned());
        Some(rest)
    }

    /// Takes a name in quotes.
    fn quoted<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let quote = text.chars().next()?;
        let (name, rest) = text[1..].split_once(quote)?;
        self.names.push(name.to_owned());
        Some(rest)
    }

    /// The names that lead to the array and those that lead on from its elements, where there are such.
    pub(super) fn flattened(&self) -> Option<(&[String], &[String])> {
        let (array, element) = self.names.split_at(self.array?);
        (!element.is_empty()).then_some((array, element))
    }
}

fn wrong(text: &str, what: &str) -> String {
    format!("`{text}` is no path: {what}; paths are like `$.order.id`, `$.items[0:]` and `$.items[0:].price`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_and_one_array() {
        for (text, names, array) in [
            ("$", &[][..], None),
            ("$.a", &["a"], None),
            ("a", &["a"], None),
            (" $.a.b ", &["a", "b"], None),
            ("a.b", &["a", "b"], None),
            ("$.A_b-c d@", &["A_b-c d@"], None),
            ("$['a']", &["a"], None),
            ("$[\"a.b\"].c", &["a.b", "c"], None),
            ("$.a['b[0:]']", &["a", "b[0:]"], None),
            ("$.\"a.b\".c", &["a.b", "c"], None),
            ("$.a[0:]", &["a"], Some(1)),
            ("a[0:]", &["a"], Some(1)),
            ("$.a.b[0:].c.d", &["a", "b", "c", "d"], Some(2)),
            ("$[0:]", &[], Some(0)),
            ("$[0:].a", &["a"], Some(0)),
            ("$.a[0:]['b']", &["a", "b"], Some(1)),
            ("größe", &["größe"], None),
        ] {
            let names = names.iter().map(ToString::to_string).collect();
            assert_eq!(Path::parse(text), Ok(Path { names, array }), "{text}");
        }
    }

    #[test]
    fn what_is_no_path_says_why() {
        for (text, why) in [
            ("", "a name is empty"),
            (".a", "a name is empty"),
            ("$.", "a name is empty"),
            ("$..a", "a name is empty"),
            ("$.*", "a wildcard"),
            ("$a", "expected `.` or `[`"),
            ("$.a[0]", "`[0:]`, all elements"),
            ("$.a[*]", "`[0:]`, all elements"),
            ("$.a[1:2].b", "`[0:]`, all elements"),
            ("$.a[?(@.b)]", "`[0:]`, all elements"),
            ("$['a", "does not end"),
            ("$['a'", "does not end"),
            ("$.'a", "does not end"),
            ("$.a[0:][0:]", "an array within an array"),
            ("$.a[0:].b[0:].c", "an array within an array"),
            ("$.a[0:]b", "expected `.` or `[`"),
        ] {
            let found = Path::parse(text).unwrap_err();
            assert!(found.contains(why) && found.contains(&format!("`{}`", text.trim())), "{found}");
        }
        assert!(Path::parse(&vec!["a"; 40].join(".")).is_err());
    }
}
