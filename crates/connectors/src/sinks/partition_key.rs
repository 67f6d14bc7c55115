//! The partition key of a row: the values of the columns that `sink.partition-key` names, or one at random.

use std::fmt::Write;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_core::{FormatError, OptionError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::registry::Request;

const OPTION: &str = "sink.partition-key";
/// The longest partition key Kinesis takes, in characters.
const CHARACTERS_MAX: usize = 256;

/// What makes the partition keys of rows.
pub(crate) struct PartitionKeys {
    /// None: records are spread at random.
    columns: Vec<usize>,
    random: SmallRng,
}

impl PartitionKeys {
    /// Reads the option.
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, OptionError> {
        let index = |name: &str| {
            let unknown =
                |_| OptionError::new(OPTION, format!("table `{}` has no column `{name}`", request.table.name));
            request.table.schema.index_of(name).map_err(unknown)
        };
        let names =
            request.options.get(OPTION).map_or_else(Vec::new, |names| names.split(',').map(str::trim).collect());
        let columns = names.into_iter().map(index).collect::<Result<_, _>>()?;
        Ok(Self { columns, random: SmallRng::seed_from_u64(request.context.seed) })
    }

    /// Whether keys are made of columns.
    pub(crate) fn is_given(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The key of each row.
    pub(crate) fn of(&mut self, rows: &RecordBatch) -> Result<Vec<String>, FormatError> {
        if self.columns.is_empty() {
            return Ok((0..rows.num_rows()).map(|_| format!("{:016x}", self.random.random::<u64>())).collect());
        }
        let format = FormatOptions::new();
        let columns = self.columns.iter().map(|index| ArrayFormatter::try_new(rows.column(*index).as_ref(), &format));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let key = |row: usize| {
            let mut key = String::new();
            for (place, column) in columns.iter().enumerate() {
                let mark = if place > 0 { "|" } else { "" };
                let written = write!(key, "{mark}{}", column.value(row));
                written.map_err(|_| ArrowError::CastError(format!("the partition key of row {row} has no text")))?;
            }
            Ok(bounded(key))
        };
        (0..rows.num_rows()).map(key).collect()
    }
}

/// A key as Kinesis takes it: not empty, not too long.
fn bounded(mut key: String) -> String {
    if key.is_empty() {
        key.push('-');
    }
    if let Some((end, _)) = key.char_indices().nth(CHARACTERS_MAX) {
        key.truncate(end);
    }
    key
}
