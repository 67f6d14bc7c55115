//! Pausing, resuming and dropping queries, and stopping the whole engine.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_core::{Duration, Offset, Offsets, ShardId};
use millstream_sql::{QueryAction, SqlError};
use tokio::sync::oneshot;

use crate::engine::{Inner, QueryState, Running};
use crate::message::{LaneId, QueryId, ToCloser, ToWorker};

/// How long sinks have to complete their files when the service stops.
const SINK_PATIENCE: Duration = Duration::from_secs(8);

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
            query.paused_at =
                read.into_iter().map(|(source, shards)| (source, shards.into_iter().collect::<Offsets>())).collect();
        }
        Ok(())
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
            QueryAction::Savepoint(savepoint) => {
                Err(SqlError::new(format!("the savepoint '{savepoint}' of `{name}` cannot be taken"))
                    .hint("this engine keeps no state yet"))
            }
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
        // Its closer ends when the last sender is dropped, with the query here and in the workers.
        let _ = query.closer.try_send(ToCloser::Stop);
    }

    pub(crate) async fn shutdown(&self) {
        {
            let mut state = self.lock();
            state.stopping = true;
            for lane in state.lanes.values() {
                lane.stop.send_replace(true);
            }
            for query in state.queries.values() {
                let _ = query.closer.send_timeout(ToCloser::Stop, std::time::Duration::from_secs(1));
            }
        }
        self.tell_workers(|| ToWorker::Stop);
        // Real time, not the engine's clock: that of a replay stands still once its records have been read.
        let mut open = self.open_sinks.subscribe();
        if tokio::time::timeout(SINK_PATIENCE.to_std(), open.wait_for(|open| *open == 0)).await.is_err() {
            tracing::warn!("a sink did not complete its files in time; they stay in progress");
        }
    }
}
