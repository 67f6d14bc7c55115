//! What cannot run is refused with its code, its place and a remedy; and every code has a query that gets it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use millstream_connectors::{Context, Registry, Replay, ReplayPlan};
use millstream_engine::{Engine, MemorySettings, Settings};

const TABLES: &str = "
CREATE TABLE events (
  k STRING, v DOUBLE, n BIGINT, tags ARRAY<STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'stream', 'format' = 'json');
CREATE TABLE untimed (k STRING, ts TIMESTAMP(3)) WITH ('connector' = 'stream', 'format' = 'json');
CREATE TABLE archive (k STRING, c BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE clicks (k STRING, url STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kinesis', 'format' = 'json', 'source.lease.table' = 'app', 'source.partition-key' = 'k');
CREATE MATERIALIZED VIEW per_key AS SELECT k, count(*) AS c FROM events GROUP BY k;
CREATE VIEW minutes AS SELECT window_start, window_end, k, count(*) AS c
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k;
CREATE VIEW hours AS SELECT window_start, window_end, k, count(*) AS c
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end, k;
";

/// A statement; the code and the place of its error, or a word of it; a word of the hint.
const REFUSED: &[(&str, &str, (u64, u64), &str)] = &[
    ("CREATE MATERIALIZED VIEW m AS SELECT k FROM clicks", "E14", (1, 1), "INSERT INTO"),
    ("SELECT k FROM clicks", "E14", (1, 1), "INSERT INTO"),
    (
        "INSERT INTO archive SELECT k, n FROM TABLE(DISTINCT_IN_ORDER(TABLE clicks, DESCRIPTOR(ts), DESCRIPTOR(n), DESCRIPTOR(k)))",
        "E14",
        (1, 1),
        "without leases",
    ),
    (
        "INSERT INTO archive SELECT url, count(*) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, url",
        "E14",
        (1, 1),
        "group by k",
    ),
    (
        "INSERT INTO archive SELECT upper(k), count(*) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, upper(k)",
        "E14",
        (1, 1),
        "group by k",
    ),
    (
        "INSERT INTO archive SELECT k, count(*) AS c FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k ORDER BY c DESC LIMIT 3",
        "E14",
        (1, 1),
        "reads the sink",
    ),
    (
        "INSERT INTO archive SELECT k, count(*) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY GROUPING SETS ((window_start, window_end, k), (window_start, window_end))",
        "E14",
        (1, 1),
        "for each set",
    ),
    ("INSERT INTO archive SELECT k, n FROM clicks UNION ALL SELECT k, n FROM events", "E14", (1, 1), "lookup table"),
    (
        "INSERT INTO archive SELECT k, sum(n) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING) FROM clicks",
        "E14",
        (1, 1),
        "one process",
    ),
    (
        "INSERT INTO archive SELECT a.k, b.n FROM clicks a JOIN clicks b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '1' MINUTE",
        "E14",
        (1, 1),
        "one process",
    ),
    ("SELECT k, count(*) FROM events GROUP BY k", "E01", (1, 41), "TUMBLE"),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT max(c) FROM minutes\nGROUP BY k", "E01", (3, 10), "window_start"),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT DISTINCT k FROM events", "E02", (2, 17), "TUMBLE"),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) FROM\nTABLE(TUMBLE(TABLE cast_events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
        "E03",
        (2, 7),
        "bare column",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT k, count(*) AS c\nFROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))\nGROUP BY k",
        "E04",
        (3, 10),
        "window_end",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) AS c\nFROM TABLE(CUMULATE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))\nGROUP BY window_start",
        "E04",
        (3, 10),
        "window_end",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS\nSELECT k, count(*) OVER (PARTITION BY window_start) AS c\nFROM TABLE(CUMULATE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))",
        "E07",
        (2, 11),
        "window_end",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS\nSELECT a.k FROM events a JOIN untimed b ON a.k = b.k",
        "E05",
        (2, 31),
        "WATERMARK",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS\nSELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s FROM events GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
        "TUMBLE_START is of windows in GROUP BY",
        (2, 11),
        "window_start",
    ),
    ("SELECT * FROM events FOR SYSTEM_TIME AS OF ts", "E13", (1, 15), "PROCTIME"),
    ("SELECT * FROM TABLE(HOPP(TABLE events, DESCRIPTOR(ts)))", "no table function `HOPP`", (1, 21), "TUMBLE, HOP"),
    (
        "CREATE MATERIALIZED VIEW m AS\nSELECT a.k FROM minutes a JOIN hours b ON a.window_end = b.window_end",
        "E06",
        (2, 32),
        "same window",
    ),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT k FROM events ORDER BY v", "E07", (2, 31), "window"),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT k FROM events LIMIT 3", "E07", (2, 28), "window"),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT max(c) FROM per_key\nGROUP BY k", "E08", (3, 10), "stream"),
    ("INSERT INTO archive\nSELECT k, count(*) FROM events\nGROUP BY k", "E09", (3, 10), "MATERIALIZED VIEW"),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_end, count(*) AS c\nFROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))\nWHERE ts > now() - INTERVAL '1' HOUR GROUP BY window_end",
        "E10",
        (3, 12),
        "event's own time",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_end, count(*) AS c\nFROM TABLE(TUMBLE(TABLE untimed, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end",
        "E11",
        (2, 12),
        "WATERMARK FOR",
    ),
    ("CREATE MATERIALIZED VIEW m AS\nSELECT ts, count(*) AS c FROM untimed\nGROUP BY ts", "E12", (3, 10), "ttl"),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_end, count(*) AS c\nFROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))\nGROUP BY window_end HAVING max(ts) > now() - INTERVAL '1' HOUR",
        "E10",
        (3, 38),
        "event's own time",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS\nSELECT date_trunc('minute', ts) AS m, count(*) AS c FROM untimed\nGROUP BY date_trunc('minute', ts)",
        "E11",
        (3, 10),
        "WATERMARK FOR",
    ),
    (
        "CREATE TABLE t (a STRING)\nWITH ('connector' = 'filesystem', 'format' = 'json', 'path' = 'gs://b/x')",
        "`gs://b/x` given, expected a local path or s3://bucket/key",
        (2, 54),
        "",
    ),
    (
        "CREATE TABLE t (a STRING)\nWITH ('connector' = 'stream', 'format' = 'json', 'shards' = '501')",
        "expected 1 to 500",
        (2, 50),
        "",
    ),
    // Errors without a code: what was meant is not known, or not there.
    ("SELEC 1", "cannot start with SELEC", (1, 1), "statements start with"),
    ("CREATE MATERIALIZED VIEW m AS SELECT nope FROM events", "nope", (1, 38), ""),
    ("SELECT * FROM evnts", "`evnts` does not exist", (1, 15), "events"),
    ("CREATE TABLE t (a STRING) WITH ('connector' = 'kinesys')", "kinesys", (1, 33), ""),
    (
        "CREATE TABLE t (a STRING)\nWITH ('connector' = 'stream', 'format' = 'json', 'shads' = '2')",
        "'shads': is unknown here; the nearest known option is 'shards'",
        (2, 50),
        "",
    ),
    ("CREATE TABLE t (a STRIN)", "unknown type STRIN", (1, 19), "known types"),
    (
        "CREATE TABLE t (a STRING, a INT) WITH ('connector' = 'stream', 'format' = 'json')",
        "declared twice",
        (1, 27),
        "",
    ),
    (
        "CREATE TABLE events (a STRING) WITH ('connector' = 'stream', 'format' = 'json')",
        "exists already",
        (1, 14),
        "DROP",
    ),
    ("DROP TABLE events", "read by", (1, 12), "drop those first"),
    ("INSERT INTO archive SELECT k FROM events", "has 1 columns, `archive` takes 2", (1, 13), "k, c"),
    ("INSERT INTO per_key SELECT k, n FROM events", "cannot be written", (1, 13), ""),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT window_end, count(*) AS c\nFROM TABLE(HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MONTH, INTERVAL '2' MINUTE)) GROUP BY window_end",
        "no multiple of a slide",
        (2, 12),
        "a part of their size",
    ),
    (
        "CREATE TABLE t (a STRING, WATERMARK FOR b AS b) WITH ('connector' = 'stream', 'format' = 'json')",
        "no such column",
        (1, 41),
        "",
    ),
    (
        "CREATE TABLE t (a STRING, WATERMARK FOR a AS a) WITH ('connector' = 'stream', 'format' = 'json')",
        "not TIMESTAMP",
        (1, 41),
        "TIMESTAMP(3)",
    ),
    (
        "CREATE MATERIALIZED VIEW m\nWITH ('retention' = '1 h') AS SELECT k, count(*) AS c FROM events GROUP BY k",
        "'retention' means nothing",
        (2, 7),
        "'ttl'",
    ),
    ("SELECT * FROM events WHERE k = (SELECT max(k) FROM untimed)", "E13", (1, 1), "join"),
];

