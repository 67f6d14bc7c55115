//! The queries of the Nexmark benchmark, `queries/nexmark`: each gives the same rows as a stream and as a batch, and as
//! computed here from the text of Flink's project; what does not run is refused as the page says.

use std::collections::{BTreeMap, BTreeSet};

use millstream_sql::parse;
use serde_json::{Map, Value, json};

use crate::harness::{Cut, Run, batch, repository, sorted, stream_and_ask};
use crate::refused::engine;

const QUERIES: usize = 23;
/// Enough for each query to have rows, few enough for all of them to take seconds.
const EVENTS: &str = "'events.num' = '2000'";
/// Workers and shards, which the queries have in turn: to plan a query anew for each takes longer than to run it.
const CUTS: [(usize, u32); 3] = [(1, 1), (3, 2), (2, 3)];

fn read(file: &str) -> String {
    let path = repository().join("queries/nexmark").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A query's file as the tests run it: over fewer events, with its files where the tests have them.
struct Query {
    name: String,
    script: String,
    /// A SELECT of tables at its end.
    question: Option<String>,
    folder: tempfile::TempDir,
}

impl Query {
    fn new(number: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let side_input = repository().join("queries/nexmark/side_input.csv");
        let script = read(&format!("q{number}.sql"))
            .replace("'events.num' = '5000'", EVENTS)
            .replace("queries/nexmark/side_input.csv", &side_input.display().to_string())
            .replace("output/nexmark_q10", &folder.path().display().to_string());
        assert!(script.contains(EVENTS), "q{number} is over 5,000 events");
        let statements = parse(&script).unwrap_or_else(|error| panic!("q{number}: {error}"));
        let last = statements.last().expect("a file has statements").text.clone();
        let (script, question) = match script.rfind("\nSELECT").filter(|_| last.starts_with("SELECT")) {
            Some(at) => (script[..at].to_owned(), Some(last)),
            None => (script, None),
        };
        Self { name: format!("nexmark_q{number}"), script, question, folder }
    }

    fn stream(&self, workers: usize, shards: u32) -> Run {
        let script = self.script.replace(EVENTS, &format!("{EVENTS}, 'shards' = '{shards}'"));
        let cut = Cut { workers, ..Cut::default() };
        let run = stream_and_ask(&script, "", cut, self.question.as_deref());
        run.unwrap_or_else(|error| panic!("{} with {workers} workers, {shards} shards: {error}", self.name))
    }

    fn batch(&self) -> Vec<Value> {
        let mut results = batch(&self.script, "").unwrap_or_else(|error| panic!("{} as a batch: {error}", self.name));
        results.remove(&self.name).expect("the query has the name of its file")
    }

    /// The rows of the files that the query has written, as those of the batch would be; the files are gone then.
    fn files(&self, like: &Value) -> Vec<Value> {
        let mut rows = Vec::new();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::remove_file(file).unwrap();
            for line in text.lines() {
                let columns = like.as_object().unwrap().iter().zip(line.split(','));
                let value = |like: &Value, text: &str| if like.is_number() { number(text) } else { json!(text) };
                rows.push(columns.map(|((name, like), text)| (name.clone(), value(like, text))).collect());
            }
            assert!(text.ends_with('\n'), "lines are whole");
        }
        rows.into_iter().map(|row: Map<String, Value>| Value::Object(row)).collect()
    }
}

fn number(digits: &str) -> Value {
    serde_json::from_str(digits).unwrap()
}

fn runs(number: usize) -> bool {
    number != 6
}

/// Each second query, so that two threads share the work.
fn check_each_second(first: usize) {
    for number in (first..QUERIES).step_by(2).filter(|number| runs(*number)) {
        let query = Query::new(number);
        let expected = query.batch();
        assert!(!expected.is_empty(), "{} has rows", query.name);
        let (workers, shards) = CUTS[number % CUTS.len()];
        let mut run = query.stream(workers, shards);
        let found = match number {
            10 => query.files(&expected[0]),
            _ => run.results.remove(&query.name).unwrap_or_default(),
        };
        let context = format!("{} with {workers} workers, {shards} shards", query.name);
        assert_eq!(sorted(&found), sorted(&expected), "{context}");
        assert_eq!(run.errors, Vec::<Value>::new(), "{context}");
    }
}

#[test]
fn every_even_query_gives_the_same_rows_as_a_stream_and_as_a_batch() {
    check_each_second(0);
}

#[test]
fn every_odd_query_gives_the_same_rows_as_a_stream_and_as_a_batch() {
    check_each_second(1);
}

/// Every event, by its kind.
struct Events {
    persons: Vec<Value>,
    auctions: Vec<Value>,
    bids: Vec<Value>,
}

