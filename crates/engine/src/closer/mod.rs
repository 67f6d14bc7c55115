//! A closer: one thread per query that watches event time, asks the workers for what closes, merges it, runs CLOSE and
//! hands rows on. It is the only one that decides when a window closes, and the only one that emits.

mod checkpoints;
mod input;

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use datafusion::error::DataFusionError;
use millstream_core::{Clock, Duration, EventTime, ShardId};

use crate::budget::Budget;
use crate::errors::ERROR_STREAM;
use crate::errors::Fault;
use crate::faults::{FaultLog, Hold};
use crate::feed::Late;
use crate::message::{CloserLink, LeafId, Progress, ProgressKind, QueryId, Said, ToCloser, ToWorker, Unsettled};
use crate::operators::Taken;
use crate::output::{Output, OutputError};
use crate::sabotage::{Order, is_broken};
use crate::stages::{Emitted, Stages};
use crate::stats::{QueryStats, ShardStats};

pub(crate) use checkpoints::Checkpoints;
use checkpoints::Wanted;
pub(crate) use input::Input;

/// So many messages are taken before looking at time.
const MESSAGES_AT_ONCE: usize = 16;
/// How often silence is looked at: for idle shards and time-to-live.
const IDLE_CHECK: Duration = Duration(200);
/// How often counts and watermarks are made public: looking at all state at every step would cost more than the step.
const PUBLISH: Duration = Duration(100);
/// When there is no room to show open windows, it is looked for again after this long.
const NO_ROOM: Duration = Duration(1000);
/// A look at open windows may take at most this part of the time: the next comes after so many times its cost.
const LOOK_SHARE: i64 = 4;

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its input ended, and everything was handed on.
    Finished,
    /// It was told to stop.
    Stopped,
    /// Whoever took its rows is gone.
    Abandoned,
    Failed(String),
}

/// Where time comes from.
#[derive(Clone)]
pub(crate) enum Time {
    /// The service's clock.
    Clock(Arc<dyn Clock>),
    /// The newest arrival: a replay's clock.
    Arrivals,
}

/// Everything a closer is made of.
pub(crate) struct Closer {
    pub(crate) query: QueryId,
    pub(crate) inbox: Receiver<Said>,
    /// The way to this inbox, for answers.
    pub(crate) answer: CloserLink,
    pub(crate) workers: Vec<Sender<ToWorker>>,
    pub(crate) name: Arc<str>,
    pub(crate) stages: Stages,
    /// Whether rows that were emitted may change.
    pub(crate) is_updating: bool,
    /// Workers hand over all they have, not only what has ended: sessions may close anywhere in it.
    pub(crate) takes_all: bool,
    pub(crate) output: Output,
    pub(crate) stats: Arc<QueryStats>,
    pub(crate) budget: Budget,
    pub(crate) faults: FaultLog,
    /// It reads `error_stream`, and another source that has not ended.
    pub(crate) held: Option<Hold>,
    pub(crate) time: Time,
    /// How often open windows are shown; `None`: never.
    pub(crate) refresh: Option<Duration>,
    /// The sources it reads, by name.
    pub(crate) inputs: HashMap<Arc<str>, Input>,
    /// The source that feeds a leaf.
    pub(crate) sources: HashMap<LeafId, Arc<str>>,
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) state: State,
}

/// What changes as the query runs.
pub(crate) struct State {
    now: EventTime,
    watermark: EventTime,
    /// What was due by this has been emitted.
    closed: EventTime,
    /// Rows came since the last look.
    dirty: bool,
    next_look: EventTime,
    published: EventTime,
    measured: EventTime,
    snap: Option<Snap>,
    settling: Vec<Unsettled>,
    /// Wait until what came before them has been handed on.
    handing_on: Vec<Unsettled>,
    /// Whether event time waits for the end of a round: its source settled before its first record. `None`: not known yet.
    in_rounds: Option<bool>,
}

/// A question to all workers that is not answered by all yet.
struct Snap {
    /// The workers that have answered.
    answered: Vec<bool>,
    close: EventTime,
    look: bool,
    /// A checkpoint is to be taken of exactly what was before the answers.
    checkpoint: bool,
    /// There is too much state.
    relief: bool,
    /// What workers said behind their answer, which is not part of the checkpoint.
    held: Vec<Said>,
}

