//! What is written for each row: its text in the table's format, and in it the row's id, where one is asked for.
//!
//! Ids let readers drop what comes twice: a row that is computed again has the id it had. It is a hash of the query's
//! name, the row's window, its partition key and its text, and of how many rows like it came before it in its window.
//! Rows without a window that are alike in all of that have one id: nothing that is the same after a restart tells them
//! apart.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_core::{Emission, Encoder, FormatError, OptionError, Window};
use ring::digest::{Context, SHA256};

use crate::formats;
use crate::registry::Request;

const ID_FIELD: &str = "sink.id-field";
/// Rows of one window that are looked at for their likes: some 30 MB. Those beyond are not numbered.
const NUMBERED_MAX: usize = 1 << 20;

/// What makes payloads of rows.
pub(crate) struct Payloads {
    encoder: Box<dyn Encoder>,
    /// The member that holds the id, as it is written: `,"id":"`.
    member: Option<String>,
    ids: Ids,
}

impl Payloads {
    /// Reads the options of the format and of ids.
    pub(crate) fn read(request: &Request<'_>, query: &str) -> Result<Self, OptionError> {
        let format = formats::of_table(request.options)?;
        let encoder = (format.encoder)(request.table, request.options)?;
        let refused = |message: String| Err(OptionError::new(ID_FIELD, message));
        let member = match request.options.get(ID_FIELD) {
            None => None,
            Some("") => return refused("is the name of the member that holds the id; it cannot be empty".to_owned()),
            Some(_) if format.name != "json" => {
                return refused(format!("is for format 'json', which has names; this is '{}'", format.name));
            }
            Some(name) if request.table.schema.field_with_name(name).is_ok() => {
                return refused(format!("`{name}` is a column of the table; give another name"));
            }
            Some(name) => Some(format!(",{}:\"", serde_json::Value::from(name))),
        };
        Ok(Self { encoder, member, ids: Ids { query: query.to_owned(), window: None, seen: HashMap::new() } })
    }

    /// The payload of each row.
    pub(crate) fn of(&mut self, emission: &Emission, keys: Option<&[String]>) -> Result<Vec<Bytes>, FormatError> {
        let payloads = self.encoder.encode(&emission.rows)?;
        let Some(member) = &self.member else { return Ok(payloads) };
        let ids = self.ids.of(emission.window, keys, &payloads);
        Ok(payloads.into_iter().zip(ids).map(|(payload, id)| with_member(&payload, member, &id)).collect())
    }

    /// The payload of each row, and its id.
    pub(crate) fn with_ids(&mut self, emission: &Emission) -> Result<Vec<(String, Bytes)>, FormatError> {
        let payloads = self.encoder.encode(&emission.rows)?;
        let ids = self.ids.of(emission.window, None, &payloads);
        let member = self.member.as_ref();
        let with_id = |(id, payload): (String, Bytes)| {
            let payload = member.map_or(payload.clone(), |member| with_member(&payload, member, &id));
            (id, payload)
        };
        Ok(ids.into_iter().zip(payloads).map(with_id).collect())
    }
}

/// An object with one member more, behind the others.
fn with_member(object: &[u8], member: &str, id: &str) -> Bytes {
    let open = object.strip_suffix(b"}").unwrap_or(object);
    let member = if open == b"{" { &member[1..] } else { member };
    [open, member.as_bytes(), id.as_bytes(), b"\"}"].concat().into()
}

/// Numbers the rows of a window that are alike.
struct Ids {
    query: String,
    window: Option<Window>,
    /// How often each row of the window has come.
    seen: HashMap<u128, u32>,
}

impl Ids {
    fn of(&mut self, window: Option<Window>, keys: Option<&[String]>, payloads: &[Bytes]) -> Vec<String> {
        // The parts of a large window follow each other.
        if self.window != window {
            (self.window, self.seen) = (window, HashMap::new());
        }
        let key = |row: usize| keys.and_then(|keys| keys.get(row)).map(String::as_str);
        payloads.iter().enumerate().map(|(row, payload)| self.id(key(row), payload)).collect()
    }

    fn id(&mut self, key: Option<&str>, payload: &[u8]) -> String {
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            // The length keeps one part apart from the next.
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        };
        part(self.query.as_bytes());
        part(&self.window.map_or([0; 8], |window| window.start.0.to_le_bytes()));
        part(&self.window.map_or([0; 8], |window| window.end.0.to_le_bytes()));
        part(key.unwrap_or_default().as_bytes());
        part(payload);
        let hash = half(context.finish().as_ref());
        let number = match self.window {
            None => 0,
            Some(_) if self.seen.len() >= NUMBERED_MAX && !self.seen.contains_key(&hash) => 0,
            Some(_) => {
                let seen = self.seen.entry(hash).or_default();
                *seen += 1;
                *seen - 1
            }
        };
        if number == 0 { format!("{hash:032x}") } else { format!("{hash:032x}-{number}") }
    }
}

/// Half of a SHA-256: no two rows have the same, not even those that somebody made up for that.
fn half(digest: &[u8]) -> u128 {
    digest.first_chunk().copied().map(u128::from_be_bytes).expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use millstream_core::EventTime;

    use super::*;

    fn ids(window: Option<(i64, i64)>, rows: &[&'static str]) -> Vec<String> {
        let mut ids = Ids { query: "q".into(), window: None, seen: HashMap::new() };
        let window = window.map(|(start, end)| Window { start: EventTime(start), end: EventTime(end) });
        let rows: Vec<_> = rows.iter().map(|row| Bytes::from_static(row.as_bytes())).collect();
        // In two parts, as large windows come.
        let (first, second) = rows.split_at(rows.len() / 2);
        [ids.of(window, None, first), ids.of(window, None, second)].concat()
    }

    #[test]
    fn rows_of_a_window_have_ids_of_their_own_in_any_order() {
        let mut one = ids(Some((0, 10)), &["a", "b", "a", "c", "a"]);
        let mut other = ids(Some((0, 10)), &["a", "a", "c", "a", "b"]);
        one.sort();
        other.sort();
        assert_eq!(one, other);
        one.dedup();
        assert_eq!(one.len(), 5);
        assert!(ids(Some((10, 20)), &["a"]).iter().all(|id| !one.contains(id)), "another window");
    }

    #[test]
    fn rows_without_a_window_that_are_alike_have_one_id() {
        let ids = ids(None, &["a", "b", "a"]);
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn the_id_is_the_last_member() {
        let member = |object: &str| {
            let payload = with_member(object.as_bytes(), ",\"id\":\"", "7");
            String::from_utf8(payload.to_vec()).unwrap()
        };
        assert_eq!(member("{\"a\":{}}"), "{\"a\":{},\"id\":\"7\"}");
        assert_eq!(member("{}"), "{\"id\":\"7\"}");
    }
}
