//! Records of every kind, good and broken, decoded and compared with what a reference parser makes of each alone.
//!
//! The reference is `serde_json` for the grammar and plain code below for the values. A failure prints its seed.
//!
//!     MILLSTREAM_CASES=50000000 MILLSTREAM_SEED=1000000 cargo test -p millstream-connectors --release fuzz -- --nocapture

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Fields, Float64Type, Int32Type, Int64Type, Schema, TimeUnit,
    TimestampMillisecondType,
};
use millstream_core::{Chunk, Decoder, EventTime, ShardId, TableDecl};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::formats::{number, time};
use crate::sources::chunks::ChunkBuilder;

/// Cases of one run in CI.
const CASES: u64 = 3_000;

fn item() -> Field {
    Field::new("item", DataType::Int32, true)
}

fn row_fields() -> Fields {
    Fields::from(vec![Field::new("x", DataType::Int32, true), Field::new("y", DataType::Utf8, true)])
}

fn schema() -> Schema {
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]);
    let map = DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false);
    let columns = [
        ("id", DataType::Int64, false),
        ("small", DataType::Int32, true),
        ("text", DataType::Utf8, true),
        ("a longer name than sixteen bytes", DataType::Utf8, true),
        ("float", DataType::Float64, true),
        ("flag", DataType::Boolean, true),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        ("money", DataType::Decimal128(10, 2), true),
        ("list", DataType::List(Arc::new(item())), true),
        ("map", map, true),
        ("row", DataType::Struct(row_fields()), true),
    ];
    Schema::new(columns.into_iter().map(|(name, kind, null)| Field::new(name, kind, null)).collect::<Vec<_>>())
}

/// The members of an object as they stand.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// What a record is: its columns as text, or nothing.
fn reference(schema: &Schema, record: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(record).ok()?;
    // The whole of it must be JSON, also what no column asks for: half a surrogate among it.
    serde_json::from_str::<serde_json::Value>(text).ok()?;
    object(schema.fields(), text)
}

fn object(fields: &Fields, text: &str) -> Option<Vec<String>> {
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut values = BTreeMap::new();
    for (key, raw) in &members {
        if let Some(field) = fields
            .iter()
            .find(|field| field.name() == key)
            .or_else(|| fields.iter().find(|field| *field.name() == key.to_lowercase()))
        {
            // Also a value that a later one replaces must be one.
            let shown = value(field.data_type(), raw.get())?;
            if shown == "null" && !field.is_nullable() {
                return None;
            }
            values.insert(field.name(), shown);
        }
    }
    fields
        .iter()
        .map(|field| values.remove(field.name()).or_else(|| field.is_nullable().then(|| "null".to_owned())))
        .collect()
}

fn value(kind: &DataType, raw: &str) -> Option<String> {
    let raw = raw.trim_matches([' ', '\n', '\r', '\t']);
    if raw == "null" {
        return Some("null".to_owned());
    }
    let quoted: Option<String> = raw.starts_with('"').then(|| serde_json::from_str(raw).ok()).flatten();
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let scalar = quoted.as_deref().or(is_number.then_some(raw));
    match kind {
        DataType::Int64 => whole(scalar?).and_then(|n| i64::try_from(n).ok()).map(|n| n.to_string()),
        DataType::Int32 => whole(scalar?).and_then(|n| i32::try_from(n).ok()).map(|n| n.to_string()),
        DataType::Utf8 => Some(quoted.unwrap_or_else(|| raw.to_owned())),
        DataType::Float64 => number::float(scalar?).map(|n| n.to_bits().to_string()),
        DataType::Boolean => match quoted.as_deref().unwrap_or(raw) {
            "true" | "false" if quoted.is_none() => Some(raw.to_owned()),
            text if quoted.is_some() && text.eq_ignore_ascii_case("true") => Some("true".to_owned()),
            text if quoted.is_some() && text.eq_ignore_ascii_case("false") => Some("false".to_owned()),
            _ => None,
        },
        DataType::Timestamp(unit, _) => {
            let text = scalar?;
            let digits = text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let read = if is_number || digits {
                time::epoch(text, TimeUnit::Millisecond, *unit)
            } else {
                time::timestamp(text, *unit)
            };
            read.ok().map(|at| at.to_string())
        }
        DataType::Decimal128(precision, scale) => {
            number::decimal(scalar?, *precision, *scale).map(|value| value.to_string())
        }
        DataType::List(field) => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(raw).ok()?;
            let items: Option<Vec<_>> = items.iter().map(|item| value(field.data_type(), item.get())).collect();
            Some(format!("[{}]", items?.join(",")))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let Members(members) = serde_json::from_str(raw).ok()?;
            let entry = |(key, raw): &(String, Box<RawValue>)| {
                value(fields[1].data_type(), raw.get()).map(|value| format!("{key:?}={value}"))
            };
            let entries: Option<Vec<_>> = members.iter().map(entry).collect();
            Some(format!("{{{}}}", entries?.join(",")))
        }
        DataType::Struct(fields) => object(fields, raw).map(|values| format!("({})", values.join(","))),
        _ => None,
    }
}

