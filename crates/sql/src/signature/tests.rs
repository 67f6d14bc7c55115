use super::*;
use crate::testing::queries;

const TABLE: &str = "CREATE TABLE e (k STRING, g STRING, v DOUBLE, n BIGINT, device ROW<os STRING>, ts TIMESTAMP(3),
  hour AS date_trunc('hour', ts), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'stream');";

fn of(table: &str, query: &str) -> Signature {
    let script = format!(
        "{table} CREATE TABLE f (k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'stream'); CREATE MATERIALIZED VIEW r AS {query}"
    );
    let queries = queries(&script).unwrap_or_else(|error| panic!("{query}: {error}"));
    signature(&queries[0].pipeline).unwrap()
}

fn difference(before: &str, now: &str) -> Option<String> {
    of(TABLE, before).difference(&of(TABLE, now))
}

const WINDOW: &str = "SELECT window_start, k, sum(v) AS s, count(*) AS c FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE v > 10 GROUP BY window_start, k";
const OVER: &str = "SELECT k, count(*) OVER w AS c, sum(v) OVER w AS s FROM e WINDOW w AS (PARTITION BY k ORDER BY ts)";
const JOIN: &str = "SELECT l.k, l.v, r.v AS rv FROM e l JOIN f r ON l.k = r.k AND r.ts BETWEEN l.ts - INTERVAL '5' SECOND AND l.ts + INTERVAL '10' SECOND WHERE l.v > r.v";
const TWO: &str = "SELECT window_start, max(c) AS m FROM TABLE(TUMBLE((SELECT window_time AS t, k, count(*) AS c FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_time, k HAVING count(*) > 1), DESCRIPTOR(t), INTERVAL '1' HOUR)) GROUP BY window_start";
const TOP: &str = "SELECT k, n FROM (SELECT k, n, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS place FROM e) WHERE place <= 1";

#[test]
fn what_is_done_to_results_may_change() {
    for (before, now) in [
        (WINDOW, &*format!("{WINDOW} HAVING count(*) > 2 ORDER BY s DESC LIMIT 3")),
        (WINDOW, &*WINDOW.replace("AS s", "AS total").replace("AS c", "AS events")),
        (WINDOW, &*WINDOW.replace("sum(v) AS s, count(*) AS c", "count(*) AS c, sum(v) * 2 AS s")),
        (
            WINDOW,
            &*format!(
                "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY s) AS p FROM ({WINDOW})) WHERE p < 3"
            ),
        ),
        // Form, case, comments, aliases of tables.
        (WINDOW, &*WINDOW.replace("SELECT", "select  /* all */\n").replace("WHERE v > 10", "-- much\nwhere V>10")),
        (WINDOW, &*WINDOW.replace("TABLE e", "(SELECT v, ts, k FROM e AS x)")),
        (WINDOW, &*WINDOW.replace("MINUTE))", "MINUTE)) AS w")),
        (WINDOW, &*format!("WITH q AS ({WINDOW}) SELECT c, s FROM q")),
        (
            WINDOW,
            &*WINDOW
                .replace("SELECT window_start", "SELECT window_start, window_end")
                .replace("BY window_start", "BY window_start, window_end"),
        ),
        (OVER, &*OVER.replace("count(*) OVER w AS c, sum(v) OVER w AS s", "sum(v) OVER w AS total, count(*) OVER w")),
        (OVER, &*OVER.replace("FROM e", "FROM e AS other")),
        (JOIN, &*JOIN.replace("l.", "a.").replace(" l ", " a ").replace("r.", "b.").replace(" r ", " b ")),
        (JOIN, &*JOIN.replace("l.k, l.v, r.v AS rv", "r.v - l.v AS d, l.k")),
        (TWO, &*TWO.replace("AS c", "AS d").replace("max(c)", "max(d)").replace("AS t", "AS u").replace("(t)", "(u)")),
        (TWO, &*format!("{TWO} HAVING max(c) > 5")),
        (TOP, &*TOP.replace("place", "p").replace("SELECT k, n FROM", "SELECT n AS best, k FROM")),
        // Rows that are not kept.
        ("SELECT k FROM e WHERE v > 1", "SELECT k, n + 1 AS m FROM e WHERE v > 2"),
        (
            "SELECT k, sum(v) AS s, count(*) AS c FROM e GROUP BY k",
            "SELECT count(*) AS c, sum(v) AS s, k AS key FROM e GROUP BY k HAVING count(*) > 3",
        ),
    ] {
        assert_eq!(difference(before, now), None, "{before}\n{now}");
        assert_eq!(of(TABLE, before), of(TABLE, now));
    }
}

