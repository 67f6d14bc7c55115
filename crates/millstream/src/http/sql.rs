//! `POST /api/v1/sql` and `…/check`: statements in, what they did out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::Extension;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use millstream_engine::{ClientRows, Outcome};
use millstream_sql::{ShowKind, parse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::json_response;
use super::{App, Problem, Role};
use crate::report::Report;
use crate::rows::{self, Column};
use crate::secrets::redact;
use crate::tasks;

/// Rows of one SELECT in one JSON answer; more come as NDJSON, which is not held in memory.
const JSON_ROWS_MAX: usize = 1_000_000;
const NDJSON: &str = "application/x-ndjson";
/// First words of statements that change nothing.
const READING: [&str; 7] = ["SELECT", "WITH", "VALUES", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    sql: String,
}

/// What a statement did.
#[derive(Default, Serialize)]
pub(super) struct Done {
    statement: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<String>,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Done>,
}

pub(super) async fn execute(
    State(app): State<App>,
    Extension(role): Extension<Role>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let sql = script(&headers, &body)?;
    let statements = parse(&sql)?;
    if statements.is_empty() {
        return Err(Problem::bad_request("no statement").hint("send SQL, as text/plain or as {\"sql\":\"…\"}"));
    }
    if !statements.iter().all(|statement| is_reading(&statement.text)) {
        role.require_admin("defining and dropping")?;
    }
    let (engine, is_alone) = (app.clone(), statements.len() == 1);
    if !is_alone {
        refuse_streams_among_others(&app, &sql)?;
    }
    let mut outcomes = tasks::blocking(move || Ok(engine.execute(sql)?)).await?;
    match outcomes.pop() {
        Some(Outcome::Stream { rows, .. }) if is_alone => return Ok(follow(app, rows)),
        Some(Outcome::Rows { schema, rows, statement }) if is_alone => {
            let form = accepted(&headers);
            return tasks::blocking(move || answer_rows(form, &statement, &schema, rows)).await;
        }
        Some(last) => outcomes.push(last),
        None => {}
    }
    tasks::blocking(move || {
        let results = outcomes.into_iter().map(|outcome| describe(&app, outcome)).collect::<Result<_, _>>()?;
        Ok(Json(Results { results }).into_response())
    })
    .await
}

pub(super) async fn check(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let sql = script(&headers, &body)?;
    tasks::blocking(move || Ok(Json(Report::from(app.engine.check(&sql))).into_response())).await
}

/// The text of the request: a member of JSON, or the body itself.
fn script(headers: &HeaderMap, body: &Bytes) -> Result<String, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/json") {
        let request: Result<Request, _> = serde_json::from_slice(body);
        let request = request.map_err(|error| {
            Problem::bad_request(format!("the body: {error}")).hint("send {\"sql\":\"…\"}, or the text as text/plain")
        });
        return request.map(|request| request.sql);
    }
    String::from_utf8(body.to_vec()).map_err(|error| Problem::bad_request(format!("the body is not UTF-8: {error}")))
}

fn is_reading(statement: &str) -> bool {
    let word: String = statement.trim_start_matches('(').chars().take_while(char::is_ascii_alphabetic).collect();
    READING.contains(&word.to_uppercase().as_str())
}

/// A SELECT over a stream never ends: no other statement's answer could follow it.
fn refuse_streams_among_others(app: &App, sql: &str) -> Result<(), Problem> {
    let report = app.engine.check(sql);
    let endless = report.statements.iter().find(|checked| checked.kind == "query" && checked.name.is_empty());
    match endless {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("a SELECT over a stream never ends and has to be the only statement")
            .hint("send it by itself, or CREATE MATERIALIZED VIEW … AS it")),
    }
}

/// The form of rows that the caller likes best among those there are.
fn accepted(headers: &HeaderMap) -> &'static str {
    const FORMS: [&str; 4] = ["application/json", NDJSON, "text/csv", "application/vnd.apache.arrow.stream"];
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut wanted: Vec<(&str, f32)> = (accept.split(','))
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
            (name, weight.unwrap_or(1.0))
        })
        .collect();
    wanted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let known = wanted.iter().filter(|(_, weight)| *weight > 0.0);
    let mut known = known.filter_map(|(name, _)| FORMS.into_iter().find(|form| form.eq_ignore_ascii_case(name)));
    known.next().unwrap_or(FORMS[0])
}

