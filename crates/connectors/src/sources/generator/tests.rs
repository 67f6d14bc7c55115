//! That generated rows are what was asked for, and the same every time.

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use millstream_core::{Boundedness, Connectors, Offset, Offsets, ShardId, SourceEvent, Start, TableDecl};

use super::*;
use crate::testing::{StepClock, collect, collect_until, payloads};
use crate::{Context, Registry};

fn table(more: &[(&str, &str)]) -> TableDecl {
    let device = Fields::from(vec![Field::new("os", DataType::Utf8, true)]);
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("user_id", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("device", DataType::Struct(device), true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ];
    let base = [
        ("connector", "generator"),
        ("format", "json"),
        ("fields.id.kind", "sequence"),
        ("fields.user_id.values", "u1, u2,u3"),
        ("fields.user_id.skew", "2"),
        ("fields.price.min", "5"),
        ("fields.price.max", "6"),
        ("fields.device.os.length", "3"),
        ("fields.at.max-past", "5 s"),
    ];
    let options = base.iter().chain(more).copied().collect();
    TableDecl { name: "g".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options }
}

fn registry() -> Registry {
    Registry::new(Context::new(Arc::new(StepClock::at(1_767_225_600_000))))
}

async fn rows(more: &[(&str, &str)], resume: Offsets) -> std::collections::BTreeMap<String, Vec<String>> {
    payloads(&collect(registry().source(&table(more)).unwrap(), resume).await.unwrap())
}

#[tokio::test]
async fn rows_are_a_function_of_the_seed() {
    let full_speed = [("rows-per-second", "0"), ("number-of-rows", "10000"), ("shards", "3"), ("seed", "7")];
    let first = rows(&full_speed, Offsets::default()).await;
    assert_eq!(first.values().map(Vec::len).collect::<Vec<_>>(), [3334, 3333, 3333]);
    assert_eq!(first, rows(&full_speed, Offsets::default()).await);
    let other = [("rows-per-second", "0"), ("number-of-rows", "10000"), ("shards", "3"), ("seed", "8")];
    assert_ne!(first, rows(&other, Offsets::default()).await);

    let (shard, records) = first.first_key_value().unwrap();
    let resume = [(ShardId::from(shard.as_str()), Offset::from(1000 * 3 + 1))].into_iter().collect();
    assert_eq!(rows(&full_speed, resume).await[shard], records[1001..]);
}

#[tokio::test]
async fn rows_decode_to_the_declared_columns() {
    let table = table(&[("number-of-rows", "500")]);
    let events = collect(registry().source(&table).unwrap(), Offsets::default()).await.unwrap();
    let mut decoder = registry().decoder(&table).unwrap();
    let mut rows = 0;
    for event in &events {
        if let SourceEvent::Chunk(chunk) = event {
            let out = decoder.decode(chunk).unwrap();
            assert_eq!(out.rejected, []);
            assert_eq!(out.rows.columns().iter().map(|column| column.null_count()).sum::<usize>(), 0);
            rows += out.rows.num_rows();
        }
    }
    assert_eq!(rows, 500);
    let text = payloads(&events).into_values().flatten().collect::<Vec<_>>();
    assert!(text[0].starts_with(r#"{"id":0,"user_id":"u"#), "{}", text[0]);
    let common = text.iter().filter(|row| row.contains(r#""u1""#)).count();
    assert!(common > 250, "the first value is the most frequent: {common}");
}

#[tokio::test]
async fn a_live_generator_keeps_its_rate() {
    let source = registry().source(&table(&[("rows-per-second", "1000")])).unwrap();
    let ten_seconds = |events: &[SourceEvent]| {
        events.iter().any(|event| matches!(event, SourceEvent::Tip { as_of, .. } if as_of.0 >= 1_767_225_610_000))
    };
    let events = collect_until(source, Offsets::default(), ten_seconds).await.unwrap();
    let made: usize = payloads(&events).values().map(Vec::len).sum();
    assert!((10_000..10_100).contains(&made), "{made}");
}

#[tokio::test]
async fn a_generator_starts_at_its_first_row_whatever_is_said() {
    let some = [("rows-per-second", "0"), ("number-of-rows", "100"), ("shards", "3")];
    let first = rows(&some, Offsets::default()).await;
    let at = Start::At(EventTime(1));
    for start in [Start::Beginning, Start::Latest, at] {
        let resume = Resume { start: Some(start), since: Some(EventTime(5)), ..Resume::default() };
        let events = collect(registry().source(&table(&some)).unwrap(), resume).await.unwrap();
        assert_eq!(payloads(&events), first, "{start:?}");
        for event in &events {
            if let SourceEvent::Chunk(chunk) = event {
                assert!(chunk.sequence_numbers.is_some(), "a chunk can be cut at an offset");
            }
        }
    }
}

#[tokio::test]
async fn a_shard_that_is_gone_is_told() {
    let resume: Offsets = [(ShardId::from("shardId-000000000002"), Offset::from(3))].into_iter().collect();
    let source = registry().source(&table(&[("shards", "2")])).unwrap();
    let error = collect_until(source, resume, |_| false).await.unwrap_err().to_string();
    assert!(error.contains("the generator has 2 shards now"), "{error}");
}

#[test]
fn options_are_checked() {
    for (more, key) in [
        (&[("fields.nobody.min", "1")][..], "fields.nobody.min"),
        (&[("fields.id.mim", "1")], "fields.id.mim"),
        (&[("fields.at.length", "1")], "fields.at.length"),
        (&[("fields.price.kind", "sequence")], "fields.price.kind"),
        (&[("fields.price.max", "1")], "fields.price.max"),
        (&[("rows-per-secnd", "1")], "rows-per-secnd"),
        (&[("format", "csv")], "format"),
        (&[("shards", "0")], "shards"),
    ] {
        assert_eq!(registry().check(&table(more)).unwrap_err().key, key);
    }
    let unsaid = TableDecl { options: [("connector", "generator")].into_iter().collect(), ..table(&[]) };
    assert!(registry().check(&unsaid).is_ok() && registry().decoder(&unsaid).is_ok(), "the format need not be said");
    let bounded = |more| registry().check(&table(more)).unwrap().source;
    assert_eq!(bounded(&[]), Some(Boundedness::Unbounded));
    assert_eq!(bounded(&[("fields.id.end", "9")]), Some(Boundedness::Bounded));
}
