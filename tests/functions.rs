//! Functions of our own, and those that users define: what each gives on a stream, what is refused, what is kept.

use millstream_engine::{Engine, Script};
use serde_json::{Value, json};

use crate::harness::{Cut, batch, sorted, stream};
use crate::refused::engine;

const TABLE: &str = "
CREATE TABLE s (
  id BIGINT, lat DOUBLE, lon DOUBLE, area STRING, doc STRING, at STRING, ts TIMESTAMP(3), until TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'stream', 'format' = 'json', 'scan.watermark.max-future-skew' = '40000 d');
";

fn records(rows: &[Value]) -> String {
    let line = |row: &Value| json!({"stream": "s", "arrival": 0, "key": "k", "data": row}).to_string() + "\n";
    rows.iter().map(line).collect()
}

/// One record: Paris on 2026-01-31 at half past noon.
fn record() -> Value {
    json!({
        "id": 7, "lat": 48.8566, "lon": 2.3522, "area": "POLYGON((2 48, 3 48, 3 49, 2 49, 2 48))",
        "doc": {"user": {"name": "Ann", "age": 41, "vip": true, "tags": ["a", "b"], "none": null}, "n": 1.50},
        "at": "31/01/2026 12:30", "ts": "2026-01-31T12:30:00", "until": "2026-03-30T12:29:59.5",
    })
}

