//! The way of faults into `error_stream`: into its table, and to the readers that follow it.
//!
//! A reader that is too slow holds nobody up: what does not fit into its queue is counted, and told to it in the place
//! where it would have been. Errors of queries that read `error_stream` are kept apart: the table has them, no reader
//! gets them. Otherwise a query could feed itself without end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::{Clock, EventTime};
use tokio::sync::watch;

use crate::errors::{self, Fault};
use crate::live_table::LiveTable;
use crate::stats::Counter;

/// A reader may be behind by as many bytes of faults.
const FOLLOWED_BYTES: usize = 32 << 20;
/// Numbers that a millisecond has: a process begins above all numbers of those before it.
const NUMBERS_PER_MILLISECOND: u64 = 1 << 20;

/// Handed to whoever may find a fault; cheap to clone.
#[derive(Clone)]
pub(crate) struct FaultLog {
    shared: Arc<Shared>,
    /// Whether readers get what is reported here.
    is_followed: bool,
}

struct Shared {
    table: Arc<LiveTable>,
    clock: Arc<dyn Clock>,
    /// Nothing may be lost: inputs wait for readers.
    is_whole: bool,
    /// Faults that a reader did not get.
    lost: Counter,
    state: Mutex<State>,
    /// There is something to be taken, or it is the end.
    news: watch::Sender<()>,
    /// A reader has taken what there was.
    taken: watch::Sender<()>,
    /// Queries that read `error_stream` and have not come to the end of the other streams that they read.
    held: watch::Sender<usize>,
}

struct State {
    /// The number of the first fault of this process.
    first: u64,
    /// The number of the next one.
    next: u64,
    /// When the newest was told: time never goes back.
    now: EventTime,
    has_ended: bool,
    /// By a number of its own what each reader has not taken.
    queues: BTreeMap<u64, Queue>,
    next_queue: u64,
}

#[derive(Default)]
struct Queue {
    told: Vec<Told>,
    bytes: usize,
    /// What did not fit since: the number of the first, and how many.
    lost: Option<(u64, u64)>,
}

/// A fault, when it was told, and its number.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) at: EventTime,
    pub(crate) fault: Arc<Fault>,
}

/// What a reader takes at once.
pub(crate) struct Taken {
    pub(crate) told: Vec<Told>,
    /// What is told from now on is told at this time or later.
    pub(crate) now: EventTime,
    /// Nothing will be told any more.
    pub(crate) has_ended: bool,
}

impl FaultLog {
    /// `is_whole`: readers get everything, and inputs wait for them; otherwise what they cannot take is lost to them.
    pub(crate) fn new(table: Arc<LiveTable>, clock: Arc<dyn Clock>, is_whole: bool) -> Self {
        let now = clock.now();
        let first = u64::try_from(now.0).unwrap_or(0).saturating_mul(NUMBERS_PER_MILLISECOND);
        let state = State { first, next: first, now, has_ended: false, queues: BTreeMap::new(), next_queue: 0 };
        let shared = Shared {
            table,
            clock,
            is_whole,
            lost: Counter::default(),
            state: Mutex::new(state),
            news: watch::Sender::new(()),
            taken: watch::Sender::new(()),
            held: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared), is_followed: true }
    }

    /// The same for a query that reads `error_stream`: what it reports no reader gets.
    pub(crate) fn apart(&self) -> Self {
        Self { is_followed: false, ..self.clone() }
    }

    /// How many rows readers of `error_stream` did not get, because they were too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.get()
    }

    /// Adds faults to the table, and tells them to readers.
    pub(crate) fn report(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<Fault> = faults.into_iter().collect();
        if faults.is_empty() {
            return;
        }
        let shared = &*self.shared;
        let mut state = shared.lock();
        let now = state.advance(shared.clock.now());
        let written = errors::rows(&faults, now).map_err(Into::into).and_then(|rows| shared.table.append(rows, now));
        if let Err(error) = written {
            // The table is of our own making; if it cannot take a row, the log still tells.
            tracing::error!(%error, first = faults[0].message(), "error_stream could not take {} rows", faults.len());
        }
        if !self.is_followed {
            return;
        }
        let first = state.next;
        state.next += faults.len() as u64;
        if state.queues.is_empty() {
            return;
        }
        let told = faults.into_iter().zip(first..);
        let told = told.map(|(fault, number)| Told { number, at: now, fault: Arc::new(fault) }).collect::<Vec<_>>();
        let bytes = told.iter().map(|told| told.fault.bytes()).sum();
        for queue in state.queues.values_mut() {
            if !queue.take_in(&told, bytes, shared.is_whole) {
                shared.lost.add(told.len() as u64);
            }
        }
        drop(state);
        shared.news.send_replace(());
    }

    /// A reader of what is told from now on.
    pub(crate) fn follow(&self) -> Follower {
        let mut state = self.shared.lock();
        let queue = state.next_queue;
        state.next_queue += 1;
        state.queues.insert(queue, Queue::default());
        Follower { log: self.clone(), queue, since: state.next, news: self.shared.news.subscribe() }
    }

    /// Waits while a reader is far behind, where nothing may be lost.
    pub(crate) async fn room(&self) {
        if !self.shared.is_whole {
            return;
        }
        let mut taken = self.shared.taken.subscribe();
        let is_behind = |queue: &Queue| queue.bytes > FOLLOWED_BYTES;
        while self.shared.lock().queues.values().any(is_behind) {
            if taken.changed().await.is_err() {
                return;
            }
        }
    }

    /// Readers do not come to their end while this is held.
    pub(crate) fn hold(&self) -> Hold {
        self.shared.held.send_modify(|held| *held += 1);
        Hold(self.shared.held.clone())
    }

    /// Everything has been told: readers come to their end.
    pub(crate) async fn end(&self) {
        // The sender is ours: the wait does not fail.
        let _ = self.shared.held.subscribe().wait_for(|held| *held == 0).await;
        self.shared.lock().has_ended = true;
        self.shared.news.send_replace(());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn advance(&mut self, now: EventTime) -> EventTime {
        self.now = self.now.max(now);
        self.now
    }
}