#[test]
fn what_decides_what_is_kept_may_not() {
    for (before, now, expected) in [
        (
            WINDOW,
            WINDOW.replace("'1' MINUTE", "'2' MINUTE"),
            "the window was `TUMBLE(size=60000 ms)`, now `TUMBLE(size=120000 ms)`: what is kept is cut by the former",
        ),
        (
            WINDOW,
            WINDOW.replace("v > 10", "v > 20"),
            "the filter was `v > 10`, now `v > 20`: rows already counted cannot be taken back",
        ),
        (WINDOW, WINDOW.replace("WHERE v > 10", ""), "the filter was `v > 10`, now `none`"),
        (WINDOW, WINDOW.replace("window_start, k", "window_start, g"), "the keys were `k STRING`, now `g STRING`"),
        (WINDOW, WINDOW.replace("sum(v)", "avg(v)"), "the aggregates were"),
        (WINDOW, WINDOW.replace("sum(v)", "sum(DISTINCT v)"), "sum(DISTINCT v) of DOUBLE"),
        (WINDOW, WINDOW.replace("sum(v)", "sum(v) FILTER (WHERE n > 1)"), "FILTER (WHERE n > 1)"),
        (WINDOW, WINDOW.replace("TABLE e", "TABLE f"), "the source was `table e`, now `table f`"),
        (
            WINDOW,
            "SELECT k, sum(v) AS s, count(*) AS c FROM e WHERE v > 10 GROUP BY k".to_owned(),
            "the window was `TUMBLE(size=60000 ms)`, now `none: one row per key`",
        ),
        (OVER, OVER.replace("ORDER BY ts", "ORDER BY ts ROWS 5 PRECEDING"), "the OVER functions were"),
        (OVER, OVER.replace("PARTITION BY k", "PARTITION BY g"), "the PARTITION BY was `k`, now `g`"),
        (OVER, OVER.replace("sum(v)", "sum(n)"), "sum(n)"),
        (
            JOIN,
            JOIN.replace("'10' SECOND", "'20' SECOND"),
            "the bounds of the join were `from -5000 ms to 10000 ms`, now `from -5000 ms to 20000 ms`",
        ),
        (JOIN, JOIN.replace("l.v > r.v", "l.v < r.v"), "the condition of the join was"),
        (
            JOIN,
            JOIN.replace(" JOIN", " LEFT JOIN").replace("WHERE l.v > r.v", ""),
            "the kind of the join was `Inner`, now `Left`",
        ),
        (TWO, TWO.replace("> 1)", "> 2)"), "what is done to the results of stage 1"),
        (TWO, TWO.replace("max(c)", "min(c)"), "the aggregates of stage 2 were"),
        (TOP, TOP.replace("<= 1", "<= 2").replace("SELECT k, n FROM", "SELECT k, n, place FROM"), "the number of rows"),
        (TOP, TOP.replace("n DESC", "n ASC"), "the ORDER BY was"),
    ] {
        let difference = difference(before, &now).unwrap_or_else(|| panic!("no difference: {now}"));
        assert!(difference.contains(expected), "{now}\n{difference}");
    }
}

#[test]
fn tables_may_not_change_in_what_is_used() {
    let by_hour = "SELECT window_start, hour, device.os AS os, sum(v) AS s FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, hour, device.os";
    let before = of(TABLE, by_hour);
    for (from, to, expected) in [
        (
            "- INTERVAL '5' SECOND",
            "- INTERVAL '9' SECOND",
            Some("the event time of table e was `ts less 5000 ms`, now `ts less 9000 ms`: rows were placed"),
        ),
        ("v DOUBLE", "v DECIMAL(10, 2)", Some("the type of column v of table e was `DOUBLE`, now `DECIMAL(10, 2)`")),
        ("date_trunc('hour', ts)", "date_trunc('minute', ts)", Some("the type of column hour of table e was")),
        ("n BIGINT", "n INT", None),
        ("ROW<os STRING>", "ROW<os STRING, version STRING>", None),
        ("k STRING, ", "", None),
        ("'stream'", "'kinesis', 'scan.watermark.idle-timeout' = '9 s'", None),
    ] {
        let difference = before.difference(&of(&TABLE.replace(from, to), by_hour));
        match expected {
            None => assert_eq!(difference, None, "{from} {to}"),
            Some(expected) => {
                assert!(difference.as_ref().is_some_and(|found| found.contains(expected)), "{difference:?}");
            }
        }
    }
}

#[test]
fn what_has_no_use_for_event_time_does_not_depend_on_it() {
    let by_key = "SELECT k, count(*) AS c FROM e GROUP BY k";
    let before = of(TABLE, by_key);
    assert_eq!(before.difference(&of(&TABLE.replace("INTERVAL '5'", "INTERVAL '9'"), by_key)), None);
}

#[test]
fn it_is_a_list_of_pairs() {
    let signature = of(TABLE, WINDOW);
    let text = serde_json::to_string(&signature).unwrap();
    assert!(
        text.starts_with(r#"[["the number of stages","1"],["the event time of table e","ts less 5000 ms"],"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Signature>(&text).unwrap(), signature);
}

#[test]
fn a_difference_is_seen_in_its_sentence() {
    let of = |parts: &[(&str, &str)]| Signature {
        parts: parts.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect(),
    };
    for (before, now, expected) in [
        (&[("the keys", "k UInt8")][..], &[("the keys", "k UInt16")][..], "the keys were `k UInt8`, now `k UInt16`"),
        (&[("the keys", "k Utf8")], &[], "the keys were `k STRING`, and there is no such part now"),
        (&[], &[("the keys", "k Utf8")], "there was no such part before: the keys, now `k STRING`"),
        (&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")], "the parts of the query are in another order"),
    ] {
        let difference = of(before).difference(&of(now)).unwrap();
        assert!(difference.starts_with(expected), "{difference}");
    }
    let changed = difference(JOIN, &JOIN.replace("l.v > r.v", "r.ts <> l.ts + INTERVAL '1 day 2 seconds'")).unwrap();
    assert!(changed.contains("now `right.ts != left.ts + INTERVAL '1 days 2000 ms' AND"), "{changed}");
}
