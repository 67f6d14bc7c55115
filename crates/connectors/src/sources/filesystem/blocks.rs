//! A file as blocks of whole records, without copying a record: a block's bytes become the chunk's bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use arrow::array::BinaryArray;
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use millstream_core::SourceError;

/// Bytes read at once: large enough that a chunk amortises what a chunk costs, small enough for a core's cache.
const BLOCK_BYTES: usize = 1 << 20;

/// A record longer than this is an error: without a bound a file without line ends would be read into memory whole.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// A file that is one record may be as large as a reference table.
const WHOLE_BYTES_MAX: usize = 1 << 30;

/// Where records end.
#[derive(Clone, Debug)]
pub(crate) enum Splitter {
    /// At every line end. Empty lines belong to the record after them, where they are white space.
    Lines,
    /// At line ends outside quotes, as CSV has them.
    Csv { quote: u8, delimiter: u8 },
    /// At the end of the file: its format finds the rows.
    Whole,
}

impl Splitter {
    fn record_bytes_max(&self) -> usize {
        match self {
            Self::Lines | Self::Csv { .. } => RECORD_BYTES_MAX,
            Self::Whole => WHOLE_BYTES_MAX,
        }
    }
}

/// Reads one file.
pub(crate) struct BlockReader {
    input: Box<dyn Read + Send>,
    name: String,
    splitter: Splitter,
    block_bytes: usize,
    /// The start of a record whose end has not been read.
    rest: Vec<u8>,
    /// The byte after the last record given out.
    position: u64,
}

/// Whole records.
pub(crate) struct Block {
    pub(crate) records: BinaryArray,
    /// The byte after the last record.
    pub(crate) end: u64,
}

impl BlockReader {
    /// Reads a file from a position that is the end of a record, or its start.
    pub(crate) fn open(path: &Path, start: u64, splitter: Splitter) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let open = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        let file = open().map_err(|error| SourceError::Io { what: name.clone(), error })?;
        Ok(Self { position: start, ..Self::new(Box::new(file), name, splitter) })
    }

    /// Reads what is not a file, or a file's bytes; the name is for messages.
    pub(crate) fn new(input: Box<dyn Read + Send>, name: String, splitter: Splitter) -> Self {
        Self { input, name, splitter, block_bytes: BLOCK_BYTES, rest: Vec::new(), position: 0 }
    }

    /// The next records; `None` at the end of the file.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, SourceError> {
        let mut wanted = self.block_bytes;
        loop {
            let mut bytes = Vec::with_capacity(self.rest.len() + wanted);
            bytes.append(&mut self.rest);
            let before = bytes.len();
            let limit = u64::try_from(wanted).unwrap_or(u64::MAX);
            let read = (&mut self.input).take(limit).read_to_end(&mut bytes);
            read.map_err(|error| SourceError::Io { what: self.name.clone(), error })?;
            let at_end = bytes.len() - before < wanted;
            let mut ends = self.record_ends(&bytes);
            let whole = ends.last().copied().unwrap_or(0);
            if at_end && bytes[whole..].iter().any(|byte| !byte.is_ascii_whitespace()) {
                ends.push(bytes.len());
            } else {
                self.rest = bytes.split_off(whole);
            }
            if let Some(end) = ends.last().copied() {
                self.position += u64::try_from(end).unwrap_or(u64::MAX);
                return Ok(Some(Block { records: slice(bytes, &ends), end: self.position }));
            }
            if at_end {
                return Ok(None);
            }
            let record_bytes_max = self.splitter.record_bytes_max();
            if self.rest.len() > record_bytes_max {
                let reason = format!("the record at byte {} is longer than {record_bytes_max} bytes", self.position);
                return Err(SourceError::Failed { what: self.name.clone(), reason });
            }
            // A record longer than a block: read as much again.
            wanted = self.rest.len().max(self.block_bytes);
        }
    }

    /// The byte after each whole record.
    fn record_ends(&mut self, bytes: &[u8]) -> Vec<usize> {
        match self.splitter {
            Splitter::Lines => {
                let mut ends = Vec::with_capacity(bytes.len() / 64);
                let mut start = 0;
                for at in memchr::memchr_iter(b'\n', bytes) {
                    // Only a line that starts with white space can be empty: the rest is not looked at.
                    if bytes[start] > b' ' || !bytes[start..at].trim_ascii().is_empty() {
                        ends.push(at + 1);
                    }
                    start = at + 1;
                }
                ends
            }
            Splitter::Csv { quote, delimiter } => csv_ends(bytes, quote, delimiter),
            Splitter::Whole => Vec::new(),
        }
    }
}

