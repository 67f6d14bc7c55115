//! `ListShards`, with its filters and its paging.

use serde::{Deserialize, Serialize};

use super::arguments::{StreamArguments, check_created, required, shard_id, within};
use super::error::ApiError;
use super::scalars::Timestamp;
use super::shapes::Shard;
use super::{Api, token};
use crate::limits::LISTING_TOKEN_MS_MAX;
use crate::{ShardId, ShardInfo, StreamInfo};

/// Shards of one reply, unless told: the AWS default.
const SHARDS_DEFAULT: usize = 1000;
const SHARDS_MAX: usize = 10_000;
/// Of one stream: the AWS quota.
const LISTINGS_PER_SECOND: u32 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListShards {
    #[serde(flatten)]
    stream: StreamArguments,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    shard_filter: Option<ShardFilter>,
    stream_creation_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
    timestamp: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    shards: Vec<Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Which shards are meant.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Filter {
    /// Those that were open at a moment (ms since 1970).
    OpenAt(i64),
    /// Those that were open then, or were created later.
    OpenSince(i64),
    All,
}

/// Where a listing goes on.
#[derive(Serialize, Deserialize)]
struct Cursor {
    stream: String,
    id: u64,
    after: Option<ShardId>,
    filter: Filter,
    issued_ms: i64,
}

pub(super) fn list(api: &Api, request: ListShards) -> Result<Listed, ApiError> {
    let max = within(request.max_results, "maxResults", 1..=SHARDS_MAX, SHARDS_DEFAULT)?;
    let now_ms = api.store.now_ms();
    let mut cursor = match &request.next_token {
        Some(text) => resume(&request, text, now_ms)?,
        None => begin(api, request, now_ms)?,
    };
    let info = api.store.describe(&cursor.stream).filter(|info| info.id == cursor.id);
    let info = info.ok_or_else(|| ApiError::no_stream(&cursor.stream))?;
    api.quotas.take_stream("ListShards", &info, LISTINGS_PER_SECOND, now_ms)?;
    let mut left = info
        .shards
        .iter()
        .filter(|shard| cursor.after.is_none_or(|after| shard.id > after) && cursor.filter.takes(shard));
    let page: Vec<&ShardInfo> = left.by_ref().take(max).collect();
    let has_more = left.next().is_some();
    cursor = Cursor { after: page.last().map(|shard| shard.id), issued_ms: now_ms, ..cursor };
    let next_token = has_more.then(|| token::seal(&cursor));
    Ok(Listed { shards: page.into_iter().map(Shard::from).collect(), next_token })
}

fn resume(request: &ListShards, text: &str, now_ms: i64) -> Result<Cursor, ApiError> {
    if !request.stream.is_empty() {
        return Err(ApiError::argument("NextToken and StreamName cannot be provided together."));
    }
    let others = [
        request.exclusive_start_shard_id.is_some(),
        request.shard_filter.is_some(),
        request.stream_creation_timestamp.is_some(),
    ];
    if others.contains(&true) {
        return Err(ApiError::argument("NextToken goes on as it began: it takes no other member than MaxResults"));
    }
    let cursor: Cursor = token::open(text).ok_or_else(|| ApiError::argument("the NextToken is invalid"))?;
    if now_ms - cursor.issued_ms > LISTING_TOKEN_MS_MAX {
        let age = format!("the NextToken is older than {LISTING_TOKEN_MS_MAX} ms");
        return Err(ApiError::expired_next_token(format!("{age}: start the listing again")));
    }
    Ok(cursor)
}

fn begin(api: &Api, request: ListShards, now_ms: i64) -> Result<Cursor, ApiError> {
    let mut after = request.exclusive_start_shard_id.as_deref().map(shard_id).transpose()?;
    let info = request.stream.find(api)?;
    check_created(&info, request.stream_creation_timestamp)?;
    let filter = match request.shard_filter {
        None => Filter::All,
        Some(filter) if filter.r#type.as_deref() == Some("AFTER_SHARD_ID") => {
            after = Some(shard_id(&required(filter.shard_id, "shardFilter.shardId")?)?);
            Filter::All
        }
        Some(filter) => filter.read(&info, now_ms)?,
    };
    Ok(Cursor { stream: info.name.clone(), id: info.id, after, filter, issued_ms: now_ms })
}

impl ShardFilter {
    fn read(self, info: &StreamInfo, now_ms: i64) -> Result<Filter, ApiError> {
        let horizon_ms = info.horizon_ms(now_ms).max(info.created_ms);
        let kind = required(self.r#type, "shardFilter.type")?;
        let timestamp_ms = || {
            let seconds = self.timestamp.ok_or_else(|| ApiError::argument("the ShardFilter needs a Timestamp"))?;
            Ok::<_, ApiError>(seconds.0.max(horizon_ms))
        };
        match kind.as_str() {
            "AT_TRIM_HORIZON" => Ok(Filter::OpenAt(horizon_ms)),
            "FROM_TRIM_HORIZON" => Ok(Filter::All),
            "AT_LATEST" => Ok(Filter::OpenAt(i64::MAX)),
            "AT_TIMESTAMP" => Ok(Filter::OpenAt(timestamp_ms()?)),
            "FROM_TIMESTAMP" => Ok(Filter::OpenSince(timestamp_ms()?)),
            other => {
                let set = "AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP";
                Err(ApiError::not_one_of(other, "shardFilter.type", set))
            }
        }
    }
}

impl Filter {
    fn takes(self, shard: &ShardInfo) -> bool {
        match self {
            Self::All => true,
            Self::OpenAt(ms) => shard.was_open_at(ms),
            Self::OpenSince(ms) => shard.closed_ms.is_none_or(|closed_ms| closed_ms >= ms),
        }
    }
}
