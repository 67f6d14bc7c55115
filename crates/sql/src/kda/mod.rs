//! Kinesis Data Analytics for SQL: its dialect, read into ours.

pub(crate) mod types;
