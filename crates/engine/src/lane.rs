//! A lane: one reader of one source, and its way to the workers. Queries on the same source share a lane.
//!
//! The reader is a task that only does I/O. What it sends is bounded by bytes over all workers; a shard always goes to
//! the same worker, so that its records stay in order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use millstream_core::{BoxFuture, Clock, Resume, ShardId, Source, SourceError, SourceEvent, SourceOutput, Stopped};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::ahead::{Ahead, AheadQueue};
use crate::drift::Drift;
use crate::faults::FaultLog;
use crate::merge::Merge;
use crate::message::{LaneId, ToWorker, Unsettled};

/// An event costs at least this much of the queue, so that empty ones are bounded too.
const EVENT_BYTES: usize = 256;

/// The sending side of one lane.
pub(crate) struct LaneOutput {
    pub(crate) lane: LaneId,
    pub(crate) workers: Vec<Sender<ToWorker>>,
    /// Where workers without work of their own find some.
    pub(crate) ahead: AheadQueue,
    /// Bytes that may be on their way.
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) budget_bytes: usize,
    /// Which worker has which shard: shared by all lanes of a source.
    pub(crate) pinning: Arc<Pinning>,
    /// How many shards the lane has opened.
    pub(crate) opened: Arc<AtomicUsize>,
    /// Set while the lane catches up with another.
    pub(crate) merge: Option<Arc<Merge>>,
    /// Makes shards that run ahead wait. `None`: the source reads its shards one after another, in an order of its own.
    pub(crate) drift: Option<Arc<Drift>>,
    /// Makes inputs wait for those who read `error_stream`, which waits for nobody.
    pub(crate) faults: Option<FaultLog>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Turns true when the lane is to stop.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Shards to workers, in turn.
#[derive(Default)]
pub(crate) struct Pinning(Mutex<HashMap<ShardId, usize>>);

impl Pinning {
    fn worker_of(&self, shard: &ShardId, workers: usize) -> usize {
        let mut pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = pinned.len() % workers;
        *pinned.entry(shard.clone()).or_insert(next)
    }
}

fn shard_of(event: &SourceEvent) -> &ShardId {
    match event {
        SourceEvent::ShardOpened { shard, .. }
        | SourceEvent::Tip { shard, .. }
        | SourceEvent::Watermark { shard, .. }
        | SourceEvent::Behind { shard, .. }
        | SourceEvent::ShardClosed { shard } => shard,
        SourceEvent::Chunk(chunk) => &chunk.shard,
    }
}

impl LaneOutput {
    /// Tells every worker, not only the shard's own: what a worker says of its other shards must not reach a closer
    /// before the closer knows of this one, or it would take event time to be further than it is.
    fn open_shard(&self, shard: &ShardId, parents: &[ShardId]) -> Result<(), Stopped> {
        self.opened.fetch_add(1, Ordering::Release);
        self.merge.iter().for_each(|merge| merge.shard_opened());
        for worker in &self.workers {
            let event = SourceEvent::ShardOpened { shard: shard.clone(), parents: parents.to_vec() };
            worker.send(ToWorker::Event { lane: self.lane, event, permit: None }).map_err(|_| Stopped)?;
        }
        Ok(())
    }
}

impl SourceOutput for LaneOutput {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            if *self.stopped.borrow() {
                return Err(Stopped);
            }
            if let SourceEvent::ShardOpened { shard, parents } = event {
                return self.open_shard(&shard, &parents);
            }
            if let (Some(faults), SourceEvent::Chunk(_)) = (&self.faults, &event) {
                faults.room().await;
            }
            if let Some(drift) = &self.drift {
                match &event {
                    SourceEvent::Chunk(chunk) => drift.wait(&chunk.shard, self.clock.as_ref()).await,
                    SourceEvent::Tip { shard, .. } => drift.at_tip(shard),
                    SourceEvent::ShardClosed { shard } => drift.closed(shard),
                    SourceEvent::ShardOpened { .. } | SourceEvent::Watermark { .. } | SourceEvent::Behind { .. } => {}
                }
            }
            let bytes = match &event {
                SourceEvent::Chunk(chunk) => chunk.payload_bytes().max(EVENT_BYTES),
                _ => EVENT_BYTES,
            };
            // One chunk larger than the whole budget must still pass, alone.
            let permits = u32::try_from(bytes.min(self.budget_bytes)).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.budget).acquire_many_owned(permits).await.map_err(|_| Stopped)?;
            let worker = self.pinning.worker_of(shard_of(&event), self.workers.len());
            let lane = self.lane;
            let chunk = match event {
                SourceEvent::Chunk(chunk) => Arc::new(Ahead::new(lane, *chunk)),
                event => {
                    let message = ToWorker::Event { lane, event, permit: Some(permit) };
                    return self.workers[worker].send(message).map_err(|_| Stopped);
                }
            };
            let message = ToWorker::Chunk { lane, chunk: Arc::clone(&chunk), permit };
            self.workers[worker].send(message).map_err(|_| Stopped)?;
            self.ahead.offer(&chunk);
            Ok(())
        })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            let (token, mut settled): (Unsettled, _) = mpsc::channel(1);
            for worker in &self.workers {
                let message = ToWorker::Settle { lane: self.lane, token: token.clone() };
                worker.send(message).map_err(|_| Stopped)?;
            }
            drop(token);
            // Nobody sends: this ends when the last token is dropped.
            settled.recv().await;
            Ok(())
        })
    }
}

/// Reads until the input ends, the lane is stopped, or the source breaks. Answers whether it was one shard only, which has
/// ended: of the input that is not the end.
pub(crate) async fn read(source: Box<dyn Source>, resume: Resume, output: LaneOutput) -> Result<bool, SourceError> {
    let is_one_shard = resume.only.is_some();
    let mut stopped = output.stopped.clone();
    let ended = tokio::select! {
        biased;
        ended = source.run(resume, &output) => ended,
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(false),
    };
    ended?;
    if *stopped.borrow() {
        return Ok(false);
    }
    if !is_one_shard {
        for worker in &output.workers {
            // The engine may be stopping; then nobody waits for the end.
            let _ = worker.send(ToWorker::Ended { lane: output.lane });
        }
    }
    Ok(is_one_shard)
}
