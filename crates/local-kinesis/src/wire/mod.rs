//! The Kinesis API: `POST /` with `X-Amz-Target: Kinesis_20131202.<Operation>`, in JSON 1.1 or CBOR.
//!
//! One file holds one operation, or those that are each other's mirror: its request, its reply and what it does;
//! `operations` is the table of them. Names, limits and error shapes are AWS's.

#![expect(clippy::struct_field_names, reason = "members are named as the protocol has them")]

mod absent;
mod account;
mod arguments;
mod arn;
mod consumers;
mod create_stream;
mod delete_stream;
mod describe_stream;
mod encryption;
mod error;
mod event_stream;
mod format;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod monitoring;
mod operations;
mod position;
mod put_records;
mod quotas;
mod record_distribution;
mod record_size;
mod request_id;
mod reshard;
mod resource_policy;
mod resource_tags;
mod retention;
mod scalars;
mod settings;
mod shapes;
mod signature;
mod stream_mode;
mod subscribe_to_shard;
mod subscriptions;
mod tags;
mod token;
mod update_shard_count;
mod warm_throughput;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use crate::limits::BODY_BYTES_MAX;
use crate::{Store, StreamInfo};
use error::ApiError;
use format::Format;
use operations::{Answer, Call, OPERATIONS, Operation};
use quotas::{Quotas, Status};
use request_id::RequestIds;
use subscriptions::Subscriptions;

pub use settings::{AccessKey, Admitted, ApiSettings, Sleep};

const TARGET_PREFIX: &str = "Kinesis_20131202.";

/// The Kinesis API on the streams of a store, to be merged into the server's routes. Serve it over HTTP/1.1 and HTTP/2
/// in clear text: some SDKs speak the latter without asking.
pub fn router(store: Store) -> Router {
    router_with(store, ApiSettings::default())
}

/// The same, with other settings.
pub fn router_with(store: Store, settings: ApiSettings) -> Router {
    let ids = RequestIds::new(store.now_ms());
    let quotas = Quotas::new(settings.enforce_limits);
    let api = Api { store, ids, quotas, subscriptions: Subscriptions::default(), settings };
    Router::new().route("/", post(answer)).with_state(Arc::new(api))
}

/// The names of all operations that are answered, in order.
pub fn operation_names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

/// What operations share.
struct Api {
    store: Store,
    ids: RequestIds,
    quotas: Quotas,
    subscriptions: Subscriptions,
    settings: ApiSettings,
}

impl Api {
    fn status(&self, info: &StreamInfo) -> Status {
        self.quotas.status(info, self.store.now_ms())
    }

    /// One call of an operation that AWS counts for each stream.
    fn take_per_second(&self, operation: &'static str, stream: &str, per_second: u32) -> Result<(), ApiError> {
        let Some(info) = self.store.describe(stream) else { return Ok(()) };
        self.quotas.take_stream(operation, &info, per_second, self.store.now_ms())
    }

    /// One of the changes that a stream may have in 24 hours.
    fn take_per_day(&self, operation: &'static str, stream: &str, per_day: usize) -> Result<(), ApiError> {
        let Some(info) = self.store.describe(stream) else { return Ok(()) };
        self.quotas.take_day(operation, &info, per_day, self.store.now_ms())
    }

    /// Tells that a stream was changed in a way that takes time on AWS.
    fn changed(&self, stream: &str) {
        if let Some(info) = self.store.describe(stream) {
            self.quotas.changed(&info, self.store.now_ms());
        }
    }
}

/// A reply without members.
#[derive(Serialize)]
struct Nothing {}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (format, answered) = match Format::of_content_type(header(&head, CONTENT_TYPE.as_str())) {
        Err(error) => (Format::Json, Err(error)),
        Ok(format) => (format, call(&api, &head, format, body).await),
    };
    let mut response = match answered {
        Ok(answer) => {
            let mut response = Response::new(answer.body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
            response
        }
        Err(error) => error.into_response(format),
    };
    response.headers_mut().insert("x-amzn-requestid", api.ids.next());
    response
}

async fn call(api: &Arc<Api>, head: &Parts, format: Format, body: Body) -> Result<Answer, ApiError> {
    let operation = operation(header(head, "x-amz-target"))?;
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|_| ApiError::too_large(format!("the request has more than {BODY_BYTES_MAX} bytes")))?;
    let (keys, now_ms) = (&api.settings.keys, api.store.now_ms());
    if !keys.is_empty() && head.extensions.get::<Admitted>().is_none() {
        signature::verify(keys, head, &body, now_ms)?;
    }
    api.quotas.take_operation(operation, now_ms)?;
    operation.answer(Call { api: Arc::clone(api), format, body }).await
}

fn operation(target: &str) -> Result<&'static Operation, ApiError> {
    let name = target.strip_prefix(TARGET_PREFIX);
    name.and_then(Operation::named).ok_or_else(|| ApiError::unknown_operation(name.unwrap_or(target)))
}

/// A header's text; nothing where it is missing.
fn header<'a>(head: &'a Parts, name: &str) -> &'a str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl ApiError {
    fn into_response(self, format: Format) -> Response {
        #[derive(Serialize)]
        struct Shape<'a> {
            __type: &'a str,
            message: &'a str,
        }
        let body = format.write(&Shape { __type: self.name, message: &self.message }).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.name));
        response
    }
}
