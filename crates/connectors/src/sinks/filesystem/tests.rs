//! What readers of a folder may see, and when.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::sync::Mutex;

use millstream_core::{
    Connectors, Delivery, Emission, EventTime, Options, Pending, SinkError, SinkState, TableDecl, Window,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::file::DiskFile;
use super::*;
use crate::testing::StepClock;
use crate::{Context, Registry};

fn rows(numbers: std::ops::Range<i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
}

fn emission(numbers: std::ops::Range<i64>, window: Option<i64>) -> Emission {
    let window = window.map(|start| Window { start: EventTime(start), end: EventTime(start + 10) });
    Emission { rows: rows(numbers), window }
}

fn table_in(folder: &Path, format: &str, more: &[(&str, &str)]) -> TableDecl {
    let path = folder.display().to_string();
    let base = [("connector", "filesystem"), ("path", path.as_str()), ("format", format)];
    let options = base.iter().chain(more).copied().collect();
    TableDecl { name: "out".into(), schema: rows(0..0).schema(), primary_key: vec![], options }
}

fn sink_to(folder: &Path, format: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let table = table_in(folder, format, more);
    Registry::new(Context::new(Arc::new(StepClock::at(1000)))).sink(&table, "q 1").unwrap()
}

fn names(folder: &Path, hidden: bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.starts_with('.') == hidden).collect();
    names.sort();
    names
}

fn numbers(folder: &Path) -> Vec<i64> {
    let mut numbers = Vec::new();
    for name in names(folder, false) {
        if name.strip_suffix(".json").is_some() {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            assert!(text.ends_with('\n'));
            let number = |line: &str| line.strip_prefix("{\"n\":")?.strip_suffix('}')?.parse::<i64>().ok();
            numbers.extend(text.lines().map(|line| number(line).unwrap()));
            continue;
        }
        let file = std::fs::File::open(folder.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            numbers.extend(values(&batch.unwrap()));
        }
    }
    numbers
}

fn values(rows: &RecordBatch) -> Vec<i64> {
    arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(rows.column(0)).values().to_vec()
}

#[tokio::test]
async fn a_file_is_visible_only_when_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["zstd", "snappy", "uncompressed"] {
        let mut sink = sink_to(folder.path(), "parquet", &[("parquet.compression", compression)]);
        sink.write(&emission(0..10, None)).await.unwrap();
        assert_eq!((names(folder.path(), false).len(), names(folder.path(), true).len()), (0, 1));
        sink.finish().await.unwrap();
        assert_eq!((numbers(folder.path()), names(folder.path(), true).len()), ((0..10).collect(), 0));
        std::fs::remove_file(folder.path().join(&names(folder.path(), false)[0])).unwrap();
    }
}

#[tokio::test]
async fn files_roll_by_size_by_window_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let small = [("sink.rolling-policy.file-size", "10"), ("format", "json")];
    let mut sink = sink_to(folder.path(), "json", &small);
    sink.write(&emission(0..1, None)).await.unwrap();
    assert_eq!(names(folder.path(), false).len(), 0, "eight bytes");
    sink.write(&emission(1..2, None)).await.unwrap();
    assert_eq!(names(folder.path(), false), ["q_1-000000-0000000003e80000.json"]);
    let content = std::fs::read_to_string(folder.path().join("q_1-000000-0000000003e80000.json")).unwrap();
    assert_eq!(content, "{\"n\":0}\n{\"n\":1}\n");

    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink_to(folder.path(), "csv", &[("sink.rolling-policy.window", "true")]);
    for (number, window) in [(0, 0), (1, 0), (2, 10), (3, 20)] {
        sink.write(&emission(number..number + 1, Some(window))).await.unwrap();
    }
    let read = |name: &String| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(names(folder.path(), false).iter().map(read).collect::<Vec<_>>(), ["0\n1\n", "2\n"]);

    let folder = tempfile::tempdir().unwrap();
    let age = [("sink.rolling-policy.rollover-interval", "5 s"), ("sink.rolling-policy.check-interval", "1 s")];
    let mut sink = sink_to(folder.path(), "json", &age);
    sink.write(&emission(0..1, None)).await.unwrap();
    for (now, files) in [(1000, 0), (5999, 0), (6500, 0), (7000, 1)] {
        sink.tick(EventTime(now)).await.unwrap();
        assert_eq!(names(folder.path(), false).len(), files, "at {now}");
    }
}

