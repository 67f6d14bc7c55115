//! The options of a table that processes share.

use millstream_core::{Duration, LEASE_TABLE as TABLE, OptionError, OptionReader};

const DURATION: &str = "source.lease.duration";
const WORKER: &str = "source.lease.worker-id";
const STEAL_MAX: &str = "source.lease.max-to-steal";
const ENDPOINT: &str = "aws.dynamodb.endpoint";
/// As long as the KCL's.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// A lease is renewed three times in its duration, and each time takes a call.
const SHORTEST_DURATION: Duration = Duration::from_secs(1);

/// What the options say of leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseOptions {
    /// The DynamoDB table.
    pub(crate) table: String,
    pub(crate) duration: Duration,
    /// Tells this process from all others.
    pub(crate) worker: Option<String>,
    pub(crate) steal_max: usize,
    /// Where DynamoDB is, if not where the SDK or the configuration knows.
    pub(crate) endpoint: Option<String>,
}

impl LeaseOptions {
    /// Reads the options; `None`: every process reads all of the stream.
    pub(crate) fn read(options: &OptionReader<'_>) -> Result<Option<Self>, OptionError> {
        let duration = options.duration(DURATION)?;
        let worker = options.get(WORKER);
        let steal_max = options.parse::<usize>(STEAL_MAX, "a number of leases")?;
        let endpoint = options.get(ENDPOINT);
        let Some(table) = options.get(TABLE) else {
            let given = [
                (DURATION, duration.is_some()),
                (WORKER, worker.is_some()),
                (STEAL_MAX, steal_max.is_some()),
                (ENDPOINT, endpoint.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(OptionError::new(key, format!("needs '{TABLE}'"))),
                None => Ok(None),
            };
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=255).contains(&table.len()) || !table.chars().all(is_name) {
            let message =
                format!("`{table}` is no name of a DynamoDB table: 3 to 255 letters, digits, `_`, `-` and `.`");
            return Err(OptionError::new(TABLE, message));
        }
        if let Some(short) = duration.filter(|duration| *duration < SHORTEST_DURATION) {
            let message = format!("{} ms is too short: at least {} ms", short.0, SHORTEST_DURATION.0);
            return Err(OptionError::new(DURATION, message));
        }
        if steal_max == Some(0) {
            return Err(OptionError::new(STEAL_MAX, "must be at least 1"));
        }
        Ok(Some(Self {
            table: table.to_owned(),
            duration: duration.unwrap_or(DEFAULT_DURATION),
            worker: worker.map(ToOwned::to_owned),
            steal_max: steal_max.unwrap_or(1),
            endpoint: endpoint.map(ToOwned::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Options;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<LeaseOptions>, String> {
        let options: Options = pairs.iter().copied().collect();
        LeaseOptions::read(&options.reader()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_is_enough_and_nothing_goes_without_it() {
        assert_eq!(read(&[]), Ok(None));
        let read_one = read(&[(TABLE, "my-app")]).unwrap().unwrap();
        assert_eq!((read_one.duration, read_one.steal_max, read_one.worker), (Duration::from_secs(10), 1, None));
        for (pairs, error) in [
            (&[(DURATION, "5 s")][..], "needs 'source.lease.table'"),
            (&[(TABLE, "my app")], "is no name of a DynamoDB table"),
            (&[(TABLE, "my-app"), (DURATION, "100 ms")], "is too short"),
            (&[(TABLE, "my-app"), (STEAL_MAX, "0")], "must be at least 1"),
        ] {
            let found = read(pairs).unwrap_err();
            assert!(found.contains(error), "{found}");
        }
    }
}
