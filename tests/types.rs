//! Every type of SQL through the whole: declared, read from JSON, filtered, grouped, aggregated, computed with, and
//! printed; and what happens to rows with a value that is none.

use serde_json::{Value, json};

use crate::harness::{Cut, batch, sorted, stream};

const TABLE: &str = "
CREATE TABLE s (
  id BIGINT, price DECIMAL(10, 2), big DECIMAL(38, 0), flag BOOLEAN, day DATE, clock TIME,
  plain TIMESTAMP(6), ltz TIMESTAMP_LTZ(3), zoned TIMESTAMP(3) WITH TIME ZONE,
  tags ARRAY<STRING>, device ROW<os STRING, screen ROW<w INT, h INT>>, attributes MAP<STRING, DOUBLE>,
  points ARRAY<ROW<x DOUBLE>>, raw BYTES,
  ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'stream', 'format' = 'json', 'scan.watermark.max-future-skew' = '40000 d');
";

fn records(rows: &[Value]) -> String {
    let line = |row: &Value| json!({"stream": "s", "arrival": 0, "key": "k", "data": row}).to_string() + "\n";
    rows.iter().map(line).collect()
}

/// A number with all its digits.
fn number(digits: &str) -> Value {
    serde_json::from_str(digits).unwrap()
}

/// Three records in one minute; the last one has little in it.
fn rows() -> Vec<Value> {
    vec![
        json!({
            "id": 1, "price": "0.10", "big": "12345678901234567890123456789012345678", "flag": true, "day": "2026-01-31",
            "clock": "12:30:00.5", "plain": "2026-01-31T12:30:00.123456", "ltz": "2026-01-31T14:30:00+02:00",
            "zoned": "2026-01-31T12:30:00Z", "tags": ["a", "b"], "device": {"os": "ios", "screen": {"w": 2, "h": 3}},
            "attributes": {"speed": 1.5, "fuel": null}, "points": [{"x": 1}, {"x": 2}], "raw": "AQI=",
            "ts": "2026-01-31T12:30:01",
        }),
        json!({
            "id": 2, "price": 0.2, "big": 1, "flag": false, "day": "2025-12-31", "clock": "08:00",
            "plain": "2026-01-31T12:29:00", "ltz": 1_769_862_600_000_i64, "zoned": "2026-01-31 12:30:00",
            "tags": [], "device": {"os": "ios"}, "attributes": {"speed": 3}, "points": [], "raw": "",
            "ts": "2026-01-31T12:30:02",
        }),
        json!({"id": 3, "ts": "2026-01-31T12:30:03"}),
    ]
}

