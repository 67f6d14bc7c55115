//! A Kinesis Data Analytics for SQL application, as AWS's API describes it, and the Millstream script that does the same.
//!
//! ```text
//! JSON ──shape──► where its parts are ──read──► Application ──script──► .sql in the dialect of such applications
//! ```
//! The application's own SQL is neither read nor changed here: its sources, reference tables and outputs, which AWS keeps
//! apart from it, are written above it as tables. Nothing here does I/O.

mod application;
mod arn;
mod ddl;
mod node;
mod problem;
mod read;
mod script;
mod shape;
mod sql_type;
mod template;

#[cfg(test)]
mod tests;

pub use application::{
    Application, Column, Destination, Format, Input, Output, RecordFormat, Reference, Schema, Start, StreamKind,
    StreamSource,
};
pub use arn::Resource;
pub use problem::Problem;
pub use script::{Script, Target};
