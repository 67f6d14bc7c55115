//! The loop against a service that fails as it is told to, by a clock set by hand.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use millstream_core::{BoxFuture, Clock, Duration, SinkError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::testing::StepClock;

/// What a service does with a batch: an outcome a run, or a fault for all of it, of which `true` were stored all the
/// same.
type Script = dyn FnMut(&[Run]) -> Result<Vec<bool>, (Fault, bool)> + Send;

struct Scripted {
    script: Mutex<Box<Script>>,
    /// Each batch: keys, and texts of the records.
    batches: Mutex<Vec<Vec<(String, String)>>>,
    stored: Mutex<Vec<(String, String)>>,
    under_way: Mutex<HashSet<String>>,
    clock: StepClock,
}

impl Service for Scripted {
    fn what(&self) -> &'static str {
        "service `s`"
    }

    fn bytes(&self, record: &Record) -> usize {
        record.data.len()
    }

    fn send<'a>(&'a self, runs: &'a [Run]) -> BoxFuture<'a, Result<Vec<Outcome>, Fault>> {
        let texts = |run: &Run| {
            let text = |record: &Record| (run.key.to_string(), String::from_utf8(record.data.to_vec()).unwrap());
            run.records.iter().map(text).collect::<Vec<_>>()
        };
        self.batches.lock().unwrap().push(runs.iter().flat_map(texts).collect());
        for run in runs {
            assert!(self.under_way.lock().unwrap().insert(run.key.to_string()), "`{}` is under way twice", run.key);
        }
        let outcomes = (self.script.lock().unwrap())(runs);
        let (stored, answer) = match outcomes {
            Ok(stored) => {
                let outcome = |stored: &bool| if *stored { Outcome::Stored } else { Outcome::Failed("no".to_owned()) };
                let answer = stored.iter().map(outcome).collect();
                (stored, Ok(answer))
            }
            Err((fault, stored)) => (vec![stored; runs.len()], Err(fault)),
        };
        let kept = runs.iter().zip(stored).filter(|(_, stored)| *stored).flat_map(|(run, _)| texts(run));
        self.stored.lock().unwrap().extend(kept);
        Box::pin(async move {
            self.clock.sleep(Duration(5)).await;
            for run in runs {
                assert!(self.under_way.lock().unwrap().remove(&*run.key));
            }
            answer
        })
    }
}

fn limits() -> Limits {
    Limits {
        batch_runs_max: 10,
        batch_bytes_max: 1000,
        run_bytes_max: 0,
        record_bytes_max: 500,
        in_flight_max: 3,
        buffered_max: 50,
        linger: Duration(20),
    }
}

fn outbox(
    limits: Limits,
    script: impl FnMut(&[Run]) -> Result<Vec<bool>, (Fault, bool)> + Send + 'static,
) -> (Outbox, Arc<Scripted>) {
    let clock = StepClock::at(0);
    let service = Arc::new(Scripted {
        script: Mutex::new(Box::new(script)),
        batches: Mutex::default(),
        stored: Mutex::default(),
        under_way: Mutex::default(),
        clock: clock.clone(),
    });
    (Outbox::new(Arc::clone(&service) as _, limits, Arc::new(clock), 7), service)
}

fn record(key: &str, data: impl Into<Bytes>) -> Record {
    Record { key: key.into(), data: data.into() }
}

#[expect(clippy::unnecessary_wraps, reason = "one of the answers a service may give")]
fn all_stored(runs: &[Run]) -> Result<Vec<bool>, (Fault, bool)> {
    Ok(vec![true; runs.len()])
}

fn retry() -> Fault {
    Fault::Retry { reason: "later".to_owned(), least: Duration(0) }
}

/// For each key its records, and each but the first time it came.
fn first_times(stored: &[(String, String)]) -> HashMap<String, Vec<String>> {
    let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
    for (key, text) in stored {
        let of_key = by_key.entry(key.clone()).or_default();
        if !of_key.contains(text) {
            of_key.push(text.clone());
        }
    }
    by_key
}

#[tokio::test]
async fn whatever_fails_each_record_is_stored_and_a_keys_are_in_order() {
    for seed in 0..200 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut dice = SmallRng::seed_from_u64(seed + 1000);
        let limits = Limits { run_bytes_max: if seed % 2 == 0 { 0 } else { 40 }, ..limits() };
        let (mut outbox, service) = outbox(limits, move |runs| match dice.random_range(0..10) {
            0 => Err((retry(), false)),
            // A time-out after it was done.
            1 => Err((retry(), true)),
            2..6 => Ok(runs.iter().map(|_| dice.random_bool(0.5)).collect()),
            _ => all_stored(runs),
        });
        let mut expected: HashMap<String, Vec<String>> = HashMap::new();
        for number in 0..200 {
            let key = format!("k{}", random.random_range(0..8));
            let text = format!("{number:03}");
            expected.entry(key.clone()).or_default().push(text.clone());
            outbox.push(record(&key, text)).await.unwrap();
            if random.random_bool(0.1) {
                // Others may drop it at any point.
                drop(outbox.step(false).now_or_never());
            }
        }
        outbox.flush().await.unwrap();
        let stored = service.stored.lock().unwrap();
        assert_eq!(first_times(&stored), expected, "seed {seed}");
        // What is stored twice is the last of a key that was stored: nothing goes back beyond it.
        let mut newest: HashMap<&str, &str> = HashMap::new();
        for (key, text) in stored.iter().filter(|_| seed % 2 == 0) {
            let newest = newest.entry(key).or_default();
            assert!(text.as_str() >= *newest, "seed {seed}: {key} goes from {newest} to {text}");
            *newest = text;
        }
    }
}

