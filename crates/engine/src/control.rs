//! Pausing, resuming and dropping queries, and stopping the whole engine.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::TrySendError;
use millstream_core::{Duration, EventTime, Offset, Offsets, ShardId};
use millstream_sql::{QueryAction, SqlError};
use tokio::sync::oneshot;

use crate::durable::SourcePoint;
use crate::engine::{Inner, Query, QueryState, Running};
use crate::message::{LaneId, QueryId, Said, ToCloser, ToWorker};
use crate::start::FULL_INBOX;

/// How long sinks have to complete their files when the service stops.
const SINK_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last checkpoint may take when the service stops; with [`SINK_PATIENCE`] below what a container is given.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

impl Inner {
    pub(crate) async fn pause(self: &Arc<Self>, name: &str) -> Result<(), SqlError> {
        let answers = {
            let mut state = self.lock();
            let query = state.queries.get(name).ok_or_else(|| SqlError::new(format!("there is no query `{name}`")))?;
            if !matches!(*query.state.borrow(), QueryState::Running) {
                return Err(SqlError::new(format!("`{name}` is not running")));
            }
            query.state.send_replace(QueryState::Paused);
            let id = query.id;
            if let Some(query) = state.queries.get_mut(name) {
                query.is_pausing = true;
            }
            let answers = self.detach(id);
            self.leave_lanes(&mut state, id, true);
            answers
        };
        let mut read: HashMap<String, HashMap<ShardId, Offset>> = HashMap::new();
        for answer in answers {
            let offsets = answer.await.map_err(|_| SqlError::new("a worker stopped while the query was paused"))?;
            for (source, offsets) in offsets {
                let shards = offsets.iter().map(|(shard, offset)| (shard.clone(), offset.clone()));
                read.entry(source).or_default().extend(shards);
            }
        }
        if let Some(query) = self.lock().queries.get_mut(name) {
            query.is_pausing = false;
            let shards = query.stats.shards();
            let watermarks = |of: &str| -> HashMap<ShardId, EventTime> {
                let of_source = shards.iter().filter(|(source, ..)| source == of);
                of_source.map(|(_, shard, stats)| (shard.clone(), stats.watermark)).collect()
            };
            let point = |(source, shards): (String, HashMap<ShardId, Offset>)| {
                let (offsets, watermarks) = (shards.into_iter().collect(), watermarks(&source));
                (source, SourcePoint { offsets, watermarks })
            };
            query.resume.sources = read.into_iter().map(point).collect();
            query.resume.since = Some(query.started);
        }
        // What was read is kept, however long the pause is.
        if self.settings.checkpoints.is_some() {
            self.checkpoint(name, None).await?;
        }
        Ok(())
    }

    /// Takes a checkpoint of a query now, and a savepoint of it if a name is given; answers its number.
    pub(crate) async fn checkpoint(&self, name: &str, savepoint: Option<String>) -> Result<u64, SqlError> {
        let (done, taken) = oneshot::channel();
        let mut message = Said { by: None, what: ToCloser::Checkpoint { last: false, savepoint, done } };
        loop {
            let sent = {
                let state = self.lock();
                let query = state.queries.get(name);
                let query = query.ok_or_else(|| SqlError::new(format!("there is no query `{name}`")))?;
                query.closer.try_send(message)
            };
            match sent {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return Err(SqlError::new(format!("`{name}` has ended"))),
            }
            self.clock.sleep(FULL_INBOX).await;
        }
        let taken =
            taken.await.map_err(|_| SqlError::new(format!("`{name}` ended before the checkpoint was taken")))?;
        taken.map_err(|reason| SqlError::new(format!("no checkpoint of `{name}` was taken: {reason}")))
    }

    pub(crate) fn resume(self: &Arc<Self>, name: &str) -> Result<(), SqlError> {
        let mut state = self.lock();
        self.resume_locked(&mut state, name)
    }

    fn resume_locked(self: &Arc<Self>, state: &mut Running, name: &str) -> Result<(), SqlError> {
        let query = state.queries.get(name).ok_or_else(|| SqlError::new(format!("there is no query `{name}`")))?;
        if !matches!(*query.state.borrow(), QueryState::Paused) {
            return Err(SqlError::new(format!("`{name}` is not paused")));
        }
        // Until every worker has said how far it read, nobody knows where to go on.
        if query.is_pausing {
            return Err(SqlError::new(format!("`{name}` is still being paused")).hint("try again in a moment"));
        }
        query.state.send_replace(QueryState::Running);
        self.start_readers(state, &[name.to_owned()])
    }

    /// ALTER QUERY from SQL: pausing is asked for here and done by the time the workers have heard of it.
    pub(crate) fn alter(
        self: &Arc<Self>,
        state: &mut Running,
        name: &str,
        action: QueryAction,
    ) -> Result<(), SqlError> {
        match action {
            QueryAction::Resume => self.resume_locked(state, name),
            // Waits: taken by `execute`, outside the lock.
            QueryAction::Savepoint(_) => Ok(()),
            QueryAction::Pause => {
                let engine = Arc::clone(self);
                let name = name.to_owned();
                crate::threads::task(&self.runtime, async move {
                    if let Err(error) = engine.pause(&name).await {
                        tracing::warn!(query = %name, %error, "a query was not paused");
                    }
                });
                Ok(())
            }
        }
    }

