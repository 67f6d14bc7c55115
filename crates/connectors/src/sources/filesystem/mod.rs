//! The source `filesystem`: files of records, read once to their end.
//!
//! A record is a line of JSON, or a CSV record, whose quoted fields may hold line ends; of tables of a Kinesis Data
//! Analytics application it is the whole file, in which its format finds the rows. With `csv.header` the first
//! record of each file is left out; columns are told by their place either way.
//!
//! `path` is a file or a folder; of a folder all files are read that are not hidden (`.name`, `_name`). Each file is a
//! shard, an offset is the byte after a record's end. All files are opened as shards before the first is read, and
//! then read in turn, a block each: files that cover the same time keep the watermark moving together.
//!
//! Reading blocks the task for a block at a time (1 MiB: about a millisecond from disk, less from the page cache).

pub(crate) mod blocks;

use std::path::{Path, PathBuf};

use arrow::array::{Array, TimestampMillisecondArray};
use millstream_core::{
    Boundedness, BoxFuture, Chunk, Clock, EventTime, Offset, Offsets, OptionError, OptionReader, Resume, Roles,
    ShardId, Source, SourceError, SourceEvent, SourceOutput, Stopped, TableDecl,
};
use std::sync::Arc;

use crate::place::Place;
use crate::registry::{Connector, Request, no_source};
use crate::sources::position::only_beginning;
use crate::{formats, references, sinks};
use blocks::{BlockReader, Splitter};

pub(crate) const CONNECTOR: Connector = Connector {
    name: "filesystem",
    format: formats::of_table,
    check,
    source,
    sink: sinks::filesystem::sink,
    reference: references::filesystem::reference,
};

/// How many files are read in turn: a bound on open files and on blocks in memory.
const OPEN_FILES_MAX: usize = 32;

fn check(request: &Request<'_>) -> Result<Roles, OptionError> {
    references::filesystem::check(request)?;
    if let Place::S3 { .. } = Place::read(request.options)? {
        return Ok(Roles { source: None, sink: false, lookup: true });
    }
    sinks::filesystem::check(request)?;
    if sinks::filesystem::is_parquet(request.options) {
        // Written, and read as a whole; not record by record.
        return Ok(Roles { source: None, sink: true, lookup: true });
    }
    Ok(Roles { source: Some(Boundedness::Bounded), sink: true, lookup: true })
}

fn source(request: &Request<'_>) -> Result<Box<dyn Source>, OptionError> {
    let Place::Local(path) = Place::read(request.options)? else { return no_source(request) };
    let (splitter, header) = layout(request.table, request.options)?;
    Ok(Box::new(FileSource { path, splitter, header, clock: Arc::clone(&request.context.clock) }))
}

/// Where records end in the files of a table, and whether the first of each is one of names.
pub(crate) fn layout(table: &TableDecl, options: &OptionReader<'_>) -> Result<(Splitter, bool), OptionError> {
    let name = formats::of_table(options)?.name;
    if formats::has_rows_within_records(table, options)? {
        if options.flag("csv.header", false)? {
            let message = "Kinesis Data Analytics reads every row; leave the option out and the names out of the file";
            return Err(OptionError::new("csv.header", message));
        }
        return Ok((Splitter::Whole, false));
    }
    match name {
        "csv" => {
            let (quote, delimiter) = formats::csv::quote_and_delimiter(table, options)?;
            Ok((Splitter::Csv { quote, delimiter }, options.flag("csv.header", false)?))
        }
        "json" => Ok((Splitter::Lines, false)),
        other => {
            let message = format!("files of format '{other}' cannot be read; use 'json' or 'csv'");
            Err(OptionError::new("format", message))
        }
    }
}

struct FileSource {
    path: PathBuf,
    splitter: Splitter,
    /// Whether each file starts with a record of names.
    header: bool,
    clock: Arc<dyn Clock>,
}

/// A file being read.
struct OpenFile {
    shard: ShardId,
    reader: BlockReader,
    /// Whether its next record is the one of names.
    has_header: bool,
    from: Option<Offset>,
    arrival: EventTime,
}

