//! What the stream promises, by its public interface: within the process, and over the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its fixture too")]

mod crash;
mod fixture;
mod order;
mod read;
mod reshard;
mod retention;
mod wire;
mod writer;
