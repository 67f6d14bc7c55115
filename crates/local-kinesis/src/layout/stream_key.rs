//! Key of a stream's description: `stream/<name>`. The value is [`StreamInfo`] in JSON.

use crate::StreamInfo;

const PREFIX: &str = "stream/";

/// All descriptions start with it.
pub(crate) const fn prefix() -> &'static str {
    PREFIX
}

/// The key for a stream's name.
pub(crate) fn encode(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The value for a stream.
pub(crate) fn encode_value(info: &StreamInfo) -> Vec<u8> {
    serde_json::to_vec(info).expect("a description has only text keys")
}

/// Reads a value back.
pub(crate) fn decode_value(value: &[u8]) -> Result<StreamInfo, serde_json::Error> {
    serde_json::from_slice(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{HashRange, SequenceNumber, ShardId, ShardInfo, StreamMode};

    #[test]
    fn what_is_written_reads_back() {
        let range = HashRange::split_evenly(1).next().unwrap();
        let mut shard = ShardInfo::new(vec![ShardId(1)], range, SequenceNumber::new(5, 1, 2));
        shard.close(SequenceNumber::new(6, 9, 2));
        let info = StreamInfo {
            id: 3,
            name: "orders".into(),
            created_ms: 1_767_225_600_123,
            retention_hours: 24,
            record_bytes_max: 1024,
            mode: StreamMode::OnDemand,
            tags: BTreeMap::from([("team".into(), "blue".into())]),
            shards: vec![shard],
            next_shard: 3,
        };
        assert_eq!(decode_value(&encode_value(&info)).unwrap(), info);
        assert!(encode("orders").starts_with(prefix()));
    }
}
