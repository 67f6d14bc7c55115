//! The state of an aggregate without a window: one row per key, which changes for ever.
//!
//! Workers group each micro-batch; what comes here is merged into one accumulator per key and aggregate. Row
//! accumulators are used because they can be read without being emptied.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use millstream_core::{Duration, EventTime, Window};
use millstream_sql::Leaf;

use super::saved_keys::{SavedKeys, column, keys_batch};
use super::{Given, Operator, Taken};
use crate::checkpoint::{KeyedLog, Saved, Saver};
use crate::close::{Bounds, leaf_batch};
use crate::pane::{Delta, PaneLayout};

/// What a group takes beside its key and accumulators.
const GROUP_BYTES: usize = 160;
/// A group's accumulators are measured after so many changes: some look at all they hold.
const MEASURE_CHANGES: u8 = 16;

/// All keys and their accumulators.
pub(crate) struct UpdatingTable {
    leaf: Leaf,
    layout: PaneLayout,
    ttl: Option<Duration>,
    converter: RowConverter,
    groups: HashMap<OwnedRow, Group>,
    group_bytes: usize,
    /// Keys that changed since they were last read, in the order they first did.
    changed: Vec<OwnedRow>,
    log: KeyedLog,
    now: EventTime,
    watermark: EventTime,
}

struct Group {
    accumulators: Vec<Box<dyn Accumulator>>,
    changed_at: EventTime,
    is_changed: bool,
    /// When it was last measured, and changes since.
    bytes: usize,
    unmeasured: u8,
}

impl Group {
    fn new(accumulators: Vec<Box<dyn Accumulator>>, changed_at: EventTime, is_changed: bool) -> Self {
        Self { accumulators, changed_at, is_changed, bytes: 0, unmeasured: MEASURE_CHANGES }
    }

    /// Measures it if it is time to; answers by how much it has grown.
    fn grown(&mut self, key: &OwnedRow) -> isize {
        if self.unmeasured < MEASURE_CHANGES {
            self.unmeasured += 1;
            return 0;
        }
        self.unmeasured = 0;
        let accumulators = self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>();
        let bytes = GROUP_BYTES + key.as_ref().len() + accumulators;
        bytes.cast_signed() - std::mem::replace(&mut self.bytes, bytes).cast_signed()
    }
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
            group_bytes: 0,
            changed: Vec::new(),
            log: KeyedLog::default(),
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
                    place.insert(Group::new(accumulators, now, false))
                }
            };
            for (accumulator, state) in group.accumulators.iter_mut().zip(delta.states()) {
                let state: Vec<ArrayRef> = state.iter().map(|column| column.slice(row, 1)).collect();
                accumulator.merge_batch(&state)?;
            }
            group.changed_at = now;
            self.group_bytes = self.group_bytes.saturating_add_signed(group.grown(&key));
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
            self.log.touch(key);
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
            self.group_bytes -= self.groups.remove(key).map_or(0, |group| group.bytes);
            self.log.touch(key);
        }
        self.decode(&expired).map(Some)
    }

    /// The states of some groups, a column for each part of a state.
    fn states(&mut self, keys: &[OwnedRow]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for (number, function) in self.layout.functions.iter().enumerate() {
            let fields = function.state_fields()?;
            let mut parts: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(keys.len()); fields.len()];
            for key in keys {
                let state = match self.groups.get_mut(key) {
                    Some(group) => state_of(&mut group.accumulators[number], function)?,
                    None => {
                        fields.iter().map(|field| ScalarValue::try_from(field.data_type())).collect::<Result<_>>()?
                    }
                };
                parts.iter_mut().zip(state).for_each(|(part, value)| part.push(value));
            }
            for (part, field) in parts.into_iter().zip(&fields) {
                columns.push(column(part, field.data_type())?);
            }
        }
        Ok(columns)
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

    fn bytes(&self) -> usize {
        self.group_bytes
    }

    fn remember(&mut self) {
        self.log.enable();
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        saver.value("watermark", &self.watermark.0)?;
        saver.value("now", &self.now.0)?;
        let groups = &self.groups;
        let keys = self.log.changed(groups.len(), || groups.keys().cloned().collect());
        let gone: Vec<bool> = keys.iter().map(|key| !groups.contains_key(key)).collect();
        let changed_at = keys.iter().map(|key| groups.get(key).map_or(0, |group| group.changed_at.0));
        let changed_at: ArrayRef = Arc::new(changed_at.collect::<Int64Array>());
        let states = self.states(&keys)?;
        let has_columns = !self.layout.keys.fields().is_empty();
        let rows = keys_batch(&self.converter, has_columns, &keys, gone, std::iter::once(changed_at).chain(states))?;
        self.log.save(saver, "groups", rows)
    }

    /// Every row is given anew: the table that shows them is not part of the checkpoint.
    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = EventTime(saved.value("watermark")?);
        self.now = EventTime(saved.value("now")?);
        for rows in self.log.load(saved, "groups") {
            let saved = SavedKeys::read(&rows, &self.converter, self.layout.keys.fields().len())?;
            for (row, key) in saved.keys.iter().enumerate() {
                if saved.is_gone(row) {
                    self.group_bytes -= self.groups.remove(key).map_or(0, |group| group.bytes);
                    continue;
                }
                let mut states = saved.kept.iter().skip(1).map(|column| column.slice(row, 1));
                let mut accumulators = Vec::with_capacity(self.layout.functions.len());
                for function in &self.layout.functions {
                    let mut accumulator = function.create_accumulator()?;
                    let parts = function.state_fields()?.len();
                    accumulator.merge_batch(&states.by_ref().take(parts).collect::<Vec<_>>())?;
                    accumulators.push(accumulator);
                }
                let changed_at = EventTime(saved.number(0, row)?);
                let mut group = Group::new(accumulators, changed_at, true);
                self.group_bytes = self.group_bytes.saturating_add_signed(group.grown(key));
                self.group_bytes -= self.groups.insert(key.clone(), group).map_or(0, |former| former.bytes);
            }
        }
        self.changed = self.groups.keys().cloned().collect();
        Ok(())
    }
}

/// The state of an accumulator, which goes on: reading it may have emptied it, so that it is made anew.
pub(super) fn state_of(
    accumulator: &mut Box<dyn Accumulator>,
    function: &AggregateFunctionExpr,
) -> Result<Vec<ScalarValue>> {
    let state = accumulator.state()?;
    let columns = state.iter().map(|value| value.to_array_of_size(1)).collect::<Result<Vec<_>>>()?;
    *accumulator = function.create_accumulator()?;
    accumulator.merge_batch(&columns)?;
    Ok(state)
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