impl State {
    /// Goes on where a checkpoint was.
    pub(crate) fn restored(watermark: EventTime, emitted_until: EventTime) -> Self {
        Self { watermark, closed: emitted_until, dirty: true, ..Self::default() }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: EventTime::MIN,
            watermark: EventTime::MIN,
            closed: EventTime::MIN,
            dirty: false,
            next_look: EventTime::MIN,
            published: EventTime::MIN,
            measured: EventTime::MIN,
            snap: None,
            settling: Vec::new(),
            handing_on: Vec::new(),
            in_rounds: None,
        }
    }
}

impl From<DataFusionError> for Ending {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error.strip_backtrace())
    }
}

impl From<OutputError> for Ending {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Gone => Self::Abandoned,
            OutputError::Broken(reason) => Self::Failed(reason),
        }
    }
}

impl Closer {
    /// Works until the input ends, the query is stopped, or it fails.
    pub(crate) fn run(mut self) -> Ending {
        match self.begin() {
            Ok(None) => {}
            Ok(Some(first)) => match first.blocking_recv() {
                Ok(Ok(_)) => {}
                // The sink or the writer has said why.
                Ok(Err(_)) | Err(_) => return Ending::Stopped,
            },
            Err(ending) => return ending,
        }
        loop {
            let message = match self.inbox.recv_timeout(self.patience().to_std()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ending::Stopped,
            };
            if let Err(ending) = self.step(message) {
                return ending;
            }
        }
    }

    /// Of a query whose input has ended: its table gets the rows again that come from the query's state.
    pub(crate) fn show(&mut self) -> Result<(), String> {
        if let Time::Clock(clock) = &self.time {
            self.state.now = clock.now();
        }
        self.run_stages(self.state.watermark, false).map_err(|ending| match ending {
            Ending::Failed(reason) => reason,
            Ending::Finished | Ending::Stopped | Ending::Abandoned => "its table takes no rows".to_owned(),
        })
    }

    /// How long to wait for a message before looking at the clock.
    fn patience(&self) -> Duration {
        match (&self.time, self.refresh) {
            (Time::Clock(clock), Some(_)) if self.state.dirty => {
                let until = self.state.next_look - clock.now();
                Duration(until.0.clamp(1, IDLE_CHECK.0))
            }
            _ => IDLE_CHECK,
        }
    }

    /// Takes a message and some that are there behind it, and does what is due.
    pub(crate) fn step(&mut self, message: Option<Said>) -> Result<(), Ending> {
        // Several are taken before looking at time: fewer, larger looks under load. Not all: where workers are faster
        // there is always one more, and nothing would ever be given or let go.
        let mut left = MESSAGES_AT_ONCE;
        let mut next = message;
        while let Some(message) = next {
            self.hear(message)?;
            left -= 1;
            next = if left > 0 { self.inbox.try_recv().ok() } else { None };
        }
        if let Time::Clock(clock) = &self.time {
            self.state.now = clock.now();
        }
        self.advance()
    }

    /// Takes a message, unless it is behind the cut of a checkpoint that is being taken: then it waits.
    fn hear(&mut self, said: Said) -> Result<(), Ending> {
        if let Some(snap) = self.state.snap.as_mut().filter(|snap| snap.checkpoint)
            && said.by.is_some_and(|worker| snap.answered[worker])
            && !is_broken(Order::HoldBack)
        {
            snap.held.push(said);
            return Ok(());
        }
        match said {
            Said { by: Some(worker), what: ToCloser::Snapped } => self.snapped(worker),
            Said { what, .. } => self.take(what),
        }
    }

