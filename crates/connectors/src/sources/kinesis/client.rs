//! The calls a reader makes, each tried again until it works or can never work.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Shard, ShardIteratorType};
use millstream_core::{Clock, Duration, EventTime, Offset, ShardId, SourceError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::Settings;
use crate::aws::faults::{Call, Fault};

/// Records of one reply: the most that `GetRecords` gives.
const RECORDS_MAX: i32 = 10_000;
/// Shards of one reply of `ListShards`.
const SHARDS_MAX: i32 = 1000;
/// A reply may hold 10 MB, which takes its time on a thin line.
const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// One stream on a Kinesis server.
pub(super) struct StreamClient {
    client: Client,
    name: Option<String>,
    arn: Option<String>,
    /// For messages.
    what: String,
    clock: Arc<dyn Clock>,
    jitter: Mutex<SmallRng>,
}

/// A shard as the server lists it.
pub(super) struct ListedShard {
    pub(super) id: ShardId,
    pub(super) parents: Vec<ShardId>,
    pub(super) is_open: bool,
    /// Not above its first record.
    pub(super) starting: Option<Offset>,
    /// The first and the last hash of its partition keys.
    pub(super) hashes: Option<(u128, u128)>,
}

/// Where a shard's iterator points.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum IteratorStart {
    Beginning,
    Latest,
    At(EventTime),
    After(String),
}

impl StreamClient {
    /// A client; no call is made yet, except for credentials.
    pub(super) async fn connect(settings: &Settings, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            client: Client::new(&settings.access.config(TIMEOUT).await),
            // Either is enough; the ARN also reaches streams of other accounts.
            name: settings.arn.is_none().then(|| settings.name.clone()),
            arn: settings.arn.clone(),
            what: format!("Kinesis stream `{}`", settings.arn.as_ref().unwrap_or(&settings.name)),
            clock,
            jitter: Mutex::new(SmallRng::seed_from_u64(seed)),
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// All shards, closed ones included.
    pub(super) async fn list_shards(&self) -> Result<Vec<ListedShard>, SourceError> {
        let (mut shards, mut token, mut call) = (Vec::new(), None::<String>, Call::default());
        loop {
            let list = self.client.list_shards().max_results(SHARDS_MAX);
            let list = match &token {
                // A token names its stream by itself.
                Some(token) => list.next_token(token),
                None => list.set_stream_name(self.name.clone()).set_stream_arn(self.arn.clone()),
            };
            match list.send().await {
                Ok(page) => {
                    shards.extend(page.shards().iter().map(listed));
                    match page.next_token {
                        Some(next) => token = Some(next),
                        None => return Ok(shards),
                    }
                }
                Err(error) => match Fault::of(&error) {
                    Fault::ExpiredToken => (shards, token) = (Vec::new(), None),
                    fault => self.wait_or_fail(&mut call, fault).await?,
                },
            }
        }
    }

    /// The children of a shard, by listing.
    pub(super) async fn children(&self, parent: &ShardId) -> Result<Vec<(ShardId, Vec<ShardId>)>, SourceError> {
        let shards = self.list_shards().await?;
        Ok(shards.into_iter().filter(|shard| shard.parents.contains(parent)).map(|s| (s.id, s.parents)).collect())
    }

    /// An iterator; `None` where the shard is gone.
    pub(super) async fn iterator(&self, shard: &ShardId, start: &IteratorStart) -> Result<Option<String>, SourceError> {
        let mut call = Call::default();
        loop {
            let request = self
                .client
                .get_shard_iterator()
                .set_stream_name(self.name.clone())
                .set_stream_arn(self.arn.clone())
                .shard_id(shard.as_str());
            let request = match start {
                IteratorStart::Beginning => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                IteratorStart::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
                IteratorStart::At(at) => {
                    request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(at.0))
                }
                IteratorStart::After(sequence) => request
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .starting_sequence_number(sequence),
            };
            match request.send().await {
                Ok(reply) => return Ok(reply.shard_iterator),
                Err(error) => match Fault::of(&error) {
                    Fault::Missing(_) if self.is_gone(shard).await? => return Ok(None),
                    fault => self.wait_or_fail(&mut call, fault).await?,
                },
            }
        }
    }

    /// One page of records.
    pub(super) async fn records(&self, iterator: &str, call: &mut Call) -> Result<Page, SourceError> {
        loop {
            let request = self.client.get_records().shard_iterator(iterator).limit(RECORDS_MAX);
            match request.set_stream_arn(self.arn.clone()).send().await {
                Ok(page) => {
                    call.worked();
                    return Ok(Page::Records(Box::new(page)));
                }
                Err(error) => match Fault::of(&error) {
                    Fault::ExpiredIterator => return Ok(Page::Expired),
                    Fault::Missing(_) => return Ok(Page::Missing),
                    fault => self.wait_or_fail(call, fault).await?,
                },
            }
        }
    }

    /// Whether retention has taken a shard; fails where the whole stream is gone.
    pub(super) async fn is_gone(&self, shard: &ShardId) -> Result<bool, SourceError> {
        Ok(!self.list_shards().await?.iter().any(|listed| listed.id == *shard))
    }

    /// Waits before the next try, or gives up.
    async fn wait_or_fail(&self, call: &mut Call, fault: Fault) -> Result<(), SourceError> {
        let what = || self.what.clone();
        let (reason, least) = match fault {
            Fault::Retry { reason, least } => (reason, least),
            Fault::ExpiredToken | Fault::ExpiredIterator => return Ok(()),
            Fault::Missing(reason) => {
                let remedy = format!("check its name, region and endpoint ({reason})");
                return Err(SourceError::NotFound { what: what(), remedy });
            }
            Fault::Permanent(reason) => return Err(SourceError::Failed { what: what(), reason }),
        };
        let jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>();
        let wait = call.failed(least, jitter);
        tracing::warn!(stream = self.what, tries = call.tries(), wait_ms = wait.0, reason, "trying again");
        self.clock.sleep(wait).await;
        Ok(())
    }

    /// Waits until `length` has passed since `since`.
    pub(super) async fn pace(&self, since: EventTime, length: Duration) {
        let rest = length.0 - (self.clock.now() - since).0;
        if rest > 0 {
            self.clock.sleep(Duration(rest)).await;
        }
    }
}

/// What `GetRecords` answered.
pub(super) enum Page {
    Records(Box<GetRecordsOutput>),
    /// The iterator is too old.
    Expired,
    /// The shard or the stream is not there.
    Missing,
}

fn listed(shard: &Shard) -> ListedShard {
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id].into_iter().flatten();
    let range = shard.sequence_number_range.as_ref();
    ListedShard {
        id: ShardId::from(shard.shard_id.as_str()),
        parents: parents.map(|parent| ShardId::from(parent.as_str())).collect(),
        is_open: range.is_none_or(|range| range.ending_sequence_number.is_none()),
        starting: range.and_then(|range| Offset::parse(&range.starting_sequence_number, 0).ok()),
        hashes: shard
            .hash_key_range
            .as_ref()
            .and_then(|range| Some((range.starting_hash_key.parse().ok()?, range.ending_hash_key.parse().ok()?))),
    }
}