/// The events themselves, as JSON.
fn events() -> Events {
    let ddl = read("ddl.sql").replace("'events.num' = '5000'", EVENTS);
    let script = format!("{ddl}; CREATE MATERIALIZED VIEW e AS SELECT event_type, person, auction, bid FROM nexmark;");
    let rows = batch(&script, "").unwrap().remove("e").unwrap();
    assert_eq!(rows.len(), 2000);
    let of = |kind: u32, member: &str| {
        let events = rows.iter().filter(|row| row["event_type"] == json!(kind));
        events.map(|row| row[member].clone()).collect::<Vec<_>>()
    };
    Events { persons: of(0, "person"), auctions: of(1, "auction"), bids: of(2, "bid") }
}

/// A time as milliseconds.
fn millis(time: &Value) -> i64 {
    let time = chrono::NaiveDateTime::parse_from_str(time.as_str().unwrap(), "%Y-%m-%dT%H:%M:%S%.3f").unwrap();
    time.and_utc().timestamp_millis()
}

fn time(millis: i64) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(millis).unwrap();
    json!(time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
}

fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// These columns of an event.
fn columns(event: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), event[*name].clone())).collect()
}

/// The start of the window of ten seconds.
fn tumble(event: &Value) -> i64 {
    millis(&event["dateTime"]).div_euclid(10_000) * 10_000
}

/// Bids on an auction while it was open.
fn in_time<'a>(auction: &'a Value, bids: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    let open = millis(&auction["dateTime"])..=millis(&auction["expires"]);
    bids.iter().filter(move |bid| bid["auction"] == auction["id"] && open.contains(&millis(&bid["dateTime"])))
}

fn q1(events: &Events) -> Vec<Value> {
    let row = |bid: &Value| {
        let thousandths = integer(&bid["price"]) * 908;
        let price = number(&format!("{}.{:03}", thousandths / 1000, thousandths % 1000));
        let mut row = columns(bid, &["auction", "bidder"]);
        row.insert("price".to_owned(), price);
        row.extend(columns(bid, &["dateTime", "extra"]));
        row.into()
    };
    events.bids.iter().map(row).collect()
}

fn q2(events: &Events) -> Vec<Value> {
    let chosen = events.bids.iter().filter(|bid| integer(&bid["auction"]) % 123 == 0);
    chosen.map(|bid| columns(bid, &["auction", "price"]).into()).collect()
}

/// Without a bound in time.
fn q3(events: &Events) -> Vec<Value> {
    let mut rows = Vec::new();
    for auction in events.auctions.iter().filter(|auction| auction["category"] == json!(10)) {
        for person in events.persons.iter().filter(|person| person["id"] == auction["seller"]) {
            if ["OR", "ID", "CA"].contains(&person["state"].as_str().unwrap()) {
                let mut row = columns(person, &["name", "city", "state"]);
                row.insert("id".to_owned(), auction["id"].clone());
                rows.push(row.into());
            }
        }
    }
    rows
}

/// The answer to the question at the end.
fn q4(events: &Events) -> Vec<Value> {
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for auction in &events.auctions {
        if let Some(price) = in_time(auction, &events.bids).map(|bid| integer(&bid["price"])).max() {
            prices.entry(integer(&auction["category"])).or_default().push(price);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "prices are small")]
    let average = |prices: &[i64]| prices.iter().sum::<i64>() as f64 / prices.len() as f64;
    let row = |(category, prices): (&i64, &Vec<i64>)| json!({"category": category, "avg(q.final)": average(prices)});
    prices.iter().map(row).collect()
}

fn q5(events: &Events) -> Vec<Value> {
    let mut windows: BTreeMap<i64, BTreeMap<i64, u64>> = BTreeMap::new();
    for bid in &events.bids {
        let slice = millis(&bid["dateTime"]).div_euclid(2000);
        for window in slice - 4..=slice {
            *windows.entry(window).or_default().entry(integer(&bid["auction"])).or_default() += 1;
        }
    }
    let hot = |counts: &BTreeMap<i64, u64>| {
        let most = counts.values().max().copied();
        let hot = counts.iter().filter(move |(_, count)| Some(**count) == most);
        hot.map(|(auction, count)| json!({"auction": auction, "num": count})).collect::<Vec<_>>()
    };
    windows.values().flat_map(hot).collect()
}

/// With both ends of a window, as in Flink's text.
fn q7(events: &Events) -> Vec<Value> {
    let mut highest: BTreeMap<i64, i64> = BTreeMap::new();
    for bid in &events.bids {
        let price = highest.entry(tumble(bid)).or_default();
        *price = integer(&bid["price"]).max(*price);
    }
    let mut rows = Vec::new();
    for (start, price) in highest {
        let window = start..=start + 10_000;
        let bids = events.bids.iter().filter(|bid| window.contains(&millis(&bid["dateTime"])));
        let bids = bids.filter(|bid| integer(&bid["price"]) == price);
        rows.extend(bids.map(|bid| columns(bid, &["auction", "bidder", "price", "dateTime", "extra"]).into()));
    }
    rows
}

