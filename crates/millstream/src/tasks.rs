//! The one place where this crate starts tasks.

use std::future::Future;

use tokio::task::JoinHandle;

use crate::http::Problem;

/// Starts a task on the current runtime.
#[expect(clippy::disallowed_methods, reason = "tasks are started here only")]
pub(crate) fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// Runs what may wait for disk or computes for long, away from the tasks that serve.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Problem::internal(format!("the work broke off: {error}"))),
    }
}
