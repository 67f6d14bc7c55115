//! Parquet files: columns by their names, values in the declared types.
//!
//! A value that does not fit its column rejects its row. What the file's schema tells already (a column that is not
//! there, a type that cannot become the declared one) is an error about the file, and so is what does not fit within a
//! ROW or an ARRAY.

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use millstream_core::ReferenceError;

use super::content::{Gathered, WholeFile};

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// Reads a whole file.
pub(super) fn read(file: &WholeFile, schema: &SchemaRef, gathered: &mut Gathered) -> Result<(), ReferenceError> {
    let unusable = |error: &dyn std::fmt::Display| file.unusable(error.to_string());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone()).map_err(|error| unusable(&error))?;
    let places = schema.fields().iter().map(|field| place(field, reader.schema())).collect::<Result<Vec<_>, _>>();
    let places = places.map_err(|reason| file.unusable(reason))?;
    let mask = ProjectionMask::roots(reader.parquet_schema(), places.iter().copied());
    // What is read has each column once, in the order of the file.
    let mut read = places.clone();
    read.sort_unstable();
    read.dedup();
    let columns: Vec<_> = places.iter().map(|place| read.partition_point(|other| other < place)).collect();
    let reader = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| unusable(&error))?;
    let mut rows_before = 0;
    for batch in reader {
        let batch = batch.and_then(|batch| batch.project(&columns)).map_err(|error| unusable(&error))?;
        let Fitted { rows, rejected } = fit(&batch, schema).map_err(|error| unusable(&error))?;
        gathered.add_rows(rows);
        for (row, reason) in rejected {
            gathered.reject(file, rows_before + row as u64 + 1, reason, b"");
        }
        rows_before += batch.num_rows() as u64;
    }
    Ok(())
}

/// Where a declared column is in the file: that of exactly its name, else that of its name in any case.
fn place(field: &Field, found: &Schema) -> Result<usize, String> {
    let name = field.name();
    let any_case = || found.fields().iter().position(|other| other.name().eq_ignore_ascii_case(name));
    let Some(place) = found.index_of(name).ok().or_else(any_case) else {
        let names: Vec<_> = found.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(format!("it has no column `{name}`; it has {}", names.join(", ")));
    };
    let (from, to) = (found.field(place).data_type(), field.data_type());
    // Arrow would cut off what is behind the point.
    if (from.is_floating() && to.is_integer()) || !can_cast_types(from, to) {
        return Err(format!("its column `{name}` is {from}, which does not become {to}: declare it as it is"));
    }
    Ok(place)
}

/// Rows in the declared types, and which of a batch could not be.
struct Fitted {
    rows: RecordBatch,
    rejected: Vec<(usize, String)>,
}

fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<Fitted, ArrowError> {
    let mut reasons: Vec<Option<String>> = vec![None; batch.num_rows()];
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        // What does not fit becomes null, and is found by that; within a nested value it could not be found.
        let options = CastOptions { safe: !field.data_type().is_nested(), ..CastOptions::default() };
        let cast = cast_with_options(column, field.data_type(), &options)?;
        if cast.logical_null_count() > column.logical_null_count() || !field.is_nullable() {
            for (row, reason) in reasons.iter_mut().enumerate().filter(|(_, reason)| reason.is_none()) {
                *reason = misfit(field, column, &cast, row)?;
            }
        }
        columns.push(cast);
    }
    let keep: BooleanArray = reasons.iter().map(|reason| Some(reason.is_none())).collect();
    if keep.false_count() > 0 {
        columns = columns.iter().map(|column| filter(column, &keep)).collect::<Result<_, _>>()?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(keep.true_count()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let rejected = reasons.into_iter().enumerate().filter_map(|(row, reason)| Some((row, reason?)));
    Ok(Fitted { rows, rejected: rejected.collect() })
}

/// Why a value is none of the column.
fn misfit(field: &Field, column: &ArrayRef, cast: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    let name = field.name();
    if cast.is_valid(row) {
        return Ok(None);
    }
    if column.is_null(row) {
        let reason = || format!("column `{name}`: is null, but the column is NOT NULL");
        return Ok((!field.is_nullable()).then(reason));
    }
    let (value, kind) = (array_value_to_string(column, row)?, field.data_type());
    Ok(Some(format!("column `{name}`: expected {kind}, found `{value}`")))
}
