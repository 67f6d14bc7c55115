//! Windows where planning could go wrong: keys that look like windows and are none, conditions above sessions, and what
//! the optimizer would like to rewrite.

use serde_json::{Value, json};

use crate::harness::{Cut, batch, sorted, stream};

const TABLE: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');";
const MINUTES: &str = "(SELECT window_start, window_end, window_time, k, count(*) AS c, sum(n) AS n
    FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, window_time, k)";

/// Rows at these seconds, of key `a` when even.
fn input(rows: &[(i64, i64)]) -> String {
    let line = |(second, n): &(i64, i64)| {
        let data = json!({"k": if second % 2 == 0 { "a" } else { "b" }, "n": n, "ts": second * 1000});
        json!({"stream": "s", "arrival": second * 1000, "key": "k", "data": data}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn check(query: &str, rows: &[(i64, i64)], expected: Value) {
    let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query}");
    let expected = sorted(expected.as_array().unwrap());
    for cut in [Cut::default(), Cut { workers: 2, shards: 3, seed: Some(5) }] {
        let run = stream(&script, &input(rows), cut).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(sorted(&run.results["r"]), expected, "{cut:?}: {query}");
    }
    assert_eq!(sorted(&batch(&script, &input(rows)).unwrap()["r"]), expected, "batch: {query}");
}

fn refused(query: &str, code: &str) {
    let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query}");
    let error = stream(&script, &input(&[(1, 1)]), Cut::default()).err().unwrap_or_else(|| panic!("{query} ran"));
    assert!(error.starts_with(code), "{query}: {error}");
}

const ROWS: [(i64, i64); 4] = [(0, 1), (30, 2), (61, 4), (3600, 8)];

#[test]
fn a_function_of_a_window_bound_is_a_key_like_others() {
    let query = format!(
        "SELECT window_start, date_trunc('hour', window_start) AS h, sum(c) AS c FROM {MINUTES} GROUP BY window_start, date_trunc('hour', window_start)"
    );
    let row = |start: &str, hour: &str, c: i64| json!({"window_start": format!("1970-01-01T{start}:00.000"), "h": format!("1970-01-01T{hour}:00:00.000"), "c": c});
    check(&query, &ROWS, json!([row("00:00", "00", 2), row("00:01", "00", 1), row("01:00", "01", 1)]));
    let hours = format!("SELECT date_trunc('hour', window_time) AS h, sum(c) AS c FROM {MINUTES} GROUP BY h");
    check(&hours, &ROWS, json!([{"h": "1970-01-01T00:00:00.000", "c": 3}, {"h": "1970-01-01T01:00:00.000", "c": 1}]));
    refused(
        &format!(
            "SELECT CAST(window_start AS DATE) AS d, sum(c) AS c FROM {MINUTES} GROUP BY CAST(window_start AS DATE)"
        ),
        "E01",
    );
    refused(
        "SELECT h, sum(c) AS c FROM (SELECT date_trunc('minute', ts) AS m, date_trunc('hour', ts) AS h, count(*) AS c FROM s GROUP BY m, h) GROUP BY h",
        "E01",
    );
}

#[test]
fn a_function_of_time_stays_a_window_where_it_is_used_twice() {
    let query = "SELECT date_trunc('minute', ts) AS m, max(extract(epoch FROM ts - date_trunc('minute', ts))) AS late FROM s GROUP BY date_trunc('minute', ts)";
    let row = |minute: &str, late: f64| json!({"m": format!("1970-01-01T{minute}:00.000"), "late": late});
    check(query, &ROWS, json!([row("00:00", 30.0), row("00:01", 1.0), row("01:00", 0.0)]));
}

#[test]
fn conditions_do_not_change_sessions() {
    let session = |rest: &str| {
        format!(
            "SELECT k, window_start, window_end, count(*) AS c FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '10' SECOND)) {rest} GROUP BY k, window_start, window_end"
        )
    };
    let rows = [(0, 1), (8, 0), (16, 1), (17, 1)];
    let at = |second: i64| format!("1970-01-01T00:00:{second:02}.000");
    let a = json!({"k": "a", "window_start": at(0), "window_end": at(26), "c": 2});
    let b = json!({"k": "b", "window_start": at(17), "window_end": at(27), "c": 1});
    check(&session("WHERE n > 0"), &rows, json!([a, b]));
    check(&session("WHERE k = 'b'"), &rows, json!([b]));
    refused(
        "SELECT window_start, sum(c) AS c FROM (SELECT k, window_start, window_end, count(*) AS c FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end) GROUP BY window_start",
        "E01",
    );
}

#[test]
fn sessions_of_sessions_come_to_an_end() {
    let inner = "(SELECT k, window_start AS opened, window_end AS closed, window_time AS t, count(*) AS c FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY k, window_start, window_end, window_time)";
    let query = format!(
        "WITH w AS {inner} SELECT k, window_start, count(*) AS sessions, sum(c) AS c FROM TABLE(SESSION(TABLE w PARTITION BY k, DESCRIPTOR(t), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end"
    );
    let script_rows = [(0, 1), (2, 1), (20, 1), (300, 1)];
    let first = json!({"k": "a", "window_start": "1970-01-01T00:00:06.999", "sessions": 2, "c": 3});
    let second = json!({"k": "a", "window_start": "1970-01-01T00:05:04.999", "sessions": 1, "c": 1});
    check(&query, &script_rows, json!([first, second]));
}

#[test]
fn an_updating_row_without_a_key_goes_when_its_condition_fails() {
    check("SELECT count(*) AS c FROM s HAVING count(*) < 4", &ROWS, json!([]));
    check("SELECT count(*) AS c FROM s HAVING count(*) < 5", &ROWS, json!([{"c": 4}]));
}

#[test]
fn running_values_of_several_kinds_go_together() {
    let query = "SELECT n, row_number() OVER w AS r, sum(n) OVER w AS t, rank() OVER w AS k, lag(n) OVER w AS before FROM s WINDOW w AS (PARTITION BY k ORDER BY ts)";
    let row = |n: i64, r: i64, t: i64, before: Option<i64>| json!({"n": n, "r": r, "t": t, "k": r, "before": before});
    check(query, &ROWS, json!([row(1, 1, 1, None), row(2, 2, 3, Some(1)), row(8, 3, 11, Some(2)), row(4, 1, 4, None)]));
    refused("SELECT lag(n) IGNORE NULLS OVER (PARTITION BY k ORDER BY ts) AS b FROM s", "E13");
}

#[test]
fn a_value_that_cannot_be_computed_takes_its_row_away_and_no_other() {
    let rows = [(0, 0), (1, 2), (62, 5), (64, 0)];
    for (query, expected) in [
        (
            "SELECT k, 100 / sum(n) AS v FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, k",
            json!([{"k": "b", "v": 50}, {"k": "a", "v": 20}]),
        ),
        (
            "SELECT k, 100 / max(n) AS v FROM s WHERE ts < TIMESTAMP '1970-01-01 00:01:00' GROUP BY k",
            json!([{"k": "b", "v": 50}]),
        ),
        ("SELECT n, sum(100 / n) OVER (ORDER BY ts) AS v FROM s", json!([{"n": 2, "v": 50}, {"n": 5, "v": 70}])),
        (
            "SELECT k, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY 100 / n DESC) AS place FROM s) WHERE place = 1",
            json!([{"k": "b", "n": 2}, {"k": "a", "n": 5}]),
        ),
        ("SELECT a.n FROM s a JOIN s b ON a.ts = b.ts AND 100 / b.n > 20 AND a.n = b.n", json!([{"n": 2}])),
        (
            "SELECT n, t FROM (SELECT n, sum(n) OVER (ORDER BY ts) AS t FROM s) WHERE 100 / n > 20",
            json!([{"n": 2, "t": 2}]),
        ),
        (
            "SELECT window_end, count(*) AS c FROM TABLE(TUMBLE((SELECT ts, n, t FROM (SELECT n, ts, sum(n) OVER (ORDER BY ts) AS t FROM s) WHERE 100 / n > 1), DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_end",
            json!([{"window_end": "1970-01-01T01:00:00.000", "c": 2}]),
        ),
        ("SELECT a.n, 100 / b.n AS v FROM s a JOIN s b ON a.ts = b.ts", json!([{"n": 2, "v": 50}, {"n": 5, "v": 20}])),
    ] {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query}");
        let run = stream(&script, &input(&rows), Cut::default()).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(sorted(&run.results["r"]), sorted(expected.as_array().unwrap()), "{query}");
        assert!(run.errors.iter().all(|error| error["error_name"] == "evaluation"), "{:?}", run.errors);
        assert!(!run.errors.is_empty(), "{query}: it is told");
    }
}