/// A quote opens only where a field starts; within, two of them stand for one.
fn csv_ends(bytes: &[u8], quote: u8, delimiter: u8) -> Vec<usize> {
    let (mut ends, mut start, mut quoted, mut after) = (Vec::new(), 0, false, 0);
    for at in memchr::memchr2_iter(b'\n', quote, bytes) {
        match bytes[at] {
            // The second of two.
            _ if at < after => {}
            b'\n' if !quoted => {
                if !bytes[start..at].trim_ascii().is_empty() {
                    ends.push(at + 1);
                }
                start = at + 1;
            }
            b'\n' => {}
            _ if quoted && bytes.get(at + 1) == Some(&quote) => after = at + 2,
            _ if quoted => quoted = false,
            _ => quoted = at == start || bytes[at - 1] == delimiter || bytes[at - 1] == b'\n',
        }
    }
    ends
}

/// Cuts `bytes` after each of `ends`.
fn slice(bytes: Vec<u8>, ends: &[usize]) -> BinaryArray {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    // A block is at most a few records' lengths: far below 2 GiB.
    offsets.extend(ends.iter().map(|end| i32::try_from(*end).unwrap_or(i32::MAX)));
    BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(content: &[u8], block_bytes: usize, start: u64) -> (Vec<String>, Vec<u64>) {
        records_by(Splitter::Lines, content, block_bytes, start)
    }

    fn records_by(splitter: Splitter, content: &[u8], block_bytes: usize, start: u64) -> (Vec<String>, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        std::fs::write(&path, content).unwrap();
        let mut reader = BlockReader::open(&path, start, splitter).unwrap();
        reader.block_bytes = block_bytes;
        let (mut records, mut ends) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block().unwrap() {
            records.extend(block.records.iter().flatten().map(|r| String::from_utf8(r.to_vec()).unwrap()));
            ends.push(block.end);
        }
        (records, ends)
    }

    #[test]
    fn block_sizes_do_not_matter() {
        let content = b"a\nbb\n\n\r\nccc\r\ndddddddddddddddddddd\ne";
        for block_bytes in 1..40 {
            let (records, ends) = records(content, block_bytes, 0);
            let trimmed: Vec<_> = records.iter().map(|record| record.trim()).collect();
            assert_eq!(trimmed, ["a", "bb", "ccc", "dddddddddddddddddddd", "e"], "{block_bytes}");
            assert_eq!(*ends.last().unwrap(), content.len() as u64);
        }
    }

    #[test]
    fn csv_records_end_outside_quotes_only() {
        let content = "a,\"x\ny\",\"\"\n5\" disk,b\n\n\"\"\"\n\"\"\",c\r\nlast,\"1\n2\"";
        let expected = ["a,\"x\ny\",\"\"", "5\" disk,b", "\"\"\"\n\"\"\",c", "last,\"1\n2\""];
        let splitter = Splitter::Csv { quote: b'"', delimiter: b',' };
        for block_bytes in 1..50 {
            let (records, _) = records_by(splitter.clone(), content.as_bytes(), block_bytes, 0);
            let trimmed: Vec<_> = records.iter().map(|record| record.trim()).collect();
            assert_eq!(trimmed, expected, "{block_bytes}");
        }
    }

    #[test]
    fn a_whole_file_may_be_one_record() {
        let content = "a\nb\n\"c";
        for block_bytes in 1..10 {
            let found = records_by(Splitter::Whole, content.as_bytes(), block_bytes, 0);
            assert_eq!(found, (vec![content.to_owned()], vec![content.len() as u64]), "{block_bytes}");
        }
        assert_eq!(records_by(Splitter::Whole, b"", 100, 0).0, Vec::<String>::new());
    }

    #[test]
    fn a_reading_resumes_after_a_record() {
        let content = b"a\nbb\nccc\n";
        assert_eq!(records(content, 100, 2).0, ["bb\n", "ccc\n"]);
        assert_eq!(records(content, 100, 9).0, Vec::<String>::new());
        assert_eq!(records(b"", 100, 0).0, Vec::<String>::new());
        assert_eq!(records(b"\n \n", 100, 0).0, Vec::<String>::new());
    }
}
