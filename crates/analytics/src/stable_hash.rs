//! A hash that stays the same for ever, because states that were saved hold it: FNV-1a (Fowler, Noll and Vo), its bits
//! mixed at the end.

use crate::random::mix;

pub(crate) fn stable_hash(item: &[u8]) -> u64 {
    let hash = item
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3));
    mix(hash)
}
