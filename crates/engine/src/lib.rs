//! The wheel of Millstream: it runs planned queries.
//!
//! Readers (tasks) send chunks to workers (threads), which decode once per source and feed the panes of every query;
//! closers (a thread per query) watch event time, ask for what closes, merge it, run CLOSE and hand rows to live tables
//! and sinks. They exchange messages only. DataFusion evaluates expressions, groups rows and runs CLOSE; time, panes
//! and order are ours. This is the only crate that starts compute threads, and it does so in `threads`.
//!
//! ```text
//! lane (reader) ──Event──► worker ──Delta, Progress──► closer ──► live table, sink, client
//!                            ▲────────────Snap────────────┘
//! ```

mod ahead;
mod attached;
mod batch;
mod budget;
mod check;
mod checkpoint;
mod close;
mod closer;
mod compile;
mod control;
mod drift;
mod durable;
mod engine;
mod error_source;
mod errors;
mod execute;
mod fault_payload;
mod faults;
mod feed;
mod hot;
mod lane;
mod live_table;
mod lookup;
mod memory;
mod merge;
mod message;
mod operators;
mod output;
mod pane;
mod physical;
mod reference;
mod sabotage;
mod shared;
#[cfg(test)]
mod simulation;
mod slices;
mod source;
mod spill;
mod stages;
mod start;
mod stats;
mod system;
mod threads;
mod window_assign;
mod worker;

pub use batch::{BatchResult, BatchRun, run_batch};
pub use durable::{CheckpointSettings, OpenStore};
pub use engine::{
    CheckReport, Checked, ClientRows, Engine, Outcome, QueryInfo, QueryState, Script, ScriptError, Settings,
};
pub use errors::{ERROR_STREAM, error_stream_schema};
pub use live_table::{Change, ChangeKind, LiveTable, Snapshot};
pub use memory::{MemoryInfo, MemorySettings};
pub use output::Captured;
pub use stats::{CheckpointInfo, Counter, QueryStats, ShardStats, SourceStats};
