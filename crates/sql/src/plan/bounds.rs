//! Bounds of time in the condition of a join: `l.ts BETWEEN r.ts - INTERVAL '5' MINUTE AND r.ts`.

use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Join, Operator};
use millstream_core::Duration;

use super::check::{Checked, Origin, origin};
use super::tumble::without_unit_cast;
use crate::window::interval_ms;

/// How far the right time may be from the left one.
pub(crate) struct TimeBounds {
    /// At least so much later; negative: earlier.
    pub(crate) lower: Duration,
    /// At most so much later.
    pub(crate) upper: Duration,
    /// The column of the left side that is compared.
    pub(crate) left: Expr,
    /// The column of the right side.
    pub(crate) right: Expr,
}

/// The bounds that a join's condition sets; `None` unless there is one on both sides.
pub(crate) fn time_bounds(join: &Join, left: &Checked, right: &Checked) -> Option<TimeBounds> {
    let side = |expr: &Expr| {
        let (column, offset) = linear(expr)?;
        if origin(column, join.left.schema(), left) == Origin::Time {
            Some((Side::Left, offset, column.clone()))
        } else if origin(column, join.right.schema(), right) == Origin::Time {
            Some((Side::Right, offset, column.clone()))
        } else {
            None
        }
    };
    let (mut lower, mut upper, mut columns) = (None::<i64>, None::<i64>, None::<(Expr, Expr)>);
    let mut narrow = |a: &Expr, op: Operator, b: &Expr| {
        let (Some((a, x, first)), Some((b, y, second))) = (side(a), side(b)) else { return };
        // The comparison in terms of d = right - left: left + x op right + y is d op' x - y.
        let (op, least, compared) = match (a, b) {
            (Side::Left, Side::Right) => (op.swap().unwrap_or(op), x - y, (first, second)),
            (Side::Right, Side::Left) => (op, y - x, (second, first)),
            _ => return,
        };
        if *columns.get_or_insert(compared.clone()) != compared {
            return;
        }
        if matches!(op, Operator::GtEq | Operator::Gt | Operator::Eq) {
            lower = Some(lower.map_or(least, |known| known.max(least)));
        }
        if matches!(op, Operator::LtEq | Operator::Lt | Operator::Eq) {
            upper = Some(upper.map_or(least, |known| known.min(least)));
        }
    };
    for (l, r) in &join.on {
        narrow(l, Operator::Eq, r);
    }
    for part in join.filter.iter().flat_map(split_conjunction) {
        match part {
            Expr::BinaryExpr(binary) => narrow(&binary.left, binary.op, &binary.right),
            Expr::Between(between) if !between.negated => {
                narrow(&between.expr, Operator::GtEq, &between.low);
                narrow(&between.expr, Operator::LtEq, &between.high);
            }
            _ => {}
        }
    }
    let (left, right) = columns?;
    Some(TimeBounds { lower: Duration(lower?), upper: Duration(upper?), left, right })
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// `column`, `column + interval` or `column - interval`, as the column and what is added to it in milliseconds.
fn linear(expr: &Expr) -> Option<(&Expr, i64)> {
    match without_unit_cast(expr) {
        column @ Expr::Column(_) => Some((column, 0)),
        Expr::BinaryExpr(binary) => {
            let (column, offset) = linear(&binary.left)?;
            let by = interval_ms(&binary.right)?.0;
            match binary.op {
                Operator::Plus => Some((column, offset + by)),
                Operator::Minus => Some((column, offset - by)),
                _ => None,
            }
        }
        _ => None,
    }
}
