//! Events as JSON texts: all kinds in one table, or one kind with its columns alone.

use arrow::datatypes::{DataType, Fields, Schema};
use millstream_core::{OptionError, OptionReader};
use nexmark::config::NexmarkConfig;
use nexmark::event::{Auction, Bid, Event, EventType, Person};
use serde::Serialize;

use super::options::count;

const PERSON: [&str; 8] = ["id", "name", "emailAddress", "creditCard", "city", "state", "dateTime", "extra"];
const AUCTION: [&str; 10] =
    ["id", "itemName", "description", "initialBid", "reserve", "dateTime", "expires", "seller", "category", "extra"];
const BID: [&str; 7] = ["auction", "bidder", "price", "channel", "url", "dateTime", "extra"];
const ALL: [&str; 4] = ["event_type", "person", "auction", "bid"];

/// What the records of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"event_type":2,"bid":{…}}`, as Flink's connector has it.
    All,
    /// The events of one kind, without the others: `{"auction":1000,…}`.
    Only(EventType),
}

impl Shape {
    /// Reads the option `event`.
    pub(super) fn read(options: &OptionReader<'_>) -> Result<Self, OptionError> {
        Ok(match options.one_of("event", &["all", "person", "auction", "bid"])? {
            Some("person") => Self::Only(EventType::Person),
            Some("auction") => Self::Only(EventType::Auction),
            Some("bid") => Self::Only(EventType::Bid),
            _ => Self::All,
        })
    }

    /// The only kind of event, if there is one.
    pub(super) fn kind(self) -> Option<EventType> {
        match self {
            Self::All => None,
            Self::Only(kind) => Some(kind),
        }
    }

    /// How many events of this shape there are among how many: `(46, 50)`.
    pub(super) fn share(self, config: &NexmarkConfig) -> (u64, u64) {
        let (_, own, all) = self.turn(config);
        (own, all)
    }

    /// How many of the first so many events are of this shape.
    pub(super) fn before(self, events: u64, config: &NexmarkConfig) -> u64 {
        let (others, own, all) = self.turn(config);
        events / all * own + (events % all).saturating_sub(others).min(own)
    }

    /// In each turn: the events before those of this shape, those of this shape, and all.
    fn turn(self, config: &NexmarkConfig) -> (u64, u64, u64) {
        let (persons, auctions, bids) =
            (count(config.person_proportion), count(config.auction_proportion), count(config.bid_proportion));
        let all = persons + auctions + bids;
        match self {
            Self::All => (0, all, all),
            Self::Only(EventType::Person) => (0, persons, all),
            Self::Only(EventType::Auction) => (persons, auctions, all),
            Self::Only(EventType::Bid) => (persons + auctions, bids, all),
        }
    }

    /// Refuses columns that no event fills.
    pub(super) fn check(self, schema: &Schema) -> Result<(), OptionError> {
        match self {
            Self::All => {
                check_names("", schema.fields(), &ALL)?;
                for field in schema.fields() {
                    if let DataType::Struct(members) = field.data_type() {
                        match field.name().as_str() {
                            "person" => check_names("person.", members, &PERSON)?,
                            "auction" => check_names("auction.", members, &AUCTION)?,
                            "bid" => check_names("bid.", members, &BID)?,
                            _ => {}
                        }
                    }
                }
                Ok(())
            }
            Self::Only(EventType::Person) => check_names("", schema.fields(), &PERSON),
            Self::Only(EventType::Auction) => check_names("", schema.fields(), &AUCTION),
            Self::Only(EventType::Bid) => check_names("", schema.fields(), &BID),
        }
    }

    /// Appends an event as that of another time.
    pub(super) fn write(self, mut event: Event, time: u64, out: &mut Vec<u8>) {
        let row = match &mut event {
            Event::Person(person) => {
                person.date_time = time;
                Row::Person((&*person).into())
            }
            Event::Auction(auction) => {
                auction.expires = time + auction.expires.saturating_sub(auction.date_time);
                auction.date_time = time;
                Row::Auction((&*auction).into())
            }
            Event::Bid(bid) => {
                bid.date_time = time;
                Row::Bid((&*bid).into())
            }
        };
        // Writing to memory does not fail, and every value has a JSON form.
        let _ = match self {
            Self::Only(_) => serde_json::to_writer(out, &row),
            Self::All => serde_json::to_writer(out, &Tagged::from(row)),
        };
    }
}

/// Columns are found as the JSON format finds them: by their name, or by that in lower case.
fn check_names(path: &str, fields: &Fields, known: &[&str]) -> Result<(), OptionError> {
    let is_known = |name: &str| known.iter().any(|key| name == *key || name == key.to_lowercase());
    match fields.iter().find(|field| !is_known(field.name())) {
        None => Ok(()),
        Some(field) => {
            let message = format!("'nexmark' has no column `{path}{}`; there are {}", field.name(), known.join(", "));
            Err(OptionError::new("connector", message))
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Person(PersonRow<'a>),
    Auction(AuctionRow<'a>),
    Bid(BidRow<'a>),
}

#[derive(Serialize)]
struct Tagged<'a> {
    event_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<PersonRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auction: Option<AuctionRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bid: Option<BidRow<'a>>,
}

impl<'a> From<Row<'a>> for Tagged<'a> {
    fn from(row: Row<'a>) -> Self {
        match row {
            Row::Person(person) => Self { event_type: 0, person: Some(person), auction: None, bid: None },
            Row::Auction(auction) => Self { event_type: 1, person: None, auction: Some(auction), bid: None },
            Row::Bid(bid) => Self { event_type: 2, person: None, auction: None, bid: Some(bid) },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonRow<'a> {
    id: usize,
    name: &'a str,
    email_address: &'a str,
    credit_card: &'a str,
    city: &'a str,
    state: &'a str,
    date_time: u64,
    extra: &'a str,
}

impl<'a> From<&'a Person> for PersonRow<'a> {
    fn from(person: &'a Person) -> Self {
        let Person { id, name, email_address, credit_card, city, state, date_time, extra } = person;
        Self { id: *id, name, email_address, credit_card, city, state, date_time: *date_time, extra }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuctionRow<'a> {
    id: usize,
    item_name: &'a str,
    description: &'a str,
    initial_bid: usize,
    reserve: usize,
    date_time: u64,
    expires: u64,
    seller: usize,
    category: usize,
    extra: &'a str,
}

impl<'a> From<&'a Auction> for AuctionRow<'a> {
    fn from(auction: &'a Auction) -> Self {
        let Auction { id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, extra } =
            auction;
        Self {
            id: *id,
            item_name,
            description,
            initial_bid: *initial_bid,
            reserve: *reserve,
            date_time: *date_time,
            expires: *expires,
            seller: *seller,
            category: *category,
            extra,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BidRow<'a> {
    auction: usize,
    bidder: usize,
    price: usize,
    channel: &'a str,
    url: &'a str,
    date_time: u64,
    extra: &'a str,
}

impl<'a> From<&'a Bid> for BidRow<'a> {
    fn from(bid: &'a Bid) -> Self {
        let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
        Self { auction: *auction, bidder: *bidder, price: *price, channel, url, date_time: *date_time, extra }
    }
}
