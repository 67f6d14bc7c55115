//! Files of records, JSON or CSV: cut, decoded and counted in lines.

use arrow::array::{Array, TimestampMillisecondArray};
use millstream_core::{
    Chunk, Decoder, Offset, OptionError, OptionReader, ReferenceError, ShardId, SourceError, TableDecl,
};

use super::content::{Gathered, WholeFile};
use crate::formats;
use crate::formats::csv::FieldReader;
use crate::sources::filesystem::blocks::{Block, BlockReader, Splitter};
use crate::sources::filesystem::layout;

/// Reads the records of one file.
pub(super) struct LineReader {
    splitter: Splitter,
    decoder: Box<dyn Decoder>,
    /// Where each file starts with names: reads them, and knows what they should be.
    header: Option<(FieldReader, Vec<String>)>,
}

impl LineReader {
    /// Reads the options of the format.
    pub(super) fn new(table: &TableDecl, options: &OptionReader<'_>) -> Result<Self, OptionError> {
        let format = formats::of_table(options)?;
        let (splitter, header) = layout(table, options)?;
        let names = || table.schema.fields().iter().map(|field| field.name().clone()).collect();
        let header = if header { Some((FieldReader::new(table, options)?, names())) } else { None };
        Ok(Self { splitter, decoder: (format.decoder)(table, options)?, header })
    }

    /// Reads a whole file.
    pub(super) fn read(mut self, file: &WholeFile, gathered: &mut Gathered) -> Result<(), ReferenceError> {
        let bytes = std::io::Cursor::new(file.bytes.clone());
        let mut blocks = BlockReader::new(Box::new(bytes), file.name.clone(), self.splitter.clone());
        let mut lines = 0;
        while let Some(block) = blocks.next_block().map_err(|error| of_block(file, error))? {
            let block_lines = line_ends(block.records.value_data());
            self.read_block(file, block, lines, gathered)?;
            lines += block_lines;
        }
        Ok(())
    }

    /// Decodes a block that comes after so many lines.
    fn read_block(
        &mut self,
        file: &WholeFile,
        block: Block,
        lines_before: u64,
        gathered: &mut Gathered,
    ) -> Result<(), ReferenceError> {
        let records = match self.header.take() {
            Some((mut reader, names)) => {
                let found = reader.fields(block.records.value(0)).map_err(|reason| file.unusable(reason))?;
                check_header(&found, &names).map_err(|reason| file.unusable(reason))?;
                block.records.slice(1, block.records.len() - 1)
            }
            None => block.records.clone(),
        };
        let chunk = Chunk {
            shard: ShardId::from(file.name.as_str()),
            from: None,
            to: Offset::from(block.end),
            arrivals: TimestampMillisecondArray::from_value(0, records.len()),
            data: records,
            keys: None,
            sequence_numbers: None,
            sub_sequence_numbers: None,
            verdicts: None,
        };
        let decoded = self.decoder.decode(&chunk).map_err(|error| file.unusable(error.to_string()))?;
        gathered.add_rows(decoded.rows);
        for rejected in decoded.rejected {
            let index = rejected.record as usize;
            let record = chunk.data.value(index);
            // The records of a block lie side by side, empty lines before the record they precede.
            let blank = record.len() - record.trim_ascii_start().len();
            let start = usize::try_from(chunk.data.value_offsets()[index]).unwrap_or(0);
            let line = 1 + lines_before + line_ends(&block.records.value_data()[..start + blank]);
            gathered.reject(file, line, rejected.reason, record);
        }
        Ok(())
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Columns go by place. A header may have names of its own; it may not have the table's in another order.
fn check_header(found: &[String], names: &[String]) -> Result<(), String> {
    let plain = |name: &String| name.trim_start_matches('\u{feff}').trim().to_lowercase();
    let (found_plain, names_plain): (Vec<_>, Vec<_>) =
        (found.iter().map(plain).collect(), names.iter().map(plain).collect());
    let elsewhere = |(at, name): (usize, &String)| names_plain.get(at) != Some(name) && names_plain.contains(name);
    if found.len() == names.len() && !found_plain.iter().enumerate().any(elsewhere) {
        return Ok(());
    }
    Err(format!(
        "its header is `{}`, but the table's columns are `{}`: declare them all, in the order of the file",
        found.join(", "),
        names.join(", ")
    ))
}

fn of_block(file: &WholeFile, error: SourceError) -> ReferenceError {
    match error {
        SourceError::Failed { reason, .. } => file.unusable(reason),
        other => ReferenceError::Failed { what: format!("`{}`", file.name), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_tables_columns_in_their_order() {
        let texts = |names: &str| names.split(',').map(ToOwned::to_owned).collect::<Vec<_>>();
        for (found, fits) in [
            ("id,name", true),
            ("ID, Name", true),
            ("\u{feff}id,name", true),
            ("Item number,What it is called", true),
            ("name,id", false),
            ("number,id", false),
            ("id", false),
            ("id,name,price", false),
        ] {
            assert_eq!(check_header(&texts(found), &texts("id,name")).is_ok(), fits, "{found}");
        }
    }
}
