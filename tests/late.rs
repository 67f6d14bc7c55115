//! Rows that come late, or from the future, and shards that are silent: what becomes of them, and how it shows.

use serde_json::{Value, json};

use crate::harness::{Cut, Run, hex, stream};

const TABLE: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis', 'scan.watermark.idle-timeout' = '10 s');";

/// Records of (arrival in seconds, time in seconds, key, n).
fn records(rows: &[(i64, i64, &str, i64)]) -> String {
    let line = |(arrival, time, key, n): &(i64, i64, &str, i64)| {
        let data = json!({"k": key, "n": n, "ts": time * 1000});
        json!({"stream": "s", "arrival": arrival * 1000, "key": key, "data": data}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn run(query: &str, rows: &[(i64, i64, &str, i64)]) -> Run {
    stream(&format!("{TABLE} {query}"), &records(rows), Cut::default()).unwrap()
}

fn late(run: &Run) -> Vec<&Value> {
    run.errors.iter().filter(|error| error["error_name"] == "late row").collect()
}

fn assert_accounts(run: &Run) {
    for (query, stats) in &run.stats {
        let all = stats.filtered.get() + stats.late.get() + stats.rejected.get() + stats.used.get();
        assert_eq!(stats.rows_in.get(), all, "{query}: every record is accounted for");
    }
}

/// A row at 21 s closes what ends by 19 s; then one comes for 5 s, and one for 12 s.
const ROWS: [(i64, i64, &str, i64); 5] =
    [(1, 1, "a", 1), (11, 11, "a", 2), (21, 21, "a", 4), (22, 5, "a", 8), (23, 12, "b", 16)];

#[test]
fn a_row_is_late_when_all_its_windows_have_closed() {
    let counts = "SELECT window_end, sum(n) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_end";
    let run = run(&format!("CREATE MATERIALIZED VIEW r AS {counts}"), &ROWS);
    let sums: Vec<i64> = run.results["r"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(sums, [1, 2 + 16, 4]);
    let [late] = late(&run)[..] else { panic!("one late row: {:?}", run.errors) };
    assert_eq!((&late["pump_name"], &late["source"]), (&"r".into(), &"s".into()));
    assert_eq!(late["data_rowtime"], "1970-01-01T00:00:05.000");
    assert!(late["data_row"].as_str().unwrap().contains(&hex("n=8")), "{late}");
    let message = late["message"].as_str().unwrap();
    assert!(message.contains("[1970-01-01T00:00:00.000, 1970-01-01T00:00:10.000)"), "{message}");
    assert!(message.contains("14000 ms after the watermark"), "{message}");
    assert_accounts(&run);
}

#[test]
fn a_row_of_overlapping_windows_goes_into_those_that_are_open() {
    let hop = "CREATE MATERIALIZED VIEW r AS SELECT window_start, window_end, sum(n) AS n
        FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND)) GROUP BY window_start, window_end";
    let run = run(hop, &ROWS);
    let sums: Vec<(String, i64)> = (run.results["r"].iter())
        .map(|row| (row["window_end"].as_str().unwrap()[17..19].to_owned(), row["n"].as_i64().unwrap()))
        .collect();
    // The window up to 10 s had closed when the row for 5 s came; the one up to 20 s had not.
    let expected = [("10", 1), ("20", 1 + 2 + 8 + 16), ("30", 2 + 4 + 16), ("40", 4)];
    assert_eq!(sums, expected.map(|(end, n)| (end.to_owned(), n)));
    assert_eq!(late(&run).len(), 0);
    assert_accounts(&run);
}

#[test]
fn allowed_lateness_gives_the_window_again_and_then_it_is_over() {
    let query = "CREATE MATERIALIZED VIEW r WITH ('allowed-lateness' = '15 s') AS
        SELECT window_end, k, sum(n) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_end, k";
    let mut rows = ROWS.to_vec();
    rows.extend([(40, 40, "a", 32), (41, 3, "a", 64), (60, 60, "a", 128)]);
    let run = run(query, &rows);
    let of_first: Vec<i64> = (run.results["r"].iter())
        .filter(|row| row["window_end"] == "1970-01-01T00:00:10.000")
        .map(|row| row["n"].as_i64().unwrap())
        .collect();
    assert_eq!(of_first, [1, 1 + 8], "the window is given again with the row that was late by less than allowed");
    let [late] = late(&run)[..] else { panic!("one late row: {:?}", run.errors) };
    assert!(late["data_row"].as_str().unwrap().contains(&hex("n=64")), "{late}");
    assert_accounts(&run);
}

#[test]
fn rows_behind_the_watermark_are_late_for_over_joins_and_closed_sessions() {
    let over = "CREATE MATERIALIZED VIEW r AS SELECT n, sum(n) OVER (PARTITION BY k ORDER BY ts) AS t FROM s";
    let run_over = run(over, &ROWS);
    assert_eq!(late(&run_over).len(), 2, "{:?}", run_over.errors);
    assert_accounts(&run_over);
    let session = "CREATE MATERIALIZED VIEW r AS SELECT window_start, k, sum(n) AS n
        FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND)) GROUP BY window_start, window_end, k";
    let run_session = run(session, &ROWS);
    let sums: Vec<i64> = run_session.results["r"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    // The session at 11 s is open until 19 s has passed, so the row for 5 s joins it; the one for 12 s is of another key.
    assert_eq!(sums.iter().sum::<i64>(), 1 + 2 + 4 + 8 + 16, "{:?}", run_session.results);
    assert_accounts(&run_session);
}

#[test]
fn times_in_the_future_are_reported_and_do_not_close_windows() {
    let table = TABLE.replace("'format'", "'scan.watermark.max-future-skew' = '3 s', 'format'");
    let counts = "CREATE MATERIALIZED VIEW r AS SELECT window_end, sum(n) AS n
        FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_end";
    let rows = [(1, 1, "a", 1), (2, 100_000, "a", 2), (3, 3, "a", 4), (4, 4, "b", 8)];
    let run = stream(&format!("{table} {counts}"), &records(&rows), Cut::default()).unwrap();
    let sums: Vec<i64> = run.results["r"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!((sums, late(&run).len()), (vec![1 + 4 + 8, 2], 0), "{:?}", run.errors);
    let future: Vec<&Value> = run.errors.iter().filter(|error| error["error_name"] == "future timestamp").collect();
    let [future] = future[..] else { panic!("one is reported: {:?}", run.errors) };
    assert_eq!((&future["error_level"], &future["source"]), (&"WARNING".into(), &"s".into()));
    assert!(future["message"].as_str().unwrap().contains("99998000 ms after its arrival"), "{future}");
    assert_accounts(&run);
}

#[test]
fn a_window_that_is_over_is_not_given_again_with_what_is_left_of_it() {
    let query = "CREATE MATERIALIZED VIEW r WITH ('allowed-lateness' = '3 s') AS SELECT window_end, sum(n) AS n
        FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_end";
    // The watermark is at 14 s when a row comes for 8 s: the window up to 10 s is over, that up to 15 s is open.
    let run = run(query, &[(2, 2, "a", 1), (7, 7, "a", 2), (16, 16, "a", 4), (17, 8, "a", 8)]);
    let of = |end: &str| -> Vec<i64> {
        let of_window = run.results["r"].iter().filter(|row| row["window_end"].as_str().unwrap().ends_with(end));
        of_window.map(|row| row["n"].as_i64().unwrap()).collect()
    };
    assert_eq!((of(":10.000"), of(":15.000")), (vec![3], vec![2 + 8]), "{:?}", run.results);
    assert_accounts(&run);
}
