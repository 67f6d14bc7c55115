//! The one place where this crate starts threads and tasks.

use std::future::Future;

/// Starts a named thread. Its work ends by itself when its channel closes.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // Linux shows 15 bytes of a thread's name.
    let short: String = name.chars().take(15).collect();
    std::thread::Builder::new().name(short).spawn(work).map(|_| ())
}

/// Starts a task on the runtime.
pub(crate) fn task(runtime: &tokio::runtime::Handle, work: impl Future<Output = ()> + Send + 'static) {
    let _task = runtime.spawn(work);
}
