//! Passing a call on to the server.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::broken::{BoxError, ReplyBody};

/// The server behind the proxy, reached in both versions of HTTP.
pub(crate) struct Server {
    authority: String,
    http1: Client<HttpConnector, Full<Bytes>>,
    http2: Client<HttpConnector, Full<Bytes>>,
}

impl Server {
    pub(crate) fn at(authority: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            http1: Client::builder(TokioExecutor::new()).build_http(),
            http2: Client::builder(TokioExecutor::new()).http2_only(true).build_http(),
        }
    }

    /// The server's reply, which may still be on its way.
    pub(crate) async fn call(&self, head: &Parts, body: Bytes) -> Result<Response<ReplyBody>, BoxError> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("http://{}{path}", self.authority).parse()?;
        let mut request = Request::builder().method(&head.method).uri(uri).version(head.version);
        for (name, value) in &head.headers {
            if name != TRANSFER_ENCODING && name != "content-length" && name != "host" {
                request = request.header(name, value);
            }
        }
        // What was signed is the host that the client asked.
        if head.version != Version::HTTP_2 {
            let host = head.headers.get("host").cloned().unwrap_or(HeaderValue::from_str(&self.authority)?);
            request = request.header("host", host);
        }
        let client = if head.version == Version::HTTP_2 { &self.http2 } else { &self.http1 };
        let reply = client.request(request.body(Full::new(body))?).await?;
        Ok(reply.map(|body: Incoming| body.map_err(BoxError::from).boxed()))
    }
}
