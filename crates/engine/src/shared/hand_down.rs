//! The state of a shard for the shards that it was split or merged into: of each the groups whose keys it holds.
//!
//! All rows of a partition key are in one shard, the one with the key's MD5, and after a split or merge in the child that
//! holds it. So state by that key is divided as the stream divides the keys.

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use md5::{Digest, Md5};
use millstream_core::{EventTime, LeasedShard, ShardState, WindowSpec};
use millstream_sql::{Operator, Sharded, SqlError};

use super::instance_name;
use crate::checkpoint::{Found, Saved, ShardPosition, SourcePosition, find};
use crate::compile::Prepared;
use crate::durable::Origin;
use crate::engine::Inner;

type Hashes = (u128, u128);

impl Inner {
    /// The state that a shard has from its parents, which have been read to their ends. Event time goes on from theirs.
    pub(super) fn inherit(
        &self,
        origin: &mut Origin,
        query: &str,
        source: &str,
        leased: &LeasedShard,
        sharded: Option<&Sharded>,
        prepared: &Prepared,
    ) -> std::result::Result<Saved, SqlError> {
        let Some(settings) = self.checkpoints_of(&prepared.plan) else { return Ok(Saved::default()) };
        let mut parents = Vec::new();
        for (parent, hashes) in &leased.parents {
            let name = instance_name(query, parent);
            let found = self.runtime.block_on(find(settings.store.as_ref(), &name, settings.retained));
            // Another program has read it: there is nothing to be had from it.
            let Some(Found { restored, .. }) = found.map_err(SqlError::new)? else { continue };
            parents.push((parent.clone(), *hashes, restored));
        }
        let Some(least) = parents.iter().map(|(.., restored)| restored.manifest.watermark).min() else {
            return Ok(Saved::default());
        };
        let closed = |of: &dyn Fn(i64, i64) -> i64| {
            parents.iter().map(|(.., restored)| restored.manifest.emitted_until).reduce(of).unwrap_or(EventTime::MIN.0)
        };
        let is_overlapping = prepared.plan.pipeline.stages.iter().any(|stage| {
            matches!(stage.operator, Operator::Windows(WindowSpec::Hop { .. } | WindowSpec::Cumulate { .. }))
        });
        if is_overlapping && closed(&|a, b| a.min(b)) != closed(&|a, b| a.max(b)) {
            return Err(SqlError::new(format!(
                "{} was merged of shards whose windows have closed at different times, and overlapping windows of both \
                 cannot go on together",
                leased.shard
            ))
            .hint("use TUMBLE windows, or start anew with another query name and 'source.lease.table'"));
        }
        origin.base.watermark = least;
        origin.base.emitted_until = closed(&|a, b| a.min(b));
        origin.base.sources = vec![SourcePosition {
            source: source.to_owned(),
            watermark: least,
            shards: parents
                .iter()
                .flat_map(|(parent, _, restored)| {
                    let positions = restored.manifest.sources.iter().filter(|position| position.source == source);
                    let own = positions.flat_map(|position| &position.shards);
                    own.filter(|at| at.shard == parent.as_str()).cloned()
                })
                .map(|at| ShardPosition { state: ShardState::Closed.word().to_owned(), ..at })
                .collect(),
        }];
        origin.is_restored = true;
        let Some(key) = sharded.and_then(|sharded| sharded.partition_key) else { return Ok(Saved::default()) };
        let own = leased.hashes.ok_or_else(|| SqlError::new(format!("the lease of {} has no hashes", leased.shard)))?;
        let mut states = Vec::new();
        for (parent, hashes, restored) in parents {
            let of_parent =
                hashes.ok_or_else(|| SqlError::new(format!("the lease of its parent {parent} has no hashes")))?;
            let keep = |rows: &RecordBatch, first: usize| held(rows, first + key, of_parent, own);
            states.push(divided(restored.saved, &keep)?);
        }
        Saved::together(states).map_err(SqlError::new)
    }
}

