//! Some numeric columns of rows as points. A coordinate that is NULL is 0, as it is for AWS: each row has its score.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;

/// The points of some rows.
pub(super) struct Points {
    coordinates: Vec<Float64Array>,
    point: Vec<f64>,
}

impl Points {
    pub(super) fn new(rows: &RecordBatch, columns: &[usize]) -> Result<Self> {
        let numbers = |column: &usize| -> Result<Float64Array> {
            let numbers: ArrayRef = cast(rows.column(*column), &DataType::Float64)?;
            Ok(numbers.as_primitive::<Float64Type>().clone())
        };
        let coordinates = columns.iter().map(numbers).collect::<Result<_>>()?;
        Ok(Self { coordinates, point: vec![0.0; columns.len()] })
    }

    /// The point of a row.
    pub(super) fn of(&mut self, row: usize) -> &[f64] {
        for (into, column) in self.point.iter_mut().zip(&self.coordinates) {
            *into = if column.is_null(row) { 0.0 } else { column.value(row) };
        }
        &self.point
    }
}
