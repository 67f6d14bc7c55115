//! The one place where this crate starts threads and tasks.

use std::future::Future;

/// Starts a named thread. Its work ends by itself when its channel closes.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
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
