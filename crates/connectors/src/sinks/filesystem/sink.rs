//! The writer itself: when files begin and end, what a checkpoint has to know of them, and what a start does with that.

use std::sync::Arc;

use millstream_core::{
    BoxFuture, Clock, Delivery, Emission, EventTime, Prepared, Sink, SinkError, SinkState, TableDecl, Window,
};
use serde::{Deserialize, Serialize};

use super::file::{CreateFile, EndedFile, FileError, Names, OpenFile, sync_entries};
use super::runs::Runs;
use super::{Settings, claim_suffix, remove_hidden, remove_newer};
use crate::durable::make_folder;

pub(super) struct FileSink {
    settings: Settings,
    table: TableDecl,
    prefix: String,
    /// Tells the files of this query from those of another of its name, and without checkpoints of another start.
    token: String,
    /// The number of this process's claim, where others may have later ones: part of the names of its files.
    claim: Option<u64>,
    clock: Arc<dyn Clock>,
    create_file: Box<CreateFile>,
    /// Files become visible by `commit`.
    by_checkpoint: bool,
    /// What an earlier start left hidden is removed.
    cleaned: bool,
    /// The number of the next file.
    sequence: u64,
    open: Option<Open>,
    /// Has all its rows and could not be completed yet; then nothing is open.
    ended: Option<EndedFile>,
    /// On disk and hidden, oldest first; the first `prepared` are in the note that was answered last.
    complete: Vec<Names>,
    prepared: usize,
    /// Of the open file, where there are checkpoints.
    runs: Runs,
    checked_at: EventTime,
}

struct Open {
    file: OpenFile,
    number: u64,
    /// Of its rows, where each window has its own files.
    window: Option<Window>,
    since: EventTime,
}

/// What a checkpoint keeps besides rows.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Complete files, to be made visible.
    files: Vec<Names>,
    /// The number of the next file.
    next_file: u64,
    /// The number of the next run of rows.
    next_run: u64,
    /// When the file was begun that the pending rows are in.
    open_since: Option<i64>,
    /// What the names of this query's files end with, whatever process writes them.
    #[serde(default)]
    token: String,
    /// Files from this number on come after the checkpoint.
    #[serde(default)]
    after: u64,
}

impl FileSink {
    pub(super) fn new(
        settings: Settings,
        table: TableDecl,
        prefix: String,
        token: String,
        clock: Arc<dyn Clock>,
        create_file: Box<CreateFile>,
    ) -> Self {
        Self {
            settings,
            table,
            prefix,
            token,
            claim: None,
            clock,
            create_file,
            by_checkpoint: false,
            cleaned: false,
            sequence: 0,
            open: None,
            ended: None,
            complete: Vec::new(),
            prepared: 0,
            runs: Runs::default(),
            checked_at: EventTime::MIN,
        }
    }

