//! Logs: text for people, JSON with `MILLSTREAM_LOG_FORMAT=json`, filtered by `MILLSTREAM_LOG` or `RUST_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What is logged unless a filter says otherwise.
const DEFAULT_FILTER: &str = "info,datafusion=warn,hyper=warn";

/// For commands whose results are on standard output: only what goes wrong is logged.
const QUIET_FILTER: &str = "warn";

/// Logging of a service.
pub(crate) fn start() {
    start_with(DEFAULT_FILTER);
}

/// Logging of a command that prints results.
pub(crate) fn start_quiet() {
    start_with(QUIET_FILTER);
}

/// Starts logging to standard error. A filter that cannot be read is reported and replaced by the default one.
fn start_with(default: &str) {
    let wanted = ["MILLSTREAM_LOG", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    let (filter, refused) = match wanted.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(default), Some(error)),
        None => (EnvFilter::new(default), None),
    };
    let is_json = std::env::var("MILLSTREAM_LOG_FORMAT").is_ok_and(|format| format == "json");
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Tests may have set a subscriber already: theirs stays.
    let _ = if is_json {
        logs.json().flatten_event(true).try_init()
    } else {
        logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    if let Some(error) = refused {
        tracing::warn!(%error, "the log filter cannot be read; write for example MILLSTREAM_LOG=info,millstream=debug");
    }
}
