//! JSON records to Arrow: this project's decoder and `arrow-json`, one thread, the same records and columns.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{BinaryArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_connectors::{Context, Registry};
use millstream_core::{BoxFuture, Chunk, Clock, Connectors, Decoder, Duration, EventTime, Offset, ShardId, TableDecl};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::in_turn::compare;

/// Records of one chunk: about a mebibyte, as readers of files make them.
const RECORDS: usize = 5_000;
const CHUNKS: usize = 20;

/// A kind of event.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// 148 bytes: two numbers, four short texts, a timestamp.
    Click,
    /// 224 bytes: a bid of Nexmark; three numbers, a URL, two texts, a timestamp.
    Bid,
    /// The same, with the white space that Python's `json.dumps` puts.
    SpacedBid,
}

impl Event {
    fn schema(self) -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let columns = match self {
            Self::Click => vec![
                ("event_id", DataType::Int64),
                ("user_id", DataType::Utf8),
                ("event", DataType::Utf8),
                ("page", DataType::Utf8),
                ("duration_ms", DataType::Int64),
                ("country", DataType::Utf8),
                ("event_time", time),
            ],
            Self::Bid | Self::SpacedBid => vec![
                ("auction", DataType::Int64),
                ("bidder", DataType::Int64),
                ("price", DataType::Int64),
                ("channel", DataType::Utf8),
                ("url", DataType::Utf8),
                ("date_time", time),
                ("extra", DataType::Utf8),
            ],
        };
        Arc::new(Schema::new(columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>()))
    }

    fn records(self) -> Vec<String> {
        let mut random = SmallRng::seed_from_u64(1);
        (0..RECORDS).map(|number| self.record(number, &mut random)).collect()
    }

    fn record(self, number: usize, random: &mut SmallRng) -> String {
        let millis = number / 10;
        let time = format!("2026-01-01T00:{:02}:{:02}.{:03}", millis / 60_000, millis / 1000 % 60, millis % 1000);
        match self {
            Self::Click => format!(
                r#"{{"event_id":{},"user_id":"u-{:06}","event":"{}","page":"/p/{}","duration_ms":{},"country":"{}","event_time":"{time}Z"}}"#,
                100_000_000 + number,
                random.random_range(0..100_000),
                ["page_view", "add_to_cart", "search", "checkout"][random.random_range(0..4)],
                random.random_range(0..100_000),
                random.random_range(0..10_000),
                ["DE", "FR", "US"][random.random_range(0..3)],
            ),
            Self::Bid => format!(
                r#"{{"auction":{},"bidder":{},"price":{},"channel":"{}","url":"https://www.nexmark.com/item.htm?query=1&channel_id={}","date_time":"{time}","extra":"{:012x}{}"}}"#,
                random.random_range(1000..3000),
                random.random_range(1000..11_000),
                random.random_range(0..10_000_000),
                ["Google", "Facebook", "Baidu", "Apple"][number % 4],
                random.random_range(0..1 << 30),
                random.random_range(0..1_u64 << 40),
                "x".repeat(20),
            ),
            Self::SpacedBid => Self::Bid.record(number, random).replace("\":", "\": ").replace(",\"", ", \""),
        }
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> EventTime {
        EventTime(0)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn decoder(schema: &SchemaRef) -> Box<dyn Decoder> {
    let options = [("connector", "filesystem"), ("path", "unused"), ("format", "json")].into_iter().collect();
    let table = TableDecl { name: "events".into(), schema: Arc::clone(schema), primary_key: vec![], options };
    Registry::new(Context::new(Arc::new(Still))).decoder(&table).expect("the options are right")
}

fn chunk(records: &[String]) -> Chunk {
    Chunk {
        shard: ShardId::from("shard"),
        from: None,
        to: Offset::from(1),
        data: BinaryArray::from_iter_values(records),
        arrivals: TimestampMillisecondArray::from(vec![0; records.len()]),
        keys: None,
        sequence_numbers: None,
        sub_sequence_numbers: None,
        verdicts: None,
    }
}

/// Prints how fast both are, and how many times faster ours is.
pub(crate) fn run() {
    println!("decode: {CHUNKS} chunks of {RECORDS} records a run, one thread; M records/s are medians\n");
    println!("{:34} {:>8} {:>10} {:>10} {:>22}", "", "B/record", "millstream", "arrow-json", "ratio (min-max)");
    for event in [Event::Click, Event::Bid, Event::SpacedBid] {
        compare_on(event, "all columns", &[true; 7]);
    }
    let two: Vec<bool> = (0..7).map(|column| column == 1 || column == 5).collect();
    compare_on(Event::Bid, "two columns read of seven", &two);
}

fn compare_on(event: Event, what: &str, wanted: &[bool]) {
    let records = event.records();
    let (schema, chunk, lines) = (event.schema(), chunk(&records), records.join("\n"));
    let mut ours = decoder(&schema);
    ours.want(wanted);
    let decode = || {
        for _ in 0..CHUNKS {
            let decoded = ours.decode(black_box(&chunk)).expect("the decoder works");
            assert_eq!((black_box(decoded.rows).num_rows(), decoded.rejected.len()), (RECORDS, 0));
        }
    };
    let read = wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(column, _)| column);
    let schema = schema.project(&read.collect::<Vec<_>>()).expect("they are columns of it");
    let builder = arrow_json::ReaderBuilder::new(Arc::new(schema)).with_batch_size(RECORDS);
    let mut theirs = builder.build_decoder().expect("the schema is right");
    let decode_theirs = || {
        for _ in 0..CHUNKS {
            theirs.decode(black_box(lines.as_bytes())).expect("the records are right");
            let rows = theirs.flush().expect("the records are right").expect("there are records");
            assert_eq!(black_box(rows).num_rows(), RECORDS);
        }
    };
    let ratio = compare(decode, decode_theirs);
    #[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
    let rate = |time: std::time::Duration| (RECORDS * CHUNKS) as f64 / time.as_secs_f64() / 1e6;
    let [lowest, median, highest] = ratio.spread;
    println!(
        "{:34} {:>8} {:>10.2} {:>10.2} {:>22}",
        format!("{event:?}, {what}"),
        lines.len() / RECORDS,
        rate(ratio.ours),
        rate(ratio.theirs),
        format!("{median:.2} ({lowest:.2}-{highest:.2})"),
    );
}
