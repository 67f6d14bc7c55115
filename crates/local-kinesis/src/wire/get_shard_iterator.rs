//! `GetShardIterator`: a place in a shard, as a token that is good for five minutes.

use serde::{Deserialize, Serialize};

use super::arguments::{EpochSeconds, required, sequence_number, shard_id, stream};
use super::error::ApiError;
use super::token;
use crate::limits::ITERATOR_MS_MAX;
use crate::{Position, ShardId, Store};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<EpochSeconds>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Got {
    shard_iterator: String,
}

/// What the token holds.
#[derive(Serialize, Deserialize)]
pub(super) struct ShardIterator {
    pub(super) stream: String,
    /// Tells a stream from a later one of the same name.
    pub(super) id: u64,
    pub(super) shard: ShardId,
    pub(super) position: Position,
    pub(super) issued_ms: i64,
}

impl ShardIterator {
    pub(super) fn open(text: &str, now_ms: i64) -> Result<Self, ApiError> {
        let iterator: Self = token::open(text).ok_or_else(|| ApiError::argument("Invalid ShardIterator."))?;
        let age_ms = now_ms - iterator.issued_ms;
        if age_ms > ITERATOR_MS_MAX {
            let age = format!("Iterator expired. It is {age_ms} ms old, and {ITERATOR_MS_MAX} ms are tolerated");
            return Err(ApiError::expired_iterator(format!("{age}: get a new one")));
        }
        Ok(iterator)
    }

    pub(super) fn seal(&self) -> String {
        token::seal(self)
    }
}

pub(super) fn get(store: &Store, request: &GetShardIterator) -> Result<Got, ApiError> {
    let shard = shard_id(required(request.shard_id.as_deref(), "shardId")?)?;
    let kind = required(request.shard_iterator_type.as_deref(), "shardIteratorType")?;
    let number = || match request.starting_sequence_number.as_deref() {
        Some(text) => sequence_number(text, "StartingSequenceNumber"),
        None => Err(ApiError::argument(format!("{kind} needs a StartingSequenceNumber"))),
    };
    let position = match kind {
        "AT_SEQUENCE_NUMBER" => Position::At(number()?),
        "AFTER_SEQUENCE_NUMBER" => Position::After(number()?),
        _ if request.starting_sequence_number.is_some() => {
            return Err(ApiError::argument(format!("{kind} takes no StartingSequenceNumber")));
        }
        "TRIM_HORIZON" => Position::TrimHorizon,
        "LATEST" => Position::Latest,
        "AT_TIMESTAMP" => {
            let seconds = request.timestamp.ok_or_else(|| ApiError::argument("AT_TIMESTAMP needs a Timestamp"))?;
            Position::AtTimestamp(seconds.to_ms())
        }
        other => {
            let set = "AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP";
            let rule = format!("Member must satisfy enum value set: [{set}]");
            return Err(ApiError::constraint(other, "shardIteratorType", &rule));
        }
    };
    let info = stream(store, request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let position = store.pin(&info.name, shard, position)?;
    let iterator = ShardIterator { stream: info.name.clone(), id: info.id, shard, position, issued_ms: store.now_ms() };
    Ok(Got { shard_iterator: iterator.seal() })
}
