//! What AWS's API has and this one has not: channels (delivery to S3 and tables) and queues. None exist, so listings of
//! them are empty; everything else is refused.

use serde::{Deserialize, Serialize};

use super::Api;
use super::error::ApiError;

/// Any listing: there is nothing to page through.
#[derive(Deserialize)]
pub(super) struct Listing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Channels {
    channel_summaries: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Queues {
    queue_summaries: [(); 0],
}

pub(super) fn refuse() -> ApiError {
    ApiError::argument("channels and queues of Kinesis are not here: write a query with INSERT INTO a sink instead")
}

#[expect(clippy::unnecessary_wraps, reason = "the table's form")]
pub(super) fn list_channels(_: &Api, _: Listing) -> Result<Channels, ApiError> {
    Ok(Channels { channel_summaries: [] })
}

#[expect(clippy::unnecessary_wraps, reason = "the table's form")]
pub(super) fn list_queues(_: &Api, _: Listing) -> Result<Queues, ApiError> {
    Ok(Queues { queue_summaries: [] })
}
