//! Functions over rows in order: the same rows straight, cut elsewhere, broken off and gone on, and as a batch.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::crashes::resumed;
use crate::harness::{Cut, batch, sorted, stream};

const TABLES: &str = "
    CREATE TABLE s (k STRING, n BIGINT, e TIMESTAMP(3), ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
    CREATE TABLE r (k STRING, n BIGINT, e TIMESTAMP(3), ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'stream', 'stream' = 's', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');";

/// A record's time in seconds, key, number, and other time in seconds.
type Row = (i64, &'static str, i64, Option<i64>);

/// All of one shard, so that there is one order of arrival.
fn input(rows: &[Row]) -> String {
    let line = |(second, k, n, e): &Row| {
        let data = json!({"k": k, "n": n, "e": e.map(|e| e * 1000), "ts": second * 1000});
        json!({"stream": "s", "arrival": second * 1000, "key": "k", "data": data}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Rows in short: the values of each, in the order of their names.
fn short(rows: &[Value]) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::String(text) => text.trim_start_matches("1970-01-01T").trim_end_matches(".000").to_owned(),
        other => other.to_string(),
    };
    let row = |row: &Value| {
        // What has windows is final at the end.
        let columns = row.as_object().unwrap().iter().filter(|(name, _)| *name != "is_final");
        let by_name: BTreeMap<&String, &Value> = columns.collect();
        by_name.into_values().map(value).collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(row).collect()
}

fn check(query: &str, rows: &[Row], expected: &[&str]) {
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let input = input(rows);
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    expected.sort();
    let of = |found: &[Value]| {
        let mut found = short(found);
        found.sort();
        found
    };
    for cut in
        [Cut::default(), Cut { workers: 2, shards: 3, seed: Some(5) }, Cut { workers: 1, shards: 1, seed: Some(9) }]
    {
        let run = stream(&script, &input, cut).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(of(&run.results["v"]), expected, "{cut:?}: {query}");
        let resumed = resumed(&script, &input, cut, &[3, 5]).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(of(&resumed.tables["v"]), expected, "resumed, {cut:?}: {query}");
    }
    let found = batch(&script, &input).unwrap_or_else(|error| panic!("batch: {query}: {error}"));
    assert_eq!(of(&found["v"]), expected, "batch: {query}");
}

fn told(query: &str, rows: &[Row]) -> Vec<String> {
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let run = stream(&script, &input(rows), Cut::default()).unwrap_or_else(|error| panic!("{query}: {error}"));
    run.errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
}

fn refused(query: &str, code: &str) {
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let error = stream(&script, &input(&[(1, "a", 1, None)]), Cut::default()).err();
    let error = error.unwrap_or_else(|| panic!("{query} ran"));
    assert!(error.contains(code), "{query}: {error}");
}

const ROWS: [Row; 7] = [
    (0, "a", 1, None),
    (10, "b", 2, None),
    (59, "a", 3, None),
    (60, "a", 4, None),
    (70, "b", 5, None),
    (200, "a", 6, None),
    (200, "a", 7, None),
];

const STAGGERED: &str = "SELECT k, window_start AS s, window_end AS we, count(*) AS c, sum(n) AS n, first_value(n) AS f
    FROM TABLE(STAGGER(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end";

#[test]
fn a_staggered_window_opens_with_the_first_row_of_its_key() {
    // Columns in the order of their names, as JSON has them.
    check(
        STAGGERED,
        &ROWS,
        &[
            "2 1 a 4 00:00:00 00:01:00",
            "1 4 a 4 00:01:00 00:02:00",
            "1 2 b 2 00:00:10 00:01:10",
            "1 5 b 5 00:01:10 00:02:10",
            "2 6 a 13 00:03:20 00:04:20",
        ],
    );
    check(
        "SELECT window_end, count(DISTINCT k) AS c FROM TABLE(STAGGER(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
         WHERE n <> 3 GROUP BY window_end HAVING count(*) > 1",
        &ROWS,
        &["2 00:01:00", "2 00:02:00", "1 00:04:20"],
    );
}

#[test]
fn a_set_that_fails_takes_no_other_away() {
    let rows = [(0, "a", 0, None), (0, "b", 2, None), (1, "c", 5, None), (400, "d", 1, None)];
    let query = "SELECT k, 10 / sum(n) AS q FROM TABLE(STAGGER(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_end";
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let run = stream(&script, &input(&rows), Cut::default()).unwrap();
    assert_eq!(short(&run.results["v"]), ["b 5", "c 2", "d 10"]);
    assert_eq!(told(query, &rows).len(), 1);
}

#[test]
fn the_results_of_sets_are_a_stream_in_the_order_of_their_ends() {
    let query = format!(
        "SELECT window_end, sum(c) AS c FROM TABLE(TUMBLE((SELECT we, c FROM TABLE(IN_TIME(({STAGGERED}), DESCRIPTOR(we)))),
         DESCRIPTOR(we), INTERVAL '2' MINUTE)) GROUP BY window_end"
    );
    check(&query, &ROWS, &["3 00:02:00", "2 00:04:00", "2 00:06:00"]);
    let direct = format!("SELECT date_trunc('hour', we) AS h, sum(c) AS c FROM ({STAGGERED}) GROUP BY h");
    check(&direct, &ROWS, &["7 00:00:00"]);
}

#[test]
fn sets_end_when_a_lead_goes_on() {
    let rows = [(1, "a", 1, None), (2, "a", 1, None), (5, "b", 2, None), (5, "b", 1, None), (9, "a", 4, None)];
    check(
        "SELECT n, window_end, count(*) AS c, last_value(k) AS l FROM TABLE(SETS(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(n)))
         GROUP BY n, window_end",
        &rows,
        &["2 a 1 00:00:05", "1 b 2 00:00:09", "1 b 1 00:00:09", "1 a 4 00:00:09"],
    );
    check(
        "SELECT DISTINCT n, window_end FROM TABLE(SETS(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(n)))",
        &rows,
        &["1 00:00:05", "1 00:00:09", "2 00:00:09", "4 00:00:09"],
    );
    // What follows has the time of the ends.
    check(
        "SELECT sum(n) OVER (ORDER BY t, n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM TABLE(IN_TIME((SELECT n, window_end AS t
         FROM TABLE(SETS(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(n))) GROUP BY n, window_end), DESCRIPTOR(t)))",
        &rows,
        &["1", "2", "3", "6"],
    );
}

#[test]
fn rows_are_sorted_within_a_slack() {
    let rows = [
        (1, "a", 1, Some(10)),
        (2, "a", 2, Some(7)),
        (3, "a", 3, None),
        (4, "a", 4, Some(15)),
        (5, "a", 5, Some(9)),
        (6, "a", 6, Some(10)),
        (7, "a", 7, Some(30)),
    ];
    let sorted_within = "TABLE(SORT_WITHIN(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(e), INTERVAL '5' SECOND))";
    let query = format!("SELECT n, e FROM {sorted_within}");
    check(&query, &rows, &["00:00:07 2", "00:00:10 1", "00:00:10 6", "00:00:15 4", "00:00:30 7"]);
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let run = stream(&script, &input(&rows), Cut::default()).unwrap();
    let in_order: Vec<i64> = run.results["v"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(in_order, [2, 1, 6, 4, 7]);
    let messages = told(&query, &rows);
    assert_eq!(messages.len(), 2, "the NULL and the late one: {messages:?}");
    let windows = "SELECT window_end, count(*) AS c FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(e), INTERVAL '10' SECOND)) GROUP BY window_end";
    let windows = format!("WITH t AS (SELECT * FROM {sorted_within}) {windows}");
    check(&windows, &rows, &["1 00:00:10", "3 00:00:20", "1 00:00:40"]);
}

#[test]
fn rows_of_one_lead_are_sorted() {
    let rows = [
        (1, "b", 1, None),
        (1, "a", 2, None),
        (3, "c", 2, None),
        (9, "a", 3, None),
        (11, "b", 9, None),
        (12, "a", 8, None),
    ];
    let query = "SELECT n, k FROM TABLE(SORT_IN_ORDER((SELECT *, date_bin(INTERVAL '10 seconds', ts) AS step FROM s), DESCRIPTOR(ts),
        DESCRIPTOR(step), DESCRIPTOR(n, k), 'desc,asc', INTERVAL '10' SECOND))";
    check(query, &rows, &["a 3", "a 2", "c 2", "b 1", "b 9", "a 8"]);
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    for seed in [None, Some(1), Some(2)] {
        let run = stream(&script, &input(&rows), Cut { seed, ..Cut::default() }).unwrap();
        assert_eq!(short(&run.results["v"]), ["a 3", "a 2", "c 2", "b 1", "b 9", "a 8"]);
    }
    // They keep their time.
    let windows = format!(
        "SELECT window_end, sum(n) AS n FROM TABLE(TUMBLE((SELECT n, ts FROM ({})), DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_end",
        query.replace("SELECT n, k", "SELECT n, ts")
    );
    check(&windows, &rows, &["5 00:00:05", "3 00:00:10", "17 00:00:15"]);
}

#[test]
fn the_first_of_equal_rows_goes_on() {
    let rows = [
        (1, "a", 1, None),
        (2, "a", 1, None),
        (3, "b", 1, None),
        (70, "a", 1, None),
        (71, "a", 2, None),
        (72, "a", 1, None),
    ];
    check(
        "SELECT ts, k, n FROM TABLE(DISTINCT_IN_ORDER((SELECT *, date_trunc('minute', ts) AS m FROM s), DESCRIPTOR(ts), DESCRIPTOR(m),
         DESCRIPTOR(k, n)))",
        &rows,
        &["a 1 00:00:01", "b 1 00:00:03", "a 1 00:01:10", "a 2 00:01:11"],
    );
}

