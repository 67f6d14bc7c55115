//! The ranges of parameters, and the error for what is outside of them.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A parameter that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, but must be {range}")]
pub struct BadParameter {
    pub name: &'static str,
    pub value: String,
    /// In words, such as `from 1 to 1000`.
    pub range: String,
}

/// Refuses what is out of its range.
pub(crate) fn check<T: PartialOrd + Display>(
    name: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), BadParameter> {
    if range.contains(&value) {
        return Ok(());
    }
    let range = format!("from {} to {}", range.start(), range.end());
    Err(BadParameter { name, value: value.to_string(), range })
}
