//! The Kinesis API: `POST /` with `X-Amz-Target: Kinesis_20131202.<Operation>`, JSON 1.1.
//!
//! One file holds one operation, or those that are each other's mirror: its request, its reply and what it does.
//! Names, limits and error shapes are AWS's. Signatures are not checked, CBOR and fan-out are not spoken.

#![expect(clippy::struct_field_names, reason = "members are named as the protocol has them")]

mod arguments;
mod create_stream;
mod delete_stream;
mod describe_stream;
mod error;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod put_records;
mod request_id;
mod reshard;
mod retention;
mod shapes;
mod tags;
mod token;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Store;
use crate::limits::BODY_BYTES_MAX;
use error::ApiError;
use request_id::RequestIds;

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const TARGET_PREFIX: &str = "Kinesis_20131202.";

/// The Kinesis API on the streams of a store, to be merged into the server's routes. Serve it over HTTP/1.1 and HTTP/2
/// in clear text: some SDKs speak the latter without asking.
pub fn router(store: Store) -> Router {
    let ids = RequestIds::new(store.now_ms());
    Router::new().route("/", post(answer)).with_state(Arc::new(Api { store, ids }))
}

struct Api {
    store: Store,
    ids: RequestIds,
}

/// A reply without members.
#[derive(Serialize)]
struct Nothing {}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = match operation(&head.headers) {
        Err(error) => Err(error),
        Ok(operation) => match to_bytes(body, BODY_BYTES_MAX).await {
            Err(_) => Err(ApiError::too_large(format!("the request has more than {BODY_BYTES_MAX} bytes"))),
            Ok(body) => call(&api.store, operation, &body).await,
        },
    };
    let mut response = match answered {
        Ok(body) => Response::new(Body::from(body)),
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert("x-amzn-requestid", api.ids.next());
    response
}

/// What is asked for, if it is asked for in JSON.
fn operation(headers: &HeaderMap) -> Result<&str, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim() {
        JSON | "application/json" => {}
        CBOR => {
            let remedy = "switch it off (AWS_CBOR_DISABLE=true, aws.cborEnabled=false)";
            return Err(ApiError::media_type(format!("CBOR is not spoken here yet: {remedy} or send {JSON}")));
        }
        other => return Err(ApiError::media_type(format!("the content type is `{other}`: send {JSON}"))),
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix(TARGET_PREFIX));
    operation.ok_or_else(|| ApiError::unknown_operation(target.unwrap_or_default()))
}

/// The table of operations.
async fn call(store: &Store, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        "AddTagsToStream" => run(body, |request| tags::add(store, request)).await,
        "CreateStream" => run(body, |request| create_stream::create(store, request)).await,
        "DecreaseStreamRetentionPeriod" => run(body, |request| retention::decrease(store, request)).await,
        "DeleteStream" => run(body, |request| delete_stream::delete(store, request)).await,
        "DescribeStream" => run(body, async |request| describe_stream::describe(store, &request)).await,
        "DescribeStreamSummary" => run(body, async |request| describe_stream::summarize(store, &request)).await,
        "GetRecords" => get_records::get(store.clone(), arguments::parse(body)?).await,
        "GetShardIterator" => run(body, async |request| get_shard_iterator::get(store, &request)).await,
        "IncreaseStreamRetentionPeriod" => run(body, |request| retention::increase(store, request)).await,
        "ListShards" => run(body, async |request| list_shards::list(store, request)).await,
        "ListStreams" => run(body, async |request| list_streams::list(store, &request)).await,
        "ListTagsForStream" => run(body, async |request| tags::list(store, request)).await,
        "MergeShards" => run(body, |request| reshard::merge(store, request)).await,
        "PutRecord" => run(body, |request| put_records::put_one(store, request)).await,
        "PutRecords" => run(body, |request| put_records::put_all(store, request)).await,
        "RemoveTagsFromStream" => run(body, |request| tags::remove(store, request)).await,
        "SplitShard" => run(body, |request| reshard::split(store, request)).await,
        other => Err(ApiError::unknown_operation(other)),
    }
}

async fn run<Request, Reply, Running>(body: &[u8], work: impl FnOnce(Request) -> Running) -> Result<Vec<u8>, ApiError>
where
    Request: DeserializeOwned,
    Reply: Serialize,
    Running: Future<Output = Result<Reply, ApiError>>,
{
    encode(&work(arguments::parse(body)?).await?)
}

fn encode(reply: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(reply).map_err(|error| ApiError::internal(format!("the reply could not be written: {error}")))
}

impl ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Shape<'a> {
            __type: &'a str,
            message: &'a str,
        }
        let body = encode(&Shape { __type: self.name, message: &self.message }).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.name));
        response
    }
}
