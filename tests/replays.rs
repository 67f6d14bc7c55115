//! What a replay makes of time: rows are late by what arrived before them, and steps let time pass.

use serde_json::{Value, json};

use crate::harness::{Cut, Run, stream};

const TABLE: &str = "CREATE TABLE e (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '0' SECOND)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');";
const COUNTS: &str = "CREATE MATERIALIZED VIEW r AS SELECT window_start, count(*) AS n
    FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start;";

/// A record `(arrival, shard, event time)`, times in seconds.
fn record(stream: &str, (arrival, shard, time): (i64, &str, i64)) -> String {
    let data = json!({"k": shard, "ts": time * 1000});
    json!({"stream": stream, "arrival": arrival * 1000, "shard": shard, "data": data}).to_string()
}

fn events(records: &[(i64, &str, i64)]) -> String {
    records.iter().map(|event| record("e", *event) + "\n").collect()
}

fn run(script: &str, replay: &str) -> Run {
    stream(script, replay, Cut { workers: 3, ..Cut::default() }).unwrap()
}

/// Rows in a window, by the window's start in seconds.
fn counts(run: &Run) -> Vec<(String, i64)> {
    let row = |row: &Value| (row["window_start"].as_str().unwrap()[14..19].to_owned(), row["n"].as_i64().unwrap());
    run.results["r"].iter().map(row).collect()
}

fn pairs(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(start, n)| ((*start).to_owned(), *n)).collect()
}

#[test]
fn a_row_is_late_by_what_arrived_before_it() {
    let run = run(&format!("{TABLE}{COUNTS}"), &events(&[(1, "x", 1), (2, "x", 12), (3, "x", 9), (4, "x", 13)]));
    assert_eq!(counts(&run), pairs(&[("00:00", 1), ("00:10", 2)]));
    assert_eq!((run.stats["r"].late.get(), run.errors.len()), (1, 1));
}

#[test]
fn what_arrives_in_the_same_millisecond_is_simultaneous() {
    // The first moves the watermark past the window of the others, in every order and on other workers too.
    let mut records = vec![(1, "x", 1), (1, "y", 1), (1, "z", 1)];
    records.extend([(2, "x", 30), (2, "y", 31), (2, "z", 32), (2, "z", 2), (2, "y", 3), (2, "x", 4)]);
    records.push((3, "z", 5));
    for _ in 0..20 {
        let run = run(&format!("{TABLE}{COUNTS}"), &events(&records));
        assert_eq!(counts(&run), pairs(&[("00:00", 6), ("00:30", 3)]));
        assert_eq!(run.stats["r"].late.get(), 1, "the one that arrived afterwards");
    }
}

#[test]
fn tables_of_one_replay_share_its_time() {
    let script = format!(
        "{TABLE}
        CREATE TABLE f (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '0' SECOND)
        WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
        CREATE MATERIALIZED VIEW r AS SELECT a.window_start, a.n + b.n AS n FROM
          (SELECT window_start, count(*) AS n FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start) AS a
          JOIN (SELECT window_start, count(*) AS n FROM TABLE(TUMBLE(TABLE f, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start) AS b
          ON a.window_start = b.window_start;"
    );
    // `e` is ahead all the time: only `f` lets the first window close, and then both are late for it.
    let e = [(1, "x", 1), (2, "x", 21), (3, "x", 2), (5, "x", 3)];
    let f = [(1, "x", 1), (4, "x", 22), (5, "x", 4), (5, "x", 23)];
    let mut lines: Vec<(i64, String)> = e.iter().map(|event| (event.0, record("e", *event))).collect();
    lines.extend(f.iter().map(|event| (event.0, record("f", *event))));
    for _ in 0..20 {
        // The order of the lines means nothing between shards.
        lines.reverse();
        let of = |stream: &str| {
            lines
                .iter()
                .filter(|(_, line)| line.contains(&format!("\"stream\":\"{stream}\"")))
                .cloned()
                .collect::<Vec<_>>()
        };
        let (mut e, mut f) = (of("e"), of("f"));
        e.sort_by_key(|(arrival, _)| *arrival);
        f.sort_by_key(|(arrival, _)| *arrival);
        let file: String = f.into_iter().chain(e).map(|(_, line)| line + "\n").collect();
        let run = run(&script, &file);
        assert_eq!(counts(&run), pairs(&[("00:00", 3), ("00:20", 3)]));
        assert_eq!(run.stats["r"].late.get(), 2);
    }
}

#[test]
fn a_silent_shard_holds_until_its_timeout_has_been_replayed() {
    let records = [(1, "x", 1), (1, "y", 1), (2, "x", 20), (5, "x", 21), (6, "x", 22), (7, "y", 2)];
    let run_with =
        |step: &str| run(&format!("{TABLE}{COUNTS}"), &(events(&records[..4]) + step + &events(&records[5..])));
    let quiet = run_with("");
    assert_eq!(counts(&quiet), pairs(&[("00:00", 3), ("00:20", 2)]), "y was silent for 4 s, then it spoke");
    assert_eq!(quiet.stats["r"].late.get(), 0);
    let idle = run_with("{\"arrival\":6000,\"step\":\"idle\"}\n");
    assert_eq!(counts(&idle), pairs(&[("00:00", 2), ("00:20", 2)]));
    assert_eq!(idle.stats["r"].late.get(), 1, "5 s without y: what it says then is late");
}

#[test]
fn a_watermark_step_closes_windows_as_if_the_shards_had_shown_it() {
    let records = [(1, "x", 1), (1, "y", 1), (3, "x", 2), (3, "y", 12)];
    let with = |step: &str| {
        let run = run(&format!("{TABLE}{COUNTS}"), &(events(&records[..2]) + step + &events(&records[2..])));
        (counts(&run), run.stats["r"].late.get())
    };
    let step = |more: &str| format!("{{\"arrival\":2000,\"step\":\"watermark\",\"stream\":\"e\"{more}}}\n");
    assert_eq!(with(&step(",\"time\":9999")), (pairs(&[("00:00", 3), ("00:10", 1)]), 0));
    assert_eq!(with(&step(",\"time\":10000")), (pairs(&[("00:00", 2), ("00:10", 1)]), 1));
    assert_eq!(with(&step(",\"time\":10000,\"shard\":\"y\"")), (pairs(&[("00:00", 3), ("00:10", 1)]), 0), "x holds");
}

#[test]
fn an_idle_step_lets_a_time_to_live_and_the_wall_clock_pass() {
    let wallclock = TABLE.replace("'connector'", "'scan.watermark.idle-policy' = 'wallclock', 'connector'");
    let steps = "{\"arrival\":30000,\"step\":\"idle\"}\n";
    let file = events(&[(1, "x", 1)]) + steps + &events(&[(31, "x", 2)]);
    let run_of = |table: &str| run(&format!("{table}{COUNTS}"), &file).stats["r"].late.get();
    assert_eq!((run_of(TABLE), run_of(&wallclock)), (0, 1));
    let updating = format!(
        "{TABLE} CREATE MATERIALIZED VIEW r WITH ('ttl' = '10 s') AS SELECT k, count(*) AS n FROM e GROUP BY k;"
    );
    let run = run(&updating, &(events(&[(1, "x", 1)]) + steps));
    assert_eq!(run.results["r"], Vec::<Value>::new());
}
