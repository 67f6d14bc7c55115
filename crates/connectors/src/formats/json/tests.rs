//! What JSON records become, and why those that become nothing do not.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use millstream_core::{Chunk, Decoded, EventTime, ShardId, TableDecl};
use proptest::prelude::*;

use super::json_rows;
use crate::sources::chunks::ChunkBuilder;

fn chunk(records: &[&[u8]]) -> Chunk {
    let mut builder = ChunkBuilder::new(ShardId::from("s"), None);
    for (index, record) in records.iter().enumerate() {
        builder.push(record, EventTime(0), None, &(index + 1).to_string());
    }
    builder.take().unwrap().unwrap()
}

fn schema(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
}

fn decode_as(schema: &Schema, options: &[(&str, &str)], records: &[&[u8]]) -> Decoded {
    let options = options.iter().copied().collect();
    let table = TableDecl { name: "t".into(), schema: Arc::new(schema.clone()), primary_key: vec![], options };
    let mut decoder = super::decoder(&table, &table.options.reader()).unwrap();
    decoder.decode(&chunk(records)).unwrap()
}

fn lines(rows: &RecordBatch) -> Vec<String> {
    let mut out = Vec::new();
    json_rows(rows, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn zoned() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn row_type() -> DataType {
    let list = DataType::new_list(DataType::Int32, true);
    DataType::Struct(Fields::from(vec![Field::new("os", DataType::Utf8, true), Field::new("v", list, true)]))
}

fn map_type() -> DataType {
    let fields =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields), false)), false)
}

