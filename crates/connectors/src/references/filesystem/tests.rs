//! Loads of local files. Those of S3 are tested against a server, in the tests of the whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use millstream_core::{Connectors, Loaded, Reference, ReferenceError, TableDecl};
use parquet::arrow::ArrowWriter;

use crate::testing::StepClock;
use crate::{AccessKey, AwsSettings, Context, Registry};

/// Columns `id TINYINT NOT NULL, name STRING`.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int8, false), Field::new("name", DataType::Utf8, true)]))
}

fn table(path: &Path, options: &[(&str, &str)]) -> TableDecl {
    let path = path.display().to_string();
    let base = [("connector", "filesystem"), ("path", path.as_str())];
    let options = base.iter().chain(options).copied().collect();
    TableDecl { name: "items".into(), schema: schema(), primary_key: vec![], options }
}

fn registry() -> Registry {
    Registry::new(Context::new(Arc::new(StepClock::at(0))))
}

fn reference(path: &Path, options: &[(&str, &str)]) -> Box<dyn Reference> {
    registry().reference(&table(path, options)).unwrap()
}

async fn load(path: &Path, options: &[(&str, &str)]) -> Result<Loaded, ReferenceError> {
    reference(path, options).load(None).await.map(|loaded| loaded.expect("no version is known"))
}

/// A file in a folder that lives as long as the answer.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// `1=a 2=null`: ids and names.
fn rows(loaded: &Loaded) -> String {
    let rows = concat_batches(&schema(), &loaded.rows).unwrap();
    let text = |column: usize, row: usize| {
        let values = rows.column(column);
        if values.is_null(row) { "null".to_owned() } else { array_value_to_string(values, row).unwrap() }
    };
    let pairs: Vec<_> = (0..rows.num_rows()).map(|row| format!("{}={}", text(0, row), text(1, row))).collect();
    pairs.join(" ")
}

/// `3: reason`: lines and reasons.
fn rejected(loaded: &Loaded) -> Vec<String> {
    assert_eq!(loaded.rejected.len() as u64, loaded.rejected_count);
    loaded.rejected.iter().map(|rejected| format!("{}: {}", rejected.line, rejected.reason)).collect()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)));
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

type OptionList = &'static [(&'static str, &'static str)];

const JSON: OptionList = &[("format", "json")];
const CSV: OptionList = &[("format", "csv")];
const CSV_HEADER: OptionList = &[("format", "csv"), ("csv.header", "true")];
const PARQUET: OptionList = &[("format", "parquet")];

#[tokio::test]
async fn bad_records_are_rejected_by_their_lines_and_the_others_are_kept() {
    let cases: [(OptionList, &str, &str, &[&str]); 6] = [
        (JSON, "{\"id\":1,\"name\":\"a\"}\n{\"name\":null,\"id\":2}", "1=a 2=null", &[]),
        (JSON, "{\"id\":1}\n\n\n{\"id\":300}\n{]\n{\"id\":4}\n", "1=null 4=null", &["4: column `id`", "5: expected"]),
        (CSV, "1,a\n2,\n", "1=a 2=", &[]),
        (
            CSV,
            "x,\"two\nlines\"\n1,\"two\nlines\"\n\nx,\n3",
            "1=two\nlines",
            &["1: column `id`", "6: column `id`", "7: expected 2"],
        ),
        (CSV_HEADER, "id,name\n1,a\nx,b\n", "1=a", &["3: column `id`"]),
        (CSV_HEADER, "\n\nNumber,What\n\n1,a\n,b\n", "1=a", &["6: column `id`: is null"]),
    ];
    for (options, content, expected, reasons) in cases {
        let (_folder, path) = file("items", content.as_bytes());
        let loaded = load(&path, options).await.unwrap();
        assert_eq!(rows(&loaded), expected, "{content}");
        let found = rejected(&loaded);
        assert_eq!(found.len(), reasons.len(), "{found:?}");
        for (found, reason) in found.iter().zip(reasons) {
            assert!(found.starts_with(reason), "{found}");
        }
    }
}

#[tokio::test]
async fn lines_are_counted_across_blocks() {
    let mut content = "{\"id\":1,\"name\":\"some text\"}\n".repeat(100_000);
    content.push_str("nothing\n");
    let (_folder, path) = file("items.json", content.as_bytes());
    let loaded = load(&path, JSON).await.unwrap();
    assert!(loaded.rows.len() > 1, "more than a block");
    assert_eq!(loaded.rejected[0].line, 100_001);
    assert_eq!(loaded.rejected[0].raw, b"nothing");
}

