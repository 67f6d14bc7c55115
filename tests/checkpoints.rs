//! What becomes of a query whose checkpoints are damaged, missing, of another query, of another process, or of an
//! earlier version of Millstream.

use std::sync::Arc;
use std::time::Duration;

use millstream_connectors::ReplayPlan;
use millstream_engine::{Engine, MemorySettings, Outcome, QueryState, Script, Settings};
use serde_json::{Value, json};

use crate::crashes::{MemoryStore, Objects, checkpoints, resumed_from};
use crate::harness::{Cut, Printed, RUNTIME, registry, repository, rows, sorted, stream};

const TABLE: &str = "CREATE TABLE e (k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
    WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');\n";

const WINDOW: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS s
    FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k";

fn view(start: &str, query: &str) -> String {
    format!("{TABLE}CREATE MATERIALIZED VIEW q {start} AS {query};")
}

/// What is done to the bytes of an object; it goes if this answers false.
type Damage = fn(&mut Vec<u8>) -> bool;

/// A row a second, of three keys.
fn replay(seconds: i64) -> String {
    let record = |second: i64| {
        let (ms, key) = (second * 1000, format!("k{}", second % 3));
        json!({"stream": "e", "arrival": ms, "key": key, "data": {"k": key, "v": second, "ts": ms}}).to_string()
    };
    (0..seconds).map(|second| record(second) + "\n").collect()
}

/// A process that reads a replay and keeps its state in these objects.
fn engine(objects: &Arc<Objects>, writer: &str, replay: &str) -> Engine {
    engine_on(&MemoryStore::new(objects, None), writer, replay)
}

fn engine_on(store: &Arc<MemoryStore>, writer: &str, replay: &str) -> Engine {
    let (registry, clock) = registry(replay, ReplayPlan::default(), &Printed::default());
    let settings = Settings {
        workers: 2,
        queue_bytes: 1 << 20,
        replay_time: true,
        checkpoints: Some(checkpoints(store, writer)),
        memory: MemorySettings::unlimited(),
    };
    Engine::start(registry, clock, settings, None, RUNTIME.handle().clone()).unwrap()
}

fn execute(engine: &Engine, script: &str) -> Result<Vec<Outcome>, String> {
    let scripts = [Script { text: script.to_owned(), durable: true }];
    engine.execute(&scripts).map_err(|failed| failed.error.to_string())
}

/// Leaves some checkpoints of a query that has not come to its end.
fn broken_off(script: &str, records: &str) -> Arc<Objects> {
    let objects = Arc::<Objects>::default();
    let store = MemoryStore::new(&objects, Some(9));
    let engine = engine_on(&store, "first", records);
    execute(&engine, script).unwrap();
    for _ in 0..1000 {
        if manifests(&objects).last().is_some_and(|path| !path.ends_with("manifest-000000000001.json")) {
            wait(Duration::from_millis(20));
            store.die();
            return objects;
        }
        wait(Duration::from_millis(5));
    }
    panic!("no checkpoint was taken: {:?}", objects.paths());
}

#[expect(clippy::disallowed_methods, reason = "what is waited for is done by threads of their own")]
fn wait(length: Duration) {
    std::thread::sleep(length);
}

fn manifests(objects: &Objects) -> Vec<String> {
    objects.paths().into_iter().filter(|path| path.contains("/manifest-")).collect()
}

fn expected(script: &str, records: &str) -> Vec<String> {
    sorted(&stream(script, records, Cut::default()).unwrap().results["q"])
}

/// Runs to the end from what there is; answers the rows of `q`, and what was said of checkpoints that were passed over.
fn finish(objects: &Arc<Objects>, script: &str, records: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let engine = engine(objects, "second", records);
    execute(&engine, script)?;
    let failures = RUNTIME.block_on(engine.finished());
    assert_eq!(failures, [], "{script}");
    let skipped = engine.query("q").unwrap().stats.checkpoints.newest().skipped;
    let mut rows = rows(&engine.table("q").unwrap().snapshot().unwrap().rows);
    for row in &mut rows {
        row.as_object_mut().and_then(|row| row.remove("is_final"));
    }
    Ok((sorted(&rows), skipped))
}

