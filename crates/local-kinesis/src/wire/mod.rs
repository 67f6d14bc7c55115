//! The Kinesis API: `POST /`, JSON 1.1.

use axum::Router;

use crate::Store;

/// The Kinesis API on the streams of a store.
pub fn router(_store: Store) -> Router {
    Router::new()
}
