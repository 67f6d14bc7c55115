//! The one place where this crate starts threads and tasks.

use std::future::Future;

use millstream_core::BoxFuture;

use crate::closer::{Closer, Ending};
use crate::worker::Worker;

/// Runs the parts of an engine: on threads and tasks, or in a simulation one step at a time.
pub(crate) trait Runner: Send + Sync {
    /// Runs a worker until it is told to stop.
    fn worker(&self, number: usize, worker: Worker) -> std::io::Result<()>;

    /// Runs a closer to its end, and tells of it.
    fn closer(&self, name: &str, closer: Closer, ended: Box<dyn FnOnce(&Ending) + Send>) -> std::io::Result<()>;

    /// Runs what waits more than it computes.
    fn task(&self, work: BoxFuture<'static, ()>);
}

/// Threads for what computes, a runtime for what waits.
pub(crate) struct OnThreads(pub(crate) tokio::runtime::Handle);

impl Runner for OnThreads {
    fn worker(&self, number: usize, worker: Worker) -> std::io::Result<()> {
        start(&format!("worker-{number}"), move || worker.run())
    }

    fn closer(&self, name: &str, closer: Closer, ended: Box<dyn FnOnce(&Ending) + Send>) -> std::io::Result<()> {
        start(&format!("close-{name}"), move || {
            let ending = guarded(|| closer.run()).unwrap_or_else(Ending::Failed);
            ended(&ending);
        })
    }

    fn task(&self, work: BoxFuture<'static, ()>) {
        task(&self.0, work);
    }
}

/// Starts a named thread. Its work ends by itself when its channel closes.
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // Linux shows 15 bytes of a thread's name.
    let short: String = name.chars().take(15).collect();
    std::thread::Builder::new().name(short).spawn(work).map(|_| ())
}

/// Runs what a query asked for and turns a panic into its text: one query's broken invariant must not end the others.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text =
            panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
        format!("a broken invariant stopped the query: {}", text.unwrap_or_else(|| "a panic without a text".to_owned()))
    })
}

/// Starts a task on the runtime.
pub(crate) fn task(runtime: &tokio::runtime::Handle, work: impl Future<Output = ()> + Send + 'static) {
    let _task = runtime.spawn(work);
}