    /// A checkpoint that nothing comes behind: sinks make all visible that they have.
    async fn last_checkpoint(&self, name: &str) {
        let (done, taken) = oneshot::channel();
        let message = Said { by: None, what: ToCloser::Checkpoint { last: true, savepoint: None, done } };
        let closer = self.lock().queries.get(name).map(|query| query.closer.clone());
        let Some(closer) = closer else { return };
        let mut message = Some(message);
        while let Some(next) = message.take() {
            match closer.try_send(next) {
                Err(TrySendError::Full(back)) => {
                    message = Some(back);
                    self.clock.sleep(FULL_INBOX).await;
                }
                Err(TrySendError::Disconnected(_)) => return,
                Ok(()) => {}
            }
        }
        if let Ok(Err(reason)) = taken.await {
            tracing::warn!(query = name, %reason, "the last checkpoint was not taken");
        }
    }

    fn detach(&self, query: QueryId) -> Vec<oneshot::Receiver<Vec<(String, Offsets)>>> {
        let ask = |worker: &crossbeam_channel::Sender<ToWorker>| {
            let (answer, offsets) = oneshot::channel();
            let _ = worker.send(ToWorker::Detach { query, keep_state: true, offsets: Some(answer) });
            offsets
        };
        self.workers.iter().map(ask).collect()
    }

    /// Stops the readers that fed only this query.
    pub(crate) fn leave_lanes(&self, state: &mut Running, query: QueryId, keep_state: bool) {
        if !keep_state {
            self.tell_workers(|| ToWorker::Detach { query, keep_state: false, offsets: None });
        }
        let mut unread: Vec<LaneId> = Vec::new();
        for (id, lane) in &mut state.lanes {
            if lane.readers.remove(&query) && lane.readers.is_empty() {
                lane.stop.send_replace(true);
                unread.push(*id);
            }
        }
        for id in unread {
            state.lanes.remove(&id);
            self.tell_workers(|| ToWorker::CloseLane { lane: id });
        }
    }

    /// A lane has caught up: its queries belong to the main lane, and its reader ends.
    pub(crate) fn promote(&self, lane: LaneId) {
        let mut state = self.lock();
        let Some(merged) = state.lanes.remove(&lane) else { return };
        merged.stop.send_replace(true);
        let Some(merge) = merged.merge else { return };
        if let Some(main) = state.lanes.get_mut(&merge.into) {
            main.readers.extend(merged.readers);
        }
        self.tell_workers(|| ToWorker::Promote { lane, into: merge.into });
    }

    pub(crate) fn drop_query(&self, state: &mut Running, name: &str) {
        let Some(query) = state.queries.remove(name) else { return };
        self.leave_lanes(state, query.id, false);
        if let Some(writer) = query.writer {
            writer.abort();
        }
        let (closer, clock) = (query.closer, Arc::clone(&self.clock));
        crate::threads::task(&self.runtime, async move {
            let mut message = Said { by: None, what: ToCloser::Drop };
            // It still takes what is before this; a closer that is gone has ended by itself.
            while let Err(TrySendError::Full(back)) = closer.try_send(message) {
                message = back;
                clock.sleep(FULL_INBOX).await;
            }
        });
    }

    pub(crate) async fn shutdown(&self) {
        let names: Vec<String> = {
            let mut state = self.lock();
            state.stopping = true;
            for lane in state.lanes.values() {
                lane.stop.send_replace(true);
            }
            let runs = |query: &&Query| !matches!(*query.state.borrow(), QueryState::Finished | QueryState::Failed(_));
            state.queries.values().filter(runs).map(|query| query.plan.name.clone()).collect()
        };
        if self.settings.checkpoints.is_some() {
            let last = futures::future::join_all(names.iter().map(|name| self.last_checkpoint(name)));
            if tokio::time::timeout(LAST_CHECKPOINT.to_std(), last).await.is_err() {
                tracing::warn!("the last checkpoint took too long; the next start goes on from the one before");
            }
        }
        for query in self.lock().queries.values() {
            let stop = Said { by: None, what: ToCloser::Stop };
            let _ = query.closer.send_timeout(stop, std::time::Duration::from_secs(1));
        }
        self.tell_workers(|| ToWorker::Stop);
        // Real time, not the engine's clock: that of a replay stands still once its records have been read.
        let mut open = self.open_sinks.subscribe();
        if tokio::time::timeout(SINK_PATIENCE.to_std(), open.wait_for(|open| *open == 0)).await.is_err() {
            tracing::warn!("a sink did not complete its files in time; they stay in progress");
        }
    }
}
