//! The proxy itself: takes connections, and lets calls go wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::broken::{BoxError, CutBody, ReplyBody, Reset};
use crate::fault::{Dice, Fault, Faults};
use crate::forward::Server;
use crate::partial;

/// How late a slow reply is.
const SLOW: Duration = Duration::from_millis(700);
/// A reply of unknown length is cut before this many bytes.
const CUT_BYTES_MAX: usize = 20_000;

/// A running proxy; it ends with the value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: Server,
    dice: Mutex<Dice>,
    injected: Mutex<BTreeMap<Fault, u64>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 (or on `port`), in front of `authority`, such as `127.0.0.1:4567`.
    pub async fn start(authority: &str, port: u16, faults: Faults) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: Server::at(authority),
            dice: Mutex::new(Dice::new(faults)),
            injected: Mutex::default(),
        });
        let accepting = spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set_probability(&self, probability: f64) {
        self.shared.dice.lock().unwrap_or_else(PoisonError::into_inner).set_probability(probability);
    }

    /// How often each fault has happened.
    pub fn injected(&self) -> BTreeMap<Fault, u64> {
        self.shared.injected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs until it is killed.
    pub async fn run(mut self) {
        // It ends when the runtime does.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            // What breaks here breaks on purpose, or because the client has left.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<ReplyBody>, BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let fault = shared.dice.lock().unwrap_or_else(PoisonError::into_inner).roll(operation);
    if let Some(fault) = fault {
        *shared.injected.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }
    let call = shared.server.call(&head, body.clone());
    match fault {
        None => call.await,
        Some(Fault::Throttled) => Ok(error(400, "ProvisionedThroughputExceededException", "Rate exceeded for shard.")),
        Some(Fault::Internal) => Ok(error(500, "InternalFailureException", "Something went wrong.")),
        Some(Fault::Unavailable) => {
            let mut reply = Response::new(whole(Bytes::new()));
            *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(reply)
        }
        Some(Fault::ExpiredIterator) => Ok(error(400, "ExpiredIteratorException", "Iterator expired.")),
        Some(Fault::ResetBefore) => Err(Reset.into()),
        Some(Fault::ResetAfter) => {
            call.await?.into_body().collect().await?;
            Err(Reset.into())
        }
        Some(Fault::Slow) => {
            wait(SLOW).await;
            call.await
        }
        Some(Fault::Cut) => {
            let reply = call.await?;
            let bytes_max = reply.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
            let bytes_max = bytes_max.unwrap_or(CUT_BYTES_MAX);
            let bytes_left = shared.dice.lock().unwrap_or_else(PoisonError::into_inner).below(bytes_max);
            Ok(reply.map(|inner| CutBody { inner, bytes_left }.boxed()))
        }
        Some(Fault::Partial) => {
            let some = partial::without_some(&body, &mut shared.dice.lock().unwrap_or_else(PoisonError::into_inner));
            let Some((fewer, refused)) = some else { return call.await };
            let (mut head, reply) = shared.server.call(&head, fewer.into()).await?.into_parts();
            let reply = reply.collect().await?.to_bytes();
            let merged = partial::with_refused(&reply, &refused).map_or(reply, Bytes::from);
            head.headers.remove(CONTENT_LENGTH);
            Ok(Response::from_parts(head, whole(merged)))
        }
    }
}

fn error(status: u16, name: &'static str, message: &str) -> Response<ReplyBody> {
    let body = format!("{{\"__type\":\"{name}\",\"message\":\"{message}\"}}");
    let mut reply = Response::new(whole(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
    reply
}

fn whole(body: Bytes) -> ReplyBody {
    Full::new(body).map_err(|never| match never {}).boxed()
}

#[expect(clippy::disallowed_methods, reason = "connections of other processes take their own time")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}

#[expect(clippy::disallowed_methods, reason = "a slow server is slow by the clock on the wall")]
async fn wait(length: Duration) {
    tokio::time::sleep(length).await;
}
