//! The embedded streams: listing, creating, describing, deleting.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use millstream_local_kinesis::{NewStream, StreamInfo};
use millstream_sql::Relation;
use serde::{Deserialize, Serialize};

use super::{App, Problem};
use crate::tasks;

#[derive(Serialize)]
pub(super) struct Streams {
    streams: Vec<Stream>,
}

#[derive(Serialize)]
pub(super) struct Stream {
    name: String,
    /// Those that take records.
    shards: usize,
    status: &'static str,
    retention_hours: u32,
}

#[derive(Serialize)]
pub(super) struct StreamWithShards {
    #[serde(flatten)]
    stream: Stream,
    shard_list: Vec<Shard>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "members are named as the API has them")]
struct Shard {
    shard: String,
    records: u64,
    first: Option<String>,
    last: Option<String>,
    open: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    #[serde(default = "one_shard")]
    shards: u32,
}

fn one_shard() -> u32 {
    1
}

pub(super) async fn list(State(app): State<App>) -> Json<Streams> {
    Json(Streams { streams: app.store.describe_all().iter().map(|info| describe(info)).collect() })
}

pub(super) async fn create(
    State(app): State<App>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Stream>), Problem> {
    let text: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
    let wanted: Create = serde_json::from_slice(text)
        .map_err(|error| Problem::bad_request(format!("the body: {error}")).hint("send {\"shards\":2}"))?;
    let info = app.store.create_stream(NewStream::new(name, wanted.shards)).await?;
    Ok((StatusCode::CREATED, Json(describe(&info))))
}

pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<StreamWithShards>, Problem> {
    let info = app.store.describe(&name).ok_or_else(|| no_stream(&name))?;
    tasks::blocking(move || {
        let mut shard_list = Vec::with_capacity(info.shards.len());
        for shard in &info.shards {
            let extent = app.store.extent(&name, shard.id)?;
            shard_list.push(Shard {
                shard: shard.id.to_string(),
                records: extent.records,
                first: extent.first.map(|number| number.to_string()),
                last: extent.last.map(|number| number.to_string()),
                open: shard.is_open(),
            });
        }
        Ok(Json(StreamWithShards { stream: describe(&info), shard_list }))
    })
    .await
}

/// Deletes a stream with its records, unless a query reads it.
pub(super) async fn drop(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let readers = readers_of(&app, &name);
    if !readers.is_empty() {
        let detail = format!("stream {name} is read by {}", readers.join(", "));
        return Err(Problem::conflict(detail).hint("drop those queries first"));
    }
    app.store.delete_stream(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn no_stream(name: &str) -> Problem {
    Problem::not_found(format!("stream {name} does not exist")).hint(format!("POST /api/v1/streams/{name} creates it"))
}

/// The queries whose source tables are on this stream.
fn readers_of(app: &App, stream: &str) -> Vec<String> {
    let catalog = app.engine.catalog();
    let is_on = |table: &String| match catalog.get(table) {
        Some(Relation::Table(table)) => {
            let options = &table.decl.options;
            let connector = options.get("connector").unwrap_or_default();
            let named = options.get("stream").unwrap_or(&table.decl.name);
            matches!(connector, "stream" | "kinesis") && named == stream
        }
        _ => false,
    };
    let queries = app.engine.queries().into_iter();
    queries.filter(|query| query.sources.iter().any(is_on)).map(|query| query.name).collect()
}

fn describe(info: &StreamInfo) -> Stream {
    Stream {
        name: info.name.clone(),
        shards: info.open_shards().count(),
        status: "ACTIVE",
        retention_hours: info.retention_hours,
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestService;

    #[tokio::test(flavor = "multi_thread")]
    async fn streams_come_and_go() {
        let service = TestService::open();
        let stream = r#"{"name":"orders","shards":2,"status":"ACTIVE","retention_hours":24}"#;
        let empty = r#""records":0,"first":null,"last":null,"open":true"#;
        let shards = format!(
            r#""shard_list":[{{"shard":"shardId-000000000000",{empty}}},{{"shard":"shardId-000000000001",{empty}}}]"#
        );
        let listed = format!(r#"{{"streams":[{stream}]}}"#);
        let whole = format!("{},{shards}}}", stream.trim_end_matches('}'));
        for (method, path, body, status, expected) in [
            ("GET", "/api/v1/streams", "", 200, r#"{"streams":[]}"#),
            ("POST", "/api/v1/streams/orders", r#"{"shards":2}"#, 201, stream),
            ("GET", "/api/v1/streams", "", 200, &listed),
            ("GET", "/api/v1/streams/orders", "", 200, &whole),
            ("GET", "/api/v1/streams/orders/sample", "", 200, r#"{"records":[]}"#),
            ("DELETE", "/api/v1/streams/orders", "", 204, ""),
            ("GET", "/api/v1/streams", "", 200, r#"{"streams":[]}"#),
        ] {
            let answer = service.ask(method, path, body).await;
            assert_eq!((answer.status, answer.body.as_str()), (status, expected), "{method} {path}");
        }
        service.ask("POST", "/api/v1/streams/a", "").await;
        for (path, body, status) in [
            ("/api/v1/streams/a", "", 409),
            ("/api/v1/streams/b", r#"{"shards":0}"#, 400),
            ("/api/v1/streams/b", r#"{"shard":1}"#, 400),
            ("/api/v1/streams/b", "[", 400),
        ] {
            assert_eq!(service.ask("POST", path, body).await.status, status, "{path} {body}");
        }
    }
}
