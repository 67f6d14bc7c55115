//! The signature of a query's state: what must be equal for the state that one query kept to be usable by another.
//!
//! It names all that decides what is kept, in parts, and nothing of what is done to results afterwards: HAVING, ORDER
//! BY, LIMIT and the names of columns may change. It is text that is the same in every process, so that it is kept with
//! the state and compared when a query is to go on from it.

mod close;
mod parts;
pub(crate) mod text;

use millstream_core::with_type_names;
use serde::{Deserialize, Serialize};

use crate::SqlError;
use crate::pipeline::Pipeline;

/// What is kept, part by part: what the part is, in words, and what it says. A list of pairs in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature {
    pub parts: Vec<(String, String)>,
}

/// The signature of what a pipeline keeps.
pub fn signature(pipeline: &Pipeline) -> Result<Signature, SqlError> {
    Ok(Signature { parts: parts::parts(pipeline)? })
}

impl Signature {
    /// Why state of this signature cannot be used by a query with the other one, in a sentence; `None`: it can.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        // A part that both have says more than one that only one of them has.
        let changed = self.parts.iter().find_map(|(what, before)| {
            let now = other.get(what)?;
            (before != now).then(|| {
                let (before, now) = readable(before, now);
                format!("{what} {} `{before}`, now `{now}`{}", was(what), reason(what))
            })
        });
        let only_in =
            |one: &Self, missing_in: &Self| one.parts.iter().find(|(what, _)| missing_in.get(what).is_none()).cloned();
        changed
            .or_else(|| {
                let (what, before) = only_in(self, other)?;
                Some(format!("{what} {} `{}`, and there is no such part now", was(&what), with_type_names(&before)))
            })
            .or_else(|| {
                let (what, now) = only_in(other, self)?;
                Some(format!("there was no such part before: {what}, now `{}`", with_type_names(&now)))
            })
            .or_else(|| (self != other).then(|| "the parts of the query are in another order".to_owned()))
    }

    fn get(&self, what: &str) -> Option<&str> {
        self.parts.iter().find(|(named, _)| named == what).map(|(_, text)| text.as_str())
    }
}

/// With SQL's names of types, unless what differs is hidden by them: some types share a name.
fn readable(before: &str, now: &str) -> (String, String) {
    let in_sql = (with_type_names(before), with_type_names(now));
    if in_sql.0 == in_sql.1 { (before.to_owned(), now.to_owned()) } else { in_sql }
}

fn was(what: &str) -> &'static str {
    let is_plural = ["the keys", "the aggregates", "the columns", "the bounds", "the OVER functions"];
    if is_plural.iter().any(|part| what.starts_with(part)) { "were" } else { "was" }
}

/// What a change of a part would do to what was kept.
fn reason(what: &str) -> &'static str {
    let reasons = [
        ("the filter", ": rows already counted cannot be taken back, and rows left out are gone"),
        ("the window", ": what is kept is cut by the former"),
        ("the keys", ": what is kept is by the former"),
        ("the aggregates", ": what is kept are the values of the former"),
        ("the event time", ": rows were placed in time by the former"),
        ("the type", ": what is kept has the former"),
        ("the source", ": positions and rows are those of the former"),
    ];
    reasons
        .into_iter()
        .find(|(part, _)| what.starts_with(part))
        .map_or(": rows were kept by the former", |(_, why)| why)
}

#[cfg(test)]
mod tests;
