//! Faults as payloads of records, so that `error_stream` is read as every other stream is: its fields one after another,
//! each with its length before it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use millstream_core::{Chunk, Decoded, Decoder, EventTime, FormatError};

use crate::errors::{DATA_ROW, Fault, columns_after_time};

/// In the place of a length: there is no value.
const ABSENT: u32 = u32::MAX;

/// Writes a fault behind what is there.
pub(crate) fn write(fault: &Fault, out: &mut Vec<u8>) {
    let time = fault.row_time.map(|time| time.0.to_le_bytes());
    let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let fields: [Option<Cow<'_, [u8]>>; 10] = [
        Some(fault.level.as_bytes().into()),
        Some(fault.name.as_bytes().into()),
        Some(fault.message.as_bytes().into()),
        time.as_ref().map(|time| time.as_slice().into()),
        text(&fault.row).map(Cow::Owned),
        text(&fault.query).map(Cow::Owned),
        Some(fault.source.as_bytes().into()),
        Some(fault.shard.as_bytes().into()),
        text(&fault.sequence_number).map(Cow::Owned),
        fault.raw.as_deref().map(Cow::Borrowed),
    ];
    for field in fields {
        // No field is as long as four gigabytes: what faults hold has a bound.
        let length = field.as_ref().map_or(ABSENT, |field| u32::try_from(field.len()).unwrap_or(ABSENT));
        out.extend(length.to_le_bytes());
        out.extend_from_slice(field.as_deref().unwrap_or_default());
    }
}

/// Reads a fault; `None` if these bytes are none.
fn read(mut payload: &[u8]) -> Option<Fault> {
    let mut next = || -> Option<Option<&[u8]>> {
        let (length, rest) = payload.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == ABSENT {
            payload = rest;
            return Some(None);
        }
        let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        payload = rest;
        Some(Some(field))
    };
    let text = |field: Option<&[u8]>| field.map(|field| String::from_utf8_lossy(field).into_owned());
    Some(Fault {
        level: Cow::Owned(text(next()?)?),
        name: Cow::Owned(text(next()?)?),
        message: text(next()?)?,
        row_time: match next()? {
            Some(time) => Some(EventTime(i64::from_le_bytes(time.try_into().ok()?))),
            None => None,
        },
        row: text(next()?),
        query: text(next()?),
        source: text(next()?)?,
        shard: text(next()?)?,
        sequence_number: text(next()?),
        raw: next()?.map(<[u8]>::to_vec),
    })
}

/// Payloads to the columns of `error_stream` behind `error_time`, which is the arrival.
pub(crate) struct FaultDecoder {
    schema: SchemaRef,
    with_data_row: bool,
}

impl FaultDecoder {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, with_data_row: true }
    }
}

impl Decoder for FaultDecoder {
    fn want(&mut self, columns: &[bool]) {
        self.with_data_row = columns.get(DATA_ROW).copied().unwrap_or(true);
    }

    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let faults = chunk.data.iter().map(|payload| payload.and_then(read)).collect::<Option<Vec<Fault>>>();
        let faults = faults.ok_or_else(|| ArrowError::ParseError("a payload of error_stream is damaged".to_owned()))?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns_after_time(&faults, self.with_data_row))?;
        Ok(Decoded { rows, records: None, rejected: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let row = Fault::of_row("q", "s", "shard", Some(EventTime(-7)), "n=1".to_owned(), "why".to_owned());
        let record =
            Fault { query: None, raw: Some(vec![0, 255]), sequence_number: Some("9".to_owned()), ..row.clone() };
        for fault in [row.named("late row"), record, Fault::of_lost_rows(3)] {
            let mut payload = Vec::new();
            write(&fault, &mut payload);
            assert_eq!(read(&payload), Some(fault));
            assert_eq!(read(&payload[..payload.len() - 1]), None);
        }
    }
}
