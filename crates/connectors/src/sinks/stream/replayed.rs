//! Rows that an earlier process stored after its last checkpoint: a query that goes on from there computes them again,
//! and each is stored no second time.
//!
//! A multiset: two rows that are alike are two rows. Kept as hashes, so that it costs some 50 bytes a row, and bounded
//! by what was stored between a checkpoint and the end of the process.
//!
//! Nobody knows when all of them have come again, but a query computes its rows in about the order it did before. So a
//! row that is not in here shows that it is past what it had stored, or nearly so. Once
//! [`CHECKPOINTS_PAST`] checkpoints were committed that each followed such a row, what is left will not come again: the
//! query has not computed the same rows, and what is left must not swallow later ones that look alike. A query that
//! stands still (its source cannot be reached, say) stores no new row, and so keeps all.

use std::collections::{BTreeMap, HashMap};

use ring::digest::{Context, SHA256};

/// Checkpoints with new rows after which what is left is forgotten: rows come in a slightly other order where a query
/// has several workers, and not by the time between two checkpoints.
const CHECKPOINTS_PAST: u32 = 3;

/// Half of a SHA-256: no two rows have the same, not even those that somebody made up for that.
type RowHash = u128;

/// A multiset of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    rows: HashMap<RowHash, u32>,
    /// A new row was stored since the last `prepared`, and before it.
    has_new: bool,
    had_new: bool,
    /// Checkpoints committed that followed new rows.
    past: u32,
}

impl Replayed {
    /// A row that is stored. `key` is `None` where keys are random.
    pub(super) fn add(&mut self, key: Option<&str>, data: &[u8]) {
        *self.rows.entry(hash(key, data)).or_default() += 1;
    }

    /// Whether a row is stored already. It counts as one of those from now on: the next that is like it is another.
    pub(super) fn take(&mut self, key: Option<&str>, data: &[u8]) -> bool {
        if self.rows.is_empty() {
            return false;
        }
        let hash = hash(key, data);
        let Some(count) = self.rows.get_mut(&hash) else {
            self.has_new = true;
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.rows.remove(&hash);
        }
        true
    }

    /// How many rows have not come again.
    pub(super) fn left(&self) -> u64 {
        self.rows.values().map(|count| u64::from(*count)).sum()
    }

    /// A checkpoint is being taken.
    pub(super) fn prepared(&mut self) {
        self.had_new |= std::mem::take(&mut self.has_new);
    }

    /// The checkpoint is durable. Answers how many rows are given up.
    pub(super) fn committed(&mut self) -> u64 {
        self.past += u32::from(std::mem::take(&mut self.had_new));
        if self.past < CHECKPOINTS_PAST {
            return 0;
        }
        let left = self.left();
        *self = Self::default();
        left
    }

    /// For the note of a checkpoint: hashes in hexadecimal digits.
    pub(super) fn to_note(&self) -> BTreeMap<String, u32> {
        self.rows.iter().map(|(hash, count)| (format!("{hash:032x}"), *count)).collect()
    }

    /// What a note holds; fails with a key that is no hash.
    pub(super) fn of_note(note: &BTreeMap<String, u32>) -> Result<Self, String> {
        let row = |(hash, count): (&String, &u32)| match RowHash::from_str_radix(hash, 16) {
            Ok(hash) => Ok((hash, *count)),
            Err(_) => Err(format!("`{hash}` is no hash of a row")),
        };
        let rows = note.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, ..Self::default() })
    }
}

fn hash(key: Option<&str>, data: &[u8]) -> RowHash {
    let mut context = Context::new(&SHA256);
    // The length keeps what is key apart from what is data.
    let length = key.map_or(u64::MAX, |key| key.len() as u64);
    context.update(&length.to_le_bytes());
    context.update(key.unwrap_or_default().as_bytes());
    context.update(data);
    let digest = context.finish();
    digest.as_ref().first_chunk().copied().map(RowHash::from_be_bytes).expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(Option<&str>, &str)]) -> Replayed {
        let mut replayed = Replayed::default();
        for (key, data) in rows {
            replayed.add(*key, data.as_bytes());
        }
        replayed
    }

    #[test]
    fn a_row_is_found_as_often_as_it_was_stored() {
        let mut replayed = of(&[(Some("k"), "a"), (Some("k"), "a"), (None, "a")]);
        let mut found = |key, data: &str| replayed.take(key, data.as_bytes());
        assert!(found(Some("k"), "a") && found(Some("k"), "a") && !found(Some("k"), "a"));
        assert!(!found(Some("ka"), "") && !found(None, "ka") && found(None, "a") && !found(None, "a"));
        assert_eq!(replayed.left(), 0);
    }

    #[test]
    fn a_note_reads_back() {
        let replayed = of(&[(None, "a"), (None, "a"), (Some("k"), "b")]);
        assert_eq!(Replayed::of_note(&replayed.to_note()), Ok(replayed));
        assert!(Replayed::of_note(&[("x".to_owned(), 1)].into()).is_err());
    }

    #[test]
    fn what_does_not_come_again_is_given_up_when_the_query_has_gone_on() {
        let mut replayed = of(&[(None, "a"), (None, "b")]);
        let mut checkpoint = |row: Option<&str>| {
            let found = row.is_some_and(|row| replayed.take(None, row.as_bytes()));
            replayed.prepared();
            (found, replayed.committed())
        };
        for _ in 0..10 {
            assert_eq!(checkpoint(None), (false, 0), "nothing came");
        }
        assert_eq!(checkpoint(Some("a")), (true, 0));
        assert_eq!(checkpoint(Some("new")), (false, 0));
        assert_eq!(checkpoint(Some("new")), (false, 0));
        assert_eq!(checkpoint(Some("new")), (false, 1));
        assert_eq!(checkpoint(Some("b")), (false, 0));
    }
}
