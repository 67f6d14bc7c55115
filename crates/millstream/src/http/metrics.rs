//! `/metrics`: the counters of queries, sources and HTTP for Prometheus.
//!
//! The engine counts; what is shown is read from it when it is asked for. Only HTTP durations are kept here.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millstream_core::EventTime;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::{App, Problem};
use crate::clock::Stopwatch;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;

/// Seconds: from a look at memory to a large SELECT.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long requests took until their answers began.
pub(crate) struct HttpMetrics {
    durations: Family<Labels, Histogram>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self { durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

/// Measures a request. Its route is the label, never its path, which has no bound.
pub(super) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let stopwatch = Stopwatch::start();
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "DELETE" | "HEAD" | "OPTIONS" | "PUT") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = vec![("route", route), ("method", method), ("status", status)];
    app.metrics.durations.get_or_create(&labels).observe(stopwatch.seconds());
    response
}

pub(super) async fn all(State(app): State<App>) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix("millstream");
    register_queries(&app, &mut registry);
    register_sources(&app, &mut registry);
    register_memory(&app, &mut registry);
    let durations = app.metrics.durations.clone();
    registry.register("http_request_duration_seconds", "Time until the answer began", durations);
    let uptime: Gauge = Gauge::default();
    uptime.set((app.clock.now() - app.started).0 / 1000);
    registry.register("uptime_seconds", "Time since the start", uptime);
    registry.register("build", "The version", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn register_queries(app: &App, registry: &mut Registry) {
    let [rows_in, rows_out, filtered, late, rejected] = <[Counters; 5]>::default();
    let [open_windows, groups, running, table_rows, lag_ms] = <[Gauges; 5]>::default();
    let [watermark, watermark_lag, checkpoint_age] = <[Seconds; 3]>::default();
    let [state_bytes, checkpoint_failing, memory_bytes] = <[Gauges; 3]>::default();
    let now = app.clock.now();
    for query in app.engine.queries() {
        let labels: Labels = vec![("query", query.name.clone())];
        let stats = &query.stats;
        for (family, count) in [
            (&rows_in, &stats.rows_in),
            (&rows_out, &stats.rows_out),
            (&filtered, &stats.filtered),
            (&late, &stats.late),
            (&rejected, &stats.rejected),
        ] {
            family.get_or_create(&labels).inc_by(count.get());
        }
        let gauge = |family: &Gauges, value: u64| {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge(&open_windows, stats.open_windows.get());
        gauge(&groups, stats.groups.get());
        gauge(&memory_bytes, stats.state_bytes.get());
        gauge(&running, u64::from(query.state.word() == "running"));
        let reached = stats.watermark();
        if reached != EventTime::MIN && reached != EventTime::MAX {
            watermark.get_or_create(&labels).set(seconds(reached.0));
            watermark_lag.get_or_create(&labels).set(seconds((now - reached).0));
        }
        let newest = stats.checkpoints.newest();
        if let Some(taken_at) = newest.taken_at {
            checkpoint_age.get_or_create(&labels).set(seconds((now - taken_at).0));
            gauge(&state_bytes, newest.state_bytes);
            gauge(&checkpoint_failing, u64::from(newest.failing.is_some()));
        }
        for (source, shard, shard_stats) in stats.shards() {
            let shard = vec![("query", query.name.clone()), ("source", source), ("shard", shard.to_string())];
            lag_ms.get_or_create(&shard).set(i64::try_from(shard_stats.lag_ms).unwrap_or(i64::MAX));
        }
    }
    for table in app.engine.tables() {
        let rows = i64::try_from(table.row_count()).unwrap_or(i64::MAX);
        table_rows.get_or_create(&vec![("table", table.name().to_owned())]).set(rows);
    }
    registry.register("rows_in", "Records that a query's sources gave it", rows_in);
    registry.register("rows_out", "Rows of results that a query handed on", rows_out);
    registry.register("filtered", "Rows that a condition dropped", filtered);
    registry.register("late", "Rows that came after their window had closed", late);
    registry.register("rejected", "Records and rows that could not be used", rejected);
    registry.register("open_windows", "Windows that are open", open_windows);
    registry.register("groups", "Groups held as state", groups);
    registry.register("state_bytes", "Memory that a query's state takes", memory_bytes);
    registry.register("query_running", "1 while a query runs", running);
    registry.register("live_table_rows", "Rows of a live table", table_rows);
    registry.register("shard_lag_ms", "How far a shard's reader is behind the tip", lag_ms);
    registry.register("checkpoint_age_seconds", "Time since the newest checkpoint was taken", checkpoint_age);
    registry.register("checkpoint_state_bytes", "Bytes that the newest checkpoint needs", state_bytes);
    registry.register("checkpoint_failing", "1 while a checkpoint cannot be written", checkpoint_failing);
    registry.register("watermark_seconds", "How far event time has come, since 1970", watermark);
    registry.register("watermark_lag_seconds", "How far event time is behind the clock", watermark_lag);
}

fn register_memory(app: &App, registry: &mut Registry) {
    let memory = app.engine.memory();
    for (name, help, bytes) in [
        ("memory_used_bytes", "Memory that state takes", memory.used),
        ("memory_limit_bytes", "Memory that state may take", memory.limit),
        ("memory_spilled_bytes", "State on disk", memory.spilled),
    ] {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
}

fn register_sources(app: &App, registry: &mut Registry) {
    let [records, bytes, rejected, future] = <[Counters; 4]>::default();
    for (source, stats) in app.engine.sources() {
        let labels: Labels = vec![("source", source)];
        let counts = [
            (&records, &stats.records),
            (&bytes, &stats.bytes),
            (&rejected, &stats.rejected),
            (&future, &stats.future),
        ];
        for (family, count) in counts {
            family.get_or_create(&labels).inc_by(count.get());
        }
    }
    let errors_lost: Counter = Counter::default();
    errors_lost.inc_by(app.engine.errors_lost());
    registry.register("errors_lost", "Rows of error_stream that queries over it were too slow for", errors_lost);
    registry.register("source_records", "Records read from a source", records);
    registry.register("source_bytes", "Bytes of payload read from a source", bytes);
    registry.register("source_rejected", "Records that could not be decoded", rejected);
    registry.register("source_future", "Rows with times too far after their arrival to move event time", future);
}

fn seconds(millis: i64) -> f64 {
    let whole = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
    if millis < 0 { -whole } else { whole }
}