#[test]
fn a_key_that_comes_after_its_time_begins_anew() {
    let rows = [(0, 1), (300, 2), (302, 4)];
    for (query, expected) in [
        ("SELECT k, sum(n) AS n FROM s GROUP BY k", json!([{"k": "a", "n": 6}])),
        (
            "SELECT k, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n) AS place FROM s) WHERE place = 1",
            json!([{"k": "a", "n": 2}]),
        ),
    ] {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r WITH ('ttl' = '1 min') AS {query}");
        let run = stream(&script, &input(&rows), Cut::default()).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(sorted(&run.results["r"]), sorted(expected.as_array().unwrap()), "{query}");
    }
}

#[test]
fn many_slices_a_window_are_merged_as_few_are() {
    // Sixty slices a window, with gaps longer and shorter than a window, and rows behind others in time.
    let mut rows: Vec<(i64, i64)> = (0..200).filter(|second| second % 7 != 3).map(|second| (second, second)).collect();
    rows.extend((400..430).map(|second| (second, 1)));
    let query = "SELECT window_start, window_end, k, count(*) AS c, sum(n) AS n, count(DISTINCT n) AS d FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '60' SECOND)) GROUP BY window_start, window_end, k";
    let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query}")
        .replace("WATERMARK FOR ts AS ts", "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND");
    let lines: Vec<String> = input(&rows).lines().map(str::to_owned).collect();
    // Every second row changes places with the one before: its time is behind, within the delay.
    let shuffled: String = lines.chunks(2).flat_map(|pair| pair.iter().rev()).map(|line| line.clone() + "\n").collect();
    let expected = batch(&script, &shuffled).unwrap();
    assert!(expected["r"].len() > 400, "{} rows", expected["r"].len());
    for cut in [Cut::default(), Cut { workers: 3, shards: 4, seed: Some(3) }] {
        let run = stream(&script, &shuffled, cut).unwrap();
        assert_eq!(sorted(&run.results["r"]), sorted(&expected["r"]), "{cut:?}");
    }
}

#[test]
fn explain_says_what_a_query_keeps_and_warns() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = crate::refused::engine(&runtime);
    let table = TABLE.replace("WATERMARK FOR ts AS ts", "WATERMARK FOR ts AS ts - INTERVAL '1' HOUR");
    let sql = format!(
        "{table} EXPLAIN SELECT window_end, k, median(n) AS m FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE n > 0 GROUP BY window_end, k"
    );
    let outcomes = engine.execute(&[millstream_engine::Script { text: sql, durable: false }]).unwrap();
    let Some(millstream_engine::Outcome::Explained { text, .. }) = outcomes.last() else { panic!("EXPLAIN explains") };
    for part in [
        "SINK",
        "CLOSE",
        "OPERATOR  TUMBLE(size=60000 ms)",
        "HOT",
        "filter",
        "SOURCE    s (stream)",
        "STATE",
        "W1",
        "W2",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
