//! Sliding windows: the frames of OVER, and the subqueries that compute them.
//!
//! Every call becomes a column of a subquery over the rows. A native OVER along a stream has one PARTITION BY, so calls
//! with others are computed one level further out.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderByExpr, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowSpec, WindowType,
};

use super::columns::quote;
use super::interval::{self, Length};
use super::scope::is_rowtime;
use super::statements::fold;
use crate::SqlError;

/// The calls with OVER of one SELECT.
#[derive(Debug, Default)]
pub(super) struct Overs {
    calls: Vec<OverCall>,
}

#[derive(Debug, PartialEq, Eq)]
struct OverCall {
    function: String,
    partition: Vec<String>,
    bounds: String,
}

impl Overs {
    /// The column of a call; calls that are the same are computed once.
    pub(super) fn add(&mut self, function: String, partition: Vec<String>, bounds: String) -> String {
        let call = OverCall { function, partition, bounds };
        let place = self.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.calls.push(call);
            self.calls.len() - 1
        });
        column(place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The input with a column for each call, under its alias.
    pub(super) fn around(&self, from: &str, filter: &str, alias: &str, rowtime: &str) -> String {
        let mut partitions: Vec<&[String]> = Vec::new();
        for call in &self.calls {
            if !partitions.contains(&call.partition.as_slice()) {
                partitions.push(&call.partition);
            }
        }
        let mut from = from.to_owned();
        let mut filter = filter.to_owned();
        for partition in partitions {
            let by = match partition {
                [] => String::new(),
                keys => format!("PARTITION BY {} ", keys.join(", ")),
            };
            let calls = self.calls.iter().enumerate().filter(|(_, call)| call.partition == partition);
            let columns: Vec<String> = calls
                .map(|(place, OverCall { function, bounds, .. })| {
                    let name = quote(&column(place));
                    format!("{function} OVER ({by}ORDER BY in_arrival_order({rowtime}) {bounds}) AS {name}")
                })
                .collect();
            from = format!("(SELECT *, {} FROM {from}{filter}) AS {}", columns.join(", "), quote(alias));
            filter.clear();
        }
        from
    }
}

fn column(place: usize) -> String {
    format!("__over_{}", place + 1)
}

/// A window as it is used: partitions, order and frame of the specification and of those that it names.
#[derive(Debug, Default)]
pub(super) struct Frame<'a> {
    pub(super) partition_by: Vec<&'a Expr>,
    order_by: Vec<&'a OrderByExpr>,
    rows: Option<&'a WindowFrame>,
}

/// The window of an OVER.
pub(super) fn frame_of<'a>(over: &'a WindowType, windows: &'a [NamedWindowDefinition]) -> Result<Frame<'a>, SqlError> {
    match over {
        WindowType::WindowSpec(spec) => of_spec(spec, windows, 0),
        WindowType::NamedWindow(name) => named(name, windows, 0),
    }
}

fn named<'a>(name: &Ident, windows: &'a [NamedWindowDefinition], depth: usize) -> Result<Frame<'a>, SqlError> {
    let found = windows.iter().find(|window| fold(&window.0) == fold(name)).filter(|_| depth < windows.len() + 1);
    match found {
        Some(NamedWindowDefinition(_, NamedWindowExpr::WindowSpec(spec))) => of_spec(spec, windows, depth + 1),
        Some(NamedWindowDefinition(_, NamedWindowExpr::NamedWindow(other))) => named(other, windows, depth + 1),
        None => {
            let names: Vec<String> = windows.iter().map(|window| window.0.to_string()).collect();
            let error = SqlError::new(format!("there is no window {name}"));
            Err(if names.is_empty() {
                error.hint(format!(
                    "add WINDOW {name} AS (PARTITION BY k RANGE INTERVAL '1' MINUTE PRECEDING) behind WHERE"
                ))
            } else {
                error.hint(format!("WINDOW has {}", names.join(", ")))
            })
        }
    }
}

fn of_spec<'a>(
    spec: &'a WindowSpec,
    windows: &'a [NamedWindowDefinition],
    depth: usize,
) -> Result<Frame<'a>, SqlError> {
    let mut frame = match &spec.window_name {
        Some(name) => named(name, windows, depth)?,
        None => Frame::default(),
    };
    if !spec.partition_by.is_empty() {
        frame.partition_by = spec.partition_by.iter().collect();
    }
    frame.order_by.extend(&spec.order_by);
    frame.rows = spec.window_frame.as_ref().or(frame.rows);
    Ok(frame)
}

