use super::*;
use crate::testing::{effects, effects_in, queries};
use crate::{Catalog, QueryAction};
use millstream_core::EventTime;

const TABLES: &str = "CREATE TABLE e (k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'stream');
CREATE TABLE s (k STRING) WITH ('connector' = 'sink');
CREATE TABLE \"S t\" (k STRING) WITH ('connector' = 'sink');
";

fn one(statements: &str) -> ContinuousQuery {
    queries(&format!("{TABLES}{statements}")).unwrap_or_else(|error| panic!("{statements}: {error}")).pop().unwrap()
}

fn refused(statements: &str) -> String {
    let error = effects(&format!("{TABLES}{statements}")).err().unwrap_or_else(|| panic!("not refused: {statements}"));
    assert!(error.at.is_some_and(|at| at.line >= 4), "{statements}: {error}");
    error.to_string()
}

#[test]
fn a_query_starts_where_it_says() {
    let forms = [
        ("", None),
        ("START FROM CHECKPOINT", Some(StartFrom::Checkpoint)),
        ("start from beginning", Some(StartFrom::Beginning)),
        ("START FROM LATEST", Some(StartFrom::Latest)),
        ("START FROM TIMESTAMP '1970-01-01 00:00:01'", Some(StartFrom::At(EventTime(1000)))),
        ("START FROM TIMESTAMP '1970-01-01T02:00:01.5+02:00'", Some(StartFrom::At(EventTime(1500)))),
        ("START FROM SAVEPOINT 'a-1'", Some(StartFrom::Savepoint("a-1".to_owned()))),
    ];
    for (clause, expected) in forms {
        assert_eq!(one(&format!("INSERT INTO s {clause} SELECT k FROM e")).start, expected, "{clause}");
        let with = format!("INSERT INTO s (k) {clause} WITH x AS (SELECT k FROM e) SELECT * FROM x");
        assert_eq!(one(&with).start, expected, "{clause}");
        let view = format!("CREATE MATERIALIZED VIEW v WITH ('max-rows' = '5') {clause} AS SELECT k FROM e");
        assert_eq!(one(&view).start, expected, "{clause}");
    }
    let set = "SET 'execution.state-recovery.path' = 's1'; INSERT INTO s SELECT k FROM e";
    assert_eq!(one(set).start, Some(StartFrom::Savepoint("s1".to_owned())));
}

#[test]
fn a_start_that_is_none_is_refused_with_its_place() {
    for (statements, expected) in [
        (
            "INSERT INTO s START FROM NOW SELECT k FROM e",
            "START FROM NOW is unknown (line 4, column 26); write START FROM CHECKPOINT",
        ),
        ("INSERT INTO s START LATEST SELECT k FROM e", "expected FROM after START, found LATEST"),
        ("INSERT INTO s START FROM TIMESTAMP 5 SELECT k FROM e", "expected a text in quotes after TIMESTAMP, found 5"),
        ("INSERT INTO s START FROM TIMESTAMP 'noon' SELECT k FROM e", "'noon' is no point in time"),
        ("INSERT INTO s START FROM SAVEPOINT '' SELECT k FROM e", "this is empty"),
        ("INSERT INTO s START FROM LATEST START FROM LATEST SELECT k FROM e", "given twice"),
        ("INSERT INTO s SELECT k FROM e START FROM LATEST", "found START (line 4, column 31); START FROM … is for"),
        ("INSERT INTO s SELECT k FROM e WHERE v > 1 START FROM LATEST", "before SELECT"),
        (
            "CREATE MATERIALIZED VIEW v START FROM LATEST WITH ('ttl' = '1 d') AS SELECT k FROM e",
            "WITH (…) stands before START FROM",
        ),
        ("CREATE VIEW v START FROM LATEST AS SELECT k FROM e", "a view does not run"),
        ("SELECT k FROM e START FROM LATEST", "START FROM … is for"),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'x') START FROM LATEST", "START FROM … is for"),
        (
            "SET 'execution.state-recovery.path' = 'a'; INSERT INTO s START FROM LATEST SELECT k FROM e",
            "both say where",
        ),
    ] {
        let error = refused(statements);
        assert!(error.contains(expected), "{statements}: {error}");
    }
}

