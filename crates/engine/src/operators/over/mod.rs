//! OVER along a stream: every row is given once, with its functions' values, when event time has passed it and as much
//! of what follows as its frames reach.
//!
//! Two ways. Sums, counts, averages and extremes of numbers over frames that end at the row are carried along as rows
//! come into a frame and leave it ([`sliding`]). Everything else is computed by DataFusion's window expressions over the
//! rows at hand ([`general`]), or where frames end with a row although others of its time follow by [`arrival`].

mod arrival;
mod frame;
mod general;
mod running;
mod sliding;

use datafusion::common::Result;
use millstream_sql::{Leaf, Over};

use self::general::GeneralOver;
use self::sliding::SlidingOver;
use super::Operator;

/// The operator for some functions over a leaf.
pub(crate) fn over(over: &Over, leaf: &Leaf) -> Result<Box<dyn Operator>> {
    Ok(match SlidingOver::new(over, leaf)? {
        Some(sliding) => Box::new(sliding),
        None => Box::new(GeneralOver::new(over, leaf)?),
    })
}