#[tokio::test]
async fn reasons_are_kept_up_to_a_bound() {
    let (_folder, path) = file("items.csv", "1,a\nx\n".repeat(5000).as_bytes());
    let loaded = load(&path, CSV).await.unwrap();
    assert_eq!((loaded.rejected.len(), loaded.rejected_count), (1000, 5000));
}

#[tokio::test]
async fn parquet_columns_go_by_name_and_become_the_declared_types() {
    let names = || Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")])) as ArrayRef;
    let ids = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(300), None])) as ArrayRef;
    let other = Arc::new(Float64Array::from(vec![0.5; 4])) as ArrayRef;
    let content = parquet(vec![("other", other), ("name", names()), ("ID", ids)]);
    let (_folder, path) = file("items.parquet", &content);
    let loaded = load(&path, PARQUET).await.unwrap();
    assert_eq!(rows(&loaded), "1=a 2=null");
    assert_eq!(
        rejected(&loaded),
        ["3: column `id`: expected Int8, found `300`", "4: column `id`: is null, but the column is NOT NULL"]
    );
}

#[tokio::test]
async fn the_same_content_has_the_same_version_and_another_has_another() {
    let (folder, path) = file("items.csv", b"1,a\n");
    let mut reference = reference(&path, CSV);
    let first = reference.load(None).await.unwrap().unwrap();
    assert!(reference.load(Some(&first.version)).await.unwrap().is_none());
    // Written again: newer, and the same.
    std::fs::write(&path, "1,a\n").unwrap();
    assert!(reference.load(Some(&first.version)).await.unwrap().is_none());
    std::fs::write(&path, "1,b\n").unwrap();
    let second = reference.load(Some(&first.version)).await.unwrap().unwrap();
    assert_eq!(rows(&second), "1=b");
    assert_ne!(second.version, first.version);
    // Replaced by a rename, as it should be.
    let other = folder.path().join(".other");
    std::fs::write(&other, "1,a\n").unwrap();
    std::fs::rename(&other, &path).unwrap();
    let third = reference.load(Some(&second.version)).await.unwrap().unwrap();
    assert_eq!(third.version, first.version);
    assert_eq!(third.rows, first.rows);
}

