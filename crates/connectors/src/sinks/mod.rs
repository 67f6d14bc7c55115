//! What can be written to: one file each.

pub(crate) mod blackhole;
pub(crate) mod print;
