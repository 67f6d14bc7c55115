//! What leases have read: instances of the query, by shard.

use std::sync::{Arc, Weak};

use millstream_core::{BoxFuture, LeasedShard, Offset, ShardId, ShardReaders, ShardReading};
use millstream_sql::ContinuousQuery;
use tokio::sync::watch;

use super::instance_name;
use crate::engine::{Inner, QueryState};
use crate::message::ToCloser;
use crate::stats::QueryStats;

/// The instances of one query in this process.
pub(super) struct Readers {
    engine: Weak<Inner>,
    plan: ContinuousQuery,
    source: String,
    stop: watch::Receiver<bool>,
    past: Arc<QueryStats>,
}

impl Readers {
    pub(super) fn new(
        engine: &Arc<Inner>,
        plan: &ContinuousQuery,
        source: &str,
        stop: watch::Receiver<bool>,
        past: Arc<QueryStats>,
    ) -> Self {
        Self { engine: Arc::downgrade(engine), plan: plan.clone(), source: source.to_owned(), stop, past }
    }

    fn name(&self, shard: &ShardId) -> String {
        instance_name(&self.plan.name, shard)
    }

    /// Stops every instance at a last checkpoint.
    pub(super) async fn stop_all(&self) {
        let prefix = self.name(&ShardId::from(""));
        let shards: Vec<ShardId> = {
            let Some(engine) = self.engine.upgrade() else { return };
            let state = engine.lock();
            let own = state.queries.iter().filter(|(name, _)| name.starts_with(&prefix));
            own.filter_map(|(_, query)| query.resume.only.clone()).collect()
        };
        for shard in shards {
            if let Err(reason) = self.stop(&shard).await {
                tracing::warn!(%shard, reason, "whoever reads the shard next goes on from an older checkpoint");
                self.abandon(&shard);
            }
        }
    }
}

impl ShardReaders for Readers {
    fn start(&self, shard: LeasedShard) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let Some(engine) = self.engine.upgrade() else { return Err("the service is stopping".to_owned()) };
            let (plan, source) = (self.plan.clone(), self.source.clone());
            // It reads checkpoints, which waits.
            let started = tokio::task::spawn_blocking(move || engine.start_shard(plan, &source, &shard));
            match started.await {
                Ok(started) => started.map_err(|error| error.to_string()),
                Err(broken) => Err(broken.to_string()),
            }
        })
    }

    fn stop<'a>(&'a self, shard: &'a ShardId) -> BoxFuture<'a, Result<Option<Offset>, String>> {
        Box::pin(async move {
            let Some(engine) = self.engine.upgrade() else { return Err("the service is stopping".to_owned()) };
            let name = self.name(shard);
            let stopped = engine.last_checkpoint(&name).await;
            let read = {
                let state = engine.lock();
                let Some(query) = state.queries.get(&name) else { return Err("it was not read".to_owned()) };
                // Read to its end, it has stopped by itself.
                if !query.is_drained {
                    stopped.map_err(|error| error.to_string())?;
                }
                query.stats.checkpoints.offset(shard)
            };
            self.abandon(shard);
            Ok(read)
        })
    }

    fn abandon(&self, shard: &ShardId) {
        let Some(engine) = self.engine.upgrade() else { return };
        let mut state = engine.lock();
        let Some(query) = state.queries.remove(&self.name(shard)) else { return };
        engine.leave_lanes(&mut state, query.id, false);
        if let Some(writer) = &query.writer {
            writer.abort();
        }
        self.past.add(&query.stats);
        // What was not part of a checkpoint is not shown: whoever reads the shard now gives it.
        engine.tell_closer(&query, ToCloser::Stop);
    }

    fn reading(&self, shard: &ShardId) -> ShardReading {
        let Some(engine) = self.engine.upgrade() else {
            return ShardReading::Failed("the service is stopping".to_owned());
        };
        let state = engine.lock();
        let Some(query) = state.queries.get(&self.name(shard)) else {
            return ShardReading::Failed("its instance is gone".to_owned());
        };
        match &*query.state.borrow() {
            _ if query.is_drained => ShardReading::Drained,
            QueryState::Failed(reason) => ShardReading::Failed(reason.clone()),
            QueryState::Running | QueryState::Paused | QueryState::Finished => {
                ShardReading::Reading(query.stats.checkpoints.offset(shard))
            }
        }
    }

    fn stopping(&self) -> BoxFuture<'_, ()> {
        let mut stop = self.stop.clone();
        Box::pin(async move {
            // A query that is gone is to stop as well.
            let _ = stop.wait_for(|stop| *stop).await;
        })
    }
}
