//! Where reading starts, as `GetShardIterator` and `SubscribeToShard` say it.

use super::arguments::sequence_number;
use super::error::ApiError;
use super::scalars::Timestamp;
use crate::Position;

/// The members of a request, and what it calls the number.
pub(super) struct Start<'a> {
    pub(super) kind: &'a str,
    pub(super) kind_member: &'static str,
    pub(super) number: Option<&'a str>,
    pub(super) number_member: &'static str,
    pub(super) timestamp: Option<Timestamp>,
}

impl Start<'_> {
    pub(super) fn read(&self) -> Result<Position, ApiError> {
        let Self { kind, number_member, .. } = self;
        let number = || match self.number {
            Some(text) => sequence_number(text, number_member),
            None => Err(ApiError::argument(format!("{kind} needs a {number_member}"))),
        };
        match *kind {
            "AT_SEQUENCE_NUMBER" => Ok(Position::At(number()?)),
            "AFTER_SEQUENCE_NUMBER" => Ok(Position::After(number()?)),
            _ if self.number.is_some() => Err(ApiError::argument(format!("{kind} takes no {number_member}"))),
            "TRIM_HORIZON" => Ok(Position::TrimHorizon),
            "LATEST" => Ok(Position::Latest),
            "AT_TIMESTAMP" => {
                let timestamp = self.timestamp.ok_or_else(|| ApiError::argument("AT_TIMESTAMP needs a Timestamp"))?;
                Ok(Position::AtTimestamp(timestamp.0))
            }
            other => {
                let set = "AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP";
                Err(ApiError::not_one_of(other, self.kind_member, set))
            }
        }
    }
}
