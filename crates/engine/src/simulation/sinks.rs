//! Two sinks as a model, each with what its readers see: files that are hidden until they are committed, and a log that
//! everybody reads at once. They check what the engine asks of them.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream_core::{BoxFuture, Delivery, Emission, Pending, Prepared, Sink, SinkError, SinkState};
use serde::{Deserialize, Serialize};

use super::world::{Shared, World};

/// Rows after which a file is complete.
const FILE_ROWS: usize = 12;

/// The name of a file: its number, and the number of the sink that wrote it.
type Name = (u64, u64);

/// What there is of one sink table.
#[derive(Default)]
pub(super) struct SinkWorld {
    hidden: BTreeMap<Name, Vec<String>>,
    visible: BTreeMap<Name, Vec<String>>,
    log: Vec<String>,
}

impl SinkWorld {
    /// What readers see.
    pub(super) fn rows(&self) -> impl Iterator<Item = String> {
        self.visible.values().flatten().chain(&self.log).cloned()
    }
}

/// Rows as text, column by column; without the column that says whether a row is final.
pub(super) fn texts(rows: &RecordBatch) -> Vec<String> {
    let schema = rows.schema();
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = (rows.columns().iter().zip(schema.fields()))
        .filter(|(_, field)| field.name() != "is_final")
        .map(|(column, _)| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let text = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
    (0..rows.num_rows()).map(text).collect()
}

/// What every sink does: it is slow, it fails, and it looks at the order of the calls.
struct Calls {
    world: Shared,
    table: String,
    is_recovered: bool,
    /// What was prepared last and not committed yet.
    prepared: Option<String>,
}

impl Calls {
    fn wrong(&self, what: &str) {
        self.world.lock().wrong.push(format!("sink `{}`: {what}", self.table));
    }

    fn retry(&self, what: &str) -> SinkError {
        self.world.log(format!("  sink {}: {what} is to be tried again", self.table));
        SinkError::Retry { sink: self.table.clone(), reason: "simulated: it is away".to_owned() }
    }

    async fn begin(&self, what: &str) -> Result<(), SinkError> {
        let polls = self.world.lock().faults.sink_polls;
        self.world.dawdle(polls).await;
        if what != "recover" && !self.is_recovered {
            self.wrong(&format!("{what} before recover"));
        }
        let (retry, fatal) = {
            let World { random, faults, .. } = &mut *self.world.lock();
            (random.chance(faults.sink), random.chance(faults.sink_fatal))
        };
        if fatal {
            self.world.log(format!("  sink {} gives up", self.table));
            return Err(SinkError::Fatal { sink: self.table.clone(), reason: "simulated: it is gone".to_owned() });
        }
        if retry { Err(self.retry(what)) } else { Ok(()) }
    }

    /// It did its work, and may still say that it did not.
    fn end(&self, what: &str) -> Result<(), SinkError> {
        let is_lost = {
            let World { random, faults, .. } = &mut *self.world.lock();
            random.chance(faults.sink / 2)
        };
        if is_lost { Err(self.retry(what)) } else { Ok(()) }
    }

    fn prepare(&mut self, note: &str) {
        if self.prepared.is_some() {
            self.wrong("prepare before the last one was committed");
        }
        self.prepared = Some(note.to_owned());
        self.world.log(format!("  sink {}: prepares", self.table));
    }

    fn commit(&self) {
        match &self.prepared {
            None => self.wrong("commit of nothing"),
            Some(note) if !self.world.lock().durable_notes.contains(note) => {
                self.wrong("commit of what no durable checkpoint has");
            }
            Some(_) => {}
        }
        self.world.log(format!("  sink {}: commits", self.table));
    }

    fn recover(&self, state: Option<&SinkState>) {
        if let Some(state) = state.filter(|state| !self.world.lock().durable_notes.contains(&state.note)) {
            self.wrong(&format!("recover with `{}`, which no durable checkpoint has", state.note));
        }
        self.world.log(format!("  sink {}: goes on from {}", self.table, state.is_some()));
    }

    /// Counts what readers see against the batch answer.
    fn look(&self) {
        let mut world = self.world.lock();
        if world.has_two_writers && !world.sinks[&self.table].log.is_empty() {
            return;
        }
        let rows: Vec<String> = world.sinks[&self.table].rows().collect();
        world.check_visible(&self.table, rows.into_iter());
    }
}

#[derive(Default, Serialize, Deserialize)]
struct FilesNote {
    files: Vec<Name>,
    next_file: u64,
    next_run: u64,
    serial: u64,
}

/// Files that are complete when they are visible, as `filesystem` writes them.
pub(super) struct Files {
    calls: Calls,
    token: u64,
    next_file: u64,
    next_run: u64,
    /// The rows of the open file, and whether a checkpoint has them.
    open: Vec<(u64, Emission, bool)>,
    complete: Vec<Name>,
    prepared: usize,
    /// The next run when it was prepared: those before it are kept once that is committed.
    prepared_runs: u64,
}

impl Files {
    pub(super) fn new(world: Shared, table: &str) -> Self {
        let token = world.lock().serial();
        world.lock().sinks.entry(table.to_owned()).or_default();
        let calls = Calls { world, table: table.to_owned(), is_recovered: false, prepared: None };
        Self {
            calls,
            token,
            next_file: 1,
            next_run: 1,
            open: Vec::new(),
            complete: Vec::new(),
            prepared: 0,
            prepared_runs: 0,
        }
    }

    fn complete_open(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let name = (self.next_file, self.token);
        self.next_file += 1;
        let rows = self.open.drain(..).flat_map(|(_, emission, _)| texts(&emission.rows)).collect();
        let mut world = self.calls.world.lock();
        world.sinks.get_mut(&self.calls.table).unwrap().hidden.insert(name, rows);
        self.complete.push(name);
    }

    /// Makes files visible that are not yet.
    fn show(&self, files: &[Name]) {
        let missing: Vec<Name> = {
            let mut world = self.calls.world.lock();
            let sink = world.sinks.get_mut(&self.calls.table).unwrap();
            let show = |name: &&Name| match sink.hidden.remove(name) {
                Some(rows) => sink.visible.insert(**name, rows).is_some(),
                None => !sink.visible.contains_key(*name),
            };
            files.iter().filter(show).copied().collect()
        };
        if !missing.is_empty() {
            self.calls.wrong(&format!("the files {missing:?} are not there"));
        }
        self.calls.look();
    }
}

impl Sink for Files {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn recover<'a>(&'a mut self, state: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.calls.begin("recover").await?;
            self.calls.recover(state);
            let start = FilesNote { next_file: 1, next_run: 1, ..FilesNote::default() };
            let note = state.map_or(start, |state| serde_json::from_str(&state.note).unwrap());
            {
                let mut world = self.calls.world.lock();
                let sink = world.sinks.get_mut(&self.calls.table).unwrap();
                sink.hidden.retain(|name, _| note.files.contains(name));
                // After a checkpoint that is older than what was committed: those rows come again.
                sink.visible.retain(|name, _| name.0 < note.next_file);
            }
            self.show(&note.files);
            (self.next_file, self.next_run, self.complete, self.prepared) = (note.next_file, note.next_run, vec![], 0);
            let pending = state.map_or(&[][..], |state| &state.pending);
            self.open = pending.iter().map(|(id, emission)| (*id, emission.clone(), true)).collect();
            self.calls.is_recovered = true;
            self.calls.end("recover")
        })
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.calls.begin("write").await?;
            self.open.push((self.next_run, emission.clone(), false));
            self.next_run += 1;
            if self.open.iter().map(|(_, emission, _)| emission.rows.num_rows()).sum::<usize>() >= FILE_ROWS {
                self.complete_open();
            }
            Ok(())
        })
    }

    fn prepare(&mut self, last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        Box::pin(async move {
            self.calls.begin("prepare").await?;
            if last || self.calls.world.lock().random.chance(300) {
                self.complete_open();
            }
            let (files, serial) = (self.complete.clone(), self.calls.world.lock().serial());
            (self.prepared, self.prepared_runs) = (files.len(), self.next_run);
            let note = FilesNote { files, next_file: self.next_file, next_run: self.next_run, serial };
            let note = serde_json::to_string(&note).unwrap();
            self.calls.prepare(&note);
            let pending = self
                .open
                .iter()
                .map(|(id, emission, is_kept)| Pending { id: *id, rows: (!is_kept).then(|| emission.clone()) });
            Ok(Prepared { note, pending: pending.collect() })
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.calls.begin("commit").await?;
            self.calls.commit();
            self.show(&self.complete[..self.prepared]);
            self.calls.end("commit")?;
            self.complete.drain(..self.prepared);
            self.prepared = 0;
            self.open.iter_mut().for_each(|(id, _, is_kept)| *is_kept |= *id < self.prepared_runs);
            self.calls.prepared = None;
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.calls.wrong("finish although there are checkpoints");
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Default, Serialize, Deserialize)]
struct LogNote {
    end: usize,
    replayed: BTreeMap<String, usize>,
    serial: u64,
}

/// A log that readers follow, as `stream` writes it: what was written after a checkpoint is not written again.
pub(super) struct Log {
    calls: Calls,
    replayed: BTreeMap<String, usize>,
    /// What is left of an emission.
    sending: Option<Vec<String>>,
}

impl Log {
    pub(super) fn new(world: Shared, table: &str) -> Self {
        world.lock().sinks.entry(table.to_owned()).or_default();
        let calls = Calls { world, table: table.to_owned(), is_recovered: false, prepared: None };
        Self { calls, replayed: BTreeMap::new(), sending: None }
    }

    fn is_new(&mut self, row: &str) -> bool {
        match self.replayed.get_mut(row) {
            Some(times) if *times > 0 => {
                *times -= 1;
                false
            }
            _ => true,
        }
    }
}

impl Sink for Log {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn recover<'a>(&'a mut self, state: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.calls.begin("recover").await?;
            self.calls.recover(state);
            (self.replayed, self.sending) = (BTreeMap::new(), None);
            if let Some(state) = state {
                let note: LogNote = serde_json::from_str(&state.note).unwrap();
                self.replayed = note.replayed;
                for row in &self.calls.world.lock().sinks[&self.calls.table].log[note.end..] {
                    *self.replayed.entry(row.clone()).or_default() += 1;
                }
            }
            self.calls.is_recovered = true;
            self.calls.end("recover")
        })
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            if self.sending.is_none() {
                let rows = texts(&emission.rows);
                self.sending = Some(rows.into_iter().filter(|row| self.is_new(row)).collect());
            }
            while self.sending.as_ref().is_some_and(|sending| !sending.is_empty()) {
                self.calls.begin("write").await?;
                let sending = self.sending.as_mut().unwrap();
                let mut world = self.calls.world.lock();
                let part = world.random.between(1, sending.len());
                let part: Vec<String> = sending.drain(..part).collect();
                world.sinks.get_mut(&self.calls.table).unwrap().log.extend(part);
            }
            self.sending = None;
            self.calls.look();
            Ok(())
        })
    }

    fn prepare(&mut self, _last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        Box::pin(async move {
            self.calls.begin("prepare").await?;
            let (end, serial) = {
                let mut world = self.calls.world.lock();
                (world.sinks[&self.calls.table].log.len(), world.serial())
            };
            let note = serde_json::to_string(&LogNote { end, replayed: self.replayed.clone(), serial }).unwrap();
            self.calls.prepare(&note);
            Ok(Prepared { note, pending: Vec::new() })
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.calls.begin("commit").await?;
            self.calls.commit();
            self.calls.end("commit")?;
            self.calls.prepared = None;
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.calls.wrong("finish although there are checkpoints");
        Box::pin(std::future::ready(Ok(())))
    }
}
