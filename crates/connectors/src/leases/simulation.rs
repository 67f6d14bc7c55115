//! Workers that share a stream, stepped by one seed: they are killed, stand still, join and leave, answers of the table
//! are late or lost, and shards split and merge meanwhile. `MILLSTREAM_SIMULATION_SEED=7` runs one seed, and
//! `MILLSTREAM_SIMULATION_SEEDS=20000` more than CI does.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use millstream_core::{
    BoxFuture, Clock, Duration, EventTime, LeasedShard, Offset, ShardId, ShardReaders, ShardReading,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::coordinator::{Coordinator, StreamShards, Worker};
use super::lease::Lease;
use super::lifecycle::StreamShard;
use super::rules::Rules;
use super::table::{LeaseTable, TableError};
use crate::sources::position::InitPosition;

const DURATION: Duration = Duration::from_secs(10);
/// Of virtual time.
const STEP: Duration = Duration(50);
/// Calls take up to this long.
const SLOWEST_CALL_MS: i64 = 300;
/// How long a shard may stand still after its reader has died: its lease expires, somebody looks, takes and starts. Where
/// it was just being handed over to the dead, that has first to be done, at a look more.
const SERVED_AGAIN: Duration = Duration(10_000 + 4 * 3_334 + 3_000);
const SEEDS: u64 = 150;

struct World {
    now: i64,
    random: SmallRng,
    timers: Vec<(i64, Waker)>,
    /// Of a thousand calls so many are not done, or done without an answer.
    faults: u32,
    leases: BTreeMap<String, Lease>,
    shards: BTreeMap<ShardId, Shard>,
}

/// A shard, and the checkpoints of it.
struct Shard {
    listed: StreamShard,
    records: u64,
    /// Who may write the next checkpoint.
    claim: u64,
    read: u64,
    is_drained: bool,
    /// When somebody last wrote a checkpoint, or it could first be read.
    served: EventTime,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    async fn dawdle(&self) {
        let length = self.lock().random.random_range(0..SLOWEST_CALL_MS);
        self.sleep(Duration(length)).await;
    }

    /// A call of the table, that may be lost on its way there or back.
    async fn call<T>(&self, work: impl FnOnce(&mut World) -> T) -> Result<T, TableError> {
        self.dawdle().await;
        let mut world = self.lock();
        let (fault, faults) = (world.random.random_range(0..1000), world.faults);
        let lost = || Err(TableError::Retry("lost".to_owned()));
        if fault < faults {
            return lost();
        }
        let done = work(&mut world);
        if fault < 2 * faults { lost() } else { Ok(done) }
    }
}

impl Clock for Shared {
    fn now(&self) -> EventTime {
        EventTime(self.lock().now)
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        let (shared, until) = (self.clone(), self.lock().now + length.0);
        Box::pin(std::future::poll_fn(move |context| {
            let mut world = shared.lock();
            if world.now >= until {
                return Poll::Ready(());
            }
            world.timers.push((until, context.waker().clone()));
            Poll::Pending
        }))
    }
}

impl StreamShards for Shared {
    fn list(&self) -> BoxFuture<'_, Result<Vec<StreamShard>, TableError>> {
        Box::pin(self.call(|world| world.shards.values().map(|shard| shard.listed.clone()).collect()))
    }
}

impl LeaseTable for Shared {
    fn ensure(&self) -> BoxFuture<'_, Result<(), TableError>> {
        Box::pin(self.call(|_| ()))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Lease>, TableError>> {
        Box::pin(self.call(|world| world.leases.values().cloned().collect()))
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(self.call(|world| {
            world.leases.entry(lease.key.clone()).or_insert_with(|| lease.clone());
        }))
    }

