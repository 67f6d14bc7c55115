//! What can be written to: one file each.

pub(crate) mod blackhole;
pub(crate) mod filesystem;
pub(crate) mod print;
pub(crate) mod stream;
