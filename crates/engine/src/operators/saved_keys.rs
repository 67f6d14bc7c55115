//! Keyed state as columns: whether the key is gone, its key columns, and what is kept of it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, SchemaRef};
use arrow::row::{OwnedRow, RowConverter};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;

use crate::pane::columns_batch;

/// Keys with what is kept of each.
pub(super) fn keys_batch(
    converter: &RowConverter,
    has_columns: bool,
    keys: &[OwnedRow],
    gone: Vec<bool>,
    kept: impl IntoIterator<Item = ArrayRef>,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(BooleanArray::from(gone))];
    if has_columns {
        columns.extend(converter.convert_rows(keys.iter().map(OwnedRow::row))?);
    }
    columns.extend(kept);
    columns_batch(columns, keys.len())
}

/// What [`keys_batch`] made: the keys, and for each what is kept of it, or that it is gone.
pub(super) struct SavedKeys {
    pub(super) keys: Vec<OwnedRow>,
    gone: BooleanArray,
    pub(super) kept: Vec<ArrayRef>,
}

impl SavedKeys {
    pub(super) fn read(rows: &RecordBatch, converter: &RowConverter, key_columns: usize) -> Result<Self> {
        let [gone, columns @ ..] = rows.columns() else { return Err(damaged("it has no columns")) };
        let gone = gone.as_boolean_opt().ok_or_else(|| damaged("its first column is not a mark"))?.clone();
        if columns.len() < key_columns {
            return Err(damaged("it has too few columns"));
        }
        let (keys, kept) = columns.split_at(key_columns);
        let keys = if keys.is_empty() {
            vec![converter.parser().parse(&[]).owned(); rows.num_rows()]
        } else {
            converter.convert_columns(keys)?.iter().map(|key| key.owned()).collect()
        };
        Ok(Self { keys, gone, kept: kept.to_vec() })
    }

    pub(super) fn is_gone(&self, row: usize) -> bool {
        self.gone.value(row)
    }

    /// A column of numbers.
    pub(super) fn number(&self, column: usize, row: usize) -> Result<i64> {
        let numbers = self.column(column)?.as_primitive_opt::<arrow::datatypes::Int64Type>();
        Ok(numbers.ok_or_else(|| damaged("a column has no numbers"))?.value(row))
    }

    pub(super) fn column(&self, column: usize) -> Result<&ArrayRef> {
        self.kept.get(column).ok_or_else(|| damaged("a column is missing"))
    }

    /// The rows of a list column, with this schema.
    pub(super) fn rows(&self, column: usize, row: usize, schema: &SchemaRef) -> Result<RecordBatch> {
        let lists = self.column(column)?.as_list_opt::<i32>().ok_or_else(|| damaged("a column has no lists"))?;
        let list = lists.value(row);
        let list = list.as_struct_opt().ok_or_else(|| damaged("a list has no rows"))?;
        // A copy of its own: a slice would keep the whole chunk in memory.
        let every = UInt32Array::from_iter_values(0..u32::try_from(list.len()).unwrap_or(u32::MAX));
        let rows = take_record_batch(&RecordBatch::from(list.clone()), &every)?;
        Ok(RecordBatch::try_new(Arc::clone(schema), rows.columns().to_vec())?)
    }
}

/// Rows that belong to keys, as a list for each: `rows` has them one after another, `lengths` says how many each has.
pub(super) fn lists(rows: &RecordBatch, lengths: impl IntoIterator<Item = usize>) -> Result<ArrayRef> {
    let rows = StructArray::from(columns_batch(rows.columns().to_vec(), rows.num_rows())?);
    let item = Arc::new(Field::new("item", rows.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(rows), None)?))
}

/// Values of one type as a column; of that type also when there is none.
pub(super) fn column(values: Vec<ScalarValue>, of: &arrow::datatypes::DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(of));
    }
    ScalarValue::iter_to_array(values)
}

pub(super) fn damaged(what: &str) -> DataFusionError {
    DataFusionError::Execution(format!("the checkpoint does not fit this query: {what}"))
}
