//! One run: which step comes next, what goes wrong, and when it is over.

use super::auditor::Auditor;
use super::process::{Process, Step};
use super::random::Random;
use super::scenario::{Scenario, Weights};
use super::store::manifest_of;
use super::world::{Faults, Shared, World};
use crate::checkpoint::Manifest;

/// From here on nothing goes wrong any more, so that the run can end.
const CALM_AFTER: usize = 2500;
/// A run that takes more steps stands still.
const STEPS_MAX: usize = 40_000;
/// A run in which so many processes have been started does not come to its end either.
const STARTS_MAX: usize = 400;
/// How often the auditor looks.
const AUDIT_EVERY: usize = 50;
/// For how many steps one process of two may stand still.
const STALL_EVERY: usize = 150;

/// What a run has to say.
pub(super) struct Report {
    pub(super) log: Vec<String>,
    /// What must not happen and did; empty: all is well.
    pub(super) wrong: Vec<String>,
    pub(super) steps: usize,
    pub(super) starts: usize,
}

pub(super) struct Run {
    world: Shared,
    scenario: Scenario,
    auditor: Auditor,
    /// The newest is the last.
    processes: Vec<Process>,
    starts: usize,
    /// Whether a process has ever come to run.
    has_started: bool,
    steps: usize,
    crashes_left: usize,
    /// Of two processes the one that stands still.
    stalled: Option<usize>,
}

enum Act {
    Step(usize, Step),
    Clock,
    Stray,
    Ask,
    Crash,
    SecondProcess,
}

/// Runs the simulation of a seed.
pub(super) fn run(seed: u64) -> Report {
    let world = Shared::new(seed);
    let scenario = Scenario::make(&world);
    world.log(&scenario.script);
    let crashes_left = scenario.crashes;
    let auditor = Auditor::new(&world, &scenario);
    let processes = Vec::new();
    let mut run = Run {
        world,
        scenario,
        auditor,
        processes,
        starts: 0,
        has_started: false,
        steps: 0,
        crashes_left,
        stalled: None,
    };
    while !run.go_on() {}
    run.processes.clear();
    let mut world = run.world.lock();
    Report {
        log: std::mem::take(&mut world.log),
        wrong: std::mem::take(&mut world.wrong),
        steps: run.steps,
        starts: run.starts,
    }
}

impl Run {
    /// Takes one step. Answers whether it was the last.
    fn go_on(&mut self) -> bool {
        self.steps += 1;
        if self.steps == CALM_AFTER {
            let mut world = self.world.lock();
            world.faults = Faults { store_polls: 1, ..Faults::default() };
            world.log.push("from here on nothing goes wrong".to_owned());
            self.crashes_left = 0;
            self.stalled = None;
        }
        if self.steps > STEPS_MAX {
            self.wrong("it does not come to its end".to_owned());
        }
        if !self.world.lock().wrong.is_empty() {
            return true;
        }
        if self.processes.is_empty() {
            return self.start();
        }
        if self.steps.is_multiple_of(STALL_EVERY) && self.processes.len() > 1 {
            self.stalled = Some(self.world.lock().random.below(3)).filter(|_| !self.is_calm());
        }
        let act = self.choose();
        match act {
            Act::Step(process, step) => {
                if self.processes[process].take(step) {
                    return self.something_ended(process);
                }
            }
            Act::Clock => {
                let millis = {
                    let random = &mut self.world.lock().random;
                    let jumps = self.scenario.jumps && random.chance(30);
                    if jumps { random.millis(-20_000, 60_000) } else { random.millis(1, 150) }
                };
                self.world.log(format!("{millis} ms pass"));
                self.world.pass(millis);
            }
            Act::Stray => self.stray_arrives(),
            Act::Ask => self.ask(),
            Act::Crash => {
                self.crashes_left -= 1;
                let process = self.world.lock().random.below(self.processes.len());
                self.crash(process);
            }
            Act::SecondProcess => {
                self.scenario.has_second_process = false;
                self.world.lock().has_two_writers = true;
                return self.start();
            }
        }
        if self.steps.is_multiple_of(AUDIT_EVERY) {
            self.processes.iter().for_each(|process| self.auditor.look(process));
        }
        false
    }

    fn is_calm(&self) -> bool {
        self.steps >= CALM_AFTER
    }

    fn wrong(&self, what: String) {
        self.world.lock().wrong.push(what);
    }

    fn choose(&mut self) -> Act {
        let Weights { worker, closer, silence, task, clock } = self.scenario.weights;
        let mut acts: Vec<(usize, Act)> = vec![(clock * 4, Act::Clock)];
        for (index, process) in self.processes.iter_mut().enumerate() {
            let steps = process.steps();
            if self.stalled == Some(index) {
                continue;
            }
            acts.extend(steps.into_iter().map(|step| {
                let weight = match step {
                    Step::Worker(_) => worker * 10,
                    Step::Closer(_, true) => closer * 10,
                    Step::Closer(_, false) => silence * 5,
                    Step::Task(_) => task * 10,
                };
                (weight, Act::Step(index, step))
            }));
        }
        if !self.world.lock().strays.is_empty() {
            acts.push((5, Act::Stray));
        }
        if !self.is_calm() {
            acts.push((1, Act::Ask));
            if self.crashes_left > 0 {
                acts.push((1, Act::Crash));
            }
            if self.scenario.has_second_process && self.processes.len() == 1 && self.starts < 20 {
                acts.push((1, Act::SecondProcess));
            }
        }
        let all: usize = acts.iter().map(|(weight, _)| weight).sum();
        let mut at = self.world.lock().random.below(all);
        for (weight, act) in acts {
            if at < weight {
                return act;
            }
            at -= weight;
        }
        Act::Clock
    }

