//! The format `raw`: the payload itself is the value of the table's one column, a STRING or BYTES.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use millstream_core::{Chunk, Decoded, Decoder, Encoder, FormatError, OptionError, OptionReader, Rejected, TableDecl};

/// Checks the columns and makes a decoder.
pub(super) fn decoder(table: &TableDecl, _: &OptionReader<'_>) -> Result<Box<dyn Decoder>, OptionError> {
    check(table)?;
    Ok(Box::new(Raw(table.schema.clone())))
}

/// Checks the columns and makes an encoder.
pub(super) fn encoder(table: &TableDecl, _: &OptionReader<'_>) -> Result<Box<dyn Encoder>, OptionError> {
    check(table)?;
    Ok(Box::new(Raw(table.schema.clone())))
}

fn check(table: &TableDecl) -> Result<(), OptionError> {
    match table.schema.fields().as_ref() {
        [field] if matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::Binary) => Ok(()),
        _ => Err(OptionError::new("format", "'raw' needs exactly one column, of type STRING or BYTES")),
    }
}

struct Raw(SchemaRef);

impl Decoder for Raw {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let kind = self.0.field(0).data_type();
        let (column, kept, rejected): (ArrayRef, _, _) = match StringArray::try_from_binary(chunk.data.clone()) {
            _ if *kind == DataType::Binary => (Arc::new(chunk.data.clone()), None, Vec::new()),
            Ok(texts) => (cast(&texts, kind)?, None, Vec::new()),
            Err(_) => {
                let (mut texts, mut kept, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
                for (record, payload) in (0..).zip(chunk.data.iter().flatten()) {
                    match std::str::from_utf8(payload) {
                        Ok(text) => {
                            texts.push(text);
                            kept.push(record);
                        }
                        Err(error) => {
                            let reason = format!("column `{}`: not valid UTF-8: {error}", self.0.field(0).name());
                            rejected.push(Rejected { record, reason });
                        }
                    }
                }
                (cast(&StringArray::from(texts), kind)?, Some(kept), rejected)
            }
        };
        Ok(Decoded { rows: RecordBatch::try_new(self.0.clone(), vec![column])?, records: kept, rejected })
    }
}

impl Encoder for Raw {
    /// A null is an empty payload.
    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Bytes>, FormatError> {
        let column = cast(rows.column(0), &DataType::Binary)?;
        let values = column.as_binary::<i32>();
        Ok(values.iter().map(|value| value.map_or_else(Bytes::new, Bytes::copy_from_slice)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::chunks::ChunkBuilder;
    use arrow::datatypes::{Field, Schema};
    use millstream_core::{EventTime, ShardId};

    #[test]
    fn payloads_are_values_and_back() {
        let mut chunk = ChunkBuilder::new(ShardId::from("s"), None);
        for (payload, number) in [(&b"a\n"[..], "1"), (b"\xff", "2"), (b"", "3")] {
            chunk.push(payload, EventTime(0), None, number);
        }
        let chunk = chunk.take().unwrap().unwrap();
        for (kind, rejected) in [(DataType::Utf8, 1), (DataType::Utf8View, 1), (DataType::Binary, 0)] {
            let schema = Arc::new(Schema::new(vec![Field::new("v", kind, true)]));
            let table = TableDecl {
                name: "t".into(),
                schema,
                primary_key: vec![],
                options: millstream_core::Options::default(),
            };
            let decoded = decoder(&table, &table.options.reader()).unwrap().decode(&chunk).unwrap();
            assert_eq!(decoded.rejected.len(), rejected);
            let payloads = encoder(&table, &table.options.reader()).unwrap().encode(&decoded.rows).unwrap();
            assert_eq!(
                (payloads.first().unwrap().as_ref(), payloads.last().unwrap().as_ref()),
                (&b"a\n"[..], &b""[..])
            );
        }
    }
}
