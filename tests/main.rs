//! Tests of Millstream as a whole, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aggregates;
mod analytics;
mod architecture;
mod checkpoints;
mod crashes;
mod differential;
mod docs;
mod error_stream;
mod functions;
mod harness;
mod in_order;
mod kda_cases;
mod kda_coverage;
mod kinesis_fan_out;
mod late;
mod live;
mod lookups;
mod memory;
mod nexmark;
mod oracle;
mod peers;
mod queries;
mod reference_peers;
mod refused;
mod replays;
mod sql;
mod transforms;
mod types;
mod windows;
