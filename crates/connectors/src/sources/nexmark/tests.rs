//! That events are those of the options, in every shape, from every number on.

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use millstream_core::{Boundedness, Connectors, Offset, Offsets, ShardId, SourceEvent, Start, TableDecl};
use serde_json::Value;

use super::*;
use crate::testing::{StepClock, collect, collect_until, payloads};
use crate::{Context, Registry};

const NOW: i64 = 1_767_225_600_000;
const FIXED: (&str, &str) = ("base-time", "2026-01-01T00:00:00Z");

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true)
}

fn person() -> Vec<Field> {
    vec![
        number("id"),
        text("name"),
        text("emailaddress"),
        text("creditcard"),
        text("city"),
        text("state"),
        time("dateTime"),
        text("extra"),
    ]
}

fn auction() -> Vec<Field> {
    vec![
        number("id"),
        text("itemname"),
        text("description"),
        number("initialbid"),
        number("reserve"),
        time("dateTime"),
        time("expires"),
        number("seller"),
        number("category"),
        text("extra"),
    ]
}

fn bid() -> Vec<Field> {
    vec![
        number("auction"),
        number("bidder"),
        number("price"),
        text("channel"),
        text("url"),
        time("datetime"),
        text("extra"),
    ]
}

fn all() -> Vec<Field> {
    let row = |name: &str, members: Vec<Field>| Field::new(name, DataType::Struct(Fields::from(members)), true);
    let kind = Field::new("event_type", DataType::Int32, true);
    vec![kind, row("person", person()), row("auction", auction()), row("bid", bid())]
}

fn table(fields: Vec<Field>, more: &[(&str, &str)]) -> TableDecl {
    let options = [("connector", "nexmark")].iter().chain(more).copied().collect();
    TableDecl { name: "nexmark".into(), schema: Arc::new(Schema::new(fields)), primary_key: vec![], options }
}

fn registry() -> Registry {
    Registry::new(Context::new(Arc::new(StepClock::at(NOW))))
}

async fn events(fields: Vec<Field>, more: &[(&str, &str)], resume: Offsets) -> Vec<SourceEvent> {
    collect(registry().source(&table(fields, more)).unwrap(), resume).await.unwrap()
}

/// The records of all shards, each as `(number of its event, record)`.
fn numbered(events: &[SourceEvent]) -> Vec<(u64, String)> {
    let mut records: Vec<(u64, String)> = Vec::new();
    for event in events {
        if let SourceEvent::Chunk(chunk) = event {
            let offsets = chunk.sequence_numbers.as_ref().unwrap().iter().flatten();
            let texts = chunk.data.iter().flatten().map(|data| String::from_utf8(data.to_vec()).unwrap());
            records.extend(offsets.map(|offset| offset.parse::<u64>().unwrap() - 1).zip(texts));
        }
    }
    records.sort();
    records
}

#[tokio::test]
async fn events_are_the_same_in_every_reading_and_however_they_are_sharded() {
    let given = [FIXED, ("events.num", "5000")];
    let first = numbered(&events(all(), &given, Offsets::default()).await);
    assert_eq!(first.len(), 5000);
    assert!(first.iter().map(|(number, _)| *number).eq(0..5000));
    let in_shards = [FIXED, ("events.num", "5000"), ("shards", "3")];
    assert_eq!(numbered(&events(all(), &in_shards, Offsets::default()).await), first);
    let kinds =
        |kind: &str| first.iter().filter(|(_, text)| text.starts_with(&format!("{{\"event_type\":{kind},"))).count();
    assert_eq!([kinds("0"), kinds("1"), kinds("2")], [100, 300, 4600]);
}