    fn replace<'a>(&'a self, before: &'a Lease, after: &'a Lease) -> BoxFuture<'a, Result<bool, TableError>> {
        Box::pin(self.call(|world| {
            let Some(lease) = world.leases.get_mut(&after.key) else { return false };
            if lease.counter == before.counter {
                *lease = after.clone();
            }
            lease.counter == after.counter && lease.owner == after.owner
        }))
    }

    fn delete<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(self.call(|world| {
            if world.leases.get(&lease.key).is_some_and(|found| found.counter == lease.counter) {
                world.leases.remove(&lease.key);
            }
        }))
    }
}

/// The readers of one worker: each has claimed its shard.
struct Readers {
    world: Shared,
    reading: Mutex<BTreeMap<ShardId, u64>>,
    told_to_stop: Arc<Mutex<bool>>,
}

impl Readers {
    /// Reads some records of each shard and writes checkpoints, where it is still the one that may.
    fn work(&self) {
        let mut world = self.world.lock();
        let now = EventTime(world.now);
        for (id, claim) in self.reading.lock().unwrap().iter() {
            let shard = world.shards.get_mut(id).unwrap();
            if shard.claim == *claim {
                shard.read = shard.records.min(shard.read + 7);
                shard.is_drained = !shard.listed.is_open && shard.read == shard.records;
                shard.served = now;
            }
        }
    }
}

impl ShardReaders for Readers {
    fn start(&self, leased: LeasedShard) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.world.dawdle().await;
            let mut world = self.world.lock();
            for (parent, _) in &leased.parents {
                assert!(world.shards[parent].is_drained, "{} is read before its parent {parent}", leased.shard);
            }
            let shard = world.shards.get_mut(&leased.shard).unwrap();
            shard.claim += 1;
            self.reading.lock().unwrap().insert(leased.shard, shard.claim);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, shard: &'a ShardId) -> BoxFuture<'a, Result<Option<Offset>, String>> {
        Box::pin(async move {
            self.world.dawdle().await;
            let Some(claim) = self.reading.lock().unwrap().remove(shard) else { return Err("not read".to_owned()) };
            let shard = &self.world.lock().shards[shard];
            if shard.claim == claim { Ok(Some(Offset::from(shard.read))) } else { Err("fenced".to_owned()) }
        })
    }

    fn abandon(&self, shard: &ShardId) {
        self.reading.lock().unwrap().remove(shard);
    }

    fn reading(&self, id: &ShardId) -> ShardReading {
        let Some(claim) = self.reading.lock().unwrap().get(id).copied() else {
            return ShardReading::Failed("not read".to_owned());
        };
        match &self.world.lock().shards[id] {
            shard if shard.claim != claim => ShardReading::Failed("fenced".to_owned()),
            shard if shard.is_drained => ShardReading::Drained,
            shard => ShardReading::Reading((shard.read > 0).then(|| Offset::from(shard.read))),
        }
    }

    fn stopping(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::poll_fn(
            |_| if *self.told_to_stop.lock().unwrap() { Poll::Ready(()) } else { Poll::Pending },
        ))
    }
}

/// A process.
struct Process {
    run: Pin<Box<dyn Future<Output = Result<(), TableError>>>>,
    readers: Arc<Readers>,
    still_until: EventTime,
    told_to_stop: Arc<Mutex<bool>>,
}

impl Process {
    fn start(world: &Shared, number: u64) -> Self {
        let told_to_stop = Arc::new(Mutex::new(false));
        let readers = Arc::new(Readers {
            world: world.clone(),
            reading: Mutex::default(),
            told_to_stop: Arc::clone(&told_to_stop),
        });
        let (clock, own, random) = (world.clone(), Arc::clone(&readers), SmallRng::seed_from_u64(number));
        let run = async move {
            let worker = Worker {
                rules: Rules { worker: format!("worker-{number}"), duration: DURATION, steal_max: 1 },
                position: InitPosition::TrimHorizon,
                table: &clock,
                stream: &clock,
                readers: own.as_ref(),
                clock: Arc::new(clock.clone()),
            };
            Coordinator::new(worker, random).run().await
        };
        Self { run: Box::pin(run), readers, still_until: EventTime::MIN, told_to_stop }
    }
}

