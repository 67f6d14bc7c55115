//! Events on their way through a transform, each shard by itself: chunks are gathered until there are enough records or
//! the window is over, transformed together, and go on in the order in which they came.
//!
//! ```text
//! source ─► Gather ─► a queue per shard ─► gathered ─► transform ─► output
//! ```
//!
//! A shard opens when its parents have been handed on to their end, and all of it is handed on before it closes.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};
use millstream_core::{BoxFuture, Chunk, Clock, Duration, ShardId, SourceError, SourceEvent, SourceOutput, Stopped};
use tokio::sync::{mpsc, oneshot};

/// Events of one shard that may wait: its reader waits while more would.
const QUEUE_EVENTS: usize = 2;

/// When chunks are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enough {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) window: Duration,
}

/// What a reader says to the queue of its shard.
pub(super) enum Step {
    Event(SourceEvent),
    /// All before it is to be handed on, and then this is answered.
    Flush(oneshot::Sender<()>),
}

/// Events of one shard.
pub(super) type Queue = mpsc::Receiver<Step>;

/// Where the source sends.
pub(super) struct Gather<'a> {
    output: &'a dyn SourceOutput,
    shards: Mutex<HashMap<ShardId, mpsc::Sender<Step>>>,
    /// Queues that nobody reads yet.
    begun: mpsc::UnboundedSender<Queue>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(output: &'a dyn SourceOutput) -> (Self, mpsc::UnboundedReceiver<Queue>) {
        let (begun, queues) = mpsc::unbounded_channel();
        (Self { output, shards: Mutex::default(), begun }, queues)
    }

    fn queue(&self, shard: &ShardId) -> Result<mpsc::Sender<Step>, Stopped> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = shards.get(shard) {
            return Ok(queue.clone());
        }
        let (sender, queue) = mpsc::channel(QUEUE_EVENTS);
        self.begun.send(queue).map_err(|_| Stopped)?;
        shards.insert(shard.clone(), sender.clone());
        Ok(sender)
    }

    /// Waits until all of these shards has been handed on; of all shards without a name.
    pub(super) async fn flush(&self, of: Option<&[ShardId]>) -> Result<(), Stopped> {
        let queues: Vec<_> = {
            let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
            let is_meant = |shard: &ShardId| of.is_none_or(|of| of.contains(shard));
            shards.iter().filter(|(shard, _)| is_meant(shard)).map(|(_, queue)| queue.clone()).collect()
        };
        for queue in queues {
            let (reply, done) = oneshot::channel();
            queue.send(Step::Flush(reply)).await.map_err(|_| Stopped)?;
            done.await.map_err(|_| Stopped)?;
        }
        Ok(())
    }
}

impl SourceOutput for Gather<'_> {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            let shard = match &event {
                SourceEvent::ShardOpened { parents, .. } => {
                    self.flush(Some(parents)).await?;
                    return self.output.send(event).await;
                }
                SourceEvent::ShardClosed { shard } => {
                    self.flush(Some(std::slice::from_ref(shard))).await?;
                    self.shards.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
                    return self.output.send(event).await;
                }
                SourceEvent::Chunk(chunk) => &chunk.shard,
                SourceEvent::Tip { shard, .. }
                | SourceEvent::Watermark { shard, .. }
                | SourceEvent::Behind { shard, .. } => shard,
            };
            self.queue(shard)?.send(Step::Event(event)).await.map_err(|_| Stopped)
        })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(async move {
            self.flush(None).await?;
            self.output.settle().await
        })
    }
}

/// Changes records.
pub(super) trait Transform: Send + Sync {
    /// Changes chunks of one shard that follow each other: as many come out as go in, with as many records each.
    fn change(&self, chunks: Vec<Chunk>) -> BoxFuture<'_, Result<Vec<Chunk>, SourceError>>;
}

/// Why handing on ended before the queue did.
pub(super) enum Ended {
    Stopped,
    Failed(SourceError),
}

/// Hands a shard's events on, transformed, until its queue ends.
pub(super) async fn hand_on(
    mut queue: Queue,
    transform: &dyn Transform,
    enough: Enough,
    clock: Arc<dyn Clock>,
    output: &dyn SourceOutput,
) -> Result<(), Ended> {
    while let Some(step) = queue.recv().await {
        let mut gathered = Gathered::default();
        gathered.take(step);
        let over = clock.now() + enough.window;
        while gathered.waits_for_more(enough) {
            let left = over - clock.now();
            match select(pin!(queue.recv()), pin!(clock.sleep(Duration(left.0.max(0))))).await {
                Either::Left((Some(step), _)) => gathered.take(step),
                Either::Left((None, _)) | Either::Right(_) => break,
            }
        }
        gathered.hand_on(transform, output).await?;
    }
    Ok(())
}

/// What goes on together.
#[derive(Default)]
struct Gathered {
    events: Vec<SourceEvent>,
    records: usize,
    bytes: usize,
    flush: Option<oneshot::Sender<()>>,
}

impl Gathered {
    fn take(&mut self, step: Step) {
        match step {
            Step::Flush(reply) => self.flush = Some(reply),
            Step::Event(event) => {
                if let SourceEvent::Chunk(chunk) = &event {
                    self.records += chunk.len();
                    self.bytes += chunk.payload_bytes();
                }
                self.events.push(event);
            }
        }
    }

    /// Without records there is nothing to wait for; tips and the like wait with those that came before them.
    fn waits_for_more(&self, enough: Enough) -> bool {
        self.flush.is_none() && self.records > 0 && self.records < enough.records && self.bytes < enough.bytes
    }

    async fn hand_on(self, transform: &dyn Transform, output: &dyn SourceOutput) -> Result<(), Ended> {
        let chunk = |event: &SourceEvent| match event {
            SourceEvent::Chunk(chunk) => Some(chunk.as_ref().clone()),
            _ => None,
        };
        let chunks: Vec<_> = self.events.iter().filter_map(chunk).collect();
        let changed = if chunks.is_empty() { Ok(chunks) } else { transform.change(chunks).await };
        let mut changed = changed.map_err(Ended::Failed)?.into_iter();
        for event in self.events {
            let event = match (event, &mut changed) {
                (SourceEvent::Chunk(_), changed) => match changed.next() {
                    Some(chunk) => SourceEvent::Chunk(Box::new(chunk)),
                    None => continue,
                },
                (event, _) => event,
            };
            output.send(event).await.map_err(|_| Ended::Stopped)?;
        }
        if let Some(reply) = self.flush {
            // Whoever asked may have been stopped.
            let _ = reply.send(());
        }
        Ok(())
    }
}
