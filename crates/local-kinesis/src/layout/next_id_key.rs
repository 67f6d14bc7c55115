//! Key of the id that the next stream gets. The value is a `u64`. Ids are never used twice, so that an iterator of a
//! deleted stream does not read another of the same name.

/// The key.
pub(crate) const KEY: &str = "next-stream-id";

/// The value.
pub(crate) fn encode_value(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

/// Reads a value back; `None` if it is not eight bytes.
pub(crate) fn decode_value(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(decode_value(&encode_value(77)), Some(77));
        assert_eq!(decode_value(b"short"), None);
    }
}
