//! Every aggregate function of DataFusion, in a window and over several shards and workers: the stream's value is the
//! batch's. A function that DataFusion adds fails the test until it has a call here.

use std::collections::BTreeSet;

use millstream_connectors::Replay;
use millstream_sql::Session;
use serde_json::{Value, json};

use crate::harness::{Cut, batch, stream};

/// A call of each function; floats are compared to this relative precision, because merging reorders additions.
const PRECISION: f64 = 1e-9;
const CALLS: &[(&str, &str)] = &[
    ("any_value", "any_value(k)"),
    ("approx_distinct", "approx_distinct(n)"),
    ("approx_median", "approx_median(n)"),
    ("approx_percentile_cont", "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY v)"),
    ("approx_percentile_cont_with_weight", "approx_percentile_cont_with_weight(1, 0.5) WITHIN GROUP (ORDER BY v)"),
    ("array_agg", "array_agg(n ORDER BY n)"),
    ("avg", "avg(v)"),
    ("bit_and", "bit_and(n)"),
    ("bit_or", "bit_or(n)"),
    ("bit_xor", "bit_xor(n)"),
    ("bool_and", "bool_and(n > 2)"),
    ("bool_or", "bool_or(n > 2)"),
    ("corr", "corr(n, v)"),
    ("count", "count(v)"),
    ("covar_pop", "covar_pop(n, v)"),
    ("covar_samp", "covar_samp(n, v)"),
    ("first_value", "first_value(n ORDER BY n)"),
    ("last_value", "last_value(n ORDER BY n)"),
    ("max", "max(v)"),
    ("median", "median(v)"),
    ("min", "min(v)"),
    ("nth_value", "nth_value(n, 2 ORDER BY n)"),
    ("percentile_cont", "percentile_cont(0.5) WITHIN GROUP (ORDER BY v)"),
    ("regr_avgx", "regr_avgx(n, v)"),
    ("regr_avgy", "regr_avgy(n, v)"),
    ("regr_count", "regr_count(n, v)"),
    ("regr_intercept", "regr_intercept(n, v)"),
    ("regr_r2", "regr_r2(n, v)"),
    ("regr_slope", "regr_slope(n, v)"),
    ("regr_sxx", "regr_sxx(n, v)"),
    ("regr_sxy", "regr_sxy(n, v)"),
    ("regr_syy", "regr_syy(n, v)"),
    ("stddev", "stddev(v)"),
    ("stddev_pop", "stddev_pop(v)"),
    ("string_agg", "string_agg(k, ',' ORDER BY k)"),
    ("sum", "sum(v)"),
    ("var", "var(v)"),
    ("var_pop", "var_pop(v)"),
];
/// Only with GROUPING SETS, which streams do not have yet.
const LEFT_OUT: &[&str] = &["grouping"];

fn input() -> String {
    let line = |n: i64| {
        let data = json!({"k": format!("k{}", n % 3), "n": n * 7 % 31, "v": f64::from(i32::try_from(n * 13 % 17).unwrap()) / 4.0, "ts": 1_767_225_600_000_i64 + n * 100});
        json!({"stream": "s", "arrival": 1_767_225_600_000_i64 + n * 100, "key": n.to_string(), "data": data})
            .to_string()
            + "\n"
    };
    (0..200).map(line).collect()
}

#[test]
fn every_aggregate_of_datafusion_merges_to_what_a_batch_gives() {
    let clock = Replay::parse(&"".into(), millstream_connectors::ReplayPlan::default()).unwrap().clock();
    let session = Session::new(clock).unwrap();
    let known = session.state().aggregate_functions().values().map(|f| f.name());
    // Those of Kinesis Data Analytics have tests of their own: tests/kda.
    let known: BTreeSet<&str> = known.filter(|name| !name.starts_with("kda_")).collect();
    let called: BTreeSet<&str> = CALLS.iter().map(|(name, _)| *name).chain(LEFT_OUT.iter().copied()).collect();
    assert_eq!(called, known, "each function has a call");

    let columns: Vec<String> = CALLS.iter().map(|(name, call)| format!("{call} AS {name}")).collect();
    let distinct = "count(DISTINCT n) AS d1, sum(DISTINCT n) AS d2, avg(v) FILTER (WHERE n > 5) AS f1, count(*) FILTER (WHERE k = 'k1') AS f2";
    let script = format!(
        "CREATE TABLE s (k STRING, n BIGINT, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
         WITH ('connector' = 'stream', 'format' = 'json');
         CREATE MATERIALIZED VIEW r AS SELECT window_start, k, {}, {distinct}
         FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, k;
         CREATE MATERIALIZED VIEW u AS SELECT k, {}, {distinct} FROM s GROUP BY k;",
        columns.join(", "),
        columns.join(", ")
    );
    let expected = batch(&script, &input()).unwrap();
    for cut in
        [Cut::default(), Cut { workers: 3, shards: 4, seed: Some(1) }, Cut { workers: 2, shards: 7, seed: Some(2) }]
    {
        let found = stream(&script, &input(), cut).unwrap().results;
        for table in ["r", "u"] {
            let (found, expected) = (by_key(&found[table]), by_key(&expected[table]));
            assert_eq!(found.len(), expected.len(), "{cut:?} {table}");
            for (found, expected) in found.iter().zip(&expected) {
                for (column, value) in expected.as_object().unwrap() {
                    assert!(
                        alike(&found[column], value),
                        "{cut:?} {table}.{column}: {} against {value}",
                        found[column]
                    );
                }
            }
        }
    }
}

fn by_key(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row["window_start"].to_string(), row["k"].to_string()));
    rows
}

fn alike(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= PRECISION * a.abs().max(b.abs()).max(1.0),
        _ => found == expected,
    }
}
