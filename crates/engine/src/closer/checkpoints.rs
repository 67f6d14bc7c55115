//! The checkpoints of a query: when one is taken, and what is handed over to be written.

use millstream_core::{Duration, EventTime};
use tokio::sync::oneshot;

use super::{Closer, Ending};
use crate::checkpoint::{CheckpointLink, Cut, Done, Saver};

/// The checkpoints of a query.
pub(crate) struct Checkpoints {
    link: CheckpointLink,
    interval: Duration,
    /// When the next one is due.
    next: EventTime,
    next_chunk: u64,
    /// Whether anything has happened since the last one.
    pub(super) has_news: bool,
    /// Whether there is none that knows of the sink.
    is_first: bool,
    /// Those that were asked for.
    pub(super) wanted: Vec<Wanted>,
}

impl Checkpoints {
    pub(crate) fn new(
        link: CheckpointLink,
        interval: Duration,
        next: EventTime,
        next_chunk: u64,
        is_first: bool,
    ) -> Self {
        Self { link, interval, next, next_chunk, has_news: false, is_first, wanted: Vec::new() }
    }
}

/// A checkpoint that somebody waits for.
pub(super) struct Wanted {
    pub(super) last: bool,
    pub(super) savepoint: Option<String>,
    pub(super) done: Done,
}

impl Checkpoints {
    /// Those that one checkpoint serves: all, but of savepoints the first. Each has a name of its own.
    fn take_wanted(&mut self) -> Vec<Wanted> {
        let mut has_savepoint = false;
        let is_next = |wanted: &mut Wanted| wanted.savepoint.is_none() || !std::mem::replace(&mut has_savepoint, true);
        self.wanted.extract_if(.., is_next).collect()
    }
}

impl Closer {
    /// Before a sink gets its first row, a checkpoint holds where it was: what is written twice can be told by that.
    /// Answers what is to be waited for.
    pub(crate) fn begin(&mut self) -> Result<Option<oneshot::Receiver<Result<u64, String>>>, Ending> {
        let Some(checkpoints) = self.checkpoints.as_mut().filter(|checkpoints| checkpoints.is_first) else {
            return Ok(None);
        };
        let (done, taken) = oneshot::channel();
        checkpoints.wanted.push(Wanted { last: false, savepoint: None, done });
        self.cut(false)?;
        Ok(Some(taken))
    }

    pub(super) fn is_checkpoint_due(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| {
            let is_due = (checkpoints.has_news || checkpoints.link.owes()) && self.state.now >= checkpoints.next;
            is_due && !checkpoints.link.is_busy() || self.is_checkpoint_wanted()
        })
    }

    pub(super) fn is_checkpoint_wanted(&self) -> bool {
        self.checkpoints
            .as_ref()
            .is_some_and(|checkpoints| !checkpoints.wanted.is_empty() && !checkpoints.link.is_busy())
    }

    /// Hands the state as it is now to be written. Answers whether nothing is to come behind it.
    pub(super) fn cut(&mut self, is_finished: bool) -> Result<bool, Ending> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(false) };
        #[expect(clippy::disallowed_methods, reason = "a measurement: nothing is decided by it")]
        let started = std::time::Instant::now();
        let wanted = checkpoints.take_wanted();
        let last = is_finished || wanted.iter().any(|wanted| wanted.last);
        let mut saver = Saver::new(checkpoints.next_chunk);
        self.stages.save(&mut saver)?;
        self.output.save(&mut saver, is_finished)?;
        let (mut done, mut savepoint) = (Vec::new(), None);
        for one in wanted {
            done.push(one.done);
            savepoint = savepoint.or(one.savepoint);
        }
        let cut = Cut {
            taken_at: self.state.now,
            watermark: self.state.watermark,
            emitted_until: self.state.closed,
            sources: self.inputs.iter().map(|(source, input)| input.position(source)).collect(),
            is_finished,
            sink: self.output.prepare(last)?,
            savepoint,
            done,
            saver,
        };
        checkpoints.next_chunk = cut.saver.next_chunk();
        checkpoints.next = self.state.now + checkpoints.interval;
        checkpoints.has_news = false;
        checkpoints.link.send(cut);
        self.stats.checkpoints.set_pause(started.elapsed());
        Ok(last)
    }

    /// The input has ended, and everything was handed on.
    pub(super) fn finish(&mut self) -> Result<(), Ending> {
        match &self.checkpoints {
            // What was cut before must be written first.
            Some(checkpoints) if checkpoints.link.is_busy() => return Ok(()),
            Some(_) => {
                self.cut(true)?;
            }
            None => self.output.finish(),
        }
        Err(Ending::Finished)
    }
}
