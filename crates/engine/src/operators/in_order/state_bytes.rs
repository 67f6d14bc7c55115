//! A state that is bytes, as a chunk of one row.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};
use datafusion::common::Result;
use millstream_analytics::LoadError;

use super::super::saved_keys::damaged;
use crate::checkpoint::{Saved, Saver, Slot};
use crate::pane::columns_batch;

/// Saves a state; nothing is written where `slot` says that a checkpoint has it.
pub(super) fn save(saver: &mut Saver, slot: &mut Slot, bytes: impl FnOnce() -> Vec<u8>) -> Result<()> {
    saver.chunk(slot, "state", &(), || columns_batch(vec![Arc::new(BinaryArray::from_iter_values([bytes()]))], 1))
}

/// What [`save`] saved, if it did, and where it is.
pub(super) fn load<T>(saved: &mut Saved, read: impl Fn(&[u8]) -> Result<T, LoadError>) -> Result<Option<(T, Slot)>> {
    let Some(chunk) = saved.chunks("state").pop() else { return Ok(None) };
    let bytes = chunk.rows.columns().first().and_then(|column| column.as_binary_opt::<i32>());
    let bytes = bytes.filter(|bytes| bytes.len() == 1).ok_or_else(|| damaged("a state is one row of bytes"))?;
    let state = read(bytes.value(0)).map_err(|error| damaged(&error.to_string()))?;
    Ok(Some((state, chunk.slot)))
}
