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
    use crate::{
        ConsumerInfo, Distribution, HashRange, SequenceNumber, ShardId, ShardInfo, ShardMetric, StreamMode,
        StreamSettings,
    };

    #[test]
    fn what_is_written_reads_back() {
        let range = HashRange::split_evenly(1).next().unwrap();
        let mut shard = ShardInfo::new(vec![ShardId(1)], range, SequenceNumber::new(5, 1, 2));
        shard.close(SequenceNumber::new(6, 9, 2));
        let consumer = ConsumerInfo { created_ms: 7, tags: BTreeMap::new(), policy: Some("{}".into()) };
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
            consumers: BTreeMap::from([("fast".into(), consumer)]),
            settings: StreamSettings {
                encryption_key: Some("alias/aws/kinesis".into()),
                shard_metrics: ShardMetric::ALL.into(),
                policy: Some("{}".into()),
                warm_throughput_mib: Some(100),
                distribution: Distribution::Even,
            },
        };
        assert_eq!(decode_value(&encode_value(&info)).unwrap(), info);
        assert!(encode("orders").starts_with(prefix()));
    }

    #[test]
    fn a_description_of_the_first_release_is_read() {
        let written =
            br#"{"id":1,"name":"s","created_ms":1767225600000,"retention_hours":24,"record_bytes_max":1048576,
            "mode":"PROVISIONED","tags":{"team":"blue"},"shards":[{"id":"shardId-000000000000","parents":[],
            "range":{"start":"0","end":"340282366920938463463374607431768211455"},
            "starting":"49039859656754185855262529310764068263967763438220869632","ending":null,
            "created_ms":1767225600000,"closed_ms":null,"trimmed_to":null}],"next_shard":1}"#;
        let info = decode_value(written).unwrap();
        assert_eq!((info.name.as_str(), info.shards.len(), info.tags["team"].as_str()), ("s", 1, "blue"));
        assert_eq!((info.consumers, info.settings), (BTreeMap::new(), StreamSettings::default()));
    }
}
