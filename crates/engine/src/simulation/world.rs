//! What survives a crash: the streams, the stored files, what sinks hold, time, and the log of everything that happened.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use millstream_core::{BoxFuture, Clock, Duration, EventTime};

use super::random::Random;
use super::sinks::SinkWorld;
use super::stream::Stream;

/// How often things go wrong, in a thousand times.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// A store's call fails without effect, or its answer is lost.
    pub(super) store: usize,
    /// A store's call takes up to so many polls.
    pub(super) store_polls: usize,
    /// A sink's call is to be tried again.
    pub(super) sink: usize,
    pub(super) sink_polls: usize,
    /// A sink gives up.
    pub(super) sink_fatal: usize,
    /// A reader breaks, or sends a chunk twice.
    pub(super) reader: usize,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: i64,
    pub(super) log: Vec<String>,
    /// What must not happen and did.
    pub(super) wrong: Vec<String>,
    pub(super) faults: Faults,
    pub(super) streams: BTreeMap<String, Arc<Stream>>,
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// Uploads of processes that are gone, which may still arrive.
    pub(super) strays: Vec<(String, Vec<u8>)>,
    pub(super) sinks: BTreeMap<String, SinkWorld>,
    /// What sinks said in checkpoints that were the newest when they became durable.
    pub(super) durable_notes: BTreeSet<String>,
    /// The batch answer of each sink table and view: how often each row is there.
    pub(super) expected: BTreeMap<String, BTreeMap<String, usize>>,
    /// Queries whose rows may be there more than once: two processes write to a sink that cannot tell them apart.
    pub(super) has_two_writers: bool,
    /// Something that was stored has been damaged.
    pub(super) is_damaged: bool,
    timers: Vec<(i64, Waker)>,
    serial: u64,
}

/// The world, as all that is in it has it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random::new(seed),
            now: 1_767_225_600_000,
            log: Vec::new(),
            wrong: Vec::new(),
            faults: Faults::default(),
            streams: BTreeMap::new(),
            objects: BTreeMap::new(),
            strays: Vec::new(),
            sinks: BTreeMap::new(),
            durable_notes: BTreeSet::new(),
            expected: BTreeMap::new(),
            has_two_writers: false,
            is_damaged: false,
            timers: Vec::new(),
            serial: 0,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(super) fn log(&self, line: impl Into<String>) {
        self.lock().log.push(line.into());
    }

    /// Moves the clock, perhaps back.
    pub(super) fn pass(&self, millis: i64) {
        let due: Vec<Waker> = {
            let mut world = self.lock();
            world.now += millis;
            let now = world.now;
            let (due, later) = std::mem::take(&mut world.timers).into_iter().partition(|(until, _)| *until <= now);
            world.timers = later;
            due.into_iter().map(|(_, waker): (i64, Waker)| waker).collect()
        };
        due.iter().for_each(Waker::wake_by_ref);
    }

    /// Lets others go on, up to `most` times.
    pub(super) async fn dawdle(&self, most: usize) {
        let polls = self.lock().random.below(most + 1);
        for _ in 0..polls {
            Pause(false).await;
        }
    }
}

impl World {
    /// A number nothing else has.
    pub(super) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Rows that became visible are counted against the batch answer.
    pub(super) fn check_visible(&mut self, table: &str, rows: impl Iterator<Item = String>) {
        let expected = &self.expected[table];
        let counted = count(rows);
        for (row, times) in counted {
            if times > expected.get(&row).copied().unwrap_or(0) {
                self.wrong.push(format!("`{table}` has {times} times {row}"));
            }
        }
    }
}

/// How often each row is there.
pub(super) fn count(rows: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for row in rows {
        *counted.entry(row).or_default() += 1;
    }
    counted
}

/// Waits for one poll.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Lets others go on once.
pub(super) fn pause() -> impl Future<Output = ()> {
    Pause(false)
}

impl Clock for Shared {
    fn now(&self) -> EventTime {
        EventTime(self.lock().now)
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        let until = self.lock().now + length.0;
        let shared = self.clone();
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
