//! Names in English, and zones by their usual abbreviations.

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Sunday.
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ERAS: [&str; 2] = ["BC", "AD"];
pub(super) const HALVES: [&str; 2] = ["AM", "PM"];

/// Zones by name, and their minutes east of UTC. A name is that of one zone and of one season: it needs no calendar.
/// Those that several countries use have Java's meaning.
const ZONES: [(&str, i64); 62] = [
    ("Coordinated Universal Time", 0),
    ("Greenwich Mean Time", 0),
    ("British Summer Time", 60),
    ("Western European Time", 0),
    ("Western European Summer Time", 60),
    ("Central European Time", 60),
    ("Central European Summer Time", 120),
    ("Eastern European Time", 120),
    ("Eastern European Summer Time", 180),
    ("Moscow Standard Time", 180),
    ("India Standard Time", 330),
    ("China Standard Time", 480),
    ("Japan Standard Time", 540),
    ("Korean Standard Time", 540),
    ("Newfoundland Standard Time", -210),
    ("Atlantic Standard Time", -240),
    ("Atlantic Daylight Time", -180),
    ("Eastern Standard Time", -300),
    ("Eastern Daylight Time", -240),
    ("Central Standard Time", -360),
    ("Central Daylight Time", -300),
    ("Mountain Standard Time", -420),
    ("Mountain Daylight Time", -360),
    ("Pacific Standard Time", -480),
    ("Pacific Daylight Time", -420),
    ("Alaska Standard Time", -540),
    ("Alaska Daylight Time", -480),
    ("Hawaii Standard Time", -600),
    ("UTC", 0),
    ("GMT", 0),
    ("BST", 60),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("MET", 60),
    ("MEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("IST", 120),
    ("IDT", 180),
    ("PKT", 300),
    ("HKT", 480),
    ("JST", 540),
    ("KST", 540),
    ("AEST", 600),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("NST", -210),
    ("NDT", -150),
    ("AST", -240),
    ("ADT", -180),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
];

/// The longest of some names that a text begins with, in any case, and its length.
pub(super) fn longest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let found = names.enumerate().filter(|(_, name)| begins(name)).map(|(index, name)| (index, name.len()));
    found.max_by_key(|(_, length)| *length)
}

/// The minutes east of UTC of the zone that a text begins with, and the length of its name.
pub(super) fn zone(text: &str) -> Option<(i64, usize)> {
    let (index, length) = longest(text, ZONES.iter().map(|(name, _)| *name))?;
    Some((ZONES[index].1, length))
}
