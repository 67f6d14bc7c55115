//! What can be read as a whole, to be joined with streams: one folder each.

pub(crate) mod filesystem;
