//! Queries that several processes compute together, each some shards of a stream (docs/adr/0007).
//!
//! Here such a query is an instance for each shard whose lease this process has: an ordinary query that reads one shard,
//! with checkpoints of its own. [`Leases`] say which; `readers` starts and stops them; `instance` makes one, and
//! `hand_down` gives a shard's state to the shards it was split or merged into.

mod hand_down;
mod instance;
mod readers;

use std::sync::Arc;

use millstream_core::{Delivery, EventTime, Leases, ShardId};
use millstream_sql::{ContinuousQuery, SqlError, Target};
use tokio::sync::watch;

use crate::compile::Prepared;
use crate::engine::{Inner, Outcome, Query, QueryInfo, QueryState, Running};
use crate::stats::{QueryStats, ShardStats};
use readers::Readers;

/// A query over a shared table.
pub(crate) struct Shared {
    plan: ContinuousQuery,
    /// The table that is shared.
    source: String,
    started: EventTime,
    delivery: Delivery,
    state: watch::Sender<QueryState>,
    /// What instances counted that ended here.
    past: Arc<QueryStats>,
    /// True: the leases are to be given back.
    stop: watch::Sender<bool>,
    /// Ends when they are.
    running: watch::Receiver<()>,
}

/// The name of the instance that reads a shard.
fn instance_name(query: &str, shard: &ShardId) -> String {
    format!("{query}/{shard}")
}

impl Inner {
    /// What is wrong with sharing a query, and what shares it; `None`: it is not shared here.
    pub(crate) fn leases_of(
        &self,
        state: &Running,
        query: &ContinuousQuery,
    ) -> Result<Option<Box<dyn Leases>>, SqlError> {
        let Some(sharded) = &query.pipeline.sharded else { return Ok(None) };
        let table = query.pipeline.tables().find(|table| table.decl.name == sharded.table);
        let Some(table) = table else { return Ok(None) };
        let leases = self.connectors.leases(&table.decl).map_err(|error| SqlError::new(error.to_string()))?;
        let Some(leases) = leases else { return Ok(None) };
        if self.settings.checkpoints.as_ref().is_none_or(|checkpoints| checkpoints.shared.is_none()) {
            let hint = "configure checkpoints.shared_dir: s3://bucket/prefix, or a folder that all processes have";
            let message = "processes that share a query go on from each other's checkpoints, and none are shared here";
            return Err(SqlError::new(message).hint(hint));
        }
        if query.start.is_some() {
            let hint = "'source.init.position' says where shards begin that nobody has read";
            return Err(SqlError::new("a shared query goes on where its leases say: START FROM cannot").hint(hint));
        }
        if let Some((other, _)) = state.shared.iter().find(|(_, shared)| shared.source == sharded.table) {
            return Err(SqlError::new(format!("`{other}` reads `{}` by the same leases", sharded.table))
                .hint("declare the stream once more, as a table with another 'source.lease.table'"));
        }
        Ok(Some(leases))
    }

    /// Takes part in a query. `prepared` has shown that it can be run.
    pub(crate) fn share(
        self: &Arc<Self>,
        state: &mut Running,
        prepared: Prepared,
        leases: Box<dyn Leases>,
    ) -> Result<Outcome, SqlError> {
        let Prepared { plan, sink, .. } = prepared;
        let Some(sharded) = &plan.pipeline.sharded else {
            return Err(SqlError::new(format!("`{}` shares nothing", plan.name)));
        };
        let outcome = Outcome::Created { statement: plan.sql.clone(), kind: "query", name: plan.name.clone() };
        let (stop, _) = watch::channel(false);
        let (_, running) = watch::channel(());
        let mut shared = Shared {
            source: sharded.table.clone(),
            started: self.clock.now(),
            delivery: sink.map_or(Delivery::Nothing, |sink| sink.delivery()),
            state: watch::channel(QueryState::Running).0,
            past: Arc::default(),
            stop,
            running,
            plan,
        };
        self.run_leases(&mut shared, leases);
        state.shared.insert(shared.plan.name.clone(), shared);
        Ok(outcome)
    }

    fn run_leases(self: &Arc<Self>, shared: &mut Shared, leases: Box<dyn Leases>) {
        let (running, ended) = watch::channel(());
        shared.running = ended;
        shared.stop.send_replace(false);
        shared.state.send_replace(QueryState::Running);
        let readers =
            Readers::new(self, &shared.plan, &shared.source, shared.stop.subscribe(), Arc::clone(&shared.past));
        let (failing, query) = (shared.state.clone(), shared.plan.name.clone());
        self.runner.task(Box::pin(async move {
            if let Err(error) = leases.run(&readers).await {
                tracing::error!(query, %error, "a shared query stops here");
                readers.stop_all().await;
                failing.send_replace(QueryState::Failed(error.to_string()));
            }
            drop(running);
        }));
    }

    /// Gives back all leases of a query; its instances have taken last checkpoints then.
    pub(crate) async fn stop_sharing(&self, name: &str) {
        let running = {
            let state = self.lock();
            let Some(shared) = state.shared.get(name) else { return };
            shared.stop.send_replace(true);
            shared.running.clone()
        };
        ended(running).await;
    }

