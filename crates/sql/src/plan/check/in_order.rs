//! Functions over rows in the order of time: what they may be over, and the sets that some of them give.

use super::aggregate::InEverySet;
use super::{Checked, Checker, Origin, Shape, origin};
use crate::in_order::{InOrder, InOrderFunction, ResultTime};
use crate::pipeline::WindowBound;
use crate::{Code, Position, SqlError};

impl Checker<'_> {
    pub(super) fn check_in_order(&self, node: &InOrder) -> Result<Checked, SqlError> {
        let input = self.check(&node.input)?;
        let (at, name) = (self.clauses.window(), node.function.name());
        let found = origin(node.time(), node.input.schema(), &input);
        let declares = node.function == InOrderFunction::InTime;
        match &input.shape {
            Shape::Bounded => {
                let hint = "read a table with a WATERMARK in it";
                return Err(SqlError::coded(Code::E13, format!("{name} needs a stream"), hint).at(at));
            }
            Shape::Updating => return Err(Self::over_updating(name, at)),
            Shape::Stream { assigned: Some(_), .. } | Shape::Sets { .. } => {
                let message = format!("{name} is of a stream, and these rows have windows");
                return Err(SqlError::coded(Code::E13, message, "group by the windows first").at(at));
            }
            Shape::Stream { has_watermark: true, .. } | Shape::Windowed(_) if declares => {}
            Shape::Stream { .. } => Self::require_time(found, node.time(), &input, at)?,
            Shape::Windowed(_) if matches!(found, Origin::Window(WindowBound::End | WindowBound::Time)) => {}
            Shape::Windowed(_) => {
                let message = format!("{} is not the time of the windows' results", node.time());
                return Err(SqlError::coded(Code::E03, message, "use window_end or window_time").at(at));
            }
        }
        let places = node.places()?;
        let mut origins = match node.function.passes() {
            None => input.origins,
            Some(passes) => passes.iter().map(|column| input.origins[places[*column]]).collect(),
        };
        for found in &mut origins {
            *found = if matches!(found, Origin::Time | Origin::LostTime) { Origin::LostTime } else { Origin::Other };
        }
        let passed = origins.len();
        origins.extend(node.adds().iter().map(|added| added.bound.map_or(Origin::Other, Origin::Window)));
        let shape = match node.function.result_time(places.len()) {
            ResultTime::Column(column) => {
                origins[places[column]] = Origin::Time;
                Shape::Stream { assigned: None, has_watermark: true }
            }
            ResultTime::Added(column) => {
                origins[passed + column] = Origin::Time;
                Shape::Stream { assigned: None, has_watermark: true }
            }
            ResultTime::Sets => {
                let keys = &places[1..];
                for (index, place) in keys.iter().enumerate() {
                    origins[*place] = Origin::SessionKey(index);
                }
                Shape::Sets { keys: keys.len() }
            }
        };
        Ok(Checked { shape, origins, clock: input.clock })
    }

    /// Groups must not mix what is of different sets.
    pub(super) fn check_sets(keys: usize, is_grouped: &InEverySet<'_>, at: Option<Position>) -> Result<(), SqlError> {
        let has_keys = (0..keys).all(|key| is_grouped(&|origin| *origin == Origin::SessionKey(key)));
        if has_keys && is_grouped(&|origin| matches!(origin, Origin::Window(_))) {
            return Ok(());
        }
        let message = "the rows are given in sets, and the GROUP BY does not tell one from another";
        let hint = "group by window_end and every column that makes the sets: PARTITION BY's, or the DESCRIPTOR's";
        Err(SqlError::coded(Code::E04, message, hint).at(at))
    }
}

/// The results of sets are a stream in the order of their ends.
pub(super) fn of_sets(grouped: Checked) -> Checked {
    let origins = grouped.origins.into_iter().map(|origin| match origin {
        Origin::Window(WindowBound::End | WindowBound::Time) => Origin::Time,
        Origin::LostTime => Origin::LostTime,
        _ => Origin::Other,
    });
    let shape = Shape::Stream { assigned: None, has_watermark: true };
    Checked { shape, origins: origins.collect(), ..grouped }
}
