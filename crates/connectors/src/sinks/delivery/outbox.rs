//! The loop: records wait in queues by key, go out in batches, and come back to the front of their queue if they fail.
//!
//! At most one run of a key is under way: what comes behind it waits until it is stored, so that no failure changes the
//! order of a key's records. What fails is sent again for ever, after waits that grow; only a fault that trying again
//! does not mend ends it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use millstream_core::{BoxFuture, Clock, Duration, EventTime, SinkError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Limits, Outcome, Record, Run, Service};
use crate::aws::faults::{Call, Fault};

/// Bytes accepted and not stored yet: a dozen full batches.
const BUFFERED_BYTES_MAX: usize = 64 << 20;
/// Warnings of one sink are not repeated sooner: a stream that is throttled fails many times a second.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Records on their way to a service.
pub(crate) struct Outbox {
    service: Arc<dyn Service>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    random: SmallRng,
    /// Every key that has records here, also while all of them are under way.
    queues: HashMap<Arc<str>, Queue>,
    /// Keys of which records may be sent now.
    ready: VecDeque<Arc<str>>,
    /// Keys whose first records have failed, by when they may be sent again.
    resting: BTreeMap<EventTime, Vec<Arc<str>>>,
    calls: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Accepted and not stored.
    records: usize,
    bytes: usize,
    /// Of those, bytes that are not under way.
    waiting_bytes: usize,
    warned: Option<EventTime>,
}

/// What waits of one key.
struct Queue {
    /// Each with when it was accepted.
    waiting: VecDeque<(Record, EventTime)>,
    call: Call,
}

struct Answer {
    runs: Vec<Run>,
    /// When each record was accepted, run by run.
    since: Vec<EventTime>,
    outcomes: Result<Vec<Outcome>, Fault>,
}