/// What follows CREATE MATERIALIZED VIEW r AS, and the rows of r.
fn cases() -> Vec<(&'static str, Value)> {
    let window = "2026-01-31T12:30:00.000";
    vec![
        (
            "SELECT price, big, flag, day, clock, plain, ltz, zoned, tags, device, attributes, points, raw FROM s WHERE id = 1",
            json!([{
                "price": number("0.10"), "big": 12_345_678_901_234_567_890_123_456_789_012_345_678_u128, "flag": true,
                "day": "2026-01-31", "clock": "12:30:00.500", "plain": "2026-01-31T12:30:00.123",
                "ltz": "2026-01-31T12:30:00.000Z", "zoned": "2026-01-31T12:30:00.000Z", "tags": ["a", "b"],
                "device": {"os": "ios", "screen": {"w": 2, "h": 3}}, "attributes": {"speed": 1.5, "fuel": null},
                "points": [{"x": 1.0}, {"x": 2.0}], "raw": "AQI=",
            }]),
        ),
        (
            "SELECT price, big, flag, day, clock, plain, ltz, tags, device, attributes, points, raw FROM s WHERE id = 3",
            json!([{"price": null, "big": null, "flag": null, "day": null, "clock": null, "plain": null, "ltz": null,
                "tags": null, "device": null, "attributes": null, "points": null, "raw": null}]),
        ),
        ("SELECT id FROM s WHERE price = 0.20 AND NOT flag", json!([{"id": 2}])),
        ("SELECT id FROM s WHERE day < DATE '2026-01-01'", json!([{"id": 2}])),
        ("SELECT id FROM s WHERE clock > TIME '09:00:00'", json!([{"id": 1}])),
        ("SELECT id FROM s WHERE plain < TIMESTAMP '2026-01-31 12:30:00'", json!([{"id": 2}])),
        ("SELECT id FROM s WHERE ltz = TIMESTAMP '2026-01-31T12:30:00Z' AND id < 2", json!([{"id": 1}])),
        ("SELECT id FROM s WHERE raw = X'0102'", json!([{"id": 1}])),
        // Decimals are exact.
        ("SELECT sum(price) AS s, avg(price) AS a FROM s", json!([{"s": number("0.30"), "a": number("0.150000")}])),
        (
            "SELECT price * 3 AS m, price + 1 AS p, CAST(price AS DOUBLE) AS d FROM s WHERE id = 1",
            json!([{"m": number("0.30"), "p": number("1.10"), "d": 0.1}]),
        ),
        (
            "SELECT min(day) AS d, max(day) AS e, min(clock) AS c, max(clock) AS f FROM s",
            json!([{"d": "2025-12-31", "e": "2026-01-31", "c": "08:00:00", "f": "12:30:00.500"}]),
        ),
        (
            "SELECT min(plain) AS a, max(ltz) AS b, count(DISTINCT zoned) AS c FROM s",
            json!([{"a": "2026-01-31T12:29:00.000", "b": "2026-01-31T12:30:00.000Z", "c": 1}]),
        ),
        // NULL keys are one key.
        (
            "SELECT day, count(*) AS c FROM s GROUP BY day",
            json!([{"day": "2026-01-31", "c": 1}, {"day": "2025-12-31", "c": 1}, {"day": null, "c": 1}]),
        ),
        (
            "SELECT price, flag, count(*) AS c FROM s WHERE id > 1 GROUP BY price, flag",
            json!([{"price": number("0.20"), "flag": false, "c": 1}, {"price": null, "flag": null, "c": 1}]),
        ),
        (
            "SELECT window_start, clock, count(*) AS c FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE id > 1 GROUP BY window_start, clock",
            json!([{"window_start": window, "clock": "08:00:00", "c": 1}, {"window_start": window, "clock": null, "c": 1}]),
        ),
        (
            "SELECT window_start, device.os AS os, count(*) AS c FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, device.os",
            json!([{"window_start": window, "os": "ios", "c": 2}, {"window_start": window, "os": null, "c": 1}]),
        ),
        (
            "SELECT tags, count(*) AS c FROM s GROUP BY tags",
            json!([{"tags": ["a", "b"], "c": 1}, {"tags": [], "c": 1}, {"tags": null, "c": 1}]),
        ),
        (
            "SELECT device, count(*) AS c FROM s WHERE id = 1 GROUP BY device",
            json!([{"device": {"os": "ios", "screen": {"w": 2, "h": 3}}, "c": 1}]),
        ),
        // Arithmetic of time.
        (
            "SELECT EXTRACT(HOUR FROM plain) AS h, EXTRACT(EPOCH FROM ltz) AS e, date_part('month', day) AS m FROM s WHERE id = 1",
            json!([{"h": 12, "e": 1_769_862_600.0, "m": 1}]),
        ),
        (
            "SELECT plain + INTERVAL '1' HOUR AS p, plain - INTERVAL '1' MONTH AS m, day + INTERVAL '1' DAY AS d FROM s WHERE id = 2",
            json!([{"p": "2026-01-31T13:29:00.000", "m": "2025-12-31T12:29:00.000", "d": "2026-01-01"}]),
        ),
        ("SELECT plain - ts AS d FROM s WHERE id = 2", json!([{"d": "-PT62S"}])),
        ("SELECT TIMESTAMPDIFF(SECOND, plain, ts) AS d FROM s WHERE id = 2", json!([{"d": 62}])),
        (
            "SELECT date_trunc('hour', plain) AS h, CAST(plain AS DATE) AS d, CAST(day AS TIMESTAMP(3)) AS t, CAST('2026-01-02' AS DATE) AS l FROM s WHERE id = 2",
            json!([{"h": "2026-01-31T12:00:00.000", "d": "2026-01-31", "t": "2025-12-31T00:00:00.000", "l": "2026-01-02"}]),
        ),
        (
            "SELECT CAST(price AS STRING) AS p, CAST(day AS STRING) AS d, CAST('1.25' AS DECIMAL(4, 1)) AS c FROM s WHERE id = 1",
            json!([{"p": "0.10", "d": "2026-01-31", "c": 1.3}]),
        ),
        (
            "SELECT INTERVAL '90' MINUTE AS a, INTERVAL '1' DAY AS b, INTERVAL '2' MONTH AS c FROM s WHERE id = 1",
            json!([{"a": "1 hours 30 mins", "b": "1 days", "c": "2 mons"}]),
        ),
        (
            "SELECT CAST('09:30:00' AS TIME) AS t, clock + INTERVAL '1' HOUR AS u FROM s WHERE id = 2",
            json!([{"t": "09:30:00", "u": "09:00:00"}]),
        ),
        // Nested values.
        (
            "SELECT tags[1] AS f, tags[3] AS n, cardinality(tags) AS c, array_contains(tags, 'b') AS h FROM s WHERE id = 1",
            json!([{"f": "a", "n": null, "c": 2, "h": true}]),
        ),
        (
            "SELECT device.screen.w AS w, device['os'] AS os, points[2]['x'] AS x, points[1].x AS y FROM s WHERE id = 1",
            json!([{"w": 2, "os": "ios", "x": 2.0, "y": 1.0}]),
        ),
        (
            "SELECT attributes['speed'] AS v, attributes['none'] AS n FROM s WHERE id = 1",
            json!([{"v": 1.5, "n": null}]),
        ),
        ("SELECT sum(attributes['speed']) AS v FROM s", json!([{"v": 4.5}])),
        ("SELECT map_keys(attributes) AS k FROM s WHERE id = 1", json!([{"k": ["speed", "fuel"]}])),
        (
            "SELECT array_agg(price ORDER BY id) AS p FROM s WHERE id < 3",
            json!([{"p": [number("0.10"), number("0.20")]}]),
        ),
    ]
}

