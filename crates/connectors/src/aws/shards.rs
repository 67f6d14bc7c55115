//! Listing the shards of a stream, page by page.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::list_shards::ListShardsError;
use aws_sdk_kinesis::types::{Shard, ShardFilter};

/// Shards of one reply of `ListShards`.
const SHARDS_MAX: i32 = 1000;

/// All shards that the filter takes, closed ones included. The stream is named, or given by its ARN.
pub(crate) async fn list_shards(
    client: &Client,
    name: Option<String>,
    arn: Option<String>,
    filter: Option<ShardFilter>,
) -> Result<Vec<Shard>, SdkError<ListShardsError, HttpResponse>> {
    let (mut shards, mut token) = (Vec::new(), None::<String>);
    loop {
        let list = client.list_shards().max_results(SHARDS_MAX);
        let list = match token {
            // A token names its stream, and its filter, by itself.
            Some(token) => list.next_token(token),
            None => list.set_stream_name(name.clone()).set_stream_arn(arn.clone()).set_shard_filter(filter.clone()),
        };
        let page = list.send().await?;
        shards.extend(page.shards.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(shards);
        }
    }
}
