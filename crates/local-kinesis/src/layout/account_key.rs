//! Key of what is set of the whole account. The value is [`AccountSettings`] in JSON; where it is missing, nothing is set.

use crate::AccountSettings;

/// The key.
pub(crate) const KEY: &str = "account";

/// The value.
pub(crate) fn encode_value(settings: &AccountSettings) -> Vec<u8> {
    serde_json::to_vec(settings).expect("settings have only text keys")
}

/// Reads a value back.
pub(crate) fn decode_value(value: &[u8]) -> Result<AccountSettings, serde_json::Error> {
    serde_json::from_slice(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let settings = AccountSettings { commitment_started_ms: Some(7), commitment_ends_ms: None };
        assert_eq!(decode_value(&encode_value(&settings)).unwrap(), settings);
    }
}