#[test]
fn settings_are_for_the_queries_that_follow() {
    let script = format!(
        "{TABLES}SET 'execution.checkpointing.interval' = '2 s'; SET 'max-groups' = '7'; SET 'pipeline.name' = 'Mine';
        CREATE MATERIALIZED VIEW v WITH ('checkpoint-interval' = '1 s') AS SELECT k, count(*) AS c FROM e GROUP BY k;
        INSERT INTO s SELECT k FROM e;
        INSERT INTO s SELECT k FROM e;
        RESET 'max-groups';
        SET 'pipeline.name' = '\"Other one\"';
        INSERT INTO \"S t\" SELECT k FROM e; INSERT INTO \"S t\" SELECT k FROM e"
    );
    let queries = queries(&script).unwrap();
    let found = queries.iter().map(|query| {
        let interval = query.settings.checkpoint_interval.map(|interval| interval.0);
        (query.name.as_str(), interval, query.settings.max_groups)
    });
    let expected = [
        ("v", Some(1000), Some(7)),
        ("mine", Some(2000), Some(7)),
        ("insert_into_s", Some(2000), Some(7)),
        ("Other one", Some(2000), None),
        ("insert_into_S t", Some(2000), None),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(queries[1].sql, "INSERT INTO s SELECT k FROM e");
    assert_eq!(
        queries[1].definition,
        "SET 'pipeline.name' = 'mine'; SET 'execution.checkpointing.interval' = '2000 ms'; SET 'max-groups' = '7'; \
         INSERT INTO s SELECT k FROM e; RESET 'execution.checkpointing.interval'; RESET 'max-groups'"
    );
    for query in &queries {
        let again = one(&query.definition);
        assert_eq!((&again.name, again.settings), (&query.name, query.settings));
        assert_eq!((&again.start, &again.definition), (&query.start, &query.definition));
    }
    // Among others, in one file.
    let definitions: Vec<&str> = queries.iter().map(|query| query.definition.as_str()).collect();
    let again = one(&format!("{}; INSERT INTO s SELECT k FROM e WHERE v > 1", definitions.join(";\n")));
    assert_eq!((again.name.as_str(), again.settings), ("insert_into_s_2", QuerySettings::default()));
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let insert = "INSERT INTO s SELECT k FROM e";
    for (statements, expected) in [
        (
            format!("SET 'pipeline.nam' = 'x'; {insert}"),
            "'pipeline.nam' is unknown here; the nearest known setting is 'pipeline.name'",
        ),
        (format!("SET 'pipeline.name' = 'a b'; {insert}"), "`a b` is no name"),
        (format!("SET 'pipeline.name' = 'e'; {insert}"), "there is a `e` already (line 4, column 1)"),
        (format!("SET 'pipeline.name' = ; {insert}"), "has no value"),
        (format!("SET 'execution.checkpointing.interval' = 'often'; {insert}"), "is no duration"),
        (format!("SET 'execution.checkpointing.interval' = '0 s'; {insert}"), "longer than 0 s"),
        (format!("SET 'max-groups' = '0'; {insert}"), "at least 1"),
        ("SET 'pipeline.name' = 'x'".to_owned(), "no INSERT follows in this script"),
        (
            format!("{insert}; SET 'pipeline.name' = 'x'; CREATE MATERIALIZED VIEW v AS SELECT k FROM e"),
            "no INSERT follows",
        ),
        (format!("{insert}; SET 'execution.checkpointing.interval' = '1 s'"), "no INSERT and no CREATE"),
        ("CREATE MATERIALIZED VIEW v WITH ('max-groups' = '5') AS SELECT k FROM e".to_owned(), "a query without state"),
        (
            "CREATE MATERIALIZED VIEW v WITH ('checkpoint-interval' = '0 s') AS SELECT k FROM e".to_owned(),
            "longer than 0 s",
        ),
    ] {
        let error = refused(&statements);
        assert!(error.contains(expected), "{statements}: {error}");
    }
}

#[test]
fn a_materialized_view_is_replaced_as_long_as_its_readers_find_their_columns() {
    let mut catalog = Catalog::default();
    effects_in(&mut catalog, TABLES).unwrap();
    let mut replaces = |script: &str| match effects_in(&mut catalog, script).as_deref() {
        Ok([Effect::Query(query)]) => Ok(query.replaces),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(replaces("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k FROM e"), Ok(false));
    assert!(replaces("CREATE MATERIALIZED VIEW v AS SELECT k FROM e").unwrap_err().contains("exists already"));
    assert_eq!(replaces("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, v FROM e"), Ok(true));
    assert_eq!(replaces("CREATE MATERIALIZED VIEW w AS SELECT k FROM v"), Ok(false));
    assert_eq!(replaces("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, v FROM e WHERE v > 1"), Ok(true));
    let error = replaces("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k FROM e").unwrap_err();
    assert!(error.contains("`v` is read by w and would have other columns"), "{error}");
    assert!(error.contains("keep the columns (k STRING, v DOUBLE)"), "{error}");
    let error = replaces("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, 1.5 AS v FROM w").unwrap_err();
    assert!(error.contains("the query reads `v`, which it is to replace"), "{error}");
    let error = replaces("CREATE OR REPLACE MATERIALIZED VIEW e AS SELECT k FROM v").unwrap_err();
    assert!(error.contains("a table named `e` exists already"), "{error}");
    let error = replaces("CREATE OR REPLACE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT k FROM e").unwrap_err();
    assert!(error.contains("exclude each other"), "{error}");
}

#[test]
fn a_time_to_live_is_for_what_would_stay_for_ever() {
    let over = |rest: &str| format!("CREATE MATERIALIZED VIEW v WITH ('ttl' = '1 d') AS SELECT k, {rest} AS x FROM e");
    let pipeline = one(&over("count(*) OVER (PARTITION BY k ORDER BY ts)")).pipeline;
    let Operator::Over(running) = &pipeline.stages[0].operator else { panic!("{pipeline:?}") };
    assert_eq!(running.ttl, Some(Duration(86_400_000)));
    let explained = crate::explain(&pipeline);
    assert!(explained.contains("running values per partition that had a row in the last 86400000 ms"), "{explained}");
    one(&over("row_number() OVER (PARTITION BY k ORDER BY ts)"));
    for rest in [
        "LAG(v) OVER (PARTITION BY k ORDER BY ts)",
        "v",
        "sum(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    ] {
        let error = refused(&over(rest));
        assert!(error.contains("'ttl' means nothing for an append-only table"), "{rest}: {error}");
    }
}

#[test]
fn a_savepoint_has_a_name_that_fits_a_path() {
    let effects = |name: &str| effects(&format!("ALTER QUERY q SAVEPOINT {name}"));
    assert!(matches!(
        effects("'v1.2-b_c'").unwrap().as_slice(),
        [Effect::Alter { query, action: QueryAction::Savepoint(name), .. }] if query == "q" && name == "v1.2-b_c"
    ));
    for wrong in ["'a/b'", "''", "'..'", "x", "'it''s'", ""] {
        assert!(effects(wrong).is_err(), "{wrong}");
    }
}
