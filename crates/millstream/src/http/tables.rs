//! Live tables: what there is, their rows filtered and ordered, and one row by its key.

use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use millstream_engine::{ERROR_STREAM, LiveTable};
use millstream_sql::WINDOW_COLUMNS;
use serde::Serialize;
use serde_json::value::RawValue;

use super::params::{self, Params};
use super::problem::json_response;
use super::{App, Problem};
use crate::rows::{self, Column};
use crate::select::{Order, ordered, page, parse_order, where_equal};
use crate::tasks;

#[derive(Serialize)]
pub(super) struct Tables {
    tables: Vec<Table>,
}

#[derive(Serialize)]
pub(super) struct Table {
    name: String,
    columns: Vec<Column>,
    key: Vec<String>,
    rows: usize,
    query: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Rows {
    rows: Box<RawValue>,
    total: usize,
}

pub(super) async fn list(State(app): State<App>) -> Json<Tables> {
    Json(Tables { tables: app.engine.tables().iter().map(|table| describe(table)).collect() })
}

pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Table>, Problem> {
    Ok(Json(describe(&*find(&app, &name)?)))
}

pub(super) async fn rows(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Rows>, Problem> {
    let table = find(&app, &name)?;
    let limit = params::limit(&params, None)?;
    let offset = params::parse(&params, "offset", "a number")?.unwrap_or(0);
    let schema = table.schema();
    let order: Vec<Order> = match params.iter().find(|(name, _)| name == "order") {
        Some((_, text)) => parse_order(schema, text)?,
        None => Vec::new(),
    };
    let mut known = vec!["limit", "offset", "order"];
    known.extend(schema.fields().iter().map(|field| field.name().as_str()));
    params::only(&params, &known)?;
    let filters: Vec<(usize, String)> = (params.0.iter())
        .filter(|(name, _)| !["limit", "offset", "order"].contains(&name.as_str()))
        .filter_map(|(name, value)| Some((schema.index_of(name).ok()?, value.clone())))
        .collect();
    tasks::blocking(move || {
        let snapshot = table.snapshot().map_err(Problem::internal)?;
        let found = where_equal(table.schema(), snapshot.rows, &filters)?;
        let total = found.iter().map(RecordBatch::num_rows).sum();
        let found = ordered(table.schema(), found, &order)?;
        Ok(Json(Rows { rows: rows::json_array(&page(&found, offset, limit))?, total }))
    })
    .await
}

/// The row with this key; of a windowed table, without its window columns, that of the newest window.
pub(super) async fn row(
    State(app): State<App>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let table = find(&app, &name)?;
    let filters = key_filters(&table, &key)?;
    tasks::blocking(move || {
        let snapshot = table.snapshot().map_err(Problem::internal)?;
        let found = where_equal(table.schema(), snapshot.rows, &filters)?;
        // Windows come in order of their ends: the last one is the newest.
        let Some(newest) = found.last() else {
            return Err(Problem::not_found(format!("`{}` has no row with the key `{key}`", table.name())));
        };
        let mut row = Vec::new();
        rows::push_elements(&newest.slice(newest.num_rows() - 1, 1), &mut row)?;
        Ok(json_response(StatusCode::OK, row))
    })
    .await
}

fn key_filters(table: &LiveTable, key: &str) -> Result<Vec<(usize, String)>, Problem> {
    let name_of = |column: &usize| table.schema().field(*column).name().as_str();
    let whole = table.key();
    let within_window: Vec<usize> =
        whole.iter().copied().filter(|column| !WINDOW_COLUMNS.contains(&name_of(column))).collect();
    if whole.is_empty() {
        let detail = format!("the rows of `{}` have no key", table.name());
        return Err(Problem::not_found(detail).hint("filter them: …/rows?column=value"));
    }
    let values: Vec<&str> = key.split(',').collect();
    let columns = [whole, &within_window].into_iter().find(|columns| columns.len() == values.len());
    match columns {
        Some(columns) => Ok(columns.iter().copied().zip(values.into_iter().map(ToOwned::to_owned)).collect()),
        // A comma in the value of the only column.
        None if whole.len() == 1 => Ok(vec![(whole[0], key.to_owned())]),
        None if within_window.len() == 1 => Ok(vec![(within_window[0], key.to_owned())]),
        None => {
            let names: Vec<&str> = whole.iter().map(name_of).collect();
            let detail = format!("{} values given; the key of `{}` is {}", values.len(), table.name(), names.join(","));
            Err(Problem::bad_request(detail).hint("give the values in this order, separated by commas"))
        }
    }
}

pub(super) fn find(app: &App, name: &str) -> Result<Arc<LiveTable>, Problem> {
    app.engine.table(name).ok_or_else(|| {
        let tables = app.engine.tables();
        let names: Vec<&str> = tables.iter().map(|table| table.name()).collect();
        Problem::not_found(format!("there is no table `{name}`")).hint(format!("there are: {}", names.join(", ")))
    })
}

fn describe(table: &LiveTable) -> Table {
    let schema = table.schema();
    Table {
        name: table.name().to_owned(),
        columns: rows::columns(schema),
        key: table.key().iter().map(|column| schema.field(*column).name().clone()).collect(),
        rows: table.row_count(),
        query: Some(table.name()).filter(|name| *name != ERROR_STREAM).map(ToOwned::to_owned),
    }
}