/// A whole number, written in any way: the digits with the point moved.
fn whole(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    number::integer(text)
}

/// A column's value as the reference shows it.
fn show(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_bits().to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMillisecondType>().value(row).to_string(),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|item| show(&items, item)).collect();
            format!("[{}]", items.join(","))
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let entries: Vec<_> =
                (0..entries.len()).map(|entry| format!("{:?}={}", keys.value(entry), show(values, entry))).collect();
            format!("{{{}}}", entries.join(","))
        }
        DataType::Struct(_) => {
            let columns = column.as_struct().columns();
            let values: Vec<_> = columns.iter().map(|column| show(column, row)).collect();
            format!("({})", values.join(","))
        }
        other => panic!("no column of this test has the type {other}"),
    }
}

/// Makes the records of one producer.
struct Producer {
    random: SmallRng,
    columns: Vec<(String, DataType)>,
    /// How it puts white space: not at all, as Python does, or anywhere.
    spacing: u8,
    /// How often in a thousand it does something else than usual.
    oddity: u32,
}

impl Producer {
    fn new(schema: &Schema, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut columns: Vec<_> =
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        columns.push(("Nobody asks".to_owned(), DataType::Utf8));
        columns.push(("extra".to_owned(), DataType::Struct(row_fields())));
        columns.shuffle(&mut random);
        if random.random_ratio(1, 3) {
            columns.retain(|(name, _)| name == "id" || random.random_ratio(2, 3));
        }
        let (spacing, oddity) = (random.random_range(0..3), *[0, 20, 300].choose(&mut random).unwrap());
        Self { random, columns, spacing, oddity }
    }

    fn odd(&mut self) -> bool {
        self.random.random_ratio(self.oddity, 1000)
    }

    fn record(&mut self) -> Vec<u8> {
        let mut columns = self.columns.clone();
        if self.odd() {
            columns.shuffle(&mut self.random);
        }
        if self.odd() {
            columns.extend(self.columns.choose(&mut self.random).cloned());
        }
        let mut out = String::from("{");
        let mut is_first = true;
        for (name, kind) in &columns {
            if self.odd() && self.odd() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.mark(&mut out, ",");
            }
            self.text(&mut out, name);
            self.mark(&mut out, ":");
            self.value(&mut out, kind);
        }
        out.push('}');
        if self.random.random_ratio(1, 2) {
            out.push('\n');
        }
        let mut bytes = out.into_bytes();
        while self.odd() && self.random.random_ratio(1, 2) {
            self.damage(&mut bytes);
        }
        bytes
    }

    fn mark(&mut self, out: &mut String, mark: &str) {
        let anywhere = self.spacing == 2;
        let mut space = |out: &mut String| {
            if anywhere && self.random.random_ratio(1, 4) {
                out.push(*[' ', '\n', '\t', '\r'].choose(&mut self.random).unwrap());
            }
        };
        space(out);
        out.push_str(mark);
        space(out);
        if self.spacing == 1 {
            out.push(' ');
        }
    }

    fn text(&mut self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            if character < ' ' || matches!(character, '"' | '\\') || (self.odd() && self.odd()) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }

    fn value(&mut self, out: &mut String, kind: &DataType) {
        if self.odd() {
            let odd = [
                "null",
                "true",
                "-0",
                "1e3",
                "1.0",
                "\"12\"",
                "[]",
                "{}",
                "[1,[2,{\"a\":null}]]",
                "1E+2",
                "-",
                "01",
                "1.",
                "\"\\ud83d\\ude00\"",
                "\"\\ud83d\"",
                "\"\\/\\b\\f\\n\\r\\t\"",
                "9223372036854775808",
                "123456789012345678901234567890",
                "0.1e-400",
                "1e400",
                "nul",
                "\"\u{e9}\u{1f600}\"",
                "\"\t\"",
            ];
            out.push_str(odd.choose(&mut self.random).unwrap());
            return;
        }
        let digits = self.random.random_range(0..20);
        let number = self.random.random::<i64>() / 10i64.pow(digits.min(18));
        match kind {
            DataType::Int64 | DataType::Int32 => {
                let number = if matches!(kind, DataType::Int32) { number % 3_000_000_000 } else { number };
                let _ = write!(out, "{number}");
            }
            DataType::Float64 => {
                let _ = match digits % 3 {
                    0 => write!(out, "{number}.{}", number.unsigned_abs()),
                    1 => write!(out, "{:e}", f64::from_bits(number.cast_unsigned()).clamp(-1e300, 1e300)),
                    _ => write!(out, "{number}"),
                };
            }
            DataType::Boolean => out.push_str(if number % 2 == 0 { "true" } else { "false" }),
            DataType::Decimal128(..) => {
                let _ = write!(out, "{}.{}", number % 1_000_000_000, number.unsigned_abs() % 1000);
            }
            DataType::Timestamp(..) => {
                let minute = number.rem_euclid(3);
                let (second, millis) = (number.rem_euclid(61), number.rem_euclid(1001));
                let _ = match digits % 5 {
                    0 => write!(out, "{}", number.rem_euclid(2_000_000_000_000)),
                    1 => write!(out, "\"2026-02-28 23:5{minute}:{second:02}\""),
                    2 => write!(out, "\"2026-02-28T23:5{minute}:{second:02}.{millis:03}Z\""),
                    3 => write!(out, "\"2026-02-2{minute}T23:59:{second:02}.{millis}+01:00\""),
                    _ => write!(out, "\"2026-02-28T23:59:{second:02}.{millis:03}\""),
                };
            }
            DataType::List(field) => {
                out.push('[');
                for index in 0..digits % 4 {
                    if index > 0 {
                        self.mark(out, ",");
                    }
                    self.value(out, field.data_type());
                }
                out.push(']');
            }
            DataType::Map(..) => {
                out.push('{');
                for index in 0..digits % 3 {
                    if index > 0 {
                        self.mark(out, ",");
                    }
                    self.text(out, &format!("key {index}"));
                    self.mark(out, ":");
                    self.value(out, &DataType::Int64);
                }
                out.push('}');
            }
            DataType::Struct(fields) => {
                out.push('{');
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        self.mark(out, ",");
                    }
                    self.text(out, field.name());
                    self.mark(out, ":");
                    self.value(out, field.data_type());
                }
                out.push('}');
            }
            _ => {
                let length = self.random.random_range(0..50);
                let alphabet = ['a', 'b', ' ', '/', '"', '\\', '\u{1}', '\u{e9}', '\u{1f600}', '}', ',', ':', '\u{7f}'];
                let plain = !self.odd();
                let text: String = (0..length)
                    .map(|_| if plain { 'x' } else { *alphabet.choose(&mut self.random).unwrap() })
                    .collect();
                self.text(out, &text);
            }
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.random_range(0..=bytes.len());
        match self.random.random_range(0..5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = self.random.random(),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, *b"{}[]\",:\\ 0-e.\n\x00\xff\xc3".choose(&mut self.random).unwrap()),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

