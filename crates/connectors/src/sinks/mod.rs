//! What can be written to: one file or folder each; and what several share.

pub(crate) mod blackhole;
pub(crate) mod delivery;
pub(crate) mod filesystem;
pub(crate) mod firehose;
pub(crate) mod kinesis;
pub(crate) mod lambda;
mod partition_key;
mod payloads;
pub(crate) mod print;
pub(crate) mod stream;