fn answer_rows(
    form: &'static str,
    statement: &str,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Response, Problem> {
    let headers = [(CONTENT_TYPE, form)];
    match form {
        NDJSON => {
            let pieces =
                batches.into_iter().map(|rows| rows::ndjson(&rows).map_err(|e| std::io::Error::other(e.to_string())));
            Ok((headers, Body::from_stream(stream::iter(pieces))).into_response())
        }
        "text/csv" => {
            let first = rows::csv(&RecordBatch::new_empty(Arc::clone(schema)), true)?;
            let rest = batches.iter().map(|rows| rows::csv(rows, false));
            let pieces = std::iter::once(Ok(first)).chain(rest).collect::<Result<Vec<_>, _>>()?;
            let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
            Ok((headers, Body::from_stream(pieces)).into_response())
        }
        "application/vnd.apache.arrow.stream" => Ok((headers, rows::arrow_stream(schema, &batches)?).into_response()),
        _ => {
            let results = vec![selected(statement, schema, &batches)?];
            let body = serde_json::to_vec(&Results { results }).map_err(Problem::internal)?;
            Ok(json_response(StatusCode::OK, body))
        }
    }
}

/// Rows of a SELECT over a stream, until the client leaves, LIMIT is reached or the service stops.
fn follow(app: App, rows: ClientRows) -> Response {
    let left = rows.limit.unwrap_or(u64::MAX);
    let pieces = stream::unfold((app, rows, left), |(app, mut rows, left)| async move {
        if left == 0 {
            return None;
        }
        let batch = tokio::select! {
            batch = rows.next() => batch?,
            () = app.stopped() => return None,
        };
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows());
        let piece = rows::ndjson(&batch.slice(0, taken)).map_err(|error| std::io::Error::other(error.to_string()));
        Some((piece, (app, rows, left - taken as u64)))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response()
}

pub(super) fn describe(app: &App, outcome: Outcome) -> Result<Done, Problem> {
    let done = |statement: String, kind, name| Done {
        statement: redact(&statement),
        kind,
        name: Some(name),
        ..Done::default()
    };
    Ok(match outcome {
        Outcome::Created { statement, kind, name } => done(statement, kind, name),
        Outcome::Dropped { statement, name, .. } => done(statement, "dropped", name),
        Outcome::Altered { statement, name } => done(statement, "query", name),
        Outcome::Set { statement, key, .. } => done(statement, "set", key),
        Outcome::Rows { statement, schema, rows } => selected(&statement, &schema, &rows)?,
        Outcome::Stream { statement, .. } => done(statement, "query", String::new()),
        Outcome::Explained { statement, text } => {
            let statement = redact(&statement);
            Done { statement, kind: "explain", explain: Some(text), ..Done::default() }
        }
        Outcome::Described { statement, name, columns } => {
            listed(statement, Some(name), ["column", "type", "remark"], &columns)?
        }
        Outcome::Listed { statement, what: ShowKind::Streams } => {
            let streams = app.store.describe_all();
            let rows: Vec<[String; 3]> = (streams.iter())
                .map(|info| [info.name.clone(), info.open_shards().count().to_string(), "ACTIVE".to_owned()])
                .collect();
            listed(statement, None, ["name", "shards", "status"], &rows)?
        }
        Outcome::Listed { statement, .. } => listed(statement, None, ["name", "kind", "remark"], &[])?,
    })
}

fn selected(statement: &str, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Done, Problem> {
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if count > JSON_ROWS_MAX {
        let detail = format!("the SELECT has {count} rows, a JSON answer holds at most {JSON_ROWS_MAX}");
        return Err(Problem::bad_request(detail).hint("add LIMIT, or ask with Accept: application/x-ndjson"));
    }
    let columns = Some(rows::columns(schema));
    let rows = Some(rows::json_array(batches)?);
    Ok(Done { statement: redact(statement), kind: "rows", columns, rows, ..Done::default() })
}

/// Rows of three texts.
fn listed(statement: String, name: Option<String>, titles: [&str; 3], listed: &[[String; 3]]) -> Result<Done, Problem> {
    let column = |name: &str| Column { name: name.to_owned(), sql_type: "STRING".to_owned() };
    let object = |values: &[String; 3]| -> serde_json::Map<String, serde_json::Value> {
        titles.iter().zip(values).map(|(title, value)| ((*title).to_owned(), value.as_str().into())).collect()
    };
    let objects: Vec<_> = listed.iter().map(object).collect();
    let rows = serde_json::value::to_raw_value(&objects).map_err(Problem::internal)?;
    let columns = Some(titles.map(column).into());
    Ok(Done { statement, kind: "rows", name, columns, rows: Some(rows), ..Done::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestService;

    const TABLE: &str = "CREATE TABLE t (id STRING, n INT) WITH ('connector' = 'stream', 'format' = 'json')";

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_come_in_the_form_that_is_asked_for() {
        let service = TestService::open();
        let sql = "SELECT 1 AS n, 'a' AS s";
        for (accept, content_type, body) in [
            (
                "*/*",
                "application/json",
                r#"{"results":[{"statement":"SELECT 1 AS n, 'a' AS s","kind":"rows","columns":[{"name":"n","type":"BIGINT"},{"name":"s","type":"STRING"}],"rows":[{"n":1,"s":"a"}]}]}"#,
            ),
            ("application/x-ndjson", "application/x-ndjson", "{\"n\":1,\"s\":\"a\"}\n"),
            ("application/json;q=0.5, text/csv", "text/csv", "n,s\n1,a\n"),
        ] {
            let answer = service.send("POST", "/api/v1/sql", &[("accept", accept)], sql).await;
            assert_eq!((answer.status, answer.content_type.as_str(), answer.body.as_str()), (200, content_type, body));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_select_over_a_stream_answers_lines_until_its_limit() {
        let service = TestService::open();
        service.ask("POST", "/api/v1/streams/t", "").await;
        service
            .ask("POST", "/api/v1/streams/t/records", r#"[{"id":"a","n":1},{"id":"b","n":2},{"id":"c","n":3}]"#)
            .await;
        assert_eq!(service.ask("POST", "/api/v1/sql", TABLE).await.status, 200);
        let answer = service.ask("POST", "/api/v1/sql", "SELECT id FROM t LIMIT 2").await;
        assert_eq!((answer.content_type.as_str(), answer.body.as_str()), (NDJSON, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n"));
        let answer = service.ask("POST", "/api/v1/sql", "SELECT id FROM t; SELECT 1 AS one").await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("has to be the only statement"), "{}", answer.body);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statements_take_effect_all_or_none_and_secrets_are_hidden() {
        let service = TestService::open();
        let answer =
            service.ask("POST", "/api/v1/sql", &format!("{TABLE}; CREATE VIEW v AS SELECT nothing FROM t")).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(service.ask("POST", "/api/v1/sql", &format!("{TABLE}; {TABLE}")).await.status, 409);
        let secret = "CREATE TABLE s (a INT) WITH ('connector' = 'print', 'password' = 'hunter2')";
        for path in ["/api/v1/sql", "/api/v1/sql/check"] {
            let answer = service.ask("POST", path, secret).await;
            assert!(!answer.body.contains("hunter2"), "{}", answer.body);
        }
        let body = format!(r#"{{"sql":"{TABLE}; CREATE VIEW v AS SELECT id FROM t; SHOW STREAMS"}}"#);
        let answer = service.send("POST", "/api/v1/sql", &[("content-type", "application/json")], &body).await;
        assert!(answer.body.contains(r#""kind":"view","name":"v""#), "{}", answer.body);
        let kept = service.app.kept_definitions().unwrap().1;
        assert!(kept.ends_with(&format!("{TABLE};\nCREATE VIEW v AS SELECT id FROM t;\n")), "{kept}");
    }
}