#[test]
fn every_type_is_read_computed_with_and_printed() {
    let input = records(&rows());
    let mut wrong = Vec::new();
    for (query, expected) in cases() {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query};");
        let expected = sorted(expected.as_array().unwrap());
        let streamed = stream(&script, &input, Cut::default())
            .map(|mut run| run.results.remove("r").into_iter().flatten().chain(run.errors).collect::<Vec<_>>());
        let batched = batch(&script, &input).map(|mut results| results.remove("r").unwrap_or_default());
        for (how, found) in [("stream", streamed), ("batch", batched)] {
            match found {
                Ok(rows) if sorted(&rows) == expected => {}
                Ok(rows) => {
                    wrong.push(format!("{how}: {query}\n  found    {:?}\n  expected {expected:?}", sorted(&rows)));
                }
                Err(error) => wrong.push(format!("{how}: {query}\n  failed: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn rows_without_a_time_or_a_value_are_counted_and_told() {
    let mut rows = rows();
    rows.push(json!({"id": 0, "ts": "2026-01-31T12:30:04"}));
    rows.push(json!({"id": 5, "ts": null}));
    rows.push(json!({"id": 6, "day": "2026-02-30", "ts": "2026-01-31T12:30:05"}));
    rows.push(json!({"id": 7, "price": "123456789.00", "ts": "2026-01-31T12:30:06"}));
    let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS SELECT 6 / id AS v FROM s;");
    let run = stream(&script, &records(&rows), Cut::default()).unwrap();
    assert_eq!(sorted(&run.results["r"]), [r#"{"v":2}"#, r#"{"v":3}"#, r#"{"v":6}"#]);
    let mut told: Vec<(&str, &str)> = (run.errors.iter())
        .map(|error| (error["error_name"].as_str().unwrap(), error["message"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    let expected = [
        ("coercion", "column `day`: expected a date such as 2026-01-31, found `2026-02-30`"),
        ("coercion", "column `price`: expected DECIMAL(10, 2), found `123456789.00`"),
        ("evaluation", "Divide by zero"),
        ("no event time", ""),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((name, message), (expected_name, part)) in told.iter().zip(expected) {
        assert!(*name == expected_name && message.contains(part), "{told:?}");
    }
    let stats = &run.stats["r"];
    assert_eq!((stats.rows_in.get(), stats.rejected.get(), stats.used.get()), (7, 4, 3));
}

#[test]
fn what_types_do_not_do_is_refused_in_the_words_of_sql() {
    for (query, message) in [
        ("SELECT unnest(tags) AS t FROM s", "unnest"),
        ("SELECT price + day AS x FROM s", "DECIMAL(10, 2)"),
        ("SELECT id + tags AS x FROM s", "ARRAY<STRING>"),
        ("SELECT device.nope AS x FROM s", "nope"),
    ] {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query};");
        let error = stream(&script, "", Cut::default()).err().unwrap_or_default();
        assert!(error.contains(message), "{query}: {error}");
        for name in ["Decimal128", "Int64", "Utf8", "MonthDayNano", "Timestamp("] {
            assert!(!error.contains(name), "{query}: {error}");
        }
    }
}
