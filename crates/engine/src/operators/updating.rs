//! The state of an aggregate without a window: one row per key, which changes for ever.
//!
//! Workers group each micro-batch; what comes here is merged into one accumulator per key and aggregate. Row
//! accumulators are used because they can be read without being emptied.

use std::collections::HashMap;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Accumulator;
use millstream_core::{Duration, EventTime, Window};
use millstream_sql::Leaf;

use super::{Given, Operator, Taken};
use crate::close::{Bounds, leaf_batch};
use crate::pane::{Delta, PaneLayout};

/// All keys and their accumulators.
pub(crate) struct UpdatingTable {
    leaf: Leaf,
    layout: PaneLayout,
    ttl: Option<Duration>,
    converter: RowConverter,
    groups: HashMap<OwnedRow, Group>,
    /// Keys that changed since they were last read, in the order they first did.
    changed: Vec<OwnedRow>,
    now: EventTime,
    watermark: EventTime,
}

struct Group {
    accumulators: Vec<Box<dyn Accumulator>>,
    changed_at: EventTime,
    is_changed: bool,
}

impl UpdatingTable {
    pub(crate) fn new(leaf: Leaf, layout: PaneLayout, ttl: Option<Duration>) -> Result<Self> {
        let fields = layout.keys.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        Ok(Self {
            leaf,
            layout,
            ttl,
            converter,
            groups: HashMap::new(),
            changed: Vec::new(),
            now: EventTime::MIN,
            watermark: EventTime::MIN,
        })
    }

    /// Merges what a worker grouped.
    fn merge(&mut self, delta: &Delta, now: EventTime) -> Result<()> {
        let keys = self.encode(delta.keys(), delta.groups())?;
        for (row, key) in keys.into_iter().enumerate() {
            let group = match self.groups.entry(key.clone()) {
                std::collections::hash_map::Entry::Occupied(group) => {
                    let group = group.into_mut();
                    // A key that came after its time begins anew.
                    if self.ttl.is_some_and(|ttl| group.changed_at + ttl < now) {
                        let accumulators = self.layout.functions.iter().map(|function| function.create_accumulator());
                        group.accumulators = accumulators.collect::<Result<_>>()?;
                    }
                    group
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    let accumulators = self.layout.functions.iter().map(|function| function.create_accumulator());
                    let accumulators = accumulators.collect::<Result<_>>()?;
                    place.insert(Group { accumulators, changed_at: now, is_changed: false })
                }
            };
            for (accumulator, state) in group.accumulators.iter_mut().zip(delta.states()) {
                let state: Vec<ArrayRef> = state.iter().map(|column| column.slice(row, 1)).collect();
                accumulator.merge_batch(&state)?;
            }
            group.changed_at = now;
            if !std::mem::replace(&mut group.is_changed, true) {
                self.changed.push(key);
            }
        }
        Ok(())
    }

    /// The rows of the keys that changed.
    fn take_changed(&mut self) -> Result<Given> {
        let changed = std::mem::take(&mut self.changed);
        let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(changed.len()); self.layout.functions.len()];
        for key in &changed {
            let Some(group) = self.groups.get_mut(key) else { continue };
            group.is_changed = false;
            for (accumulator, values) in group.accumulators.iter_mut().zip(&mut columns) {
                values.push(accumulator.evaluate()?);
            }
        }
        let values = columns.into_iter().map(ScalarValue::iter_to_array).collect::<Result<Vec<_>>>()?;
        let keys = self.decode(&changed)?;
        let rows = leaf_batch(&self.leaf, keys.clone(), values, changed.len(), Bounds::None)?;
        Ok(Given::Changed { rows, keys })
    }

    /// Lets go of keys that have not changed for longer than the time-to-live; answers their key columns.
    fn expire(&mut self, now: EventTime) -> Result<Option<Vec<ArrayRef>>> {
        let Some(ttl) = self.ttl else { return Ok(None) };
        let expired: Vec<OwnedRow> = (self.groups.iter())
            .filter(|(_, group)| !group.is_changed && group.changed_at + ttl < now)
            .map(|(key, _)| key.clone())
            .collect();
        if expired.is_empty() {
            return Ok(None);
        }
        for key in &expired {
            self.groups.remove(key);
        }
        self.decode(&expired).map(Some)
    }

    fn encode(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<OwnedRow>> {
        if keys.is_empty() {
            return Ok(vec![self.converter.parser().parse(&[]).owned(); rows]);
        }
        Ok(self.converter.convert_columns(keys)?.iter().map(|row| row.owned()).collect())
    }

    fn decode(&self, keys: &[OwnedRow]) -> Result<Vec<ArrayRef>> {
        if self.layout.keys.fields().is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.converter.convert_rows(keys.iter().map(OwnedRow::row))?)
    }
}

impl Operator for UpdatingTable {
    fn take_rows(&mut self, _: usize, _: &RecordBatch, _: Option<&Int64Array>) -> Result<Taken> {
        Err(DataFusionError::Internal("an updating table takes groups".to_owned()))
    }

    fn take_groups(&mut self, _: usize, _: Option<Window>, groups: Delta) -> Result<Taken> {
        self.merge(&groups, self.now)?;
        Ok(Taken::default())
    }

    fn set_now(&mut self, now: EventTime) {
        self.now = self.now.max(now);
    }

    fn advance(&mut self, watermark: EventTime, now: EventTime) -> Result<Vec<Given>> {
        self.watermark = self.watermark.max(watermark);
        self.now = self.now.max(now);
        let mut given = Vec::new();
        if !self.changed.is_empty() {
            given.push(self.take_changed()?);
        }
        given.extend(self.expire(now)?.map(Given::Gone));
        Ok(given)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn size(&self) -> (usize, usize) {
        (0, self.groups.len())
    }
}

/// The keys of `all` that are not among `kept`, as columns; both in key order.
pub(crate) fn missing_keys(all: &[ArrayRef], kept: &[ArrayRef]) -> Result<Option<Vec<ArrayRef>>> {
    if all.is_empty() || kept.first().is_some_and(|kept| kept.len() == all[0].len()) {
        return Ok(None);
    }
    let fields = all.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let kept: std::collections::HashSet<OwnedRow> =
        converter.convert_columns(kept)?.iter().map(|row| row.owned()).collect();
    let rows = converter.convert_columns(all)?;
    let missing: Vec<_> = rows.iter().filter(|row| !kept.contains(&row.owned())).collect();
    if missing.is_empty() { Ok(None) } else { Ok(Some(converter.convert_rows(missing)?)) }
}
