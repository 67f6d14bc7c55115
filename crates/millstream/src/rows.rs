//! Rows as answers: JSON values, NDJSON, CSV, Arrow.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use millstream_connectors::json_rows;
use millstream_sql::type_name;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::Problem;

/// A column as the API tells it.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) sql_type: String,
}

/// The columns of a schema.
pub(crate) fn columns(schema: &Schema) -> Vec<Column> {
    let fields = schema.fields().iter();
    fields.map(|field| Column { name: field.name().clone(), sql_type: type_name(field.data_type()) }).collect()
}

/// One JSON object a line.
pub(crate) fn ndjson(rows: &RecordBatch) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    json_rows(rows, &mut lines).map_err(Problem::internal)?;
    Ok(lines)
}

/// Appends the rows as elements of a JSON array, without its brackets.
pub(crate) fn push_elements(rows: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Problem> {
    if rows.num_rows() == 0 {
        return Ok(());
    }
    let start = out.len();
    json_rows(rows, out).map_err(Problem::internal)?;
    // A line break within a text is escaped: every raw one ends a row, the last one too.
    out.pop();
    for byte in &mut out[start..] {
        if *byte == b'\n' {
            *byte = b',';
        }
    }
    Ok(())
}

/// The rows as a JSON array.
pub(crate) fn json_array(batches: &[RecordBatch]) -> Result<Box<RawValue>, Problem> {
    let mut out = vec![b'['];
    for rows in batches.iter().filter(|rows| rows.num_rows() > 0) {
        if out.len() > 1 {
            out.push(b',');
        }
        push_elements(rows, &mut out)?;
    }
    out.push(b']');
    let text = String::from_utf8(out).map_err(Problem::internal)?;
    RawValue::from_string(text).map_err(Problem::internal)
}

/// Rows as CSV; nested values as JSON texts are not supported by the writer and are refused with its reason.
pub(crate) fn csv(rows: &RecordBatch, header: bool) -> Result<Bytes, Problem> {
    let mut out = Vec::new();
    let format = "%Y-%m-%dT%H:%M:%S%.3f";
    let builder = arrow::csv::WriterBuilder::new().with_header(header);
    let builder = builder.with_timestamp_format(format.to_owned()).with_timestamp_tz_format(format!("{format}Z"));
    builder.build(&mut out).write(rows).map_err(|error| {
        Problem::bad_request(format!("the rows cannot be written as CSV: {error}"))
            .hint("ask for application/json, or select columns that are not nested")
    })?;
    Ok(out.into())
}

/// Rows as an Arrow IPC stream.
pub(crate) fn arrow_stream(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes, Problem> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), schema).map_err(Problem::internal)?;
    for rows in batches {
        writer.write(rows).map_err(Problem::internal)?;
    }
    writer.into_inner().map(Bytes::from).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray, TimestampMillisecondArray};
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let texts = StringArray::from(vec![Some("a\nb"), None]);
        let times = TimestampMillisecondArray::from(vec![1_767_225_600_001, 0]);
        let numbers = Int64Array::from(vec![i64::MAX, -1]);
        RecordBatch::try_from_iter([
            ("text", Arc::new(texts) as _),
            ("at", Arc::new(times) as _),
            ("n", Arc::new(numbers) as _),
        ])
        .unwrap()
    }

    #[test]
    fn batches_join_to_one_array() {
        let (rows, none) = (rows(), rows().slice(0, 0));
        let array = json_array(&[none.clone(), rows.slice(0, 1), none, rows.slice(1, 1)]).unwrap();
        let first = r#"{"text":"a\nb","at":"2026-01-01T00:00:00.001","n":9223372036854775807}"#;
        let second = r#"{"text":null,"at":"1970-01-01T00:00:00.000","n":-1}"#;
        assert_eq!(array.get(), format!("[{first},{second}]"));
        assert_eq!(json_array(&[]).unwrap().get(), "[]");
    }

    #[test]
    fn csv_has_the_values_of_json() {
        let text = csv(&rows(), true).unwrap();
        let expected = "text,at,n\n\"a\nb\",2026-01-01T00:00:00.001,9223372036854775807\n,1970-01-01T00:00:00.000,-1\n";
        assert_eq!(text, expected);
    }
}
