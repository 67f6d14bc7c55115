//! `/health` and `/ready`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use millstream_engine::QueryState;
use serde_json::{Value, json};

use super::{App, Problem};

/// The process runs.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// All queries run, records can be stored, and the service is not stopping.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let not_ready = |detail: String| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", detail));
    if app.is_stopping() {
        return not_ready("the service is stopping".to_owned());
    }
    if let Err(error) = app.store.check().await {
        return not_ready(error.to_string());
    }
    let queries = app.engine.queries();
    let failed: Vec<String> = (queries.iter())
        .filter_map(|query| match &query.state {
            QueryState::Failed(reason) => Some(format!("`{}` failed: {reason}", query.name)),
            QueryState::Running | QueryState::Paused | QueryState::Finished => None,
        })
        .collect();
    if !failed.is_empty() {
        return not_ready(failed.join("; "));
    }
    Ok(Json(json!({ "status": "ready", "queries": queries.len() })))
}
