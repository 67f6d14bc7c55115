//! `GET /api/v1/errors`: the newest rows of `error_stream`.

use arrow::array::RecordBatch;
use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use axum::Json;
use axum::extract::State;
use millstream_engine::ERROR_STREAM;
use serde::Serialize;
use serde_json::value::RawValue;

use super::params::{self, Params};
use super::{App, Problem};
use crate::{rows, tasks};

#[derive(Serialize)]
pub(super) struct Errors {
    errors: Box<RawValue>,
}

pub(super) async fn newest(State(app): State<App>, params: Params) -> Result<Json<Errors>, Problem> {
    params::only(&params, &["limit"])?;
    let limit = params::limit(&params, None)?;
    tasks::blocking(move || {
        let Some(table) = app.engine.table(ERROR_STREAM) else { return Err(Problem::not_found("no error_stream")) };
        let snapshot = table.snapshot().map_err(Problem::internal)?;
        let newest = newest_first(&snapshot.rows, limit).map_err(Problem::internal)?;
        Ok(Json(Errors { errors: rows::json_array(&newest)? }))
    })
    .await
}

/// The last rows, backwards.
fn newest_first(batches: &[RecordBatch], limit: usize) -> Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    let mut left = limit;
    let mut newest = Vec::new();
    for rows in batches.iter().rev() {
        let taken = rows.num_rows().min(left);
        if taken == 0 {
            break;
        }
        let backwards = (0..rows.num_rows() as u64).rev().take(taken);
        newest.push(take_record_batch(rows, &UInt64Array::from_iter_values(backwards))?);
        left -= taken;
    }
    Ok(newest)
}
