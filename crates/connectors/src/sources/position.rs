//! Where a stream is read from first: `source.init.position` and `source.init.timestamp`, Flink's names; or what a
//! query says instead ([`Resume`]).

use arrow::datatypes::TimeUnit;
use millstream_core::{EventTime, OptionError, OptionReader, Resume, SourceError, Start};

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

impl InitPosition {
    /// Where the shards of a reading start that go on from no offset. A reading from LATEST that was interrupted goes on
    /// from when it first began; where the others start does not depend on when that was.
    pub(crate) fn of(self, resume: &Resume) -> Self {
        let position = match resume.start {
            None => self,
            Some(Start::Beginning) => Self::TrimHorizon,
            Some(Start::Latest) => Self::Latest,
            Some(Start::At(at)) => Self::AtTimestamp(at),
        };
        match (position, resume.since) {
            (Self::Latest, Some(since)) => Self::AtTimestamp(since),
            (position, _) => position,
        }
    }
}

/// For sources that have nothing but a beginning.
pub(crate) fn only_beginning(start: Option<Start>, what: &str) -> Result<(), SourceError> {
    let given = match start {
        None | Some(Start::Beginning) => return Ok(()),
        Some(Start::Latest) => "LATEST",
        Some(Start::At(_)) => "a time",
    };
    let reason = format!("they cannot be read from {given}, for they have no arrivals: say START FROM BEGINNING");
    Err(SourceError::Failed { what: what.to_owned(), reason })
}

/// A timestamp, or epoch seconds with an optional fraction, as in Flink.
pub(crate) fn read_timestamp(text: &str) -> Result<EventTime, String> {
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

    #[test]
    fn what_a_query_says_comes_before_the_options() {
        let (at, since) = (EventTime(5), EventTime(3));
        let (options, starts) = (
            [InitPosition::Latest, InitPosition::TrimHorizon, InitPosition::AtTimestamp(EventTime(1))],
            [(Start::Beginning, InitPosition::TrimHorizon), (Start::Latest, InitPosition::Latest)],
        );
        let of = |position: InitPosition, start, since| position.of(&Resume { start, since, ..Resume::default() });
        for position in options {
            assert_eq!(of(position, None, None), position);
            for (start, expected) in starts {
                assert_eq!(of(position, Some(start), None), expected);
            }
            for since in [None, Some(since)] {
                assert_eq!(of(position, Some(Start::At(at)), since), InitPosition::AtTimestamp(at));
                assert_eq!(of(position, Some(Start::Beginning), since), InitPosition::TrimHorizon);
            }
            assert_eq!(of(position, Some(Start::Latest), Some(since)), InitPosition::AtTimestamp(since));
        }
        assert_eq!(of(InitPosition::Latest, None, Some(since)), InitPosition::AtTimestamp(since));
        assert_eq!(of(InitPosition::TrimHorizon, None, Some(since)), InitPosition::TrimHorizon);
    }
}
