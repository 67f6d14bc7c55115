//! Pausing, resuming and dropping queries, and stopping the whole engine.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::TrySendError;
use millstream_core::{Duration, EventTime, Offset, Offsets, ShardId};
use millstream_sql::{QueryAction, SqlError};
use tokio::sync::oneshot;

use crate::checkpoint::savepoint_folder;
use crate::durable::SourcePoint;
use crate::engine::{Inner, Query, QueryState, Running};
use crate::message::{LaneId, QueryId, Said, ToCloser, ToWorker};
use crate::start::FULL_INBOX;

/// How often a query that replaces another is looked at.
const CATCHING_UP: Duration = Duration(200);
/// How long sinks have to complete their files when the service stops.
const SINK_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last checkpoint may take when the service stops; with [`SINK_PATIENCE`] below what a container is given.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

/// What makes a query paused when it is read at the next start.
fn pause_of(name: &str) -> String {
    // The file that defines it may be gone by then.
    format!("ALTER QUERY IF EXISTS \"{}\" PAUSE", name.replace('"', "\"\""))
}

fn remember_pause(state: &mut Running, name: &str) {
    let pause = pause_of(name);
    if !state.definitions.iter().any(|(_, statement)| *statement == pause) {
        state.definitions.push((name.to_owned(), pause));
    }
}

impl Inner {
    pub(crate) async fn pause(self: &Arc<Self>, name: &str) -> Result<(), SqlError> {
        let is_shared = self.lock().shared.contains_key(name);
        if is_shared {
            remember_pause(&mut self.lock(), name);
            self.pause_shared(name).await;
            return Ok(());
        }
        let answers = {
            let mut state = self.lock();
            let query = state.queries.get(name).ok_or_else(|| SqlError::new(format!("there is no query `{name}`")))?;
            if !matches!(*query.state.borrow(), QueryState::Running) {
                return Err(SqlError::new(format!("`{name}` is not running")));
            }
            query.state.send_replace(QueryState::Paused);
            let id = query.id;
            remember_pause(&mut state, name);
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
            query.resume.since = Some(query.since);
        }
        // What was read is kept, however long the pause is.
        if self.settings.checkpoints.is_some() {
            self.checkpoint(name, None).await?;
        }
        Ok(())
    }

    pub(crate) fn resume(self: &Arc<Self>, name: &str) -> Result<(), SqlError> {
        let mut state = self.lock();
        self.resume_locked(&mut state, name)
    }

    fn resume_locked(self: &Arc<Self>, state: &mut Running, name: &str) -> Result<(), SqlError> {
        if state.shared.contains_key(name) {
            let paused = pause_of(name);
            self.resume_shared(state, name)?;
            state.definitions.retain(|(_, statement)| *statement != paused);
            return Ok(());
        }
        let query = state.queries.get(name).ok_or_else(|| SqlError::new(format!("there is no query `{name}`")))?;
        if matches!(*query.state.borrow(), QueryState::Failed(_)) {
            return self.start_again(state, name);
        }
        if !matches!(*query.state.borrow(), QueryState::Paused) {
            return Err(SqlError::new(format!("`{name}` is not paused")));
        }
        // Until every worker has said how far it read, nobody knows where to go on.
        if query.is_pausing {
            return Err(SqlError::new(format!("`{name}` is still being paused")).hint("try again in a moment"));
        }
        query.state.send_replace(QueryState::Running);
        let paused = pause_of(name);
        state.definitions.retain(|(_, statement)| *statement != paused);
        self.start_readers(state, &[name.to_owned()])
    }