#[tokio::test]
async fn a_restart_removes_its_leftovers_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = sink_to(folder.path(), "json", &[]);
    first.write(&emission(0..1, None)).await.unwrap();
    first.finish().await.unwrap();
    first.write(&emission(1..2, None)).await.unwrap();
    drop(first);
    let other = folder.path().join(".q_1_other-000000-x.json.inprogress");
    std::fs::write(&other, "").unwrap();
    let mut table_options = sink_to(folder.path(), "csv", &[]);
    table_options.write(&emission(2..3, None)).await.unwrap();
    table_options.finish().await.unwrap();
    assert_eq!(names(folder.path(), false).len(), 2);
    assert_eq!(names(folder.path(), true), [".q_1_other-000000-x.json.inprogress"]);
}

/// A disk that takes so many bytes more, and refuses the next sync where it is told to.
#[derive(Default)]
struct Disk {
    room: u64,
    /// So much more is there at each try after one that failed.
    more: u64,
    refuse_sync: bool,
}

struct LimitedFile(std::fs::File, Arc<Mutex<Disk>>);

impl Write for LimitedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut disk = self.1.lock().unwrap();
        let room = usize::try_from(disk.room).unwrap().min(bytes.len());
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let written = self.0.write(&bytes[..room])?;
        disk.room -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for LimitedFile {
    fn sync(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.1.lock().unwrap().refuse_sync) {
            return Err(std::io::Error::other("the disk is broken"));
        }
        Ok(())
    }
}

/// A sink of one start of the query, whose files are on `disk`.
fn start(table: &TableDecl, start: u64, disk: &Arc<Mutex<Disk>>) -> FileSink {
    let options: &Options = &table.options;
    let reader = options.reader();
    let clock = Arc::new(StepClock::at(1000));
    let context = Context::new(clock.clone());
    let settings = read(&Request { table, options: &reader, context: &context }).unwrap();
    let disk = Arc::clone(disk);
    let create = move |path: &Path| -> std::io::Result<Box<dyn DiskFile>> {
        if disk.lock().unwrap().room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = std::fs::File::options().write(true).create_new(true).open(path)?;
        Ok(Box::new(LimitedFile(file, Arc::clone(&disk))))
    };
    FileSink::new(settings, table.clone(), "q-".into(), format!("start{start}"), clock, Box::new(create))
}

/// What an engine keeps of a sink: the newest durable checkpoint, with the rows of all runs that are pending.
#[derive(Clone, Default)]
struct Checkpoint {
    /// Of the rows 0.., so many were accepted before.
    position: i64,
    state: Option<SinkState>,
}

impl Checkpoint {
    fn next(&self, position: i64, note: String, runs: Vec<Pending>) -> Self {
        let had: BTreeMap<_, _> = self.state.iter().flat_map(|state| state.pending.iter().cloned()).collect();
        let run = |run: Pending| match run.rows {
            Some(rows) => {
                assert!(!had.contains_key(&run.id), "run {} has other rows already", run.id);
                (run.id, rows)
            }
            None => (run.id, had[&run.id].clone()),
        };
        Self { position, state: Some(SinkState { note, pending: runs.into_iter().map(run).collect() }) }
    }

    /// Its rows that no file of its note and no visible one has.
    fn pending(&self) -> Vec<i64> {
        let runs = self.state.iter().flat_map(|state| &state.pending);
        runs.flat_map(|(_, emission)| values(&emission.rows)).collect()
    }
}

/// What readers see and the pending rows are every row before the checkpoint, once.
fn check_rows(folder: &Path, checkpoint: &Checkpoint, context: &str) {
    let visible = if folder.exists() { numbers(folder) } else { vec![] };
    let all: Vec<_> = visible.into_iter().chain(checkpoint.pending()).collect();
    assert_eq!(all, (0..checkpoint.position).collect::<Vec<_>>(), "{context}");
}