/// An expression over that record, and its value.
fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("JSON_VALUE(doc, '$.user.name')", json!("Ann")),
        ("JSON_VALUE(doc, '$.n')", json!("1.5")),
        ("JSON_VALUE(doc, '$.user.vip')", json!("true")),
        ("JSON_VALUE(doc, '$.user.tags[1]')", json!("b")),
        ("JSON_VALUE(doc, 'lax $.user.age' RETURNING INT) + 1", json!(42)),
        ("JSON_VALUE(doc, '$.user.name' RETURNING INT)", json!(null)),
        ("JSON_VALUE(doc, '$.user')", json!(null)),
        ("JSON_VALUE(doc, '$.user.none')", json!(null)),
        ("JSON_VALUE(doc, '$.nothing')", json!(null)),
        ("JSON_VALUE('{broken', '$.a')", json!(null)),
        ("JSON_VALUE(NULL, '$.a')", json!(null)),
        ("JSON_VALUE(doc, concat('$.', 'n'))", json!("1.5")),
        ("JSON_QUERY(doc, '$.user.tags')", json!("[\"a\",\"b\"]")),
        ("JSON_QUERY(doc, '$.user.name')", json!(null)),
        ("JSON_EXISTS(doc, '$.user.none')", json!(true)),
        ("JSON_EXISTS(doc, '$.user.other')", json!(false)),
        ("JSON_EXISTS('{broken', '$')", json!(null)),
        ("json_get_str(doc, 'user', 'name')", json!("Ann")),
        ("json_get_int(doc, 'user', 'age')", json!(41)),
        ("json_get_float(doc, 'n')", json!(1.5)),
        ("json_get_bool(doc, 'user', 'vip')", json!(true)),
        ("json_get_json(doc, 'user', 'tags')", json!("[\"a\",\"b\"]")),
        ("json_as_text(doc, 'user', 'tags', 0)", json!("a")),
        ("json_length(doc, 'user', 'tags')", json!(2)),
        ("json_contains(doc, 'user')", json!(true)),
        ("doc -> 'user' ->> 'name'", json!("Ann")),
        ("doc -> 'user' -> 'tags' ->> 0", json!("a")),
        ("round(geo_distance(lat, lon, 51.5074, -0.1278))", json!(343_557.0)),
        ("geo_distance(lat, NULL, 1, 2)", json!(null)),
        ("geo_within_radius(lat, lon, 48.85, 2.35, 1000)", json!(true)),
        ("geo_within_radius(lat, lon, 48.85, 2.35, 500)", json!(false)),
        ("geo_within_polygon(lat, lon, 'POLYGON((2 48, 3 48, 3 49, 2 49, 2 48))')", json!(true)),
        (
            "geo_within_polygon(lat, lon, 'POLYGON((2 48, 3 48, 3 49, 2 49, 2 48), (2.3 48.8, 2.4 48.8, 2.4 48.9, 2.3 48.9, 2.3 48.8))')",
            json!(false),
        ),
        ("geo_within_polygon(lat, lon, area)", json!(true)),
        ("geo_within_polygon(lat, lon, CAST(NULL AS STRING))", json!(null)),
        ("geo_within_polygon(50, lon, area)", json!(false)),
        ("CHAR_LENGTH('äöü')", json!(3)),
        ("UNIX_TIMESTAMP(ts)", json!(1_769_862_600)),
        ("UNIX_TIMESTAMP('2026-01-31 12:30:00')", json!(1_769_862_600)),
        ("UNIX_TIMESTAMP(at, 'dd/MM/yyyy HH:mm')", json!(1_769_862_600)),
        ("TO_TIMESTAMP(at, 'dd/MM/yyyy HH:mm')", json!("2026-01-31T12:30:00.000")),
        ("TO_TIMESTAMP('2026-01-31 12:30:00')", json!("2026-01-31T12:30:00.000")),
        ("TO_TIMESTAMP('2026-01-31T12:30:00.25', 'yyyy-MM-dd''T''HH:mm:ss.SS')", json!(null)),
        ("TO_TIMESTAMP('2026-01-31T12:30:00.250', 'yyyy-MM-dd''T''HH:mm:ss.SSS')", json!("2026-01-31T12:30:00.250")),
        ("TO_TIMESTAMP('01/2026/31', '%m/%Y/%d')", json!("2026-01-31T00:00:00.000")),
        ("TO_TIMESTAMP_LTZ(1769862600, 0)", json!("2026-01-31T12:30:00.000Z")),
        ("TO_TIMESTAMP_LTZ(1769862600123, 3)", json!("2026-01-31T12:30:00.123Z")),
        ("DATE_FORMAT(ts, 'yyyy-MM-dd HH:mm')", json!("2026-01-31 12:30")),
        ("DATE_FORMAT(ts, '%H:%M')", json!("12:30")),
        ("TIMESTAMPDIFF(SECOND, ts, until)", json!(58 * 86_400 - 1)),
        ("TIMESTAMPDIFF(MINUTE, until, ts)", json!(-(58 * 1440 - 1))),
        ("TIMESTAMPDIFF(DAY, ts, until)", json!(57)),
        ("TIMESTAMPDIFF(MONTH, ts, until)", json!(1)),
        ("TIMESTAMPDIFF(MONTH, until, ts)", json!(-1)),
        ("TIMESTAMPDIFF(YEAR, ts, TIMESTAMP '2028-01-31 12:30:00')", json!(2)),
        ("TIMESTAMPDIFF(YEAR, ts, TIMESTAMP '2028-01-31 12:29:59')", json!(1)),
        ("TIMESTAMPDIFF(HOUR, ts, NULL)", json!(null)),
        ("TIMESTAMPDIFF(MONTH, ts, CAST(NULL AS TIMESTAMP))", json!(null)),
        ("TIMESTAMPADD(MINUTE, id, ts)", json!("2026-01-31T12:37:00.000")),
        ("TIMESTAMPADD(MONTH, 1, ts)", json!("2026-02-28T12:30:00.000")),
        ("TIMESTAMPADD(WEEK, -1, DATE '2026-01-31')", json!("2026-01-24T00:00:00.000")),
        ("YEAR(until) * 10000 + MONTH(until) * 100 + DAYOFMONTH(until)", json!(20_260_330)),
        ("HOUR(until) * 10000 + MINUTE(until) * 100 + SECOND(until)", json!(122_959)),
        ("QUARTER(ts) * 100 + WEEK(ts)", json!(105)),
        ("DAYOFYEAR(until)", json!(89)),
        // A Saturday and a Monday.
        ("DAYOFWEEK(ts) * 10 + DAYOFWEEK(DATE '2026-03-30')", json!(72)),
        ("HOUR(CAST(NULL AS TIMESTAMP))", json!(null)),
        ("SPLIT_INDEX(at, '/', 1)", json!("01")),
        ("SPLIT_INDEX('a--b--', '--', 2)", json!("")),
        ("SPLIT_INDEX(at, '/', 3)", json!(null)),
        ("SPLIT_INDEX(at, '/', -1)", json!(null)),
        ("SPLIT_INDEX('', '/', 0)", json!(null)),
        ("SPLIT_INDEX(NULL, '/', 0)", json!(null)),
        ("SPLIT_INDEX(at, '', 0)", json!(null)),
        ("REGEXP_EXTRACT(at, '([0-9]+)/([0-9]+)', 2)", json!("01")),
        ("REGEXP_EXTRACT(at, '([0-9]+)/([0-9]+)')", json!("31/01")),
        ("REGEXP_EXTRACT(at, '(x)|[0-9]', 1)", json!(null)),
        ("REGEXP_EXTRACT(at, '[0-9]', 1)", json!(null)),
        ("REGEXP_EXTRACT(at, 'x')", json!(null)),
        ("REGEXP_EXTRACT(at, concat('[0-9]', '+'), 0)", json!("31")),
        ("MOD(id, 4)", json!(3)),
        ("MOD(id + 2, 4) * 2", json!(2)),
        ("-MOD(-7, 1 + 3)", json!(3)),
        ("IFNULL(id, 0)", json!(7)),
        ("IFNULL(NULL, 'none')", json!("none")),
        ("IF(id > 5, 'many', 'few')", json!("many")),
        ("IF(id = 7, 0, 1 / (id - 7))", json!(0)),
        ("PROCTIME() = now()", json!(true)),
        ("CAST(LOCALTIMESTAMP AS DATE) = current_date", json!(true)),
        ("CAST(current_time AS STRING) = CAST(localtime AS STRING)", json!(true)),
        ("FLOOR(until TO HOUR)", json!("2026-03-30T12:00:00.000")),
        // Those of Kinesis Data Analytics; an error of a row leaves it out.
        ("kda_assign(at, 'VARCHAR(5)')", json!(null)),
        ("kda_assign(at, 'VARCHAR(16)')", json!("31/01/2026 12:30")),
        ("kda_cast(at, 'VARCHAR(5)')", json!(null)),
        ("kda_cast(lat, 'INTEGER')", json!(49)),
        ("kda_cast(ts, 'VARCHAR(19)')", json!("2026-01-31 12:30:00")),
        ("kda_divide(id, 2)", json!(3)),
        ("kda_divide(lat, id - 7)", json!(null)),
        ("kda_step(until, INTERVAL '10' MINUTE)", json!("2026-03-30T12:20:00.000")),
        ("kda_add(kda_floor(until, 'HOUR'), INTERVAL '1' SECOND)", json!("2026-03-30T12:00:01.000")),
        ("kda_interval_count(kda_difference(until, ts, 'SECOND'), 'SECOND')", json!(58 * 86_400 - 1)),
        ("tsdiff(until, ts)", json!(-58_i64 * 86_400_000 + 500)),
        ("char_to_timestamp('dd/MM/yyyy HH:mm', at)", json!("2026-01-31T12:30:00.000")),
        ("timestamp_to_char('EEE d MMM', ts)", json!("Sat 31 Jan")),
        ("kda_period('PRECEDES', ts, ts, until, until)", json!(true)),
        ("regex_replace(at, '/', '-', 1, 0)", json!("31-01-2026 12:30")),
        ("kda_regex_log_parse(at, '([0-9]+)/([0-9]+).*')['COLUMN2']", json!("01")),
    ]
}