impl Frame<'_> {
    /// The frame in native SQL. Rows that came later never count, not even those of the same ROWTIME.
    pub(super) fn bounds(&self, function: &str) -> Result<String, SqlError> {
        for order in &self.order_by {
            let is_time = match &order.expr {
                Expr::Identifier(name) => is_rowtime(name),
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(is_rowtime),
                _ => false,
            };
            if !is_time || order.options.asc == Some(false) {
                let error = SqlError::new(format!("{function} OVER a stream goes by ROWTIME, not by {order}"));
                return Err(error.hint("leave ORDER BY out of OVER"));
            }
        }
        let Some(frame) = self.rows else {
            return Ok("RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned());
        };
        if !matches!(&frame.end_bound, None | Some(WindowFrameBound::CurrentRow)) {
            return Err(ends_elsewhere(function, frame));
        }
        let (units, none) = match frame.units {
            WindowFrameUnits::Rows => ("ROWS", "0".to_owned()),
            WindowFrameUnits::Range => ("RANGE", Length::Millis(0).sql()),
            WindowFrameUnits::Groups => return Err(SqlError::new("windows count ROWS or have a RANGE of time")),
        };
        let start = match &frame.start_bound {
            WindowFrameBound::CurrentRow => none,
            WindowFrameBound::Preceding(None) => "UNBOUNDED".to_owned(),
            WindowFrameBound::Preceding(Some(distance)) => distance_of(distance, frame.units)?,
            WindowFrameBound::Following(_) => return Err(ends_elsewhere(function, frame)),
        };
        Ok(format!("{units} BETWEEN {start} PRECEDING AND CURRENT ROW"))
    }
}

fn ends_elsewhere(function: &str, frame: &WindowFrame) -> SqlError {
    let end = frame.end_bound.as_ref().unwrap_or(&frame.start_bound);
    SqlError::new(format!("the window of {function} ends at {end}, not at the current row"))
        .hint("write RANGE INTERVAL '1' MINUTE PRECEDING or ROWS 10 PRECEDING: both end there")
}

fn distance_of(distance: &Expr, units: WindowFrameUnits) -> Result<String, SqlError> {
    match (distance, units) {
        (Expr::Interval(literal), WindowFrameUnits::Range) => Ok(interval::read(literal)?.sql()),
        (Expr::Value(value), WindowFrameUnits::Rows) => Ok(value.to_string()),
        (other, WindowFrameUnits::Rows) => {
            Err(SqlError::new(format!("ROWS counts rows, not {other}")).hint("write ROWS 10 PRECEDING"))
        }
        (other, _) => Err(SqlError::new(format!("RANGE needs a length of time, not {other}"))
            .hint("write RANGE INTERVAL '1' MINUTE PRECEDING")),
    }
}

/// How far back the window of a relation in FROM goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    Time(Length),
    Rows(u64),
}

/// The window of a relation in FROM.
pub(super) fn reach(frame: &Frame<'_>, relation: &str) -> Result<Back, SqlError> {
    let refuse = |message: String, hint: &str| Err(SqlError::new(message).hint(hint));
    if !frame.partition_by.is_empty() {
        let message = format!("the window of {relation} has PARTITION BY, which windows of joins cannot have");
        return refuse(message, "leave it out, and compare the key in ON");
    }
    frame.bounds(relation)?;
    let Some(WindowFrame { units, start_bound, .. }) = frame.rows else {
        return refuse(
            format!("the window of {relation} has no length"),
            "write OVER (RANGE INTERVAL '1' MINUTE PRECEDING)",
        );
    };
    let distance = match start_bound {
        WindowFrameBound::CurrentRow => None,
        WindowFrameBound::Preceding(Some(distance)) => Some(distance.as_ref()),
        _ => {
            return refuse(
                format!("the window of {relation} in a join has no end"),
                "write RANGE INTERVAL '1' HOUR PRECEDING",
            );
        }
    };
    match (units, distance) {
        (WindowFrameUnits::Rows, None) => Ok(Back::Rows(0)),
        (_, None) => Ok(Back::Time(Length::Millis(0))),
        (WindowFrameUnits::Range, Some(Expr::Interval(literal))) => Ok(Back::Time(interval::read(literal)?)),
        (WindowFrameUnits::Rows, Some(Expr::Value(rows))) => match rows.to_string().parse() {
            Ok(rows) => Ok(Back::Rows(rows)),
            Err(_) => refuse(format!("{rows} is no number of rows"), "write ROWS 10 PRECEDING"),
        },
        (_, Some(other)) => {
            refuse(format!("{other} is no length of a window"), "write RANGE INTERVAL '1' MINUTE PRECEDING")
        }
    }
}
