//! The Kinesis API on the embedded streams, with the service's clock, keys and limits.

use std::sync::Arc;

use axum::Router;
use millstream_core::Duration;
use millstream_local_kinesis::{ApiSettings, router_with};

use super::App;

pub(super) fn router(app: &App) -> Router {
    let clock = Arc::clone(&app.clock);
    let settings = ApiSettings {
        keys: app.auth.access_keys(),
        enforce_limits: app.enforce_limits,
        sleep: Arc::new(move |time| clock.sleep(Duration(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))),
        ..ApiSettings::default()
    };
    router_with(app.store.clone(), settings)
}
