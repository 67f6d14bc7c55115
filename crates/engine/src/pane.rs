//! PANE: the state of one slice of time for one aggregate, on one worker or merged.
//!
//! DataFusion's group tables and accumulators, used directly. Accumulators give their state by giving it up, so a table
//! is either being filled or frozen into a [`Delta`]: the same thing travels between threads, merges into another table
//! and is what a checkpoint keeps.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortColumn, lexsort_to_indices};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// What a table of groups is made of: shared by all panes of a leaf.
#[derive(Clone)]
pub(crate) struct PaneLayout {
    /// The row keys; without any there is one group.
    pub(crate) keys: SchemaRef,
    pub(crate) functions: Vec<Arc<AggregateFunctionExpr>>,
    /// States must be those of row accumulators, because such are to merge them.
    for_row_accumulators: bool,
}

/// Groups and their accumulators, being filled.
pub(crate) struct PaneTable {
    layout: PaneLayout,
    groups: Option<Box<dyn GroupValues>>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// Whether any row came: a table without keys has a group only then.
    touched: bool,
    /// Group numbers of the batch at hand; kept to save the allocation.
    scratch: Vec<usize>,
    /// Bytes when last measured, and rows since: to measure is not for every batch.
    bytes: usize,
    unmeasured: usize,
}

/// A table is measured again when so many rows have come, and at least an eighth of its groups.
const MEASURE_ROWS: usize = 1024;

/// The arguments of one aggregate for a batch.
pub(crate) struct Arguments {
    pub(crate) values: Vec<ArrayRef>,
    pub(crate) filter: Option<BooleanArray>,
}

/// A frozen table: keys, and the state of each accumulator.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    keys: Vec<ArrayRef>,
    states: Vec<Vec<ArrayRef>>,
    groups: usize,
}

/// Keys, one column for each aggregate, and how many groups.
pub(crate) type Results = (Vec<ArrayRef>, Vec<ArrayRef>, usize);

impl Delta {
    /// From columns that were taken out of others.
    pub(crate) fn new(keys: Vec<ArrayRef>, states: Vec<Vec<ArrayRef>>, groups: usize) -> Self {
        Self { keys, states, groups }
    }

    /// How many groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.iter().chain(self.states.iter().flatten()).map(|column| column.get_array_memory_size()).sum()
    }

    pub(crate) fn keys(&self) -> &[ArrayRef] {
        &self.keys
    }

    pub(crate) fn states(&self) -> &[Vec<ArrayRef>] {
        &self.states
    }

    /// Keys and states as columns of one batch.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        columns_batch(self.keys.iter().chain(self.states.iter().flatten()).cloned().collect(), self.groups)
    }
}

impl PaneLayout {
    pub(crate) fn new(
        keys: impl IntoIterator<Item = Arc<Field>>,
        functions: Vec<Arc<AggregateFunctionExpr>>,
        for_row_accumulators: bool,
    ) -> Self {
        Self { keys: Arc::new(Schema::new(keys.into_iter().collect::<Vec<_>>())), functions, for_row_accumulators }
    }

    /// An empty table.
    pub(crate) fn table(&self) -> Result<PaneTable> {
        let groups = if self.keys.fields().is_empty() {
            None
        } else {
            Some(new_group_values(Arc::clone(&self.keys), &GroupOrdering::None)?)
        };
        let accumulators = self.functions.iter().map(|function| self.accumulator(function)).collect::<Result<_>>()?;
        Ok(PaneTable {
            layout: self.clone(),
            groups,
            accumulators,
            touched: false,
            scratch: Vec::new(),
            bytes: 0,
            unmeasured: 0,
        })
    }

    /// One table with everything the deltas hold.
    pub(crate) fn merged(&self, deltas: &[Delta]) -> Result<PaneTable> {
        let mut table = self.table()?;
        deltas.iter().try_for_each(|delta| table.merge(delta))?;
        Ok(table)
    }

    /// The results of what deltas hold together.
    pub(crate) fn results(&self, deltas: &[&Delta]) -> Result<Results> {
        if let [only] = deltas
            && only.groups > 0
        {
            return self.results_of(only);
        }
        let mut table = self.table()?;
        deltas.iter().try_for_each(|delta| table.merge(delta))?;
        table.finish()
    }

