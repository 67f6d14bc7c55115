//! The table of operations: every one of the API, what AWS allows of it in a second, and what does it.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::format::Format;
use super::{
    Api, absent, account, consumers, create_stream, delete_stream, describe_stream, encryption, get_records,
    get_shard_iterator, list_shards, list_streams, monitoring, put_records, record_distribution, record_size, reshard,
    resource_policy, resource_tags, retention, stream_mode, subscribe_to_shard, tags, update_shard_count,
    warm_throughput,
};

/// One operation.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// Calls in a second that AWS allows an account. None: it counts them by stream or shard, or not at all.
    pub(super) per_second: Option<u32>,
    run: fn(Call) -> Answering,
}

/// What a request brings.
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    pub(super) format: Format,
    pub(super) body: Bytes,
}

/// A reply's body and its content type.
pub(super) struct Answer {
    pub(super) content_type: &'static str,
    pub(super) body: Body,
}

type Answering = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

/// In order of their names.
pub(super) const OPERATIONS: &[Operation] = &[
    absent("AcknowledgeDeadLetterQueueRecords"),
    absent("AcknowledgeQueueRecords"),
    counted("AddTagsToStream", 5, |call| Box::pin(run(call, tags::add))),
    absent("CreateChannel"),
    absent("CreateQueue"),
    counted("CreateStream", 5, |call| Box::pin(run(call, create_stream::create))),
    operation("DecreaseStreamRetentionPeriod", |call| Box::pin(run(call, retention::decrease))),
    absent("DeleteChannel"),
    absent("DeleteQueue"),
    counted("DeleteResourcePolicy", 5, |call| Box::pin(run(call, resource_policy::delete))),
    counted("DeleteStream", 5, |call| Box::pin(run(call, delete_stream::delete))),
    operation("DeregisterStreamConsumer", |call| Box::pin(run(call, consumers::deregister))),
    counted("DescribeAccountSettings", 5, |call| run_now(call, account::describe)),
    absent("DescribeChannel"),
    counted("DescribeLimits", 1, |call| run_now(call, account::limits)),
    absent("DescribeQueue"),
    counted("DescribeStream", 10, |call| run_now(call, describe_stream::describe)),
    operation("DescribeStreamConsumer", |call| run_now(call, consumers::describe)),
    counted("DescribeStreamSummary", 20, |call| run_now(call, describe_stream::summarize)),
    operation("DisableEnhancedMonitoring", |call| Box::pin(run(call, monitoring::disable))),
    operation("EnableEnhancedMonitoring", |call| Box::pin(run(call, monitoring::enable))),
    operation("GetRecords", |call| Box::pin(get_records::get(call))),
    counted("GetResourcePolicy", 5, |call| run_now(call, resource_policy::get)),
    operation("GetShardIterator", |call| run_now(call, get_shard_iterator::get)),
    operation("IncreaseStreamRetentionPeriod", |call| Box::pin(run(call, retention::increase))),
    counted("ListChannels", 5, |call| run_now(call, absent::list_channels)),
    counted("ListQueues", 5, |call| run_now(call, absent::list_queues)),
    operation("ListShards", |call| run_now(call, list_shards::list)),
    operation("ListStreamConsumers", |call| run_now(call, consumers::list)),
    counted("ListStreams", 5, |call| run_now(call, list_streams::list)),
    counted("ListTagsForResource", 5, |call| run_now(call, resource_tags::list)),
    counted("ListTagsForStream", 5, |call| run_now(call, tags::list)),
    counted("MergeShards", 5, |call| Box::pin(run(call, reshard::merge))),
    operation("PutRecord", |call| Box::pin(run(call, put_records::put_one))),
    operation("PutRecords", |call| Box::pin(run(call, put_records::put_all))),
    counted("PutResourcePolicy", 5, |call| Box::pin(run(call, resource_policy::put))),
    absent("ReceiveDeadLetterQueueRecords"),
    absent("ReceiveQueueRecords"),
    counted("RegisterStreamConsumer", 5, |call| Box::pin(run(call, consumers::register))),
    counted("RemoveTagsFromStream", 5, |call| Box::pin(run(call, tags::remove))),
    absent("RestoreDeadLetterQueueRecords"),
    counted("SplitShard", 5, |call| Box::pin(run(call, reshard::split))),
    counted("StartStreamEncryption", 5, |call| Box::pin(run(call, encryption::start))),
    counted("StopStreamEncryption", 5, |call| Box::pin(run(call, encryption::stop))),
    operation("SubscribeToShard", |call| Box::pin(ready(subscribe_to_shard::subscribe(call)))),
    counted("TagResource", 5, |call| Box::pin(run(call, resource_tags::tag))),
    counted("UntagResource", 5, |call| Box::pin(run(call, resource_tags::untag))),
    counted("UpdateAccountSettings", 5, |call| Box::pin(run(call, account::update))),
    absent("UpdateChannel"),
    absent("UpdateDeadLetterQueueRecordsVisibility"),
    counted("UpdateMaxRecordSize", 5, |call| Box::pin(run(call, record_size::update))),
    absent("UpdateQueue"),
    absent("UpdateQueueRecordsVisibility"),
    counted("UpdateShardCount", 10, |call| Box::pin(run(call, update_shard_count::update))),
    counted("UpdateStreamMode", 5, |call| Box::pin(run(call, stream_mode::update))),
    counted("UpdateStreamRecordDistributionStrategy", 5, |call| Box::pin(run(call, record_distribution::update))),
    counted("UpdateStreamWarmThroughput", 5, |call| Box::pin(run(call, warm_throughput::update))),
];

const fn operation(name: &'static str, run: fn(Call) -> Answering) -> Operation {
    Operation { name, per_second: None, run }
}

const fn counted(name: &'static str, per_second: u32, run: fn(Call) -> Answering) -> Operation {
    Operation { name, per_second: Some(per_second), run }
}

/// One of AWS's that is refused here.
const fn absent(name: &'static str) -> Operation {
    operation(name, |_| Box::pin(ready(Err(absent::refuse()))))
}

impl Operation {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    pub(super) async fn answer(&self, call: Call) -> Result<Answer, ApiError> {
        (self.run)(call).await
    }
}

impl Answer {
    pub(super) fn whole(format: Format, reply: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { content_type: format.content_type(), body: Body::from(format.write(reply)?) })
    }
}

async fn run<Request, Reply>(
    call: Call,
    work: impl AsyncFnOnce(&Api, Request) -> Result<Reply, ApiError>,
) -> Result<Answer, ApiError>
where
    Request: DeserializeOwned,
    Reply: Serialize,
{
    let request = call.format.parse(&call.body)?;
    Answer::whole(call.format, &work(&call.api, request).await?)
}

fn run_now<Request, Reply>(call: Call, work: fn(&Api, Request) -> Result<Reply, ApiError>) -> Answering
where
    Request: DeserializeOwned,
    Reply: Serialize,
{
    let answer = || Answer::whole(call.format, &work(&call.api, call.format.parse(&call.body)?)?);
    Box::pin(ready(answer()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_in_order_and_named_once() {
        assert!(OPERATIONS.is_sorted_by(|a, b| a.name < b.name));
    }
}
