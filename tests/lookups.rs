//! Joins of a stream with tables that are there whole: files, and live tables as they are.

use serde_json::{Value, json};

use crate::harness::{Cut, batch, sorted, stream};

const STREAM: &str = "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');";

fn records(rows: &[(i64, &str, i64)]) -> String {
    let line = |(second, key, n): &(i64, &str, i64)| {
        let data = json!({"k": key, "n": n, "ts": second * 1000});
        json!({"stream": "s", "arrival": second * 1000, "key": key, "data": data}).to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A file of names, and the script that declares it.
fn names(format: &str, content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names");
    std::fs::write(&path, content).unwrap();
    let table = format!(
        "CREATE TABLE names (k STRING, name STRING) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = '{format}');",
        path.display()
    );
    (folder, table)
}

const NAMES: &str =
    "{\"k\":\"a\",\"name\":\"Anna\"}\n{\"k\":\"b\",\"name\":\"Ben\"}\n{\"k\":\"b\",\"name\":\"Bert\"}\n";
const ROWS: [(i64, &str, i64); 4] = [(1, "a", 1), (2, "b", 2), (3, "c", 4), (64, "a", 8)];

fn check(script: &str, expected: Value) {
    let expected = sorted(expected.as_array().unwrap());
    let input = records(&ROWS);
    let run = stream(script, &input, Cut::default()).unwrap_or_else(|error| panic!("{script}: {error}"));
    assert_eq!(sorted(&run.results["r"]), expected, "{script}");
    let cut = Cut { workers: 3, shards: 4, seed: Some(7) };
    assert_eq!(sorted(&stream(script, &input, cut).unwrap().results["r"]), expected, "cut: {script}");
    assert_eq!(sorted(&batch(script, &input).unwrap()["r"]), expected, "batch: {script}");
}

#[test]
fn every_row_looks_the_file_up() {
    let (_folder, table) = names("json", NAMES);
    for version in ["", "FOR SYSTEM_TIME AS OF PROCTIME()"] {
        let select = |join: &str| {
            format!(
                "{STREAM}{table} CREATE MATERIALIZED VIEW r AS SELECT s.n, t.name FROM s {join} JOIN names {version} AS t ON s.k = t.k"
            )
        };
        let both = json!([{"n": 1, "name": "Anna"}, {"n": 2, "name": "Ben"}, {"n": 2, "name": "Bert"}, {"n": 8, "name": "Anna"}]);
        check(&select(""), both.clone());
        let mut left = both.as_array().unwrap().clone();
        left.push(json!({"n": 4, "name": null}));
        check(&select("LEFT"), left.into());
    }
    let rest = "CREATE MATERIALIZED VIEW r AS SELECT s.n FROM s LEFT ANTI JOIN names t ON s.k = t.k";
    check(&format!("{STREAM}{table}{rest}"), json!([{"n": 4}]));
    let some = "CREATE MATERIALIZED VIEW r AS SELECT n FROM s WHERE k IN (SELECT k FROM names)";
    check(&format!("{STREAM}{table}{some}"), json!([{"n": 1}, {"n": 2}, {"n": 8}]));
}

#[test]
fn windows_and_keys_are_made_of_looked_up_rows_and_look_up_themselves() {
    let (_folder, table) = names("csv", "k,name\na,Anna\nb,Ben\n");
    let below = "CREATE MATERIALIZED VIEW r AS SELECT window_end, name, sum(n) AS n
        FROM TABLE(TUMBLE((SELECT s.*, t.name FROM s JOIN names t ON s.k = t.k), DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end, name";
    let minute = |minute: i64| format!("1970-01-01T00:0{minute}:00.000");
    let rows = json!([
        {"window_end": minute(1), "name": "Anna", "n": 1},
        {"window_end": minute(1), "name": "Ben", "n": 2},
        {"window_end": minute(2), "name": "Anna", "n": 8}
    ]);
    let header = "'format' = 'csv', 'csv.header' = 'true'";
    let table = table.replace("'format' = 'csv'", header);
    check(&format!("{STREAM}{table}{below}"), rows.clone());
    let above = "CREATE MATERIALIZED VIEW r AS SELECT window_end, name, c.n
        FROM (SELECT window_end, k, sum(n) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end, k) AS c
        JOIN names t ON c.k = t.k";
    check(&format!("{STREAM}{table}{above}"), rows);
    let updating =
        "CREATE MATERIALIZED VIEW r AS SELECT name, sum(n) AS n FROM s JOIN names t ON s.k = t.k GROUP BY name";
    check(&format!("{STREAM}{table}{updating}"), json!([{"name": "Anna", "n": 9}, {"name": "Ben", "n": 2}]));
}

#[test]
fn values_are_a_table_too() {
    let query = "CREATE MATERIALIZED VIEW r AS SELECT s.n, v.name FROM s JOIN (VALUES ('a', 'Anna'), ('c', 'Cleo')) AS v(k, name) ON s.k = v.k";
    let expected = json!([{"n": 1, "name": "Anna"}, {"n": 4, "name": "Cleo"}, {"n": 8, "name": "Anna"}]);
    check(&format!("{STREAM}{query}"), expected);
}

#[test]
fn every_table_of_a_join_gives_its_own_rows() {
    let (_names, names_table) = names("json", NAMES);
    let (_colours, colours) = names("json", "{\"k\":\"a\",\"name\":\"red\"}\n{\"k\":\"c\",\"name\":\"blue\"}\n");
    let colours = colours.replace("TABLE names", "TABLE colours");
    let query = "CREATE MATERIALIZED VIEW r AS SELECT s.n, a.name AS name, b.name AS colour, c.name AS again
        FROM s LEFT JOIN names a ON s.k = a.k LEFT JOIN colours b ON s.k = b.k LEFT JOIN names c ON s.k = c.k WHERE s.k <> 'b'";
    let row = |n: i64, name: Option<&str>, colour: &str| json!({"n": n, "name": name, "colour": colour, "again": name});
    let expected = [row(1, Some("Anna"), "red"), row(4, None, "blue"), row(8, Some("Anna"), "red")];
    check(&format!("{STREAM}{names_table}{colours}{query}"), expected.to_vec().into());
}

#[test]
fn rows_with_windows_look_up_too() {
    let (_folder, table) = names("json", NAMES);
    let minute = |minute: i64| format!("1970-01-01T00:0{minute}:00.000");
    let query = "CREATE MATERIALIZED VIEW r AS SELECT window_end, t.name, count(*) AS c
        FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) AS w JOIN names t ON w.k = t.k GROUP BY window_end, t.name";
    let row = |end: i64, name: &str| json!({"window_end": minute(end), "name": name, "c": 1});
    let expected = [row(1, "Anna"), row(1, "Ben"), row(1, "Bert"), row(2, "Anna")];
    check(&format!("{STREAM}{table}{query}"), expected.to_vec().into());
    let distinct = "CREATE MATERIALIZED VIEW r AS SELECT window_end, c.n
        FROM (SELECT window_end, k, sum(n) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end, k) AS c
        JOIN (SELECT DISTINCT k FROM names) t ON c.k = t.k";
    let sums = json!([{"window_end": minute(1), "n": 1}, {"window_end": minute(1), "n": 2}, {"window_end": minute(2), "n": 8}]);
    check(&format!("{STREAM}{table}{distinct}"), sums);
    let hop = query.replace("TUMBLE(TABLE s, DESCRIPTOR(ts), ", "HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '30' SECOND, ");
    let error = stream(&format!("{STREAM}{table}{hop}"), &records(&ROWS), Cut::default()).err().expect("refused");
    assert!(error.starts_with("E13") && error.contains("join inside the window function"), "{error}");
}

#[test]
fn a_row_that_is_late_behind_a_lookup_is_counted_and_told() {
    let (_folder, table) = names("json", NAMES);
    let query = "CREATE MATERIALIZED VIEW r AS SELECT window_end, sum(n) AS n
        FROM TABLE(TUMBLE((SELECT s.* FROM s JOIN names t ON s.k = t.k), DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_end";
    let mut input = records(&[(1, "a", 1), (25, "a", 2)]);
    input += &records(&[(2, "a", 4)]).replace("\"arrival\":2000", "\"arrival\":26000");
    let run = stream(&format!("{STREAM}{table}{query}"), &input, Cut::default()).unwrap();
    let sums: Vec<i64> = run.results["r"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(sums, [1, 2]);
    let stats = &run.stats["r"];
    assert_eq!((stats.rows_in.get(), stats.used.get(), stats.late.get()), (3, 2, 1));
    assert_eq!(run.errors.iter().filter(|error| error["error_name"] == "late row").count(), 1, "{:?}", run.errors);
}

#[test]
fn a_stream_meets_a_live_table_as_it_is() {
    let script = format!(
        "{STREAM} CREATE TABLE t (k STRING, v BIGINT) WITH ('connector' = 'stream', 'format' = 'json');
         CREATE MATERIALIZED VIEW latest AS SELECT k, max(v) AS v FROM t GROUP BY k;
         CREATE MATERIALIZED VIEW r AS SELECT s.n, l.v FROM s LEFT JOIN latest FOR SYSTEM_TIME AS OF PROCTIME() AS l ON s.k = l.k"
    );
    let of_t = |second: i64, key: &str, v: i64| {
        json!({"stream": "t", "arrival": second * 1000, "key": key, "data": {"k": key, "v": v}}).to_string() + "\n"
    };
    let input = of_t(0, "a", 70) + &records(&ROWS) + &of_t(30, "a", 90);
    let run = stream(&script, &input, Cut::default()).unwrap();
    let expected = json!([{"n": 1, "v": 70}, {"n": 2, "v": null}, {"n": 4, "v": null}, {"n": 8, "v": 90}]);
    assert_eq!(sorted(&run.results["r"]), sorted(expected.as_array().unwrap()));
}

#[test]
fn what_a_lookup_cannot_do_is_refused() {
    let (_folder, table) = names("json", NAMES);
    for (query, code) in [
        ("SELECT s.n, t.name FROM s RIGHT JOIN names t ON s.k = t.k", "E13"),
        ("SELECT s.n, t.name FROM s FULL JOIN names t ON s.k = t.k", "E13"),
        ("SELECT s.n, t.name FROM s JOIN names FOR SYSTEM_TIME AS OF s.ts AS t ON s.k = t.k", "E13"),
        ("SELECT s.n, t.n FROM s JOIN s AS t ON s.k = t.k", "E05"),
    ] {
        let script = format!("{STREAM}{table} CREATE MATERIALIZED VIEW r AS {query}");
        let error = stream(&script, &records(&ROWS), Cut::default()).err().unwrap_or_else(|| panic!("{query} ran"));
        assert!(error.starts_with(code), "{query}: {error}");
    }
    let missing = STREAM.to_owned()
        + "CREATE TABLE names (k STRING, name STRING) WITH ('connector' = 'filesystem', 'path' = '/nowhere/names', 'format' = 'json');
           CREATE MATERIALIZED VIEW r AS SELECT s.n, t.name FROM s JOIN names t ON s.k = t.k";
    let error = stream(&missing, &records(&ROWS), Cut::default()).err().expect("there is no such file");
    assert!(error.contains("`names` could not be loaded") && error.contains("/nowhere/names"), "{error}");
}