pub(crate) fn engine(runtime: &tokio::runtime::Runtime) -> Engine {
    let replay = Arc::new(Replay::parse(&"".into(), ReplayPlan::default()).unwrap());
    let clock = replay.clock();
    let printer = Arc::new(Mutex::new(std::io::sink()));
    let context = Context { replay: Some(replay), printer, ..Context::new(clock.clone()) };
    let memory = MemorySettings::unlimited();
    let settings = Settings { workers: 1, queue_bytes: 1 << 20, replay_time: true, checkpoints: None, memory };
    Engine::start(Arc::new(Registry::new(context)), clock, settings, None, runtime.handle().clone()).unwrap()
}

#[test]
fn what_cannot_run_is_refused_with_code_place_and_remedy() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let tables = format!(
        "{TABLES}; CREATE VIEW cast_events AS SELECT k, CAST(ts AS TIMESTAMP) + INTERVAL '0' SECOND AS ts FROM events;"
    );
    let defined = engine.execute(&[millstream_engine::Script { text: tables, durable: false }]);
    assert!(defined.is_ok(), "{:?}", defined.err().map(|failed| failed.error.to_string()));
    let mut codes = BTreeSet::new();
    let mut wrong = Vec::new();
    for (sql, message, place, hint) in REFUSED {
        let report = engine.check(sql);
        let Some(error) = report.errors.first() else {
            wrong.push(format!("accepted: {sql}"));
            continue;
        };
        codes.extend(error.code.map(|code| format!("{code:?}")));
        let code_or_message = error.code.map_or(error.message.clone(), |code| format!("{code:?}"));
        let at = error.at.map_or((0, 0), |at| (at.line, at.column));
        let given = error.hint.clone().unwrap_or_default();
        if !code_or_message.contains(message) || at != *place || !given.contains(hint) {
            wrong.push(format!("{sql}\n  expected {message} at {place:?}, hint {hint}\n  found    {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let all: BTreeSet<String> = (1..=14).map(|number| format!("E{number:02}")).collect();
    assert_eq!(codes, all, "every code has a query that gets it");
}

#[test]
fn what_processes_share_keeps_state_by_the_partition_key() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let defined = engine.execute(&[millstream_engine::Script { text: TABLES.to_owned(), durable: false }]);
    assert!(defined.is_ok(), "{:?}", defined.err().map(|failed| failed.error.to_string()));
    let window = |columns: &str, from: &str| {
        format!("INSERT INTO archive SELECT k, count(*) FROM TABLE({from}) GROUP BY {columns}")
    };
    let tumble = "TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";
    let hop = "HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)";
    let session = "SESSION(TABLE clicks PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";
    for (sql, kept_at) in [
        ("INSERT INTO archive SELECT url, n FROM clicks WHERE n > 1".to_owned(), None),
        (window("window_start, window_end, k", tumble), Some(0)),
        (window("window_start, url, window_end, k HAVING count(*) > 1", tumble), Some(1)),
        (window("k, window_start, window_end", hop), Some(0)),
        (window("window_start, window_end, k", session), Some(0)),
    ] {
        let report = engine.check(&sql);
        assert!(report.errors.is_empty(), "{sql}: {:?}", report.errors);
        let query = report.statements.first().and_then(|statement| statement.query.as_ref()).unwrap();
        let sharded = query.pipeline.sharded.as_ref().unwrap();
        assert_eq!((sharded.table.as_str(), sharded.partition_key), ("clicks", kept_at), "{sql}");
    }
}

#[test]
fn a_script_takes_effect_whole_or_not_at_all() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let script = "CREATE TABLE a (k STRING) WITH ('connector' = 'stream', 'format' = 'json'); CREATE VIEW b AS SELECT k FROM a; SELECT nope FROM b";
    let failed = engine.execute(&[millstream_engine::Script { text: script.to_owned(), durable: true }]).unwrap_err();
    assert!(failed.error.message.contains("nope"), "{}", failed.error);
    assert!(engine.catalog().get("a").is_none());
    assert!(engine.definitions().is_empty());
}
