//! State that survives: what a checkpoint holds, how it is written, and how a query goes on from it.
//!
//! ```text
//! closer: Snap through every worker ─► Saver (what the state is made of) ─► Cut
//! writer: new chunks into one data file ─► sink prepares ─► manifest, create-only ─► sink commits ─► old files go
//! ```
//!
//! State is cut into chunks that never change. A chunk is written once and named by every manifest that needs it, so that
//! a checkpoint costs what has changed since the last one. A manifest is created only if there is none of its number:
//! of two processes that write for one query, one is told that it is no longer the one (docs/adr/0005).

mod chunk;
mod log;
mod manifest;
mod restore;
mod saver;
mod writer;

pub(crate) use chunk::{ChunkPlace, ChunkRows, decode, encode};
pub(crate) use log::KeyedLog;
pub(crate) use manifest::{Manifest, ShardPosition, SourcePosition};
pub(crate) use restore::{Found, Restored, find, find_in, find_savepoint, query_folder, savepoint_folder};
pub(crate) use saver::{Saved, SavedChunk, Saver, Slot};
pub(crate) use writer::{Broken, CheckpointLink, Cut, Done, Writer, copy};
