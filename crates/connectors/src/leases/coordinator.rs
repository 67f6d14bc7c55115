//! A worker's loop: renews what it holds, looks at the table, takes what it may, and gives back what others ask for.
//!
//! Readers are started and stopped beside the loop, for that may take long, and leases are to be renewed meanwhile. What
//! the table does not answer is asked again at the next look; a lease that could not be renewed for its duration is taken
//! for lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millstream_core::{
    BoxFuture, Clock, Duration, EventTime, LeasedShard, Offset, ShardId, ShardReaders, ShardReading, ShardStart,
};
use rand::rngs::SmallRng;

use super::lease::{Checkpoint, Lease};
use super::lifecycle::{StreamShard, done, missing, wants_children};
use super::rules::{Observed, Rules, Take};
use super::table::{LeaseTable, TableError};
use crate::sources::position::InitPosition;

/// How often the readers of held leases are looked at, at the most.
const LOOK: Duration = Duration(500);
/// How often the stream is listed while no shard ends: for leases that are missing.
const LIST_EVERY: Duration = Duration::from_secs(60);
/// Who asked for a lease waits for so many durations of it; then it takes it.
const HAND_OVER_DURATIONS: i64 = 3;
/// Leases that are written at the same time.
const PARALLEL_WRITES: usize = 16;

/// Lists the shards of the stream.
pub(crate) trait StreamShards: Send + Sync {
    fn list(&self) -> BoxFuture<'_, Result<Vec<StreamShard>, TableError>>;
}

/// What a coordinator is made of.
pub(crate) struct Worker<'a> {
    pub(crate) rules: Rules,
    pub(crate) position: InitPosition,
    pub(crate) table: &'a dyn LeaseTable,
    pub(crate) stream: &'a dyn StreamShards,
    pub(crate) readers: &'a dyn ShardReaders,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The loop's state.
pub(crate) struct Coordinator<'a> {
    worker: Worker<'a>,
    random: SmallRng,
    observed: Observed,
    held: BTreeMap<String, Held>,
    /// When leases were asked for that are not handed over yet.
    asked: BTreeMap<String, EventTime>,
    /// Leases whose readers failed are left to others until then.
    avoided: BTreeMap<String, EventTime>,
    jobs: FuturesUnordered<BoxFuture<'a, Done>>,
    next_job: u64,
    next_tick: EventTime,
    listed_at: Option<EventTime>,
}

/// A lease of this worker.
struct Held {
    /// As the table has it, as far as is known.
    lease: Lease,
    /// Before the last renewal that worked: others count from then or later.
    renewed: EventTime,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The job of this number starts its reader.
    Starting(u64),
    Reading,
    /// Its reader takes a last checkpoint.
    Stopping,
}

/// A job that is done.
enum Done {
    Started { key: String, shard: ShardId, job: u64, result: Result<(), String> },
    Stopped { key: String, result: Result<Option<Offset>, String> },
}

impl<'a> Coordinator<'a> {
    pub(crate) fn new(worker: Worker<'a>, random: SmallRng) -> Self {
        Self {
            worker,
            random,
            observed: Observed::default(),
            held: BTreeMap::new(),
            asked: BTreeMap::new(),
            avoided: BTreeMap::new(),
            jobs: FuturesUnordered::new(),
            next_job: 0,
            next_tick: EventTime::MIN,
            listed_at: None,
        }
    }

    /// Works until the readers are to stop; then gives all leases back.
    pub(crate) async fn run(mut self) -> Result<(), TableError> {
        let readers = self.worker.readers;
        let clock = Arc::clone(&self.worker.clock);
        let mut stopping = readers.stopping();
        while let Err(error) = self.worker.table.ensure().await {
            self.said(&error)?;
            tokio::select! {
                () = &mut stopping => return Ok(()),
                () = clock.sleep(Duration(self.every().0.min(LOOK.0))) => {}
            }
        }
        loop {
            if clock.now() >= self.next_tick {
                self.tick().await?;
                self.next_tick = clock.now() + self.every();
            }
            let wait = Duration((self.next_tick - clock.now()).0.clamp(1, LOOK.0));
            tokio::select! {
                biased;
                () = &mut stopping => break,
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.take(done).await?,
                () = clock.sleep(wait) => self.look().await?,
            }
        }
        self.give_all_back().await
    }