/// The part of a state that `keep` answers; it is told where the columns of a leaf begin.
fn divided(mut saved: Saved, keep: &dyn Fn(&RecordBatch, usize) -> Result<BooleanArray>) -> Result<Saved> {
    // Pieces of sessions have two times before their columns, and a chunk beside each that says which of its rows live.
    let mut masks = Vec::new();
    for chunk in saved.chunks_mut("stage 0/pieces") {
        let mask = keep(&chunk.rows, 2)?;
        chunk.rows = filter_record_batch(&chunk.rows, &mask)?;
        masks.push(mask);
    }
    for (chunk, mask) in saved.chunks_mut("stage 0/live").iter_mut().zip(&masks) {
        chunk.rows = filter_record_batch(&chunk.rows, mask)?;
    }
    for chunk in saved.chunks_mut("stage 0/slices") {
        chunk.rows = filter_record_batch(&chunk.rows, &keep(&chunk.rows, 0)?)?;
    }
    Ok(saved)
}

/// Which rows have a partition key that a shard holds.
fn held(rows: &RecordBatch, column: usize, parent: Hashes, own: Hashes) -> Result<BooleanArray> {
    let missing = || DataFusionError::Execution("the checkpoint of a parent has no partition keys".to_owned());
    let keys: &ArrayRef = rows.columns().get(column).ok_or_else(missing)?;
    let keys = cast(keys, &DataType::Utf8)?;
    let keys = keys.as_any().downcast_ref::<StringArray>().ok_or_else(missing)?;
    let is_in = |(first, last): Hashes, hash: u128| first <= hash && hash <= last;
    let held = (0..keys.len()).map(|row| {
        let key = if keys.is_null(row) { "" } else { keys.value(row) };
        let hash = u128::from_be_bytes(Md5::digest(key.as_bytes()).into());
        // Neither child would have it.
        if !is_in(parent, hash) {
            let shown = if keys.is_null(row) { "NULL" } else { key };
            return Err(DataFusionError::Execution(format!(
                "the key {shown} was in a shard that its MD5 does not belong to: the column is to be the records' \
                 partition key, and producers are to give no explicit hash keys"
            )));
        }
        Ok(is_in(own, hash))
    });
    held.collect::<Result<Vec<bool>>>().map(BooleanArray::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ALL: Hashes = (0, u128::MAX);
    const LOW: Hashes = (0, u128::MAX / 2);
    const HIGH: Hashes = (u128::MAX / 2 + 1, u128::MAX);

    fn rows(keys: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("k", keys)]).unwrap()
    }

    #[test]
    fn each_key_goes_to_the_child_that_holds_it() {
        let keys = rows(Arc::new(StringArray::from_iter_values((0..100).map(|n| format!("user-{n}")))));
        let (low, high) = (held(&keys, 0, ALL, LOW).unwrap(), held(&keys, 0, ALL, HIGH).unwrap());
        assert!((0..100).all(|row| low.value(row) != high.value(row)), "in exactly one");
        assert!(low.true_count() > 20 && high.true_count() > 20);
        // MD5 of "a" begins with 0x0c, of "1" with 0xc4.
        let letter = rows(Arc::new(StringArray::from(vec!["a"])));
        assert!(held(&letter, 0, ALL, LOW).unwrap().value(0));
        let number = rows(Arc::new(arrow::array::Int64Array::from(vec![1])));
        assert!(held(&number, 0, ALL, HIGH).unwrap().value(0), "numbers are keys by their text");
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let rows = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let mask = BooleanArray::from(vec![true, false, true]);
        assert_eq!(filter_record_batch(&rows, &mask).unwrap().num_rows(), 2, "live rows of sessions");
    }

    #[test]
    fn a_key_that_was_in_the_wrong_shard_is_told() {
        let letter = rows(Arc::new(StringArray::from(vec![Some("a")])));
        let error = held(&letter, 0, HIGH, HIGH).unwrap_err().to_string();
        assert!(error.contains("the key a was in a shard"), "{error}");
    }
}
