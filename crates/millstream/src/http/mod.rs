//! The HTTP API of `docs/http.md`: a table of routes, and around it who may call them, how long they took, and how
//! errors look.

mod auth;
mod changes;
mod errors;
mod health;
mod kda;
mod kinesis;
mod metrics;
mod openapi;
mod page;
mod params;
mod problem;
mod queries;
mod records;
mod sample;
mod sql;
mod streams;
mod tables;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};

pub(crate) use auth::{Auth, Role};
pub(crate) use changes::EncodedChanges;
pub(crate) use metrics::HttpMetrics;
pub(crate) use problem::{Problem, Shape};

use crate::service::Service;
use auth::{Access, Guard};

/// What handlers share.
type App = Arc<Service>;

/// A larger body is refused: the limit of the Kinesis API too.
const BODY_BYTES_MAX: usize = 16 << 20;

/// One way into the service.
struct Route {
    method: Verb,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<App>,
}

/// The methods there are.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Get,
    Post,
    Delete,
}

const fn route(
    method: Verb,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<App>,
) -> Route {
    Route { method, path, access, handler }
}

/// Every route but the Kinesis API's `POST /`, which is the store's.
const ROUTES: &[Route] = &[
    route(Verb::Post, "/api/v1/sql", Access::Read, |verb| on(verb, sql::execute)),
    route(Verb::Post, "/api/v1/sql/check", Access::Read, |verb| on(verb, sql::check)),
    route(Verb::Post, "/api/v1/kda/applications", Access::Change, |verb| on(verb, kda::create)),
    route(Verb::Get, "/api/v1/queries", Access::Read, |verb| on(verb, queries::list)),
    route(Verb::Get, "/api/v1/queries/{name}", Access::Read, |verb| on(verb, queries::one)),
    route(Verb::Delete, "/api/v1/queries/{name}", Access::Change, |verb| on(verb, queries::drop)),
    route(Verb::Post, "/api/v1/queries/{name}/pause", Access::Change, |verb| on(verb, queries::pause)),
    route(Verb::Post, "/api/v1/queries/{name}/resume", Access::Change, |verb| on(verb, queries::resume)),
    route(Verb::Get, "/api/v1/tables", Access::Read, |verb| on(verb, tables::list)),
    route(Verb::Get, "/api/v1/tables/{name}", Access::Read, |verb| on(verb, tables::one)),
    route(Verb::Get, "/api/v1/tables/{name}/rows", Access::Read, |verb| on(verb, tables::rows)),
    route(Verb::Get, "/api/v1/tables/{name}/rows/{key}", Access::Read, |verb| on(verb, tables::row)),
    route(Verb::Get, "/api/v1/tables/{name}/changes", Access::Read, |verb| on(verb, changes::follow)),
    route(Verb::Get, "/api/v1/streams", Access::Read, |verb| on(verb, streams::list)),
    route(Verb::Post, "/api/v1/streams/{name}", Access::Change, |verb| on(verb, streams::create)),
    route(Verb::Get, "/api/v1/streams/{name}", Access::Read, |verb| on(verb, streams::one)),
    route(Verb::Delete, "/api/v1/streams/{name}", Access::Change, |verb| on(verb, streams::drop)),
    route(Verb::Get, "/api/v1/streams/{name}/sample", Access::Read, |verb| on(verb, sample::newest)),
    route(Verb::Post, "/api/v1/streams/{name}/records", Access::Produce, |verb| on(verb, records::store)),
    route(Verb::Get, "/api/v1/errors", Access::Read, |verb| on(verb, errors::newest)),
    route(Verb::Get, "/health", Access::Open, |verb| on(verb, health::health)),
    route(Verb::Get, "/ready", Access::Open, |verb| on(verb, health::ready)),
    route(Verb::Get, "/metrics", Access::Read, |verb| on(verb, metrics::all)),
    route(Verb::Get, "/openapi.json", Access::Open, |verb| on(verb, openapi::document)),
    route(Verb::Get, "/", Access::Open, |verb| on(verb, page::index)),
    route(Verb::Get, "/icon.svg", Access::Open, |verb| on(verb, page::icon)),
    route(Verb::Get, "/assets/{*file}", Access::Open, |verb| on(verb, page::asset)),
];

impl Verb {
    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// The whole service over HTTP.
pub(crate) fn router(app: &App) -> Router {
    let guarded = |access| from_fn_with_state(Guard { app: Arc::clone(app), access }, auth::check);
    let mut routes = Router::new();
    for route in ROUTES {
        routes = routes.route(route.path, (route.handler)(route.method.filter()).route_layer(guarded(route.access)));
    }
    let kinesis = kinesis::router(app);
    let api = routes.with_state(Arc::clone(app)).fallback(problem::no_route).layer(from_fn(problem::normalize));
    api.merge(kinesis.route_layer(guarded(Access::Kinesis)))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(app), metrics::measure))
}