/// One value for a column `c` of each type, and what is printed of it; or a part of the reason.
#[test]
fn values_become_what_their_column_holds() {
    use DataType::*;
    let ms = || Timestamp(TimeUnit::Millisecond, None);
    let cases: Vec<(DataType, &str, Result<&str, &str>)> = vec![
        (Boolean, "true", Ok("true")),
        (Boolean, r#""False""#, Ok("false")),
        (Boolean, "1", Err("column `c`: expected true or false, found `1`")),
        (Int8, "127", Ok("127")),
        (Int8, "128", Err("column `c`: `128` is out of range for TINYINT")),
        (Int32, "-0", Ok("0")),
        (Int64, "9223372036854775807", Ok("9223372036854775807")),
        (Int64, "9223372036854775808", Err("`9223372036854775808` is out of range for BIGINT")),
        (Int64, "-9223372036854775808", Ok("-9223372036854775808")),
        (UInt64, "18446744073709551615", Ok("18446744073709551615")),
        (UInt8, "-1", Err("`-1` is out of range for BIGINT UNSIGNED")),
        (Int64, "1.5", Err("column `c`: expected a whole number, found `1.5`")),
        (Int64, "1.0", Ok("1")),
        (Int64, "1e3", Ok("1000")),
        (Int64, r#""12""#, Ok("12")),
        (Int64, r#""twelve""#, Err("expected a whole number, found `twelve`")),
        (Int64, "true", Err("expected a whole number, found `true`")),
        (Int64, "{}", Err("column `c`: expected a value, found `{` at byte 5")),
        (Int64, "012", Err("expected")),
        (Float64, "0.1", Ok("0.1")),
        (Float64, "1e400", Err("expected DOUBLE, found `1e400`")),
        (Float64, "3", Ok("3.0")),
        (Float32, "0.1", Ok("0.1")),
        (Float64, "NaN", Err("expected a value")),
        (Float64, r#""NaN""#, Err("expected DOUBLE, found `NaN`")),
        (Decimal128(10, 2), "1.005", Ok("1.01")),
        (Decimal128(10, 2), r#""12.30""#, Ok("12.30")),
        (Decimal128(4, 2), "100", Err("expected DECIMAL(4, 2), found `100`")),
        (Decimal128(38, 0), "99999999999999999999999999999999999999", Ok("99999999999999999999999999999999999999")),
        (Utf8, r#""a\"\u00e9\ud83d\ude00""#, Ok(r#""a\"é😀""#)),
        (Utf8, "12.50", Ok(r#""12.50""#)),
        (Utf8, "true", Ok(r#""true""#)),
        (Utf8, r#"{"a": [1]}"#, Ok(r#""{\"a\": [1]}""#)),
        (Utf8View, r#""longer than twelve bytes""#, Ok(r#""longer than twelve bytes""#)),
        (Utf8, r#""a"#, Err("expected the closing quote")),
        (Binary, r#""AP8=""#, Ok(r#""AP8=""#)),
        (Binary, r#""A""#, Err("expected base64")),
        (Date32, r#""2026-01-31""#, Ok(r#""2026-01-31""#)),
        (Date32, r#""2026-02-30""#, Err("expected a date such as 2026-01-31, found `2026-02-30`")),
        (Date32, "5", Err("expected DATE as text, found `5`")),
        (Time32(TimeUnit::Millisecond), r#""12:30:01.5""#, Ok(r#""12:30:01.500""#)),
        (ms(), r#""2026-01-01T00:00:00.123456Z""#, Ok(r#""2026-01-01T00:00:00.123""#)),
        (ms(), r#""2026-01-01 00:00:00""#, Ok(r#""2026-01-01T00:00:00.000""#)),
        (zoned(), r#""2026-01-01T02:00:00+02:00""#, Ok(r#""2026-01-01T00:00:00.000Z""#)),
        (
            Timestamp(TimeUnit::Nanosecond, None),
            r#""2026-01-01T00:00:00.123456789""#,
            Ok(r#""2026-01-01T00:00:00.123""#),
        ),
        (Timestamp(TimeUnit::Microsecond, None), "1767225600123", Ok(r#""2026-01-01T00:00:00.123""#)),
        (ms(), "1767225600123", Ok(r#""2026-01-01T00:00:00.123""#)),
        (ms(), r#""soon""#, Err("column `c`: expected a timestamp such as 2026-01-31T12:30:00.123Z, found `soon`")),
        (row_type(), r#"{"v":[1,null,2],"x":{},"os":"l"}"#, Ok(r#"{"os":"l","v":[1,null,2]}"#)),
        (row_type(), "{}", Ok(r#"{"os":null,"v":null}"#)),
        (row_type(), r#"{"v":[1,"x"]}"#, Err("column `c.v.[1]`: expected a whole number, found `x`")),
        (row_type(), "[]", Err("column `c`: expected an object, found `[`")),
        (map_type(), r#"{"a":1,"b":null}"#, Ok(r#"{"a":1,"b":null}"#)),
        (map_type(), r#"{"a":1.5}"#, Err("column `c`: expected a whole number, found `1.5`")),
    ];
    for (kind, value, expected) in cases {
        let record = format!(r#"{{"c":{value}}}"#);
        let decoded = decode_as(&schema(&[("c", kind.clone())]), &[], &[record.as_bytes()]);
        match expected {
            Ok(printed) => {
                assert_eq!(decoded.rejected, [], "{kind} {value}");
                assert_eq!(lines(&decoded.rows), [format!(r#"{{"c":{printed}}}"#)], "{kind} {value}");
            }
            Err(reason) => {
                assert_eq!(decoded.rows.num_rows(), 0, "{kind} {value}");
                assert!(decoded.rejected[0].reason.contains(reason), "{kind} {value}: {}", decoded.rejected[0].reason);
            }
        }
        let null = decode_as(&schema(&[("c", kind)]), &[], &[br#"{"c":null}"#, b"{}"]);
        assert_eq!(lines(&null.rows), [r#"{"c":null}"#, r#"{"c":null}"#]);
    }
}

#[test]
fn records_that_are_not_one_object_are_rejected() {
    let schema = schema(&[("a", DataType::Int64)]);
    let bad: [&[u8]; 16] = [
        b"",
        b" ",
        b"1",
        b"[]",
        b"null",
        b"\"a\"",
        b"{",
        br#"{"a":1"#,
        br#"{"a":1}}"#,
        br#"{"a":1}{"a":2}"#,
        br#"{"a":1},"#,
        br#"{"a":1 "b":2}"#,
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        b"{\"b\":\"\xff\"}",
        br#"{"a":1,}"#,
    ];
    let decoded = decode_as(&schema, &[], &bad);
    assert_eq!(decoded.rows.num_rows(), 0);
    let records: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.record).collect();
    assert_eq!(records, (0..16).collect::<Vec<_>>());
}

#[test]
fn halves_of_records_never_join() {
    let schema = schema(&[("a", DataType::Int64), ("s", DataType::Utf8)]);
    for halves in [
        [&br#"{"a":1}{"a""#[..], &b":2}"[..]],
        [br#"{"a":1,"s":""#, br#""}"#],
        [b"{\"s\":\"\xc3", b"\xa9\"}"],
        [br#"{"a":1"#, b"2}"],
    ] {
        let decoded = decode_as(&schema, &[], &[br#"{"a":7}"#, halves[0], halves[1], br#"{"a":8,"s":"x"}"#]);
        assert_eq!(lines(&decoded.rows), [r#"{"a":7,"s":null}"#, r#"{"a":8,"s":"x"}"#]);
        assert_eq!(decoded.records, Some(vec![0, 3]));
        assert_eq!(decoded.rejected.iter().map(|rejected| rejected.record).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn of_a_key_given_twice_the_last_value_counts() {
    let schema = schema(&[("a", DataType::Utf8), ("r", row_type())]);
    let record = br#"{"a":"x","r":{"v":[1,2]},"a":"y","r":{"os":"l","os":"m"},"a":null}"#;
    let decoded = decode_as(&schema, &[], &[record, br#"{"r":{"v":[3]}}"#]);
    assert_eq!(
        lines(&decoded.rows),
        [r#"{"a":null,"r":{"os":"m","v":null}}"#, r#"{"a":null,"r":{"os":null,"v":[3]}}"#]
    );
}

#[test]
fn a_column_that_is_not_null_needs_a_value() {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
    let decoded = decode_as(&schema, &[], &[b"{}", br#"{"id":null}"#, br#"{"id":1}"#]);
    assert_eq!(decoded.records, Some(vec![2]));
    let reasons: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["column `id`: is missing, but the column is NOT NULL", "column `id`: is null, but the column is NOT NULL"]
    );
}

#[test]
fn options_change_numbers_and_missing_fields() {
    let time = schema(&[("at", DataType::Timestamp(TimeUnit::Millisecond, None))]);
    let decoded = decode_as(&time, &[("json.timestamp-format", "epoch-seconds")], &[br#"{"at":1767225600.5}"#]);
    assert_eq!(lines(&decoded.rows), [r#"{"at":"2026-01-01T00:00:00.500"}"#]);
    let decoded = decode_as(&time, &[("json.fail-on-missing-field", "true")], &[b"{}"]);
    assert!(decoded.rejected[0].reason.contains("is missing"));
    let options = [("json.ignore-parse-errors", "true")].into_iter().collect();
    let table = TableDecl { name: "t".into(), schema: Arc::new(time), primary_key: vec![], options };
    assert!(super::decoder(&table, &table.options.reader()).is_err());
}

#[test]
fn keys_in_any_order_are_found() {
    let schema = schema(&[("a", DataType::Int64), ("b\"", DataType::Int64), ("c", DataType::Int64)]);
    let records: Vec<String> = (0..60)
        .map(|n| match n % 3 {
            0 => format!(r#"{{"a":{n},"b\"":{n},"x":[{{}}],"c":{n}}}"#),
            1 => format!(r#"{{ "c" : {n} , "\u0061":{n},"b\u0022":{n} }}"#),
            _ => format!(r#"{{"x":null,"c":{n},"b\"":{n},"a":{n},"y":1}}"#),
        })
        .collect();
    let records: Vec<_> = records.iter().map(String::as_bytes).collect();
    let decoded = decode_as(&schema, &[], &records);
    let expected: Vec<_> = (0..60).map(|n| format!(r#"{{"a":{n},"b\"":{n},"c":{n}}}"#)).collect();
    assert_eq!(lines(&decoded.rows), expected);
}

fn any_record() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| serde_json::Value::from(s).to_string()),
        Just("null".to_owned()),
        Just("[1,2]".to_owned()),
        Just(r#"{"os":"x","v":[1]}"#.to_owned()),
    ];
    let member = (prop_oneof![Just("i"), Just("s"), Just("r"), Just("other")], value);
    let record = proptest::collection::vec(member, 0..6).prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    (record, 0..20usize).prop_map(|(mut record, cut)| {
        // Some are cut short.
        if cut < 3 {
            record.truncate(record.floor_char_boundary(record.len() * (cut + 1) / 4));
        }
        record
    })
}

proptest! {
    #[test]
    fn where_chunks_are_cut_does_not_matter(records in proptest::collection::vec(any_record(), 1..30), cut in 0..30usize) {
        let schema = schema(&[("i", DataType::Int64), ("s", DataType::Utf8), ("r", row_type())]);
        let records: Vec<_> = records.iter().map(String::as_bytes).collect();
        let whole = decode_as(&schema, &[], &records);
        prop_assert_eq!(whole.rows.num_rows() + whole.rejected.len(), records.len());
        let cut = cut.min(records.len());
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for part in [&records[..cut], &records[cut..]].into_iter().filter(|part| !part.is_empty()) {
            let decoded = decode_as(&schema, &[], part);
            rows.extend(lines(&decoded.rows));
            rejected.extend(decoded.rejected.into_iter().map(|rejected| rejected.reason));
        }
        prop_assert_eq!(lines(&whole.rows), rows);
        prop_assert_eq!(whole.rejected.into_iter().map(|rejected| rejected.reason).collect::<Vec<_>>(), rejected);
    }

    #[test]
    fn whatever_serde_takes_for_an_object_decodes(text in any_record()) {
        let decoded = decode_as(&Schema::empty(), &[], &[text.as_bytes()]);
        let serde = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
        prop_assert_eq!(decoded.rejected.is_empty(), serde.is_ok(), "{}", text);
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same(
        numbers in proptest::collection::vec(any::<Option<i64>>(), 1..20),
        text in any::<String>(),
        float in any::<f64>(),
    ) {
        use arrow::array::{ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
        let n = numbers.len();
        let times: Vec<_> = numbers.iter().map(|n| n.map(|n| n % 200_000_000_000_000 / 4 + 1)).collect();
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("i", Arc::new(Int64Array::from(numbers.clone())) as ArrayRef, true),
            ("s", Arc::new(StringArray::from(vec![text.as_str(); n])), true),
            ("f", Arc::new(Float64Array::from(vec![if float.is_finite() { float } else { 0.0 }; n])), true),
            ("d", Arc::new(numbers.iter().map(|n| n.map(i128::from)).collect::<Decimal128Array>()
                .with_precision_and_scale(38, 4).unwrap()), true),
            ("b", Arc::new(BinaryArray::from(vec![text.as_bytes(); n])), true),
            ("t", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")), true),
        ]).unwrap();
        let printed = lines(&rows);
        let records: Vec<_> = printed.iter().map(String::as_bytes).collect();
        let decoded = decode_as(&rows.schema(), &[], &records);
        prop_assert_eq!(decoded.rejected, []);
        prop_assert_eq!(decoded.rows, rows);
    }
}
