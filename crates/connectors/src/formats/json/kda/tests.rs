//! The service's coercions, every cell of its matrix.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use millstream_core::{Chunk, Decoded, EventTime, OptionError, ShardId, TableDecl};

use super::*;
use crate::formats::json::json_rows;
use crate::sources::chunks::ChunkBuilder;

pub(in crate::formats) fn chunk(records: &[&str]) -> Chunk {
    let mut builder = ChunkBuilder::new(ShardId::from("s"), None);
    for (index, record) in records.iter().enumerate() {
        builder.push(record.as_bytes(), EventTime(0), None, &(index + 1).to_string());
    }
    builder.take().unwrap().unwrap()
}

/// A table of an application: columns by name and type.
pub(in crate::formats) fn table(columns: &[(&str, &str)], options: &[(&str, &str)]) -> TableDecl {
    let field = |(name, kind): &(&str, &str)| {
        let data_type = match kind.parse().unwrap() {
            KdaType::TinyInt => DataType::Int8,
            KdaType::SmallInt => DataType::Int16,
            KdaType::Integer => DataType::Int32,
            KdaType::BigInt => DataType::Int64,
            KdaType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            KdaType::Real => DataType::Float32,
            KdaType::Double => DataType::Float64,
            KdaType::Boolean => DataType::Boolean,
            KdaType::Character { .. } => DataType::Utf8,
            KdaType::Binary { .. } => DataType::Binary,
            KdaType::Date => DataType::Date32,
            KdaType::Time => DataType::Time32(TimeUnit::Millisecond),
            KdaType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
        };
        Field::new(*name, data_type, true)
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let types = columns.iter().map(|(_, kind)| *kind).collect::<Vec<_>>().join(";");
    let options = options.iter().copied().chain([("kda.types", types.as_str())]).collect();
    TableDecl { name: "t".into(), schema, primary_key: vec![], options }
}

fn decode(columns: &[(&str, &str)], records: &[&str]) -> Decoded {
    let table = table(columns, &[]);
    let mut decoder = crate::formats::json::decoder(&table, &table.options.reader()).unwrap();
    decoder.decode(&chunk(records)).unwrap()
}

fn lines(decoded: &Decoded) -> Vec<String> {
    let mut out = Vec::new();
    json_rows(&decoded.rows, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// Of each type: a JSON value, and what is printed of it (binaries in base64), or `!` where it is refused.
const CELLS: &[(&str, &[(&str, &str)])] = &[
    (
        "TINYINT",
        &[
            ("null", "null"),
            ("true", "1"),
            ("false", "0"),
            ("-128", "-128"),
            ("128", "!"),
            ("1.0", "1"),
            ("1.5", "!"),
            (r#""12""#, "12"),
            (r#""128""#, "!"),
            ("{}", "!"),
            ("[1]", "!"),
        ],
    ),
    (
        "SMALLINT",
        &[("null", "null"), ("true", "1"), ("32767", "32767"), ("32768", "!"), (r#""-5""#, "-5"), ("[]", "!")],
    ),
    (
        "INTEGER",
        &[
            ("null", "null"),
            ("true", "1"),
            ("false", "0"),
            ("123", "123"),
            ("1e3", "1000"),
            ("123.4", "!"),
            ("2147483647", "2147483647"),
            ("2147483648", "!"),
            ("99999999999999999999", "!"),
            (r#""123""#, "123"),
            (r#"" +123 ""#, "123"),
            (r#""123.4""#, "!"),
            (r#""+-1""#, "!"),
            (r#""abc""#, "!"),
            (r#""""#, "!"),
            (r#"{"a":1}"#, "!"),
            ("[1]", "!"),
        ],
    ),
    (
        "BIGINT",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "!"),
            ("false", "0"),
            (r#""-1""#, "-1"),
            (r#""1e2""#, "100"),
        ],
    ),
    (
        "DECIMAL(5,2)",
        &[
            ("null", "null"),
            ("true", "1.00"),
            ("false", "0.00"),
            ("12.3", "12.30"),
            ("12.340", "12.34"),
            ("12.345", "!"),
            ("999.99", "999.99"),
            ("1000", "!"),
            ("1e2", "100.00"),
            (r#""12.34""#, "12.34"),
            (r#""12.345""#, "!"),
            (r#""x""#, "!"),
            ("{}", "!"),
            ("[]", "!"),
        ],
    ),
    ("DECIMAL(2,2)", &[("true", "!"), ("false", "0.00"), ("0.99", "0.99"), ("1", "!")]),
    (
        "REAL",
        &[
            ("null", "null"),
            ("true", "1.0"),
            ("0.1", "0.1"),
            ("1e39", "!"),
            (r#""2.5""#, "2.5"),
            (r#""x""#, "!"),
            ("[]", "!"),
        ],
    ),
    (
        "DOUBLE",
        &[
            ("null", "null"),
            ("false", "0.0"),
            ("0.1", "0.1"),
            ("3", "3.0"),
            ("1e400", "!"),
            (r#""-2.5""#, "-2.5"),
            (r#""NaN""#, "!"),
            (r#""Infinity""#, "!"),
            ("{}", "!"),
        ],
    ),
    (
        "BOOLEAN",
        &[
            ("null", "null"),
            ("true", "true"),
            ("false", "false"),
            ("0", "false"),
            ("-0.0e5", "false"),
            ("1", "true"),
            ("-0.5", "true"),
            ("1e999", "true"),
            (r#""TRUE""#, "true"),
            (r#""false""#, "false"),
            (r#""yes""#, "false"),
            (r#""""#, "false"),
            ("{}", "!"),
            ("[true]", "!"),
        ],
    ),
    (
        "VARCHAR(4)",
        &[
            ("null", "null"),
            ("true", r#""true""#),
            ("false", r#""fals""#),
            ("12.50", r#""12.5""#),
            ("1e3", r#""1e3""#),
            (r#""abc""#, r#""abc""#),
            (r#""abcde""#, r#""abcd""#),
            (r#""äöüßé""#, r#""äöüß""#),
            (r#""a\n\u00e9bc""#, r#""a\néb""#),
            (r#""""#, r#""""#),
            ("[1, 2]", r#""[1, ""#),
            (r#"{"a":1}"#, r#""{\"a\"""#),
        ],
    ),
    ("CHAR(4)", &[("null", "null"), (r#""ab""#, r#""ab  ""#), (r#""abcde""#, r#""abcd""#), ("1", r#""1   ""#)]),
    (
        "VARBINARY(2)",
        &[
            ("null", "null"),
            ("true", r#""AQ==""#),
            ("false", r#""AA==""#),
            ("1", "!"),
            (r#""X'3F67'""#, r#""P2c=""#),
            (r#""x'3f'""#, r#""Pw==""#),
            (r#""X''""#, r#""""#),
            (r#""X'3F6'""#, "!"),
            (r#""X'3G'""#, "!"),
            (r#""X'3F67AA'""#, "!"),
            (r#""3F67""#, "!"),
            ("{}", "!"),
            ("[]", "!"),
        ],
    ),
    ("BINARY(2)", &[("true", r#""AAE=""#), ("false", r#""AAA=""#), (r#""X'3F'""#, r#""PwA=""#), ("0", "!")]),
    (
        "DATE",
        &[
            ("null", "null"),
            ("true", "!"),
            ("19920214", "!"),
            (r#""1992-02-14""#, r#""1992-02-14""#),
            (r#""1992-02-14 18:35:44.0""#, r#""1992-02-14""#),
            (r#""1992-02-30""#, "!"),
            (r#""14.2.1992""#, "!"),
            ("{}", "!"),
        ],
    ),
    (
        "TIME",
        &[
            ("null", "null"),
            ("false", "!"),
            ("5", "!"),
            (r#""18:35:44""#, r#""18:35:44""#),
            (r#""18:35:44.5""#, r#""18:35:44.500""#),
            (r#""1992-02-14 18:35:44.0""#, r#""18:35:44""#),
            (r#""1992-02-14""#, "!"),
            ("[]", "!"),
        ],
    ),
    (
        "TIMESTAMP",
        &[
            ("null", "null"),
            ("true", "!"),
            ("1767225600123", "!"),
            (r#""1767225600123""#, "!"),
            (r#""1992-02-14""#, r#""1992-02-14T00:00:00.000""#),
            (r#""1992-02-14 18:35:44.0""#, r#""1992-02-14T18:35:44.000""#),
            (r#""1992-02-14 18:35:44""#, r#""1992-02-14T18:35:44.000""#),
            (r#""1992-02-14T18:35:44.123456""#, r#""1992-02-14T18:35:44.123""#),
            (r#""1992-02-14T18:35:44+01:00""#, r#""1992-02-14T17:35:44.000""#),
            (r#""soon""#, "!"),
            (r#""""#, "!"),
            ("{}", "!"),
            ("[]", "!"),
        ],
    ),
];

#[test]
fn every_cell_of_the_matrix_is_as_documented() {
    for (kind, cells) in CELLS {
        for (value, expected) in *cells {
            let record = format!(r#"{{"C":{value}}}"#);
            let decoded = decode(&[("C", kind)], &[&record]);
            if *expected == "!" {
                let reason = &decoded.rejected.first().unwrap_or_else(|| panic!("{kind} {value} is taken")).reason;
                let shown = value.trim_matches('"');
                let told = format!("column `C`: `{shown}` cannot become {}", kind.parse::<KdaType>().unwrap());
                assert!(reason.starts_with(&told), "{reason}");
            } else {
                assert_eq!(decoded.rejected, [], "{kind} {value}");
                assert_eq!(lines(&decoded), [format!(r#"{{"C":{expected}}}"#)], "{kind} {value}");
            }
        }
    }
}

#[test]
fn a_bad_value_leaves_its_whole_row_out_and_no_other() {
    let columns = [("A", "VARCHAR(2)"), ("B", "INTEGER")];
    let records = [r#"{"A":"abc","B":1}"#, r#"{"A":"x","B":"y"}"#, r#"{"B":2}"#];
    let decoded = decode(&columns, &records);
    assert_eq!(lines(&decoded), [r#"{"A":"ab","B":1}"#, r#"{"A":null,"B":2}"#]);
    assert_eq!(decoded.records, Some(vec![0, 2]));
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!(decoded.rejected[0].record, 1);
}

#[test]
fn a_record_may_hold_several_documents() {
    let columns = [("A", "INTEGER")];
    for (record, rows, rejected) in [
        (r#"{"A":1}{"A":2}"#, &["1", "2"][..], 0),
        ("{\"A\":1}\n{\"A\":2}\r\n\n", &["1", "2"], 0),
        (r#" {"A":1} {"A":"x"} {"A":3} "#, &["1", "3"], 1),
        (r#"{"A":1} {"A":2"#, &["1"], 1),
        (r#"{"A":1} 5 {"A":2}"#, &["1", "2"], 1),
        (r#"{"A":1}, {"A":2}"#, &["1"], 1),
        (r#"[{"A":1}]"#, &[], 1),
        ("", &[], 1),
    ] {
        let decoded = decode(&columns, &[record, r#"{"A":9}"#]);
        let expected: Vec<_> = rows.iter().chain(&["9"]).map(|row| format!(r#"{{"A":{row}}}"#)).collect();
        assert_eq!(lines(&decoded), expected, "{record}");
        assert_eq!(decoded.rejected.len(), rejected, "{record}");
        let of_rows = decoded.records.unwrap_or_else(|| vec![0, 1]);
        assert_eq!(of_rows, [vec![0; rows.len()], vec![1]].concat(), "{record}");
    }
}

#[test]
fn names_are_told_by_case() {
    let decoded = decode(&[("Price", "INTEGER")], &[r#"{"price":1,"PRICE":2}"#, r#"{"Price":3}"#]);
    assert_eq!(lines(&decoded), [r#"{"Price":null}"#, r#"{"Price":3}"#]);
}

#[test]
fn types_fit_their_columns_or_are_refused() {
    let refused = |types: &str| -> OptionError {
        let good = table(&[("A", "VARCHAR(2)"), ("B", "INTEGER")], &[]);
        let table = TableDecl { options: [("kda.types", types)].into_iter().collect(), ..good };
        crate::formats::json::decoder(&table, &table.options.reader()).err().unwrap()
    };
    for (types, reason) in [
        ("VARCHAR(2)", "option 'kda.types': names 1 types for 2 columns"),
        ("VARCHAR(2);BIGINT", "option 'kda.types': names BIGINT for column `B`, which is declared as INT"),
        ("VARCHAR(2);TEXT", "option 'kda.types': `TEXT` is no type"),
    ] {
        assert!(refused(types).to_string().starts_with(reason), "{}", refused(types));
    }
}

#[test]
fn rows_are_written_as_the_service_did() {
    let columns = [
        ("S", "VARCHAR(9)"),
        ("I", "BIGINT"),
        ("D", "DECIMAL(8,2)"),
        ("R", "REAL"),
        ("L", "BOOLEAN"),
        ("B", "VARBINARY(4)"),
        ("DAY", "DATE"),
        ("CLOCK", "TIME"),
        ("AT", "TIMESTAMP"),
    ];
    let full = r#"{"S":"a,\"b\"","I":9007199254740993,"D":1234.5,"R":0.5,"L":true,"B":"X'00FF'",
        "DAY":"1992-02-14","CLOCK":"18:35:44","AT":"1992-02-14 18:35:44.5"}"#;
    let rows = decode(&columns, &[full, "{}"]).rows;
    let table = table(&columns, &[]);
    let options = table.options.reader();
    let json = crate::formats::json::encoder(&table, &options).unwrap().encode(&rows).unwrap();
    assert_eq!(
        json,
        [
            concat!(
                r#"{"S":"a,\"b\"","I":9007199254740993,"D":1234.50,"R":0.5,"L":true,"B":"00ff","#,
                r#""DAY":"1992-02-14","CLOCK":"18:35:44","AT":"1992-02-14 18:35:44.500"}"#
            ),
            concat!(
                r#"{"S":null,"I":null,"D":null,"R":null,"L":null,"B":null,"#,
                r#""DAY":null,"CLOCK":null,"AT":null}"#
            ),
        ]
    );
    let csv = crate::formats::csv::encoder(&table, &options).unwrap().encode(&rows).unwrap();
    assert_eq!(
        csv,
        [
            "\"a,\"\"b\"\"\",9007199254740993,1234.50,0.5,true,00ff,1992-02-14,18:35:44,1992-02-14 18:35:44.500",
            ",,,,,,,,"
        ]
    );
}
