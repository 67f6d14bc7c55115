//! Where a stream is read from first: `source.init.position` and `source.init.timestamp`, Flink's names.

use arrow::datatypes::TimeUnit;
use millstream_core::{EventTime, OptionError, OptionReader};

use crate::formats::time;

/// Where shards start that no checkpoint knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitPosition {
    /// What arrives from now on.
    Latest,
    /// The oldest record there is.
    TrimHorizon,
    /// The first record that arrived then or later.
    AtTimestamp(EventTime),
}

impl InitPosition {
    /// Reads the options.
    pub(crate) fn read(options: &OptionReader<'_>, default: Self) -> Result<Self, OptionError> {
        const KEY: &str = "source.init.timestamp";
        let position = options.one_of("source.init.position", &["LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"])?;
        let timestamp = options.get(KEY).map(read_timestamp).transpose();
        let timestamp = timestamp.map_err(|reason| OptionError::new(KEY, reason))?;
        match (position, timestamp) {
            (Some("AT_TIMESTAMP"), Some(at)) => Ok(Self::AtTimestamp(at)),
            (Some("AT_TIMESTAMP"), None) => {
                Err(OptionError::new(KEY, "is required with 'source.init.position' = 'AT_TIMESTAMP'"))
            }
            (_, Some(_)) => Err(OptionError::new(KEY, "needs 'source.init.position' = 'AT_TIMESTAMP'")),
            (Some("LATEST"), None) => Ok(Self::Latest),
            (Some(_), None) => Ok(Self::TrimHorizon),
            (None, None) => Ok(default),
        }
    }
}

/// A timestamp, or epoch seconds with an optional fraction, as in Flink.
fn read_timestamp(text: &str) -> Result<EventTime, String> {
    let millis = match text.parse::<f64>() {
        Ok(_) => time::epoch(text, TimeUnit::Second, TimeUnit::Millisecond),
        Err(_) => time::timestamp(text, TimeUnit::Millisecond),
    };
    millis.map(EventTime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Options;

    #[test]
    fn positions_and_their_timestamp() {
        let read = |pairs: &[(&str, &str)]| {
            let options: Options = pairs.iter().copied().collect();
            InitPosition::read(&options.reader(), InitPosition::Latest).map_err(|error| error.key)
        };
        let (position, timestamp) = ("source.init.position", "source.init.timestamp");
        let at = InitPosition::AtTimestamp(EventTime(1_767_225_600_500));
        assert_eq!(read(&[]), Ok(InitPosition::Latest));
        assert_eq!(read(&[(position, "trim_horizon")]), Ok(InitPosition::TrimHorizon));
        assert_eq!(read(&[(position, "AT_TIMESTAMP"), (timestamp, "2026-01-01T00:00:00.5Z")]), Ok(at));
        assert_eq!(read(&[(position, "AT_TIMESTAMP"), (timestamp, "1767225600.5")]), Ok(at));
        for bad in [
            &[(position, "AT_TIMESTAMP")][..],
            &[(timestamp, "1767225600")],
            &[(position, "AT_TIMESTAMP"), (timestamp, "noon")],
        ] {
            assert_eq!(read(bad), Err(timestamp.to_owned()));
        }
        assert_eq!(read(&[(position, "OLDEST")]), Err(position.to_owned()));
    }
}
