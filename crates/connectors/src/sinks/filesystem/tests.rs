//! What readers of a folder may see, and when.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use millstream_core::Connectors;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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

fn sink_to(folder: &Path, format: &str, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let path = folder.display().to_string();
    let base = [("connector", "filesystem"), ("path", path.as_str()), ("format", format)];
    let options = base.iter().chain(more).copied().collect();
    let table = TableDecl { name: "out".into(), schema: rows(0..0).schema(), primary_key: vec![], options };
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
        let file = std::fs::File::open(folder.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let column = batch.unwrap().column(0).clone();
            numbers.extend(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column).values());
        }
    }
    numbers
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
