//! The sink `filesystem`: files that are complete whenever they are visible.
//!
//! A file is written under a hidden name (`.<name>.inprogress`), synced and then renamed: readers see whole files or
//! none. It is completed when it is large or old enough, or with `sink.rolling-policy.window` when the window of the
//! results changes. Names hold the query, a sequence number and a token, so that no start overwrites the files of
//! another query of its name. Without checkpoints a file is renamed when it is complete.
//!
//! # Exactly once
//! With checkpoints it stays hidden until the checkpoint is durable whose note names it; `commit` renames it then. Each
//! row that was accepted before checkpoint N is in one of three places when N is prepared: in a visible file, in a file
//! of N's note, which is complete and on disk, or in N's pending rows. Wherever the process is killed after that:
//!
//! - N is not durable. Nothing but the commit of a durable checkpoint renames, so all that is visible was visible for
//!   checkpoint N-1 or is in its note. The start from N-1 renames what is left of its note, removes every other hidden
//!   file, writes the pending rows of N-1 anew, and gets the rows after it again. Each is there once.
//! - N is durable. The same with N for N-1. A rename is done or not: how many of the note's files were renamed before
//!   does not matter, nor does a commit that is tried again. And the next checkpoint, whose note leaves these files
//!   out, is prepared only after their new names are on disk.
//!
//! Where the newest checkpoint has been lost, an older one is gone on from: the files it does not know are removed then,
//! because their rows come again.
//!
//! Files are written from the sink's own task, without a thread of their own: a block at a time, into the page cache;
//! only completing a file waits for the disk. What the disk does not take waits in memory (`backlog`).

mod backlog;
mod file;
mod runs;
mod sink;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::{Duration, OptionError, OptionReader, Sink};

use crate::formats;
use crate::place::Place;
use crate::registry::Request;
use file::FileKind;
use sink::FileSink;

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
    let prefix = format!("{}-", file_name(query));
    Ok(Box::new(FileSink::new(
        read(request)?,
        request.table.clone(),
        prefix,
        token,
        clock,
        Box::new(file::create_file),
    )))
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

/// What stands before the number of a claim in the name of a file.
const CLAIM: &str = "-claim";

/// What the names of a process's files end with, where others may write for its query.
fn claim_suffix(claim: u64) -> String {
    format!("{CLAIM}{claim:09}")
}

/// Whether a file is of a process with a later claim than this one has.
fn is_later(name: &str, claim: Option<u64>) -> bool {
    let digits = name.rsplit_once(CLAIM).map(|(_, rest)| rest.split('.').next().unwrap_or_default());
    let of_file = digits.and_then(|digits| digits.parse::<u64>().ok());
    of_file.is_some_and(|of_file| claim.is_some_and(|own| of_file > own))
}

/// Removes visible files that are newer than the checkpoint a query goes on from: their rows come again. There are some
/// only if the checkpoint that showed them has been lost.
fn remove_newer(folder: &Path, prefix: &str, token: &str, after: u64, claim: Option<u64>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            let (number, rest) = name.strip_prefix(prefix)?.split_once('-')?;
            let rest = rest.strip_prefix(token)?;
            let is_own = rest.starts_with('.') || rest.starts_with(CLAIM) && !is_later(name, claim);
            number.parse::<u64>().ok().filter(|_| is_own)
        });
        if number.is_some_and(|number| number >= after) {
            tracing::warn!(file = %entry.path().display(), "removing a file of a checkpoint that is lost: its rows come again");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what an earlier start of the query left hidden.
fn remove_hidden(folder: &Path, prefix: &str, claim: Option<u64>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_leftover = name
            .to_str()
            .and_then(|name| name.strip_prefix('.')?.strip_prefix(prefix)?.strip_suffix(file::IN_PROGRESS))
            // What follows is the sequence number: no other query's name begins like this one's.
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && !is_later(rest, claim));
        if is_leftover {
            tracing::warn!(file = %entry.path().display(), "removing a hidden file: its rows are written anew");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