    /// A process begins; what it finds may have suffered meanwhile. Answers whether the run is over.
    fn start(&mut self) -> bool {
        if self.processes.is_empty() && self.scenario.damages && self.world.lock().random.chance(300) {
            self.damage();
        }
        self.starts += 1;
        let name = format!("p{}", self.starts);
        self.world.log(format!("{name} starts"));
        match Process::start(name.clone(), &self.world, &self.scenario) {
            Ok(process) => {
                if let Some(skipped) = process.skipped().first().filter(|_| !self.world.lock().is_damaged) {
                    self.wrong(format!("a checkpoint is not used although nothing is damaged: {skipped}"));
                }
                self.has_started = true;
                self.processes.push(process);
                if self.processes.last().is_some_and(Process::is_finished) {
                    // All was done before; there is nothing that could end.
                    self.finish();
                    return true;
                }
            }
            Err(reason) => {
                self.world.log(format!("{name} does not start: {reason}"));
                self.excuse(&reason);
                if self.starts > STARTS_MAX {
                    self.wrong(format!("it does not start any more: {reason}"));
                }
                if !self.has_started {
                    // Queries that were claimed one by one would have readers of their own, which catch up with each
                    // other: a matter of streams that never end.
                    self.world.lock().objects.clear();
                }
            }
        }
        false
    }

    fn crash(&mut self, process: usize) {
        self.auditor.look(&self.processes[process]);
        let gone = self.processes.remove(process);
        self.world.log(format!("{} is killed", gone.name));
        self.stalled = None;
    }

    /// Looks why something has ended. Answers whether the run is over.
    fn something_ended(&mut self, process: usize) -> bool {
        let failures = self.processes[process].failures();
        for reason in &failures {
            self.world.log(format!("{}: a query failed: {reason}", self.processes[process].name));
            self.excuse(reason);
        }
        if !failures.is_empty() {
            self.crash(process);
            return false;
        }
        if process + 1 == self.processes.len() && self.processes[process].is_finished() {
            self.finish();
            return true;
        }
        false
    }

    /// What may be said where things go wrong.
    fn excuse(&self, reason: &str) {
        let is_taken_over = reason.contains("another process has taken over") && self.starts > 1;
        if !reason.contains("simulated") && !reason.contains("counted twice") && !is_taken_over {
            self.wrong(format!("it failed without a cause: {reason}"));
        }
    }

    fn stray_arrives(&self) {
        let mut world = self.world.lock();
        let World { random, strays, .. } = &mut *world;
        let index = random.below(strays.len());
        let (path, bytes) = strays.remove(index);
        let done = world.create(&path, bytes);
        world.log.push(format!("{path} arrives without its process: {}", if done.is_ok() { "ok" } else { "exists" }));
    }

    /// Somebody asks for a checkpoint.
    fn ask(&self) {
        let process = &self.processes[self.processes.len() - 1];
        let names: Vec<String> = process.queries().into_iter().map(|query| query.name).collect();
        let name = self.world.lock().random.pick(&names).clone();
        let (engine, world) = (process.engine.clone(), self.world.clone());
        world.log(format!("{}: a checkpoint of {name} is asked for", process.name));
        process.ask(async move {
            match engine.checkpoint(&name).await {
                Ok(number) => world.log(format!("  checkpoint {number} of {name} was asked for and is there")),
                Err(error) => world.log(format!("  no checkpoint of {name}: {error}")),
            }
        });
    }

    /// The newest manifest of a query is damaged; an older one is there.
    fn damage(&mut self) {
        let mut guard = self.world.lock();
        let world = &mut *guard;
        let mut folders: Vec<String> =
            world.objects.keys().filter_map(|path| manifest_of(path)).map(|(folder, _)| folder.to_owned()).collect();
        folders.dedup();
        let damaged = folders.iter().filter_map(|folder| {
            let manifests = world.manifests(folder);
            let older = &world.objects[&manifests[manifests.len().checked_sub(2)?].1];
            let knows_sink = Manifest::decode(older).is_ok_and(|older| older.sink.is_some());
            // Without a word of the sink there is nothing to tell by what was written twice.
            let is_usable = knows_sink || !folder.contains("insert_into");
            is_usable.then(|| manifests[manifests.len() - 1].1.clone())
        });
        let damaged: Vec<String> = damaged.collect();
        if damaged.is_empty() {
            return;
        }
        let path = world.random.pick(&damaged).clone();
        world.is_damaged = true;
        // What a dead process sent would follow what is no longer there.
        world.strays.clear();
        let how = damage_one(&mut world.random, world.objects.get_mut(&path).unwrap());
        if how == "removed" {
            world.objects.remove(&path);
        }
        world.log.push(format!("{path} is {how}"));
    }

    /// Everything has been read and handed on.
    fn finish(&mut self) {
        self.world.log("all is done");
        let process = self.processes.pop().unwrap();
        self.auditor.compare(&process);
        drop(process);
        // Who was fenced does no harm, and who starts once more finds it as it was.
        self.processes.clear();
        self.world.lock().faults = Faults::default();
        self.world.log("it starts once more");
        match Process::start("again".to_owned(), &self.world, &self.scenario) {
            Ok(mut again) => {
                let _ = again.steps();
                self.auditor.compare_tables(&again);
            }
            Err(reason) => self.wrong(format!("it does not start once more: {reason}")),
        }
    }
}

fn damage_one(random: &mut Random, bytes: &mut Vec<u8>) -> &'static str {
    match random.below(3) {
        0 => "removed",
        1 => {
            bytes.truncate(random.below(bytes.len()));
            "cut"
        }
        _ => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            "damaged"
        }
    }
}
