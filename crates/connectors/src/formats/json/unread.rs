//! A column that nobody reads: its values are checked and counted, and zeros stand for them.

use arrow::array::{ArrayData, ArrayRef, make_array, new_empty_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// What is kept of the values.
pub(super) struct Unread {
    pub(super) len: usize,
    data_type: DataType,
    /// As long as the longest chunk so far.
    zeros: ArrayRef,
}

impl Unread {
    pub(super) fn new(data_type: &DataType) -> Self {
        Self { len: 0, data_type: data_type.clone(), zeros: new_empty_array(data_type) }
    }

    /// Gives the column out and starts anew.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let len = std::mem::take(&mut self.len);
        if self.zeros.len() < len {
            // Not nulls: the column may be declared NOT NULL.
            let zeros = ArrayData::new_null(&self.data_type, len).into_builder().nulls(None);
            self.zeros = make_array(zeros.build()?);
        }
        Ok(self.zeros.slice(0, len))
    }
}