#[test]
fn another_time_does_not_go_back() {
    let rows =
        [(1, "a", 1, Some(5)), (2, "a", 2, Some(4)), (3, "a", 3, None), (4, "a", 4, Some(5)), (5, "a", 5, Some(9))];
    let query = "SELECT window_end, sum(n) AS n FROM TABLE(TUMBLE((SELECT e, n FROM TABLE(IN_TIME(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(e)))),
        DESCRIPTOR(e), INTERVAL '6' SECOND)) GROUP BY window_end";
    check(query, &rows, &["5 00:00:06", "5 00:00:12"]);
    let messages = told(query, &rows);
    assert!(
        messages.len() == 2 && messages.iter().all(|message| message.contains("rows out of order")),
        "{messages:?}"
    );
    let steps = "SELECT window_end, count(*) AS c FROM TABLE(TUMBLE((SELECT e, n FROM TABLE(IN_TIME((SELECT n, ts, date_trunc('minute', ts) AS e FROM s),
        DESCRIPTOR(ts), DESCRIPTOR(e)))), DESCRIPTOR(e), INTERVAL '1' MINUTE)) GROUP BY window_end";
    check(steps, &ROWS, &["3 00:01:00", "2 00:02:00", "2 00:04:00"]);
    assert_eq!(told(steps, &ROWS), [""; 0]);
}

