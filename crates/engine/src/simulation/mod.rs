//! A simulation of whole services: real engines, stepped on one thread by one seed, in a world that loses uploads, breaks
//! readers, kills processes between any two steps and starts a second one beside the first.
//!
//! ```text
//! run (which step is next) ─► process (an engine, stepped) ─► stream, store, sinks (the world, which survives)
//!                                        auditor: what they show = the batch answer
//! ```
//!
//! `MILLSTREAM_SIMULATION_SEED=7` runs one seed, `MILLSTREAM_SIMULATION_SEEDS=20000` more of them than CI does.

mod auditor;
mod connectors;
mod process;
mod random;
mod run;
mod scenario;
mod sinks;
mod store;
mod stream;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::sabotage::{BROKEN, Order};
use process::Process;
use run::{Report, run};
use scenario::Scenario;
use world::{Faults, Shared};

/// How many seeds CI runs.
const SEEDS: u64 = 500;
/// So much of a log is shown where something is wrong.
const LOG_LINES: usize = 40;
/// A broken order is to be noticed within so many seeds.
const SEEDS_TO_NOTICE: u64 = 60;

/// For what waits inside a step: plans of CLOSE, and a start that reads its checkpoint.
fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    RUNTIME.get_or_init(make).handle().clone()
}

/// What is wrong with a seed; a panic is.
fn try_seed(seed: u64) -> Result<Report, String> {
    let report = catch_unwind(AssertUnwindSafe(|| run(seed))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        format!("a panic: {}", text.or(panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })?;
    if number("MILLSTREAM_SIMULATION_SEED").is_some() {
        println!("{}", report.log.join("\n"));
    }
    if report.wrong.is_empty() {
        return Ok(report);
    }
    let first = report.log.len().saturating_sub(LOG_LINES);
    Err(format!("{}\n\nafter {} steps:\n{}", report.wrong.join("\n"), report.steps, report.log[first..].join("\n")))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..6 {
        let (first, second) = (run(seed), run(seed));
        let differs = first.log.iter().zip(&second.log).position(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.log.len(), second.log.len(), "seed {seed}");
    }
}

#[test]
fn whatever_happens_the_result_is_the_batch_answer() {
    let seeds: Vec<u64> = match number("MILLSTREAM_SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("MILLSTREAM_SIMULATION_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let of_thread = |first: usize| {
        let mut wrong = Vec::new();
        let (mut steps, mut starts) = (0, 0);
        for seed in seeds.iter().skip(first).step_by(threads) {
            match try_seed(*seed) {
                Ok(report) => (steps, starts) = (steps + report.steps, starts + report.starts),
                Err(reason) => wrong.push((*seed, reason)),
            }
        }
        (wrong, steps, starts)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || of_thread(first))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (steps, starts) =
        results.iter().fold((0, 0), |(steps, starts), (_, more, again)| (steps + more, starts + again));
    let mut wrong: Vec<_> = results.into_iter().flat_map(|(wrong, ..)| wrong).collect();
    wrong.sort();
    println!("{} seeds, {steps} steps, {starts} starts, {} wrong", seeds.len(), wrong.len());
    let numbers: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
    if let Some((seed, reason)) = wrong.first() {
        panic!("MILLSTREAM_SIMULATION_SEED={seed}\n{reason}\n\nseeds that are wrong: {numbers:?}");
    }
}

/// Whether the simulation notices a broken order.
fn notices(order: Order) -> bool {
    BROKEN.set(Some(order));
    let noticed = (0..SEEDS_TO_NOTICE).find_map(|seed| try_seed(seed).err().map(|reason| (seed, reason)));
    BROKEN.set(None);
    if let Some((seed, reason)) = &noticed {
        println!("{order:?}: seed {seed}: {}", reason.lines().next().unwrap_or_default());
    }
    noticed.is_some()
}

#[test]
fn a_start_is_refused_in_words_where_every_checkpoint_is_damaged() {
    let world = Shared::new(1);
    let scenario = Scenario::make(&world);
    let start = |name: &str| Process::start(name.to_owned(), &world, &scenario).map(drop);
    world.lock().faults = Faults::default();
    start("p1").unwrap();
    world.lock().objects.values_mut().for_each(|bytes| bytes.truncate(50));
    let refused = start("p2").unwrap_err();
    assert!(refused.contains("no checkpoint of") && refused.contains("START FROM"), "{refused}");
}

#[test]
fn it_notices_what_is_said_to_be_emitted_before_the_workers_answered() {
    assert!(notices(Order::AnswersFirst));
}

#[test]
fn it_notices_a_cut_that_is_not_aligned() {
    assert!(notices(Order::HoldBack));
}

#[test]
fn it_notices_a_manifest_before_its_data() {
    assert!(notices(Order::DataFirst));
}

#[test]
fn it_notices_a_sink_that_shows_rows_before_the_manifest() {
    assert!(notices(Order::ManifestFirst));
}
