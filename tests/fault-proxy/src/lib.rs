//! A proxy between a client of Kinesis and a server that goes wrong in the ways networks and AWS do: emulators never
//! throttle, tear or time out, and what only works while nothing fails is not worth much.
//!
//! ```text
//! client ──► proxy: rolls the dice ──► server
//!        ◄── the reply, or what is left of it
//! ```
//!
//! It speaks HTTP/1.1 and HTTP/2 in clear text, forwards in the version it was asked in, and streams what it forwards.
//! Faults are drawn by a seed, each with the same probability, among those that the operation can have.

mod broken;
mod fault;
mod forward;
mod partial;
mod proxy;

pub use fault::{Fault, Faults};
pub use proxy::Proxy;