#[test]
fn results_have_the_time_they_are_said_to_have() {
    let minutes = "SELECT window_end AS t, k, count(*) AS c FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end, k";
    let query = format!(
        "SELECT t, k, c, sum(c) OVER (PARTITION BY k ORDER BY t RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS two
         FROM TABLE(IN_TIME(({minutes}), DESCRIPTOR(t)))"
    );
    check(&query, &ROWS, &["2 a 00:01:00 2", "1 b 00:01:00 1", "1 a 00:02:00 3", "1 b 00:02:00 2", "2 a 00:04:00 2"]);
}

#[test]
fn a_pair_has_the_time_of_its_later_row() {
    let joined = |kind: &str, time: &str| {
        format!(
            "SELECT window_end, count(*) AS c, sum(coalesce(m, 0)) AS m FROM TABLE(TUMBLE((SELECT * FROM TABLE(IN_TIME((SELECT {time} AS t, b.n AS m
             FROM s a {kind} JOIN r b ON a.n = b.n - 1 AND b.ts BETWEEN a.ts - INTERVAL '1' SECOND AND a.ts + INTERVAL '50' SECOND),
             DESCRIPTOR(t)))), DESCRIPTOR(t), INTERVAL '10' SECOND)) GROUP BY window_end"
        )
    };
    let rows = [(1, "a", 1, None), (30, "a", 2, None), (31, "a", 3, None), (90, "a", 4, None), (200, "a", 5, None)];
    let inner = joined("", "greatest(a.ts, b.ts)");
    check(&inner, &rows, &["2 5 00:00:40"]);
    assert_eq!(told(&inner, &rows), [""; 0]);
    // greatest() leaves NULLs out.
    let unmatched =
        "coalesce(CASE WHEN b.ts IS NULL THEN NULL ELSE greatest(a.ts, b.ts) END, a.ts + INTERVAL '50' SECOND)";
    check(&joined("LEFT", unmatched), &rows, &["2 5 00:00:40", "1 0 00:01:30", "1 0 00:02:30", "1 0 00:04:20"]);
    assert_eq!(told(&joined("LEFT", unmatched), &rows), [""; 0]);
}

