//! A Kinesis server that does what a test says: the embedded stream's API, with answers put in between.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_kinesis::primitives::event_stream::{Header, HeaderValue, Message};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use millstream_core::{BoxFuture, Clock, Duration, EventTime};
use millstream_local_kinesis::Store;
use serde_json::{Value, json};

const BODY_BYTES_MAX: usize = 16 << 20;

/// What the server does instead of, or before, answering as it would.
pub(super) enum Act {
    /// An HTTP status and an error's name, or none.
    Refuse(u16, &'static str),
    /// This reply.
    Reply(Value),
    /// A reply that breaks off.
    Tear,
    /// Something happens first; then it answers as it would.
    First(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>),
    /// The same, and then an error.
    FirstRefuse(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>, &'static str),
    /// A subscription with these events.
    Push(Vec<Pushed>),
}

/// A part of a subscription. One that has no more of them ends.
pub(super) enum Pushed {
    Event(Value),
    Exception(&'static str),
    /// Nothing more comes, and it does not end.
    Silence,
}

/// What a server is to do, and what it was asked.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    acts: VecDeque<(&'static str, Act)>,
    asked: Vec<(String, Value)>,
    shards_per_page: Option<u32>,
    without_children: bool,
}

impl Script {
    /// At the next call of an operation that nothing else is planned for.
    pub(super) fn then(&self, operation: &'static str, act: Act) -> &Self {
        self.0.lock().unwrap().acts.push_back((operation, act));
        self
    }

    /// Listings come in pages of this many shards.
    pub(super) fn page_shards(&self, shards: u32) {
        self.0.lock().unwrap().shards_per_page = Some(shards);
    }

    /// The ends of shards do not tell their children.
    pub(super) fn hide_children(&self) {
        self.0.lock().unwrap().without_children = true;
    }

    /// What was asked of an operation.
    pub(super) fn asked(&self, operation: &str) -> Vec<Value> {
        let parts = self.0.lock().unwrap();
        parts.asked.iter().filter(|(name, _)| name == operation).map(|(_, request)| request.clone()).collect()
    }

    /// Whether all that was planned has happened.
    pub(super) fn is_played(&self) -> bool {
        self.0.lock().unwrap().acts.is_empty()
    }
}

/// Starts the server; answers its address.
#[expect(clippy::disallowed_methods, reason = "a server of a test's own")]
pub(super) async fn serve(store: Store, script: &Script) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = millstream_local_kinesis::router(store).layer(from_fn_with_state(script.clone(), play));
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    address
}

async fn play(State(script): State<Script>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let target = parts.headers.get("x-amz-target").unwrap().to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let mut asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (act, without_children) = {
        let mut script = script.0.lock().unwrap();
        if let (Some(shards), "ListShards") = (script.shards_per_page, operation.as_str()) {
            asked["MaxResults"] = json!(shards);
        }
        script.asked.push((operation.clone(), asked.clone()));
        let place = script.acts.iter().position(|(name, _)| *name == operation);
        (place.and_then(|place| script.acts.remove(place)), script.without_children)
    };
    match act {
        Some((_, Act::Refuse(status, name))) => return refuse(status, name),
        Some((_, Act::Reply(reply))) => return reply_of(reply.to_string()),
        Some((_, Act::Tear)) => {
            let torn = futures::stream::iter([Ok("{\"Records\":["), Err(std::io::Error::other("torn"))]);
            return reply_of(Body::from_stream(torn));
        }
        Some((_, Act::First(first))) => first().await,
        Some((_, Act::FirstRefuse(first, name))) => {
            first().await;
            return refuse(400, name);
        }
        Some((_, Act::Push(pushed))) => return push(pushed),
        None => {}
    }
    let mut forwarded = Request::from_parts(parts, Body::from(asked.to_string()));
    forwarded.headers_mut().remove("content-length");
    let reply = next.run(forwarded).await;
    if !without_children || operation != "GetRecords" {
        return reply;
    }
    let (mut parts, body) = reply.into_parts();
    let mut reply: Value = serde_json::from_slice(&to_bytes(body, BODY_BYTES_MAX).await.unwrap()).unwrap();
    reply.as_object_mut().unwrap().remove("ChildShards");
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from(reply.to_string()))
}

fn reply_of(body: impl Into<Body>) -> Response {
    ([("content-type", "application/x-amz-json-1.1")], body.into()).into_response()
}

fn refuse(status: u16, name: &str) -> Response {
    let body =
        if name.is_empty() { String::new() } else { json!({ "__type": name, "message": "said so" }).to_string() };
    (StatusCode::from_u16(status).unwrap(), reply_of(body)).into_response()
}

fn push(pushed: Vec<Pushed>) -> Response {
    let frame = |kind: &'static str, name: &'static str, payload: &Value| {
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let kind_of_name = if kind == "exception" { ":exception-type" } else { ":event-type" };
        let message = Message::new(Bytes::from(payload.to_string()))
            .add_header(header(":message-type", kind))
            .add_header(header(kind_of_name, name))
            .add_header(header(":content-type", "application/json"));
        let mut bytes = Vec::new();
        aws_smithy_eventstream::frame::write_message_to(&message, &mut bytes).unwrap();
        Bytes::from(bytes)
    };
    let is_endless = matches!(pushed.last(), Some(Pushed::Silence));
    let mut frames = vec![frame("event", "initial-response", &json!({}))];
    frames.extend(pushed.into_iter().filter_map(|pushed| match pushed {
        Pushed::Event(event) => Some(frame("event", "SubscribeToShardEvent", &event)),
        Pushed::Exception(name) => Some(frame("exception", name, &json!({ "message": "said so" }))),
        Pushed::Silence => None,
    }));
    let frames = futures::stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>));
    let rest =
        if is_endless { futures::stream::pending().left_stream() } else { futures::stream::empty().right_stream() };
    ([("content-type", "application/vnd.amazon.eventstream")], Body::from_stream(frames.chain(rest))).into_response()
}

/// A clock that runs twenty times as fast as time does: what waits for half a minute does so for 1.5 s.
#[derive(Clone)]
pub(super) struct FastClock(Instant);

const FAST: u32 = 20;

impl FastClock {
    #[expect(clippy::disallowed_methods, reason = "a clock")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for FastClock {
    fn now(&self) -> EventTime {
        let passed = i64::try_from((self.0.elapsed() * FAST).as_millis()).unwrap();
        EventTime(super::tests::START + passed)
    }

    #[expect(clippy::disallowed_methods, reason = "a clock")]
    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(length.to_std() / FAST))
    }
}
