//! Where a record belongs: 128-bit hash keys and the ranges of them that shards own.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// MD5 of a partition key, or the hash key a producer chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HashKey(pub u128);

/// Text that is not a hash key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash key: expected a decimal number from 0 to 2^128 - 1 without leading zeros")]
pub struct NotAHashKey(pub String);

impl HashKey {
    /// MD5 of the key's UTF-8 bytes as an unsigned big-endian number.
    pub fn of_partition_key(key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()))
    }

    /// Keys of consecutive numbers are spread over all keys as evenly as can be.
    pub(crate) fn of_turn(turn: u64) -> Self {
        /// 2^128 divided by the golden ratio: multiples of it leave no large gap.
        const STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        Self(u128::from(turn).wrapping_mul(STEP))
    }
}

impl FromStr for HashKey {
    type Err = NotAHashKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        match text.parse() {
            Ok(number) if plain => Ok(Self(number)),
            _ => Err(NotAHashKey(text.to_owned())),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<HashKey> for String {
    fn from(key: HashKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for HashKey {
    type Error = NotAHashKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The hash keys of one shard, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashRange {
    /// The lowest key.
    pub start: HashKey,
    /// The highest key.
    pub end: HashKey,
}

impl HashRange {
    /// All hash keys in `count` ranges of the same width, as AWS cuts them.
    pub(crate) fn split_evenly(count: u32) -> impl Iterator<Item = Self> {
        let parts = u128::from(count.max(1));
        // 2^128 / parts, which for one part does not fit.
        let width = (u128::MAX / parts).saturating_add(u128::from(u128::MAX % parts == parts - 1));
        (0..parts).map(move |part| Self {
            start: HashKey(part * width),
            end: HashKey(if part + 1 == parts { u128::MAX } else { (part + 1) * width - 1 }),
        })
    }

    /// Whether the key belongs here.
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }

    /// Whether `next` begins where this range ends.
    pub(crate) fn touches(&self, next: &Self) -> bool {
        self.end.0.checked_add(1) == Some(next.start.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ranges_cover_everything_once() {
        for count in [1, 2, 3, 7, 256, 1000] {
            let ranges: Vec<_> = HashRange::split_evenly(count).collect();
            assert_eq!(ranges.len(), count as usize);
            assert_eq!((ranges[0].start.0, ranges[ranges.len() - 1].end.0), (0, u128::MAX));
            assert!(ranges.windows(2).all(|pair| pair[0].touches(&pair[1])), "{count}");
        }
        let second = HashRange::split_evenly(2).nth(1).unwrap();
        assert_eq!(second.start.to_string(), "170141183460469231731687303715884105728");
    }

    #[test]
    fn a_partition_key_is_hashed_with_md5() {
        assert_eq!(HashKey::of_partition_key("a").0, 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn only_plain_decimal_numbers_are_hash_keys() {
        for good in ["0", "7", "340282366920938463463374607431768211455"] {
            assert_eq!(good.parse::<HashKey>().unwrap().to_string(), good);
        }
        for bad in ["", "-1", "+1", "07", "1.0", "340282366920938463463374607431768211456"] {
            assert!(bad.parse::<HashKey>().is_err(), "{bad}");
        }
    }
}
