//! The leases of a Kinesis stream: what is read of options becomes a worker.

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use millstream_core::{BoxFuture, Clock, LeaseError, Leases, ShardReaders};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::coordinator::{Coordinator, StreamShards, Worker};
use super::dynamodb::DynamoTable;
use super::options::LeaseOptions;
use super::rules::Rules;
use super::table::TableError;
use crate::sources::kinesis::{Settings, Shards};

/// Of one call, by the SDK: the next look at the table tries again anyway.
const ATTEMPTS_MAX: u32 = 2;

/// The leases of one table's stream.
pub(crate) struct KinesisLeases {
    pub(crate) options: LeaseOptions,
    pub(crate) settings: Settings,
    /// Where DynamoDB is; `None`: the SDK knows.
    pub(crate) endpoint: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: u64,
}

impl Leases for KinesisLeases {
    fn run(self: Box<Self>, readers: &dyn ShardReaders) -> BoxFuture<'_, Result<(), LeaseError>> {
        Box::pin(async move {
            let Self { options, settings, endpoint, clock, seed } = *self;
            let mut random = SmallRng::seed_from_u64(seed);
            // A call that takes longer than a renewal may is of no use.
            let timeout = (options.duration.to_std() / 3).max(std::time::Duration::from_secs(1));
            let mut config = aws_sdk_dynamodb::config::Builder::from(&settings.access.config(timeout).await);
            // That of the table is of its stream.
            config.set_endpoint_url(endpoint);
            let config = config.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX)).build();
            let table = DynamoTable::new(Client::from_conf(config), options.table.clone());
            let position = settings.position;
            let stream = Shards::connect(&settings, Arc::clone(&clock), seed).await;
            let worker = options.worker.unwrap_or_else(|| worker_id(&mut random));
            tracing::info!(worker, table = options.table, "sharing a stream by leases");
            let rules = Rules { worker, duration: options.duration, steal_max: options.steal_max };
            let worker = Worker { rules, position, table: &table, stream: &stream, readers, clock };
            let ended = Coordinator::new(worker, random).run().await;
            ended.map_err(|error| LeaseError { table: options.table, reason: error.to_string() })
        })
    }
}

/// A name that no other process has.
fn worker_id(random: &mut SmallRng) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "millstream" } else { host.trim() };
    format!("{host}-{}-{:08x}", std::process::id(), random.random::<u32>())
}

impl StreamShards for Shards {
    fn list(&self) -> BoxFuture<'_, Result<Vec<super::StreamShard>, TableError>> {
        // Whatever passes has been tried again already.
        Box::pin(async move { self.listed().await.map_err(|error| TableError::Permanent(error.to_string())) })
    }
}
