//! `millstream serve`: everything that was defined is started first, and only then is the port opened.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use axum::serve::ListenerExt as _;
use millstream_core::{Clock, Duration};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeFlags;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::http::{Auth, router};
use crate::scripts::Scripts;
use crate::service::{Service, ServiceSettings};
use crate::{logging, tasks};

/// How long open connections may take to end.
const DRAIN: Duration = Duration(1500);
/// How long the engine may take to stop; with [`DRAIN`] below the ten seconds that containers are given.
const STOP: Duration = Duration(8000);

/// Runs the service until it is told to stop.
pub(crate) fn run(flags: &ServeFlags) -> anyhow::Result<()> {
    logging::start();
    let config = config::load(flags)?;
    let mut scripts = Scripts::default();
    if let Some(folder) = &config.queries {
        scripts.add_folder(folder)?;
    }
    let nothing_more = |_: &Arc<Service>| Ok(());
    block_on(serve(config, scripts, nothing_more))
}

/// Runs a command's work on a runtime of its own.
pub(crate) fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("io").build();
    let runtime = runtime.context("the runtime cannot start")?;
    let done = runtime.block_on(work);
    // Readers and lookups that have not ended by now are not waited for.
    runtime.shutdown_background();
    done
}

/// The service with these scripts; `then` runs when they have taken effect.
pub(crate) async fn serve(
    config: Config,
    mut scripts: Scripts,
    then: impl FnOnce(&Arc<Service>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = ServiceSettings {
        data: config.data.clone(),
        workers: config.workers,
        memory_limit: config.memory_limit,
        aws: config.aws,
        checkpoints: config.checkpoints,
        auth: Auth::new(config.tokens, config.aws_keys),
        enforce_limits: config.enforce_limits,
    };
    let service = Service::open(settings, Arc::clone(&clock))?;
    let (name, kept) = service.kept_definitions()?;
    if !kept.is_empty() {
        scripts.add(name, kept, true);
    }
    start_queries(&service, scripts).await?;
    then(&service)?;

    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("{} cannot be listened on", config.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(
        data = %config.data.display(),
        workers = config.workers,
        queries = service.engine.queries().len(),
        "millstream is ready: http://{address}/"
    );
    let listener = listener.tap_io(|connection| {
        // Small events are sent when they happen, not when more have gathered.
        let _ = connection.set_nodelay(true);
    });
    let stopping = Arc::clone(&service);
    let server =
        axum::serve(listener, router(&service)).with_graceful_shutdown(async move { stopping.stopped().await });
    let mut server = tasks::start(async move { server.await });
    let signal = told_to_stop()?;
    tokio::select! {
        ended = &mut server => return ended?.context("the HTTP server ended"),
        name = signal => tracing::info!(signal = name, "stopping"),
    }
    service.begin_stop();
    tokio::select! {
        _ = server => {}
        () = clock.sleep(DRAIN) => tracing::info!("connections are still open; they are cut"),
    }
    tokio::select! {
        () = service.engine.shutdown() => tracing::info!("stopped"),
        () = clock.sleep(STOP) => tracing::warn!("the engine did not stop in time"),
    }
    Ok(())
}

/// All in one go, so that queries on a source share its reader.
async fn start_queries(service: &Arc<Service>, scripts: Scripts) -> anyhow::Result<()> {
    let service = Arc::clone(service);
    let started = tokio::task::spawn_blocking(move || {
        let outcomes = service.engine.execute(scripts.scripts()).map_err(|error| scripts.explain(&error))?;
        // Some may be missing: the process was killed between a definition and its stream, or it is a new file's.
        service.make_streams(&outcomes)?;
        anyhow::Ok((scripts.len(), outcomes.len()))
    });
    let (files, statements) = started.await.context("starting the queries broke off")??;
    tracing::info!(files, statements, "definitions have taken effect");
    Ok(())
}

fn told_to_stop() -> anyhow::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