    fn take(&mut self, message: ToCloser) -> Result<(), Ending> {
        match message {
            ToCloser::Progress(progress) => self.progress(progress),
            ToCloser::Rows { leaf, shard, arrival, rows, times } => {
                match &self.time {
                    Time::Clock(clock) => self.stages.set_now(clock.now()),
                    Time::Arrivals => self.stages.set_now(arrival),
                }
                let taken = self.stages.take_rows(leaf, &rows, times.as_ref())?;
                self.account(leaf, &shard, taken);
            }
            ToCloser::Groups { leaf, slice, groups } => {
                let taken = self.stages.take_groups(leaf, slice, groups)?;
                self.account(leaf, &ShardId::from(""), taken);
            }
            ToCloser::Snapped => {}
            ToCloser::Checkpoint { last, savepoint, done } => match &mut self.checkpoints {
                Some(checkpoints) => checkpoints.wanted.push(Wanted { last, savepoint, done }),
                None => {
                    // Who asked may have left.
                    let _ = done.send(Err("no checkpoints are taken: the service has no folder for them".to_owned()));
                }
            },
            ToCloser::Settle(token) => {
                self.state.in_rounds.get_or_insert(true);
                // Whoever settled before may have been stopped meanwhile.
                self.state.settling.retain(|earlier| !earlier.is_closed());
                self.state.settling.push(token);
            }
            ToCloser::HandOn(token) => self.state.handing_on.push(token),
            ToCloser::Ended { source } => {
                if let Some(input) = self.inputs.get_mut(&source) {
                    input.ended += 1;
                    if input.ended == self.workers.len() {
                        input.watermarks.end();
                    }
                }
                let mut others = self.inputs.iter().filter(|(source, _)| ***source != *ERROR_STREAM);
                if others.all(|(_, input)| input.ended == self.workers.len()) {
                    self.held = None;
                }
            }
            ToCloser::Failed(reason) => return Err(Ending::Failed(reason)),
            ToCloser::Stop => return Err(Ending::Stopped),
            ToCloser::TakeOver(table) => self.output.take_over(table)?,
            ToCloser::Drop => {
                self.output.finish();
                return Err(Ending::Stopped);
            }
        }
        Ok(())
    }

    /// Counts rows that the workers left to be counted here.
    fn account(&self, leaf: LeafId, shard: &ShardId, taken: Taken) {
        self.stats.used.add(taken.used as u64);
        self.stats.filtered.add(taken.outside as u64);
        self.stats.late.add(taken.late.len() as u64);
        self.stats.rejected.add(taken.rejected.len() as u64);
        let source = self.sources.get(&leaf).map_or("", |source| source);
        self.faults.report(taken.rejected.into_iter().chain(taken.told).map(|(row, reason)| {
            Fault::of_row(&self.name, source, shard.as_str(), None, row, reason).named("evaluation")
        }));
        self.faults.report(taken.late.into_iter().map(|(time, missed)| {
            let late = Late { time, missed, watermark: self.state.closed };
            late.fault(&self.name, source, shard.as_str(), String::new())
        }));
    }

    /// Rows that were counted as used when they came, and then were too late for a later stage.
    fn account_late(&mut self) {
        let late = self.stages.take_late();
        self.stats.used.sub(late.len() as u64);
        self.stats.late.add(late.len() as u64);
        self.faults.report(late.into_iter().map(|(time, missed)| {
            let late = Late { time, missed, watermark: self.state.closed };
            late.fault(&self.name, "", "", String::new())
        }));
    }

    fn report_broken(&mut self) {
        let broken = self.stages.take_broken();
        self.faults.report(
            broken
                .into_iter()
                .map(|(row, reason)| Fault::of_row(&self.name, "", "", None, row, reason).named("evaluation")),
        );
    }

    fn progress(&mut self, Progress { source, shard, kind }: Progress) {
        let Some(input) = self.inputs.get_mut(&source) else { return };
        if let Some(checkpoints) = &mut self.checkpoints {
            // Silence changes nothing that must be kept.
            checkpoints.has_news |= !matches!(kind, ProgressKind::Tip { .. } | ProgressKind::Behind { .. });
        }
        let mut now = self.state.now;
        if let (Time::Arrivals, ProgressKind::Moved { arrival: at, .. } | ProgressKind::Tip { as_of: at }) =
            (&self.time, &kind)
        {
            // A shard moved when its record arrived, however far others are.
            now = *at;
            self.state.now = self.state.now.max(now);
        }
        if let Time::Clock(clock) = &self.time {
            self.state.now = clock.now();
            now = self.state.now;
        }
        self.stages.set_now(now);
        let seen = input.offsets.entry(shard.clone()).or_default();
        match kind {
            ProgressKind::Opened { parents } => input.watermarks.open(&shard, &parents, now),
            ProgressKind::Moved { watermark, offset, rows, .. } => {
                self.state.in_rounds.get_or_insert(false);
                seen.0 = Some(offset);
                input.watermarks.observe(&shard, watermark, now);
                self.state.dirty |= rows > 0;
            }
            ProgressKind::Tip { as_of } => {
                seen.1 = 0;
                input.watermarks.at_tip(&shard, as_of);
            }
            ProgressKind::Told { watermark } => input.watermarks.observe(&shard, watermark, now),
            ProgressKind::Behind { lag_ms } => seen.1 = lag_ms,
            ProgressKind::Closed => input.watermarks.close(&shard),
        }
    }

