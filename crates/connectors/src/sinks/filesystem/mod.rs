//! The sink `filesystem`: files that are complete whenever they are visible.
//!
//! A file is written under a hidden name (`.<name>.inprogress`), synced and then renamed: readers see whole files or
//! none. It is completed when it is large or old enough, or with `sink.rolling-policy.window` when the window of the
//! results changes. Names hold the query, a sequence number and a token, so that no start overwrites the files of
//! another; what an earlier start of the query left in progress is removed.
//!
//! Files are written from the sink's own task, without a thread of their own: a block at a time, into the page cache;
//! only completing a file waits for the disk.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::{
    BoxFuture, Clock, Delivery, Duration, Emission, EventTime, OptionError, OptionReader, Sink, SinkError, TableDecl,
    Window,
};

use crate::formats;
use crate::place::Place;
use crate::registry::Request;
use file::{FileKind, OpenFile};

/// What the options say.
struct Settings {
    folder: PathBuf,
    kind: FileKind,
    file_bytes: u64,
    rollover: Duration,
    check_every: Duration,
    by_window: bool,
}

/// Whether a table's files are Parquet, which is no format of records.
pub(crate) fn is_parquet(options: &OptionReader<'_>) -> bool {
    options.get("format").is_some_and(|format| format.eq_ignore_ascii_case("parquet"))
}

/// Checks the options.
pub(crate) fn check(request: &Request<'_>) -> Result<(), OptionError> {
    read(request).map(drop)
}

/// A writer of files.
pub(crate) fn sink(request: &Request<'_>, query: &str) -> Result<Box<dyn Sink>, OptionError> {
    let clock = Arc::clone(&request.context.clock);
    let token = format!("{:012x}{:04x}", clock.now().0.max(0), request.context.seed & 0xffff);
    Ok(Box::new(FileSink {
        settings: read(request)?,
        table: request.table.clone(),
        prefix: format!("{}-", file_name(query)),
        token,
        clock,
        sequence: 0,
        cleaned: false,
        open: None,
        checked_at: EventTime::MIN,
    }))
}

fn read(request: &Request<'_>) -> Result<Settings, OptionError> {
    let options = request.options;
    let folder = match Place::read(options)? {
        Place::Local(folder) => folder,
        Place::S3 { .. } => return Err(OptionError::new("path", "names an object; only local folders can be written")),
    };
    let kind = if is_parquet(options) {
        let compression = options.one_of("parquet.compression", &["zstd", "snappy", "uncompressed"])?;
        FileKind::Parquet { compression: compression.unwrap_or("zstd") }
    } else {
        let format = formats::of_table(options)?;
        (format.encoder)(request.table, options)?;
        FileKind::Lines(format)
    };
    Ok(Settings {
        folder,
        kind,
        file_bytes: options.bytes("sink.rolling-policy.file-size")?.unwrap_or(128 << 20),
        rollover: options.duration("sink.rolling-policy.rollover-interval")?.unwrap_or(Duration::from_secs(30 * 60)),
        check_every: options.duration("sink.rolling-policy.check-interval")?.unwrap_or(Duration::from_secs(60)),
        by_window: options.flag("sink.rolling-policy.window", false)?,
    })
}

/// A query's name as a part of a file name.
fn file_name(query: &str) -> String {
    query.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

struct FileSink {
    settings: Settings,
    table: TableDecl,
    prefix: String,
    /// Tells the files of this start from those of others.
    token: String,
    clock: Arc<dyn Clock>,
    sequence: u64,
    cleaned: bool,
    open: Option<(OpenFile, Option<Window>, EventTime)>,
    checked_at: EventTime,
}

impl FileSink {
    fn write_rows(&mut self, emission: &Emission) -> Result<(), SinkError> {
        if emission.rows.num_rows() == 0 {
            return Ok(());
        }
        let other_window = |(_, window, _): &(OpenFile, Option<Window>, EventTime)| *window != emission.window;
        if self.settings.by_window && self.open.as_ref().is_some_and(other_window) {
            self.complete()?;
        }
        if self.open.is_none() {
            let file = self.create()?;
            self.open = Some((file, emission.window, self.clock.now()));
        }
        let Some((file, ..)) = &mut self.open else { return Ok(()) };
        let written = file.write(&emission.rows);
        let bytes = file.bytes();
        written.map_err(|reason| self.fatal(&reason))?;
        if bytes >= self.settings.file_bytes {
            self.complete()?;
        }
        Ok(())
    }

    fn create(&mut self) -> Result<OpenFile, SinkError> {
        let folder = &self.settings.folder;
        std::fs::create_dir_all(folder).map_err(|error| self.fatal(&error))?;
        if !self.cleaned {
            remove_leftovers(folder, &self.prefix).map_err(|error| self.fatal(&error))?;
            self.cleaned = true;
        }
        let name = format!("{}{:06}-{}", self.prefix, self.sequence, self.token);
        self.sequence += 1;
        OpenFile::create(&self.settings.folder, &name, &self.settings.kind, &self.table)
            .map_err(|reason| self.fatal(&reason))
    }

    fn complete(&mut self) -> Result<(), SinkError> {
        let Some((file, ..)) = self.open.take() else { return Ok(()) };
        file.complete().map_err(|reason| self.fatal(&reason))
    }

    fn roll_by_age(&mut self, now: EventTime) -> Result<(), SinkError> {
        if self.checked_at != EventTime::MIN && now - self.checked_at < self.settings.check_every {
            return Ok(());
        }
        self.checked_at = now;
        match &self.open {
            Some((.., opened_at)) if now - *opened_at >= self.settings.rollover => self.complete(),
            _ => Ok(()),
        }
    }

    fn fatal(&self, error: &dyn std::fmt::Display) -> SinkError {
        SinkError::Fatal { sink: format!("folder `{}`", self.settings.folder.display()), reason: error.to_string() }
    }
}

/// Removes what an earlier start of the query left in progress.
fn remove_leftovers(folder: &Path, prefix: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_leftover = name
            .to_str()
            .and_then(|name| name.strip_prefix('.')?.strip_prefix(prefix)?.strip_suffix(file::IN_PROGRESS))
            // What follows is the sequence number: no other query's name begins like this one's.
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_leftover {
            tracing::warn!(file = %entry.path().display(), "removing a file that was never completed");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Sink for FileSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(self.write_rows(emission)))
    }

    fn tick(&mut self, now: EventTime) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(self.roll_by_age(now)))
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(self.complete()))
    }
}

#[cfg(test)]
mod tests;
