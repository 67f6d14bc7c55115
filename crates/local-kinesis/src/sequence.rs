//! Sequence numbers: what orders the records of a shard and names each of them.
//!
//! One is 24 bytes, big-endian, so that byte order (the storage's) is numeric order (Kinesis's):
//!
//! | bytes | hold |
//! |---|---|
//! | 0 | 2, which makes every number one of 56 decimal digits, as AWS's are |
//! | 1..9 | arrival in milliseconds since 1970, never decreasing within a shard |
//! | 9..17 | counter: one more for each record of a shard; a child starts above its parents |
//! | 17..21 | the shard's number |
//! | 21..24 | zero |
//!
//! Because arrival comes first, "at timestamp" is a range bound and arrivals need not be stored again.
//! To clients the number is opaque.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const BYTES: usize = 24;
const VERSION: u8 = 2;
/// The largest power of ten in a `u64`: decimal text is handled 19 digits at a time.
const TEN_TO_19: u128 = 10_000_000_000_000_000_000;

/// The position of one record in its shard; compares as the number it prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SequenceNumber([u8; BYTES]);

/// Text that no shard of this store can have given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sequence number of this store: use one that PutRecord or GetRecords returned")]
pub struct NotASequenceNumber(pub String);

impl SequenceNumber {
    pub(crate) fn new(arrival_ms: i64, counter: u64, shard: u32) -> Self {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&u64::try_from(arrival_ms).unwrap_or(0).to_be_bytes());
        bytes[9..17].copy_from_slice(&counter.to_be_bytes());
        bytes[17..21].copy_from_slice(&shard.to_be_bytes());
        Self(bytes)
    }

    /// Below every number whose record arrived at `ms` or later, above those that arrived before.
    pub(crate) fn just_before_ms(ms: i64) -> Self {
        Self::new(ms, 0, 0).predecessor()
    }

    /// The number of the record that follows, arriving at `now_ms` (or with its predecessor, if the clock went back).
    pub(crate) fn next(self, now_ms: i64) -> Self {
        Self::new(now_ms.max(self.arrival_ms()), self.counter() + 1, self.shard())
    }

    /// The number `places` records earlier among those that arrived together.
    pub(crate) fn earlier(self, places: u64) -> Self {
        Self::new(self.arrival_ms(), self.counter().saturating_sub(places), self.shard())
    }

    /// The next lower number of 24 bytes, which need not be one of a record: turns "at" into "after".
    pub(crate) fn predecessor(mut self) -> Self {
        for byte in self.0.iter_mut().rev() {
            let (less, borrowed) = byte.overflowing_sub(1);
            *byte = less;
            if !borrowed {
                break;
            }
        }
        self
    }

    /// When the record arrived: milliseconds since 1970.
    pub fn arrival_ms(self) -> i64 {
        i64::try_from(self.part(1)).unwrap_or(i64::MAX)
    }

    pub(crate) fn counter(self) -> u64 {
        self.part(9)
    }

    pub(crate) fn shard(self) -> u32 {
        u32::try_from(self.part(17) >> 32).expect("the upper half of 64 bits")
    }

    pub(crate) fn to_bytes(self) -> [u8; BYTES] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// The 64 bits that start at a byte; past the end they are zero.
    fn part(self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(&self.0[at..]) {
            *to = *from;
        }
        u64::from_be_bytes(bytes)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = [self.part(0), self.part(8), self.part(16)].map(u128::from);
        let mut digits = [0; 3];
        for group in digits.iter_mut().rev() {
            for limb in &mut limbs {
                let value = (*group << 64) | *limb;
                (*limb, *group) = (value / TEN_TO_19, value % TEN_TO_19);
            }
        }
        let [high, middle, low] = digits;
        write!(f, "{high}{middle:019}{low:019}")
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotASequenceNumber(text.to_owned());
        let mut bytes = [0_u8; BYTES];
        for digit in text.bytes() {
            if !digit.is_ascii_digit() {
                return Err(refused());
            }
            let mut carry = u16::from(digit - b'0');
            for byte in bytes.iter_mut().rev() {
                let [high, low] = (u16::from(*byte) * 10 + carry).to_be_bytes();
                (*byte, carry) = (low, u16::from(high));
            }
            if carry > 0 {
                return Err(refused());
            }
        }
        if bytes[0] != VERSION || bytes[21..] != [0; 3] {
            return Err(refused());
        }
        Ok(Self(bytes))
    }
}

impl From<SequenceNumber> for String {
    fn from(number: SequenceNumber) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = NotASequenceNumber;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn has_56_digits_and_reads_back(ms in 0..i64::MAX, counter: u64, shard: u32) {
            let number = SequenceNumber::new(ms, counter, shard);
            prop_assert_eq!(number.to_string().len(), 56);
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!((number.arrival_ms(), number.counter(), number.shard()), (ms, counter, shard));
        }

        #[test]
        fn orders_as_its_text_does(a: (u32, u64, u32), b: (u32, u64, u32)) {
            let [a, b] = [a, b].map(|(ms, counter, shard)| SequenceNumber::new(i64::from(ms), counter, shard));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn the_next_one_is_higher_whatever_the_clock_says(ms in 0..i64::MAX, now: i64) {
            let number = SequenceNumber::new(ms, 7, 3);
            prop_assert!(number.next(now) > number);
            prop_assert!(number.next(now).arrival_ms() >= ms);
            prop_assert!(number.predecessor() < number);
        }
    }

    #[test]
    fn text_that_is_none_is_refused() {
        let huge = "9".repeat(130);
        for text in ["", "0", "12a", "-1", "49590338271490256608559692538361571095921575989136588898", huge.as_str()] {
            assert_eq!(text.parse::<SequenceNumber>(), Err(NotASequenceNumber(text.to_owned())));
        }
    }
}