    /// Looks at time, and does what is due.
    fn advance(&mut self) -> Result<(), Ending> {
        // A client may leave while no rows come.
        if self.output.is_abandoned() {
            return Err(Ending::Abandoned);
        }
        self.relieve()?;
        if self.is_within_round() {
            // Who asks for a checkpoint may have stopped the reader, and then the round never ends.
            if self.state.snap.is_none() && self.is_checkpoint_wanted() {
                self.ask_workers(false, true, false);
            }
            return Ok(());
        }
        let now = self.state.now;
        let least = self.inputs.values_mut().map(|input| input.watermarks.advance(now)).min();
        if let Some(watermark) = least.filter(|watermark| *watermark > self.state.watermark) {
            self.state.watermark = watermark;
            self.output.watermark(watermark)?;
        }
        self.publish();
        if self.state.snap.is_some() {
            return Ok(());
        }
        if self.is_checkpoint_due() {
            if is_broken(Order::AnswersFirst) {
                let closed = std::mem::replace(&mut self.state.closed, self.state.watermark);
                self.cut(false)?;
                self.state.closed = closed;
                return Ok(());
            }
            self.ask_workers(false, true, false);
            return Ok(());
        }
        let settling = !self.state.settling.is_empty();
        let is_shown = self.is_updating && !self.ended() && matches!(self.time, Time::Clock(_)) && !settling;
        let looks = self.refresh.is_some() && self.state.now >= self.state.next_look;
        if self.stages.has_panes() {
            let mut look = looks && self.state.dirty;
            if look && !self.budget.can_look() {
                self.state.next_look = self.state.now + NO_ROOM;
                look = false;
            }
            let has_moved = self.state.watermark > self.state.closed;
            if look || has_moved && self.stages.is_due(self.state.watermark) {
                self.ask_workers(look, false, false);
                return Ok(());
            }
            // Nothing that workers have can close yet; later stages may go on.
            if has_moved {
                self.run_stages(self.state.watermark, false)?;
            }
        } else if !is_shown || looks {
            self.run_stages(self.state.watermark, looks && self.stages.has_news())?;
            // Nothing is left to be shown: there is no need to wake up for it.
            self.state.dirty &= !looks;
        }
        if self.ended() && (self.state.closed == EventTime::MAX) {
            return self.finish();
        }
        self.state.settling.clear();
        self.state.handing_on.clear();
        Ok(())
    }

    /// Until each worker has said that a round is complete, some of it may still be on its way.
    fn is_within_round(&self) -> bool {
        let is_complete = self.state.settling.len() >= self.workers.len();
        self.state.in_rounds == Some(true) && !is_complete && !self.ended()
    }

    /// Whether every input has ended.
    fn ended(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.values().all(|input| input.ended == self.workers.len())
    }

    /// Asks the workers for what closes, or for all; what they answer comes with [`ToCloser::Snapped`] behind it.
    fn ask_workers(&mut self, look: bool, checkpoint: bool, relief: bool) {
        self.state.dirty &= !look;
        let close = self.state.watermark.max(self.state.closed);
        let answered = vec![false; self.workers.len()];
        self.state.snap = Some(Snap { answered, close, look, checkpoint, relief, held: Vec::new() });
        let all = look || checkpoint || relief || self.takes_all;
        for (number, worker) in self.workers.iter().enumerate() {
            let answer = CloserLink { worker: Some(number), ..self.answer.clone() };
            // Workers outlive closers, except when the whole engine stops.
            let _ = worker.send(ToWorker::Snap { query: self.query, close, all, answer });
        }
    }

