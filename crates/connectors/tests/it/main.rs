//! Connectors against servers of other people, and against stubs that fail as AWS does. No DataFusion: quick to build.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its fixtures too")]

mod firehose;
mod kinesalite;
mod kinesis;
mod kinesis_sink;
mod ours;
#[path = "../../../../tests/peers.rs"]
mod peers;
mod roles;