impl Outbox {
    pub(crate) fn new(service: Arc<dyn Service>, limits: Limits, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            service,
            limits,
            clock,
            random: SmallRng::seed_from_u64(seed),
            queues: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeMap::new(),
            calls: FuturesUnordered::new(),
            records: 0,
            bytes: 0,
            waiting_bytes: 0,
            warned: None,
        }
    }

    /// Accepts a record; waits while there is no room.
    pub(crate) async fn push(&mut self, record: Record) -> Result<(), SinkError> {
        let (bytes, most) = (record.data.len(), self.limits.record_bytes_max);
        if bytes > most {
            let reason = format!("a row has {bytes} bytes, and a record no more than {most}: select less of it");
            return Err(self.fatal(reason));
        }
        let bytes = self.service.bytes(&record);
        while self.records >= self.limits.buffered_max || (self.records > 0 && self.bytes + bytes > BUFFERED_BYTES_MAX)
        {
            self.step(true).await?;
        }
        (self.records, self.bytes, self.waiting_bytes) =
            (self.records + 1, self.bytes + bytes, self.waiting_bytes + bytes);
        let since = self.clock.now();
        match self.queues.get_mut(&record.key) {
            Some(queue) => queue.waiting.push_back((record, since)),
            None => {
                let key = Arc::clone(&record.key);
                self.ready.push_back(Arc::clone(&key));
                self.queues.insert(key, Queue { waiting: [(record, since)].into(), call: Call::default() });
            }
        }
        Ok(())
    }

    /// Waits until all that was accepted is stored.
    pub(crate) async fn flush(&mut self) -> Result<(), SinkError> {
        while self.records > 0 {
            self.step(true).await?;
        }
        Ok(())
    }

    /// Sends what is due, or all there is, and waits until a batch is answered or another is due: for ever where
    /// nothing is here. May be dropped while it waits.
    pub(crate) async fn step(&mut self, all: bool) -> Result<(), SinkError> {
        let now = self.clock.now();
        self.wake(now);
        while self.calls.len() < self.limits.in_flight_max && self.is_due(now, all) {
            let call = self.next_batch();
            self.calls.push(call);
        }
        let due = self.next_due();
        match self.wait(due.map(|due| due - now)).await {
            Some(answer) => self.take(answer),
            None => Ok(()),
        }
    }

    /// Waits for an answer, and no longer than this.
    async fn wait(&mut self, length: Option<Duration>) -> Option<Answer> {
        let timer = async {
            match length {
                Some(length) => self.clock.sleep(length).await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match self.calls.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        match select(pin!(answer), pin!(timer)).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        }
    }

    /// Those that have rested go first: they have waited longest.
    fn wake(&mut self, now: EventTime) {
        while let Some(entry) = self.resting.first_entry()
            && *entry.key() <= now
        {
            for key in entry.remove().into_iter().rev() {
                self.ready.push_front(key);
            }
        }
    }

    fn is_due(&self, now: EventTime, all: bool) -> bool {
        let Some(since) = self.first_since() else { return false };
        let is_full =
            self.ready.len() >= self.limits.batch_runs_max || self.waiting_bytes >= self.limits.batch_bytes_max;
        all || is_full || since + self.limits.linger <= now
    }

    /// When the record that would go first was accepted.
    fn first_since(&self) -> Option<EventTime> {
        let queue = self.queues.get(self.ready.front()?)?;
        queue.waiting.front().map(|(_, since)| *since)
    }

    fn next_due(&self) -> Option<EventTime> {
        let rested = self.resting.keys().next().copied();
        let can_send = self.calls.len() < self.limits.in_flight_max;
        let lingered = self.first_since().filter(|_| can_send).map(|since| since + self.limits.linger);
        rested.into_iter().chain(lingered).min()
    }

    /// The first runs that are ready, on their way.
    fn next_batch(&mut self) -> BoxFuture<'static, Answer> {
        let (mut runs, mut since, mut bytes) = (Vec::new(), Vec::new(), 0);
        while runs.len() < self.limits.batch_runs_max
            && let Some(key) = self.ready.front()
        {
            let queue = self.queues.get_mut(key).expect("a key that is ready has a queue");
            let mut run = Run { key: Arc::clone(key), records: Vec::new(), tries: queue.call.tries() };
            let mut run_bytes = 0;
            while let Some((record, _)) = queue.waiting.front() {
                let size = self.service.bytes(record);
                let joins = run.records.is_empty() || run_bytes + size <= self.limits.run_bytes_max;
                let fits = (runs.is_empty() && run.records.is_empty())
                    || bytes + run_bytes + size <= self.limits.batch_bytes_max;
                if !joins || !fits {
                    break;
                }
                run_bytes += size;
                let (record, accepted) = queue.waiting.pop_front().expect("it was looked at");
                run.records.push(record);
                since.push(accepted);
            }
            if run.records.is_empty() {
                break;
            }
            bytes += run_bytes;
            runs.push(run);
            self.ready.pop_front();
        }
        self.waiting_bytes -= bytes;
        let service = Arc::clone(&self.service);
        Box::pin(async move {
            let outcomes = service.send(&runs).await;
            Answer { runs, since, outcomes }
        })
    }

    fn take(&mut self, answer: Answer) -> Result<(), SinkError> {
        let Answer { runs, since, outcomes } = answer;
        let (outcomes, least) = match outcomes {
            Ok(outcomes) => (outcomes, Duration(0)),
            Err(Fault::Retry { reason, least }) => (vec![Outcome::Failed(reason); runs.len()], least),
            Err(Fault::Missing(reason)) => {
                return Err(self.fatal(format!("it does not exist: check its name, region and endpoint ({reason})")));
            }
            Err(Fault::Permanent(reason)) => return Err(self.fatal(reason)),
            Err(Fault::ExpiredIterator | Fault::ExpiredToken) => {
                return Err(self.fatal("it answered as if it were read".to_owned()));
            }
        };
        if outcomes.len() != runs.len() {
            let (sent, answered) = (runs.len(), outcomes.len());
            return Err(self.fatal(format!("{sent} were sent and {answered} answered for")));
        }
        let jitter = self.random.random::<f64>();
        let (mut failed, mut wait_ms, mut why) = (0, 0, None);
        let mut since = since.into_iter();
        for (run, outcome) in runs.into_iter().zip(outcomes) {
            let since: Vec<_> = since.by_ref().take(run.records.len()).collect();
            match outcome {
                Outcome::Stored => self.stored(&run),
                Outcome::Failed(reason) => {
                    failed += run.records.len();
                    wait_ms = self.failed(run, since, least, jitter).0.max(wait_ms);
                    why.get_or_insert(reason);
                }
            }
        }
        let now = self.clock.now();
        if let Some(reason) = why
            && self.warned.is_none_or(|warned| now - warned >= WARN_EVERY)
        {
            self.warned = Some(now);
            let sink = self.service.what();
            tracing::warn!(sink, records = failed, wait_ms, reason, "records were not taken; sending them again");
        }
        Ok(())
    }

    fn stored(&mut self, run: &Run) {
        self.records -= run.records.len();
        self.bytes -= run.records.iter().map(|record| self.service.bytes(record)).sum::<usize>();
        let queue = self.queues.get_mut(&run.key).expect("a key under way has a queue");
        queue.call.worked();
        if queue.waiting.is_empty() {
            self.queues.remove(&run.key);
        } else {
            self.ready.push_back(Arc::clone(&run.key));
        }
    }

    /// Back to where they were; answers how long they rest.
    fn failed(&mut self, run: Run, since: Vec<EventTime>, least: Duration, jitter: f64) -> Duration {
        self.waiting_bytes += run.records.iter().map(|record| self.service.bytes(record)).sum::<usize>();
        let queue = self.queues.get_mut(&run.key).expect("a key under way has a queue");
        for record in run.records.into_iter().zip(since).rev() {
            queue.waiting.push_front(record);
        }
        let wait = queue.call.failed(least, jitter);
        self.resting.entry(self.clock.now() + wait).or_default().push(run.key);
        wait
    }

    fn fatal(&self, reason: String) -> SinkError {
        SinkError::Fatal { sink: self.service.what().to_owned(), reason }
    }
}
