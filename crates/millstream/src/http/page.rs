//! The analysts' page, embedded; without one, a page that says how to build it.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::Problem;

#[derive(Embed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// `blob:` and `wasm-unsafe-eval`: the grid compiles its WebAssembly and starts a worker from a blob.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; \
                      style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; connect-src 'self' blob: data:; \
                      img-src 'self' data:; font-src 'self' data:";
/// Names of assets have their content's hash: they never change.
const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";
const TYPES: [(&str, &str); 9] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("json", "application/json"),
    ("woff2", "font/woff2"),
    ("map", "application/json"),
];
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Millstream</title>\
    <body style=\"font: 16px system-ui; max-width: 40em; margin: 4em auto\"><h1>Millstream</h1>\
    <p>This binary was built without its page. To have it: <code>npm ci &amp;&amp; npm run build</code> in \
    <code>web/</code>, then <code>cargo build</code>.</p>\
    <p>The API works: <a href=\"openapi.json\">openapi.json</a>, <a href=\"api/v1/tables\">tables</a>, \
    <a href=\"api/v1/queries\">queries</a>.</p></body></html>";

pub(super) async fn index() -> Response {
    let html = Dist::get("index.html").map_or(NOT_BUILT.as_bytes().into(), |file| file.data);
    file(html, "html", REVALIDATE)
}

pub(super) async fn icon() -> Result<Response, Problem> {
    embedded("icon.svg", REVALIDATE)
}

pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    embedded(&format!("assets/{name}"), FOREVER)
}

fn embedded(name: &str, cache: &'static str) -> Result<Response, Problem> {
    let found = Dist::get(name).ok_or_else(|| Problem::not_found(format!("there is no {name}")))?;
    let extension = name.rsplit('.').next().unwrap_or_default();
    Ok(file(found.data, extension, cache))
}

fn file(data: std::borrow::Cow<'static, [u8]>, extension: &str, cache: &'static str) -> Response {
    let known = TYPES.iter().find(|(known, _)| *known == extension);
    let content_type = known.map_or("application/octet-stream", |(_, content_type)| content_type);
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (StatusCode::OK, headers, data).into_response()
}
