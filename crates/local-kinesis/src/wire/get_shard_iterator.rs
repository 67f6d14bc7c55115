//! `GetShardIterator`: a place in a shard, as a token that is good for five minutes.

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, check_dry_run, required, shard_id};
use super::error::ApiError;
use super::position::Start;
use super::scalars::Timestamp;
use super::{Api, token};
use crate::limits::ITERATOR_MS_MAX;
use crate::{Position, ShardId};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIterator {
    #[serde(flatten)]
    stream: StreamArguments,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
    dry_run: Option<bool>,
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
            let age = format!("The iterator is {age_ms} ms old while the maximum allowed age is {ITERATOR_MS_MAX} ms");
            return Err(ApiError::expired_iterator(format!("Iterator expired. {age}: get a new one.")));
        }
        Ok(iterator)
    }

    pub(super) fn seal(&self) -> String {
        token::seal(self)
    }
}

pub(super) fn get(api: &Api, request: GetShardIterator) -> Result<Got, ApiError> {
    let shard = shard_id(required(request.shard_id.as_deref(), "shardId")?)?;
    let start = Start {
        kind: required(request.shard_iterator_type.as_deref(), "shardIteratorType")?,
        kind_member: "shardIteratorType",
        number: request.starting_sequence_number.as_deref(),
        number_member: "StartingSequenceNumber",
        timestamp: request.timestamp,
    };
    let position = start.read()?;
    let info = request.stream.find_ready(api)?;
    let (position, now_ms) = (api.store.pin(&info.name, shard, position)?, api.store.now_ms());
    api.quotas.take_iterator(&info, shard, now_ms)?;
    check_dry_run(request.dry_run)?;
    let iterator = ShardIterator { stream: info.name.clone(), id: info.id, shard, position, issued_ms: now_ms };
    Ok(Got { shard_iterator: iterator.seal() })
}
