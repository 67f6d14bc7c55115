//! Our own endpoint, in this process.

use std::sync::Arc;

use millstream_core::Clock;
use millstream_local_kinesis::{Settings, Store, router};

use crate::peers::WallClock;

/// Runs a test on a free port; it ends when the test does.
pub(crate) async fn with_endpoint<Test: Future<Output = ()>>(test: impl FnOnce(u16) -> Test) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &Settings::default(), Arc::new(|| WallClock.now().0)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async { axum::serve(listener, router(store)).await };
    tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        () = test(port) => {}
    }
}
