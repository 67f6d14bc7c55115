//! Positions in shards, and the arithmetic that refuses gaps and overlaps.
//!
//! A position is a decimal number of any length (Kinesis sequence numbers have about 56 digits), compared as a
//! number and never as text, with a sub-sequence number for records that were aggregated into one. Files and
//! generators count bytes or rows in the same type.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::ShardId;

/// The position of one record in its shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offset {
    /// Decimal digits without leading zeros (zero itself is `0`).
    sequence: Box<str>,
    /// Which record of an aggregate; 0 for a plain record.
    sub_sequence: u64,
}

/// Why a position was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OffsetError {
    #[error("`{0}` is not a sequence number: expected decimal digits")]
    NotANumber(String),
    #[error("shard {shard} is at {at}, but a batch that starts after {from} arrived: {kind}")]
    NotNext { shard: ShardId, at: String, from: String, kind: &'static str },
    #[error("shard {shard}: a batch must end after it starts, but it covers ({from}, {to}]")]
    Backwards { shard: ShardId, from: String, to: String },
}

impl Offset {
    /// Reads a sequence number as Kinesis prints it.
    pub fn parse(sequence: &str, sub_sequence: u64) -> Result<Self, OffsetError> {
        if sequence.is_empty() || !sequence.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(OffsetError::NotANumber(sequence.to_owned()));
        }
        let digits = sequence.trim_start_matches('0');
        Ok(Self { sequence: if digits.is_empty() { "0" } else { digits }.into(), sub_sequence })
    }

    /// The sequence number in decimal digits.
    pub fn sequence(&self) -> &str {
        &self.sequence
    }

    /// The place within an aggregated record.
    pub fn sub_sequence(&self) -> u64 {
        self.sub_sequence
    }
}

impl From<u64> for Offset {
    fn from(position: u64) -> Self {
        Self { sequence: position.to_string().into(), sub_sequence: 0 }
    }
}

impl Ord for Offset {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.sequence.len(), &self.sequence, self.sub_sequence).cmp(&(
            other.sequence.len(),
            &other.sequence,
            other.sub_sequence,
        ))
    }
}

impl PartialOrd for Offset {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub_sequence {
            0 => write!(f, "{}", self.sequence),
            sub => write!(f, "{}/{sub}", self.sequence),
        }
    }
}

/// How far each shard has been read.
///
/// ```
/// use millstream_core::{Offset, Offsets, ShardId};
/// let (mut offsets, shard) = (Offsets::default(), ShardId::from("shardId-000000000000"));
/// offsets.advance(&shard, None, &Offset::from(10)).unwrap();
/// offsets.advance(&shard, Some(&Offset::from(10)), &Offset::from(12)).unwrap();
/// assert!(offsets.advance(&shard, Some(&Offset::from(11)), &Offset::from(20)).is_err()); // overlap
/// assert!(offsets.advance(&shard, Some(&Offset::from(15)), &Offset::from(20)).is_err()); // gap
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets(BTreeMap<ShardId, Offset>);

impl Offsets {
    /// The position of the last record taken from a shard.
    pub fn get(&self, shard: &ShardId) -> Option<&Offset> {
        self.0.get(shard)
    }

    /// Every shard with its position.
    pub fn iter(&self) -> impl Iterator<Item = (&ShardId, &Offset)> {
        self.0.iter()
    }

    /// Takes a batch that covers `(from, to]`; `from` is `None` for a shard's first batch.
    pub fn advance(&mut self, shard: &ShardId, from: Option<&Offset>, to: &Offset) -> Result<(), OffsetError> {
        let name = |offset: Option<&Offset>| offset.map_or_else(|| "its start".to_owned(), ToString::to_string);
        let at = self.0.get(shard);
        if at != from {
            let kind = if from < at { "records would be counted twice" } else { "records would be skipped" };
            return Err(OffsetError::NotNext { shard: shard.clone(), at: name(at), from: name(from), kind });
        }
        if from.is_some_and(|from| from >= to) {
            return Err(OffsetError::Backwards { shard: shard.clone(), from: name(from), to: to.to_string() });
        }
        self.0.insert(shard.clone(), to.clone());
        Ok(())
    }
}

impl FromIterator<(ShardId, Offset)> for Offsets {
    fn from_iter<I: IntoIterator<Item = (ShardId, Offset)>>(positions: I) -> Self {
        Self(positions.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_as_numbers() {
        let parse = |text| Offset::parse(text, 0).unwrap();
        assert!(parse("9") < parse("10"));
        assert!(parse("49590338271490256608559692538361571095921575989136588898") > parse("5"));
        assert_eq!(parse("007"), parse("7"));
        assert!(Offset::parse("7", 1).unwrap() > parse("7"));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", "-1", "12a", " 7"] {
            assert_eq!(Offset::parse(text, 0), Err(OffsetError::NotANumber(text.to_owned())));
        }
    }

    #[test]
    fn a_batch_must_move_forward() {
        let (mut offsets, shard) = (Offsets::default(), ShardId::from("s"));
        offsets.advance(&shard, None, &Offset::from(5)).unwrap();
        let backwards = offsets.advance(&shard, Some(&Offset::from(5)), &Offset::from(5));
        assert!(matches!(backwards, Err(OffsetError::Backwards { .. })));
        assert_eq!(offsets.get(&shard), Some(&Offset::from(5)));
    }
}