    /// Pauses this process's part: others take its shards.
    pub(crate) async fn pause_shared(&self, name: &str) {
        self.stop_sharing(name).await;
        if let Some(shared) = self.lock().shared.get(name) {
            shared.state.send_replace(QueryState::Paused);
        }
    }

    /// Takes part again.
    pub(crate) fn resume_shared(self: &Arc<Self>, state: &mut Running, name: &str) -> Result<(), SqlError> {
        let Some(mut shared) = state.shared.remove(name) else { return Ok(()) };
        let is_running = matches!(*shared.state.borrow(), QueryState::Running);
        let leases = if is_running { Ok(None) } else { self.leases_of(state, &shared.plan) };
        if let Ok(Some(leases)) = leases {
            self.run_leases(&mut shared, leases);
            state.shared.insert(name.to_owned(), shared);
            return Ok(());
        }
        state.shared.insert(name.to_owned(), shared);
        leases.and(Err(SqlError::new(format!("`{name}` is not paused"))))
    }

    /// Takes no part in a query any more. Its state stays: others go on with it.
    pub(crate) fn drop_shared(self: &Arc<Self>, state: &mut Running, name: &str) {
        let Some(shared) = state.shared.remove(name) else { return };
        shared.stop.send_replace(true);
        // The task has what it needs; who waits for it keeps the sender.
        self.runner.task(Box::pin(async move {
            ended(shared.running.clone()).await;
            drop(shared);
        }));
    }

    /// A reader of one shard has come to its end: all of it is kept, and nothing closes by it.
    pub(crate) async fn shard_ended(&self, lane: crate::message::LaneId) {
        let name = {
            let state = self.lock();
            let Some(readers) = state.lanes.get(&lane).map(|lane| &lane.readers) else { return };
            let instance = state.queries.iter().find(|(_, query)| readers.contains(&query.id));
            let Some((name, _)) = instance else { return };
            name.clone()
        };
        let taken = self.last_checkpoint(&name).await;
        let mut state = self.lock();
        let Some(query) = state.queries.get_mut(&name) else { return };
        match taken {
            Ok(_) => query.is_drained = true,
            Err(error) => {
                query.state.send_replace(QueryState::Failed(error.to_string()));
            }
        }
    }
}

/// Waits until the leases are given back.
async fn ended(mut running: watch::Receiver<()>) {
    // Nobody sends: this ends when the task drops its end.
    while running.changed().await.is_ok() {}
}

impl Running {
    /// Every query; the instances of a shared one together.
    pub(crate) fn infos(&self) -> Vec<QueryInfo> {
        let own = self.queries.iter().filter(|(_, query)| query.resume.only.is_none());
        let mut infos: Vec<QueryInfo> = own.map(|(name, query)| query.info(name)).collect();
        infos.extend(self.shared.iter().map(|(name, shared)| {
            let prefix = instance_name(name, &ShardId::from(""));
            let of_it = self.queries.iter().filter(|(key, _)| key.starts_with(&prefix));
            shared.info(name, of_it.map(|(_, query)| query))
        }));
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }
}

impl Shared {
    fn info<'a>(&self, name: &str, instances: impl Iterator<Item = &'a Query>) -> QueryInfo {
        let mut stats = QueryStats::default();
        stats.add(&self.past);
        let (mut watermark, mut newest) = (None, None);
        for instance in instances {
            stats.add(&instance.stats);
            stats.groups.add(instance.stats.groups.get());
            stats.open_windows.add(instance.stats.open_windows.get());
            stats.state_bytes.add(instance.stats.state_bytes.get());
            let own = instance.stats.watermark();
            watermark = Some(watermark.map_or(own, |least: EventTime| least.min(own)));
            let taken = instance.stats.checkpoints.newest().taken_at;
            if newest.as_ref().is_none_or(|(latest, _)| *latest < taken) {
                newest = Some((taken, Arc::clone(&instance.stats.checkpoints)));
            }
            for (source, shard, progress) in instance.stats.shards() {
                // Of its parents it only knows how far they had come.
                if instance.resume.only.as_ref() == Some(&shard) {
                    stats.set_shard(&source, &shard, ShardStats { holds_back: false, ..progress });
                }
            }
        }
        if let Some(watermark) = watermark {
            stats.set_watermark(watermark);
        }
        if let Some((_, checkpoints)) = newest {
            stats.checkpoints = checkpoints;
        }
        QueryInfo {
            name: name.to_owned(),
            sql: self.plan.sql.clone(),
            state: self.state.borrow().clone(),
            sources: vec![self.source.clone()],
            sink: match &self.plan.target {
                Target::Sink(table) => Some(table.decl.name.clone()),
                Target::LiveTable { .. } | Target::Client { .. } => None,
            },
            pipeline: Arc::clone(&self.plan.pipeline),
            stats: Arc::new(stats),
            started: self.started,
            delivery: self.delivery,
        }
    }
}
