//! Every edge of Millstream: what streams are read from, what payloads look like, where results go.
//!
//! A connector is one file in `sources/`, `sinks/` or `references/` and one line in [`registry`]'s table; a format is one file in
//! `formats/` and one line in its table. Everything comes in as an argument: the clock, the embedded stream, AWS's
//! settings, seeds. There is no SQL here, and nothing is computed.
//!
//! ```
//! use std::sync::Arc;
//! use millstream_connectors::{Context, Registry};
//! use millstream_core::{Boundedness, Connectors, TableDecl};
//! # use millstream_core::{BoxFuture, Clock, Duration, EventTime};
//! # struct Still;
//! # impl Clock for Still {
//! #     fn now(&self) -> EventTime { EventTime(0) }
//! #     fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> { Box::pin(std::future::pending()) }
//! # }
//! # let clock = Arc::new(Still);
//! let registry = Registry::new(Context::new(clock));
//! let table = TableDecl {
//!     name: "orders".into(),
//!     schema: Arc::new(arrow::datatypes::Schema::empty()),
//!     primary_key: vec![],
//!     options: [("connector", "filesystem"), ("path", "/data/orders"), ("format", "json")].into_iter().collect(),
//! };
//! assert_eq!(registry.check(&table).unwrap().source, Some(Boundedness::Bounded));
//! ```

pub mod administration;
mod aws;
mod checkpoints;
mod context;
mod durable;
mod formats;
mod kpl;
mod place;
mod references;
mod registry;
mod s3;
mod sinks;
mod sources;
mod transforms;

#[cfg(test)]
mod testing;

pub use checkpoints::checkpoint_store;
pub use context::{AccessKey, AwsSettings, Context, Printer};
pub use formats::json::json_rows;
pub use registry::Registry;
pub use sources::replay::{Replay, ReplayClock, ReplayError, ReplayPlan};
