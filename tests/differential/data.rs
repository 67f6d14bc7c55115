//! Seeded records of two streams: what goes wrong with time, keys and payloads, and nothing that is late.
//!
//! A row is at most [`DELAY_MS`] behind the newest event time before it, in whichever stream or shard that was, so no
//! row is late however a run is cut. Arrivals never go back.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

/// The delay of the watermarks.
pub(super) const DELAY_MS: i64 = 5000;
/// `scan.watermark.max-future-skew`: a row further ahead of its arrival moves the watermark no further than this.
const SKEW_MS: i64 = 1000;
/// How far ahead a row from the future is.
const FUTURE_MS: i64 = 2 * 3_600_000;

/// Where a case begins: on the boundary of a day, over the epoch, before it, and on days with a change of clocks.
const BEGINNINGS: [i64; 8] = [
    1_767_225_600_000, // 2026-01-01T00:00:00Z
    1_767_106_800_000, // 2025-12-30T15:00:00Z: midnight in Seoul
    0,
    -86_400_000,
    -31_536_000_123,
    1_772_953_200_000, // 2026-03-08T07:00:00Z: clocks go forward in New York
    1_772_942_400_000, // 2026-03-08T04:00:00Z: an hour before midnight there
    1_793_512_800_000, // 2026-11-01T06:00:00Z: clocks go back
];

/// One record of a replay.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) stream: &'static str,
    arrival: i64,
    pub(super) row: Row,
    fault: Option<Fault>,
    /// Time passes before it without a record: shards become idle.
    after_silence: bool,
}

/// The columns of both streams.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) k: Option<&'static str>,
    pub(super) v: Option<f64>,
    pub(super) n: i64,
    pub(super) ts: i64,
}

/// Why a record is rejected.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NotJson,
    NoTime,
    WrongType,
}

impl Record {
    pub(super) fn is_rejected(&self) -> bool {
        self.fault.is_some()
    }

    fn data(&self) -> Value {
        let Row { id, k, v, n, ts } = &self.row;
        match self.fault {
            None => json!({"id": id, "k": k, "v": v, "n": n, "ts": ts}),
            Some(Fault::NotJson) => json!(format!("{{\"id\": {id}, ")),
            Some(Fault::NoTime) => json!({"id": id, "k": k, "n": n, "ts": null}),
            Some(Fault::WrongType) => json!({"id": id, "k": k, "n": {"not": "a number"}, "ts": ts}),
        }
    }
}

/// The statements that declare both streams.
pub(super) fn tables() -> String {
    let table = |name| {
        format!(
            "CREATE TABLE {name} (id BIGINT, k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3),
               WATERMARK FOR ts AS ts - INTERVAL '{} seconds')
             WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis',
               'scan.watermark.max-future-skew' = '{} s');\n",
            DELAY_MS / 1000,
            SKEW_MS / 1000
        )
    };
    table("a") + &table("b")
}

