//! Which joins a stream can have: with a table that is there whole, window by window, or within bounds of time.

use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, Join};
use millstream_core::WindowSpec;

use super::{Checked, Checker, Origin, Shape, origin};
use crate::pipeline::WindowBound;
use crate::plan::bounds::time_bounds;
use crate::plan::reference::is_reference;
use crate::{Code, SqlError};

impl Checker<'_> {
    pub(super) fn check_join(&self, join: &Join) -> Result<Checked, SqlError> {
        match (is_reference(&join.left), is_reference(&join.right)) {
            (false, true) => return self.check_lookup(join, true),
            (true, false) => return self.check_lookup(join, false),
            _ => {}
        }
        let (left, right) = (self.check(&join.left)?, self.check(&join.right)?);
        let at = self.clauses.join();
        match (&left.shape, &right.shape) {
            (Shape::Bounded, Shape::Bounded) => Ok(Checked {
                shape: Shape::Bounded,
                origins: vec![Origin::Other; join.schema.fields().len()],
                clock: false,
            }),
            (Shape::Updating, _) | (_, Shape::Updating) => Err(Self::over_updating("a join", at)),
            _ => match (window_of(&left.shape), window_of(&right.shape)) {
                (Some(a), Some(b)) if a == b => self.check_window_join(join, &left, &right, a),
                (Some(a), Some(b)) => Err(SqlError::coded(
                    Code::E06,
                    format!("the left side has {a}, the right side {b}"),
                    "give both sides the same window",
                )
                .at(at)),
                (None, None) => self.check_interval_join(join, &left, &right),
                _ => Err(SqlError::coded(
                    Code::E06,
                    "one side of the join has windows, the other has none",
                    "give both sides the same window",
                )
                .at(at)),
            },
        }
    }

    fn check_window_join(
        &self,
        join: &Join,
        left: &Checked,
        right: &Checked,
        spec: WindowSpec,
    ) -> Result<Checked, SqlError> {
        let mut equal = Vec::new();
        for (l, r) in pairs(join) {
            let found = |expr: &Expr| match origin(expr, join.left.schema(), left) {
                Origin::Other => origin(expr, join.right.schema(), right),
                found => found,
            };
            if let (Origin::Window(a), Origin::Window(b)) = (found(&l), found(&r))
                && a == b
            {
                equal.push(a);
            }
        }
        let ends = equal.iter().any(|bound| matches!(bound, WindowBound::End | WindowBound::Time));
        let starts = equal.contains(&WindowBound::Start);
        let same_window = match spec {
            WindowSpec::Tumble(_) | WindowSpec::Hop { .. } => starts || ends,
            WindowSpec::Cumulate { .. } => ends,
            WindowSpec::Session { .. } => starts && ends,
        };
        if !same_window {
            return Err(SqlError::coded(
                Code::E05,
                "both sides have the same windows, but the join does not say that theirs must be equal",
                "add l.window_start = r.window_start AND l.window_end = r.window_end to ON",
            )
            .at(self.clauses.join()));
        }
        let (l, r) = (side(left, is_padded(join.join_type, true)), side(right, is_padded(join.join_type, false)));
        Ok(Checked { shape: Shape::Windowed(spec), origins: columns(join, l, r), clock: left.clock || right.clock })
    }

    /// Two streams: each row waits for its partners as long as the condition on their times allows.
    fn check_interval_join(&self, join: &Join, left: &Checked, right: &Checked) -> Result<Checked, SqlError> {
        let at = self.clauses.join();
        let watermarks = [left, right].map(|side| matches!(side.shape, Shape::Stream { has_watermark: true, .. }));
        if watermarks == [true, true] && time_bounds(join, left, right).is_some() {
            let (l, r) = (side(left, is_padded(join.join_type, true)), side(right, is_padded(join.join_type, false)));
            let shape = Shape::Stream { assigned: None, has_watermark: true };
            return Ok(Checked { shape, origins: columns(join, l, r), clock: left.clock || right.clock });
        }
        let hint = if watermarks == [true, true] {
            "bound the times: l.ts BETWEEN r.ts - INTERVAL '10' MINUTE AND r.ts + INTERVAL '10' MINUTE; or aggregate \
             both sides by the same window and join on window_end; or keep one side in a table and join it \
             FOR SYSTEM_TIME AS OF PROCTIME()"
        } else {
            "declare a WATERMARK on both tables and bound the times with BETWEEN; a table without one is joined as a \
             whole when it is a file, or a materialized view FOR SYSTEM_TIME AS OF PROCTIME()"
        };
        let message = "a join of streams must keep every row until its partner comes, and here that is for ever";
        Err(SqlError::coded(Code::E05, message, hint).at(at))
    }

    /// A stream and a table that is there whole: every row of the stream looks it up as it comes.
    fn check_lookup(&self, join: &Join, stream_is_left: bool) -> Result<Checked, SqlError> {
        let stream = self.check(if stream_is_left { &join.left } else { &join.right })?;
        let at = self.clauses.join();
        if stream.shape == Shape::Updating {
            return Err(Self::over_updating("a join", at));
        }
        let keeps_table = match join.join_type {
            JoinType::Inner => false,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => !stream_is_left,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => stream_is_left,
            JoinType::Full => true,
        };
        if keeps_table {
            return Err(SqlError::coded(
                Code::E13,
                "rows of the table without a partner are never final: one may come with the next row of the stream",
                "keep the stream's rows: stream LEFT JOIN table",
            )
            .at(at));
        }
        let whole = |schema: &datafusion::common::DFSchema| vec![Origin::Other; schema.fields().len()];
        let origins = if stream_is_left {
            columns(join, stream.origins.clone(), whole(join.right.schema()))
        } else {
            columns(join, whole(join.left.schema()), stream.origins.clone())
        };
        Ok(Checked { origins, ..stream })
    }
}

/// The windows of a side that has some, aggregated or not.
fn window_of(shape: &Shape) -> Option<WindowSpec> {
    match shape {
        Shape::Windowed(spec) | Shape::Stream { assigned: Some(spec), .. } => Some(*spec),
        _ => None,
    }
}

/// Whether a join makes up NULLs for the columns of a side.
fn is_padded(join_type: JoinType, left: bool) -> bool {
    matches!((join_type, left), (JoinType::Full, _) | (JoinType::Right, true) | (JoinType::Left, false))
}

/// A time that may be missing orders nothing.
fn side(checked: &Checked, padded: bool) -> Vec<Origin> {
    let known = checked.origins.iter().copied();
    known.map(|origin| if padded && origin == Origin::Time { Origin::LostTime } else { origin }).collect()
}

/// The columns that the join gives.
fn columns(join: &Join, left: Vec<Origin>, right: Vec<Origin>) -> Vec<Origin> {
    let mut origins = match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
        _ => left.into_iter().chain(right).collect(),
    };
    origins.resize(join.schema.fields().len(), Origin::Other);
    origins
}

/// The equalities of a join, from its keys and from its filter.
fn pairs(join: &Join) -> Vec<(Expr, Expr)> {
    let mut pairs = join.on.clone();
    for part in join.filter.iter().flat_map(datafusion::logical_expr::utils::split_conjunction) {
        if let Expr::BinaryExpr(binary) = part
            && binary.op == datafusion::logical_expr::Operator::Eq
        {
            pairs.push((*binary.left.clone(), *binary.right.clone()));
        }
    }
    pairs
}