    /// How often leases are renewed.
    fn every(&self) -> Duration {
        Duration((self.worker.rules.duration.0 / 3).max(1))
    }

    /// Goes on after an error that may pass.
    fn said(&self, error: &TableError) -> Result<(), TableError> {
        match error {
            TableError::Retry(reason) => {
                tracing::warn!(
                    worker = self.worker.rules.worker,
                    reason,
                    "the lease table does not answer; trying again"
                );
                Ok(())
            }
            TableError::Permanent(_) => Err(error.clone()),
        }
    }

    async fn tick(&mut self) -> Result<(), TableError> {
        self.renew().await?;
        if !self.observe().await? {
            return Ok(());
        }
        if self.sync().await? && !self.observe().await? {
            return Ok(());
        }
        self.take_leases().await
    }

    /// Renews all leases, with the checkpoints their readers have come to.
    async fn renew(&mut self) -> Result<(), TableError> {
        let clock = Arc::clone(&self.worker.clock);
        let (table, readers) = (self.worker.table, self.worker.readers);
        let writes = self.held.iter().map(|(key, held)| {
            let after = match (held.state, readers.reading(&held.lease.shard)) {
                (State::Reading, ShardReading::Reading(Some(offset)))
                    if Checkpoint::At(offset.clone()) > held.lease.checkpoint =>
                {
                    held.lease.checkpointed(Checkpoint::At(offset))
                }
                _ => held.lease.renewed(),
            };
            let (key, before, clock) = (key.clone(), held.lease.clone(), Arc::clone(&clock));
            async move {
                let started = clock.now();
                let written = table.replace(&before, &after).await;
                (key, after, started, written)
            }
        });
        let written: Vec<_> =
            futures::stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(PARALLEL_WRITES).collect().await;
        for (key, after, started, written) in written {
            match written {
                Ok(true) => {
                    if let Some(held) = self.held.get_mut(&key) {
                        (held.lease, held.renewed) = (after, started);
                    }
                }
                // Somebody else has written it: the next look at the table says what.
                Ok(false) => {}
                Err(error) => self.said(&error)?,
            }
        }
        let (now, duration) = (clock.now(), self.worker.rules.duration);
        let lost: Vec<String> =
            self.held.iter().filter(|(_, held)| now - held.renewed > duration).map(|(key, _)| key.clone()).collect();
        for key in lost {
            self.lose(&key, "it could not be renewed in time");
        }
        Ok(())
    }

    /// Reads the table. Answers whether it could be read.
    async fn observe(&mut self) -> Result<bool, TableError> {
        let fresh = match self.worker.table.list().await {
            Ok(fresh) => fresh,
            Err(error) => return self.said(&error).map(|()| false),
        };
        let now = self.worker.clock.now();
        let me = self.worker.rules.worker.clone();
        self.observed.update(fresh, now);
        let held: Vec<String> = self.held.keys().cloned().collect();
        for key in held {
            match self.observed.get(&key).cloned() {
                Some(lease) if lease.is_read_by(&me) => {
                    let Some(held) = self.held.get_mut(&key) else { continue };
                    let is_asked_for = lease.checkpoint_owner.is_some();
                    held.lease = lease;
                    if is_asked_for && held.state == State::Reading {
                        self.stop(&key);
                    }
                }
                Some(_) => self.lose(&key, "another worker has taken it"),
                None => self.lose(&key, "it was removed"),
            }
        }
        let observed: Vec<Lease> = self.observed.leases().cloned().collect();
        for lease in observed {
            if lease.is_read_by(&me) && !lease.is_ended() && !self.held.contains_key(&lease.key) {
                self.asked.remove(&lease.key);
                if self.is_avoided(&lease.key) {
                    self.write(&lease, &lease.given_back(lease.checkpoint.clone())).await?;
                } else {
                    self.hold(lease);
                }
            }
        }
        Ok(true)
    }