    /// Groups of one delta are distinct: their places are their numbers, and no key is looked up.
    fn results_of(&self, delta: &Delta) -> Result<Results> {
        let numbers: Vec<usize> = (0..delta.groups).collect();
        let values = self.functions.iter().zip(&delta.states).map(|(function, state)| {
            let mut accumulator = self.accumulator(function)?;
            accumulator.merge_batch(state, &numbers, delta.groups)?;
            accumulator.evaluate(EmitTo::All)
        });
        Ok((delta.keys.clone(), values.collect::<Result<_>>()?, delta.groups))
    }

    /// The same with more keys behind those there are.
    pub(crate) fn with_keys(&self, more: impl IntoIterator<Item = Arc<Field>>) -> Self {
        let keys = self.keys.fields().iter().cloned().chain(more);
        Self { keys: Arc::new(Schema::new(keys.collect::<Vec<_>>())), ..self.clone() }
    }

    /// The same without aggregates.
    pub(crate) fn keys_only(&self) -> Self {
        Self { functions: Vec::new(), ..self.clone() }
    }

    /// How many state columns each aggregate has.
    pub(crate) fn state_columns(&self) -> Result<Vec<usize>> {
        self.functions.iter().map(|function| Ok(function.state_fields()?.len())).collect()
    }

    /// A delta that was saved as columns, one behind the other.
    pub(crate) fn delta(&self, rows: &RecordBatch) -> Result<Delta> {
        let mut columns = rows.columns().iter().cloned();
        let keys: Vec<ArrayRef> = columns.by_ref().take(self.keys.fields().len()).collect();
        let states: Vec<Vec<ArrayRef>> =
            self.state_columns()?.into_iter().map(|count| columns.by_ref().take(count).collect()).collect();
        Ok(Delta { keys, states, groups: rows.num_rows() })
    }

    fn accumulator(&self, function: &Arc<AggregateFunctionExpr>) -> Result<Box<dyn GroupsAccumulator>> {
        if function.groups_accumulator_supported() && !self.for_row_accumulators {
            return function.create_groups_accumulator();
        }
        let function = Arc::clone(function);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }
}

impl PaneTable {
    /// Adds rows: `keys` has a column for each row key, `arguments` an entry for each aggregate.
    pub(crate) fn update(&mut self, rows: usize, keys: &[ArrayRef], arguments: &[Arguments]) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        let groups = self.intern(rows, keys)?;
        self.unmeasured += rows;
        let functions = &self.layout.functions;
        for ((accumulator, arguments), function) in self.accumulators.iter_mut().zip(arguments).zip(functions) {
            if needs_sorted_input(function) {
                let fresh = self.layout.accumulator(function)?;
                update_sorted(accumulator.as_mut(), fresh, function, arguments, &self.scratch, groups)?;
            } else {
                accumulator.update_batch(&arguments.values, &self.scratch, arguments.filter.as_ref(), groups)?;
            }
        }
        Ok(())
    }

    /// Adds what another table had.
    pub(crate) fn merge(&mut self, delta: &Delta) -> Result<()> {
        if delta.groups == 0 {
            return Ok(());
        }
        let groups = self.intern(delta.groups, &delta.keys)?;
        for (accumulator, state) in self.accumulators.iter_mut().zip(&delta.states) {
            accumulator.merge_batch(state, &self.scratch, groups)?;
        }
        Ok(())
    }

    /// Finds each row's group; answers how many groups there are now.
    fn intern(&mut self, rows: usize, keys: &[ArrayRef]) -> Result<usize> {
        self.touched = true;
        match &mut self.groups {
            Some(groups) => {
                groups.intern(keys, &mut self.scratch)?;
                Ok(groups.len())
            }
            None => {
                self.scratch.clear();
                self.scratch.resize(rows, 0);
                Ok(1)
            }
        }
    }

    /// How many groups there are.
    pub(crate) fn groups(&self) -> usize {
        self.groups.as_ref().map_or(usize::from(self.touched), |groups| groups.len())
    }

    /// Bytes of memory, as of some rows ago.
    pub(crate) fn bytes(&mut self) -> usize {
        if self.bytes == 0 || self.unmeasured >= MEASURE_ROWS.max(self.groups() / 8) {
            let of_groups = self.groups.as_ref().map_or(0, |groups| groups.size());
            self.bytes = of_groups + self.accumulators.iter().map(|state| state.size()).sum::<usize>();
            self.unmeasured = 0;
        }
        self.bytes
    }

    /// Whether nothing has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        !self.touched
    }

    /// Gives everything up as a delta. The table must not be used again.
    pub(crate) fn freeze(mut self) -> Result<Delta> {
        let (keys, groups) = self.take_keys()?;
        let states = match groups {
            0 => Vec::new(),
            _ => (self.accumulators.iter_mut()).map(|state| state.state(EmitTo::All)).collect::<Result<_>>()?,
        };
        Ok(Delta { keys, states, groups })
    }

    /// Gives the results up.
    pub(crate) fn finish(mut self) -> Result<Results> {
        let (keys, groups) = self.take_keys()?;
        let values = match groups {
            0 => Vec::new(),
            _ => (self.accumulators.iter_mut()).map(|state| state.evaluate(EmitTo::All)).collect::<Result<_>>()?,
        };
        Ok((keys, values, groups))
    }

    fn take_keys(&mut self) -> Result<(Vec<ArrayRef>, usize)> {
        match &mut self.groups {
            Some(groups) if self.touched => {
                let count = groups.len();
                Ok((groups.emit(EmitTo::All)?, count))
            }
            _ => Ok((Vec::new(), usize::from(self.touched))),
        }
    }
}