    fn snapped(&mut self, worker: usize) -> Result<(), Ending> {
        let Some(snap) = &mut self.state.snap else { return Ok(()) };
        snap.answered[worker] = true;
        if !snap.answered.iter().all(|answered| *answered) {
            return Ok(());
        }
        let Some(snap) = self.state.snap.take() else { return Ok(()) };
        self.run_stages(snap.close, snap.look)?;
        if snap.checkpoint && self.cut(false)? {
            return Err(Ending::Stopped);
        }
        if snap.relief {
            self.relieve_now()?;
        }
        snap.held.into_iter().try_for_each(|said| self.hear(said))
    }

    /// Looks at how much state there is, and does what is due about it.
    fn relieve(&mut self) -> Result<(), Ending> {
        let now = self.state.now;
        if matches!(self.time, Time::Clock(_)) && now - self.state.measured < PUBLISH {
            return Ok(());
        }
        self.state.measured = now;
        self.budget.measure(&self.stages);
        if self.state.snap.is_some() || !self.budget.is_exceeded(&self.stages, &self.stats) {
            return Ok(());
        }
        if self.stages.has_panes() {
            self.ask_workers(false, false, true);
            return Ok(());
        }
        self.relieve_now()
    }

    fn relieve_now(&mut self) -> Result<(), Ending> {
        self.budget.relieve(&mut self.stages)?.map_or(Ok(()), |reason| Err(Ending::Failed(reason)))
    }

    /// Emits what is due by `watermark`, and open windows if asked to.
    fn run_stages(&mut self, watermark: EventTime, look: bool) -> Result<(), Ending> {
        let started = self.state.now;
        let mut has_emitted = false;
        let Self { stages, output, stats, .. } = self;
        stages.advance(watermark, started, &mut |emitted| {
            has_emitted = true;
            emit(output, stats, emitted, started)
        })?;
        self.account_late();
        self.state.closed = self.state.closed.max(watermark);
        self.report_broken();
        if let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| has_emitted) {
            // What a cut had read before it may close windows only after it.
            checkpoints.has_news = true;
        }
        if look {
            for open in self.stages.look()? {
                emit(&self.output, &self.stats, open, started)?;
            }
        }
        if let (Time::Clock(clock), Some(refresh), true) =
            (&self.time, self.refresh, look || has_emitted && self.is_updating)
        {
            let ended = clock.now();
            self.state.next_look = ended + Duration(refresh.0.max((ended - started).0 * LOOK_SHARE));
        }
        if self.is_updating {
            self.state.dirty = false;
        }
        Ok(())
    }

    fn publish(&mut self) {
        let now = self.state.now;
        let is_due = now - self.state.published >= PUBLISH || self.ended() || !matches!(self.time, Time::Clock(_));
        if !is_due {
            return;
        }
        self.state.published = now;
        self.stats.set_watermark(self.state.watermark);
        let (windows, groups) = self.stages.size();
        self.stats.set_state_size(windows, groups);
        let counted = self.inputs.values().flat_map(|input| input.watermarks.shards());
        let least = counted.filter(|(_, shard)| shard.state.counts()).map(|(_, shard)| shard.watermark).min();
        for (source, input) in &self.inputs {
            for (shard, progress) in input.watermarks.shards() {
                let (offset, lag_ms) = input.offsets.get(shard).cloned().unwrap_or_default();
                let holds_back = progress.state.counts() && least == Some(progress.watermark);
                let stats =
                    ShardStats { state: progress.state, watermark: progress.watermark, offset, lag_ms, holds_back };
                self.stats.set_shard(source, shard, stats);
            }
        }
    }
}

/// Hands on what the last stage gave.
fn emit(output: &Output, stats: &QueryStats, emitted: Emitted, now: EventTime) -> Result<(), Ending> {
    match emitted {
        Emitted::Window { window, rows, is_final, part } => {
            if is_final {
                stats.rows_out.add(rows.num_rows() as u64);
            }
            output.window(window, rows, is_final, part)?;
        }
        Emitted::Append(rows) if rows.num_rows() == 0 => {}
        Emitted::Append(rows) => {
            stats.rows_out.add(rows.num_rows() as u64);
            output.append(rows, now)?;
        }
        Emitted::Update { rows, gone } => {
            stats.rows_out.add(rows.num_rows() as u64);
            output.update(&rows, gone.as_deref())?;
        }
    }
    Ok(())
}
