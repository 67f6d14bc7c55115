//! GROUP BY: in a window that a key names, or updating for ever.

use arrow::datatypes::DataType;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};
use millstream_core::WindowSpec;

use super::in_order::of_sets;
use super::{Checked, Checker, Origin, Shape, asks_for_now, origin};
use crate::pipeline::WindowBound;
use crate::plan::sets::grouping_sets;
use crate::plan::tumble::{TimeFunction, time_function};
use crate::{Code, SqlError};

/// Whether every set of a GROUP BY has a key of which something holds.
pub(super) type InEverySet<'a> = dyn Fn(&dyn Fn(&Origin) -> bool) -> bool + 'a;

impl Checker<'_> {
    pub(super) fn check_aggregate(&self, aggregate: &Aggregate) -> Result<Checked, SqlError> {
        let input = self.check(&aggregate.input)?;
        let schema = aggregate.input.schema();
        let at = self.clauses.group_by(&aggregate.group_expr);
        let keys: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
        let clock = input.clock || keys.iter().any(asks_for_now);
        let mut origins: Vec<Origin> = keys.iter().map(|key| origin(key, schema, &input)).collect();
        let mut window: Option<WindowSpec> = None;
        for (key, found) in keys.iter().zip(&mut origins) {
            let Some(function) = time_function(key) else { continue };
            let (function, column) = function.map_err(|error| error.at(at))?;
            let source = origin(column, schema, &input);
            let is_time = match &input.shape {
                // Rows with windows have their windows; a function of time is a key like others.
                Shape::Stream { assigned: Some(_), .. } => continue,
                Shape::Stream { .. } => source == Origin::Time,
                Shape::Windowed(_) => source == Origin::Window(WindowBound::Time),
                _ => false,
            };
            match &input.shape {
                _ if is_time => {
                    let TimeFunction { spec } = function;
                    window = Some(match window {
                        Some(finest) if finest.approximate_size() <= spec.approximate_size() => finest,
                        _ => spec,
                    });
                    *found = Origin::Window(WindowBound::Start);
                }
                Shape::Stream { .. } if source == Origin::LostTime => Self::require_time(source, column, &input, at)?,
                // With a time-to-live it may be meant as an ordinary key.
                Shape::Stream { has_watermark: false, .. } if !self.allowed.ttl => {
                    Self::require_time(source, column, &input, at)?;
                }
                _ => {}
            }
        }
        // A key by a coarser function than the window's is one of the rows, not a bound.
        for (key, found) in keys.iter().zip(&mut origins) {
            if let Some(Ok((function, _))) = time_function(key)
                && *found == Origin::Window(WindowBound::Start)
                && Some(function.spec) != window
            {
                *found = Origin::LostTime;
            }
        }
        let in_every_set = |of: &dyn Fn(&Origin) -> bool| {
            let of_column = |expr: &Expr| keys.iter().position(|key| key == expr).is_some_and(|key| of(&origins[key]));
            match aggregate.group_expr.as_slice() {
                [Expr::GroupingSet(sets)] => grouping_sets(sets).iter().all(|set| set.iter().any(of_column)),
                _ => origins.iter().any(of),
            }
        };
        let has_bound = |bounds: &[WindowBound]| {
            in_every_set(&|origin| matches!(origin, Origin::Window(bound) if bounds.contains(bound)))
        };
        let spec = match input.shape {
            Shape::Windowed(spec) | Shape::Stream { assigned: Some(spec), .. } => window.or(Some(spec)),
            _ => window,
        };
        let keyed_by_window = spec.is_some_and(|spec| names_window(spec, has_bound));
        let shape = match &input.shape {
            Shape::Bounded => Shape::Bounded,
            Shape::Updating => return Err(Self::over_updating("an aggregate", at)),
            Shape::Sets { keys } => {
                Self::check_sets(*keys, &in_every_set, at)?;
                origins.resize(aggregate.schema.fields().len(), Origin::Other);
                return Ok(of_sets(Checked { origins, clock: false, ..input }));
            }
            Shape::Windowed(spec) if keyed_by_window => Shape::Windowed(window.unwrap_or(*spec)),
            Shape::Windowed(_) => {
                return Err(SqlError::coded(
                    Code::E01,
                    "this aggregate runs over all windows, which never end",
                    "add window_start or window_end to its GROUP BY",
                )
                .at(at));
            }
            Shape::Stream { assigned: Some(spec), .. } if keyed_by_window => {
                Self::check_session_keys(*spec, &input, &in_every_set, at)?;
                Shape::Windowed(*spec)
            }
            Shape::Stream { assigned: Some(_), .. } => {
                return Err(SqlError::coded(
                    Code::E04,
                    "the rows have windows, but the GROUP BY has no window column",
                    "add window_start, window_end to GROUP BY",
                )
                .at(at));
            }
            Shape::Stream { assigned: None, has_watermark } => match window {
                Some(spec) if keyed_by_window => Shape::Windowed(spec),
                Some(_) => {
                    return Err(SqlError::coded(
                        Code::E04,
                        "one of the GROUPING SETS has no window",
                        "put the window into every set: GROUP BY window_start, GROUPING SETS ((a), (b))",
                    )
                    .at(at));
                }
                None if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) => {
                    return Err(SqlError::coded(
                        Code::E01,
                        "GROUPING SETS, CUBE and ROLLUP need a window on a stream",
                        "group by a window too: GROUP BY window_start, window_end, ROLLUP (a, b)",
                    )
                    .at(at));
                }
                None => {
                    self.check_updating(aggregate, &origins, *has_watermark, at)?;
                    Shape::Updating
                }
            },
        };
        if clock && matches!(shape, Shape::Windowed(_)) {
            return Err(self.clock_decides());
        }
        for found in &mut origins {
            if matches!(found, Origin::Time) {
                *found = Origin::LostTime;
            }
        }
        origins.resize(aggregate.schema.fields().len(), Origin::Other);
        Ok(Checked { shape, origins, clock: false })
    }

    /// The keys of a session are part of what it is: without them in GROUP BY, sessions of different keys would mix.
    fn check_session_keys(
        spec: WindowSpec,
        input: &Checked,
        is_grouped: &InEverySet<'_>,
        at: Option<crate::Position>,
    ) -> Result<(), SqlError> {
        if !matches!(spec, WindowSpec::Session { .. }) {
            return Ok(());
        }
        let keys = input.origins.iter().filter_map(|origin| match origin {
            Origin::SessionKey(key) => Some(*key),
            _ => None,
        });
        for key in keys {
            if !is_grouped(&|origin| *origin == Origin::SessionKey(key)) {
                let error = SqlError::coded(
                    Code::E04,
                    "a PARTITION BY column of the SESSION is missing from GROUP BY",
                    "group by window_start, window_end and every PARTITION BY column",
                );
                return Err(error.at(at));
            }
        }
        for bound in [WindowBound::Start, WindowBound::End] {
            if !is_grouped(&|origin| *origin == Origin::Window(bound)) {
                let error = SqlError::coded(
                    Code::E04,
                    "sessions differ in both their start and their end",
                    "add window_start, window_end to GROUP BY",
                );
                return Err(error.at(at));
            }
        }
        Ok(())
    }

    fn check_updating(
        &self,
        aggregate: &Aggregate,
        origins: &[Origin],
        has_watermark: bool,
        at: Option<crate::Position>,
    ) -> Result<(), SqlError> {
        let schema = aggregate.input.schema();
        if !self.allowed.updates {
            let hint =
                "group by a window: TABLE(TUMBLE(…)) or date_bin(…); or keep the result in a CREATE MATERIALIZED VIEW";
            return Err(SqlError::coded(Code::E01, "GROUP BY without a window never has a final row", hint).at(at));
        }
        for (key, origin) in aggregate.group_expr.iter().zip(origins) {
            let is_time =
                matches!(key.get_type(schema)?, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_));
            if !self.allowed.ttl && is_time {
                let message = format!("{key} gives a new key for ever, and nothing lets go of old ones");
                let hint = match (origin, has_watermark) {
                    (Origin::Time | Origin::LostTime, _) => "group by a window of it, or set WITH ('ttl' = '1 h')",
                    _ => "set a time-to-live: CREATE MATERIALIZED VIEW … WITH ('ttl' = '1 h')",
                };
                return Err(SqlError::coded(Code::E12, message, hint).at(at));
            }
        }
        Ok(())
    }
}

/// Whether bounds tell a window from all others: some windows share a start.
pub(crate) fn names_window(spec: WindowSpec, has: impl Fn(&[WindowBound]) -> bool) -> bool {
    let ends = has(&[WindowBound::End, WindowBound::Time]);
    match spec {
        WindowSpec::Tumble(_) | WindowSpec::Hop { .. } => ends || has(&[WindowBound::Start]),
        WindowSpec::Cumulate { .. } => ends,
        WindowSpec::Session { .. } => ends && has(&[WindowBound::Start]),
    }
}
