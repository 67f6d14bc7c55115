//! What random queries found, as small as it is: the script's result `r`, the rows of `a` as id and time, what it gives.

use serde_json::json;

use super::data;
use crate::harness::{Cut, batch, sorted, stream};

/// Times are seconds after 1970; `k` is `x` for odd ids and `y` for even ones, `n` is the id.
fn check(view: &str, query: &str, rows: &[(i64, i64)], expected: &[serde_json::Value]) {
    let script = data::tables() + view + "CREATE MATERIALIZED VIEW r AS " + query;
    let line = |(id, at): &(i64, i64)| {
        let k = if id % 2 == 1 { "x" } else { "y" };
        let data = json!({"id": id, "k": k, "v": 0.5, "n": id, "ts": at * 1000});
        json!({"stream": "a", "arrival": at * 1000, "key": k, "data": data}).to_string() + "\n"
    };
    let replay: String = rows.iter().map(line).collect();
    let streamed = stream(&script, &replay, Cut::default()).unwrap();
    assert_eq!(sorted(&streamed.results["r"]), sorted(expected));
    assert_eq!(sorted(&batch(&script, &replay).unwrap()["r"]), sorted(expected), "as a batch");
}

#[test]
fn sessions_of_sessions_come_to_an_end() {
    check(
        "CREATE VIEW inner_sessions AS SELECT window_time AS closed, count(*) AS c
         FROM TABLE(SESSION(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY window_start, window_end, window_time;",
        "SELECT window_start, sum(c) AS c FROM TABLE(SESSION(TABLE inner_sessions, DESCRIPTOR(closed), INTERVAL '5' SECOND))
         GROUP BY window_start, window_end",
        &[(1, 0), (2, 3), (3, 30), (4, 60)],
        &[
            json!({"window_start": "1970-01-01T00:00:01.999", "c": 2}),
            json!({"window_start": "1970-01-01T00:00:31.999", "c": 1}),
            json!({"window_start": "1970-01-01T00:01:01.999", "c": 1}),
        ],
    );
}

#[test]
fn a_row_that_a_condition_leaves_out_holds_its_session_together() {
    let query = |condition| {
        format!(
            "SELECT window_start, k, count(*) AS c FROM TABLE(SESSION(TABLE a PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' SECOND))
             WHERE {condition} GROUP BY window_start, window_end, k"
        )
    };
    let rows = [(1, 0), (3, 4), (5, 8), (2, 8)];
    let whole = json!({"window_start": "1970-01-01T00:00:00.000", "k": "x", "c": 2});
    check("", &query("n <> 3 AND n <> 2"), &rows, &[whole]);
    let of_key = json!({"window_start": "1970-01-01T00:00:08.000", "k": "y", "c": 1});
    check("", &query("k = 'y'"), &rows, &[of_key]);
}

#[test]
fn sessions_of_a_batch_are_made_of_all_parts_of_a_union() {
    check(
        "CREATE VIEW halves AS SELECT k, ts FROM a WHERE k = 'x' UNION ALL SELECT k, ts FROM a WHERE k = 'y';",
        "SELECT window_start, count(*) AS c FROM TABLE(SESSION(TABLE halves, DESCRIPTOR(ts), INTERVAL '5' SECOND))
         GROUP BY window_start, window_end",
        &[(1, 0), (2, 4), (3, 8)],
        &[json!({"window_start": "1970-01-01T00:00:00.000", "c": 3})],
    );
}

#[test]
fn windows_of_windows_run_as_a_batch() {
    check(
        "CREATE VIEW tens AS SELECT window_time AS closed, k, n, count(*) AS c
         FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, window_time, k, n;",
        "SELECT window_start, n, max(c) AS c FROM TABLE(HOP(TABLE tens, DESCRIPTOR(closed), INTERVAL '30' SECOND, INTERVAL '30' SECOND))
         GROUP BY window_start, window_end, n",
        &[(1, 0), (1, 4), (1, 38)],
        &[
            json!({"window_start": "1970-01-01T00:00:00.000", "n": 1, "c": 2}),
            json!({"window_start": "1970-01-01T00:00:30.000", "n": 1, "c": 1}),
        ],
    );
}
