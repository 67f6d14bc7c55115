//! OVER: within each window, along a stream in the order of time, or as a top-N that changes.

use datafusion::logical_expr::Window;
use datafusion::logical_expr::expr::WindowFunctionParams;
use millstream_core::WindowSpec;

use super::aggregate::names_window;
use super::{Checked, Checker, Origin, Shape, origin};
use crate::pipeline::WindowBound;
use crate::plan::over::{TopRows, check_frame, first_order, window_function};
use crate::{Code, SqlError};

/// How an OVER runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverKind {
    /// In CLOSE, within each window.
    Windowed(WindowSpec),
    /// Along the stream.
    Stream,
}

impl Checker<'_> {
    pub(super) fn check_over(&self, window: &Window) -> Result<Checked, SqlError> {
        let input = self.check(&window.input)?;
        let mut origins = input.origins.clone();
        origins.extend(std::iter::repeat_n(Origin::Other, window.window_expr.len()));
        let shape = match input.shape {
            Shape::Bounded => Shape::Bounded,
            Shape::Updating => return Err(Self::over_updating("an OVER window", self.clauses.over())),
            Shape::Sets { .. } => {
                let hint = "group the rows of the sets first";
                return Err(SqlError::coded(Code::E13, "OVER runs along a stream, and these rows are sets", hint)
                    .at(self.clauses.over()));
            }
            Shape::Windowed(_) | Shape::Stream { .. } => match self.over_kind(window, &input)? {
                OverKind::Windowed(spec) => Shape::Windowed(spec),
                OverKind::Stream => {
                    for found in &mut origins {
                        match found {
                            Origin::Window(WindowBound::Time) => *found = Origin::Time,
                            Origin::Window(_) | Origin::SessionKey(_) => *found = Origin::Other,
                            _ => {}
                        }
                    }
                    Shape::Stream { assigned: None, has_watermark: true }
                }
            },
        };
        Ok(Checked { shape, origins, clock: input.clock })
    }

    /// The functions of one node may differ in their frames, not in how they run.
    fn over_kind(&self, window: &Window, input: &Checked) -> Result<OverKind, SqlError> {
        let schema = window.input.schema();
        let at = self.clauses.over();
        let mut kind = None;
        let mut partitions = None;
        for expr in &window.window_expr {
            let Some(function) = window_function(expr) else { continue };
            let WindowFunctionParams { partition_by, .. } = &function.params;
            let name = function.fun.name();
            let has_bound = |bounds: &[WindowBound]| {
                let found = partition_by.iter().map(|part| origin(part, schema, input));
                found.into_iter().any(|found| matches!(found, Origin::Window(bound) if bounds.contains(&bound)))
            };
            let spec = match input.shape {
                Shape::Windowed(spec) | Shape::Stream { assigned: Some(spec), .. } => Some(spec),
                _ => None,
            };
            let found = match spec {
                Some(spec) if names_window(spec, has_bound) => OverKind::Windowed(spec),
                _ => {
                    let first = first_order(function).map(|(expr, asc)| (origin(expr, schema, input), asc));
                    Self::check_order(name, first, input).map_err(|error| error.at(at))?;
                    check_frame(function).map_err(|error| error.at(at))?;
                    OverKind::Stream
                }
            };
            if found == OverKind::Stream && *partitions.get_or_insert(partition_by) != partition_by {
                let hint = "compute one of them in a subquery";
                let message = "OVER windows of one SELECT on a stream must have the same PARTITION BY";
                return Err(SqlError::coded(Code::E13, message, hint).at(at));
            }
            match kind {
                Some(kind) if kind != found => {
                    let message = "some of these OVER windows run within windows and some along the stream";
                    return Err(SqlError::coded(Code::E13, message, "compute one of them in a subquery").at(at));
                }
                _ => kind = Some(found),
            }
        }
        kind.ok_or_else(|| SqlError::new("an OVER without functions"))
    }

    /// Along a stream rows are looked at in the order of time; any other order would need all of them first.
    fn check_order(name: &str, first: Option<(Origin, bool)>, input: &Checked) -> Result<(), SqlError> {
        let refuse = |message: String, hint: &str| Err(SqlError::coded(Code::E07, message, hint));
        let is_time = |found: Origin| {
            matches!(
                (&input.shape, found),
                (Shape::Stream { has_watermark: true, assigned: None }, Origin::Time)
                    | (Shape::Windowed(_), Origin::Window(WindowBound::End | WindowBound::Time))
                    | (Shape::Windowed(WindowSpec::Tumble(_) | WindowSpec::Hop { .. }), Origin::Window(_))
            )
        };
        match (&input.shape, first) {
            (_, Some((found, true))) if is_time(found) => Ok(()),
            (Shape::Windowed(_), _) => Err(SqlError::coded(
                Code::E01,
                format!("{name} runs over all windows, which never end"),
                "add PARTITION BY window_start, window_end to its OVER, or ORDER BY window_end to run along them",
            )),
            (Shape::Stream { assigned: Some(_), .. }, _) => refuse(
                format!("{name} runs over rows that have windows, and not within them"),
                "add PARTITION BY window_start, window_end to its OVER, or leave the window function out",
            ),
            (Shape::Stream { has_watermark: false, .. }, _) => Err(SqlError::coded(
                Code::E11,
                format!("{name} OVER a stream needs the order of its times, and its table declares no watermark"),
                "add WATERMARK FOR column AS column - INTERVAL '5' SECOND to CREATE TABLE",
            )),
            _ => refuse(
                format!("{name} OVER a stream must be in the order of time"),
                "ORDER BY the time attribute, ascending; for the first rows in another order filter ROW_NUMBER() <= n",
            ),
        }
    }

    /// Top-N over a stream changes as better rows come. `None`: it is not one, but OVER as usual.
    pub(super) fn check_top(&self, top: &TopRows<'_>, columns: usize) -> Result<Option<Checked>, SqlError> {
        let Some(function) = top.function() else { return Ok(None) };
        let input = self.check(&top.window.input)?;
        let schema = top.window.input.schema();
        let Shape::Stream { assigned: None, has_watermark } = input.shape else { return Ok(None) };
        let first = first_order(function);
        if has_watermark && first.is_some_and(|(expr, asc)| asc && origin(expr, schema, &input) == Origin::Time) {
            return Ok(None);
        }
        if !self.allowed.updates {
            return Err(SqlError::coded(
                Code::E09,
                "the first rows change as better ones come, and this target takes final rows only",
                "keep the result in a CREATE MATERIALIZED VIEW, or rank within windows: PARTITION BY window_start, window_end",
            )
            .at(self.clauses.over()));
        }
        if first.is_none() {
            let hint = "add ORDER BY to the OVER of ROW_NUMBER";
            return Err(SqlError::coded(Code::E07, "the first rows of no order", hint).at(self.clauses.over()));
        }
        Ok(Some(Checked { shape: Shape::Updating, origins: vec![Origin::Other; columns], clock: input.clock }))
    }
}
