//! The rows of one key, and the frames that slide over them.

use std::collections::VecDeque;

use super::function::{Argument, Function, Kind, bits, float};

/// Rows of a key as far back as frames reach, and the frames of its newest row.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) key: Box<[u8]>,
    /// The number of the first row that is kept; rows of a partition are numbered as they come.
    pub(super) first: u64,
    pub(super) times: VecDeque<i64>,
    /// For each argument the values of those rows, floats by their bits.
    pub(super) values: Vec<VecDeque<Option<i64>>>,
    pub(super) frames: Vec<Frame>,
    pub(super) is_touched: bool,
}

/// The frame of one function.
#[derive(Clone, Default)]
pub(super) struct Frame {
    /// The number of its first row.
    pub(super) start: u64,
    /// How many of its values are not null.
    pub(super) count: i64,
    /// Their sum; of floats the bits.
    pub(super) sum: i64,
    /// Values that may still become the least or greatest, with the numbers of their rows: each better than those after
    /// it.
    pub(super) best: VecDeque<(u64, i64)>,
}

impl Partition {
    /// Keeps a row; answers its number.
    pub(super) fn push(&mut self, time: i64, values: impl Iterator<Item = Option<i64>>) -> u64 {
        let number = self.first + self.times.len() as u64;
        self.times.push_back(time);
        self.values.iter_mut().zip(values).for_each(|(kept, value)| kept.push_back(value));
        number
    }

    pub(super) fn index(&self, number: u64) -> usize {
        usize::try_from(number - self.first).unwrap_or(usize::MAX)
    }

    pub(super) fn value_of(&self, function: &Function, number: u64) -> Option<i64> {
        match function.argument {
            Some(argument) => self.values[argument][self.index(number)],
            None => Some(1),
        }
    }

    /// A row comes into a frame.
    pub(super) fn add(&mut self, index: usize, function: &Function, arguments: &[Argument], number: u64) {
        let Some(value) = self.value_of(function, number) else { return };
        let frame = &mut self.frames[index];
        frame.count += 1;
        match function.kind {
            Kind::Count => {}
            Kind::Sum | Kind::Average if function.is_of_floats(arguments) => {
                frame.sum = bits(float(frame.sum) + float(value));
            }
            Kind::Sum | Kind::Average => frame.sum = frame.sum.wrapping_add(value),
            Kind::Least | Kind::Greatest => {
                let is_float = function.is_of_floats(arguments);
                let is_beaten = |other: i64| {
                    let order = if is_float { float(other).total_cmp(&float(value)) } else { other.cmp(&value) };
                    if function.kind == Kind::Least { order.is_ge() } else { order.is_le() }
                };
                while frame.best.pop_back_if(|(_, other)| is_beaten(*other)).is_some() {}
                frame.best.push_back((number, value));
            }
        }
    }

    /// The first row of a frame leaves it.
    pub(super) fn leave(&mut self, index: usize, function: &Function, arguments: &[Argument]) {
        let number = self.frames[index].start;
        let value = self.value_of(function, number);
        let frame = &mut self.frames[index];
        frame.start += 1;
        let Some(value) = value else { return };
        frame.count -= 1;
        match function.kind {
            Kind::Count => {}
            // What rounding left behind goes with the last value.
            Kind::Sum | Kind::Average if frame.count == 0 => frame.sum = 0,
            Kind::Sum | Kind::Average if function.is_of_floats(arguments) => {
                frame.sum = bits(float(frame.sum) - float(value));
            }
            Kind::Sum | Kind::Average => frame.sum = frame.sum.wrapping_sub(value),
            Kind::Least | Kind::Greatest => drop(frame.best.pop_front_if(|(first, _)| *first == number)),
        }
    }

    /// Lets rows leave a frame of so many rows before the newest.
    pub(super) fn leave_rows(
        &mut self,
        index: usize,
        function: &Function,
        arguments: &[Argument],
        newest: u64,
        before: usize,
    ) {
        while newest - self.frames[index].start > before as u64 {
            self.leave(index, function, arguments);
        }
    }

    /// Lets rows leave a frame that begins at a time.
    pub(super) fn leave_time(&mut self, index: usize, function: &Function, arguments: &[Argument], from: i64) {
        while self.times.get(self.index(self.frames[index].start)).is_some_and(|time| *time < from) {
            self.leave(index, function, arguments);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an average is a float")]
    pub(super) fn value(&self, index: usize, function: &Function, arguments: &[Argument]) -> Option<i64> {
        let frame = &self.frames[index];
        match function.kind {
            Kind::Count => Some(frame.count),
            Kind::Least | Kind::Greatest => frame.best.front().map(|(_, value)| *value),
            Kind::Sum | Kind::Average if frame.count == 0 => None,
            Kind::Average if function.is_of_floats(arguments) => Some(bits(float(frame.sum) / frame.count as f64)),
            Kind::Sum | Kind::Average => Some(frame.sum),
        }
    }

    /// Lets go of rows that are in no frame; answers how many.
    pub(super) fn trim(&mut self) -> usize {
        let reached = self.frames.iter().map(|frame| frame.start).min().unwrap_or(self.first);
        let gone = self.index(reached).min(self.times.len());
        if gone > 0 {
            self.times.drain(..gone);
            self.values.iter_mut().for_each(|values| drop(values.drain(..gone)));
            self.first = reached;
        }
        gone
    }
}
