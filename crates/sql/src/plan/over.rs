//! OVER on streams: which functions and frames can be computed as rows come, and the top-N pattern.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Expr, Filter, LogicalPlan, Operator, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::functions::arrival::marked;
use crate::{Code, SqlError};

/// Window functions that look at rows before and after at a fixed distance, or count.
const STREAMING: [&str; 8] =
    ["row_number", "rank", "dense_rank", "lag", "lead", "first_value", "last_value", "nth_value"];

/// A window function expression without its alias.
pub fn window_function(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => window_function(&alias.expr),
        Expr::WindowFunction(function) => Some(function),
        _ => None,
    }
}

/// Whether a function is over rows as they arrived: none is the peer of another.
#[must_use]
pub fn in_arrival_order(function: &WindowFunction) -> bool {
    function.params.order_by.first().is_some_and(|sort| marked(&sort.expr).is_some())
}

/// The expression that a function of OVER is first in the order of, without a mark.
pub(crate) fn first_order(function: &WindowFunction) -> Option<(&Expr, bool)> {
    let sort = function.params.order_by.first()?;
    Some((marked(&sort.expr).unwrap_or(&sort.expr), sort.asc))
}

/// Refuses what would have to wait for the end of the stream. The order by time has been looked at.
pub(crate) fn check_frame(function: &WindowFunction) -> Result<(), SqlError> {
    let name = function.fun.name();
    let WindowFunctionParams { window_frame: frame, distinct, .. } = &function.params;
    if let WindowFunctionDefinition::WindowUDF(_) = function.fun
        && !STREAMING.contains(&name)
    {
        return Err(needs_all_rows(format!("{name} counts all rows of its partition, and a stream has no last one")));
    }
    if matches!(frame.units, WindowFrameUnits::Groups) {
        let hint = "use ROWS or RANGE";
        return Err(SqlError::coded(Code::E13, "GROUPS frames are not available on streams", hint));
    }
    if *distinct && !is_unbounded(&frame.start_bound) {
        let hint = "count DISTINCT in TABLE(HOP(…)) windows, or from UNBOUNDED PRECEDING";
        return Err(SqlError::coded(
            Code::E13,
            format!("{name}(DISTINCT …) cannot forget rows that leave its frame"),
            hint,
        ));
    }
    // Of rows as they arrived a frame says how many.
    let is_bounded = name == "lag" && in_arrival_order(function) && !is_unbounded(&frame.start_bound);
    if !is_bounded
        && matches!(name, "lag" | "lead")
        && function.params.null_treatment == Some(NullTreatment::IgnoreNulls)
    {
        let hint = "use last_value(… IGNORE NULLS) over ROWS UNBOUNDED PRECEDING, leave IGNORE NULLS out, or write lag \
                    OVER (ORDER BY in_arrival_order(ts) ROWS 100 PRECEDING)";
        let message = format!("{name} IGNORE NULLS may have to look at any number of rows");
        return Err(SqlError::coded(Code::E13, message, hint));
    }
    // These look at their distance whatever the frame says.
    if matches!(name, "lag" | "lead" | "row_number" | "rank" | "dense_rank") {
        return Ok(());
    }
    match &frame.end_bound {
        WindowFrameBound::Following(bound) if bound.is_null() => {
            Err(needs_all_rows(format!("the frame of {name} ends with the stream, which has no end")))
        }
        _ => Ok(()),
    }
}

/// Whether a function is carried along from the first row of its partition on, instead of looked up in rows at hand.
pub(crate) fn is_running(function: &WindowFunction) -> bool {
    match function.fun.name() {
        "row_number" | "rank" | "dense_rank" => true,
        "lag" | "lead" => false,
        _ => is_unbounded(&function.params.window_frame.start_bound),
    }
}

fn is_unbounded(bound: &WindowFrameBound) -> bool {
    matches!(bound, WindowFrameBound::Preceding(value) if value.is_null())
}

fn needs_all_rows(message: String) -> SqlError {
    SqlError::coded(Code::E07, message, "end the frame at CURRENT ROW or a bounded FOLLOWING; or use windows")
}

/// `… WHERE rn <= n` over `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) AS rn`.
pub(crate) struct TopRows<'a> {
    pub(crate) window: &'a Window,
    pub(crate) limit: usize,
}

impl<'a> TopRows<'a> {
    /// The pattern, if this filter is one.
    pub(crate) fn of(filter: &'a Filter) -> Option<Self> {
        let mut limit: Option<(usize, &Window)> = None;
        for part in split_conjunction(&filter.predicate) {
            let Some((column, most)) = upper_bound(part) else { continue };
            if let Some(window) = row_number_of(&filter.input, column) {
                limit = Some(limit.map_or((most, window), |(least, _)| (least.min(most), window)));
            }
        }
        limit.map(|(limit, window)| Self { window, limit })
    }

    /// The one function of the window node.
    pub(crate) fn function(&self) -> Option<&'a WindowFunction> {
        match self.window.window_expr.as_slice() {
            [only] => window_function(only),
            _ => None,
        }
    }
}

/// `rn <= 3`, `rn < 4`, `rn = 1`, and the same the other way round.
fn upper_bound(part: &Expr) -> Option<(&Column, usize)> {
    let Expr::BinaryExpr(binary) = part else { return None };
    let (column, op, literal) = match (without_cast(&binary.left), without_cast(&binary.right)) {
        (Expr::Column(column), literal) => (column, binary.op, literal),
        (literal, Expr::Column(column)) => (column, binary.op.swap()?, literal),
        _ => return None,
    };
    let Expr::Literal(value, _) = literal else { return None };
    if !value.data_type().is_integer() && !matches!(value, ScalarValue::Decimal128(_, _, 0)) {
        return None;
    }
    let ScalarValue::UInt64(Some(value)) = value.cast_to(&arrow::datatypes::DataType::UInt64).ok()? else {
        return None;
    };
    let most = match op {
        Operator::LtEq => value,
        Operator::Lt => value.checked_sub(1)?,
        Operator::Eq if value == 1 => 1,
        _ => return None,
    };
    Some((column, usize::try_from(most).ok().filter(|most| *most > 0)?))
}

/// Numbers are compared in a common type.
fn without_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => without_cast(&cast.expr),
        other => other,
    }
}

/// The window node whose `ROW_NUMBER` is this column of a plan.
fn row_number_of<'a>(plan: &'a LogicalPlan, column: &Column) -> Option<&'a Window> {
    let index = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::SubqueryAlias(alias) => column_of(&alias.input, index),
        _ => column_of(plan, index),
    }
}

fn column_of(plan: &LogicalPlan, index: usize) -> Option<&Window> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => column_of(&alias.input, index),
        LogicalPlan::Projection(projection) => match projection.expr.get(index)?.clone().unalias() {
            Expr::Column(column) => {
                column_of(&projection.input, projection.input.schema().maybe_index_of_column(&column)?)
            }
            _ => None,
        },
        LogicalPlan::Window(window) => {
            let function = index.checked_sub(window.input.schema().fields().len())?;
            let function = window_function(window.window_expr.get(function)?)?;
            (function.fun.name() == "row_number").then_some(window)
        }
        _ => None,
    }
}
