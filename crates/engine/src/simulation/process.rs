//! A process: a real engine whose workers, closers and tasks are taken one step at a time instead of running.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};

use crossbeam_channel::{Receiver, Sender, unbounded};
use millstream_core::{BoxFuture, Clock, Duration};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::connectors::Edges;
use super::scenario::Scenario;
use super::store::Store;
use super::world::Shared;
use crate::closer::{Closer, Ending};
use crate::durable::CheckpointSettings;
use crate::engine::{CLOSER_QUEUE, Engine, QueryInfo, QueryState, Script, Settings};
use crate::memory::MemorySettings;
use crate::message::Said;
use crate::threads::Runner;
use crate::worker::Worker;

/// Room that is left in a closer's inbox for what one step of a worker says.
const CLOSER_ROOM: usize = 64;

type Ended = Box<dyn FnOnce(&Ending) + Send>;

/// What the engine has started and this process has not taken on yet.
#[derive(Default)]
struct Started {
    workers: Vec<Worker>,
    closers: Vec<(String, Closer, Ended)>,
    tasks: Vec<BoxFuture<'static, ()>>,
}

#[derive(Clone, Default)]
struct Stepped(Arc<Mutex<Started>>);

impl Runner for Stepped {
    fn worker(&self, _: usize, worker: Worker) -> std::io::Result<()> {
        self.0.lock().unwrap().workers.push(worker);
        Ok(())
    }

    fn closer(&self, name: &str, closer: Closer, ended: Ended) -> std::io::Result<()> {
        self.0.lock().unwrap().closers.push((name.to_owned(), closer, ended));
        Ok(())
    }

    fn task(&self, work: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().tasks.push(work);
    }
}

struct Task {
    work: Option<BoxFuture<'static, ()>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

enum Stage {
    Fresh,
    /// For the first checkpoint.
    Waits(oneshot::Receiver<Result<u64, String>>),
    Runs,
}

struct Closing {
    name: String,
    closer: Option<Closer>,
    ended: Option<Ended>,
    stage: Stage,
    /// What was said to it, and the way for what it is to hear in its next step.
    said: Receiver<Said>,
    hears: Sender<Said>,
}

/// One step that can be taken now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Worker(usize),
    /// With messages, or without.
    Closer(usize, bool),
    Task(usize),
}

pub(super) struct Process {
    pub(super) name: String,
    pub(super) engine: Engine,
    world: Shared,
    started: Stepped,
    workers: Vec<Worker>,
    closers: Vec<Closing>,
    tasks: Vec<Task>,
}

