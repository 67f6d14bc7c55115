//! Tests of Millstream as a whole, in one binary.

mod architecture;
mod batch_equals_stream;
mod harness;
mod kinesis_peers;
mod live;
mod queries;
mod refused;
mod sql;
