//! Random input, random queries, random cuts: what a stream gives is what a batch gives.
//!
//! `MILLSTREAM_CASES` sets the number of cases, `MILLSTREAM_SEED` the first seed; a failure names its seed.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::harness::{Cut, batch, sorted, stream};

/// Rows may be this late without being late.
const DELAY_MS: i64 = 5000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Records over some minutes, disordered within the watermark, with skewed and null keys and a few bad ones.
fn input(random: &mut SmallRng) -> String {
    let mut now = 1_767_225_600_000_i64 - random.random_range(0..100_000);
    let mut lines = String::new();
    for _ in 0..random.random_range(1..400) {
        now += if random.random_bool(0.02) { 60_000 } else { random.random_range(0..800) };
        let key = match random.random_range(0..10) {
            0 => json!(null),
            1..6 => json!("hot"),
            n => json!(format!("k{n}")),
        };
        // Boundaries are where windows go wrong: some rows sit exactly on one.
        let time = if random.random_bool(0.1) { now / 10_000 * 10_000 } else { now };
        let time = (time - random.random_range(0..DELAY_MS)).max(now - DELAY_MS + 1);
        let data = if random.random_bool(0.01) {
            json!("{\"k\": ")
        } else {
            json!({"k": key, "v": f64::from(random.random_range(-50..50)) / 4.0, "n": random.random_range(-9..9), "ts": time})
        };
        let line = json!({"stream": "events", "arrival": now, "key": key.as_str().unwrap_or("none"), "data": data});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

fn query(random: &mut SmallRng) -> String {
    let mut pick = |choices: &[&'static str]| *choices.choose(random).expect("there is a choice");
    let size = pick(&["1' SECOND", "10' SECOND", "7' SECOND", "1' MINUTE", "1' HOUR"]);
    let offset = pick(&["", "", ", INTERVAL '3' SECOND", ", INTERVAL '-1' SECOND"]);
    let condition =
        pick(&["", "", "WHERE n > 0", "WHERE k IS NOT NULL AND v < 5", "WHERE window_start IS NOT NULL AND n <> 1"]);
    let aggregates = pick(&[
        "count(*) AS a, sum(n) AS b",
        "min(v) AS a, max(v) AS b, avg(n) AS c",
        "count(DISTINCT n) AS a, sum(v) FILTER (WHERE n > 2) AS b",
        "first_value(n ORDER BY ts, n) AS a, last_value(v ORDER BY ts, v) AS b",
        "median(n) AS a, array_agg(n ORDER BY n, ts) AS b, count(k) AS c",
        "stddev(n) IS NULL AS a, bool_or(n > 3) AS b, bit_xor(n) AS c",
    ]);
    let having = pick(&["", "", "HAVING count(*) > 2", "HAVING sum(n) > 0"]);
    let tumble = format!("TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '{size}{offset}))");
    match pick(&["keyed", "global", "bin", "nested", "top", "stateless", "updating"]) {
        "keyed" => format!(
            "SELECT window_start, window_end, k, {aggregates} FROM {tumble} {condition} GROUP BY window_start, window_end, k {having}"
        ),
        "global" => format!("SELECT window_end, {aggregates} FROM {tumble} {condition} GROUP BY window_end {having}"),
        "bin" => format!(
            "SELECT date_bin(INTERVAL '15 seconds', ts) AS t, k, {aggregates} FROM events GROUP BY t, k {having}"
        ),
        "nested" => format!(
            "SELECT window_end, max(c) AS most, count(*) AS ks FROM (SELECT window_end, k, count(*) AS c FROM {tumble} {condition} GROUP BY window_end, k) GROUP BY window_end"
        ),
        "top" => format!(
            "SELECT window_start, k, sum(n) AS s FROM {tumble} {condition} GROUP BY window_start, k ORDER BY s DESC, k LIMIT 2"
        ),
        "stateless" => format!("SELECT k, n * 2 AS m, window_start, v FROM {tumble} {condition}"),
        _ => format!("SELECT k, {aggregates} FROM events GROUP BY k {having}"),
    }
}

#[test]
fn a_stream_gives_what_a_batch_gives() {
    let first = setting("MILLSTREAM_SEED", 1);
    for seed in first..first + setting("MILLSTREAM_CASES", 150) {
        let mut random = SmallRng::seed_from_u64(seed);
        let (input, query) = (input(&mut random), query(&mut random));
        let script = format!(
            "CREATE TABLE events (k STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
             WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
             CREATE MATERIALIZED VIEW r AS {query};"
        );
        let cut = Cut { workers: random.random_range(1..=4), shards: random.random_range(1..=8), seed: Some(seed) };
        let context = format!("seed {seed}, {cut:?}: {query}");
        let expected = batch(&script, &input).unwrap_or_else(|error| panic!("{context}: batch: {error}"));
        let run = stream(&script, &input, cut).unwrap_or_else(|error| panic!("{context}: stream: {error}"));
        assert_eq!(sorted(&run.results["r"]), sorted(&expected["r"]), "{context}");
        let stats = &run.stats["r"];
        assert_eq!(stats.late.get(), 0, "{context}: disorder was within the watermark");
        let all = stats.filtered.get() + stats.rejected.get() + stats.used.get();
        assert_eq!(stats.rows_in.get(), all, "{context}: every record is accounted for");
    }
}