#[test]
fn what_cannot_be_in_order_is_refused() {
    for (query, code) in [
        ("SELECT k FROM TABLE(STAGGER(TABLE s PARTITION BY k, DESCRIPTOR(e), INTERVAL '1' MINUTE))", "E03"),
        (
            "SELECT window_end, count(*) AS c FROM TABLE(STAGGER(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end",
            "E04",
        ),
        (
            "SELECT k, count(*) AS c FROM TABLE(STAGGER(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k",
            "E04",
        ),
        ("SELECT n FROM TABLE(SORT_WITHIN(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(n), INTERVAL '1' MINUTE))", "TIMESTAMP"),
        ("SELECT n FROM TABLE(SORT_WITHIN(TABLE s, DESCRIPTOR(ts)))", "SORT_WITHIN needs DESCRIPTOR(column)"),
        ("SELECT n FROM TABLE(IN_TIME(TABLE s PARTITION BY k, DESCRIPTOR(ts)))", "takes no PARTITION BY"),
        (
            "SELECT c FROM TABLE(IN_TIME((SELECT k, count(*) AS c, max(ts) AS t FROM s GROUP BY k), DESCRIPTOR(t)))",
            "E08",
        ),
        (
            "SELECT n FROM TABLE(SORT_IN_ORDER(TABLE s, DESCRIPTOR(ts), DESCRIPTOR(n), DESCRIPTOR(k, e), 'up'))",
            "`up` is no direction",
        ),
    ] {
        refused(query, code);
    }
}

#[test]
fn rows_without_a_time_are_told() {
    let rows = [(1, "a", 1, Some(5)), (2, "a", 2, None), (3, "a", 3, Some(9))];
    let query = "SELECT n FROM TABLE(IN_TIME(TABLE s, DESCRIPTOR(e)))";
    let messages = told(query, &rows);
    assert!(messages.len() == 1 && messages[0].contains("has no time"), "{messages:?}");
    assert_eq!(
        sorted(
            &stream(&format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}"), &input(&rows), Cut::default())
                .unwrap()
                .results["v"]
        )
        .len(),
        2
    );
}

const TIES: [Row; 7] = [
    (0, "a", 1, None),
    (0, "a", 2, None),
    (1, "b", 10, None),
    (1, "a", 3, None),
    (60, "a", 4, None),
    (61, "a", 5, None),
    (61, "a", 6, None),
];

