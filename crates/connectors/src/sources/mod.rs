//! What can be read: one file each.

pub(crate) mod chunks;
pub(crate) mod filesystem;
pub(crate) mod generator;
pub(crate) mod kinesis;
mod lineage;
pub(crate) mod nexmark;
mod paced;
pub(crate) mod position;
pub(crate) mod replay;
pub(crate) mod stream;