/// Columns as a batch; their names are their numbers.
pub(crate) fn columns_batch(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let field = |(number, column): (usize, &ArrayRef)| Field::new(number.to_string(), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?)
}

/// Whether an aggregate takes its rows in the order of its ORDER BY and does not sort them itself, as `nth_value`.
fn needs_sorted_input(function: &AggregateFunctionExpr) -> bool {
    function.order_sensitivity() == AggregateOrderSensitivity::HardRequirement && !function.order_bys().is_empty()
}

/// Sorts a batch for such an aggregate. Batches come in any order, so each is accumulated by itself and merged: merging
/// keeps the order, adding rows behind others would not.
fn update_sorted(
    into: &mut dyn GroupsAccumulator,
    mut fresh: Box<dyn GroupsAccumulator>,
    function: &AggregateFunctionExpr,
    arguments: &Arguments,
    group_of: &[usize],
    groups: usize,
) -> Result<()> {
    let order_bys = function.order_bys();
    let keys = &arguments.values[arguments.values.len() - order_bys.len()..];
    let columns: Vec<SortColumn> = (keys.iter().zip(order_bys))
        .map(|(values, by)| SortColumn { values: Arc::clone(values), options: Some(by.options) })
        .collect();
    let order = lexsort_to_indices(&columns, None)?;
    let values = take_rows(&arguments.values, &order)?;
    let filter = match &arguments.filter {
        Some(filter) => Some(arrow::compute::take(filter, &order, None)?.as_boolean().clone()),
        None => None,
    };
    // The batch's groups, numbered densely, so that the work grows with the batch and not with the table.
    let (mut dense, mut global) = (HashMap::new(), Vec::new());
    let local: Vec<usize> = (order.values().iter())
        .map(|row| {
            let group = group_of[*row as usize];
            *dense.entry(group).or_insert_with(|| {
                global.push(group);
                global.len() - 1
            })
        })
        .collect();
    fresh.update_batch(&values, &local, filter.as_ref(), global.len())?;
    into.merge_batch(&fresh.state(EmitTo::All)?, &global, groups)
}

/// Selects rows of all columns of a batch; used when a batch falls into several panes.
pub(crate) fn take_rows(columns: &[ArrayRef], indices: &arrow::array::UInt32Array) -> Result<Vec<ArrayRef>> {
    columns.iter().map(|column| Ok(arrow::compute::take(column, indices, None)?)).collect()
}