#[tokio::test]
async fn what_is_no_content_of_the_table_is_an_error_that_says_what_to_do() {
    let numbers = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let floats = Arc::new(Float64Array::from(vec![1.5])) as ArrayRef;
    let cases: [(OptionList, Vec<u8>, &str); 7] = [
        (
            CSV_HEADER,
            b"name,id\na,1\n".to_vec(),
            "its header is `name, id`, but the table's columns are `id, name`: declare",
        ),
        (CSV, b"<html>\n<body>\n".to_vec(), "none of its 2 records fits the table; the first: "),
        (JSON, b"[{\"id\":1}]".to_vec(), "none of its 1 records fits the table"),
        (PARQUET, b"1,a\n".to_vec(), "Parquet"),
        (PARQUET, parquet(vec![("id", numbers())]), "it has no column `name`; it has id"),
        (
            PARQUET,
            parquet(vec![("id", floats), ("name", numbers())]),
            "its column `id` is Float64, which does not become Int8",
        ),
        (PARQUET, Vec::new(), "EOF"),
    ];
    for (options, content, expected) in cases {
        let (_folder, path) = file("items", &content);
        let error = load(&path, options).await.unwrap_err();
        assert!(matches!(error, ReferenceError::Unusable { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with(&format!("`{}` cannot be used: ", path.display())), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_an_error_until_it_is_back() {
    let (_folder, path) = file("items.csv", b"1,a\n");
    let mut reference = reference(&path, CSV);
    let loaded = reference.load(None).await.unwrap().unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = reference.load(Some(&loaded.version)).await.unwrap_err();
    assert!(matches!(error, ReferenceError::NotFound { .. }), "{error:?}");
    let expected = format!("`{}` does not exist: option 'path' must name a file or a folder", path.display());
    assert_eq!(error.to_string(), expected);
    std::fs::write(&path, "1,a\n").unwrap();
    assert!(reference.load(Some(&loaded.version)).await.unwrap().is_none());
}

#[tokio::test]
async fn an_empty_table_is_a_table() {
    let (folder, path) = file("items.csv", b"");
    assert_eq!(load(&path, CSV).await.unwrap().rows, []);
    let (_other, header) = file("items.csv", b"id,name\n");
    assert_eq!(load(&header, CSV_HEADER).await.unwrap().rows, []);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(load(folder.path(), JSON).await.unwrap().rows, []);
}

#[test]
fn options_are_checked() {
    let path = Path::new("/data/items.csv");
    assert_eq!(reference(path, CSV).reload_interval(), super::RELOAD_INTERVAL);
    let key = super::RELOAD_KEY;
    assert_eq!(reference(path, &[CSV[0], (key, "5 s"), ("lookup.cache", "full")]).reload_interval().0, 5000);
    for (options, expected) in [
        ((key, "0 s"), "option 'lookup.full-cache.periodic-reload.interval': 0 ms given, expected at least 100 ms"),
        (("lookup.cache", "PARTIAL"), "option 'lookup.cache': `PARTIAL` given, expected FULL: files are held whole"),
        (("lookup.max-rows", "1"), "option 'lookup.max-rows': is unknown here"),
        (("aws.region", "eu-west-1"), "option 'aws.region': is unknown here"),
    ] {
        let error = registry().reference(&table(path, &[CSV[0], options])).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// moto refuses nobody who signs: a server that does.
#[tokio::test]
async fn a_refusal_of_s3_names_the_right_that_is_missing() {
    let refusal = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let router = axum::Router::new().fallback(async move || (axum::http::StatusCode::FORBIDDEN, refusal));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    let access_key = Some(AccessKey { id: "id".into(), secret: "secret".into() });
    let aws = AwsSettings { endpoint_url, access_key, ..AwsSettings::default() };
    let registry = Registry::new(Context { aws, ..Context::new(Arc::new(StepClock::at(0))) });
    let mut reference = registry.reference(&table(Path::new("s3://bucket/items.csv"), CSV)).unwrap();
    let server = async { axum::serve(listener, router).await };
    let error = tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        loaded = reference.load(None) => loaded.unwrap_err(),
    };
    assert!(matches!(error, ReferenceError::Denied { .. }), "{error:?}");
    let expected = "`s3://bucket/items.csv` may not be read: the credentials in use need s3:GetObject on it, and \
                    s3:ListBucket to be told whether it is there (AccessDenied: Access Denied)";
    assert_eq!(error.to_string(), expected);
}

/// Files of Kinesis Data Analytics applications are one record each: their formats find the rows.
#[tokio::test]
async fn tables_of_applications_are_read_by_their_own_rules() {
    const TYPES: (&str, &str) = ("kda.types", "TINYINT;VARCHAR(3)");
    let cases: [(OptionList, &str, &str, &[&str]); 5] = [
        (&[TYPES, ("format", "csv")], "1,abcd\n2\n\n\"3\",\"a,b\",more\r\n", "1=abc 2=null 3=a,b", &[]),
        (
            &[TYPES, ("format", "csv"), ("csv.row-delimiter", "|")],
            "1,a|x,b|3,c",
            "1=a 3=c",
            &["1: row 2: column `id`: `x` cannot become TINYINT: it takes whole numbers in range"],
        ),
        (&[TYPES, ("format", "json")], "{\"id\":1,\n \"name\":true}\n{\"id\":\"2\"}", "1=tru 2=null", &[]),
        (
            &[TYPES, ("format", "json"), ("json.row-path", "$[0:]"), ("json.path.name", "$.is.called")],
            "[{\"id\":1},\n{\"id\":2,\"is\":{\"called\":\"b\"}}]\n",
            "1=null 2=b",
            &[],
        ),
        (
            &[TYPES, ("format", "json"), ("json.row-path", "$.items[0:]"), ("json.path.name", "$.tags[0:]")],
            "{\"items\":[{\"id\":1,\"tags\":[7]},{\"id\":1.5},{\"id\":3}]}",
            "1=[7] 3=null",
            &["1: column `id`: `1.5` cannot become TINYINT: it takes whole numbers in range"],
        ),
    ];
    for (options, content, expected, reasons) in cases {
        let (_folder, path) = file("items", content.as_bytes());
        let loaded = load(&path, options).await.unwrap();
        assert_eq!(rows(&loaded), expected, "{content}");
        assert_eq!(rejected(&loaded), reasons, "{content}");
    }
    let header = table(Path::new("/in"), &[TYPES, ("format", "csv"), ("csv.header", "true")]);
    let error = registry().check(&header).unwrap_err().to_string();
    assert!(error.starts_with("option 'csv.header': Kinesis Data Analytics reads every row"), "{error}");
}
