//! Errors as every route answers them: `application/problem+json`.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millstream_local_kinesis::{ControlError, PutError, ReadError, StorageError};
use millstream_sql::{Code, Position, SqlError};
use serde::Serialize;

use crate::service::ExecuteError;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// More of a plain-text error is not taken over.
const DETAIL_BYTES_MAX: usize = 4096;

/// A request that was not carried out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    title: &'static str,
    detail: String,
    code: Option<Code>,
    at: Option<Position>,
    hint: Option<String>,
    /// Boxed: few have it, and every handler's answer would be larger for it.
    more: Option<Box<More>>,
}

/// What is told of a description that does not become a script, or of the script that it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct More {
    /// All that is wrong, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Part>,
    /// What `line` and `column` are of, where the request itself was no script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
}

/// One of several things that are wrong with a request, and where in its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) path: String,
    pub(crate) detail: String,
}

/// Its form on the wire; also an element of `errors` in the answer of a check.
#[derive(Serialize)]
pub(crate) struct Shape {
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(flatten)]
    more: Option<Box<More>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), code: None, at: None, hint: None, more: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request refused", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", detail)
    }

    /// Something that must not happen did: it is logged too.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", error.to_string())
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn more(mut self, more: More) -> Self {
        self.more = Some(Box::new(more));
        self
    }

    pub(crate) fn line(mut self, line: u64, column: u64) -> Self {
        self.at = Some(Position { line, column });
        self
    }

    pub(crate) fn shape(self) -> Shape {
        Shape {
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.map(|code| format!("{code:?}")),
            line: self.at.map(|at| at.line),
            column: self.at.map(|at| at.column),
            hint: self.hint,
            more: self.more,
        }
    }
}

impl std::error::Error for Problem {}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        // The planner's errors have no kinds; these two are its words for names that are taken and in use.
        let is_conflict = error.message.ends_with(" exists already") || error.message.contains("` is read by ");
        let status = if is_conflict { StatusCode::CONFLICT } else { StatusCode::BAD_REQUEST };
        Self {
            status,
            title: if error.code.is_some() { "Query refused" } else { "Statement refused" },
            detail: error.message,
            code: error.code,
            at: error.at,
            hint: error.hint,
            more: None,
        }
    }
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refused) => refused.error.into(),
            ExecuteError::NoStream(_) => Self::internal(error).hint("see the log for what the embedded stream says"),
            ExecuteError::NotKept(_) => Self::internal(error).hint("free space in the data folder and run it again"),
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoStream(_) | ControlError::NoShard { .. } | ControlError::NoConsumer { .. } => {
                Self::not_found(error.to_string())
            }
            ControlError::Exists(_) | ControlError::ShardClosed { .. } | ControlError::ConsumerExists { .. } => {
                Self::conflict(error.to_string())
            }
            ControlError::Limit { .. } | ControlError::Invalid(_) | ControlError::Mode(_) => {
                Self::bad_request(error.to_string())
            }
            ControlError::Storage(error) => Self::internal(error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoStream(_) | ReadError::NoShard { .. } => Self::not_found(error.to_string()),
            ReadError::ForeignPosition { .. } | ReadError::UnknownPosition { .. } | ReadError::Expired { .. } => {
                Self::bad_request(error.to_string())
            }
            ReadError::Storage(error) => Self::internal(error),
        }
    }
}

impl From<PutError> for Problem {
    fn from(error: PutError) -> Self {
        let detail = error.to_string();
        match error {
            PutError::NoStream(name) => Self::not_found(detail).hint(format!("POST /api/v1/streams/{name} creates it")),
            PutError::RecordTooLarge { .. } | PutError::TooMuch { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail)
            }
            PutError::PartitionKey { .. } | PutError::Writer { .. } => Self::bad_request(detail),
            PutError::Storage(StorageError::Full { .. }) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "No room", detail)
            }
            PutError::Storage(error) => Self::internal(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let body = serde_json::to_vec(&self.shape()).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The answer where there is no route.
pub(super) async fn no_route(method: Method, uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {method} {}", uri.path())).hint("GET /openapi.json lists the routes")
}

/// Makes problems of the errors that are not ours: wrong methods, paths and bodies the router refuses.
pub(super) async fn normalize(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_plain = content_type.is_empty() || content_type.starts_with("text/plain");
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(ALLOW).cloned();
    let text = to_bytes(response.into_body(), DETAIL_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let methods = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or_default();
    let problem = match status {
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(status, "Method not allowed", format!("there is no {asked}"))
            .hint(format!("allowed: {methods}")),
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body has more than {} bytes", super::BODY_BYTES_MAX);
            Problem::new(status, "Too large", detail).hint("send it in parts")
        }
        _ => Problem::new(status, "Request refused", if text.is_empty() { asked } else { text }),
    };
    let mut response = problem.into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// JSON with its content type, for answers that are put together by hand.
pub(super) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Answer, TestService};

    #[test]
    fn an_error_of_sql_becomes_a_problem_with_its_place() {
        let error = SqlError::coded(Code::E01, "no window", "add one").at(Some(Position { line: 3, column: 1 }));
        let problem = Problem::from(error);
        assert_eq!(
            serde_json::to_string(&problem.shape()).unwrap(),
            r#"{"title":"Query refused","status":400,"detail":"no window","code":"E01","line":3,"column":1,"hint":"add one"}"#
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_refusal_is_a_problem() {
        let service = TestService::open();
        let oversized = " ".repeat(super::super::BODY_BYTES_MAX + 1);
        for (method, path, body, status, detail) in [
            ("GET", "/nowhere", "", 404, "there is no GET /nowhere"),
            ("GET", "/api/v1/nowhere", "", 404, "there is no GET /api/v1/nowhere"),
            ("PUT", "/api/v1/tables", "", 405, "there is no PUT /api/v1/tables"),
            ("GET", "/api/v1/tables/none", "", 404, "there is no table `none`"),
            ("GET", "/api/v1/tables/%FF", "", 400, "Invalid UTF-8"),
            ("GET", "/api/v1/queries/none", "", 404, "there is no query `none`"),
            ("DELETE", "/api/v1/queries/none", "", 404, "there is no query `none`"),
            ("POST", "/api/v1/queries/none/pause", "", 404, "there is no query `none`"),
            ("GET", "/api/v1/streams/none", "", 404, "stream none does not exist"),
            ("GET", "/api/v1/errors?limit=x", "", 400, "`limit`: `x` given, expected a number"),
            ("GET", "/api/v1/errors?limt=1", "", 400, "the parameter `limt` is unknown"),
            ("POST", "/api/v1/streams/a%20b", "", 400, "cannot name a stream"),
            ("POST", "/api/v1/sql", "", 400, "no statement"),
            ("POST", "/api/v1/sql", "SELEC 1", 400, "a statement cannot start with SELEC"),
            ("POST", "/api/v1/sql", &oversized, 413, "the body has more than 16777216 bytes"),
        ] {
            let Answer { status: answered, content_type, body, .. } = service.ask(method, path, body).await;
            let shown = format!("{method} {path}: {answered} {body}");
            assert_eq!((answered, content_type.as_str()), (status, "application/problem+json"), "{shown}");
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status, "{shown}");
            assert!(problem["detail"].as_str().unwrap().contains(detail), "{shown}");
        }
    }
}