/// Records as a replay file.
pub(super) fn replay(records: &[Record]) -> String {
    let mut lines = String::new();
    for record in records {
        if record.after_silence {
            lines.push_str(&json!({"arrival": record.arrival - 1, "step": "idle"}).to_string());
            lines.push('\n');
        }
        let key = record.row.k.unwrap_or("none");
        let line = json!({"stream": record.stream, "arrival": record.arrival, "key": key, "data": record.data()});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

/// The records of a case: one seed, the same records.
pub(super) fn records(seed: u64) -> Vec<Record> {
    let mut random = SmallRng::seed_from_u64(seed);
    let count = *[3, 12, 12, 30, 30, 60, 60, 60, 250].choose(&mut random).expect("there is a choice");
    let count = random.random_range(1..=count);
    let mut generator = Generator::new(random);
    (0..count).map(|id| generator.record(id)).collect()
}

/// The same rows in another order: each is moved by up to `by` milliseconds. By no more than the delay, none is late.
pub(super) fn shuffled(records: &[Record], by: i64, random: &mut SmallRng) -> Vec<Record> {
    let moved = |record: &Record| Record { arrival: record.row.ts + random.random_range(0..=by), ..record.clone() };
    let mut records: Vec<Record> = records.iter().map(moved).collect();
    records.sort_by_key(|record| record.arrival);
    records
}

struct Generator {
    random: SmallRng,
    now: i64,
    /// The newest event time that a watermark may have seen.
    front: i64,
    /// The longest step between records but for jumps.
    stride: i64,
    has_second_stream: bool,
    has_days: bool,
    last: Option<Record>,
}

impl Generator {
    fn new(mut random: SmallRng) -> Self {
        let mut pick = |choices: &[i64]| *choices.choose(&mut random).expect("there is a choice");
        let now = pick(&BEGINNINGS) - pick(&[0, 1, 5000, 60_000]);
        let stride = pick(&[1, 300, 800, 3000]);
        let (has_second_stream, has_days) = (random.random_bool(0.8), random.random_bool(0.3));
        Self { random, now, front: i64::MIN, stride, has_second_stream, has_days, last: None }
    }

    fn record(&mut self, id: i64) -> Record {
        let before = self.now;
        self.step();
        let after_silence = self.last.is_some() && self.now - before >= DELAY_MS && self.random.random_bool(0.5);
        // A producer that tries again: the same row once more.
        if self.random.random_bool(0.05)
            && let Some(last) = &self.last
            && last.fault.is_none()
            && self.is_in_time(last.row.ts)
        {
            let again = Record { arrival: self.now, after_silence, ..last.clone() };
            self.front = self.front.max(again.row.ts.min(self.now + SKEW_MS));
            return again;
        }
        let k = match self.random.random_range(0..10) {
            0 => None,
            1..6 => Some("hot"),
            n => Some(["k6", "k7", "k8", "k9"][n - 6]),
        };
        let ts = self.time();
        self.front = self.front.max(ts.min(self.now + SKEW_MS));
        let v = (!self.random.random_bool(0.1)).then(|| f64::from(self.random.random_range(-50..50)) / 4.0);
        let row = Row { id, k, v, n: self.random.random_range(-9..9), ts };
        let fault = match self.random.random_range(0..60) {
            0 => Some(Fault::NotJson),
            1 => Some(Fault::NoTime),
            2 => Some(Fault::WrongType),
            _ => None,
        };
        let stream = if self.has_second_stream && self.random.random_bool(0.4) { "b" } else { "a" };
        let record = Record { stream, arrival: self.now, row, fault, after_silence };
        self.last = Some(record.clone());
        record
    }

    /// Bursts, steps, gaps that are exactly those of windows, silences in which shards become idle, and days.
    fn step(&mut self) {
        self.now += match self.random.random_range(0..40) {
            0..6 => 0,
            6 => 5000,
            7 => 7000,
            8 => 7001,
            9 => 60_000,
            10 if self.has_days => self.random.random_range(1..30) * 3_600_000,
            _ => self.random.random_range(0..=self.stride),
        };
    }

    fn time(&mut self) -> i64 {
        if self.random.random_bool(0.03) {
            return self.now + FUTURE_MS;
        }
        // Boundaries are where windows go wrong, and one millisecond before them.
        let time = match self.random.random_range(0..10) {
            0 => self.now.div_euclid(10_000) * 10_000,
            1 => self.now.div_euclid(7000) * 7000 - 1,
            2 => self.last.as_ref().map_or(self.now, |last| last.row.ts),
            3..7 => self.now - self.random.random_range(0..=DELAY_MS),
            _ => self.now,
        };
        if self.is_in_time(time) { time } else { self.front - DELAY_MS }
    }

    fn is_in_time(&self, time: i64) -> bool {
        self.front == i64::MIN || time >= self.front - DELAY_MS
    }
}
