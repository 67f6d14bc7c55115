//! `stagger`: windows of a key that open with a row which finds none open, and are all of one length. Their rows are
//! given together once the watermark has come to their end.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{HashMap, Result};
use millstream_core::{Duration, EventTime};

use super::kept::{self, Kept};
use super::{InOrderLogic, Output};
use crate::checkpoint::{Saved, Saver};

/// What a window takes beside its rows.
const WINDOW_BYTES: usize = 200;

/// See the module.
pub(super) struct Stagger {
    schema: SchemaRef,
    keys: Vec<usize>,
    converter: RowConverter,
    length: Duration,
    /// Windows that have not been given, by their start and the order in which they opened.
    windows: BTreeMap<(i64, u64), Window>,
    /// The newest window of each key that has one.
    newest: HashMap<OwnedRow, (i64, u64)>,
    next: u64,
    rows: usize,
    bytes: usize,
}

struct Window {
    key: OwnedRow,
    /// With the start of the window as their time.
    rows: Vec<Kept>,
}

impl Stagger {
    pub(super) fn new(schema: SchemaRef, keys: Vec<usize>, length: Duration) -> Result<Self> {
        let fields = keys.iter().map(|key| SortField::new(schema.field(*key).data_type().clone()));
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
            schema,
            keys,
            length,
            windows: BTreeMap::new(),
            newest: HashMap::default(),
            next: 0,
            rows: 0,
            bytes: 0,
        })
    }

    fn keys_of(&self, rows: &RecordBatch) -> Result<Vec<OwnedRow>> {
        if self.keys.is_empty() {
            return Ok(vec![self.converter.parser().parse(&[]).owned(); rows.num_rows()]);
        }
        let columns: Vec<ArrayRef> = self.keys.iter().map(|key| rows.column(*key).clone()).collect();
        Ok(self.converter.convert_columns(&columns)?.iter().map(|key| key.owned()).collect())
    }

    /// Puts a row into the window of its key that began at a time for which `is_open` holds, or into a new one that
    /// begins with the row's time.
    fn put(&mut self, key: OwnedRow, mut row: Kept, is_open: impl Fn(i64) -> bool) {
        let place = match self.newest.get(&key) {
            Some(place) if is_open(place.0) => *place,
            _ => {
                let place = (row.time, self.next);
                self.next += 1;
                self.bytes += WINDOW_BYTES;
                self.windows.insert(place, Window { key: key.clone(), rows: Vec::new() });
                self.newest.insert(key, place);
                place
            }
        };
        self.rows += 1;
        self.bytes += row.bytes;
        row.time = place.0;
        if let Some(window) = self.windows.get_mut(&place) {
            window.rows.push(row);
        }
    }
}

impl InOrderLogic for Stagger {
    fn push(&mut self, rows: &RecordBatch, times: &[i64], _: &mut Output) -> Result<()> {
        let length = self.length.0;
        let keys = self.keys_of(rows)?;
        for (key, row) in keys.into_iter().zip(Kept::rows(rows, times.iter().copied().enumerate())) {
            let time = row.time;
            self.put(key, row, |start| time < start.saturating_add(length));
        }
        Ok(())
    }

    fn advance(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        // The columns of the window come behind those of the input.
        let added = self.schema.fields().len();
        while let Some(first) = self.windows.first_entry() {
            let place = *first.key();
            let (start, end) = (place.0, place.0.saturating_add(self.length.0));
            if end > watermark.0 {
                break;
            }
            let Window { key, rows } = first.remove();
            if self.newest.get(&key) == Some(&place) {
                self.newest.remove(&key);
            }
            self.rows -= rows.len();
            self.bytes -= WINDOW_BYTES + rows.iter().map(|row| row.bytes).sum::<usize>();
            let bounds = [start, end, end - 1].into_iter().zip(added..);
            let bounds: Vec<ArrayRef> =
                bounds.map(|(at, column)| output.times(std::iter::repeat_n(at, rows.len()), column)).collect();
            output.give(&kept::gather(&self.schema, &rows)?, bounds)?;
        }
        Ok(())
    }

    /// Windows that are given later end later.
    fn watermark(&self, input: EventTime) -> EventTime {
        input
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn save(&mut self, saver: &mut Saver) -> Result<()> {
        kept::save(saver, &self.schema, self.windows.values().flat_map(|window| &window.rows))
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let kept = kept::load(saved, &self.schema)?;
        let keys = self.keys_of(&kept::gather(&self.schema, &kept)?)?;
        for (key, row) in keys.into_iter().zip(kept) {
            let start = row.time;
            self.put(key, row, |open| open == start);
        }
        Ok(())
    }
}
