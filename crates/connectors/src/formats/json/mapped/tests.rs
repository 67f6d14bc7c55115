//! What paths find, and that they find the same as names do.

use std::fmt::Write as _;

use millstream_core::TableDecl;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::formats::json::kda::tests::{chunk, table};
use crate::formats::json::{Settings, columns, decoder, json_rows};
use arrow::datatypes::TimeUnit;

fn lines(rows: &RecordBatch) -> Vec<String> {
    let mut out = Vec::new();
    json_rows(rows, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn decode(table: &TableDecl, records: &[&str]) -> Decoded {
    decoder(table, &table.options.reader()).unwrap().decode(&chunk(records)).unwrap()
}

/// A table of texts: the row path, and each column with its path.
fn texts(row: &str, paths: &[(&str, &str)]) -> TableDecl {
    let columns: Vec<_> = paths.iter().map(|(name, _)| (*name, "VARCHAR(64)")).collect();
    let keys: Vec<_> = paths.iter().map(|(name, path)| (format!("json.path.{name}"), *path)).collect();
    let options = keys.iter().map(|(key, path)| (key.as_str(), *path)).chain([("json.row-path", row)]);
    table(&columns, &options.collect::<Vec<_>>())
}

const ORDER: &str = r#"{"customer": "Doe", "address": {"city": "Anytown", "lines": [1, 2]},
    "orders": [{"id": "1", "item": {"name": "Widget"}}, {"id": "2", "price": 3.50}, null, 7],
    "none": [], "null": null, "a.b": 5}"#;

#[test]
fn paths_find_what_the_guide_says() {
    type Paths = &'static [(&'static str, &'static str)];
    let cases: &[(&str, Paths, &[&str])] = &[
        ("$", &[("A", "$.customer"), ("B", "customer")], &["Doe|Doe"]),
        ("$", &[("A", "$.Customer"), ("B", "$.nobody"), ("C", "$.customer.x"), ("D", "$.null")], &["-|-|-|-"]),
        (
            "$",
            &[("A", "$.address.city"), ("B", "address.city"), ("C", "$.address")],
            &[r#"Anytown|Anytown|{"city": "Anytown", "lines": [1, 2]}"#],
        ),
        ("$", &[("A", "$['a.b']"), ("B", "$.address['city']")], &["5|Anytown"]),
        ("$", &[("A", "$.address.lines[0:]"), ("B", "$.address.lines")], &["[1, 2]|[1, 2]"]),
        // An array is gone into: the rest is repeated, what is missing is null.
        (
            "$",
            &[("A", "$.customer"), ("B", "$.orders[0:].id"), ("C", "$.orders[0:].item.name")],
            &["Doe|1|Widget", "Doe|2|-", "Doe|-|-", "Doe|-|-"],
        ),
        (
            "$",
            &[("A", "$.orders[0:].price"), ("B", "$.address.lines[0:]")],
            &["-|[1, 2]", "3.50|[1, 2]", "-|[1, 2]", "-|[1, 2]"],
        ),
        ("$", &[("A", "$.none[0:].x"), ("B", "$.customer")], &["-|Doe"]),
        ("$", &[("A", "$.nobody[0:].x"), ("B", "$.customer")], &["-|Doe"]),
        ("$", &[("A", "$.address[0:].city"), ("B", "$.customer")], &["-|Doe"]),
        // Rows that lie deeper: paths go on from them.
        ("$.address", &[("A", "$.city"), ("B", "$.customer")], &["Anytown|-"]),
        ("$.orders[0:]", &[("A", "$.id"), ("B", "item.name")], &["1|Widget", "2|-", "-|-", "-|-"]),
        ("$.orders[0:].item", &[("A", "$.name")], &["Widget", "-", "-", "-"]),
        ("$.address.lines[0:]", &[("A", "$")], &["1", "2"]),
        ("$.none[0:]", &[("A", "$.id"), ("B", "$.x")], &["-|-"]),
        ("$.nobody", &[("A", "$.id")], &["-"]),
    ];
    for (row, paths, expected) in cases {
        let decoded = decode(&texts(row, paths), &[ORDER]);
        assert_eq!(decoded.rejected, [], "{row} {paths:?}");
        assert_eq!(shown(&decoded.rows), *expected, "{row} {paths:?}");
        let rows = decoded.rows.num_rows();
        assert_eq!(decoded.records, (rows != 1).then(|| vec![0; rows]), "{row} {paths:?}");
    }
}

/// Each row's texts with bars between them, nulls as `-`.
fn shown(rows: &RecordBatch) -> Vec<String> {
    use arrow::array::AsArray;
    let columns: Vec<_> = rows.columns().iter().map(AsArray::as_string::<i32>).collect();
    let row = |row: usize| {
        let values = columns.iter().map(|column| column.iter().nth(row).flatten().unwrap_or("-"));
        values.collect::<Vec<_>>().join("|")
    };
    (0..rows.num_rows()).map(row).collect()
}

#[test]
fn documents_may_be_arrays_where_a_path_says_so() {
    let rows = texts("$[0:]", &[("A", "$.a")]);
    let decoded = decode(&rows, &[r#"[{"a":1},{"a":2}]"#, r#"{"a":3}"#, "[][{}]"]);
    assert_eq!(shown(&decoded.rows), ["1", "2", "-", "-"]);
    assert_eq!(decoded.records, Some(vec![0, 0, 2, 2]));
    assert_eq!(decoded.rejected[0].reason, "expected an array, found `{` at byte 0");
    let columns = texts("$", &[("A", "$[0:].a"), ("B", "$")]);
    assert_eq!(
        shown(&decode(&columns, &[r#"[{"a":1},{"a":2}]"#]).rows),
        [r#"1|[{"a":1},{"a":2}]"#, r#"2|[{"a":1},{"a":2}]"#]
    );
}

#[test]
fn a_bad_value_leaves_out_its_row_of_the_array() {
    let table = table(&[("N", "INTEGER"), ("K", "VARCHAR(3)")], &[("json.path.N", "$.list[0:].n")]);
    let records = [r#"{"K":"a","list":[{"n":1},{"n":"x"},{"n":3}]}"#, r#"{"K":"b","list":[{"n":4}]} {"K":"c"}"#];
    let decoded = decode(&table, &records);
    assert_eq!(
        lines(&decoded.rows),
        [r#"{"N":1,"K":"a"}"#, r#"{"N":3,"K":"a"}"#, r#"{"N":4,"K":"b"}"#, r#"{"N":null,"K":"c"}"#]
    );
    assert_eq!(decoded.records, Some(vec![0, 0, 1, 1]));
    assert_eq!(decoded.rejected.len(), 1);
    assert!(decoded.rejected[0].reason.starts_with("column `N`: `x` cannot become INTEGER"));
}

#[test]
fn a_document_that_is_broken_gives_no_row() {
    let table = texts("$.list[0:]", &[("A", "$.a")]);
    for broken in
        [r#"{"list":[{"a":1},{"a":2}"#, r#"{"list":[{"a":1},{"a":2}], }"#, r#"{"list":[{"a":1},{"b":01}]}"#, ""]
    {
        let decoded = decode(&table, &[broken]);
        assert_eq!((decoded.rows.num_rows(), decoded.rejected.len()), (0, 1), "{broken}");
    }
}

#[test]
fn paths_serve_tables_that_are_no_applications_too() {
    use arrow::datatypes::{DataType, Field, Schema};
    let columns =
        [("userid", DataType::Utf8), ("city", DataType::Utf8), ("tags", DataType::new_list(DataType::Int64, true))];
    let fields: Vec<_> = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    let options = [("json.path.city", "$.address.city"), ("json.row-path", "$.users[0:]")].into_iter().collect();
    let table = TableDecl { name: "t".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options };
    let records = [r#"{"users":[{"userId":"a","address":{"city":"x"},"tags":[1]},{"userId":"b"}]}"#, "{} {}"];
    let decoded = decode(&table, &records);
    assert_eq!(
        lines(&decoded.rows),
        [r#"{"userid":"a","city":"x","tags":[1]}"#, r#"{"userid":"b","city":null,"tags":null}"#]
    );
    assert_eq!(decoded.rejected[0].reason, "expected nothing after the record's object, found `{` at byte 3");
}

#[test]
fn what_paths_cannot_do_is_refused_by_name() {
    for (row, paths, reason) in [
        ("$", &[("A", "$.x[0:].a"), ("B", "$.y[0:].b")][..], "option 'json.path.B': goes into another array"),
        ("$.r[0:]", &[("A", "$.x[0:].a")], "option 'json.path.A': goes into an array, and so does 'json.row-path'"),
        ("$", &[("A", "$.x[0:].a[0:].b")], "option 'json.path.A': `$.x[0:].a[0:].b` is no path: an array within"),
        ("$.r[1]", &[("A", "$.x")], "option 'json.row-path': `$.r[1]` is no path"),
    ] {
        let table = texts(row, paths);
        let error = decoder(&table, &table.options.reader()).err().unwrap().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    let table = table(&[("A", "INTEGER")], &[("json.path.B", "$.b")]);
    let error = decoder(&table, &table.options.reader()).err().unwrap().to_string();
    assert_eq!(error, "option 'json.path.B': there is no column `B`; the columns are A");
}

const COLUMNS: [(&str, &str); 6] = [
    ("ID", "BIGINT"),
    ("TEXT", "VARCHAR(5)"),
    ("PRICE", "DECIMAL(8,2)"),
    ("AT", "TIMESTAMP"),
    ("FLAG", "BOOLEAN"),
    ("RATIO", "REAL"),
];

/// Records of one producer, mostly good: keys in an order of its own, now and then one missing, strange or cut off.
fn records(random: &mut SmallRng) -> Vec<String> {
    const VALUES: [&str; 16] = [
        "1",
        "-20",
        "3.25",
        "0",
        "true",
        "null",
        "\"7\"",
        "\"long text\"",
        "\"\\u00e9\"",
        "1e3",
        "[1, {\"x\": 2}]",
        "{\"ID\": 5}",
        "\"2026-01-01 00:00:00.5\"",
        "\"2026-01-01T00:00:01\"",
        "99999999999",
        "\"true\"",
    ];
    let document = |random: &mut SmallRng| {
        let mut text = "{".to_owned();
        for (index, (name, kind)) in COLUMNS.iter().enumerate() {
            if random.random_bool(0.05) {
                continue;
            }
            let usual = match *kind {
                "BIGINT" => "42",
                "VARCHAR(5)" => "\"text\"",
                "DECIMAL(8,2)" => "12.5",
                "TIMESTAMP" => "\"2026-01-01 00:00:00\"",
                "BOOLEAN" => "true",
                _ => "0.5",
            };
            let value = if random.random_bool(0.2) { VALUES.choose(random).unwrap() } else { usual };
            let space = if random.random_bool(0.1) { " " } else { "" };
            let _ = write!(text, "{}\"{name}\":{space}{value}", if index > 0 && text.len() > 1 { "," } else { "" });
        }
        text.push('}');
        if random.random_bool(0.03) {
            text.truncate(text.len() / 2);
        }
        text
    };
    let record = |_| (0..if random.random_bool(0.1) { 3 } else { 1 }).map(|_| document(random)).collect();
    (0..30).map(record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The walk by paths and the reading by names are two ways to the same rows.
    #[test]
    fn paths_find_what_names_find(seed: u64, wanted: [bool; 6]) {
        let table = table(&COLUMNS, &[]);
        let options = table.options.reader();
        let settings = Settings { epoch: TimeUnit::Millisecond, fail_on_missing_field: false };
        let types = crate::formats::kda::types(&table, &options).unwrap();
        let columns = columns(&table, types.as_deref(), settings).unwrap();
        let members = table.schema.fields().iter().zip(columns).map(|(field, column)| Member::new(field, column));
        let mapping = Mapping::read(&table, &options).unwrap();
        let rules = Rules { is_folded: false, fail_on_missing: false, has_many: true };
        let mut by_paths = MappedDecoder::new(&table.schema, members.collect(), &mapping, rules);
        let mut by_names = decoder(&table, &options).unwrap();
        let mut random = SmallRng::seed_from_u64(seed);
        for round in 0..2 {
            let records = records(&mut random);
            let chunk = chunk(&records.iter().map(String::as_str).collect::<Vec<_>>());
            let (paths, names) = (by_paths.decode(&chunk).unwrap(), by_names.decode(&chunk).unwrap());
            let rejected = |decoded: &Decoded| decoded.rejected.iter().map(|it| it.record).collect::<Vec<_>>();
            prop_assert_eq!(rejected(&paths), rejected(&names));
            prop_assert_eq!(&paths.records, &names.records);
            for (column, (a, b)) in paths.rows.columns().iter().zip(names.rows.columns()).enumerate() {
                if round == 0 || wanted[column] {
                    prop_assert_eq!(a, b);
                }
            }
            by_paths.want(&wanted);
            by_names.want(&wanted);
        }
    }
}