/// Frames end with their row in the order of arrival, which a batch has not.
#[test]
fn a_frame_in_the_order_of_arrival_ends_with_its_row() {
    for (frame, functions, expected) in [
        (
            "RANGE INTERVAL '1' MINUTE PRECEDING",
            "count(*) OVER w AS c, n, sum(n) OVER w AS s",
            ["1 1 1", "2 2 3", "3 3 6", "4 4 10", "3 5 12", "4 6 18", "1 10 10"],
        ),
        (
            "RANGE INTERVAL '0' SECOND PRECEDING",
            "count(*) OVER w AS c, n, sum(n) OVER w AS s",
            ["1 1 1", "2 2 3", "1 3 3", "1 4 4", "1 5 5", "2 6 11", "1 10 10"],
        ),
        (
            "RANGE INTERVAL '1' MINUTE PRECEDING",
            "first_value(n) OVER w AS f, last_value(n) OVER w AS l, nth_value(n, 2) OVER w AS m, nth_value(n, -2) OVER w AS n",
            ["1 1 null null", "1 2 2 1", "1 3 2 2", "1 4 2 3", "3 5 4 4", "3 6 4 5", "10 10 null null"],
        ),
        (
            "RANGE INTERVAL '1' MINUTE PRECEDING",
            "n, CAST(round(var_pop(n) OVER w * 100) AS BIGINT) AS v, max(k) OVER w AS x",
            ["1 0 a", "2 25 a", "3 67 a", "4 125 a", "5 67 a", "6 125 a", "10 0 b"],
        ),
        (
            "RANGE UNBOUNDED PRECEDING",
            "n, sum(n) OVER w AS s, CAST(round(var_pop(n) OVER w * 100) AS BIGINT) AS v",
            ["1 1 0", "2 3 25", "3 6 67", "4 10 125", "5 15 200", "6 21 292", "10 10 0"],
        ),
        (
            "RANGE INTERVAL '10' SECOND PRECEDING",
            "lag(n, 1, 0) OVER w AS b, n, lag(n, 2) OVER w AS t",
            ["0 1 null", "1 2 null", "2 3 1", "0 4 null", "4 5 null", "5 6 4", "0 10 null"],
        ),
        (
            "ROWS 5 PRECEDING",
            "lag(nullif(n, 2)) IGNORE NULLS OVER w AS b, n, sum(n) OVER w AS s",
            ["null 1 1", "1 2 3", "1 3 6", "3 4 10", "4 5 15", "5 6 21", "null 10 10"],
        ),
    ] {
        let query =
            format!("SELECT {functions} FROM s WINDOW w AS (PARTITION BY k ORDER BY in_arrival_order(ts) {frame})");
        over(&query, &expected);
    }
}

#[test]
fn the_order_of_arrival_goes_on_through_over() {
    let nested = "SELECT count(*) OVER (PARTITION BY x ORDER BY in_arrival_order(ts) ROWS 10 PRECEDING) AS c, n, x
        FROM (SELECT n, ts, sum(n) OVER (PARTITION BY k ORDER BY in_arrival_order(ts) RANGE INTERVAL '1' MINUTE PRECEDING) % 3 AS x FROM s)";
    over(nested, &["1 1 1", "1 2 0", "2 10 1", "2 3 0", "3 4 1", "3 5 0", "4 6 0"]);
    let general = "SELECT count(*) OVER (ORDER BY in_arrival_order(ts) ROWS 10 PRECEDING) AS c, n,
        lag(n) OVER (PARTITION BY k ORDER BY in_arrival_order(ts) RANGE INTERVAL '1' HOUR PRECEDING) AS x FROM s";
    over(general, &["1 1 null", "2 2 1", "3 10 null", "4 3 2", "5 4 3", "6 5 4", "7 6 5"]);
}

fn over(query: &str, expected: &[&str]) {
    let script = format!("{TABLES} CREATE MATERIALIZED VIEW v AS {query}");
    let input = input(&TIES);
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    expected.sort();
    for cut in
        [Cut::default(), Cut { workers: 2, shards: 3, seed: Some(5) }, Cut { workers: 1, shards: 1, seed: Some(9) }]
    {
        let run = stream(&script, &input, cut).unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut found = short(&run.results["v"]);
        found.sort();
        assert_eq!(found, expected, "{cut:?}: {query}");
        let resumed = resumed(&script, &input, cut, &[3, 5]).unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut found = short(&resumed.tables["v"]);
        found.sort();
        assert_eq!(found, expected, "resumed, {cut:?}: {query}");
    }
    let error = batch(&script, &input).err().unwrap_or_else(|| panic!("{query} ran as a batch"));
    assert!(error.contains("no order of arrival"), "{error}");
}
