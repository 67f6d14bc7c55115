//! Chunks as bytes: Arrow IPC streams, compressed, one after another in the data file of a checkpoint.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::spill::Spilled;

/// Where a chunk is, and what its bytes add up to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChunkPlace {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc32: u32,
    pub(crate) rows: u64,
}

/// The rows of a chunk before it is written.
#[derive(Debug)]
pub(crate) enum ChunkRows {
    Batch(RecordBatch),
    /// On disk already, in another form. Read when the chunk is written: it is there because memory is short.
    Spilled(Arc<Spilled>),
}

impl From<RecordBatch> for ChunkRows {
    fn from(rows: RecordBatch) -> Self {
        Self::Batch(rows)
    }
}

impl ChunkRows {
    fn batches(&self) -> Result<Vec<RecordBatch>, ArrowError> {
        match self {
            Self::Batch(rows) => Ok(vec![rows.clone()]),
            Self::Spilled(spilled) => spilled.read(None).map_err(|error| ArrowError::ExternalError(Box::new(error))),
        }
    }
}

/// Chunks by their numbers, and where each is.
pub(crate) type Places = Vec<(u64, ChunkPlace)>;

/// Writes chunks into one file; answers its bytes and where each chunk is.
pub(crate) fn encode(file: &str, chunks: &[(u64, ChunkRows)]) -> Result<(Vec<u8>, Places), ArrowError> {
    let mut bytes = Vec::new();
    let mut places = Vec::with_capacity(chunks.len());
    for (chunk, rows) in chunks {
        let offset = bytes.len();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let batches = rows.batches()?;
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let mut writer = StreamWriter::try_new_with_options(&mut bytes, &schema, options)?;
        batches.iter().try_for_each(|rows| writer.write(rows))?;
        writer.finish()?;
        drop(writer);
        let place = ChunkPlace {
            file: file.to_owned(),
            offset: offset as u64,
            length: (bytes.len() - offset) as u64,
            crc32: crc32fast::hash(&bytes[offset..]),
            rows: batches.iter().map(|rows| rows.num_rows() as u64).sum(),
        };
        places.push((*chunk, place));
    }
    Ok((bytes, places))
}

/// Reads a chunk out of its file's bytes, if they are what was written.
pub(crate) fn decode(bytes: &[u8], place: &ChunkPlace) -> Result<RecordBatch, String> {
    let from = usize::try_from(place.offset).unwrap_or(usize::MAX);
    let to = from.saturating_add(usize::try_from(place.length).unwrap_or(usize::MAX));
    let bytes = bytes
        .get(from..to)
        .ok_or_else(|| format!("`{}` is cut short: it has {} bytes, a chunk ends at {to}", place.file, bytes.len()))?;
    if crc32fast::hash(bytes) != place.crc32 {
        return Err(format!(
            "`{}` is damaged: the checksum of bytes {from} to {to} is not what was written",
            place.file
        ));
    }
    let broken = |error: ArrowError| format!("`{}` cannot be read: {error}", place.file);
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(broken)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    match <[RecordBatch; 1]>::try_from(batches) {
        Ok([rows]) => Ok(rows),
        Err(batches) => concat_batches(&schema, &batches).map_err(broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatchOptions, StringArray};

    #[test]
    fn chunks_come_back_and_damage_is_noticed() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|n| format!("text {}", n % 7))));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let none =
            RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::empty()), vec![], &options).unwrap();
        let (bytes, places) =
            encode("f", &[(7, rows.clone().into()), (8, none.into()), (9, rows.slice(10, 5).into())]).unwrap();
        assert_eq!(decode(&bytes, &places[0].1).unwrap(), rows);
        assert_eq!(decode(&bytes, &places[1].1).unwrap().num_rows(), 3);
        assert_eq!(decode(&bytes, &places[2].1).unwrap(), rows.slice(10, 5));
        assert!(decode(&bytes[..bytes.len() - 1], &places[2].1).unwrap_err().contains("cut short"));
        let mut damaged = bytes.clone();
        damaged[300] ^= 1;
        assert!(decode(&damaged, &places[0].1).unwrap_err().contains("damaged"));
        assert!(decode(&damaged, &places[2].1).is_ok(), "other chunks of the file are good");
    }
}
