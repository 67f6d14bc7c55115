//! The analytic functions over rows in order: forests, hotspots, items of windows, ranks of groups. However the stream is
//! cut and wherever it is broken off, their rows are the same, and a batch agrees.

use serde_json::{Value, json};

use crate::crashes::resumed;
use crate::harness::{Cut, batch, sorted, stream};
use crate::refused::engine;

const TABLE: &str = "CREATE TABLE e (k STRING, x DOUBLE, y INT, d DECIMAL(9, 2), tags ARRAY<STRING>, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');\n";

fn record(second: u32, data: Value) -> String {
    let ms = u64::from(second) * 1000;
    let mut data = data;
    data["ts"] = json!(ms);
    json!({"stream": "e", "arrival": ms, "key": format!("k{}", second % 5), "data": data}).to_string() + "\n"
}

/// A row a second: `x` is a wave with noise, `y` goes round. At second 450 `x` is far too low.
fn wave(seconds: u32) -> String {
    let row = |second: u32| {
        let noise = f64::from(second.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        let x = if second == 450 { -40.0 } else { 10.0 * (f64::from(second) / 8.0).sin() + noise };
        record(second, json!({"k": format!("k{}", second * second % 7), "x": x, "y": second % 3, "d": 1.5}))
    };
    (0..seconds).map(row).collect()
}

fn view(name: &str, from: &str) -> String {
    format!("CREATE MATERIALIZED VIEW {name} AS SELECT * FROM TABLE({from});\n")
}

/// The rows of one view; a batch and streams that are cut in other ways must give the same.
fn rows(from: &str, replay: &str) -> Vec<Value> {
    let script = format!("{TABLE}{}", view("r", from));
    let of = |cut: Cut| stream(&script, replay, cut).unwrap().results.remove("r").unwrap();
    let rows = of(Cut::default());
    for seed in [1, 2] {
        assert_eq!(
            sorted(&rows),
            sorted(&of(Cut { workers: 3, shards: 2, seed: Some(seed) })),
            "cut by {seed}: {from}"
        );
    }
    assert_eq!(sorted(&rows), sorted(&batch(&script, replay).unwrap()["r"]), "batch: {from}");
    rows
}

fn number(value: &Value) -> f64 {
    value.as_str().map_or_else(|| value.as_f64().unwrap(), |text| text.parse().unwrap())
}

#[test]
fn a_forest_scores_each_row_by_those_before_it() {
    let rows = rows("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 50, 100)", &wave(500));
    assert_eq!(rows.len(), 500);
    let scores: Vec<f64> = rows.iter().map(|row| number(&row["anomaly_score"])).collect();
    assert!(scores[..100].iter().all(|score| *score == 0.0), "{:?}", &scores[..100]);
    let highest = scores.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(highest.0 == 450 && highest.1 > 2.0, "{highest:?}");
    // What is not scored goes through.
    assert_eq!(rows[450]["k"], "k4");
    assert_eq!(rows[450]["ts"], "1970-01-01T00:07:30.000");
}

#[test]
fn an_explanation_has_the_form_of_aws() {
    let call = "RANDOM_CUT_FOREST_WITH_EXPLANATION(TABLE e, DESCRIPTOR(ts), 50, 100, 1000, 1, TRUE)";
    let rows = rows(call, &wave(500));
    let none = r#"{"DIRECTION":"LOW","STRENGTH":"0.0000","ATTRIBUTION_SCORE":"0.0000"}"#;
    assert_eq!(rows[0]["anomaly_explanation"], format!(r#"{{"x":{none},"y":{none}}}"#));
    let of = &rows[450];
    let explanation: Value = serde_json::from_str(of["anomaly_explanation"].as_str().unwrap()).unwrap();
    assert_eq!(explanation["x"]["DIRECTION"], "LOW");
    let (x, y) = (&explanation["x"]["ATTRIBUTION_SCORE"], &explanation["y"]["ATTRIBUTION_SCORE"]);
    assert!((number(x) + number(y) - number(&of["anomaly_score"])).abs() < 2e-4, "{of}");
    assert!(number(x) > 5.0 * number(y) && number(&explanation["x"]["STRENGTH"]) > 1.0, "{of}");
}

#[test]
fn columns_and_parameters_of_a_forest_are_chosen() {
    // Without directions only scores are told; DESCRIPTOR leaves x out; sample and decay may be equal.
    let call = "RANDOM_CUT_FOREST_WITH_EXPLANATION(TABLE e, DESCRIPTOR(ts), DESCRIPTOR(y), 10, 10, 10, 2)";
    let rows = rows(call, &wave(60));
    assert_eq!(rows[10]["anomaly_explanation"], r#"{"y":{"ATTRIBUTION_SCORE":"0.0000"}}"#);
    let last = rows[59]["anomaly_explanation"].as_str().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    let told = json!({"y": {"ATTRIBUTION_SCORE": format!("{:.4}", number(&rows[59]["anomaly_score"]))}});
    assert_eq!(last, told);
}

#[test]
fn hotspots_are_told_with_each_row() {
    let records: String = [2.0, 9.0, 2.5, 40.0, 3.0, 41.0]
        .iter()
        .zip(0..)
        .map(|(x, second)| record(second, json!({"k": "a", "x": x, "y": null})))
        .collect();
    let rows = rows("HOTSPOTS(TABLE e, DESCRIPTOR(ts), DESCRIPTOR(x), 100, 0.5, 3)", &records);
    let told: Vec<&str> = rows.iter().map(|row| row["hotspots_result"].as_str().unwrap()).collect();
    let found = r#"{"hotspots":[{"density":3.0,"minValues":[2.0],"maxValues":[3.0]}]}"#;
    let none = r#"{"hotspots":[]}"#;
    assert_eq!(told, [none, none, none, none, found, found]);
}

#[test]
fn items_of_windows_are_counted() {
    let keys =
        [(0, "a"), (1, "b"), (2, "b"), (8, "c"), (9, "a"), (10, "x"), (29, "y"), (30, "b"), (31, "b"), (33, "c")];
    let mut records: String = keys.map(|(second, k)| record(second, json!({"k": k, "y": second % 2}))).concat();
    records += &record(34, json!({"k": null, "y": 1}));
    let top = rows("TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'K', 2, 10)", &records);
    let item = |k: &str, count: i64, ts: &str| json!({"k": k, "most_frequent_values": count, "ts": format!("1970-01-01T00:00:{ts}.000")});
    let expected = [
        item("a", 2, "10"),
        item("b", 2, "10"),
        item("x", 1, "20"),
        item("y", 1, "30"),
        item("b", 2, "40"),
        item("c", 1, "40"),
    ];
    assert_eq!(top, expected);
    let numbers = rows("TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'y', 1, 3600)", &records);
    assert_eq!(numbers, [json!({"y": 1, "most_frequent_values": 6, "ts": "1970-01-01T01:00:00.000"})]);
    let distinct = rows("COUNT_DISTINCT_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'k', 10)", &records);
    let counts: Vec<_> = distinct.iter().map(|row| (&row["number_of_distinct_items"], &row["ts"])).collect();
    let expected = json!([[3, "10"], [1, "20"], [1, "30"], [2, "40"]]);
    let expected: Vec<_> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].clone(), json!(format!("1970-01-01T00:00:{}.000", pair[1].as_str().unwrap()))))
        .collect();
    assert_eq!(counts, expected.iter().map(|(count, ts)| (count, ts)).collect::<Vec<_>>());
}

/// Results of windows can have windows again.
#[test]
fn the_time_of_items_is_a_time() {
    let records: String = (0..100).map(|second| record(second, json!({"k": format!("k{}", second % 4)}))).collect();
    let items = "TABLE(COUNT_DISTINCT_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'k', 10))";
    let script = format!(
        "{TABLE}CREATE MATERIALIZED VIEW r AS SELECT date_trunc('minute', ts) AS m, sum(number_of_distinct_items) AS n
         FROM {items} GROUP BY date_trunc('minute', ts)"
    );
    let rows = stream(&script, &records, Cut::default()).unwrap().results.remove("r").unwrap();
    // Ends at 10, 20, … 50 seconds are of the first minute, 60 and those after of the second.
    let counts: Vec<&Value> = rows.iter().map(|row| &row["n"]).collect();
    assert_eq!(counts, [&json!(20), &json!(20)]);
}

#[test]
fn rows_of_one_time_are_ranked() {
    let rows_of = |second: u32, ys: &[Option<i32>]| -> String {
        ys.iter().zip(["a", "b", "c", "d"]).map(|(y, k)| record(second, json!({"k": k, "y": y}))).collect()
    };
    let records = rows_of(1, &[Some(5), Some(9), Some(5), Some(1)]) + &rows_of(2, &[Some(3), None]);
    let ranked = |orders: &str| -> Vec<(u64, String, u64)> {
        let from = format!("GROUP_RANK((SELECT k, y, ts FROM e), DESCRIPTOR(ts), 'y', 'groupRank', {orders})");
        let script = format!("{TABLE}{}", view("r", &from));
        // One shard: rows of one time stay in the order in which they came.
        let of = |rows: Vec<Value>| {
            let row = |row: &Value| {
                let second = row["ts"].as_str().unwrap()[17..19].parse().unwrap();
                (second, row["k"].as_str().unwrap().to_owned(), row["groupRank"].as_u64().unwrap())
            };
            rows.iter().map(row).collect::<Vec<_>>()
        };
        let rows = of(stream(&script, &records, Cut::default()).unwrap().results.remove("r").unwrap());
        let cut = Cut { workers: 2, shards: 1, seed: Some(4) };
        assert_eq!(rows, of(stream(&script, &records, cut).unwrap().results.remove("r").unwrap()));
        assert_eq!(rows, of(batch(&script, &records).unwrap().remove("r").unwrap()));
        rows
    };
    let owned = |rows: &[(u64, &str, u64)]| -> Vec<(u64, String, u64)> {
        rows.iter().map(|(second, k, rank)| (*second, (*k).to_owned(), *rank)).collect()
    };
    let descending = [(1, "b", 1), (1, "a", 2), (1, "c", 2), (1, "d", 4), (2, "b", 1), (2, "a", 2)];
    assert_eq!(ranked("'desc', 'asc', 5, 0"), owned(&descending));
    let last_first = [(1, "b", 4), (1, "a", 2), (1, "c", 2), (1, "d", 1), (2, "b", 2), (2, "a", 1)];
    assert_eq!(ranked("'ASC', 'DESC'"), owned(&last_first));
    let two = [(1, "d", 1), (1, "a", 2), (2, "a", 1), (2, "b", 2)];
    assert_eq!(ranked("'asc', 'asc', 0, 2"), owned(&two));
}

#[test]
fn broken_off_and_gone_on_they_give_the_same_rows() {
    let calls = [
        "RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 20, 50, 100, 2)",
        "RANDOM_CUT_FOREST_WITH_EXPLANATION(TABLE e, DESCRIPTOR(ts), 20, 50, 100, 1, TRUE)",
        "HOTSPOTS(TABLE e, DESCRIPTOR(ts), 100, 1.5, 5)",
        "TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'k', 3, 45)",
        "COUNT_DISTINCT_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'x', 45)",
        "GROUP_RANK(TABLE e, DESCRIPTOR(ts), 'x', 'place', 'desc', 'asc', 0, 0)",
    ];
    let views: String = calls.iter().zip(0..).map(|(call, number)| view(&format!("r{number}"), call)).collect();
    let (script, records) = (format!("{TABLE}{views}"), wave(300));
    let cut = Cut { seed: Some(3), ..Cut::default() };
    let straight = resumed(&script, &records, cut, &[]).unwrap().tables;
    assert_eq!(straight.len(), calls.len());
    assert!(straight.values().all(|rows| !rows.is_empty()));
    for deaths in [&[4][..], &[17], &[31, 12], &[60], &[9, 9, 25]] {
        let resumed = resumed(&script, &records, cut, deaths).unwrap().tables;
        for (table, rows) in &straight {
            assert_eq!(sorted(rows), sorted(&resumed[table]), "{table}, deaths after {deaths:?}");
        }
    }
}

/// A call, what its error says, and a word of the hint.
const REFUSED: &[(&str, &str, &str)] = &[
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 0)", "trees is 0, but must be from 1 to 1000", "write TABLE("),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 10, 9)", "the sample size is 9, but must be from 10 to 1000", "write"),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 10, 10, -1)", "the time decay of RANDOM_CUT_FOREST cannot be -1", ""),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 10, 10, 10, 31)", "shingle is 31, but must be from 1 to 30", "write"),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), 10, 10, 10, 1, 1)", "too many arguments", "write"),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), DESCRIPTOR(k))", "k is Utf8", "DOUBLE"),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(ts), DESCRIPTOR(d))", "d is Decimal", "DOUBLE"),
    ("RANDOM_CUT_FOREST((SELECT k, d, ts FROM e), DESCRIPTOR(ts))", "no column of integers or floats", "DECIMAL"),
    ("RANDOM_CUT_FOREST(TABLE e, DESCRIPTOR(k))", "needs a TIMESTAMP", "write"),
    ("RANDOM_CUT_FOREST((SELECT *, 1 AS anomaly_score FROM e), DESCRIPTOR(ts))", "has a column `anomaly_score`", "AS"),
    ("HOTSPOTS(TABLE e, DESCRIPTOR(ts), 99, 1, 2)", "the window size is 99, but must be from 100 to 1000", "write"),
    ("HOTSPOTS(TABLE e, DESCRIPTOR(ts), 100, -0.5, 2)", "the scan radius is -0.5, but must be above 0", "write"),
    ("HOTSPOTS(TABLE e, DESCRIPTOR(ts), 100, 1, 101)", "hotspot is 101, but must be from 2 to 100", "write"),
    ("HOTSPOTS(TABLE e, DESCRIPTOR(ts), 100)", "HOTSPOTS needs the scan radius, a number", "write"),
    (
        "TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'z', 1, 60)",
        "no column `z`",
        "its columns are k, x, y, d, tags, ts",
    ),
    ("TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'k', 0, 60)", "the number of items is 0", "write"),
    ("TOP_K_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'tags', 1, 60)", "items cannot be", "STRING"),
    (
        "COUNT_DISTINCT_ITEMS_TUMBLING(TABLE e, DESCRIPTOR(ts), 'k', 3601)",
        "the seconds of a window is 3601, but must be from 1 to 3600",
        "write",
    ),
    ("GROUP_RANK(TABLE e, DESCRIPTOR(ts), 'x', 'k', 'asc', 'asc', 0, 0)", "has a column `k` already", "AS"),
    ("GROUP_RANK(TABLE e, DESCRIPTOR(ts), 'x', 'r', 'up', 'asc', 0, 0)", "`up` is no order", "asc and desc"),
];

#[test]
fn bad_parameters_are_refused_with_place_and_remedy() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let mut wrong = Vec::new();
    for (call, message, hint) in REFUSED {
        let report = engine.check(&format!("{TABLE}SELECT * FROM TABLE(\n  {call})"));
        let Some(error) = report.errors.first() else {
            wrong.push(format!("accepted: {call}"));
            continue;
        };
        let line = TABLE.lines().count() as u64 + 2;
        let is_there = error.at.is_some_and(|at| (at.line, at.column) == (line, 3));
        if !error.message.contains(message) || !is_there || !error.hint.clone().unwrap_or_default().contains(hint) {
            wrong.push(format!("{call}\n  expected {message} on line {line}, hint {hint}\n  found {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
