//! Options with the names that Flink's connector has, as the crate's configuration.

use std::ops::RangeInclusive;

use millstream_core::{OptionError, OptionReader};
use nexmark::config::NexmarkConfig;

use crate::sources::position::read_timestamp;

/// The words of Flink's generator, which its queries look for; the crate's own are in lower case.
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

/// Events a second; what is between two of them is a hundredth of a microsecond at least.
const RATES: RangeInclusive<usize> = 1..=100_000_000;
/// Beyond this the ids of a group of events would be far apart for no use.
const PROPORTIONS: RangeInclusive<usize> = 1..=10_000;
/// 1 is never hot.
const RATIOS: RangeInclusive<usize> = 1..=1_000_000;
/// Bytes: what fills an event up to its size is made letter by letter.
const SIZE_MAX: u64 = 1 << 20;

/// Everything but times, which are computed apart from the crate's.
pub(super) fn config(options: &OptionReader<'_>) -> Result<NexmarkConfig, OptionError> {
    let default = NexmarkConfig::default();
    let number = |key: &str, range: &RangeInclusive<usize>, default: usize| {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match options.parse::<usize>(key, &expected)? {
            None => Ok(default),
            Some(given) if range.contains(&given) => Ok(given),
            Some(given) => Err(OptionError::new(key, format!("`{given}` given, expected {expected}"))),
        }
    };
    let size = |key: &str, default: usize| match options.bytes(key)? {
        None => Ok(default),
        Some(given) if given <= SIZE_MAX => Ok(usize::try_from(given).unwrap_or(default)),
        Some(given) => Err(OptionError::new(key, format!("`{given}` bytes given, expected at most {SIZE_MAX}"))),
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let first_rate = number("first-event.rate", &RATES, default.first_rate)?;
    let next_rate = number("next-event.rate", &RATES, first_rate)?;
    if first_rate != next_rate {
        let message = format!(
            "`{next_rate}` given, but 'first-event.rate' is {first_rate}: a rate that changes is not available, write the same twice"
        );
        return Err(OptionError::new("next-event.rate", message));
    }
    Ok(NexmarkConfig {
        first_rate,
        next_rate,
        person_proportion: number("person.proportion", &PROPORTIONS, default.person_proportion)?,
        auction_proportion: number("auction.proportion", &PROPORTIONS, default.auction_proportion)?,
        bid_proportion: number("bid.proportion", &PROPORTIONS, default.bid_proportion)?,
        avg_person_byte_size: size("person.avg-size", default.avg_person_byte_size)?,
        avg_auction_byte_size: size("auction.avg-size", default.avg_auction_byte_size)?,
        avg_bid_byte_size: size("bid.avg-size", default.avg_bid_byte_size)?,
        hot_auction_ratio: number("bid.hot-ratio.auctions", &RATIOS, default.hot_auction_ratio)?,
        hot_bidder_ratio: number("bid.hot-ratio.bidders", &RATIOS, default.hot_bidder_ratio)?,
        hot_seller_ratio: number("auction.hot-ratio.sellers", &RATIOS, default.hot_seller_ratio)?,
        us_states: words(&STATES),
        us_cities: words(&CITIES),
        first_names: words(&FIRST_NAMES),
        last_names: words(&LAST_NAMES),
        base_time: 0,
        ..default
    })
}

/// The time of event 0, in milliseconds since 1970.
pub(super) fn base_time(options: &OptionReader<'_>) -> Result<Option<u64>, OptionError> {
    const KEY: &str = "base-time";
    let Some(text) = options.get(KEY) else { return Ok(None) };
    let time = read_timestamp(text).map_err(|reason| OptionError::new(KEY, reason))?;
    let millis = u64::try_from(time.0);
    millis.map(Some).map_err(|_| OptionError::new(KEY, format!("`{text}` given, expected a time since 1970")))
}

/// A number of the configuration, which are all small.
pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