#[test]
fn each_function_gives_its_value_in_a_query_a_computed_column_and_a_batch() {
    let input = records(&[record()]);
    let mut wrong = Vec::new();
    for (expression, expected) in values() {
        let select = format!("{TABLE} CREATE MATERIALIZED VIEW r AS SELECT {expression} AS v FROM s;");
        let column = TABLE.replace("WATERMARK", &format!("v AS {expression}, WATERMARK"))
            + "CREATE MATERIALIZED VIEW r AS SELECT v FROM s;";
        let rows = |script: &str| {
            stream(script, &input, Cut::default()).map(|run| match &run.errors[..] {
                [] => run.results["r"].clone(),
                errors => vec![json!({"v": null, "error": errors[0]["message"]})],
            })
        };
        for (how, found) in [
            ("select", rows(&select)),
            ("column", rows(&column)),
            ("batch", batch(&select, &input).map(|mut results| results.remove("r").unwrap_or_default())),
        ] {
            let value = found.as_ref().ok().and_then(|rows| rows.first()).map(|row| row["v"].clone());
            // A value that fails its row is none; the batch has no row then.
            if value.unwrap_or_default() != expected || (found.is_err() && !expected.is_null()) {
                wrong.push(format!("{how}: {expression}\n  found {found:?}, expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn json_and_places_choose_and_group_rows() {
    let mut rows = vec![record(); 3];
    rows[1]["doc"]["user"]["name"] = json!("Bob");
    rows[1]["lat"] = json!(0);
    rows[2]["doc"] = json!("{broken");
    let input = records(&rows);
    let window = "TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
    for (query, expected) in [
        (
            format!("SELECT window_start, json_get_str(doc, 'user', 'name') AS u, sum(json_get_int(doc, 'user', 'age')) AS a FROM {window} GROUP BY window_start, json_get_str(doc, 'user', 'name')"),
            vec![json!({"u": "Ann", "a": 41}), json!({"u": "Bob", "a": 41}), json!({"u": null, "a": null})],
        ),
        (
            format!("SELECT window_start, JSON_VALUE(doc, '$.user.name') AS u, count(*) AS a FROM {window} WHERE geo_within_polygon(lat, lon, 'POLYGON((2 48, 3 48, 3 49, 2 49, 2 48))') GROUP BY window_start, u"),
            vec![json!({"u": "Ann", "a": 1}), json!({"u": null, "a": 1})],
        ),
        (
            "SELECT doc ->> 'n' AS u, id AS a FROM s WHERE doc -> 'user' ->> 'name' = 'Bob' AND JSON_EXISTS(doc, '$.user')".to_owned(),
            vec![json!({"u": "1.5", "a": 7})],
        ),
    ] {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS {query};");
        let streamed = stream(&script, &input, Cut { workers: 2, shards: 2, seed: Some(1) }).unwrap().results["r"].clone();
        let batched = batch(&script, &input).unwrap()["r"].clone();
        for mut rows in [streamed, batched] {
            for row in &mut rows {
                row.as_object_mut().unwrap().shift_remove("window_start");
            }
            assert_eq!(sorted(&rows), sorted(&expected), "{query}");
        }
    }
}

#[test]
fn a_place_that_is_none_fails_its_row_alone() {
    let mut rows = vec![record(); 4];
    rows[1]["lat"] = json!(248.0);
    rows[2]["lon"] = json!(-181);
    rows[3]["area"] = json!("POLYGON((0 0, 1 1))");
    for (function, used) in [
        ("geo_distance(lat, lon, 0, 0)", 2),
        ("geo_within_radius(lat, lon, 0, 0, 1)", 2),
        ("geo_within_polygon(lat, lon, 'POLYGON((0 0, 1 0, 1 1, 0 0))')", 2),
        ("geo_within_polygon(lat, lon, area)", 1),
    ] {
        let script = format!("{TABLE} CREATE MATERIALIZED VIEW r AS SELECT {function} AS v FROM s;");
        let run = stream(&script, &records(&rows), Cut::default()).unwrap();
        assert_eq!(run.results["r"].len(), used, "{function}");
        assert!(run.errors.iter().all(|error| error["error_name"] == "evaluation"), "{:?}", run.errors);
        let told = run
            .errors
            .iter()
            .any(|error| error["message"].as_str().unwrap().contains("the latitude 248 is out of range"));
        assert!(told, "{function}: {:?}", run.errors);
    }
}

const FUNCTIONS: &str = "
CREATE FUNCTION celsius(fahrenheit DOUBLE) RETURNS DOUBLE RETURN (fahrenheit - 32) * 5 / 9;
CREATE FUNCTION IF NOT EXISTS celsius(fahrenheit DOUBLE) RETURN 0;
CREATE FUNCTION label(t DOUBLE) RETURN CASE WHEN celsius(t) > 30 THEN 'hot' WHEN celsius(t) < 0 THEN 'cold' ELSE 'mild' END;
CREATE FUNCTION minute_of(t TIMESTAMP(3)) RETURN FLOOR(t TO MINUTE);
CREATE FUNCTION answer() RETURNS INT RETURN 42;
CREATE FUNCTION ratio(a DECIMAL(10, 2), b DECIMAL(10, 2)) RETURNS DECIMAL(10, 2) RETURN IF(b = 0, NULL, a / b);
CREATE TABLE w (id BIGINT, f DOUBLE, ts TIMESTAMP(3), c AS celsius(f), WATERMARK FOR ts AS ts)
WITH ('connector' = 'stream', 'stream' = 's', 'format' = 'json', 'scan.watermark.max-future-skew' = '40000 d');
CREATE VIEW labelled AS SELECT id, label(f) AS label, ts FROM w;
";

fn weather() -> String {
    records(&[
        json!({"id": 1, "f": 32, "ts": "2026-01-01T00:00:10"}),
        json!({"id": 2, "f": 104, "ts": "2026-01-01T00:00:20"}),
        json!({"id": 3, "f": -40, "ts": "2026-01-01T00:01:00"}),
        json!({"id": 4, "f": null, "ts": "2026-01-01T00:01:30"}),
    ])
}

#[test]
fn a_defined_function_works_wherever_an_expression_does() {
    let t = |minute: i64| format!("2026-01-01T00:{minute:02}:00.000");
    let cases = [
        ("SELECT id, celsius(f) AS v FROM w WHERE label(f) = 'hot'", json!([{"id": 2, "v": 40.0}])),
        ("SELECT c FROM w WHERE celsius(f) = c AND celsius(id) < 0", json!([{"c": 0.0}, {"c": 40.0}, {"c": -40.0}])),
        (
            "SELECT label, count(*) AS n FROM labelled GROUP BY label",
            json!([{"label": "mild", "n": 2}, {"label": "hot", "n": 1}, {"label": "cold", "n": 1}]),
        ),
        (
            "SELECT label(f) AS l, count(*) AS n FROM w GROUP BY label(f) HAVING count(*) > 1",
            json!([{"l": "mild", "n": 2}]),
        ),
        // A window in the body is a window.
        (
            "SELECT minute_of(ts) AS m, max(celsius(f)) AS v FROM w GROUP BY minute_of(ts)",
            json!([{"m": t(0), "v": 40.0}, {"m": t(1), "v": -40.0}]),
        ),
        (
            "SELECT window_start, sum(celsius(f)) AS v, celsius(sum(f)) AS w FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
            json!([{"window_start": t(0), "v": 40.0, "w": 520.0 / 9.0}, {"window_start": t(1), "v": -40.0, "w": -40.0}]),
        ),
        ("SELECT answer() + id AS v FROM w WHERE id = 1", json!([{"v": 43}])),
        ("SELECT ratio(id, 4) AS v, ratio(1, id - 3) AS z FROM w WHERE id = 3", json!([{"v": 0.75, "z": null}])),
    ];
    let mut wrong = Vec::new();
    for (query, expected) in cases {
        let script = format!("{FUNCTIONS} CREATE MATERIALIZED VIEW r AS {query};");
        let streamed =
            stream(&script, &weather(), Cut::default()).map(|mut run| run.results.remove("r").unwrap_or_default());
        let batched = batch(&script, &weather()).map(|mut results| results.remove("r").unwrap_or_default());
        for (how, found) in [("stream", streamed), ("batch", batched)] {
            match found {
                Ok(rows) if sorted(&rows) == sorted(expected.as_array().unwrap()) => {}
                other => wrong.push(format!("{how}: {query}\n  found {other:?}\n  expected {expected}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A statement after [`TABLE`] and [`FUNCTIONS`]; a word of its error, the place, a word of the hint.
const REFUSED: &[(&str, &str, (u64, u64), &str)] = &[
    ("SELECT id,\n  celsius(f, 1) FROM w", "takes 1 arguments, found 2", (2, 3), ""),
    ("SELECT celsius(f),\n  celsius() FROM w", "takes 1 arguments, found 0", (2, 3), ""),
    (
        "SELECT id FROM w WHERE\ncelsius('warm') > 0",
        "takes DOUBLE for `fahrenheit`, found STRING",
        (2, 1),
        "CAST(… AS DOUBLE)",
    ),
    (
        "CREATE TABLE t (a STRING,\n b AS 1 + celsius(a)) WITH ('connector' = 'stream', 'format' = 'json', 'scan.watermark.max-future-skew' = '40000 d')",
        "found STRING",
        (2, 11),
        "CAST",
    ),
    ("CREATE FUNCTION abs(a DOUBLE) RETURN a", "`abs` is a function of the language", (1, 17), "another name"),
    ("CREATE FUNCTION sum(a DOUBLE) RETURN a", "`sum` is a function of the language", (1, 17), "another name"),
    ("CREATE FUNCTION if(a DOUBLE) RETURN a", "`if` is a function of the language", (1, 17), "another name"),
    ("CREATE FUNCTION celsius(a DOUBLE) RETURN a", "exists already", (1, 17), "DROP FUNCTION"),
    ("CREATE OR REPLACE FUNCTION celsius(a DOUBLE) RETURN a", "not supported", (1, 19), "DROP FUNCTION"),
    ("CREATE FUNCTION g(a DOUBLE)\nRETURN g(a - 1)", "Invalid function 'g'", (2, 8), ""),
    ("CREATE FUNCTION g(a DOUBLE)\nRETURN a + b", "No field named b", (2, 12), "its parameters only"),
    ("CREATE FUNCTION g(a DOUBLE) RETURN sum(a)", "an aggregate", (1, 36), "scalar"),
    ("CREATE FUNCTION g(a DOUBLE, a INT) RETURN a", "declared twice", (1, 29), ""),
    ("CREATE FUNCTION g(a DOUBLE) RETURNS BYTES RETURN a", "is DOUBLE, not BYTES", (1, 50), "RETURNS"),
    ("CREATE FUNCTION g(a DOUBLE) AS 'g.so'", "expected RETURN", (1, 29), "in SQL only"),
    ("CREATE FUNCTION g(a STRIN) RETURN a", "unknown type STRIN", (1, 21), "known types"),
    ("DROP FUNCTION celsius", "`celsius()` is used by label(), w", (1, 15), "drop those first"),
    ("DROP FUNCTION nope", "does not exist", (1, 15), "celsius"),
    ("SELECT geo_within_polygon(1, 2, 'POLYGON((0 0, 1 0, 1 1))') FROM w", "not closed", (1, 1), ""),
    ("SELECT JSON_VALUE('{}', 'a.b') FROM w", "does not start with $", (1, 1), ""),
    ("SELECT TIMESTAMPDIFF(FORTNIGHT, ts, ts) FROM w", "found `FORTNIGHT`", (1, 22), "MINUTE"),
    ("SELECT\nDATE_FORMAT(ts, 'yyyy-QQ') FROM w", "`QQ`", (2, 17), "strftime"),
    ("SELECT IF(id > 1, 2) FROM w", "found 2 arguments", (1, 8), ""),
];

#[test]
fn what_a_function_cannot_be_is_refused_with_its_place() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let defined = engine.execute(&[Script { text: FUNCTIONS.to_owned(), durable: false }]);
    assert!(defined.is_ok(), "{:?}", defined.err().map(|failed| failed.error.to_string()));
    let mut wrong = Vec::new();
    for (sql, message, place, hint) in REFUSED {
        let report = engine.check(sql);
        let Some(error) = report.errors.first() else {
            wrong.push(format!("accepted: {sql}"));
            continue;
        };
        let at = error.at.map_or((0, 0), |at| (at.line, at.column));
        let given = error.hint.clone().unwrap_or_default();
        if !error.message.contains(message) || at != *place || !given.contains(hint) {
            wrong.push(format!("{sql}\n  expected {message} at {place:?}, hint {hint}\n  found    {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_call_that_would_grow_without_measure_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let twice = "CREATE FUNCTION f0(a BIGINT) RETURN a + a;".to_owned();
    let nested = (1..40).map(|n| format!("CREATE FUNCTION f{n}(a BIGINT) RETURN f{0}(a) + f{0}(a);", n - 1));
    let script = Script { text: twice + &nested.collect::<String>(), durable: false };
    let error = engine(&runtime).execute(&[script]).unwrap_err().error;
    assert!(error.message.contains("the limit is 10000"), "{error}");
}

#[test]
fn functions_are_listed_kept_and_gone_when_dropped() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = engine(&runtime);
    let run = |engine: &Engine, sql: &str| {
        engine.execute(&[Script { text: sql.to_owned(), durable: true }]).map_err(|failed| failed.error.to_string())
    };
    run(&first, FUNCTIONS).unwrap();
    run(&first, "CREATE MATERIALIZED VIEW m AS SELECT answer() AS v FROM w").unwrap();
    // A table may have the name of a function; the one goes without the other.
    run(&first, "CREATE TABLE ratio (a INT) WITH ('connector' = 'blackhole'); DROP FUNCTION ratio").unwrap();
    let second = engine(&runtime);
    let kept = first.definitions().join(";\n");
    run(&second, &kept).unwrap();
    assert!(second.catalog().function("ratio").is_none() && second.catalog().get("ratio").is_some());
    let names = |engine: &Engine| engine.catalog().functions().map(|function| function.signature()).collect::<Vec<_>>();
    assert_eq!(names(&second), names(&first));
    let refused = run(&second, "DROP FUNCTION answer").unwrap_err();
    assert!(refused.contains("`answer()` is used by m"), "{refused}");
    run(&second, "DROP MATERIALIZED VIEW m; DROP FUNCTION answer; DROP FUNCTION IF EXISTS answer").unwrap();
    let refused = run(&second, "SELECT answer() AS v").unwrap_err();
    assert!(refused.contains("Invalid function 'answer'"), "{refused}");
    for (engine, expected) in [(&second, 3), (&self::engine(&runtime), 0)] {
        let outcomes = run(engine, "SHOW FUNCTIONS").unwrap();
        let millstream_engine::Outcome::Rows { rows, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        let rows = crate::harness::rows(rows);
        assert_eq!(rows.len(), expected);
        if let Some(row) = rows.first() {
            let shown = json!({"name": "celsius", "parameters": "fahrenheit DOUBLE", "returns": "DOUBLE", "body": "(fahrenheit - 32) * 5 / 9"});
            assert_eq!(*row, shown);
        }
    }
}

#[test]
fn the_examples_of_the_language_are_accepted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text = std::fs::read_to_string(crate::harness::repository().join("docs/sql.md")).unwrap();
    let blocks =
        text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap().trim_end().trim_end_matches(';'));
    let script = blocks.collect::<Vec<_>>().join(";\n");
    let report = engine(&runtime).check(&script);
    assert!(report.errors.is_empty(), "{:#?}", report.errors);
    assert!(report.statements.len() > 40, "{}", report.statements.len());
}

/// The examples of docs/sql.md, with what they say they give.
#[test]
fn the_examples_of_the_functions_give_what_they_say() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let text = std::fs::read_to_string(crate::harness::repository().join("docs/sql.md")).unwrap();
    let (_, section) = text.split_once("\n## Functions\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut found = 0;
    let examples =
        section.lines().filter(|line| line.starts_with("SELECT ")).filter_map(|line| line.split_once(" -- "));
    for (sql, expected) in examples {
        let script = Script { text: sql.trim_end().trim_end_matches(';').to_owned() + " AS v", durable: false };
        let outcomes = engine.execute(&[script]).map_err(|failed| format!("{sql}: {}", failed.error)).unwrap();
        let millstream_engine::Outcome::Rows { rows, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(crate::harness::rows(rows)[0]["v"].to_string(), expected.trim(), "{sql}");
        found += 1;
    }
    assert!(found > 20, "{found}");
}