#[test]
fn a_damaged_or_missing_checkpoint_is_passed_over_and_named() {
    let (script, records) = (view("", WINDOW), replay(300));
    let expected = expected(&script, &records);
    let damages: [(&str, Damage); 4] = [
        ("it is damaged: its checksum is not what was written", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            true
        }),
        ("cut short", |bytes| {
            bytes.truncate(bytes.len() / 2);
            bytes.push(b'\n');
            bytes.truncate(bytes.len() - 1);
            true
        }),
        ("is not a manifest of Millstream", |bytes| {
            *bytes = b"nothing\nof ours".to_vec();
            true
        }),
        ("its format is 99; this version of Millstream reads format 1", |bytes| {
            *bytes = String::from_utf8(bytes.clone()).unwrap().replacen("format=1", "format=99", 1).into_bytes();
            true
        }),
    ];
    for (said, damage) in damages {
        let objects = broken_off(&script, &records);
        let newest = manifests(&objects).pop().unwrap();
        objects.damage(&newest, damage);
        let (rows, skipped) = finish(&objects, &script, &records).unwrap();
        assert_eq!(rows, expected, "{said}");
        assert!(skipped.len() == 1 && skipped[0].contains(&newest) && skipped[0].contains(said), "{said}: {skipped:?}");
    }
}

#[test]
fn without_a_usable_checkpoint_nothing_is_guessed() {
    let (script, records) = (view("", WINDOW), replay(300));
    for damage in [
        |_: &mut Vec<u8>| false,
        |bytes: &mut Vec<u8>| {
            bytes.clear();
            true
        },
    ] {
        let objects = broken_off(&script, &records);
        let with_rows = |path: &String| path.contains("/data-");
        let data: Vec<String> = objects.paths().into_iter().filter(with_rows).collect();
        for path in &data {
            objects.damage(path, damage);
        }
        for path in manifests(&objects) {
            if path.ends_with("manifest-000000000001.json") {
                objects.damage(&path, |_| false);
            }
        }
        let error = finish(&objects, &script, &records).unwrap_err();
        for said in ["no checkpoint of `q` in memory can be used", "/data-", "START FROM BEGINNING"] {
            assert!(error.contains(said), "{error}");
        }
        // Told to, it begins anew.
        let told = view("START FROM BEGINNING", WINDOW);
        assert_eq!(finish(&objects, &told, &records).unwrap().0, expected(&script, &records));
    }
}

#[test]
fn a_changed_query_keeps_its_state_or_says_why_not() {
    let records = replay(300);
    let script = view("", WINDOW);
    for (changed, said) in [
        (format!("{WINDOW} HAVING count(*) > 1"), None),
        (WINDOW.replace("sum(v) AS s", "sum(v) AS total"), None),
        (WINDOW.replace("'10' SECOND", "'20' SECOND"), Some("the window was")),
        (WINDOW.replace("sum(v)", "max(v)"), Some("the aggregates")),
        (WINDOW.replace("GROUP BY", "WHERE v > 5 GROUP BY"), Some("the filter")),
    ] {
        let objects = broken_off(&script, &records);
        let changed = view("", &changed);
        let finished = finish(&objects, &changed, &records);
        match said {
            None => {
                let (rows, _) = finished.unwrap();
                let whole = expected(&changed, &records);
                // Rows of windows that had closed are as they were; their new columns are NULL.
                assert!(rows.len() >= whole.len() && !rows.is_empty(), "{changed}");
                let last = whole.last().unwrap();
                assert!(rows.contains(last), "{changed}: {last} is not among {rows:?}");
            }
            Some(said) => {
                let error = finished.unwrap_err();
                assert!(error.contains(said) && error.contains("START FROM BEGINNING, LATEST or TIMESTAMP"), "{error}");
            }
        }
    }
}