impl Queue {
    /// Answers whether there was room. What comes at once fits into an empty queue, however much it is.
    fn take_in(&mut self, told: &[Told], bytes: usize, is_whole: bool) -> bool {
        let is_full = !self.told.is_empty() && self.bytes + bytes > FOLLOWED_BYTES;
        if !is_whole && (is_full || self.lost.is_some()) {
            let first = told.first().map_or(0, |told| told.number);
            self.lost.get_or_insert((first, 0)).1 += told.len() as u64;
            return false;
        }
        self.bytes += bytes;
        self.told.extend_from_slice(told);
        true
    }
}

/// A reader's end of the log.
pub(crate) struct Follower {
    log: FaultLog,
    queue: u64,
    /// The number that was next when it began.
    since: u64,
    news: watch::Receiver<()>,
}

impl Follower {
    /// Goes on after a position. What this process has told since, while nobody read it here, is lost.
    pub(crate) fn go_on_after(&mut self, position: u64) {
        let shared = &*self.log.shared;
        let mut state = shared.lock();
        // The clock was set back between two processes.
        state.next = state.next.max(position.saturating_add(1));
        let (first, now) = (state.first, state.now);
        let Some(queue) = state.queues.get_mut(&self.queue) else { return };
        queue.told.retain(|told| told.number > position);
        let missed = self.since.saturating_sub(position.saturating_add(1));
        if position >= first && missed > 0 {
            shared.lost.add(missed);
            let fault = Arc::new(Fault::of_lost_rows(missed));
            let at = queue.told.first().map_or(now, |told| told.at);
            queue.told.insert(0, Told { number: position + 1, at, fault });
        }
    }

    /// Whether it gets everything, and others wait for it.
    pub(crate) fn is_whole(&self) -> bool {
        self.log.shared.is_whole
    }

    /// What has been told since the last time.
    pub(crate) fn take(&mut self) -> Taken {
        self.news.mark_unchanged();
        let shared = &*self.log.shared;
        let mut state = shared.lock();
        let now = state.advance(shared.clock.now());
        let queue = state.queues.get_mut(&self.queue).map(std::mem::take).unwrap_or_default();
        let has_ended = state.has_ended;
        drop(state);
        shared.taken.send_replace(());
        let mut told = queue.told;
        if let Some((number, rows)) = queue.lost {
            tracing::warn!(rows, "a query over error_stream is too slow, and did not get them");
            let fault = Fault::of_lost_rows(rows);
            self.log.apart().report([fault.clone()]);
            told.push(Told { number, at: now, fault: Arc::new(fault) });
        }
        Taken { told, now, has_ended }
    }

    /// Waits until there is something to take.
    pub(crate) async fn news(&mut self) {
        // The log is held by this follower: its sender is there.
        let _ = self.news.changed().await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.log.shared.lock().queues.remove(&self.queue);
        self.log.shared.taken.send_replace(());
    }
}

/// See [`FaultLog::hold`].
pub(crate) struct Hold(watch::Sender<usize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}