    /// Pauses a query before its readers have started: it was paused when the last process stopped.
    pub(crate) fn stay_paused(state: &mut Running, name: &str, started: &mut Vec<String>) {
        started.retain(|starting| starting != name);
        if let Some(query) = state.queries.get(name) {
            query.state.send_replace(QueryState::Paused);
        }
        remember_pause(state, name);
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
                remember_pause(state, name);
                let engine = Arc::clone(self);
                let name = name.to_owned();
                self.runner.task(Box::pin(async move {
                    if let Err(error) = engine.pause(&name).await {
                        tracing::warn!(query = %name, %error, "a query was not paused");
                    }
                }));
                Ok(())
            }
        }
    }

    /// A checkpoint that nothing comes behind: the query stops, and its sink makes all visible that it has.
    pub(crate) async fn last_checkpoint(&self, name: &str) -> Result<u64, SqlError> {
        self.ask_checkpoint(name, true, None).await
    }

    /// Takes a checkpoint of a query now, and a savepoint of it if a name is given; answers its number.
    pub(crate) async fn checkpoint(&self, name: &str, savepoint: Option<String>) -> Result<u64, SqlError> {
        self.ask_checkpoint(name, false, savepoint).await
    }

    /// Keeps the state of a query under a name, whatever becomes of the query.
    pub(crate) async fn savepoint(&self, name: &str, savepoint: String) -> Result<u64, SqlError> {
        if self.lock().shared.contains_key(name) {
            return Err(SqlError::new(format!("`{name}` is shared: no process has all of its state"))
                .hint("copy the folder of its checkpoints while all processes are paused"));
        }
        if let Some(settings) = &self.settings.checkpoints {
            let there = settings.store.list(&savepoint_folder(&savepoint)).await;
            let there = there.map_err(|error| SqlError::new(format!("savepoints cannot be looked at: {error}")))?;
            if there.iter().any(|path| path.contains("/manifest-")) {
                return Err(SqlError::new(format!("there is a savepoint '{savepoint}' already"))
                    .hint(format!("choose another name, or remove its folder from {}", settings.store.location())));
            }
        }
        self.checkpoint(name, Some(savepoint)).await
    }

    async fn ask_checkpoint(&self, name: &str, last: bool, savepoint: Option<String>) -> Result<u64, SqlError> {
        let (done, taken) = oneshot::channel();
        let mut message = Said { by: None, what: ToCloser::Checkpoint { last, savepoint, done } };
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

    /// Waits until the new query has come as far as the one it replaces, and lets it take over.
    pub(crate) fn replace_later(self: &Arc<Self>, name: &str) {
        let (engine, name, clock) = (Arc::downgrade(self), name.to_owned(), Arc::clone(&self.clock));
        self.runner.task(Box::pin(async move {
            loop {
                clock.sleep(CATCHING_UP).await;
                let Some(engine) = engine.upgrade() else { return };
                if engine.try_replace(&name) {
                    let done = Arc::clone(&engine);
                    let forgotten = tokio::task::spawn_blocking(move || done.forget_former(&name));
                    if let Err(error) = forgotten.await {
                        tracing::warn!(%error, "the state of a replaced query was not removed");
                    }
                    return;
                }
            }
        }));
    }

    /// Replaces a query if the new one has caught up. Answers whether nothing is left to be done.
    fn try_replace(self: &Arc<Self>, name: &str) -> bool {
        let mut state = self.lock();
        let key = crate::execute::successor(name);
        let Some(new) = state.queries.get(&key) else { return true };
        let has_ended = |query: &Query| matches!(*query.state.borrow(), QueryState::Failed(_) | QueryState::Finished);
        match state.queries.get(name) {
            // A query that failed does not take the place of one that works.
            Some(old) if !has_ended(old) => {
                let is_behind = new.stats.watermark() < old.stats.watermark() || new.stats.shards().is_empty();
                if is_behind && !matches!(*new.state.borrow(), QueryState::Finished) {
                    return matches!(*new.state.borrow(), QueryState::Failed(_));
                }
            }
            Some(_) | None => {}
        }
        let Some(mut new) = state.queries.remove(&key) else { return true };
        if let Some(old) = state.queries.get(name).and_then(|old| old.table.clone())
            && new.table.as_ref().is_some_and(|table| old.is_like(table))
        {
            new.table = Some(Arc::clone(&old));
            self.tell_closer(&new, ToCloser::TakeOver(old));
        }
        self.drop_query(&mut state, name);
        tracing::info!(query = name, "the new query has caught up and takes the place of the old one");
        state.queries.insert(name.to_owned(), new);
        true
    }

    /// Removes the state of the query that was replaced.
    fn forget_former(&self, name: &str) {
        let folder = self.lock().queries.get(name).and_then(|query| query.folder.clone());
        if folder.is_some() {
            self.forget_state(name, folder.as_deref());
        }
    }

    /// Sends a message to a closer, if need be once there is room in its inbox.
    pub(crate) fn tell_closer(&self, query: &Query, what: ToCloser) {
        let (closer, clock) = (query.closer.clone(), Arc::clone(&self.clock));
        let mut message = Said { by: None, what };
        match closer.try_send(message) {
            Err(TrySendError::Full(back)) => message = back,
            // A closer that is gone has ended by itself.
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
        }
        self.runner.task(Box::pin(async move {
            while let Err(TrySendError::Full(back)) = closer.try_send(message) {
                message = back;
                clock.sleep(FULL_INBOX).await;
            }
        }));
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

    pub(crate) fn drop_query(self: &Arc<Self>, state: &mut Running, name: &str) {
        self.drop_shared(state, name);
        let Some(query) = state.queries.remove(name) else { return };
        self.leave_lanes(state, query.id, false);
        if let Some(writer) = &query.writer {
            writer.abort();
        }
        // It still takes what is before this.
        self.tell_closer(&query, ToCloser::Drop);
    }

    pub(crate) async fn shutdown(&self) {
        let shared: Vec<String> = {
            let mut state = self.lock();
            state.stopping = true;
            state.shared.keys().cloned().collect()
        };
        // While they read, for their readers take last checkpoints by themselves.
        let given_back = futures::future::join_all(shared.iter().map(|name| self.stop_sharing(name)));
        if tokio::time::timeout(LAST_CHECKPOINT.to_std(), given_back).await.is_err() {
            tracing::warn!("some leases were not given back in time; others take them when they expire");
        }
        let names: Vec<String> = {
            let state = self.lock();
            for lane in state.lanes.values() {
                lane.stop.send_replace(true);
            }
            let runs = |query: &Query| {
                query.writer.is_some() && !matches!(*query.state.borrow(), QueryState::Finished | QueryState::Failed(_))
            };
            state.queries.iter().filter(|(_, query)| runs(query)).map(|(name, _)| name.clone()).collect()
        };
        if self.settings.checkpoints.is_some() {
            let last = names.iter().map(|name| async move {
                if let Err(error) = self.last_checkpoint(name).await {
                    tracing::warn!(query = %name, %error, "the next start goes on from an older checkpoint");
                }
            });
            let last = futures::future::join_all(last);
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