impl Process {
    /// A new process that goes on from what is stored.
    pub(super) fn start(name: String, world: &Shared, scenario: &Scenario) -> Result<Self, String> {
        let store = Arc::new(Store { world: world.clone(), process: name.clone() });
        let checkpoints = CheckpointSettings {
            shared: None,
            store,
            open: Arc::new(|place: &str| Err(format!("there is nothing at {place}"))),
            interval: Duration(scenario.interval_ms),
            retained: scenario.retained,
            writer: name.clone(),
        };
        let settings = Settings {
            workers: scenario.workers,
            queue_bytes: scenario.queue_bytes,
            replay_time: false,
            checkpoints: Some(checkpoints),
            memory: MemorySettings::unlimited(),
        };
        let started = Stepped::default();
        let clock: Arc<dyn Clock> = Arc::new(world.clone());
        let edges = Arc::new(Edges { world: world.clone(), is_calm: false });
        let runner = Arc::new(started.clone());
        let engine = Engine::start_on(runner, edges, clock, settings, None, super::runtime()).unwrap();
        let script = Script { text: scenario.script.clone(), durable: false };
        engine.execute(&[script]).map_err(|error| error.error.to_string())?;
        let (workers, closers, tasks) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name, engine, world: world.clone(), started, workers, closers, tasks })
    }

    /// Something that is done beside, such as what a user asks for.
    pub(super) fn ask(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.started.task(Box::pin(work));
    }

    /// The steps that can be taken.
    pub(super) fn steps(&mut self) -> Vec<Step> {
        let Started { workers, closers, tasks } = std::mem::take(&mut *self.started.0.lock().unwrap());
        self.workers.extend(workers);
        self.closers.extend(closers.into_iter().map(|(name, mut closer, ended)| {
            let (hears, inbox) = unbounded();
            let said = std::mem::replace(&mut closer.inbox, inbox);
            Closing { name, closer: Some(closer), ended: Some(ended), stage: Stage::Fresh, said, hears }
        }));
        self.tasks.extend(tasks.into_iter().map(|work| {
            let woken = Arc::new(Woken(AtomicBool::new(true)));
            Task { work: Some(work), woken }
        }));
        let mut steps = Vec::new();
        let is_full = self
            .closers
            .iter()
            .any(|closing| closing.closer.is_some() && closing.said.len() + CLOSER_ROOM > CLOSER_QUEUE);
        let ready = self.workers.iter().enumerate().filter(|(_, worker)| !is_full && !worker.inbox.is_empty());
        steps.extend(ready.map(|(index, _)| Step::Worker(index)));
        for (index, closing) in self.closers.iter_mut().enumerate() {
            if closing.closer.is_none() {
                continue;
            }
            match &mut closing.stage {
                Stage::Fresh => steps.push(Step::Closer(index, false)),
                Stage::Waits(first) => match first.try_recv() {
                    Err(TryRecvError::Empty) => {}
                    Ok(Ok(_)) => closing.stage = Stage::Runs,
                    Ok(Err(_)) | Err(TryRecvError::Closed) => closing.end(&Ending::Stopped),
                },
                Stage::Runs => {
                    steps.push(Step::Closer(index, false));
                    if !closing.said.is_empty() {
                        steps.push(Step::Closer(index, true));
                    }
                }
            }
        }
        let woken = |task: &Task| task.work.is_some() && task.woken.0.load(Ordering::SeqCst);
        steps.extend((0..self.tasks.len()).filter(|index| woken(&self.tasks[*index])).map(Step::Task));
        steps
    }

    /// Takes a step. Answers whether something has ended by it.
    pub(super) fn take(&mut self, step: Step) -> bool {
        let name = &self.name;
        match step {
            Step::Worker(index) => {
                let worker = &mut self.workers[index];
                let message = worker.inbox.try_recv().unwrap();
                self.world.log(format!("{name}: worker {index}"));
                worker.step(message);
                false
            }
            Step::Closer(index, with_messages) => {
                let closing = &mut self.closers[index];
                let messages = if with_messages { self.world.lock().random.between(1, closing.said.len()) } else { 0 };
                self.world.log(format!("{name}: closer {} hears {messages}", closing.name));
                closing.step(messages)
            }
            Step::Task(index) => {
                let task = &mut self.tasks[index];
                task.woken.0.store(false, Ordering::SeqCst);
                self.world.log(format!("{name}: task {index}"));
                let waker = Arc::clone(&task.woken).into();
                let polled = task.work.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker));
                if polled == Poll::Ready(()) {
                    task.work = None;
                }
                polled.is_ready()
            }
        }
    }

    pub(super) fn queries(&self) -> Vec<QueryInfo> {
        self.engine.queries()
    }

    /// Checkpoints that were not used, and why.
    pub(super) fn skipped(&self) -> Vec<String> {
        self.queries().iter().flat_map(|query| query.stats.checkpoints.newest().skipped).collect()
    }

    /// Why its queries failed, if some did.
    pub(super) fn failures(&self) -> Vec<String> {
        let failure = |query: QueryInfo| match query.state {
            QueryState::Failed(reason) => Some(reason),
            QueryState::Running | QueryState::Paused | QueryState::Finished => None,
        };
        self.queries().into_iter().filter_map(failure).collect()
    }

    /// Whether its queries are, and their sinks too.
    pub(super) fn is_finished(&self) -> bool {
        *self.engine.inner.open_sinks.borrow() == 0
            && self.queries().iter().all(|query| query.state == QueryState::Finished)
    }
}

impl Closing {
    fn step(&mut self, messages: usize) -> bool {
        let closer = self.closer.as_mut().unwrap();
        let done = match self.stage {
            Stage::Fresh => closer.begin().map(|first| {
                self.stage = first.map_or(Stage::Runs, Stage::Waits);
            }),
            Stage::Waits(_) => return false,
            Stage::Runs => {
                for _ in 0..messages {
                    self.hears.send(self.said.recv().unwrap()).unwrap();
                }
                let first = closer.inbox.try_recv().ok();
                closer.step(first)
            }
        };
        match done {
            Ok(()) => false,
            Err(ending) => {
                self.end(&ending);
                true
            }
        }
    }

    fn end(&mut self, ending: &Ending) {
        // As a thread does: all it has goes, then the engine hears of it.
        self.closer = None;
        self.ended.take().unwrap()(ending);
    }
}
