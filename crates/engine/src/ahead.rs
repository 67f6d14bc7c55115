//! Decoding ahead: a chunk is decoded by whichever worker gets to it first.
//!
//! A shard has one worker, which takes its chunks in order; watermarks, lateness and state are its matter alone. But what
//! the bytes of a chunk mean does not depend on what came before them, and to find out is most of the work. So a worker
//! that has nothing to do decodes chunks of others, and one hot shard keeps every core busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use crossbeam_channel::{Receiver, Sender};
use millstream_core::Chunk;

use crate::message::LaneId;
use crate::source::SourceRows;

/// A smaller chunk is not worth another worker's attention.
const WORTH_BYTES: usize = 64 << 10;

/// What came of decoding; or why the decoder cannot go on.
pub(crate) type Decoded = Result<SourceRows, String>;

/// A chunk on its way to the worker of its shard.
pub(crate) struct Ahead {
    pub(crate) lane: LaneId,
    pub(crate) chunk: Chunk,
    claimed: AtomicBool,
    decoded: Mutex<Option<Decoded>>,
    done: Condvar,
}

impl Ahead {
    pub(crate) fn new(lane: LaneId, chunk: Chunk) -> Self {
        Self { lane, chunk, claimed: AtomicBool::new(false), decoded: Mutex::new(None), done: Condvar::new() }
    }

    /// Takes it upon the caller to decode the chunk. Answers whether nobody else had.
    pub(crate) fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }

    /// Says what came of it, after a claim.
    pub(crate) fn put(&self, decoded: Decoded) {
        *self.decoded.lock().unwrap_or_else(PoisonError::into_inner) = Some(decoded);
        self.done.notify_one();
    }

    /// Takes what somebody else has put, if that is there.
    pub(crate) fn take(&self) -> Option<Decoded> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for what somebody else is about to put.
    pub(crate) fn wait(&self) -> Decoded {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(decoded) = decoded.take() {
                return decoded;
            }
            decoded = self.done.wait(decoded).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Chunks that nobody has begun to decode, and some that somebody has; shared by all workers. A chunk stays alive by the
/// worker it is on its way to, not by standing here.
#[derive(Clone)]
pub(crate) struct AheadQueue {
    sender: Sender<Weak<Ahead>>,
    pub(crate) receiver: Receiver<Weak<Ahead>>,
}

impl AheadQueue {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::unbounded();
        Self { sender, receiver }
    }

    /// Offers a chunk to whoever has nothing to do.
    pub(crate) fn offer(&self, ahead: &Arc<Ahead>) {
        if ahead.chunk.payload_bytes() >= WORTH_BYTES {
            // Both ends are in `self`: it cannot fail.
            let _ = self.sender.send(Arc::downgrade(ahead));
        }
    }

    /// The next chunk that is still to be decoded, of lanes the caller has; now claimed.
    pub(crate) fn claim_next(&self, has: impl Fn(LaneId) -> bool) -> Option<Arc<Ahead>> {
        self.receiver.try_iter().find_map(|next| next.upgrade().filter(|ahead| has(ahead.lane) && ahead.claim()))
    }

    /// Removes what somebody has begun to decode. Called once for each chunk, and looks at two of them, so that the queue
    /// stays about as short as what is on its way.
    pub(crate) fn tidy(&self) {
        for next in self.receiver.try_iter().take(2) {
            if next.upgrade().is_some_and(|ahead| !ahead.claimed.load(Ordering::Acquire)) {
                let _ = self.sender.send(next);
            }
        }
    }
}