struct Simulation {
    world: Shared,
    random: SmallRng,
    processes: Vec<Process>,
    started: u64,
    /// Processes may stand still, and answers be lost: then two may read a shard for a while.
    is_rough: bool,
    last_change: EventTime,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let is_rough = seed % 2 == 1;
        let world = World {
            now: 0,
            random: SmallRng::seed_from_u64(seed),
            timers: Vec::new(),
            faults: if is_rough { 30 } else { 0 },
            leases: BTreeMap::new(),
            shards: BTreeMap::new(),
        };
        let world = Shared(Arc::new(Mutex::new(world)));
        let random = SmallRng::seed_from_u64(!seed);
        let mut simulation =
            Self { world, random, processes: Vec::new(), started: 0, is_rough, last_change: EventTime(0) };
        let width = u128::MAX / 4;
        for number in 0..simulation.random.random_range(1..=4) {
            simulation.add_shard(vec![], (width * number, width * (number + 1) - 1));
        }
        simulation
    }

    fn add_shard(&self, parents: Vec<ShardId>, hashes: (u128, u128)) {
        let mut world = self.world.lock();
        let id = ShardId::from(format!("shardId-{:012}", world.shards.len()));
        let listed = StreamShard { shard: id.clone(), parents, is_open: true, hashes: Some(hashes) };
        let served = EventTime(world.now);
        let shard = Shard { listed, records: 0, claim: 0, read: 0, is_drained: false, served };
        world.shards.insert(id, shard);
    }

    fn start(&mut self) {
        self.started += 1;
        self.processes.push(Process::start(&self.world, self.started));
    }

    /// Something happens, or not.
    fn happen(&mut self) {
        let (count, now) = (self.processes.len(), EventTime(self.world.lock().now));
        let what = self.random.random_range(0..2000);
        // Who takes a lease over may die before it reads: then it takes another time.
        if what < 17 {
            self.last_change = now;
        }
        match what {
            0..5 if count > 1 => {
                let killed = self.random.random_range(0..count);
                self.processes.swap_remove(killed);
            }
            5..9 if count > 1 && self.is_rough => {
                let still = self.random.random_range(0..count);
                self.processes[still].still_until = now + Duration(self.random.random_range(500..40_000));
            }
            9..14 if count < 5 => self.start(),
            14..17 if count > 1 => *self.processes[0].told_to_stop.lock().unwrap() = true,
            17..21 => self.split(),
            21..24 => self.merge(),
            _ => {}
        }
    }

    fn open_shards(&self) -> Vec<(ShardId, (u128, u128))> {
        let world = self.world.lock();
        let open = world.shards.values().filter(|shard| shard.listed.is_open);
        open.map(|shard| (shard.listed.shard.clone(), shard.listed.hashes.unwrap())).collect()
    }

    fn close(&self, shard: &ShardId) {
        self.world.lock().shards.get_mut(shard).unwrap().listed.is_open = false;
    }

    fn split(&mut self) {
        let open = self.open_shards();
        if open.len() < 8 {
            let (shard, (first, last)) = open[self.random.random_range(0..open.len())].clone();
            self.close(&shard);
            let middle = first + (last - first) / 2;
            self.add_shard(vec![shard.clone()], (first, middle));
            self.add_shard(vec![shard], (middle + 1, last));
        }
    }

    fn merge(&mut self) {
        let open = self.open_shards();
        if open.len() > 1 {
            let (a, b) = (&open[0], &open[1]);
            self.close(&a.0);
            self.close(&b.0);
            self.add_shard(vec![a.0.clone(), b.0.clone()], (a.1.0.min(b.1.0), a.1.1.max(b.1.1)));
        }
    }

    fn step(&mut self) {
        let due: Vec<Waker> = {
            let mut world = self.world.lock();
            world.now += STEP.0;
            let now = world.now;
            for shard in world.shards.values_mut().filter(|shard| shard.listed.is_open) {
                shard.records += 1;
            }
            let (due, later) = std::mem::take(&mut world.timers).into_iter().partition(|(until, _)| *until <= now);
            world.timers = later;
            due.into_iter().map(|(_, waker): (i64, Waker)| waker).collect()
        };
        due.iter().for_each(Waker::wake_by_ref);
        let now = EventTime(self.world.lock().now);
        let mut context = Context::from_waker(Waker::noop());
        let mut ended = Vec::new();
        for (number, process) in self.processes.iter_mut().enumerate().filter(|(_, p)| p.still_until <= now) {
            process.readers.work();
            if let Poll::Ready(result) = process.run.as_mut().poll(&mut context) {
                assert_eq!(result, Ok(()));
                assert!(process.readers.reading.lock().unwrap().is_empty(), "all is given back");
                ended.push(number);
            }
        }
        for number in ended.into_iter().rev() {
            self.processes.swap_remove(number);
        }
        self.check(now);
    }

    fn check(&self, now: EventTime) {
        let mut read_by: BTreeMap<ShardId, usize> = BTreeMap::new();
        for process in &self.processes {
            for shard in process.readers.reading.lock().unwrap().keys() {
                *read_by.entry(shard.clone()).or_default() += 1;
            }
        }
        if !self.is_rough {
            assert!(read_by.values().all(|readers| *readers == 1), "two read a shard at {now:?}: {read_by:?}");
        }
        let mut world = self.world.lock();
        let drained: BTreeSet<ShardId> =
            world.shards.values().filter(|shard| shard.is_drained).map(|shard| shard.listed.shard.clone()).collect();
        for shard in world.shards.values_mut() {
            if shard.is_drained || shard.listed.parents.iter().any(|parent| !drained.contains(parent)) {
                shard.served = now;
            }
            let silent = now - shard.served.max(self.last_change);
            assert!(
                self.is_rough || silent <= SERVED_AGAIN,
                "{} was not read for {} ms, at {now:?}",
                shard.listed.shard,
                silent.0
            );
        }
    }

    fn run(mut self) {
        for _ in 0..self.random.random_range(1..=3) {
            self.start();
        }
        while self.world.lock().now < 180_000 {
            self.happen();
            self.step();
        }
        // What is left alone comes to rest: all is read, and shared fairly.
        self.is_rough = false;
        for process in &mut self.processes {
            process.still_until = EventTime::MIN;
        }
        {
            let mut world = self.world.lock();
            world.faults = 0;
            let now = EventTime(world.now);
            world.shards.values_mut().for_each(|shard| shard.served = now);
        }
        self.processes.retain(|process| !*process.told_to_stop.lock().unwrap());
        if self.processes.is_empty() {
            self.start();
        }
        self.is_rough = true;
        let end = self.world.lock().now + 120_000;
        while self.world.lock().now < end {
            self.step();
        }
        let world = self.world.lock();
        for shard in world.shards.values() {
            let id = &shard.listed.shard;
            assert!(shard.is_drained || shard.listed.is_open && shard.records - shard.read < 200, "{id} is read");
            assert!(
                !shard.is_drained || !world.leases.contains_key(id.as_str()),
                "the lease of {id} is gone: {:?}",
                world.leases
            );
        }
        let counts: Vec<usize> =
            self.processes.iter().map(|process| process.readers.reading.lock().unwrap().len()).collect();
        let open = world.shards.values().filter(|shard| shard.listed.is_open).count();
        assert_eq!(counts.iter().sum::<usize>(), open, "each open shard has one reader: {counts:?}");
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1, "they share fairly: {counts:?}");
    }
}

#[test]
fn whatever_happens_each_shard_is_read_by_one_and_soon_again() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("MILLSTREAM_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILLSTREAM_SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| Simulation::new(seed).run());
        assert!(ran.is_ok(), "MILLSTREAM_SIMULATION_SEED={seed} fails");
    }
}
