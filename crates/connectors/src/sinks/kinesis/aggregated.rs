//! Rows packed as the KPL packs them: one record of the stream for many rows of one shard.
//!
//! All waiting rows of a key go into one aggregate, so that they are stored together or not at all. A consumer drops
//! the rows of an aggregate that do not belong in the shard it is in (the KCL does): so rows are packed by shard, as of
//! the last listing, and what turns up in another one is listed and sent again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_core::{BoxFuture, Duration};

use super::client::{Put, PutClient};
use super::shards::ShardMap;
use crate::aws::faults::Fault;
use crate::kpl::{Aggregate, Aggregator};
use crate::sinks::delivery::{Outcome, Record, Run, Service};

/// Where an aggregate ends: the KPL's default.
const AGGREGATE_BYTES_MAX: usize = 51_200;
/// Rows of a key that go together, so that they fit in one aggregate.
pub(super) const RUN_BYTES_MAX: usize = 48 << 10;
/// What an aggregate adds to a row, at most: tags and lengths of its fields.
const ROW_BYTES: usize = 24;
/// Records of one call.
const PUT_RECORDS_MAX: usize = 500;
/// A run that has turned up elsewhere so often goes into an aggregate of its own, which is right wherever it is: the
/// stream's listing and its answers do not agree.
const MISPLACED_MAX: u32 = 3;

pub(super) struct Aggregated {
    client: PutClient,
    /// `None`: to be listed.
    shards: Mutex<Option<Arc<ShardMap>>>,
}

/// A record of the stream, and the runs in it.
struct Packed {
    /// Where it belongs; `None` where that does not matter: all its rows have one key.
    shard: Option<String>,
    key: String,
    data: Bytes,
    runs: Vec<usize>,
}

/// An aggregate to be.
#[derive(Default)]
struct Open {
    aggregator: Aggregator,
    runs: Vec<usize>,
}

impl Aggregated {
    pub(super) fn new(client: PutClient) -> Self {
        Self { client, shards: Mutex::default() }
    }

    async fn shards(&self) -> Result<Arc<ShardMap>, Fault> {
        let known = self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(shards) = known {
            return Ok(shards);
        }
        let shards = Arc::new(ShardMap::of(&self.client.list_shards().await?));
        *self.shards.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shards));
        Ok(shards)
    }

    /// The stream is listed anew, unless that was done since `stale` was.
    fn forget(&self, stale: &Arc<ShardMap>) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if shards.as_ref().is_some_and(|shards| Arc::ptr_eq(shards, stale)) {
            *shards = None;
        }
    }

    async fn put(&self, runs: &[Run]) -> Result<Vec<Outcome>, Fault> {
        let shards = self.shards().await?;
        let Some(packed) = pack(runs, &shards) else {
            self.forget(&shards);
            let reason = "no open shard is listed for some keys: the stream is being resharded".to_owned();
            return Err(Fault::Retry { reason, least: Duration(0) });
        };
        let mut outcomes = vec![Outcome::Stored; runs.len()];
        for part in packed.chunks(PUT_RECORDS_MAX) {
            let records = part.iter().map(|packed| (packed.key.clone(), packed.data.clone())).collect();
            let put = match self.client.put(records).await {
                Ok(put) => put,
                // What other calls have stored is stored.
                Err(Fault::Retry { reason, .. }) => part.iter().map(|_| Put::Failed(reason.clone())).collect(),
                Err(fault) => return Err(fault),
            };
            for (packed, put) in part.iter().zip(put) {
                let reason = match put {
                    Put::Failed(reason) => reason,
                    Put::Stored { shard: Some(shard) } if packed.shard.as_ref().is_some_and(|own| *own != shard) => {
                        self.forget(&shards);
                        format!("an aggregate is in {shard}: the stream has been resharded")
                    }
                    Put::Stored { .. } => continue,
                };
                packed.runs.iter().for_each(|run| outcomes[*run] = Outcome::Failed(reason.clone()));
            }
        }
        Ok(outcomes)
    }
}

/// The aggregates of runs; `None` where a key has no shard.
fn pack(runs: &[Run], shards: &ShardMap) -> Option<Vec<Packed>> {
    let (mut packed, mut open) = (Vec::new(), BTreeMap::<&str, Open>::new());
    let mut close = |shard: &str, open: &mut Open| {
        let Open { mut aggregator, runs: indices } = std::mem::take(open);
        let shard = (indices.len() > 1).then(|| shard.to_owned());
        // One row alone is a plain record, as the KPL has it.
        if let ([index], 1) = (indices.as_slice(), aggregator.records()) {
            let Record { key, data } = &runs[*index].records[0];
            packed.push(Packed { shard, key: key.to_string(), data: data.clone(), runs: indices });
        } else if let Some(Aggregate { partition_key, data }) = aggregator.take() {
            packed.push(Packed { shard, key: partition_key, data: data.into(), runs: indices });
        }
    };
    for (index, run) in runs.iter().enumerate() {
        let shard = shards.shard_of(&run.key)?;
        let add = |open: &mut Open| {
            run.records.iter().for_each(|record| open.aggregator.push(&run.key, record.data.clone(), &[]));
            open.runs.push(index);
        };
        if run.tries >= MISPLACED_MAX {
            let mut alone = Open::default();
            add(&mut alone);
            close(shard, &mut alone);
            continue;
        }
        let in_shard = open.entry(shard).or_default();
        let bytes = run.key.len() + run.records.iter().map(|record| record.data.len() + ROW_BYTES).sum::<usize>();
        if !in_shard.aggregator.is_empty() && in_shard.aggregator.bytes() + bytes > AGGREGATE_BYTES_MAX {
            close(shard, in_shard);
        }
        add(in_shard);
    }
    for (shard, mut open) in open {
        close(shard, &mut open);
    }
    Some(packed)
}

impl Service for Aggregated {
    fn what(&self) -> &str {
        self.client.what()
    }

    fn bytes(&self, record: &Record) -> usize {
        record.key.len() + record.data.len() + ROW_BYTES
    }

    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        Box::pin(self.put(runs))
    }
}
