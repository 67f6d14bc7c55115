//! Users of a shop on their phones: views, clicks, purchases; some users far busier than others.

use millstream_core::{Duration, EventTime};
use rand::Rng as _;
use rand::rngs::SmallRng;
use serde_json::json;

use super::Producer;

const USERS: u32 = 40;
/// Records arrive this much out of order.
const DISORDER_MS: i64 = 2000;
/// One record in so many has an amount that is no number: the page's errors are to have something to show.
const BAD_ONE_IN: u32 = 500;
/// Kinds of events, and how many of 20 are of each.
const EVENTS: [(&str, u32); 4] = [("view", 12), ("click", 5), ("cart", 2), ("purchase", 1)];
const DEVICES: [(&str, &str); 4] = [("ios", "19.1"), ("ios", "18.6"), ("android", "16"), ("android", "15")];

pub(super) struct Users {
    chance: SmallRng,
}

impl Users {
    pub(super) fn new(chance: SmallRng) -> Self {
        Self { chance }
    }

    fn event(&mut self) -> &'static str {
        let mut drawn = self.chance.random_range(0..20);
        for (event, share) in EVENTS {
            if drawn < share {
                return event;
            }
            drawn -= share;
        }
        EVENTS[0].0
    }
}

impl Producer for Users {
    fn stream(&self) -> &'static str {
        "user-events"
    }

    fn next(&mut self, now: EventTime) -> (String, String) {
        // The lower of two draws: users with low numbers are busier.
        let user = self.chance.random_range(0..USERS).min(self.chance.random_range(0..USERS));
        let user_id = format!("u{user:02}");
        let event = self.event();
        let (os, version) = DEVICES[user as usize % DEVICES.len()];
        let amount = match event {
            _ if self.chance.random_ratio(1, BAD_ONE_IN) => json!("n/a"),
            "purchase" => json!(f64::from(self.chance.random_range(500..20_000_u32)) / 100.0),
            _ => json!(0.0),
        };
        let late = Duration(self.chance.random_range(0..=DISORDER_MS));
        let record = json!({
            "user_id": user_id,
            "event_type": event,
            "amount": amount,
            "device": { "os": os, "version": version },
            "server_time": (now - late).to_string(),
        });
        (user_id, record.to_string())
    }
}