    /// Takes rows, those of a run that a checkpoint has by its number.
    fn accept(&mut self, emission: &Emission, run: Option<u64>) -> Result<(), FileError> {
        if emission.rows.num_rows() == 0 {
            return Ok(());
        }
        self.complete_ended()?;
        let window = emission.window.filter(|_| self.settings.by_window);
        if self.open.as_ref().is_some_and(|open| open.window != window) {
            self.complete()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let number = self.sequence;
                let file = self.create()?;
                self.open.insert(Open { file, number, window, since: self.clock.now() })
            }
        };
        open.file.write(&self.settings.folder, &emission.rows)?;
        match run {
            Some(id) => self.runs.add_again(id),
            None if self.by_checkpoint => self.runs.add(&emission.rows),
            None => {}
        }
        if open.file.bytes() < self.settings.file_bytes {
            return Ok(());
        }
        match self.complete() {
            // The rows are taken. The next call tries again, and tells.
            Err(FileError::Retry(_)) => Ok(()),
            done => done,
        }
    }

    fn create(&mut self) -> Result<OpenFile, FileError> {
        let folder = &self.settings.folder;
        make_folder(folder).map_err(|error| FileError::of(folder, &error))?;
        self.clean()?;
        let claim = self.claim.map(claim_suffix).unwrap_or_default();
        let name = format!("{}{:06}-{}{claim}", self.prefix, self.sequence, self.token);
        let Settings { folder, kind, .. } = &self.settings;
        let file = OpenFile::create(folder, &name, kind, &self.table, &*self.create_file)?;
        self.sequence += 1;
        Ok(file)
    }

    fn clean(&mut self) -> Result<(), FileError> {
        if !self.cleaned {
            let folder = &self.settings.folder;
            remove_hidden(folder, &self.prefix, self.claim).map_err(|error| FileError::of(folder, &error))?;
            self.cleaned = true;
        }
        Ok(())
    }

    /// Ends the open file and completes it.
    fn complete(&mut self) -> Result<(), FileError> {
        self.complete_ended()?;
        let Some(open) = self.open.take() else { return Ok(()) };
        self.ended = Some(open.file.end()?);
        self.runs.clear();
        self.complete_ended()
    }

    fn complete_ended(&mut self) -> Result<(), FileError> {
        let Some(ended) = &mut self.ended else { return Ok(()) };
        let folder = &self.settings.folder;
        let names = ended.complete(folder)?;
        if self.by_checkpoint {
            self.complete.push(names);
        } else {
            names.show(folder)?;
            sync_entries(folder)?;
        }
        self.ended = None;
        Ok(())
    }

    fn complete_by_age(&mut self, now: EventTime) -> Result<(), FileError> {
        self.complete_ended()?;
        if self.checked_at != EventTime::MIN && now - self.checked_at < self.settings.check_every {
            return Ok(());
        }
        self.checked_at = now;
        match &self.open {
            Some(open) if now - open.since >= self.settings.rollover => self.complete(),
            _ => Ok(()),
        }
    }

    fn prepare_checkpoint(&mut self, last: bool) -> Result<Prepared, FileError> {
        self.complete_ended()?;
        if last {
            self.complete()?;
        }
        let fatal = |error: &dyn std::fmt::Display| FileError::Fatal(format!("the checkpoint cannot be made: {error}"));
        let window = self.open.as_ref().and_then(|open| open.window);
        let pending = self.runs.prepare(window).map_err(|error| fatal(&error))?;
        let note = Note {
            files: self.complete.clone(),
            next_file: self.sequence,
            next_run: self.runs.next(),
            open_since: self.open.as_ref().map(|open| open.since.0),
            token: self.token.clone(),
            after: self.open.as_ref().map_or(self.sequence, |open| open.number),
        };
        let note = serde_json::to_string(&note).map_err(|error| fatal(&error))?;
        self.prepared = self.complete.len();
        Ok(Prepared { note, pending })
    }

    fn commit_checkpoint(&mut self) -> Result<(), FileError> {
        self.show(&self.complete[..self.prepared])?;
        self.complete.drain(..self.prepared);
        self.prepared = 0;
        self.runs.commit();
        Ok(())
    }

    fn show(&self, files: &[Names]) -> Result<(), FileError> {
        if files.is_empty() {
            return Ok(());
        }
        files.iter().try_for_each(|names| names.show(&self.settings.folder))?;
        sync_entries(&self.settings.folder)
    }

    fn go_on(&mut self, state: Option<&SinkState>) -> Result<(), FileError> {
        let note: Note = match state {
            None => Note::default(),
            // A savepoint's rows, without the files of the query it is of.
            Some(state) if state.note.is_empty() => Note::default(),
            Some(state) => serde_json::from_str(&state.note).map_err(|error| {
                let remedy = "drop the query and make it again, to start anew";
                FileError::Fatal(format!("the checkpoint's note `{}` is unreadable: {error}; {remedy}", state.note))
            })?,
        };
        // What another try of this has begun is hidden and removed below.
        (self.open, self.ended, self.cleaned) = (None, None, false);
        (self.complete, self.prepared) = (Vec::new(), 0);
        self.by_checkpoint = true;
        self.sequence = note.next_file;
        // Of a savepoint there are rows without a note: their numbers are taken.
        let pending = state.map_or(&[][..], |state| &state.pending);
        let taken = pending.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
        self.runs = Runs::new(note.next_run.max(taken));

        self.show(&note.files)?;
        self.clean()?;
        if !note.token.is_empty() {
            self.token = note.token;
            let (folder, prefix) = (&self.settings.folder, &self.prefix);
            let removed = remove_newer(folder, prefix, &self.token, note.after, self.claim);
            removed.map_err(|error| FileError::of(folder, &error))?;
        }
        for (id, emission) in pending {
            self.accept(emission, Some(*id))?;
        }
        if let (Some(open), Some(since)) = (&mut self.open, note.open_since) {
            open.since = EventTime(since);
        }
        Ok(())
    }

    fn answer<T: Send + 'static>(&self, result: Result<T, FileError>) -> BoxFuture<'static, Result<T, SinkError>> {
        let result = result.map_err(|error| {
            let sink = format!("folder `{}`", self.settings.folder.display());
            match error {
                FileError::Retry(reason) => SinkError::Retry { sink, reason },
                FileError::Fatal(reason) => SinkError::Fatal { sink, reason },
            }
        });
        Box::pin(std::future::ready(result))
    }
}

impl Sink for FileSink {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn claimed(&mut self, number: u64) {
        self.claim = Some(number);
    }

    fn recover<'a>(&'a mut self, state: Option<&'a SinkState>) -> BoxFuture<'a, Result<(), SinkError>> {
        let done = self.go_on(state);
        self.answer(done)
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        let done = self.accept(emission, None);
        self.answer(done)
    }

    fn tick(&mut self, now: EventTime) -> BoxFuture<'_, Result<(), SinkError>> {
        let done = self.complete_by_age(now);
        self.answer(done)
    }

    fn prepare(&mut self, last: bool) -> BoxFuture<'_, Result<Prepared, SinkError>> {
        let done = self.prepare_checkpoint(last);
        self.answer(done)
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        let done = self.commit_checkpoint();
        self.answer(done)
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        let done = self.complete().and_then(|()| self.show(&self.complete));
        self.answer(done)
    }
}