impl Source for FileSource {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let what = format!("the files of `{}`", self.path.display());
            resume.refuse_only(&what)?;
            only_beginning(resume.start, &what)?;
            match self.read_all(&resume.offsets, output).await {
                Ok(()) | Err(Ended::Stopped) => Ok(()),
                Err(Ended::Failed(error)) => Err(error),
            }
        })
    }
}

/// Why reading ended early.
enum Ended {
    Stopped,
    Failed(SourceError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<SourceError> for Ended {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

impl FileSource {
    async fn read_all(&self, resume: &Offsets, output: &dyn SourceOutput) -> Result<(), Ended> {
        let files = list(&self.path)?;
        if let Some((shard, offset)) = resume.iter().find(|(id, _)| !files.iter().any(|file| shard_of(file) == **id)) {
            return Err(Ended::Failed(gone(shard, offset, "the file is gone")));
        }
        for file in &files {
            output.send(SourceEvent::ShardOpened { shard: shard_of(file), parents: Vec::new() }).await?;
        }
        let mut waiting = files.iter();
        let mut open = Vec::new();
        loop {
            while open.len() < OPEN_FILES_MAX
                && let Some(file) = waiting.next()
            {
                open.push(self.open(file, resume)?);
            }
            if open.is_empty() {
                return Ok(());
            }
            let mut still_open = Vec::with_capacity(open.len());
            for mut file in open {
                match self.next_chunk(&mut file)? {
                    Some(chunk) => {
                        output.send(SourceEvent::Chunk(Box::new(chunk))).await?;
                        still_open.push(file);
                    }
                    None => output.send(SourceEvent::ShardClosed { shard: file.shard }).await?,
                }
            }
            open = still_open;
        }
    }

    fn open(&self, file: &Path, resume: &Offsets) -> Result<OpenFile, SourceError> {
        let shard = shard_of(file);
        let from = resume.get(&shard).cloned();
        let start = match &from {
            None => 0,
            Some(offset) => offset.sequence().parse().map_err(|_| SourceError::Position {
                shard: shard.clone(),
                offset: offset.clone(),
                reason: "it is no position in a file".to_owned(),
            })?,
        };
        if let Some(offset) = &from {
            let length = std::fs::metadata(file)
                .map_err(|error| SourceError::Io { what: file.display().to_string(), error })?
                .len();
            if length < start {
                return Err(gone(&shard, offset, &format!("the file has {length} bytes only")));
            }
        }
        let reader = BlockReader::open(file, start, self.splitter.clone())?;
        let has_header = self.header && from.is_none();
        Ok(OpenFile { shard, reader, has_header, from, arrival: EventTime::MIN })
    }

    fn next_chunk(&self, file: &mut OpenFile) -> Result<Option<Chunk>, SourceError> {
        let Some(mut block) = file.reader.next_block()? else { return Ok(None) };
        if std::mem::take(&mut file.has_header) {
            if block.records.len() == 1 {
                return self.next_chunk(file);
            }
            block.records = block.records.slice(1, block.records.len() - 1);
        }
        file.arrival = file.arrival.max(self.clock.now());
        let arrivals = TimestampMillisecondArray::from_value(file.arrival.0, block.records.len());
        let to = Offset::from(block.end);
        Ok(Some(Chunk {
            shard: file.shard.clone(),
            from: file.from.replace(to.clone()),
            to,
            data: block.records,
            arrivals,
            keys: None,
            sequence_numbers: None,
            sub_sequence_numbers: None,
            verdicts: None,
        }))
    }
}

fn gone(shard: &ShardId, offset: &Offset, what: &str) -> SourceError {
    let reason = format!("{what}: put it back as it was, or start the query anew with START FROM BEGINNING");
    SourceError::Position { shard: shard.clone(), offset: offset.clone(), reason }
}

fn shard_of(file: &Path) -> ShardId {
    ShardId::from(file.display().to_string())
}

/// The files to read, in the order of their names.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let io = |error| SourceError::Io { what: path.display().to_string(), error };
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.is_dir() {
        let remedy = "option 'path' must name a file or a folder".to_owned();
        return Err(SourceError::NotFound { what: format!("`{}`", path.display()), remedy });
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with(['.', '_']);
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