#[test]
fn of_two_processes_on_the_same_state_one_is_told_to_stop() {
    let (script, records) = (view("", WINDOW), replay(300));
    let objects = Arc::<Objects>::default();
    let first = engine(&objects, "first", &records);
    execute(&first, &script).unwrap();
    RUNTIME.block_on(first.pause("q")).ok();
    let second = engine(&objects, "second", &records);
    execute(&second, &script).unwrap();
    RUNTIME.block_on(second.finished());
    // The first writes its next checkpoint, and finds the other's.
    RUNTIME.block_on(first.checkpoint("q")).unwrap_err();
    for _ in 0..1000 {
        if let QueryState::Failed(reason) = first.query("q").unwrap().state {
            assert!(reason.contains("another process has taken over the query `q`"), "{reason}");
            let rows = rows(&second.table("q").unwrap().snapshot().unwrap().rows);
            assert_eq!(rows.len(), expected(&script, &records).len());
            return;
        }
        wait(Duration::from_millis(5));
    }
    panic!("the first process was not stopped: {:?}", first.query("q").unwrap().state);
}

/// A pause stops the reader that would have completed a round of the replay, wherever in the round that is.
#[test]
fn a_pause_does_not_wait_for_the_reader_that_it_stops() {
    let (script, records) = (view("", WINDOW), replay(300));
    let mut paused = 0;
    for delay in 0..40 {
        let engine = engine(&Arc::default(), "one", &records);
        execute(&engine, &script).unwrap();
        wait(Duration::from_micros(delay * 1500));
        let pause = RUNTIME.block_on(async { tokio::time::timeout(Duration::from_secs(30), engine.pause("q")).await });
        // An error says that it has come to its end already.
        paused += usize::from(pause.unwrap_or_else(|_| panic!("the pause after {delay} waits for ever")).is_ok());
    }
    assert!(paused > 0);
}

/// Queries with every kind of state there is.
const FIXTURE: &str = "fixture.sql";

/// Checkpoints that a former version has written are gone on from, or refused in words. `MILLSTREAM_WRITE_FIXTURE=name`
/// writes a new one: once for each format.
#[test]
fn checkpoints_of_earlier_versions_are_opened_or_refused_in_words() {
    let folder = repository().join("tests/fixtures/checkpoints");
    let script = std::fs::read_to_string(folder.join(FIXTURE)).unwrap();
    let records = replay(200);
    if let Ok(name) = std::env::var("MILLSTREAM_WRITE_FIXTURE") {
        let objects = Arc::<Objects>::default();
        let claims = script.matches("CREATE MATERIALIZED VIEW").count();
        let store = MemoryStore::new(&objects, Some(claims * 12));
        let engine = engine_on(&store, "fixture", &records);
        execute(&engine, &script).unwrap();
        wait(Duration::from_secs(5));
        store.die();
        objects.write(&folder.join(name));
    }
    let whole = stream(&script, &records, Cut::default()).unwrap().results;
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let fixture = entry.unwrap().path();
        if !fixture.is_dir() {
            continue;
        }
        seen += 1;
        let objects = Arc::new(Objects::read(&fixture));
        assert!(manifests(&objects).len() >= 8, "{}", fixture.display());
        match resumed_from(&objects, &script, &records, Cut::default()) {
            Ok(resumed) => {
                for (name, rows) in &resumed.tables {
                    let mut rows: Vec<Value> = rows.clone();
                    for row in &mut rows {
                        row.as_object_mut().and_then(|row| row.remove("is_final"));
                    }
                    assert_eq!(sorted(&rows), sorted(&whole[name]), "{name} of {}", fixture.display());
                }
            }
            Err(refused) => {
                let in_words = ["this version of Millstream reads format", "it was written with DataFusion"];
                assert!(in_words.iter().any(|words| refused.contains(words)), "{}: {refused}", fixture.display());
            }
        }
    }
    assert!(seen > 0, "there are fixtures");
}