    /// Makes leases that are missing and removes those that are done. Answers whether there are new ones.
    async fn sync(&mut self) -> Result<bool, TableError> {
        let now = self.worker.clock.now();
        let leases: Vec<Lease> = self.observed.leases().cloned().collect();
        let leases: Vec<&Lease> = leases.iter().collect();
        let is_due = self.listed_at.is_none_or(|at| now - at >= LIST_EVERY);
        let has_ended = leases.iter().any(|lease| lease.is_ended());
        if !is_due && !has_ended && !leases.is_empty() && !wants_children(&leases) {
            return Ok(false);
        }
        let shards = match self.worker.stream.list().await {
            Ok(shards) => shards,
            Err(error) => return self.said(&error).map(|()| false),
        };
        self.listed_at = Some(now);
        let new = missing(&shards, &leases, self.worker.position, now);
        for lease in &new {
            tracing::info!(shard = %lease.shard, checkpoint = lease.checkpoint.written().0, "a lease for a shard");
            if let Err(error) = self.worker.table.create(lease).await {
                self.said(&error)?;
            }
        }
        for lease in done(&shards, &leases) {
            if let Err(error) = self.worker.table.delete(lease).await {
                self.said(&error)?;
            }
        }
        Ok(!new.is_empty())
    }

    async fn take_leases(&mut self) -> Result<(), TableError> {
        let now = self.worker.clock.now();
        let me = self.worker.rules.worker.clone();
        let patience = Duration(self.worker.rules.duration.0 * HAND_OVER_DURATIONS);
        let overdue = self.asked.iter().filter(|(_, at)| now - **at > patience).map(|(key, _)| key.clone());
        for key in overdue.collect::<Vec<_>>() {
            self.asked.remove(&key);
            let lease = self.observed.get(&key).cloned();
            if let Some(lease) = lease.filter(|lease| lease.owner.as_deref() == Some(&me)) {
                self.take_lease(lease).await?;
            }
        }
        for take in self.observed.to_take(&self.worker.rules, now, &mut self.random) {
            match take {
                Take::Free(lease) if self.is_avoided(&lease.key) || self.held.contains_key(&lease.key) => {}
                Take::Free(lease) => self.take_lease(lease).await?,
                Take::Steal(lease) => {
                    if self.is_avoided(&lease.key) {
                        continue;
                    }
                    let from = lease.owner.as_deref().unwrap_or_default();
                    tracing::info!(shard = %lease.shard, from, "asking for a lease, to have a fair share");
                    if self.write(&lease, &lease.asked_for_by(&me)).await? {
                        self.asked.insert(lease.key.clone(), now);
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_lease(&mut self, lease: Lease) -> Result<(), TableError> {
        let taken = lease.taken_by(&self.worker.rules.worker);
        if self.write(&lease, &taken).await? {
            self.hold(taken);
        }
        Ok(())
    }

    async fn write(&mut self, before: &Lease, after: &Lease) -> Result<bool, TableError> {
        match self.worker.table.replace(before, after).await {
            Ok(written) => Ok(written),
            Err(error) => self.said(&error).map(|()| false),
        }
    }

    fn is_avoided(&mut self, key: &str) -> bool {
        let now = self.worker.clock.now();
        self.avoided.retain(|_, until| *until > now);
        self.avoided.contains_key(key)
    }

    /// Has the shard of a lease read.
    fn hold(&mut self, lease: Lease) {
        let renewed = self.worker.clock.now();
        let start = match (&lease.checkpoint, lease.since) {
            (Checkpoint::At(offset), _) => ShardStart::After(offset.clone()),
            (Checkpoint::Latest, Some(since)) => ShardStart::At(since),
            (Checkpoint::Latest, None) => ShardStart::Latest,
            (Checkpoint::AtTimestamp, _) => ShardStart::Configured,
            (Checkpoint::TrimHorizon | Checkpoint::ShardEnd, _) => ShardStart::Beginning,
        };
        let (key, shard, job) = (lease.key.clone(), lease.shard.clone(), self.next_job);
        self.next_job += 1;
        let hashes = |parent: &ShardId| self.observed.leases().find(|lease| lease.shard == *parent)?.hashes;
        let parents = lease.parents.iter().map(|parent| (parent.clone(), hashes(parent))).collect();
        let leased = LeasedShard { shard: shard.clone(), parents, hashes: lease.hashes, start };
        self.held.insert(key.clone(), Held { lease, renewed, state: State::Starting(job) });
        let started = self.worker.readers.start(leased);
        self.jobs.push(Box::pin(async move { Done::Started { key, shard, job, result: started.await } }));
    }

    fn stop(&mut self, key: &str) {
        let Some(held) = self.held.get_mut(key) else { return };
        held.state = State::Stopping;
        let (key, shard, readers) = (key.to_owned(), held.lease.shard.clone(), self.worker.readers);
        self.jobs.push(Box::pin(async move { Done::Stopped { result: readers.stop(&shard).await, key } }));
    }

    fn lose(&mut self, key: &str, why: &str) {
        let Some(held) = self.held.remove(key) else { return };
        tracing::warn!(shard = %held.lease.shard, why, "a lease is lost");
        if held.state == State::Reading {
            self.worker.readers.abandon(&held.lease.shard);
        }
    }

    async fn take(&mut self, done: Done) -> Result<(), TableError> {
        match done {
            Done::Started { key, shard, job, result } => {
                match (self.held.get_mut(&key), result) {
                    (Some(held), Ok(())) if held.state == State::Starting(job) => held.state = State::Reading,
                    (Some(held), Err(reason)) if held.state == State::Starting(job) => {
                        self.failed(&key, &reason).await?;
                    }
                    // It was lost meanwhile.
                    (None, Ok(())) => self.worker.readers.abandon(&shard),
                    _ => {}
                }
            }
            Done::Stopped { key, result } => match result {
                Ok(offset) => {
                    let Some(held) = self.held.remove(&key) else { return Ok(()) };
                    let checkpoint = offset.map_or_else(|| held.lease.checkpoint.clone(), Checkpoint::At);
                    self.give_back(held.lease, checkpoint).await?;
                }
                Err(reason) => self.failed(&key, &reason).await?,
            },
        }
        Ok(())
    }

    /// Looks at the readers.
    async fn look(&mut self) -> Result<(), TableError> {
        let read = |held: &Held| (held.state == State::Reading).then(|| self.worker.readers.reading(&held.lease.shard));
        let readings: Vec<(String, ShardReading)> =
            self.held.iter().filter_map(|(key, held)| Some((key.clone(), read(held)?))).collect();
        for (key, reading) in readings {
            match reading {
                ShardReading::Reading(_) => {}
                ShardReading::Drained => {
                    let Some(held) = self.held.remove(&key) else { continue };
                    self.worker.readers.abandon(&held.lease.shard);
                    tracing::info!(shard = %held.lease.shard, "a shard has been read to its end");
                    self.give_back(held.lease, Checkpoint::ShardEnd).await?;
                    // Its children are waiting.
                    self.next_tick = EventTime::MIN;
                }
                ShardReading::Failed(reason) => self.failed(&key, &reason).await?,
            }
        }
        Ok(())
    }

    /// A reader cannot go on: others may try, and this worker later.
    async fn failed(&mut self, key: &str, reason: &str) -> Result<(), TableError> {
        let Some(held) = self.held.remove(key) else { return Ok(()) };
        tracing::error!(shard = %held.lease.shard, reason, "a shard is not read here; its lease is given back");
        self.worker.readers.abandon(&held.lease.shard);
        let until = self.worker.clock.now() + self.worker.rules.duration;
        self.avoided.insert(key.to_owned(), until);
        let checkpoint = held.lease.checkpoint.clone();
        self.give_back(held.lease, checkpoint).await
    }

    /// Gives a lease back. One that was asked for meanwhile has another counter: then who asked is to get it.
    async fn give_back(&mut self, lease: Lease, checkpoint: Checkpoint) -> Result<(), TableError> {
        if self.write(&lease, &lease.given_back(checkpoint.clone())).await? {
            return Ok(());
        }
        let Ok(fresh) = self.worker.table.list().await else { return Ok(()) };
        let me = &self.worker.rules.worker;
        let fresh = fresh.into_iter().find(|fresh| fresh.key == lease.key && fresh.is_read_by(me));
        if let Some(fresh) = fresh {
            self.write(&fresh, &fresh.given_back(checkpoint)).await?;
        }
        Ok(())
    }

    async fn give_all_back(mut self) -> Result<(), TableError> {
        let keys: Vec<String> = self.held.keys().cloned().collect();
        for key in &keys {
            if self.held.get(key).is_some_and(|held| held.state == State::Reading) {
                self.stop(key);
            }
        }
        while let Some(done) = self.jobs.next().await {
            if let Done::Started { key, result: Ok(()), .. } = &done {
                let key = key.clone();
                self.take(done).await?;
                self.stop(&key);
            } else {
                self.take(done).await?;
            }
        }
        Ok(())
    }
}