/// Whether it was done; a disk that is full gets some room, so that another try may go further.
fn done<T>(disk: &Arc<Mutex<Disk>>, result: Result<T, SinkError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(SinkError::Retry { .. }) => {
            let mut disk = disk.lock().unwrap();
            disk.room += disk.more;
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// One query's life in a folder: random calls to its sink, kills between any two of them, and an end in order.
struct Life {
    random: SmallRng,
    table: TableDecl,
    disk: Arc<Mutex<Disk>>,
    starts: u64,
    kept: Checkpoint,
    /// Of the rows 0.., so many were accepted.
    position: i64,
    now: i64,
    /// Rows of an emission: with many, files are written before they end.
    rows_max: i64,
}

impl Life {
    async fn start(&mut self) -> FileSink {
        loop {
            self.starts += 1;
            let mut sink = start(&self.table, self.starts, &self.disk);
            assert_eq!(sink.delivery(), Delivery::ExactlyOnce);
            self.position = self.kept.position;
            while !self.random.random_bool(0.1) {
                if done(&self.disk, sink.recover(self.kept.state.as_ref()).await).is_some() {
                    return sink;
                }
                // What is removed gives no room back here, and each try writes everything again.
                let mut disk = self.disk.lock().unwrap();
                disk.room += disk.more * self.starts;
            }
        }
    }

    /// `false`: killed before the rows were accepted.
    async fn write(&mut self, sink: &mut FileSink) -> bool {
        let count = self.random.random_range(0..self.rows_max);
        let window = Some(self.position / (2 * self.rows_max) * 10);
        let rows = emission(self.position..self.position + count, window);
        while done(&self.disk, sink.write(&rows).await).is_none() {
            if self.random.random_bool(0.1) {
                return false;
            }
        }
        self.position += count;
        true
    }

    /// `false`: killed on the way.
    async fn checkpoint(&mut self, folder: &Path, sink: &mut FileSink, last: bool) -> bool {
        let prepared = loop {
            if let Some(prepared) = done(&self.disk, sink.prepare(last).await) {
                break prepared;
            }
        };
        let next = self.kept.next(self.position, prepared.note.clone(), prepared.pending);
        if !last && self.random.random_bool(0.2) && !self.write(sink).await {
            return false;
        }
        if !last && self.random.random_bool(0.1) {
            return false;
        }
        self.kept = next;
        if !last && self.random.random_bool(0.2) {
            let note: serde_json::Value = serde_json::from_str(&prepared.note).unwrap();
            for file in note["files"].as_array().unwrap().iter().filter(|_| self.random.random_bool(0.5)) {
                let name = |key: &str| folder.join(file[key].as_str().unwrap());
                std::fs::rename(name("hidden"), name("visible")).unwrap();
            }
            return false;
        }
        sink.commit().await.unwrap();
        if self.random.random_bool(0.2) {
            sink.commit().await.unwrap();
        }
        true
    }
}

async fn live(seed: u64, format: &str) {
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/later");
    let scale: i64 = if random.random_bool(0.3) { 20 } else { 1 };
    let size = (random.random_range(50..3000) * scale).to_string();
    let options = [
        ("sink.rolling-policy.file-size", size.as_str()),
        ("sink.rolling-policy.window", if random.random_bool(0.5) { "true" } else { "false" }),
        ("sink.rolling-policy.check-interval", "1 s"),
        ("sink.rolling-policy.rollover-interval", "20 s"),
    ];
    let table = table_in(&folder, format, &options);
    let disk = Arc::new(Mutex::new(Disk {
        room: random.random_range(0..5000),
        more: 300 * scale.unsigned_abs(),
        refuse_sync: false,
    }));
    let kept = Checkpoint::default();
    let mut life = Life { random, table, disk, starts: 0, kept, position: 0, now: 1000, rows_max: 20 * scale };
    let mut sink = life.start().await;
    for step in 0..150 {
        let goes_on = match life.random.random_range(0..20) {
            0..=9 => life.write(&mut sink).await,
            10..=13 => {
                life.now += life.random.random_range(0..8000);
                done(&life.disk, sink.tick(EventTime(life.now)).await);
                true
            }
            14..=18 => life.checkpoint(&folder, &mut sink, false).await,
            _ => false,
        };
        if !goes_on {
            drop(sink);
            sink = life.start().await;
        }
        check_rows(&folder, &life.kept, &format!("seed {seed}, {format}, step {step}"));
    }
    life.checkpoint(&folder, &mut sink, true).await;
    assert_eq!(life.kept.pending(), Vec::<i64>::new());
    check_rows(&folder, &life.kept, &format!("seed {seed}, {format}, at the end"));
    assert_eq!(names(&folder, true).len(), 0, "seed {seed}, {format}: hidden files at the end");
}

#[tokio::test]
async fn every_row_is_visible_once_whenever_the_process_is_killed_and_the_disk_is_full() {
    for seed in 0..16 {
        live(seed, "json").await;
        live(seed, "parquet").await;
    }
}

/// A checkpoint that is durable, and committed.
async fn commit(sink: &mut FileSink, kept: &Checkpoint, position: i64, last: bool) -> Checkpoint {
    let prepared = sink.prepare(last).await.unwrap();
    let next = kept.next(position, prepared.note, prepared.pending);
    sink.commit().await.unwrap();
    next
}

fn disk() -> Arc<Mutex<Disk>> {
    Arc::new(Mutex::new(Disk { room: u64::MAX, ..Disk::default() }))
}

#[tokio::test]
async fn with_checkpoints_a_file_is_visible_after_the_one_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let table = table_in(folder.path(), "parquet", &[("sink.rolling-policy.window", "true")]);
    let (mut sink, mut kept) = (start(&table, 0, &disk()), Checkpoint::default());
    sink.recover(None).await.unwrap();
    for (first, window) in [(0, 0), (10, 0), (20, 10)] {
        sink.write(&emission(first..first + 10, Some(window))).await.unwrap();
    }
    assert_eq!((names(folder.path(), false).len(), names(folder.path(), true).len()), (0, 2));
    let prepared = sink.prepare(false).await.unwrap();
    assert_eq!(names(folder.path(), false).len(), 0, "prepared is not committed");
    let ids = |runs: &[Pending]| runs.iter().map(|run| (run.id, run.rows.is_some())).collect::<Vec<_>>();
    assert_eq!(ids(&prepared.pending), [(0, true)]);
    kept = kept.next(30, prepared.note, prepared.pending);
    sink.commit().await.unwrap();
    assert_eq!(numbers(folder.path()), (0..20).collect::<Vec<_>>());

    for first in [30, 40] {
        sink.write(&emission(first..first + 10, Some(10))).await.unwrap();
    }
    let prepared = sink.prepare(false).await.unwrap();
    assert_eq!(ids(&prepared.pending), [(0, false), (1, true)], "all since the last one is one run");
    assert_eq!(prepared.pending[1].rows.as_ref().unwrap().window, emission(0..0, Some(10)).window);
    kept = kept.next(50, prepared.note, prepared.pending);
    sink.commit().await.unwrap();
    drop(sink);

    let mut sink = start(&table, 1, &disk());
    sink.recover(kept.state.as_ref()).await.unwrap();
    let prepared = sink.prepare(false).await.unwrap();
    assert_eq!(ids(&prepared.pending), [(0, false), (1, false)]);
    sink.commit().await.unwrap();
    sink.write(&emission(50..60, Some(20))).await.unwrap();
    let kept = commit(&mut sink, &kept, 60, false).await;
    assert_eq!(kept.state.as_ref().unwrap().pending.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    check_rows(folder.path(), &kept, "the window has ended");
    check_rows(folder.path(), &commit(&mut sink, &kept, 60, true).await, "the end");
}

#[tokio::test]
async fn what_a_lost_checkpoint_had_shown_goes_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let table = table_in(folder.path(), "parquet", &[("sink.rolling-policy.window", "true")]);
    // Of another query of the same name, which is gone.
    let mut earlier = start(&table, 7, &disk());
    earlier.recover(None).await.unwrap();
    earlier.write(&emission(100..110, Some(0))).await.unwrap();
    commit(&mut earlier, &Checkpoint::default(), 0, true).await;

    let mut sink = start(&table, 0, &disk());
    sink.recover(None).await.unwrap();
    sink.write(&emission(0..10, Some(0))).await.unwrap();
    sink.write(&emission(10..20, Some(10))).await.unwrap();
    let older = commit(&mut sink, &Checkpoint::default(), 20, false).await;
    sink.write(&emission(20..30, Some(20))).await.unwrap();
    sink.write(&emission(30..40, Some(30))).await.unwrap();
    commit(&mut sink, &older, 40, false).await;
    assert_eq!(numbers(folder.path()), (0..10).chain(100..110).chain(10..30).collect::<Vec<_>>());
    drop(sink);

    let mut sink = start(&table, 1, &disk());
    sink.recover(older.state.as_ref()).await.unwrap();
    assert_eq!(numbers(folder.path()), (0..10).chain(100..110).collect::<Vec<_>>());
    sink.write(&emission(20..40, Some(20))).await.unwrap();
    commit(&mut sink, &older, 40, true).await;
    assert_eq!(numbers(folder.path()), (0..10).chain(100..110).chain(10..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dropped_query_shows_all_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = start(&table_in(folder.path(), "parquet", &[]), 0, &disk());
    sink.recover(None).await.unwrap();
    sink.write(&emission(0..10, None)).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(numbers(folder.path()), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_keeps_its_age_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let age = [("sink.rolling-policy.rollover-interval", "5 s"), ("sink.rolling-policy.check-interval", "1 s")];
    let table = table_in(folder.path(), "json", &age);
    let mut sink = start(&table, 0, &disk());
    sink.recover(None).await.unwrap();
    sink.write(&emission(0..1, None)).await.unwrap();
    let mut kept = commit(&mut sink, &Checkpoint::default(), 1, false).await;
    let SinkState { note, .. } = kept.state.as_mut().unwrap();
    *note = note.replace("\"open_since\":1000", "\"open_since\":-3000");
    let mut sink = start(&table, 1, &disk());
    sink.recover(kept.state.as_ref()).await.unwrap();
    sink.tick(EventTime(2000)).await.unwrap();
    assert_eq!(commit(&mut sink, &kept, 1, false).await.pending(), Vec::<i64>::new());
    assert_eq!(names(folder.path(), false).len(), 1);
}

#[tokio::test]
async fn a_sync_that_fails_stops_the_query_and_the_next_start_has_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let table = table_in(folder.path(), "parquet", &[]);
    let disk = disk();
    let mut sink = start(&table, 0, &disk);
    sink.recover(None).await.unwrap();
    sink.write(&emission(0..10, None)).await.unwrap();
    let kept = commit(&mut sink, &Checkpoint::default(), 10, false).await;
    disk.lock().unwrap().refuse_sync = true;
    let error = sink.prepare(true).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    let error = error.to_string();
    let expected =
        "cannot be synced: the disk is broken; what of it is on disk is not known: see to the disk and start";
    assert!(error.contains(expected), "{error}");
    drop(sink);
    let mut sink = start(&table, 1, &disk);
    sink.recover(kept.state.as_ref()).await.unwrap();
    check_rows(folder.path(), &commit(&mut sink, &kept, 10, true).await, "the second try");
}

#[tokio::test]
async fn a_file_of_the_checkpoint_that_is_gone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let table = table_in(folder.path(), "json", &[]);
    let mut sink = start(&table, 0, &disk());
    sink.recover(None).await.unwrap();
    sink.write(&emission(0..1, None)).await.unwrap();
    let kept = commit(&mut sink, &Checkpoint::default(), 1, true).await;
    let visible = folder.path().join("q-000000-start0.json");
    std::fs::remove_file(&visible).unwrap();
    let mut sink = start(&table, 1, &disk());
    let error = sink.recover(kept.state.as_ref()).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    let expected = format!("the file `{}` is gone, and so is `.q-000000-start0.json.inprogress`", visible.display());
    assert!(error.to_string().contains(&expected), "{error}");
    std::fs::write(&visible, "").unwrap();
    sink.recover(kept.state.as_ref()).await.unwrap();

    let unreadable = SinkState { note: "?".into(), pending: vec![] };
    let error = sink.recover(Some(&unreadable)).await.unwrap_err().to_string();
    assert!(error.contains("the checkpoint's note `?` is unreadable"), "{error}");
}

#[test]
fn what_a_later_claim_has_written_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let touch = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
    let hidden = |claim: &str| format!(".q_s-000002-t{claim}.parquet.inprogress");
    for name in [hidden("-claim000000003"), hidden("-claim000000004"), hidden("-claim000000005"), hidden("")] {
        touch(&name);
    }
    for claim in ["-claim000000004", "-claim000000005"] {
        touch(&format!("q_s-000002-t{claim}.parquet"));
    }
    super::remove_hidden(folder.path(), "q_s-", Some(4)).unwrap();
    super::remove_newer(folder.path(), "q_s-", "t", 2, Some(4)).unwrap();
    let mut left: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [hidden("-claim000000005"), "q_s-000002-t-claim000000005.parquet".to_owned()]);
}