#[tokio::test]
async fn reading_goes_on_after_the_number_of_an_event() {
    let given = [FIXED, ("events.num", "5000"), ("shards", "2"), ("event", "bid")];
    let first = numbered(&events(bid(), &given, Offsets::default()).await);
    assert_eq!(first.len(), 4600);
    let shard = |index: u64| ShardId::from(format!("shardId-{index:012}"));
    let resume: Offsets = [(shard(0), Offset::from(4001)), (shard(1), Offset::from(1002))].into_iter().collect();
    let rest = numbered(&events(bid(), &given, resume).await);
    let expected = first.into_iter().filter(|(number, _)| *number > if number % 2 == 0 { 4000 } else { 1001 });
    assert_eq!(rest, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn one_kind_alone_is_the_same_events() {
    let unequal = [("person.proportion", "2"), ("auction.proportion", "5"), ("bid.proportion", "7")];
    for (fields, kind) in [(person(), "person"), (auction(), "auction"), (bid(), "bid")] {
        // 14 events a turn: what is left of the last one is cut within each kind in turn.
        for count in ["701", "704", "711", "713"] {
            let given: Vec<_> = [FIXED, ("events.num", count)].into_iter().chain(unequal).collect();
            let whole = numbered(&events(all(), &given, Offsets::default()).await);
            let members = whole.iter().filter_map(|(_, text)| {
                let event: Value = serde_json::from_str(text).unwrap();
                event.get(kind).cloned()
            });
            let alone: Vec<_> = given.iter().copied().chain([("event", kind), ("shards", "2")]).collect();
            let alone = numbered(&events(fields.clone(), &alone, Offsets::default()).await);
            let alone = alone.iter().map(|(_, text)| serde_json::from_str::<Value>(text).unwrap());
            assert!(alone.eq(members), "{kind} of {count}");
        }
    }
}

#[tokio::test]
async fn events_decode_to_the_columns_of_flinks_table() {
    for (fields, more) in [(all(), &[][..]), (person(), &[("event", "person")]), (auction(), &[("event", "auction")])] {
        let given: Vec<_> = [FIXED, ("events.num", "500")].iter().chain(more).copied().collect();
        let table = table(fields, &given);
        let events = collect(registry().source(&table).unwrap(), Offsets::default()).await.unwrap();
        let mut decoder = registry().decoder(&table).unwrap();
        for event in &events {
            let SourceEvent::Chunk(chunk) = event else { continue };
            let out = decoder.decode(chunk).unwrap();
            assert_eq!(out.rejected, []);
            let nulls: Vec<_> = out.rows.columns().iter().map(|column| column.null_count()).collect();
            let expected = if more.is_empty() { vec![0, 490, 470, 40] } else { vec![0; nulls.len()] };
            assert_eq!(nulls, expected);
        }
    }
    let first = numbered(&events(all(), &[FIXED, ("events.num", "1")], Offsets::default()).await);
    let first: Value = serde_json::from_str(&first[0].1).unwrap();
    assert_eq!(first["person"]["name"], "Vicky Noris");
    assert_eq!(first["person"]["city"], "Cheyenne");
    assert_eq!(first["person"]["dateTime"], NOW);
}

#[tokio::test]
async fn time_goes_on_at_the_rate_and_arrival_with_it() {
    let given = [FIXED, ("events.num", "201"), ("first-event.rate", "100"), ("next-event.rate", "100")];
    let events = events(all(), &given, Offsets::default()).await;
    let Some(SourceEvent::Chunk(chunk)) = events.last() else { panic!("the last event is a chunk") };
    assert_eq!(chunk.arrivals.values().last(), Some(&(NOW + 2000)));
}

#[tokio::test]
async fn a_live_source_keeps_its_rate_and_the_time_of_the_clock() {
    let (of_all, of_bids) = ((10_000..10_100, 9199), (9200..9300, 9999));
    for (fields, more, (expected, last)) in [(all(), &[][..], of_all), (bid(), &[("event", "bid")], of_bids)] {
        let given: Vec<_> = [("first-event.rate", "1000")].iter().chain(more).copied().collect();
        let source = registry().source(&table(fields, &given)).unwrap();
        let ten_seconds = |events: &[SourceEvent]| {
            events.iter().any(|event| matches!(event, SourceEvent::Tip { as_of, .. } if as_of.0 >= NOW + 10_000))
        };
        let resume: Offsets = [(ShardId::from("shardId-000000000000"), Offset::from(100_000))].into_iter().collect();
        let events = collect_until(source, resume, ten_seconds).await.unwrap();
        let made: Vec<_> = payloads(&events).into_values().flatten().collect();
        assert!(expected.contains(&made.len()), "{}", made.len());
        // Events that were made before have passed: the first one now has the time at which it is made.
        assert!(made[0].contains(&format!(r#""dateTime":{NOW},"#)), "{}", made[0]);
        assert!(made[9199].contains(&format!(r#""dateTime":{}"#, NOW + last)), "{}", made[9199]);
    }
}

#[tokio::test]
async fn it_starts_at_its_first_event_whatever_is_said() {
    let given = [FIXED, ("events.num", "100"), ("shards", "3")];
    let first = payloads(&events(all(), &given, Offsets::default()).await);
    for start in [Start::Beginning, Start::Latest, Start::At(EventTime(1))] {
        let resume = Resume { start: Some(start), since: Some(EventTime(5)), ..Resume::default() };
        let events = collect(registry().source(&table(all(), &given)).unwrap(), resume).await.unwrap();
        assert_eq!(payloads(&events), first, "{start:?}");
    }
}

#[test]
fn options_are_checked() {
    for (more, error) in [
        (&[("tps", "1")][..], "option 'tps': is unknown here"),
        (&[("rate.shape", "SINE")], "option 'rate.shape': is unknown here"),
        (&[("keep-alive", "true")], "option 'keep-alive': is unknown here"),
        (&[("events.num", "-1")], "option 'events.num': `-1` given, expected a whole number that is not negative"),
        (
            &[("first-event.rate", "0")],
            "option 'first-event.rate': `0` given, expected a whole number from 1 to 100000000",
        ),
        (&[("next-event.rate", "5")], "option 'next-event.rate': `5` given, but 'first-event.rate' is 10000"),
        (&[("auction.proportion", "0")], "option 'auction.proportion': `0` given, expected a whole number from 1"),
        (&[("bid.hot-ratio.bidders", "0")], "option 'bid.hot-ratio.bidders': `0` given, expected"),
        (&[("bid.avg-size", "1 gb")], "option 'bid.avg-size': `1073741824` bytes given, expected at most 1048576"),
        (&[("base-time", "noon")], "option 'base-time': "),
        (
            &[("base-time", "1969-12-31T00:00:00Z")],
            "option 'base-time': `1969-12-31T00:00:00Z` given, expected a time since",
        ),
        (&[("event", "bids")], "option 'event': `bids` given, expected one of all, person, auction, bid"),
        (&[("event", "bid")], "option 'connector': 'nexmark' has no column `event_type`; there are auction, bidder"),
        (&[("format", "csv")], "option 'format': `csv` given, expected one of json"),
        (&[("shards", "0")], "option 'shards': `0` given, expected 1 to 10000"),
    ] {
        let found = registry().check(&table(all(), more)).unwrap_err().to_string();
        assert!(found.starts_with(error), "{found}");
    }
    let mut wrong = all();
    wrong[3] = Field::new("bid", DataType::Struct(Fields::from(vec![number("auction"), number("amount")])), true);
    let found = registry().check(&table(wrong, &[])).unwrap_err().to_string();
    assert!(found.contains("no column `bid.amount`"), "{found}");
    let bounded = |more| registry().check(&table(all(), more)).unwrap().source;
    assert_eq!(bounded(&[]), Some(Boundedness::Unbounded));
    assert_eq!(bounded(&[("events.num", "0")]), Some(Boundedness::Unbounded));
    assert_eq!(bounded(&[("events.num", "9"), ("format", "json")]), Some(Boundedness::Bounded));
}
