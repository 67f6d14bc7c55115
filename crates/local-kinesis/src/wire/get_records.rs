//! `GetRecords`.

use serde::{Deserialize, Serialize};

use super::Api;
use super::arguments::{StreamArguments, check_dry_run, required, within};
use super::error::ApiError;
use super::get_shard_iterator::ShardIterator;
use super::operations::{Answer, Call};
use super::shapes::{ChildShard, RecordShape};
use crate::limits::{GET_BYTES_MAX, GET_RECORDS_MAX};
use crate::{Page, StreamInfo};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRecords {
    shard_iterator: Option<String>,
    limit: Option<i64>,
    #[serde(flatten)]
    stream: StreamArguments,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Got<'a> {
    records: Vec<RecordShape<'a>>,
    /// Null at the end of a closed shard.
    next_shard_iterator: Option<String>,
    millis_behind_latest: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShard>,
}

/// The reply may be large, and reading it may wait for the disk, so that it has a thread of its own.
pub(super) async fn get(call: Call) -> Result<Answer, ApiError> {
    let read = tokio::task::spawn_blocking(move || read(&call));
    read.await.map_err(|error| ApiError::internal(format!("reading was broken off: {error}")))?
}

fn read(call: &Call) -> Result<Answer, ApiError> {
    let (api, request) = (&call.api, call.format.parse::<GetRecords>(&call.body)?);
    let limit = within(request.limit, "limit", 1..=GET_RECORDS_MAX, GET_RECORDS_MAX)?;
    let now_ms = api.store.now_ms();
    let mut iterator = ShardIterator::open(required(request.shard_iterator.as_deref(), "shardIterator")?, now_ms)?;
    check_stream(&request.stream, &iterator)?;
    let info = api.store.describe(&iterator.stream).filter(|info| info.id == iterator.id);
    let info = info.ok_or_else(|| ApiError::no_stream(&iterator.stream))?;
    check_dry_run(request.dry_run)?;
    let page = read_within_quotas(api, &info, &iterator, limit, now_ms)?;
    (iterator.position, iterator.issued_ms) = (page.next, now_ms);
    let got = Got {
        records: page.records().map(|record| RecordShape::new(record, (&*info).into())).collect(),
        next_shard_iterator: (!page.end_of_shard).then(|| iterator.seal()),
        millis_behind_latest: page.millis_behind_latest,
        child_shards: page.children.iter().map(ChildShard::from).collect(),
    };
    Answer::whole(call.format, &got)
}

fn check_stream(named: &StreamArguments, iterator: &ShardIterator) -> Result<(), ApiError> {
    if !named.is_empty() && named.name()? != iterator.stream {
        let of = &iterator.stream;
        return Err(ApiError::argument(format!("the ShardIterator is of stream {of}, and StreamARN of another")));
    }
    Ok(())
}

fn read_within_quotas(
    api: &Api,
    info: &StreamInfo,
    iterator: &ShardIterator,
    limit: usize,
    now_ms: i64,
) -> Result<Page, ApiError> {
    api.quotas.begin_read(info, iterator.shard, now_ms)?;
    let page = api.store.read(&iterator.stream, iterator.shard, iterator.position, limit, GET_BYTES_MAX)?;
    api.quotas.end_read(info, iterator.shard, &page, now_ms);
    Ok(page)
}
