//! `ListStreams`.

use serde::{Deserialize, Serialize};

use super::arguments::within;
use super::error::ApiError;
use super::quotas::Status;
use super::scalars::Timestamp;
use super::shapes::StreamModeDetails;
use super::{Api, arn, token};
use crate::StreamInfo;

/// Streams of one reply, unless told: the AWS default.
const STREAMS_DEFAULT: usize = 100;
const STREAMS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListStreams {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<StreamSummary>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamSummary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: Status,
    stream_mode_details: StreamModeDetails,
    stream_creation_timestamp: Timestamp,
}

pub(super) fn list(api: &Api, request: ListStreams) -> Result<Listed, ApiError> {
    let limit = within(request.limit, "limit", 1..=STREAMS_MAX, STREAMS_DEFAULT)?;
    let after: Option<String> = match &request.next_token {
        Some(text) => Some(token::open(text).ok_or_else(|| ApiError::argument("the NextToken is invalid"))?),
        None => request.exclusive_start_stream_name.clone(),
    };
    let all = api.store.describe_all();
    let mut left = all.iter().filter(|info| after.as_ref().is_none_or(|after| info.name > *after));
    let stream_summaries: Vec<_> = left.by_ref().take(limit).map(|info| summary(api, info)).collect();
    let has_more_streams = left.next().is_some();
    let stream_names: Vec<_> = stream_summaries.iter().map(|summary| summary.stream_name.clone()).collect();
    let next_token = has_more_streams.then(|| stream_names.last().map(token::seal)).flatten();
    Ok(Listed { stream_names, has_more_streams, next_token, stream_summaries })
}

fn summary(api: &Api, info: &StreamInfo) -> StreamSummary {
    StreamSummary {
        stream_name: info.name.clone(),
        stream_arn: arn::of_stream(&info.name),
        stream_status: api.status(info),
        stream_mode_details: info.into(),
        stream_creation_timestamp: Timestamp(info.created_ms),
    }
}
