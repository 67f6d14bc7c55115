//! One query, its input, its rows: what each part of the language does on a stream, and that a batch agrees.

use serde_json::{Value, json};

use crate::harness::{Cut, batch, sorted, stream};

const EVENTS: &str = "
CREATE TABLE events (
  k STRING, v DOUBLE, n BIGINT, tags ARRAY<STRING>, device ROW<os STRING>, ts TIMESTAMP(3),
  arrived TIMESTAMP(3) METADATA FROM 'arrival-timestamp' VIRTUAL,
  part STRING METADATA FROM 'partition-key' VIRTUAL,
  doubled AS n * 2,
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'stream', 'format' = 'json');
";

/// Six events over two minutes; seconds after 2026-01-01T00:00:00.
fn events() -> String {
    let rows = [
        (1, "a", Some(1.5), 1),
        (2, "b", Some(2.5), 2),
        (59, "a", None, 3),
        (58, "a", Some(4.0), 4),
        (61, "b", Some(8.0), 5),
        (75, "a", Some(16.0), 6),
    ];
    let line = |(second, k, v, n): &(i64, &str, Option<f64>, i64)| {
        let ts = format!("2026-01-01T00:{:02}:{:02}", second / 60, second % 60);
        let data = json!({"k": k, "v": v, "n": n, "tags": [k, "x"], "device": {"os": "ios"}, "ts": ts});
        json!({"stream": "events", "arrival": format!("{ts}.500Z"), "key": k, "data": data}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// What follows CREATE MATERIALIZED VIEW r AS, and the rows of r.
fn cases() -> Vec<(&'static str, Value)> {
    let t = |minute: i64| format!("2026-01-01T00:{minute:02}:00.000");
    vec![
        ("SELECT k, n FROM events WHERE n > 4", json!([{"k": "b", "n": 5}, {"k": "a", "n": 6}])),
        (
            "SELECT k || '!' AS e, doubled, device.os AS os, tags[1] AS tag FROM events WHERE n = 1",
            json!([{"e": "a!", "doubled": 2, "os": "ios", "tag": "a"}]),
        ),
        ("SELECT events.k, device.os FROM events WHERE n = 1", json!([{"k": "a", "os": "ios"}])),
        ("SELECT e.device.os, e.k FROM events AS e WHERE e.n = 1", json!([{"os": "ios", "k": "a"}])),
        ("SELECT device.os, k AS os FROM events WHERE n = 1", json!([{"events.device[os]": "ios", "os": "a"}])),
        (
            "SELECT os, c + 1 AS c FROM (SELECT window_start, device.os, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, device.os)",
            json!([{"os": "ios", "c": 5}, {"os": "ios", "c": 3}]),
        ),
        ("SELECT part, arrived FROM events WHERE n = 2", json!([{"part": "b", "arrived": "2026-01-01T00:00:02.500"}])),
        (
            "SELECT k FROM events WHERE n = 1 UNION ALL SELECT part FROM events WHERE n = 2",
            json!([{"k": "a"}, {"k": "b"}]),
        ),
        (
            "SELECT window_start, window_end, k, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k",
            json!([{"window_start": t(0), "window_end": t(1), "k": "a", "c": 3}, {"window_start": t(0), "window_end": t(1), "k": "b", "c": 1},
                   {"window_start": t(1), "window_end": t(2), "k": "b", "c": 1}, {"window_start": t(1), "window_end": t(2), "k": "a", "c": 1}]),
        ),
        (
            "SELECT window_time, sum(n) AS s FROM TUMBLE(DATA => TABLE events, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' MINUTE) GROUP BY window_time",
            json!([{"window_time": "2026-01-01T00:00:59.999", "s": 10}, {"window_time": "2026-01-01T00:01:59.999", "s": 11}]),
        ),
        (
            "SELECT window_start, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '59' SECOND)) GROUP BY window_start",
            json!([{"window_start": "2025-12-31T23:59:59.000", "c": 3}, {"window_start": "2026-01-01T00:00:59.000", "c": 3}]),
        ),
        (
            "SELECT date_trunc('minute', ts) AS m, sum(v) AS s FROM events GROUP BY date_trunc('minute', ts)",
            json!([{"m": t(0), "s": 8.0}, {"m": t(1), "s": 24.0}]),
        ),
        (
            "SELECT date_bin(INTERVAL '30 seconds', ts) AS b, min(n) AS lo, max(n) AS hi FROM events GROUP BY b",
            json!([{"b": "2026-01-01T00:00:00.000", "lo": 1, "hi": 2}, {"b": "2026-01-01T00:00:30.000", "lo": 3, "hi": 4}, {"b": "2026-01-01T00:01:00.000", "lo": 5, "hi": 6}]),
        ),
        (
            "SELECT FLOOR(ts TO MINUTE) AS m, count(v) AS c, avg(v) AS mean FROM events GROUP BY FLOOR(ts TO MINUTE)",
            json!([{"m": t(0), "c": 3, "mean": 8.0 / 3.0}, {"m": t(1), "c": 2, "mean": 12.0}]),
        ),
        (
            "SELECT window_start, count(*) FILTER (WHERE k = 'a') AS a, count(DISTINCT k) AS ks FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
            json!([{"window_start": t(0), "a": 3, "ks": 2}, {"window_start": t(1), "a": 1, "ks": 2}]),
        ),
        (
            "SELECT window_start, median(n) AS m, array_agg(n ORDER BY n) AS ns, stddev(n) AS sd, approx_distinct(k) AS d FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start",
            json!([{"window_start": t(0), "m": 3.5, "ns": [1, 2, 3, 4, 5, 6], "sd": 1.870_828_693_386_970_7, "d": 2}]),
        ),
        (
            "SELECT window_start, first_value(n ORDER BY ts) AS f, last_value(n ORDER BY ts) AS l FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
            json!([{"window_start": t(0), "f": 1, "l": 3}, {"window_start": t(1), "f": 5, "l": 6}]),
        ),
        (
            "SELECT window_start, k, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, k HAVING count(*) > 1",
            json!([{"window_start": t(0), "k": "a", "c": 3}]),
        ),
        (
            "SELECT window_start, k, sum(n) AS s FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, k ORDER BY s DESC LIMIT 1",
            json!([{"window_start": t(0), "k": "a", "s": 8}, {"window_start": t(1), "k": "a", "s": 6}]),
        ),
        (
            "SELECT window_start, max(c) AS busiest FROM (SELECT window_start, k, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, k) GROUP BY window_start",
            json!([{"window_start": t(0), "busiest": 3}, {"window_start": t(1), "busiest": 1}]),
        ),
        (
            "SELECT DISTINCT window_start, k FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' HOUR))",
            json!([{"window_start": t(0), "k": "a"}, {"window_start": t(0), "k": "b"}]),
        ),
        (
            "SELECT * FROM (SELECT window_start, window_end, k, sum(n) AS s, row_number() OVER (PARTITION BY window_start, window_end ORDER BY sum(n) DESC) AS place FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k) WHERE place = 1",
            json!([{"window_start": t(0), "window_end": t(1), "k": "a", "s": 8, "place": 1}, {"window_start": t(1), "window_end": t(2), "k": "a", "s": 6, "place": 1}]),
        ),
        (
            "SELECT n, window_start FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE window_end > TIMESTAMP '2026-01-01 00:01:00'",
            json!([{"n": 5, "window_start": t(1)}, {"n": 6, "window_start": t(1)}]),
        ),
        (
            "SELECT a.window_end, a.c AS cs, b.s AS ss FROM (SELECT window_end, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE k = 'a' GROUP BY window_end) a JOIN (SELECT window_end, sum(n) AS s FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE k = 'b' GROUP BY window_end) b ON a.window_end = b.window_end",
            json!([{"window_end": t(1), "cs": 3, "ss": 2}, {"window_end": t(2), "cs": 1, "ss": 5}]),
        ),
        (
            "SELECT k, count(*) AS c, last_value(n ORDER BY ts) AS last FROM events GROUP BY k",
            json!([{"k": "a", "c": 4, "last": 6}, {"k": "b", "c": 2, "last": 5}]),
        ),
        ("SELECT k, sum(n) AS s FROM events GROUP BY k HAVING sum(n) < 10", json!([{"k": "b", "s": 7}])),
        ("SELECT count(*) AS c, max(v) AS m FROM events", json!([{"c": 6, "m": 16.0}])),
        (
            "WITH big AS (SELECT k, n, ts FROM events WHERE n > 1) SELECT window_start, count(*) AS c FROM TABLE(TUMBLE(TABLE big, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
            json!([{"window_start": t(0), "c": 3}, {"window_start": t(1), "c": 2}]),
        ),
        (
            "SELECT window_start, 10 / (n - 3) AS q FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE n < 3",
            json!([{"window_start": t(0), "q": -5}, {"window_start": t(0), "q": -10}]),
        ),
    ]
}

#[test]
fn each_query_gives_its_rows_on_a_stream_and_in_batch() {
    let input = events();
    let mut wrong = Vec::new();
    for (query, expected) in cases() {
        let script = format!("{EVENTS} CREATE MATERIALIZED VIEW r AS {query};");
        let expected = sorted(expected.as_array().unwrap());
        let mut compare = |how: &str, found: Result<Vec<Value>, String>| match found {
            Ok(rows) if sorted(&rows) == expected => {}
            Ok(rows) => wrong.push(format!("{how}: {query}\n  found    {:?}\n  expected {expected:?}", sorted(&rows))),
            Err(error) => wrong.push(format!("{how}: {query}\n  failed: {error}")),
        };
        let result =
            |run: Result<crate::harness::Run, String>| run.map(|mut run| run.results.remove("r").unwrap_or_default());
        compare("stream", result(stream(&script, &input, Cut::default())));
        let cut = Cut { workers: 3, shards: 2, seed: Some(9) };
        compare("cut stream", result(stream(&script, &input, cut)));
        compare("batch", batch(&script, &input).map(|mut results| results.remove("r").unwrap_or_default()));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_told() {
    let script = format!("{EVENTS} CREATE MATERIALIZED VIEW r AS SELECT 10 / (n - 3) AS q FROM events;");
    let mut input = events();
    input.push_str("{\"stream\":\"events\",\"arrival\":\"2026-01-01T00:02:00Z\",\"key\":\"a\",\"data\":\"{broken\"}\n");
    input.push_str(
        "{\"stream\":\"events\",\"arrival\":\"2026-01-01T00:02:00Z\",\"key\":\"a\",\"data\":{\"n\":7,\"ts\":null}}\n",
    );
    let run = stream(&script, &input, Cut::default()).unwrap();
    assert_eq!(run.results["r"].len(), 5, "six good rows, one of which divides by zero");
    let stats = &run.stats["r"];
    assert_eq!((stats.rows_in.get(), stats.rejected.get(), stats.used.get()), (8, 3, 5));
    let mut told: Vec<&str> = run.errors.iter().map(|error| error["error_name"].as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["coercion", "evaluation", "no event time"]);
    assert!(run.errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()));
}

#[test]
fn late_rows_are_counted_and_told() {
    let script = format!(
        "{EVENTS} CREATE MATERIALIZED VIEW r AS SELECT window_start, count(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start;"
    );
    let line = |arrival: i64, ts: &str| {
        let arrival = 1_767_229_200_000 + arrival;
        format!(
            "{{\"stream\":\"events\",\"arrival\":{arrival},\"key\":\"a\",\"data\":{{\"k\":\"a\",\"ts\":\"{ts}\"}}}}\n"
        )
    };
    let mut input: String =
        (0..600).map(|n| line(n, &format!("2026-01-01T00:{:02}:{:02}", n / 60 % 60, n % 60))).collect();
    input.push_str(&line(600, "2026-01-01T00:30:00"));
    input.push_str(&line(601, "2026-01-01T00:00:07"));
    let run = stream(&script, &input, Cut::default()).unwrap();
    assert_eq!(run.stats["r"].late.get(), 1);
    assert_eq!(run.results["r"][0], json!({"window_start": "2026-01-01T00:00:00.000", "c": 60}));
    assert_eq!(run.errors[0]["error_name"], "late row");
    assert!(run.errors[0]["message"].as_str().unwrap().contains("[2026-01-01T00:00:00.000, 2026-01-01T00:01:00.000)"));
}

#[test]
fn an_unquoted_column_finds_its_key_in_any_case() {
    let script = "CREATE TABLE s (userId STRING, \"Exact\" BIGINT) WITH ('connector' = 'stream', 'format' = 'json');
        CREATE MATERIALIZED VIEW r AS SELECT userid, \"Exact\" AS exact FROM s;";
    let line = |data: &str| format!("{{\"stream\":\"s\",\"arrival\":0,\"key\":\"k\",\"data\":{data}}}\n");
    let input = [r#"{"userId":"a","Exact":1}"#, r#"{"userid":"b","exact":2}"#, r#"{"USERID":"c"}"#].map(line).concat();
    let rows = stream(script, &input, Cut::default()).unwrap().results["r"].clone();
    assert_eq!(
        rows,
        [
            json!({"userid": "a", "exact": 1}),
            json!({"userid": "b", "exact": null}),
            json!({"userid": "c", "exact": null})
        ]
    );
}
