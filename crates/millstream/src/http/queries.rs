//! Continuous queries: listing, pausing, resuming, dropping.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use millstream_core::{EventTime, ShardId};
use millstream_engine::{CheckpointInfo, MemoryInfo, QueryInfo, QueryState, ShardStats};
use millstream_sql::graph;
use serde::Serialize;

use super::{App, Problem};
use crate::secrets::redact;
use crate::tasks;

/// How much memory state takes, and may take.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "members are named as the API has them")]
struct Memory {
    used_bytes: u64,
    limit_bytes: u64,
    spilled_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct Queries {
    queries: Vec<Query>,
    memory: Memory,
}

/// A query as the API tells it.
#[derive(Serialize)]
pub(super) struct Query {
    name: String,
    state: &'static str,
    sql: String,
    target: Target,
    sources: Vec<String>,
    rows_in: u64,
    rows_out: u64,
    rows_per_second: f64,
    filtered: u64,
    late: u64,
    rejected: u64,
    watermark: Option<String>,
    open_windows: u64,
    groups: u64,
    /// Bytes of memory that its state takes.
    state_bytes: u64,
    /// What readers of the result are promised over restarts.
    delivery: &'static str,
    checkpoint: Option<Checkpoint>,
    shards: Vec<Shard>,
    error: Option<String>,
    started: String,
    graph: Graph,
}

/// The newest checkpoint.
#[derive(Serialize)]
struct Checkpoint {
    number: u64,
    taken_at: Option<String>,
    bytes_written: u64,
    state_bytes: u64,
    duration_ms: i64,
    pause_us: u64,
    /// Why the next one is not written, while that is being tried.
    failing: Option<String>,
    /// Checkpoints that could not be used at the start, and why.
    skipped: Vec<String>,
}

#[derive(Serialize)]
struct Target {
    kind: &'static str,
    name: String,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "members are named as the API has them")]
struct Shard {
    source: String,
    shard: String,
    state: &'static str,
    offset: Option<String>,
    watermark: Option<String>,
    lag_ms: u64,
    /// Whether event time of the query waits for this shard.
    holds_back: bool,
}

#[derive(Serialize)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    label: String,
    kind: &'static str,
}

pub(super) async fn list(State(app): State<App>) -> Json<Queries> {
    let queries = app.engine.queries();
    let MemoryInfo { limit, used, spilled } = app.engine.memory();
    let memory = Memory { used_bytes: used, limit_bytes: limit, spilled_bytes: spilled };
    Json(Queries { queries: queries.into_iter().map(|query| describe(&app, query)).collect(), memory })
}

pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Query>, Problem> {
    Ok(Json(describe(&app, find(&app, &name)?)))
}

pub(super) async fn pause(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Query>, Problem> {
    find(&app, &name)?;
    app.engine.pause(&name).await.map_err(|error| Problem::conflict(error.message))?;
    keep_definitions(&app).await?;
    one(State(app), Path(name)).await
}

pub(super) async fn resume(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Query>, Problem> {
    find(&app, &name)?;
    let (engine, resumed) = (app.engine.clone(), name.clone());
    tasks::blocking(move || engine.resume(&resumed).map_err(|error| Problem::conflict(error.message))).await?;
    keep_definitions(&app).await?;
    one(State(app), Path(name)).await
}

/// What is paused stays so over a restart.
async fn keep_definitions(app: &App) -> Result<(), Problem> {
    let app = app.clone();
    tasks::blocking(move || Ok(app.keep_definitions()?)).await
}

/// Stops a query and drops its table; nothing may read that.
pub(super) async fn drop(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    find(&app, &name)?;
    let statement = format!("DROP QUERY {}", quoted(&name));
    tasks::blocking(move || Ok(app.execute(statement).map(std::mem::drop)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find(app: &App, name: &str) -> Result<QueryInfo, Problem> {
    app.engine.query(name).ok_or_else(|| {
        let names: Vec<String> = app.engine.queries().into_iter().map(|query| query.name).collect();
        Problem::not_found(format!("there is no query `{name}`")).hint(format!("there are: {}", names.join(", ")))
    })
}

/// An identifier as it is, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn describe(app: &App, query: QueryInfo) -> Query {
    let stats = &query.stats;
    let error = match &query.state {
        QueryState::Failed(reason) => Some(reason.clone()),
        QueryState::Running | QueryState::Paused | QueryState::Finished => None,
    };
    let target = match query.sink {
        Some(name) => Target { kind: "sink", name },
        None if app.engine.table(&query.name).is_some() => Target { kind: "table", name: query.name.clone() },
        None => Target { kind: "client", name: query.name.clone() },
    };
    let drawn = graph(&query.pipeline, &target.name);
    let node = |node: millstream_sql::Node| Node { id: node.id, label: node.label, kind: node.kind };
    Query {
        state: query.state.word(),
        sql: redact(&query.sql),
        target,
        rows_in: stats.rows_in.get(),
        rows_out: stats.rows_out.get(),
        rows_per_second: app.rates.per_second(&query.name),
        filtered: stats.filtered.get(),
        late: stats.late.get(),
        rejected: stats.rejected.get(),
        watermark: shown(stats.watermark()),
        open_windows: stats.open_windows.get(),
        groups: stats.groups.get(),
        state_bytes: stats.state_bytes.get(),
        delivery: query.delivery.word(),
        checkpoint: Some(stats.checkpoints.newest()).filter(|newest| newest.number > 0).map(checkpoint),
        shards: stats.shards().into_iter().map(shard).collect(),
        error,
        started: query.started.to_string(),
        graph: Graph { nodes: drawn.nodes.into_iter().map(node).collect(), edges: drawn.edges },
        name: query.name,
        sources: query.sources,
    }
}

fn checkpoint(newest: CheckpointInfo) -> Checkpoint {
    Checkpoint {
        number: newest.number,
        taken_at: newest.taken_at.map(|at| at.to_string()),
        bytes_written: newest.bytes,
        state_bytes: newest.state_bytes,
        duration_ms: newest.duration_ms,
        pause_us: newest.pause_us,
        failing: newest.failing,
        skipped: newest.skipped,
    }
}

fn shard((source, shard, stats): (String, ShardId, ShardStats)) -> Shard {
    Shard {
        source,
        shard: shard.to_string(),
        state: stats.state.word(),
        offset: stats.offset.map(|offset| offset.sequence().to_owned()),
        watermark: shown(stats.watermark),
        lag_ms: stats.lag_ms,
        holds_back: stats.holds_back,
    }
}

/// A watermark as a value: none before the first row and after the end of the input.
pub(super) fn shown(watermark: EventTime) -> Option<String> {
    (watermark != EventTime::MIN && watermark != EventTime::MAX).then(|| watermark.to_string())
}
