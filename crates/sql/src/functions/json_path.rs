//! SQL/JSON paths such as `$.order.items[0]."unit price"`, and the value one leads to in a document.
//!
//! Keys and positions only: no wildcards, no filters. The whole document is read, so that a malformed one is noticed
//! wherever it is malformed; of a key that comes twice the last value counts, as in the JSON format.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A path, ready to be walked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    /// From the front, counted from 0.
    Position(usize),
}

impl JsonPath {
    /// Reads `$`, `$.key`, `$."a key"`, `$['a key']`, `$[0]` and what follows on each other of these. `lax` and
    /// `strict` in front are taken and mean nothing: a step that leads nowhere is no value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "the JSON path '{text}' is not understood: {what}; paths are such as '$.order.items[0].\"unit price\"'"
            )
        };
        let trimmed = text.trim();
        let path = ["lax ", "strict "].iter().find_map(|mode| trimmed.strip_prefix(mode)).unwrap_or(trimmed).trim();
        let mut rest = path.strip_prefix('$').ok_or_else(|| wrong("it does not start with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = Self::step(rest).map_err(wrong)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self { steps })
    }

    fn step(rest: &str) -> Result<(Step, &str), &'static str> {
        if let Some(key) = rest.strip_prefix('.') {
            if let Some(quoted) = key.strip_prefix('"') {
                let (key, after) = quoted.split_once('"').ok_or("a quoted key has no end")?;
                return Ok((Step::Key(key.to_owned()), after));
            }
            let end = key.find(['.', '[']).unwrap_or(key.len());
            let (key, after) = key.split_at(end);
            return match key {
                "" => Err("a key is missing after ."),
                _ if key.contains(['*', '?', '(', '@', '"', ' ']) => {
                    Err("wildcards, filters and methods are not available")
                }
                _ => Ok((Step::Key(key.to_owned()), after)),
            };
        }
        let inner = rest.strip_prefix('[').ok_or("expected . or [")?;
        for quote in ['\'', '"'] {
            if let Some(quoted) = inner.strip_prefix(quote) {
                let (key, after) = quoted.split_once(quote).ok_or("a quoted key has no end")?;
                let after = after.strip_prefix(']').ok_or("expected ]")?;
                return Ok((Step::Key(key.to_owned()), after));
            }
        }
        let (position, after) = inner.split_once(']').ok_or("expected ]")?;
        let position = position.trim().parse().map_err(|_| "between [ and ] is no position")?;
        Ok((Step::Position(position), after))
    }

    /// The text of the value the path leads to, as it stands in the document. `Ok(None)`: it leads nowhere; an error:
    /// the document is no JSON.
    pub(super) fn find<'de>(&self, document: &'de str) -> Result<Option<&'de str>, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(document);
        let found = Walk { steps: &self.steps }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(found.map(RawValue::get))
    }
}

/// Follows the steps that are left, and reads over everything else.
struct Walk<'p> {
    steps: &'p [Step],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.steps {
            [] => serde::Deserialize::deserialize(reader).map(Some),
            _ => reader.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let (sought, rest) = match self.steps {
            [Step::Key(key), rest @ ..] => (Some(key.as_str()), rest),
            rest => (None, rest),
        };
        while let Some(is_it) = object.next_key_seed(Key { sought })? {
            if is_it {
                found = object.next_value_seed(Walk { steps: rest })?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for position in 0_usize.. {
            match self.steps {
                [Step::Position(step), rest @ ..] if *step == position => {
                    match array.next_element_seed(Walk { steps: rest })? {
                        None => break,
                        Some(value) => found = value,
                    }
                }
                _ if array.next_element::<IgnoredAny>()?.is_none() => break,
                _ => {}
            }
        }
        Ok(found)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a key; answers whether it is the one that is sought.
struct Key<'p> {
    sought: Option<&'p str>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.sought == Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let document =
            r#" {"a": {"b": [10, {"c d": "x", "e.f": [true]}], "n": 1.50}, "twice": 1, "twice": 2, "nil": null} "#;
        for (path, expected) in [
            ("$.a.b[0]", Some("10")),
            ("$.a.b[1].\"c d\"", Some("\"x\"")),
            ("$['a']['b'][1]['e.f'][0]", Some("true")),
            ("lax $.a.n", Some("1.50")),
            ("strict $.twice", Some("2")),
            ("$.nil", Some("null")),
            ("$.a.b[2]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.a.n.x", None),
            ("$.nil.x", None),
            ("$.A", None),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().find(document).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn a_malformed_document_is_noticed_wherever_it_is_malformed() {
        let path = JsonPath::parse("$.a").unwrap();
        for document in ["", "{", r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a":1,"b":tru}"#, r#"{"b":[,],"a":1}"#, "{'a':1}"] {
            assert!(path.find(document).is_err(), "{document}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = path.find(&deep);
        let _ = JsonPath::parse("$").unwrap().find(&deep);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in
            ["", "a", ".a", "$a", "$.", "$..a", "$.*", "$[*]", "$[-1]", "$[0", "$.a[?(@.b)]", "$.a.size()", "$.\"a"]
        {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
