//! SQL text in, [`Pipeline`] out.
//!
//! `parse` reads statements, `catalog` holds what was created, `plan` turns a query into HOT, PANE and CLOSE, and
//! `effect` works out what a statement does. Errors carry a code, a place and a remedy. There is no I/O here and no
//! clock; DataFusion is used for its logical side.

mod as_of;
mod catalog;
mod continuous_query;
mod create_table;
mod effect;
mod error;
mod explain;
mod functions;
mod in_order;
mod kda;
mod parse;
mod pipeline;
mod plan;
mod session;
mod signature;
#[cfg(test)]
mod testing;
mod window;

pub use millstream_core::type_name;

pub use catalog::{
    Catalog, Column, ColumnKind, MaterializedView, Progress, Relation, SharedTable, SystemTable, Table, TimeAttribute,
    View,
};
pub use continuous_query::{ContinuousQuery, LiveTableSettings, QuerySettings, Target};
pub use effect::{Effect, Lookup, apply};
pub use error::{Code, Position, SqlError};
pub use explain::{Graph, Node, explain, graph};
pub use functions::defined::Function;
pub use in_order::{Explained, InOrder, InOrderFunction, Reach};
pub use parse::{QueryAction, ShowKind, StartFrom, Statement, Unreadable, parse, parse_each};
pub use pipeline::{
    Column as LeafColumn, Feed, Gives, Hot, InOrderStage, Input, IntervalJoin, Leaf, Operator, Over, Pipeline, RowTime,
    Stage, Top, Warning, WindowBound,
};
pub use plan::{LeafNode, Sharded, in_arrival_order, is_reference_scan, window_function};
pub use session::{CatalogSource, Session, relation_of};
pub use signature::{Signature, signature};
pub use window::{WINDOW_COLUMNS, WindowAssign};
