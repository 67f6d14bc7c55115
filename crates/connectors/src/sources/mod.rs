//! What can be read: one file each.

pub(crate) mod chunks;
pub(crate) mod filesystem;
mod lineage;
mod position;
pub(crate) mod replay;
pub(crate) mod stream;
