//! State on disk: frozen groups and rows that memory has no room for, until their window closes.
//!
//! A piece is written once, into a file of its own, and read back in parts. Groups are parted by the hash of their key,
//! so that all of a key is in the same part of every piece and a window can be merged one part after another. The file
//! goes with its last reader; what a crash leaves is removed at the next start, because checkpoints have the state too.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::DataFusionError;

use crate::checkpoint::{ChunkPlace, decode, encode};

/// Into so many parts groups are split by their keys: a window's merge takes about this part of what it holds.
pub(crate) const PARTS: usize = 16;
/// Other hash tables use other seeds: keys of one part must not fall into one of their corners.
const SEED: u64 = 0x5eed_0f5b_1114;

/// The folder of one process.
pub(crate) struct SpillFolder {
    path: PathBuf,
    next: AtomicU64,
    bytes: Arc<AtomicU64>,
}

impl SpillFolder {
    /// Takes the folder, and removes what is in it: it is of a process that is gone.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { path: path.to_owned(), next: AtomicU64::new(0), bytes: Arc::default() })
    }

    /// How much is in it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes rows, parted by their first `keys` columns if there are any.
    pub(crate) fn write(&self, rows: &RecordBatch, keys: usize) -> Result<Arc<Spilled>> {
        std::fs::create_dir_all(&self.path).map_err(|error| self.failed(&error))?;
        let name = format!("{:08}.arrow", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.path.join(&name);
        // Removed on the way out if it is not written to its end.
        let mut spilled = Spilled {
            path,
            places: Vec::new(),
            rows: rows.num_rows(),
            memory: rows.get_array_memory_size(),
            length: 0,
            total: Arc::clone(&self.bytes),
        };
        let mut file = BufWriter::new(File::create(&spilled.path).map_err(|error| self.failed(&error))?);
        let parts = if keys == 0 { None } else { Some(parts_of(&rows.columns()[..keys])?) };
        for number in 0..parts.as_ref().map_or(1, Vec::len) {
            let part = match &parts {
                Some(parts) => take_record_batch(rows, &parts[number])?,
                None => rows.clone(),
            };
            let (bytes, places) = encode(&name, &[(0, part.into())])?;
            file.write_all(&bytes).map_err(|error| self.failed(&error))?;
            let places = places.into_iter().map(|(_, place)| ChunkPlace { offset: spilled.length, ..place });
            spilled.places.extend(places);
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            spilled.length += bytes.len() as u64;
        }
        file.flush().map_err(|error| self.failed(&error))?;
        Ok(Arc::new(spilled))
    }

    fn failed(&self, error: &std::io::Error) -> DataFusionError {
        DataFusionError::Execution(format!("state cannot be moved to {}: {error}", self.path.display()))
    }
}

/// Some rows on disk.
#[derive(Debug)]
pub(crate) struct Spilled {
    path: PathBuf,
    places: Vec<ChunkPlace>,
    rows: usize,
    memory: usize,
    length: u64,
    total: Arc<AtomicU64>,
}

impl Spilled {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that all of it took in memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// One part, or all of them, one after another.
    pub(crate) fn read(&self, part: Option<usize>) -> Result<Vec<RecordBatch>> {
        let failed = |error: &dyn std::fmt::Display| {
            let message = format!("state on disk cannot be read back from {}: {error}", self.path.display());
            DataFusionError::External(message.into())
        };
        let mut file = File::open(&self.path).map_err(|error| failed(&error))?;
        let wanted = match part {
            Some(part) if self.places.len() > 1 => part..part + 1,
            _ => 0..self.places.len(),
        };
        let mut read = Vec::with_capacity(wanted.len());
        for place in self.places.get(wanted).unwrap_or_default() {
            file.seek(SeekFrom::Start(place.offset)).map_err(|error| failed(&error))?;
            let mut bytes = Vec::new();
            (&mut file).take(place.length).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
            let place = ChunkPlace { offset: 0, ..place.clone() };
            read.push(decode(&bytes, &place).map_err(|error| failed(&error))?);
        }
        Ok(read)
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        self.total.fetch_sub(self.length, Ordering::Relaxed);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a file of state was not removed; the next start does it");
        }
    }
}

/// Which rows are in which part.
fn parts_of(keys: &[ArrayRef]) -> Result<Vec<UInt32Array>> {
    let rows = keys.first().map_or(0, arrow::array::Array::len);
    let mut hashes = vec![0; rows];
    create_hashes(keys, &RandomState::with_seed(SEED), &mut hashes)?;
    let mut parts: Vec<Vec<u32>> = (0..PARTS).map(|_| Vec::with_capacity(rows / PARTS + 1)).collect();
    for (row, hash) in (0_u32..).zip(hashes) {
        // The upper bits: tables look at the lower ones.
        parts[usize::try_from(hash >> 56).unwrap_or(0) % PARTS].push(row);
    }
    Ok(parts.into_iter().map(UInt32Array::from).collect())
}

/// The rows of one part of what is in memory.
pub(crate) fn part_of(rows: &RecordBatch, keys: usize, part: usize) -> Result<RecordBatch> {
    Ok(take_record_batch(rows, &parts_of(&rows.columns()[..keys])?[part])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    fn rows() -> RecordBatch {
        let keys = (0..500).map(|n| (n % 7 != 0).then(|| format!("k{n}")));
        let key: ArrayRef = Arc::new(keys.collect::<StringArray>());
        let value: ArrayRef = Arc::new(Int64Array::from_iter_values(0..500));
        RecordBatch::try_from_iter([("k", key), ("v", value)]).unwrap()
    }

    #[test]
    fn parts_of_a_file_are_parts_of_memory_and_the_file_goes() {
        let folder = std::env::temp_dir().join(format!("millstream-spill-{}", std::process::id()));
        let spill = SpillFolder::open(&folder).unwrap();
        let spilled = spill.write(&rows(), 1).unwrap();
        let mut seen = 0;
        for part in 0..PARTS {
            let [read] = <[RecordBatch; 1]>::try_from(spilled.read(Some(part)).unwrap()).unwrap();
            assert_eq!(read, part_of(&rows(), 1, part).unwrap());
            seen += read.num_rows();
        }
        assert_eq!((seen, spilled.rows(), spilled.read(None).unwrap().len()), (500, 500, PARTS));
        assert_eq!(spill.bytes(), std::fs::metadata(&spilled.path).unwrap().len());
        drop(spilled);
        assert_eq!(spill.bytes(), 0);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::write(folder.join("left"), "over").unwrap();
        SpillFolder::open(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_that_cannot_be_written_says_where() {
        let taken = std::env::temp_dir().join(format!("millstream-no-folder-{}", std::process::id()));
        let spill = SpillFolder::open(&taken).unwrap();
        std::fs::write(&taken, "a file").unwrap();
        let error = spill.write(&rows(), 1).unwrap_err().to_string();
        assert!(error.contains("cannot be moved to") && error.contains("no-folder"), "{error}");
        std::fs::remove_file(&taken).unwrap();
    }
}