fn q8(events: &Events) -> Vec<Value> {
    let sellers: BTreeSet<_> =
        events.auctions.iter().map(|auction| (integer(&auction["seller"]), tumble(auction))).collect();
    let new = events.persons.iter().filter(|person| sellers.contains(&(integer(&person["id"]), tumble(person))));
    let row = |person: &Value| {
        let mut row = columns(person, &["id", "name"]);
        row.insert("stime".to_owned(), time(tumble(person)));
        row.into()
    };
    new.map(row).collect()
}

/// The winning bid of each auction that has one.
fn q9(events: &Events) -> Vec<Value> {
    let best = |auction| {
        let best = |bid: &&Value| (-integer(&bid["price"]), millis(&bid["dateTime"]));
        let bid = in_time(auction, &events.bids).min_by_key(best)?;
        let mut row = columns(
            auction,
            &[
                "id",
                "itemname",
                "description",
                "initialbid",
                "reserve",
                "dateTime",
                "expires",
                "seller",
                "category",
                "extra",
            ],
        );
        row.extend(columns(bid, &["auction", "bidder", "price"]));
        row.insert("bid_datetime".to_owned(), bid["dateTime"].clone());
        row.insert("bid_extra".to_owned(), bid["extra"].clone());
        Some(row.into())
    };
    events.auctions.iter().filter_map(best).collect()
}

/// Without a bound in time.
fn q20(events: &Events) -> Vec<Value> {
    let mut rows = Vec::new();
    for auction in events.auctions.iter().filter(|auction| auction["category"] == json!(10)) {
        for bid in events.bids.iter().filter(|bid| bid["auction"] == auction["id"]) {
            let mut row = columns(bid, &["auction", "bidder", "price", "channel", "url"]);
            row.insert("bid_datetime".to_owned(), bid["dateTime"].clone());
            row.insert("bid_extra".to_owned(), bid["extra"].clone());
            row.extend(columns(auction, &["itemname", "description", "initialbid", "reserve"]));
            row.insert("auction_datetime".to_owned(), auction["dateTime"].clone());
            row.extend(columns(auction, &["expires", "seller", "category"]));
            row.insert("auction_extra".to_owned(), auction["extra"].clone());
            rows.push(row.into());
        }
    }
    rows
}

#[test]
fn queries_give_what_flinks_text_says() {
    type Computed = fn(&Events) -> Vec<Value>;
    let events = events();
    let computed: [(usize, Computed); 9] =
        [(1, q1), (2, q2), (3, q3), (4, q4), (5, q5), (7, q7), (8, q8), (9, q9), (20, q20)];
    for (number, computed) in computed {
        let query = Query::new(number);
        let expected = computed(&events);
        let mut run = query.stream(3, 4);
        let found = match query.question {
            Some(_) => run.answer,
            None => run.results.remove(&query.name).unwrap_or_default(),
        };
        assert!(!found.is_empty(), "{} has rows", query.name);
        assert_eq!(sorted(&found), sorted(&expected), "{}", query.name);
    }
}

/// The line of a query in the table of the page.
fn line(page: &str, number: usize) -> String {
    let start = format!("| [q{number}](q{number}.sql) |");
    page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("the page has no {start}")).to_owned()
}

#[test]
fn what_does_not_run_is_refused_as_the_page_says() {
    let (page, ddl) = (read("README.md"), read("ddl.sql"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine(&runtime);
    let first_error = |script: &str| {
        let report = engine.check(script);
        let error = report.errors.first().map(|error| match error.code {
            Some(code) => format!("{code:?}: {}", error.message),
            None => error.message.clone(),
        });
        error.unwrap_or_else(|| panic!("accepted: {script}"))
    };
    let mut refused = BTreeSet::new();
    for number in 0..QUERIES {
        let (file, line) = (read(&format!("q{number}.sql")), line(&page, number));
        assert!(file.contains(&format!("\n\n{ddl}\n")), "q{number} has the tables of ddl.sql");
        let says = line.split('|').nth(3).unwrap().trim();
        if runs(number) {
            assert!(says.starts_with("yes"), "{line}");
        } else {
            assert_eq!(says, "no", "{line}");
            let error = first_error(&file);
            assert!(line.contains(&error), "q{number}: {error}\n{line}");
        }
    }
    for text in std::fs::read_dir(repository().join("queries/nexmark/flink")).unwrap() {
        let name = text.unwrap().file_name().to_string_lossy().into_owned();
        let number: usize = name.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
        let error = first_error(&format!("{ddl}\n{}", read(&format!("flink/{name}"))));
        let line = line(&page, number);
        assert!(line.contains(&error), "{name}: {error}\n{line}");
        refused.insert(number);
    }
    for number in (0..QUERIES).filter(|number| runs(*number)) {
        let says_so = line(&page, number).contains("s it stands");
        assert_eq!(says_so, refused.contains(&number), "q{number}");
    }
}