fn chunk(records: &[Vec<u8>]) -> Chunk {
    let mut builder = ChunkBuilder::new(ShardId::from("s"), None);
    for (index, record) in records.iter().enumerate() {
        builder.push(record, EventTime(0), None, &(index + 1).to_string());
    }
    builder.take().unwrap().unwrap()
}

fn shown(rows: &RecordBatch, row: usize, wanted: &[bool]) -> Vec<String> {
    let columns = rows.columns().iter().zip(wanted).filter(|(_, wanted)| **wanted);
    columns.map(|(column, _)| show(column, row)).collect()
}

/// One producer's records, in chunks; answers how many were good and bad.
fn case(schema: &Schema, seed: u64) -> (usize, usize) {
    let table = TableDecl {
        name: "t".into(),
        schema: Arc::new(schema.clone()),
        primary_key: vec![],
        options: [].into_iter().map(|none: (&str, &str)| none).collect(),
    };
    let mut decoder: Box<dyn Decoder> = super::decoder(&table, &table.options.reader()).unwrap();
    let mut producer = Producer::new(schema, seed);
    let mut wanted = vec![true; schema.fields().len()];
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4 {
        let length = producer.random.random_range(1..12);
        let records: Vec<Vec<u8>> = (0..length).map(|_| producer.record()).collect();
        let decoded = decoder.decode(&chunk(&records)).unwrap();
        let mut rows = 0;
        for (index, record) in records.iter().enumerate() {
            let text = || format!("seed {seed}, record {index}: {}", String::from_utf8_lossy(record));
            let index = u32::try_from(index).unwrap();
            let rejected = decoded.rejected.iter().find(|rejected| rejected.record == index);
            match reference(schema, record) {
                Some(expected) => {
                    assert_eq!(rejected, None, "{}", text());
                    let expected: Vec<String> = expected
                        .into_iter()
                        .zip(&wanted)
                        .filter(|(_, wanted)| **wanted)
                        .map(|(value, _)| value)
                        .collect();
                    assert_eq!(shown(&decoded.rows, rows, &wanted), expected, "{}", text());
                    assert_eq!(decoded.records.as_ref().map_or(index, |records| records[rows]), index, "{}", text());
                    rows += 1;
                    good += 1;
                }
                None => {
                    assert!(rejected.is_some(), "{}", text());
                    bad += 1;
                }
            }
        }
        assert_eq!(decoded.rows.num_rows(), rows, "seed {seed}");
        wanted = wanted.iter().map(|_| producer.random.random()).collect();
        decoder.want(&wanted);
    }
    (good, bad)
}

#[test]
fn every_record_is_what_the_reference_makes_of_it() {
    let number = |name| std::env::var(name).ok().map(|number| number.parse().unwrap());
    let (first, cases) = (number("MILLSTREAM_SEED").unwrap_or(0), number("MILLSTREAM_CASES").unwrap_or(CASES));
    let (schema, mut good, mut bad) = (schema(), 0_u64, 0_u64);
    for seed in first..first + cases {
        let (more_good, more_bad) = case(&schema, seed);
        (good, bad) = (good + more_good as u64, bad + more_bad as u64);
    }
    println!("seeds {first} to {}: {good} good records and {bad} bad ones, no difference", first + cases);
    assert!(good > 1000 && bad > 1000);
}