#[tokio::test]
async fn a_batch_goes_when_it_is_full_or_has_lingered() {
    let (mut outbox, service) = outbox(limits(), all_stored);
    let batches = || service.batches.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>();
    for number in 0..9 {
        outbox.push(record(&number.to_string(), "x")).await.unwrap();
    }
    assert!(outbox.step(false).now_or_never().is_none());
    assert_eq!(batches().len(), 0, "neither full nor late");
    service.clock.sleep(Duration(20)).await;
    assert!(outbox.step(false).now_or_never().is_none());
    assert_eq!(batches(), [9], "the oldest has lingered");
    for number in 9..19 {
        outbox.push(record(&number.to_string(), "x")).await.unwrap();
    }
    assert!(outbox.step(false).now_or_never().is_none());
    assert_eq!(batches(), [9, 10], "it is full by count");
    for number in 19..23 {
        outbox.push(record(&number.to_string(), "x".repeat(300))).await.unwrap();
    }
    assert!(outbox.step(false).now_or_never().is_none());
    assert_eq!(batches(), [9, 10, 3], "it is full by size");
    outbox.flush().await.unwrap();
    assert_eq!(batches(), [9, 10, 3, 1]);
    assert!(outbox.step(false).now_or_never().is_none(), "there is nothing to do");
}

#[tokio::test]
async fn a_key_of_which_a_record_fails_waits_and_others_do_not() {
    let mut is_first = true;
    let (mut outbox, service) = outbox(limits(), move |runs| {
        let is_first = std::mem::take(&mut is_first);
        Ok(runs.iter().map(|run| !(is_first && &*run.key == "a")).collect())
    });
    for (key, text) in [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")] {
        outbox.push(record(key, text)).await.unwrap();
    }
    outbox.flush().await.unwrap();
    let stored = service.stored.lock().unwrap();
    let texts: Vec<_> = stored.iter().map(|(key, text)| format!("{key}{text}")).collect();
    assert_eq!(texts, ["b1", "b2", "a1", "a2"]);
}

#[tokio::test]
async fn there_is_no_more_room_than_was_given() {
    let (mut outbox, service) = outbox(limits(), all_stored);
    for number in 0..50 {
        let pushed = outbox.push(record("one key", number.to_string())).now_or_never();
        assert!(pushed.is_some_and(|pushed| pushed.is_ok()), "record {number}");
    }
    assert!(outbox.push(record("one key", "50")).now_or_never().is_none(), "50 are buffered");
    outbox.push(record("one key", "50")).await.unwrap();
    outbox.flush().await.unwrap();
    assert_eq!(service.stored.lock().unwrap().len(), 51);
}

#[tokio::test]
async fn what_trying_again_does_not_mend_fails_in_words() {
    let long = "x".repeat(501);
    let (mut full, _) = outbox(limits(), all_stored);
    let error = full.push(record("a", long)).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }));
    assert!(error.to_string().contains("a row has 501 bytes, and a record no more than 500"), "{error}");
    for (fault, words) in [
        (Fault::Permanent("denied".to_owned()), "writing to service `s` failed: denied"),
        (Fault::Missing("no such".to_owned()), "check its name, region and endpoint (no such)"),
    ] {
        let (mut refused, _) = outbox(limits(), move |_| Err((fault.clone(), false)));
        refused.push(record("a", "x")).await.unwrap();
        let error = refused.flush().await.unwrap_err();
        assert!(matches!(error, SinkError::Fatal { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn options_are_checked() {
    let defaults = Defaults {
        batch_records_max: 500,
        batch_bytes_max: 1,
        record_bytes_max: 1,
        in_flight: 16,
        linger: Duration(20),
    };
    let read = |pairs: &[(&str, &str)]| {
        let options: millstream_core::Options = pairs.iter().copied().collect();
        Limits::read(&options.reader(), &defaults)
    };
    let limits = read(&[("sink.batch.max-size", "100"), ("sink.flush-buffer.timeout", "1 s")]).unwrap();
    assert_eq!((limits.batch_runs_max, limits.linger, limits.in_flight_max), (100, Duration(1000), 16));
    for (key, value) in [
        ("sink.batch.max-size", "501"),
        ("sink.batch.max-size", "0"),
        ("sink.requests.max-inflight", "many"),
        ("sink.requests.max-buffered", "0"),
        ("sink.flush-buffer.timeout", "soon"),
    ] {
        assert_eq!(read(&[(key, value)]).unwrap_err().key, key);
    }
}
