//! Tests of Millstream as a whole, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aggregates;
mod architecture;
mod batch_equals_stream;
mod functions;
mod harness;
mod kinesis_peers;
mod live;
mod queries;
mod refused;
mod sql;
mod types;
