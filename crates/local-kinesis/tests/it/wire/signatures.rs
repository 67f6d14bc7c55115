//! Requests that have to be signed.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use millstream_local_kinesis::{AccessKey, Admitted, ApiSettings};
use serde_json::Value;
use tower::ServiceExt;

use super::{Api, JSON};
use crate::fixture::{MIB, START_MS};

const TARGET: &str = "Kinesis_20131202.ListStreams";
const HOST: &str = "127.0.0.1:8080";

async fn guarded() -> Api {
    let key =
        |id: &str, secret: &str, may_use_streams| AccessKey { id: id.into(), secret: secret.into(), may_use_streams };
    let keys = vec![key("AK", "right", true), key("READER", "right", false)];
    Api::with_settings(1, ApiSettings { keys, ..ApiSettings::default() }).await
}

/// A request of `body` that was signed at that time.
fn signed(key: &str, secret: &str, at_ms: i64, service: &str, body: &str) -> Request<Body> {
    let identity = Credentials::new(key, secret, None, None, "test").into();
    let time = UNIX_EPOCH + Duration::from_millis(at_ms.unsigned_abs());
    let parameters = SigningParams::builder().identity(&identity).region("eu-west-1").name(service).time(time);
    let parameters = parameters.settings(SigningSettings::default()).build().unwrap().into();
    let headers = [("host", HOST), ("content-type", JSON), ("x-amz-target", TARGET)];
    let request = SignableRequest::new(
        "POST",
        "http://127.0.0.1:8080/",
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    );
    let signed = sign(request.unwrap(), &parameters).unwrap().into_parts().0;
    let mut request = Request::post("/");
    for (name, value) in headers.into_iter().chain(signed.headers()) {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

impl Api {
    /// The name of the error, or nothing.
    async fn outcome(&self, request: Request<Body>) -> String {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), MIB).await.unwrap();
        let reply: Value = serde_json::from_slice(&body).unwrap();
        let name = reply["__type"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, if name.is_empty() { 200 } else { 400 }, "{reply}");
        assert!(!reply.to_string().contains("right"), "a secret shows: {reply}");
        name
    }
}

#[tokio::test]
async fn only_what_was_signed_with_a_known_key_is_answered() {
    let api = guarded().await;
    assert_eq!(api.outcome(signed("AK", "right", START_MS, "kinesis", "{}")).await, "");
    let invalid = "InvalidSignatureException";
    for (request, error) in [
        (signed("AK", "wrong", START_MS, "kinesis", "{}"), invalid),
        (signed("NOBODY", "right", START_MS, "kinesis", "{}"), "UnrecognizedClientException"),
        (signed("READER", "right", START_MS, "kinesis", "{}"), "AccessDeniedException"),
        (signed("READER", "wrong", START_MS, "kinesis", "{}"), invalid),
        (signed("AK", "right", START_MS, "dynamodb", "{}"), "IncompleteSignatureException"),
    ] {
        assert_eq!(api.outcome(request).await, error);
    }
    let unsigned = || Request::post("/").header("x-amz-target", TARGET).header("content-type", JSON);
    assert_eq!(api.outcome(unsigned().body(Body::empty()).unwrap()).await, "MissingAuthenticationTokenException");
    let bearer = unsigned().header("authorization", "Bearer AK").body(Body::empty()).unwrap();
    assert_eq!(api.outcome(bearer).await, "MissingAuthenticationTokenException");
    let half = unsigned().header("authorization", "AWS4-HMAC-SHA256 Credential=AK/x").body(Body::empty()).unwrap();
    assert_eq!(api.outcome(half).await, "IncompleteSignatureException");
}

#[tokio::test]
async fn what_was_signed_cannot_be_changed() {
    let api = guarded().await;
    let (head, _) = signed("AK", "right", START_MS, "kinesis", "{}").into_parts();
    let other_body = Request::from_parts(head, Body::from("{\"Limit\": 5}"));
    assert_eq!(api.outcome(other_body).await, "InvalidSignatureException");
    for (name, value) in [
        ("x-amz-target", "Kinesis_20131202.DescribeLimits"),
        ("host", "elsewhere"),
        ("content-type", "application/json"),
    ] {
        let mut request = signed("AK", "right", START_MS, "kinesis", "{}");
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(api.outcome(request).await, "InvalidSignatureException", "{name}");
    }
    // A signature that leaves out what matters is none.
    let mut request = signed("AK", "right", START_MS, "kinesis", "{}");
    let authorization = request.headers()["authorization"].to_str().unwrap().replace(";x-amz-target", "");
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    assert_eq!(api.outcome(request).await, "InvalidSignatureException");
}

#[tokio::test]
async fn a_signature_holds_for_a_quarter_of_an_hour() {
    let api = guarded().await;
    let quarter_ms = 15 * 60 * 1000;
    for (offset_ms, error) in [
        (-quarter_ms, ""),
        (quarter_ms, ""),
        (-quarter_ms - 1000, "InvalidSignatureException"),
        (quarter_ms + 1000, "InvalidSignatureException"),
    ] {
        let request = signed("AK", "right", START_MS + offset_ms, "kinesis", "{}");
        assert_eq!(api.outcome(request).await, error, "{offset_ms}");
    }
}

/// HTTP/2 has no header `host`: what it is instead was signed as that.
#[tokio::test]
async fn the_host_of_http_2_is_its_authority() {
    let api = guarded().await;
    let (mut head, body) = signed("AK", "right", START_MS, "kinesis", "{}").into_parts();
    head.headers.remove("host");
    head.uri = format!("http://{HOST}/").parse().unwrap();
    assert_eq!(api.outcome(Request::from_parts(head, body)).await, "");
}

#[tokio::test]
async fn who_was_let_in_before_need_not_sign() {
    let api = guarded().await;
    let mut request =
        Request::post("/").header("x-amz-target", TARGET).header("content-type", JSON).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Admitted);
    assert_eq!(api.outcome(request).await, "");
}
